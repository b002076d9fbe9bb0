"""C2: an arbiter that announces a modulus that is no product of two distinct large primes, or evidence that was made for something else.

Guest and host refuse each before they encrypt anything, in training and in scoring. With one check taken out, the keys that only this
check stops are taken: so none of the checks is for show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import gmpy2
import pytest
from support.runs import Change, P, Q, parties, run, scoring_programs, settings, train, training_programs

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier import keys
from vflfast.errors import InvalidKeyError, ProtocolError, VflError
from vflfast.protocol import messages as ms
from vflfast.protocol.session import key_context

BITS = 512
SIZE = lm.limb_count(BITS)
FACTOR = 65537  # below 2^20
MADE = parties(16, (2, 3))
Factors = dict[int, int]


@pytest.fixture(autouse=True)
def plain_arithmetic() -> Iterator[None]:
    """gmpy2 computes modulo anything; the core's constants are for odd moduli alone, which would hide what the checks do."""
    with be.use("gmpy2"):
        yield


def primes_near(start: int, residue: int = 3) -> Callable[[], int]:
    """The primes ≡ residue (mod 4) from `start` on, one a call."""
    candidates = iter(p for p in range(start - start % 4 + residue, start + (1 << 40), 4) if gmpy2.is_prime(p))
    return lambda: next(candidates)


@cache
def modulus(shape: str) -> tuple[int, Factors]:
    """A modulus of `BITS` bits that is 1 modulo 4 where it is odd, and its factors."""
    if shape == "p²q":
        p = primes_near(3 << 168)()
        return of_factors({p: 2, primes_near((7 << 509) // p**2, residue=1)(): 1})
    if shape == "p divides q − 1":
        p = primes_near(3 << 126)()
        q = next(q for k in range((3 << 254) // p, 1 << 256) if (q := 2 * k * p + 1) % 4 == 3 and gmpy2.is_prime(q))
        return of_factors({p: 1, q: 1, primes_near((7 << 509) // (p * q), residue=1)(): 1})
    if shape == "small factor":
        return of_factors({FACTOR: 1, primes_near((7 << 509) // FACTOR, residue=1)(): 1})
    if shape == "prime":
        return of_factors({primes_near(7 << 509, residue=1)(): 1})
    if shape == "even":
        return of_factors({2: 1, primes_near(7 << 508, residue=1)(): 1})
    if shape == "p²":
        return of_factors({primes_near(15 << 252)(): 2})
    if shape == "3 modulo 4":
        return of_factors({P: 1, primes_near(Q, residue=1)(): 1})
    return of_factors({P: 1, primes_near(Q + 4)(): 1})  # "honest", and another than the arbiter's own


def of_factors(factors: Factors) -> tuple[int, Factors]:
    n = 1
    for factor, exponent in factors.items():
        n *= factor**exponent
    assert n.bit_length() == BITS
    return n, factors


def evidence(n: int, factors: Factors, context: bytes) -> list[int]:
    """The best proof of one who knows the factors: n-th roots where they exist, else the nearest try."""
    phi = 1
    for factor, exponent in factors.items():
        phi *= factor ** (exponent - 1) * (factor - 1)
    unit_part = phi
    while (common := int(gmpy2.gcd(n, unit_part))) > 1:
        unit_part //= common
    exponent = pow(n, -1, unit_part)
    return [pow(challenge(n, context, index), exponent, n) for index in range(keys.PROOF_CHALLENGES)]


def challenge(n: int, context: bytes, index: int) -> int:
    try:
        return keys._challenge(n, context, index)
    except InvalidKeyError:  # it shares a factor with n
        return 1


def announce(recipient: str, n: int, factors: Factors, context: Callable[[bytes], bytes] = key_context) -> Change:
    """The arbiter's announcement with another key; `context` makes what its proof is bound to of the session's id."""

    def change(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, ms.KeyAnnouncement) or to != recipient:
            return None
        proof = evidence(n, factors, context(envelope.session))
        return [ms.to_bytes(ms.KeyAnnouncement(lm.from_ints([n], SIZE), lm.from_ints(proof, SIZE)), envelope)]

    return change


def programs(phase: str) -> dict[str, Any]:
    if phase == "training":
        return training_programs(MADE, settings(max_iter=1))
    return scoring_programs(MADE, trained(), settings(max_iter=1))


@cache
def trained() -> Any:
    return train(MADE, settings(max_iter=1))


def is_taken(phase: str, lie: Change) -> bool:
    """Whether the arbiter's key is taken: what fails later (two keys in one run, keys that cannot encrypt) is another matter."""
    sent: list[ms.Message] = []
    listeners = {name: lambda _, message, __: sent.append(message) for name in ("guest", "host1")}
    try:
        run(programs(phase), {"arbiter": lie, **listeners})
    except VflError as error:
        return not (isinstance(error, ProtocolError) and (error.party, error.step) == ("arbiter", "KeyAnnouncement"))
    return True


SHAPES = ["p²q", "p divides q − 1", "small factor", "prime", "even", "p²", "3 modulo 4"]
OTHER_CONTEXTS: dict[str, Callable[[bytes], bytes]] = {
    "another session": lambda session: key_context(bytes(reversed(session))),
    "no session": lambda session: key_context(b""),
    "another role": lambda session: b"vflfast key of the guest" + session,
    "no role": lambda session: session,
}
WHERE = [("training", "guest"), ("training", "host1"), ("scoring", "guest"), ("scoring", "host1")]


@pytest.mark.parametrize(("phase", "party"), WHERE)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_malformed_modulus_is_refused_by_both(shape: str, phase: str, party: str) -> None:
    assert not is_taken(phase, announce(party, *modulus(shape)))


@pytest.mark.parametrize(("phase", "party"), WHERE)
@pytest.mark.parametrize("context", OTHER_CONTEXTS)
def test_a_proof_of_another_session_or_role_is_refused(context: str, phase: str, party: str) -> None:
    assert not is_taken(phase, announce(party, *modulus("honest"), OTHER_CONTEXTS[context]))


@pytest.mark.parametrize(("phase", "party"), WHERE)
def test_a_proof_of_another_modulus_is_refused(phase: str, party: str) -> None:
    """The roots that an honest n gave in this session, beside another honest n."""
    n, factors = modulus("honest")

    def change(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, ms.KeyAnnouncement) or to != party:
            return None
        proof = evidence(n, factors, key_context(envelope.session))
        return [ms.to_bytes(ms.KeyAnnouncement(message.n, lm.from_ints([root % (P * Q) for root in proof], SIZE)), envelope)]

    assert not is_taken(phase, change)


@pytest.mark.parametrize(("phase", "party"), WHERE)
def test_an_honest_key_is_taken(phase: str, party: str) -> None:
    """The forger's own honest key passes: the refusals above are those of the keys, not of the forger."""
    assert is_taken(phase, announce(party, *modulus("honest")))


# --- the controls: each check taken out lets through what it is there for ------------------------------------------


def without(monkeypatch: pytest.MonkeyPatch, *checks: str) -> None:
    for check in checks:
        monkeypatch.setattr(keys, check, (lambda n: False) if check == "_has_small_factor" else (lambda *_, **__: None))


NEEDED: dict[str, list[str]] = {
    "p²q": ["verify_square_free"],
    "p divides q − 1": ["verify_square_free"],
    "small factor": ["_has_small_factor"],
    "prime": ["check_modulus"],
    "even": ["check_modulus", "verify_square_free"],
    "p²": ["check_modulus", "verify_square_free"],
    "3 modulo 4": ["check_modulus"],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_without_its_check_a_malformed_modulus_is_taken(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lie = announce("guest", *modulus(shape))
    for n_removed in range(len(NEEDED[shape])):
        with monkeypatch.context() as patch:
            without(patch, *NEEDED[shape][:n_removed])
            assert not is_taken("training", lie)
    without(monkeypatch, *NEEDED[shape])
    assert is_taken("training", lie)


@pytest.mark.parametrize("context", OTHER_CONTEXTS)
def test_a_proof_that_is_not_bound_could_be_used_again(context: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If challenges were hashed from n alone, one proof would serve every session and role."""
    real = keys._challenge
    monkeypatch.setattr(keys, "_challenge", lambda n, _, index: real(n, b"unbound", index))
    assert is_taken("training", announce("guest", *modulus("honest"), OTHER_CONTEXTS[context]))

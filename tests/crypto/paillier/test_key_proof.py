"""Keys: the proof that n is square-free binds to key, session and role; the base of randomness; the fingerprint."""

from __future__ import annotations

import hashlib
import math

import gmpy2
import pytest
from support.primes import BAD_MODULI, BAD_PRIMES, CONTEXT, P, Q, prime_near, with_factor

from vflfast.crypto.paillier import keys
from vflfast.crypto.paillier.keys import (
    check_primes,
    fingerprint,
    generate_primes,
    prove_square_free,
    subgroup_base,
    verify_square_free,
)
from vflfast.errors import CheckError, InputError, InvalidKeyError
from vflfast.params import MIN_TEST_KEY_BITS, PROOF_CHALLENGES

# --- square-free proof -------------------------------------------------------------------------------------------


def test_honest_proof_is_accepted(primes256: tuple[int, int], primes1024: tuple[int, int], primes2048: tuple[int, int]) -> None:
    for p, q in (primes256, primes1024, primes2048):
        proof = prove_square_free(p, q, CONTEXT)
        assert len(proof) == PROOF_CHALLENGES == len(set(proof))
        verify_square_free(p * q, proof, CONTEXT)


def test_challenge_is_a_plain_hash(primes256: tuple[int, int]) -> None:
    n = math.prod(primes256)
    parts = b"".join(len(x).to_bytes(8, "big") + x for x in (b"vflfast square-free proof v1", CONTEXT, n.to_bytes(32, "big")))
    stream = b"".join(hashlib.sha256(parts + bytes([0, 0, 0, 2, 0, 0, 0, block])).digest() for block in (0, 1))
    expected = int.from_bytes(stream[: 32 + 16], "big") % n
    root = prove_square_free(*primes256, CONTEXT)[2]
    assert pow(root, n, n) == expected


@pytest.mark.parametrize("n_bytes", [17, 34, 51, 68, 510])
def test_a_challenge_has_the_bytes_of_n_and_16_more(n_bytes: int) -> None:
    """SHA-256 in counter mode: as many blocks as that takes, the last one cut."""
    n = prime_near((1 << 136) - (1 << 130)) ** (n_bytes // 17)  # quickly made, and shares no factor with a challenge
    assert n.bit_length() == 8 * n_bytes
    parts = b"".join(len(x).to_bytes(8, "big") + x for x in (b"vflfast square-free proof v1", CONTEXT, n.to_bytes(n_bytes, "big")))
    stream = b"".join(hashlib.sha256(parts + bytes([0, 0, 0, 5, 0, 0, 0, block])).digest() for block in range(20))
    assert keys._challenge(n, CONTEXT, 5) == int.from_bytes(stream[: n_bytes + 16], "big") % n


def test_a_challenge_that_shares_a_factor_with_n_is_refused() -> None:
    """Of the challenges modulo n = 3·q every third is a multiple of 3: those are refused, and no other."""
    n = with_factor(3)
    n_bytes = n.to_bytes(64, "big")
    parts = b"".join(len(x).to_bytes(8, "big") + x for x in (b"vflfast square-free proof v1", CONTEXT, n_bytes))
    seen = set()
    for index in range(40):
        stream = b"".join(hashlib.sha256(parts + bytes([0, 0, 0, index, 0, 0, 0, block])).digest() for block in range(3))
        expected = int.from_bytes(stream[:80], "big") % n
        seen.add(expected % 3 == 0)
        if expected % 3:
            assert keys._challenge(n, CONTEXT, index) == expected
        else:
            with pytest.raises(InvalidKeyError, match="shares a factor"):
                keys._challenge(n, CONTEXT, index)
    assert seen == {True, False}


@pytest.mark.parametrize("branch", [0, 1])
def test_a_fault_in_one_branch_of_a_root_is_noticed(primes256: tuple[int, int], branch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that is right modulo one prime only would give the factors away."""
    real = gmpy2.powmod_sec
    with monkeypatch.context() as patch:
        wrong = primes256[branch]
        patch.setattr(keys.gmpy2, "powmod_sec", lambda x, e, m: (real(x, e, m) + (m == wrong)) % m)
        with pytest.raises(CheckError, match="root"):
            prove_square_free(*primes256, CONTEXT)
    assert prove_square_free(*primes256, CONTEXT)  # the control


def test_plain_paillier_keys_have_proofs_too() -> None:
    p, q = BAD_PRIMES["neither blum"]
    assert isinstance(p, int)
    assert isinstance(q, int)
    verify_square_free(p * q, prove_square_free(p, q, CONTEXT), CONTEXT)


@pytest.mark.parametrize("n", [None, "7", float(2**300), True, gmpy2.mpz(P * Q), 0, -1, 1, BAD_MODULI["126 bits"]], ids=str)
def test_no_proof_is_for_what_is_no_modulus(n: object) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        verify_square_free(n, [1] * PROOF_CHALLENGES, CONTEXT)  # type: ignore[arg-type]
    assert caught.value.argument == "n"


@pytest.mark.parametrize("other", [b"session 5f1e, arbiter", b"session 5f1d, guest", CONTEXT + b"\0", CONTEXT[:-1]])
def test_proof_is_bound_to_its_context(primes256: tuple[int, int], other: bytes) -> None:
    proof = prove_square_free(*primes256, CONTEXT)
    with pytest.raises(InvalidKeyError) as caught:
        verify_square_free(math.prod(primes256), proof, other)
    assert caught.value.argument == "proof"


def test_proof_is_bound_to_its_key(primes256: tuple[int, int]) -> None:
    proof = prove_square_free(*primes256, CONTEXT)
    with pytest.raises(InvalidKeyError, match="proof"):
        verify_square_free(math.prod(generate_primes(256, test_sizes=True)), proof, CONTEXT)


def forge(factors: dict[int, int]) -> tuple[int, list[int]]:
    """The best proof that a cheat who knows the factors of n can give: a root where one exists, else the nearest try."""
    n = math.prod(f**e for f, e in factors.items())
    phi = math.prod(f ** (e - 1) * (f - 1) for f, e in factors.items())
    unit_part = phi
    while (common := math.gcd(n, unit_part)) > 1:
        unit_part //= common
    exponent = pow(n, -1, unit_part)
    return n, [pow(keys._challenge(n, CONTEXT, index), exponent, n) for index in range(PROOF_CHALLENGES)]


def test_the_forger_proves_honest_keys() -> None:
    n, proof = forge({P: 1, Q: 1})  # control: the forgeries below fail because of n, not because of the forger
    verify_square_free(n, proof, CONTEXT)


@pytest.mark.parametrize("shape", ["p^2 q", "p^2", "p^3 q", "p divides q-1"])
def test_forged_proofs_are_rejected(shape: str) -> None:
    p, q = prime_near(3 << 126), prime_near(5 << 126)
    if shape == "p divides q-1":
        q = next(2 * k * p + 1 for k in range(1, 10**6) if gmpy2.is_prime(2 * k * p + 1))
    factors = {"p^2 q": {p: 2, q: 1}, "p^2": {p: 2}, "p^3 q": {p: 3, q: 1}, "p divides q-1": {p: 1, q: 1}}[shape]
    n, proof = forge(factors)
    with pytest.raises(InvalidKeyError) as caught:
        verify_square_free(n, proof, CONTEXT)
    assert caught.value.argument == "proof"


def test_small_square_factors_are_rejected_without_luck() -> None:
    # Modulo n = 9·q one challenge in three has a root, so seven roots are found soon; the factor bound must catch it.
    n = 9 * prime_near(3 << 250)
    with pytest.raises(InvalidKeyError, match="factor below"):
        verify_square_free(n, [1] * PROOF_CHALLENGES, CONTEXT)


def test_equal_lengths_leave_no_common_factor() -> None:
    p = prime_near(3 << 126)
    q = next(2 * k * p + 1 for k in range(1, 10**6) if gmpy2.is_prime(2 * k * p + 1))
    for pair in ((p, q), (q, p)):
        with pytest.raises(InvalidKeyError, match="as many bits"):
            check_primes(*pair, subgroup=False, test_sizes=True)


def test_there_is_no_proof_for_a_key_whose_phi_shares_a_factor() -> None:
    with pytest.raises(InvalidKeyError):
        prove_square_free(P, P, CONTEXT)


DAMAGES = {
    "empty": lambda proof, n: [],
    "one short": lambda proof, n: proof[:-1],
    "one long": lambda proof, n: [*proof, proof[0]],
    "swapped": lambda proof, n: [proof[1], proof[0], *proof[2:]],
    "repeated": lambda proof, n: [proof[0]] * len(proof),
    "zero": lambda proof, n: [0, *proof[1:]],
    "negative": lambda proof, n: [proof[0] - n, *proof[1:]],
    "not reduced": lambda proof, n: [*proof[:-1], proof[-1] + n],
    "negated": lambda proof, n: [*proof[:-1], n - proof[-1]],
    "off by one": lambda proof, n: [*proof[:-1], proof[-1] + 1],
    "n": lambda proof, n: [n, *proof[1:]],
    "tuple": lambda proof, n: tuple(proof),
    "none": lambda proof, n: None,
    "text root": lambda proof, n: [str(proof[0]), *proof[1:]],
    "bool root": lambda proof, n: [True, *proof[1:]],
    "mpz root": lambda proof, n: [gmpy2.mpz(proof[0]), *proof[1:]],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_proofs_are_rejected(primes256: tuple[int, int], damage: str) -> None:
    n = math.prod(primes256)
    proof = DAMAGES[damage](prove_square_free(*primes256, CONTEXT), n)
    with pytest.raises(InvalidKeyError) as caught:
        verify_square_free(n, proof, CONTEXT)
    assert caught.value.argument == "proof"


@pytest.mark.parametrize(
    ("root", "reason"), [(-1, "outside"), (0, "outside"), (1, "belong"), (P * Q - 1, "belong"), (P * Q, "outside"), (P * Q + 1, "outside")],
    ids=["-1", "0", "1", "n-1", "n", "n+1"],
)  # fmt: skip
def test_a_root_is_outside_or_does_not_belong(root: int, reason: str) -> None:
    with pytest.raises(InvalidKeyError, match=f"root 0 .*{reason}"):
        verify_square_free(P * Q, [root] * PROOF_CHALLENGES, CONTEXT)


@pytest.mark.parametrize("context", [None, "session", b"", bytearray(b"x"), 3])
def test_context_must_be_bytes(primes256: tuple[int, int], context: object) -> None:
    with pytest.raises(InputError) as caught:
        prove_square_free(*primes256, context)  # type: ignore[arg-type]
    assert caught.value.argument == "context"
    with pytest.raises(InputError) as caught:
        verify_square_free(math.prod(primes256), [], context)  # type: ignore[arg-type]
    assert caught.value.argument == "context"


# --- base and fingerprint ----------------------------------------------------------------------------------------


def test_subgroup_base_is_an_nth_power_of_minus_a_square(primes512: tuple[int, int]) -> None:
    p, q = primes512
    n = p * q
    base = subgroup_base(n)
    assert 0 < base < n * n
    assert math.gcd(base, n) == 1
    root = pow(base, pow(n, -1, (p - 1) * (q - 1)), n)  # base mod n = h^n mod n
    assert pow(root, n, n * n) == base
    assert gmpy2.legendre(-root, p) == gmpy2.legendre(-root, q) == 1  # −h is a square
    assert gmpy2.jacobi(root, n) == 1


def test_subgroup_base_has_the_order_of_the_subgroup(primes512: tuple[int, int]) -> None:
    p, q = primes512
    n = p * q
    assert pow(subgroup_base(n), (p - 1) * (q - 1) // 2, n * n) == 1  # lcm(p-1, q-1)


def test_every_call_draws_its_own_base(primes256: tuple[int, int]) -> None:
    assert len({subgroup_base(math.prod(primes256)) for _ in range(20)}) == 20


def test_the_smallest_test_key_has_a_base() -> None:
    n = math.prod(generate_primes(MIN_TEST_KEY_BITS, test_sizes=True))
    assert n.bit_length() == MIN_TEST_KEY_BITS
    assert math.gcd(subgroup_base(n), n) == 1


@pytest.mark.parametrize("n", [None, True, 0, 1, 15, -1, -P * Q, P * Q + 1, 1 << 300, (1 << 127) - 1, 2.0**300])
def test_subgroup_base_refuses_bad_moduli(n: object) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        subgroup_base(n)  # type: ignore[arg-type]
    assert caught.value.argument == "n"


def test_fingerprint_is_a_hash_of_the_bytes() -> None:
    assert fingerprint(1) == hashlib.sha256(b"\x01").hexdigest()[:16]
    assert fingerprint(0x0102) == hashlib.sha256(b"\x01\x02").hexdigest()[:16]
    for bad in (0, -1, True, "1", None):
        with pytest.raises(InvalidKeyError):
            fingerprint(bad)  # type: ignore[arg-type]

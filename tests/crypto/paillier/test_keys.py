"""Keys: honest ones are accepted, malformed ones refused, and the proof binds to key, session and role."""

from __future__ import annotations

import hashlib
import json
import math
import random
from fractions import Fraction
from functools import cache
from pathlib import Path

import gmpy2
import numpy as np
import pytest
from assurance.figures import Figure

from vflfast.crypto.paillier import keys
from vflfast.crypto.paillier.keys import (
    check_modulus,
    check_primes,
    fingerprint,
    generate_primes,
    prove_square_free,
    subgroup_base,
    verify_square_free,
)
from vflfast.errors import CheckError, InputError, InvalidKeyError
from vflfast.params import MILLER_RABIN_ROUNDS, MIN_PRIME_GAP_BITS, MIN_TEST_KEY_BITS, PROOF_CHALLENGES

CONTEXT = b"session 5f1d, arbiter"
TEST = {"test_sizes": True}


def prime_near(start: int, residue: int = 3) -> int:
    """The first prime ≡ residue (mod 4) above start."""
    prime = int(gmpy2.next_prime(start))
    while prime % 4 != residue:
        prime = int(gmpy2.next_prime(prime))
    return prime


def load_vector_key(path: Path) -> tuple[int, int]:
    key = json.loads(path.read_text())
    return int(key["p"], 16), int(key["q"], 16)


# --- generation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_bits", [128, 130, 256, 384, 512, 514, 768, 1024])
def test_generated_keys_have_the_promised_shape(key_bits: int) -> None:
    for _ in range(4):
        p, q = generate_primes(key_bits, test_sizes=True)
        assert p % 4 == q % 4 == 3
        assert p.bit_length() == q.bit_length() == key_bits // 2
        assert (p * q).bit_length() == key_bits
        assert math.gcd(p - 1, q - 1) == 2
        assert math.gcd(p * q, (p - 1) * (q - 1)) == 1
        assert abs(p - q).bit_length() > max(key_bits // 2 - MIN_PRIME_GAP_BITS, 0)
        check_primes(p, q, test_sizes=True)
        check_modulus(p * q, test_sizes=True)


def test_a_2048_bit_key_needs_no_switch() -> None:
    p, q = generate_primes(2048)
    assert (p * q).bit_length() == 2048
    check_primes(p, q)
    check_modulus(p * q)


def test_the_fixed_test_key_is_a_valid_key(primes2048: tuple[int, int]) -> None:
    check_primes(*primes2048)
    check_modulus(math.prod(primes2048))


@pytest.mark.parametrize("sizes", [(128, 192, 256, 384, 512), pytest.param((256, 512, 1024, 2048), marks=pytest.mark.slow)], ids=str)
def test_two_hundred_honest_keys_are_accepted(sizes: tuple[int, ...], figure: Figure) -> None:  # assurance.md C2
    for index in range(200):
        p, q = generate_primes(sizes[index % len(sizes)], test_sizes=True)
        check_primes(p, q, test_sizes=True)
        check_modulus(p * q, test_sizes=True)
        verify_square_free(p * q, prove_square_free(p, q, CONTEXT), CONTEXT)
    figure("C2", "honest keys accepted", 200)


def test_keys_are_fresh_even_when_seeded() -> None:
    seen = set()
    for _ in range(5):
        random.seed(1)  # seeding a generator must change nothing
        np.random.seed(1)  # noqa: NPY002
        seen.add(generate_primes(128, test_sizes=True))
    assert len(seen) == 5


SIZES = [0, -2048, 1, 64, 126, 127, 129, 255, 2047, 2049, 4098, 8192, True, 2048.0, "2048", None, Fraction(2048)]


@pytest.mark.parametrize("key_bits", SIZES)
def test_sizes_refused_even_with_the_switch(key_bits: object) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        generate_primes(key_bits, test_sizes=True)  # type: ignore[arg-type]
    assert caught.value.argument == "key_bits"


@pytest.mark.parametrize("key_bits", [128, 256, 1024, 1536, 2050])
def test_sizes_refused_without_the_switch(key_bits: int) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        generate_primes(key_bits)
    assert caught.value.argument == "key_bits"


# --- malformed moduli --------------------------------------------------------------------------------------------

HALF = 1 << 255  # primes just above make moduli of 511 or 512 bits
P, Q = prime_near(3 * HALF // 2), prime_near(7 * HALF // 4)
SMALL = [3, 5, 7, 11, 13, 101, 997, 65537, 1048573]


def with_factor(factor: int) -> int:
    """A 512-bit n ≡ 1 (mod 4) = factor · prime."""
    start = (3 << 510) // factor
    return factor * prime_near(start, residue=factor % 4)


BAD_MODULI: dict[str, object] = {
    "none": None,
    "bool": True,
    "float": float(2**511),
    "text": str(P * Q),
    "bytes": b"\x01" * 64,
    "mpz": gmpy2.mpz(P * Q),
    "numpy": np.int64(2**61 - 1),
    "list": [P * Q],
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "negative": -P * Q,
    "even": P * Q + 1,
    "twice": 2 * P * prime_near(3 * HALF // 4),
    "power of two": 1 << 511,
    "511 bits": prime_near(HALF) * prime_near(HALF + (1 << 250)),
    "513 bits": P * Q + (1 << 512),
    "126 bits": prime_near(3 << 61) * prime_near(7 << 60),
    "4098 bits": (1 << 4097) + 1,
    "prime": int(gmpy2.next_prime(3 << 510)),
    "prime 1 mod 4": prime_near(3 << 510, residue=1),
    "square": P * P,
    "fourth power": prime_near(15 << 124) ** 4,
    "cube": prime_near(3 << 169) ** 3,
    "not 1 modulo 4": P * prime_near(Q, residue=1),
} | {f"factor {f}": with_factor(f) for f in SMALL}


@pytest.mark.parametrize("name", BAD_MODULI)
def test_malformed_modulus_is_refused(name: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        check_modulus(BAD_MODULI[name], test_sizes=True)  # type: ignore[arg-type]
    assert caught.value.argument == "n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("prime 1 mod 4", "prime"),
        ("one", "not offered"),
        ("minus one", "positive"),
        ("square", "perfect power"),
        ("fourth power", "perfect power"),
        ("even", "odd"),
        ("not 1 modulo 4", "3 modulo 4"),
        *((f"factor {f}", "factor below") for f in SMALL),
    ],
)
def test_each_modulus_is_refused_for_its_own_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidKeyError, match=reason):
        check_modulus(BAD_MODULI[name], test_sizes=True)  # type: ignore[arg-type]


def test_the_neighbours_of_the_bad_moduli_are_good() -> None:
    check_modulus(P * Q, test_sizes=True)
    check_modulus(P * prime_near(Q, residue=1), subgroup=False, test_sizes=True)
    check_modulus(with_factor(int(gmpy2.next_prime(1 << 20))), test_sizes=True)  # the first prime that is not small


# --- malformed private keys --------------------------------------------------------------------------------------


def pair_with_common_factor(factor: int) -> tuple[int, int]:
    """Primes ≡ 3 (mod 4) whose predecessors share the odd prime `factor`."""
    found: list[int] = []
    start = 3 * HALF // 2 // factor
    while len(found) < 2:
        start += 1 << 200
        k = next(k for k in range(start, start + 10**6) if (k * factor + 1) % 4 == 3 and gmpy2.is_prime(k * factor + 1))
        found.append(k * factor + 1)
    return found[0], found[1]


def carmichael_near(start: int) -> int:
    """A Carmichael number (6k+1)(12k+1)(18k+1) of three primes above start: it passes Fermat's test for every base."""
    k = int(gmpy2.iroot(gmpy2.mpz(start // 1296), 3)[0]) + 1
    while not all(gmpy2.is_prime(c * k + 1) for c in (6, 12, 18)):
        k += 1
    return (6 * k + 1) * (12 * k + 1) * (18 * k + 1)


CARMICHAEL = carmichael_near(13 << 252)

BAD_PRIMES: dict[str, tuple[object, object]] = {
    "p none": (None, Q),
    "q none": (P, None),
    "p bool": (True, Q),
    "q bool": (P, False),
    "p text": (hex(P), Q),
    "q float": (P, float(Q)),
    "p mpz": (gmpy2.mpz(P), Q),
    "p zero": (0, Q),
    "p one": (1, Q),
    "p two": (2, Q),
    "q minus": (P, -Q),
    "p even": (P + 1, Q),
    "q even": (P, Q - 1),
    "equal": (P, P),
    "too close": (P, prime_near(P)),
    "too close by the limit": (P, prime_near(P + (1 << 150))),
    "three and q": (3, Q),
    "shorter p": (prime_near(1 << 253), Q),
    "longer q": (P, prime_near(3 << 256)),
    "p composite": (prime_near(3 << 126) * prime_near(1 << 128), Q),
    "q composite": (P, prime_near(7 << 125) * prime_near(1 << 128)),
    "p square": (prime_near(7 << 125) ** 2, Q),
    "q next odd": (P, Q + 2 if not gmpy2.is_prime(Q + 2) else Q + 4),
    "p carmichael": (CARMICHAEL, Q),
    "q carmichael": (P, CARMICHAEL),
    "p not blum": (prime_near(3 * HALF // 2, residue=1), Q),
    "q not blum": (P, prime_near(7 * HALF // 4, residue=1)),
    "neither blum": (prime_near(3 * HALF // 2, residue=1), prime_near(7 * HALF // 4, residue=1)),
    "common factor 3": pair_with_common_factor(3),
    "common factor 5": pair_with_common_factor(5),
    "common factor 65537": pair_with_common_factor(65537),
    "too small": (prime_near(3 << 60), prime_near(7 << 59)),
    "odd number of bits": (prime_near(HALF), prime_near(HALF + (1 << 250))),
    "too large": ((3 << 2048) + 1, (7 << 2047) + 1),
}


@pytest.mark.parametrize("name", BAD_PRIMES)
def test_malformed_primes_are_refused(name: str) -> None:
    p, q = BAD_PRIMES[name]
    with pytest.raises(InvalidKeyError) as caught:
        check_primes(p, q, test_sizes=True)  # type: ignore[arg-type]
    assert caught.value.argument in ("p", "q")
    if name.startswith(("p ", "q ")):
        assert caught.value.argument == name[0]
    for secret in (p, q):
        if type(secret) is int and secret > 2**60:
            assert str(secret) not in str(caught.value)
            assert f"{secret:x}" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("equal", "differ from p"),
        ("too close", "too close"),
        ("too close by the limit", "too close"),
        ("p carmichael", "not a prime"),
        ("q carmichael", "not a prime"),
        ("p composite", "not a prime"),
        ("q composite", "not a prime"),
        ("p square", "not a prime"),
        ("q next odd", "not a prime"),
        ("q not blum", "3 modulo 4"),
        ("common factor 3", "subgroup"),
        ("common factor 65537", "subgroup"),
        ("longer q", "as many bits"),
        ("three and q", "as many bits"),
        ("odd number of bits", "not offered"),
    ],
)
def test_each_pair_is_refused_for_its_own_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidKeyError, match=reason):
        check_primes(*BAD_PRIMES[name], test_sizes=True)  # type: ignore[arg-type]


def test_at_least_sixty_malformed_keys_are_catalogued() -> None:
    assert len(BAD_MODULI) + len(BAD_PRIMES) >= 60  # assurance.md C2


def test_the_limit_of_the_gap() -> None:
    check_primes(P, prime_near(P + (1 << 156)), subgroup=False, test_sizes=True)
    with pytest.raises(InvalidKeyError, match="too close"):
        check_primes(P, prime_near(P + (1 << 155)), subgroup=False, test_sizes=True)


@cache
def pair_at_the_limit_of_the_gap() -> tuple[int, int]:
    """Primes ≡ 3 (mod 4) of 256 bits with gcd(p−1, q−1) = 2, exactly 2^156 apart."""
    p = P
    while not gmpy2.is_prime(p + (1 << 156)):
        p = prime_near(p)
    return p, p + (1 << 156)


def test_a_gap_of_exactly_the_limit_is_too_close() -> None:
    p, q = pair_at_the_limit_of_the_gap()
    for pair in ((p, q), (q, p)):
        with pytest.raises(InvalidKeyError, match="too close"):
            check_primes(*pair, test_sizes=True)
    check_primes(p, prime_near(q), test_sizes=True)


def test_a_prime_that_is_too_close_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    p, q = pair_at_the_limit_of_the_gap()
    far = next(x for x in (prime_near(Q + (k << 200)) for k in range(100)) if math.gcd(p - 1, x - 1) == 2)
    drawn = iter([p, p, prime_near(p), q, far])
    monkeypatch.setattr(keys, "_random_prime", lambda bits: next(drawn))
    assert generate_primes(512, test_sizes=True) == (p, far)


def test_the_smallest_keys_may_have_twin_primes() -> None:
    """Primes of 100 bits or fewer must be more than 1 apart, no more."""
    p = prime_near(3 << 62, residue=1)
    while not gmpy2.is_prime(p + 2):
        p = prime_near(p, residue=1)
    check_primes(p, p + 2, subgroup=False, test_sizes=True)


@pytest.mark.parametrize(("bits", "offset"), [(835, 1), (77, 0), (60, -1)])
def test_drawn_primes_start_above_the_root_of_half_the_range(bits: int, offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the primes ≡ 3 (mod 4) that are next to √2·2^(bits−1) the one above it is taken; those below are drawn again."""
    edge = math.isqrt(1 << (2 * bits - 1)) + offset
    assert edge % 4 == 3
    assert gmpy2.is_prime(edge)
    assert (edge**2).bit_length() == 2 * bits - (offset < 1)
    good = prime_near(7 << (bits - 3))
    drawn = iter([edge & ~3, good])  # the last two bits are set, whatever is drawn
    monkeypatch.setattr(keys.secrets, "randbits", lambda asked: next(drawn) if asked == bits else None)
    assert keys._random_prime(bits) == (edge if offset == 1 else good)


def test_the_bases_of_miller_and_rabin_are_2_to_x_minus_2(monkeypatch: pytest.MonkeyPatch) -> None:
    bases: list[int] = []
    real = gmpy2.is_strong_prp
    monkeypatch.setattr(keys.gmpy2, "is_strong_prp", lambda x, base: bases.append(base) or real(x, base))
    monkeypatch.setattr(keys.secrets, "randbelow", lambda bound: 0)
    assert keys._is_prime(P)
    monkeypatch.setattr(keys.secrets, "randbelow", lambda bound: bound - 1)
    assert keys._is_prime(P)
    assert bases == [2] * MILLER_RABIN_ROUNDS + [P - 2] * MILLER_RABIN_ROUNDS


@pytest.mark.parametrize("name", ["neither blum", "common factor 3", "common factor 65537"])
def test_plain_paillier_asks_for_less(name: str) -> None:
    check_primes(*BAD_PRIMES[name], subgroup=False, test_sizes=True)  # type: ignore[arg-type]


def test_test_sizes_need_the_switch(primes1024: tuple[int, int]) -> None:
    with pytest.raises(InvalidKeyError, match="not offered"):
        check_primes(*primes1024)
    with pytest.raises(InvalidKeyError, match="not offered"):
        check_modulus(math.prod(primes1024))


def test_iso_vector_key_is_plain_paillier_only(vectors: Path) -> None:
    p, q = load_vector_key(vectors / "iso18033_6.json")
    check_primes(p, q, subgroup=False)
    check_modulus(p * q)
    with pytest.raises(InvalidKeyError, match="gcd"):
        check_primes(p, q, subgroup=True)


def test_milagro_vector_keys_load_as_plain_paillier(vectors: Path) -> None:
    for vector in json.loads((vectors / "milagro_mta.json").read_text())["vectors"]:
        check_primes(int(vector["p"], 16), int(vector["q"], 16), subgroup=False)


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

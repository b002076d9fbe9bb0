"""Keys: honest ones are accepted, malformed ones refused, and the proof binds to key, session and role."""

from __future__ import annotations

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
from support.primes import BAD_MODULI, BAD_PRIMES, CONTEXT, SMALL, P, Q, prime_near, with_factor

from vflfast.crypto.paillier import keys
from vflfast.crypto.paillier.keys import (
    check_modulus,
    check_primes,
    generate_primes,
    prove_square_free,
    verify_square_free,
)
from vflfast.errors import InvalidKeyError
from vflfast.params import MILLER_RABIN_ROUNDS, MIN_PRIME_GAP_BITS

TEST = {"test_sizes": True}


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

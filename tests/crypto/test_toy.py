"""Exhaustive: moduli so small that every plaintext, every randomness and every ciphertext can be tried (assurance A3)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.errors import CheckError, CiphertextError

Ints = npt.NDArray[np.int64]

# q < 2p and gcd(n, φ(n)) = 1; 77, 209, 437 and 713 are Blum integers
PRIMES = [(3, 5), (5, 7), (7, 11), (11, 13), (11, 19)]
MORE_PRIMES = [
    (13, 17), (13, 19), (13, 23), (17, 19), (17, 23), (17, 29), (17, 31), (19, 23), (19, 29), (19, 31), (19, 37), (23, 29), (23, 31),
    (23, 37), (23, 41), (23, 43),
]  # fmt: skip
KEYS = [*PRIMES, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in MORE_PRIMES)]
each_key = pytest.mark.parametrize(("p", "q"), KEYS)


def wire(values: Ints) -> lm.Limbs:
    """Values below 2^64 as ciphertexts of two limbs."""
    limbs = np.zeros((len(values), 2), dtype=np.uint64)
    limbs[:, 0] = values
    return limbs


def plain(limbs: lm.Limbs) -> Ints:
    assert not limbs[:, 1:].any()
    return limbs[:, 0].astype(np.int64)


def all_units(n: int) -> Ints:
    every = np.arange(n * n)
    return every[np.gcd(every, n) == 1]


def powers(base: Ints, exponent: int, modulus: int) -> Ints:
    """base^exponent modulo a modulus below 2^31, by repeated squaring."""
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result = result * base % modulus
        base, exponent = base * base % modulus, exponent >> 1
    return result


def plaintext_of(c: Ints, n: int, p: int, q: int) -> Ints:
    """L(c^λ mod n²) / λ mod n, the textbook decryption."""
    carmichael = math.lcm(p - 1, q - 1)
    return (powers(c, carmichael, n * n) - 1) // n * pow(carmichael, -1, n) % n


@each_key
def test_every_plaintext_under_every_randomness(p: int, q: int, backend: str) -> None:
    n = p * q
    context, private = be.current().public(n), be.current().private(p, q)
    r = np.arange(1, n)[np.gcd(np.arange(1, n), n) == 1]
    m = np.repeat(np.arange(n), len(r))
    nth_powers = context.power(context.load(wire(np.tile(r, n))), lm.from_ints([n], 1))
    ciphertexts = plain(context.store(context.add_plain(nth_powers, m[:, None].astype(np.uint64))))
    assert (ciphertexts == (1 + m * n) * powers(np.tile(r, n), n, n * n) % (n * n)).all()
    assert len(set(ciphertexts.tolist())) == len(m) == len(all_units(n))  # (m, r) ↦ c is a bijection onto the units
    assert (plain(private.decrypt(wire(ciphertexts))) == m).all()


@each_key
def test_every_unit_decrypts_and_nothing_else(p: int, q: int, backend: str) -> None:
    n = p * q
    private, units = be.current().private(p, q), all_units(n)
    assert (plain(private.decrypt(wire(units))) == plaintext_of(units, n, p, q)).all()
    for bad in sorted(set(range(n * n)) - set(units.tolist())):
        with pytest.raises(CheckError):
            private.decrypt(wire(np.array([bad])))


@each_key
def test_every_number_survives_load_and_store_and_every_unit_inverts(p: int, q: int, backend: str) -> None:
    n = p * q
    context, every, units = be.current().public(n), np.arange(n * n), all_units(n)
    assert (plain(context.store(context.load(wire(every)))) == every).all()
    inverses = plain(context.store(context.invert(context.load(wire(units)))))
    assert (inverses * units % (n * n) == 1).all()
    for bad in range(0, n * n, p):
        with pytest.raises(CiphertextError):
            context.invert(context.load(wire(np.array([bad]))))


@pytest.mark.parametrize(("p", "q"), [(3, 5), (5, 7), (7, 11)])
def test_every_pair_of_ciphertexts_multiplies(p: int, q: int, backend: str) -> None:
    n = p * q
    context, units = be.current().public(n), all_units(n)
    rows = context.load(wire(units))
    step = 1 if n < 20 or backend != "gmpy2" else 31  # Python integers take a part of the pairs, the cores all
    for first in range(0, len(units), step):  # the pair (i, j) as (j, i) too: one order is enough
        products = plain(context.store(context.multiply(rows[first:], rows[first : first + 1])))
        assert (products == units[first:] * units[first] % (n * n)).all()


@each_key
def test_every_plaintext_is_added_to_every_ciphertext_class(p: int, q: int, backend: str) -> None:
    n = p * q
    context, units = be.current().public(n), all_units(n)[:: max(1, len(all_units(n)) // 200)]
    for m in range(n):
        got = plain(context.store(context.add_plain(context.load(wire(units)), np.full((len(units), 1), m, dtype=np.uint64))))
        assert (got == units * (1 + m * n) % (n * n)).all()


@each_key
def test_every_exponent(p: int, q: int, backend: str) -> None:
    """Up to the order of the group and a little beyond, by powers and from a fixed-base table."""
    n = p * q
    context, order = be.current().public(n), n * math.lcm(p - 1, q - 1)
    exponents = np.arange(min(order + 3, 3000))
    alphas = exponents[:, None].astype(np.uint64)
    for base in (2, n + 1, n * n - 1, 1):
        if math.gcd(base, n) > 1:
            continue
        expected, power = [], 1
        for _ in exponents:
            expected.append(power)
            power = power * base % (n * n)
        repeated = context.load(wire(np.full(len(exponents), base)))
        assert plain(context.store(context.power(repeated, alphas))).tolist() == expected
        table = context.fixed_base(base, 12, 5)
        assert plain(context.store(table.encrypt(None, None, alphas))).tolist() == expected


@pytest.mark.parametrize("n", [3, 5, 9, 15, 21, 63, 255, 257])
def test_every_number_modulo_the_square_of_any_odd_number(n: int, backend: str) -> None:
    """Sums of products need no primes: every residue against every residue of a column."""
    context, every = be.current().public(n), np.arange(n * n)
    rows = context.load(wire(every))
    for other in (0, 1, n - 1, n, n + 1, n * n - n, n * n - 1):
        assert (plain(context.store(context.multiply(rows, rows[other : other + 1]))) == every * other % (n * n)).all()
    if n * n <= 1024:
        assert plain(context.store(context.product(rows))).tolist() == [0]

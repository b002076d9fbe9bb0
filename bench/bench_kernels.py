"""Products modulo n²: pair × pair on every backend against its arithmetic bound and against GMP's own multiplication."""

from __future__ import annotations

import random
from typing import Any

import gmpy2
import pytest
from machine import clock_ghz

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm

LANES, DIGIT_BITS = 8, 52
ROWS = {"ifma": 4096, "portable": 2048, "gmpy2": 1024}


def operands(bits: int, count: int) -> tuple[int, list[int], list[int]]:
    rng = random.Random(bits)
    n = rng.getrandbits(bits) | 1 | 1 << bits - 1
    return n, [rng.randrange(n * n) for _ in range(count)], [rng.randrange(n * n) for _ in range(count)]


def ifma_bound_us(bits: int, products: float) -> float:
    """`products` products of h² digits, two multiply-adds each, one a cycle over 8 lanes; some processors do two a cycle."""
    digits = -(-(bits + 8) // DIGIT_BITS)
    return products * digits**2 * 2 / LANES / clock_ghz() / 1000


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_pair_times_pair(bits: int, backend: str, measure: Any) -> None:
    n, a, b = operands(bits, ROWS[backend])
    context = be.current().public(n)
    x, y = (context.load(lm.from_ints(values, 2 * context.limbs)) for values in (a, b))
    result = measure(lambda: context.multiply(x, y), items=len(a), unit="product", rounds=7)
    if backend == "ifma":
        bound = ifma_bound_us(bits, 5)
        measure.extra_info["arithmetic_bound_us"] = round(bound, 4)
        measure.extra_info["times_bound"] = round(measure.extra_info["us_per_product"] / bound, 3)
    assert lm.to_ints(context.store(result)) == [c * d % (n * n) for c, d in zip(a, b, strict=True)]


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_gmp_multiply_and_reduce(bits: int, measure: Any) -> None:
    """The yardstick: what a library on GMP pays for the same product."""
    n, a, b = operands(bits, 1024)
    square, x, y = gmpy2.mpz(n) ** 2, [gmpy2.mpz(c) for c in a], [gmpy2.mpz(d) for d in b]
    result = measure(lambda: [c * d % square for c, d in zip(x, y, strict=True)], items=len(a), unit="product", rounds=7)
    assert result == [c * d % (n * n) for c, d in zip(a, b, strict=True)]


def test_product_of_all_rows(backend: str, measure: Any) -> None:
    n, a, _ = operands(2048, ROWS[backend])
    context = be.current().public(n)
    rows = context.load(lm.from_ints(a, 2 * context.limbs))
    total = measure(lambda: context.product(rows), items=len(a), unit="product")
    expected = gmpy2.mpz(1)
    for c in a:
        expected = expected * c % (n * n)
    assert lm.to_ints(context.store(total)) == [expected]


@pytest.mark.parametrize("direction", ["import", "export"])
def test_import_and_export(direction: str, backend: str, measure: Any) -> None:
    n, a, _ = operands(2048, ROWS[backend])
    context = be.current().public(n)
    wire = lm.from_ints(a, 2 * context.limbs)
    rows = context.load(wire)
    call = (lambda: context.load(wire)) if direction == "import" else (lambda: context.store(rows))
    result = measure(call, items=len(a), unit="ciphertext")
    assert ((result if direction == "export" else context.store(result)) == wire).all()


def test_batch_inversion(backend: str, measure: Any) -> None:
    n, a, _ = operands(2048, ROWS[backend])
    a = [c if gmpy2.gcd(c, n) == 1 else 2 for c in a]
    context = be.current().public(n)
    rows = context.load(lm.from_ints(a, 2 * context.limbs))
    inverses = measure(lambda: context.invert(rows), items=len(a), unit="inverse")
    assert lm.to_ints(context.store(context.multiply(inverses, rows))) == [1] * len(a)

"""Products modulo n²: kernels against the processor's rate of multiply-adds, rows on every backend against GMP's own multiplication."""

from __future__ import annotations

import random
import time
from typing import Any

import gmpy2
import numpy as np
import pytest

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm

DIGIT_BITS = 52
ROWS = {"ifma": 4096, "portable": 2048, "gmpy2": 1024}
# Products of h² digits that an operation takes, each of two multiply-adds a lane (crypto-core §1; a known quotient: csrc/README.md).
DIGIT_PRODUCTS = {"mul": 5.0, "sqr": 3.5, "mul_residue": 4.0, "mul_factor": 3.0, "mul_factor_broadcast": 3.0, "redc_mul": 2.0}
MULTIPLY_ADDS = 1 << 22
REPEATS = {2048: 2000, 3072: 800, 4096: 400}


def operands(bits: int, count: int) -> tuple[int, list[int], list[int]]:
    rng = random.Random(bits)
    n = rng.getrandbits(bits) | 1 | 1 << bits - 1
    return n, [rng.randrange(n * n) for _ in range(count)], [rng.randrange(n * n) for _ in range(count)]


def bound_us(bits: int, products: float) -> float:
    """What `products` products of h² digits take at the rate of multiply-adds that this core reaches now, in this run, by lane."""
    native = be.current()
    assert isinstance(native, be.NativeBackend)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        native.core.multiply_adds(native.name, MULTIPLY_ADDS)
        times.append(time.perf_counter() - start)
    return products * (-(-(bits + 8) // DIGIT_BITS)) ** 2 * 2 / native.lanes * min(times) / MULTIPLY_ADDS * 1e6


@pytest.mark.skipif("ifma" not in be.available(), reason="counts the multiply-adds of AVX-512 IFMA")
@pytest.mark.parametrize("bits", REPEATS)
@pytest.mark.parametrize("operation", DIGIT_PRODUCTS)
def test_kernel(operation: str, bits: int, measure: Any) -> None:
    """One group of lanes in the cache, against the processor's own rate of multiply-adds in the same run."""
    with be.use("ifma") as native, be.use_threads(1):
        assert isinstance(native, be.NativeBackend)
        n, _, _ = operands(bits, 1)
        context = native.public(n)
        assert isinstance(context, be.NativePublic)
        digits, times = context.modulus.digits, REPEATS[bits]
        r, rng = 1 << native.radix * digits, random.Random(bits)
        a, b = ([(rng.randrange(n), rng.randrange(n)) for _ in range(native.lanes)] for _ in range(2))
        if operation.startswith("mul_factor"):
            b = [(low, low * r // n) for low, _ in b]
        rows = [np.stack([[native.digit_row(part, digits) for part in pair] for pair in pairs]) for pairs in (a, b)]
        call = lambda: context.modulus.repeat(operation, *rows, times)  # noqa: E731
        result = measure(call, items=times * native.lanes, unit="product", rounds=7)
        best = min(measure.benchmark.stats.stats.data) / times / native.lanes * 1e6
        bound = bound_us(bits, DIGIT_PRODUCTS[operation])
        measure.extra_info.update(bound_us=round(bound, 4), times_bound=round(best / bound, 3))
        got = lm.to_ints(context.store(result))
    for value, (a0, a1), (b0, b1) in zip(got, a, b if operation != "mul_factor_broadcast" else [b[0]] * len(a), strict=True):
        assert value % n == expected(operation, n, r, (a0, a1), (b0, b1), times) % n
        if operation != "redc_mul":
            assert value == expected(operation, n, r, (a0, a1), (b0, b1), times)


def expected(operation: str, n: int, r: int, a: tuple[int, int], b: tuple[int, int], times: int) -> int:
    """The number that the row stands for after `times` operations: rows hold R times it."""
    square = n * n
    inverse, x = pow(r, -1, square), a[0] + a[1] * n
    if operation == "sqr":
        return pow(x * inverse % square, 1 << times, square)
    factor = b[0] + b[1] * n if operation == "mul" else b[0]
    by = 1 if operation.startswith("mul_factor") else inverse
    return x * inverse * pow(factor * by, times, square) % square


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_pair_times_pair(bits: int, backend: str, measure: Any) -> None:
    """Thousands of rows, which pass through the memory."""
    n, a, b = operands(bits, ROWS[backend])
    context = be.current().public(n)
    x, y = (context.load(lm.from_ints(values, 2 * context.limbs)) for values in (a, b))
    result = measure(lambda: context.multiply(x, y), items=len(a), unit="product", rounds=7)
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

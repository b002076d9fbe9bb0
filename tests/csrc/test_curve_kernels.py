"""Every function of both curve kernels against Python integers, block by block, at the ends of the ranges; the vector kernel by emulation.

Built with VFL_VERIFY: a digit outside its proved range aborts.
"""

from __future__ import annotations

import ctypes
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vflfast.crypto import fallback_curve as oracle
from vflfast.crypto.curve import ORDER

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("csrc/curve/curve_portable.cpp", "csrc/curve/curve_ifma.cpp", "tests/csrc/curve_harness.cpp")
P = int(oracle.P)
RADIX, DIGITS = 51, 5
LARGEST = (1 << RADIX) + (1 << 13) - 1  # of a digit at rest
WINDOWS, ENTRIES = 64, 8
BASE = oracle.decode(int.from_bytes(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"), "little"))

Words = npt.NDArray[np.uint64]


class Kernel:
    """One kernel; its functions take and give a list of rows, a row a lane."""

    def __init__(self, library: Any, vector: int) -> None:
        self._library, self._vector = library, vector
        self.lanes = self._library.curve_call(vector, b"lanes", None, None, None, None, 0)

    def call(self, name: str, width: int, *blocks: list[list[int]] | Words, n: int = 0) -> list[list[int]]:
        arrays = [block if isinstance(block, np.ndarray) else self.block(block) for block in blocks]
        out = np.zeros(width * self.lanes, dtype=np.uint64)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays] + [None] * (3 - len(arrays))
        assert self._library.curve_call(self._vector, name.encode(), out.ctypes.data_as(ctypes.c_void_p), *pointers, n)
        return self.rows(out)

    def block(self, rows: list[list[int]]) -> Words:
        return np.ascontiguousarray(np.array(rows, dtype=np.uint64).T).ravel()

    def rows(self, block: Words) -> list[list[int]]:
        return [[int(x) for x in row] for row in block.reshape(-1, self.lanes).T]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("curve") / "curve.so"
    emulated = ["-DVFL_IFMA=", "-DVFL_INLINE=inline", "-Itests/csrc/emulated"]
    command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-DVFL_VERIFY=1", *emulated, "-Icsrc", *SOURCES, "-o", str(path)]
    try:
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs g++")
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="module", params=["portable", "vector"])
def kernel(request: pytest.FixtureRequest, library: Any) -> Kernel:
    return Kernel(library, int(request.param == "vector"))


def digits(value: int) -> list[int]:
    return [value >> RADIX * k & (1 << RADIX) - 1 for k in range(DIGITS)]


def number(row: list[int]) -> int:
    assert max(row) < (1 << RADIX) + (1 << 15)
    return sum(digit << RADIX * k for k, digit in enumerate(row)) % P


def loose(value: int, rng: random.Random) -> list[int]:
    """Digits of a number at rest: not canonical where that is possible."""
    row = digits(value)
    for k in range(DIGITS - 1):
        if row[k + 1] and row[k] < 1 << 13 and rng.random() < 0.5:
            row[k], row[k + 1] = row[k] + (1 << RADIX), row[k + 1] - 1
    return row


def numbers(rng: random.Random) -> Iterator[int]:
    yield from (0, 1, 2, 19, P - 1, P - 2, P - 19, (1 << 255) - 1, P, P + 1, (1 << RADIX) - 1)
    while True:
        yield rng.choice((rng.randrange(P), rng.randrange(1 << 20), P - rng.randrange(1 << 20)))


def points(rng: random.Random, count: int) -> list[oracle.Point]:
    """Points with a random Z, the identity among them, each as one of the representatives of its element."""
    made = []
    for k in range(count):
        x, y, z, t = oracle.IDENTITY if k == 3 else oracle.mapped(rng.randrange(P))
        factor = rng.randrange(1, P)
        made.append(tuple(value * factor % oracle.P for value in (x, y, z, t)))
    return made  # type: ignore[return-value]


def point_row(point: oracle.Point, rng: random.Random) -> list[int]:
    return [digit for value in point for digit in loose(int(value), rng)]


def as_point(row: list[int]) -> oracle.Point:
    x, y, z, t = (oracle.mpz(number(row[5 * k : 5 * k + 5])) for k in range(4))
    assert (x * y - z * t) % P == 0
    return x, y, z, t


def affine(point: oracle.Point) -> tuple[int, int]:
    x, y, z, _ = point
    inverse = pow(int(z), -1, P)
    return int(x) * inverse % P, int(y) * inverse % P


def same_points(found: list[list[int]], expected: list[oracle.Point]) -> None:
    assert [affine(as_point(row)) for row in found] == [affine(point) for point in expected]


def limbs(value: int, count: int = 4) -> list[int]:
    return [value >> 64 * k & (1 << 64) - 1 for k in range(count)]


def table_of(point: oracle.Point) -> Words:
    rows: list[int] = []
    for _ in range(WINDOWS):
        own = oracle.IDENTITY
        for _ in range(ENTRIES):
            own = oracle.add_points(own, point)
            x, y = affine(own)
            rows += [d for value in ((y + x) % P, (y - x) % P, 2 * int(oracle.D) * x * y % P) for d in digits(value)]
        for _ in range(4):
            point = oracle.add_points(point, point)
    return np.array(rows, dtype=np.uint64)


def test_products_of_numbers_at_the_ends_of_their_range(kernel: Kernel) -> None:
    rng = random.Random(1)
    left, right = numbers(rng), numbers(random.Random(2))
    for _ in range(200):
        a, b = ([loose(next(source), rng) for _ in range(kernel.lanes)] for source in (left, right))
        expected = [number(x) * number(y) % P for x, y in zip(a, b, strict=True)]
        assert [number(row) for row in kernel.call("mul", DIGITS, a, b)] == expected
    largest = [[LARGEST] * DIGITS] * kernel.lanes
    assert [number(row) for row in kernel.call("mul", DIGITS, largest, largest)] == [number(largest[0]) ** 2 % P] * kernel.lanes


def test_inverses_and_the_zero_that_has_none(kernel: Kernel) -> None:
    rng = random.Random(3)
    source = numbers(rng)
    for _ in range(4):
        a = [loose(next(source), rng) for _ in range(kernel.lanes)]
        assert [number(row) for row in kernel.call("invert", DIGITS, a)] == [pow(number(row), P - 2, P) for row in a]


def test_sums_of_points_and_of_prepared_points(kernel: Kernel) -> None:
    rng = random.Random(4)
    for _ in range(10):
        p, q = points(rng, kernel.lanes), points(rng, kernel.lanes)[::-1]
        p[0], q[-1] = q[0], p[-1]  # doubled in passing
        a, b = ([point_row(point, rng) for point in side] for side in (p, q))
        expected = [oracle.add_points(x, y) for x, y in zip(p, q, strict=True)]
        same_points(kernel.call("add", 20, a, b), expected)
        same_points(kernel.call("negate", 20, a), [(-x, y, z, -t) for x, y, z, t in p])
        inverses = [loose(pow(int(point[2]), -1, P), rng) for point in q]
        prepared = kernel.call("prepare", 15, b, inverses)
        same_points(kernel.call("add_prepared", 20, a, prepared), expected)
        alone = kernel.call("add_prepared_broadcast", 20, a, np.array(prepared[0], dtype=np.uint64))
        same_points(alone, [oracle.add_points(x, q[0]) for x in p])
        flat = kernel.call("flatten", 15, b, inverses)
        assert [(number(row[:5]), number(row[5:10])) for row in flat] == [affine(point) for point in q]
        assert [number(row[10:]) for row in flat] == [x * y % P for x, y in map(affine, q)]


def test_multiples_by_scalars_of_every_shape(kernel: Kernel) -> None:
    rng = random.Random(5)
    scalars = [0, 1, 7, 8, 9, 15, 16, ORDER - 1, ORDER, 2**252, int("8" * 63, 16), 2**253 - 1, *(rng.randrange(ORDER) for _ in range(12))]
    table = table_of(BASE)  # type: ignore[arg-type]
    for start in range(0, len(scalars), kernel.lanes):
        chosen = (scalars[start:] + scalars)[: kernel.lanes]
        p = points(rng, kernel.lanes)
        rows = [limbs(scalar) for scalar in chosen]
        found = kernel.call("multiply", 20, [point_row(point, rng) for point in p], rows, n=WINDOWS)
        same_points(found, [oracle.times(point, scalar) for point, scalar in zip(p, chosen, strict=True)])
        negative = [[(1 << 64) - 1 if k % 2 else 0] for k in range(kernel.lanes)]
        added = base_multiples(kernel, table, rows, negative)
        expected = [oracle.times(BASE, s) for s in chosen]  # type: ignore[arg-type]
        signed = [(-x, y, z, -t) if flip[0] else (x, y, z, t) for (x, y, z, t), flip in zip(expected, negative, strict=True)]
        same_points(added, signed)


def base_multiples(kernel: Kernel, table: Words, rows: list[list[int]], negative: list[list[int]]) -> list[list[int]]:
    """`add_multiple_of_base` adds to its first argument: the identity here."""
    out = kernel.block([[*digits(0), *digits(1), *digits(1), *digits(0)]] * kernel.lanes)
    scalars, flips = kernel.block(rows), kernel.block(negative)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (out, table, scalars, flips)]
    assert kernel._library.curve_call(kernel._vector, b"add_multiple_of_base", *pointers, WINDOWS)
    return kernel.rows(out)


def test_short_scalars_take_few_windows(kernel: Kernel) -> None:
    rng = random.Random(6)
    p, scalars = points(rng, kernel.lanes), [rng.randrange(1 << 11) for _ in range(kernel.lanes)]
    found = kernel.call("multiply", 20, [point_row(point, rng) for point in p], [limbs(s) for s in scalars], n=3)
    same_points(found, [oracle.times(point, scalar) for point, scalar in zip(p, scalars, strict=True)])


def test_encodings_both_ways_and_what_is_none(kernel: Kernel) -> None:
    rng = random.Random(7)
    for _ in range(6):
        p = points(rng, kernel.lanes)
        found = kernel.call("encode", 4, [point_row(point, rng) for point in p])
        codes = [sum(word << 64 * k for k, word in enumerate(row)) for row in found]
        assert codes == [oracle.encode(point) for point in p]
    odd = [P, P - 1, P + 2, 2**255 - 1, 2**255, 1, 3, 2, 4, 6, 0, *(rng.randrange(2**256) for _ in range(40))]
    for start in range(0, len(odd), kernel.lanes):
        chosen = (odd[start:] + codes)[: kernel.lanes]
        rows = kernel.call("decode", 21, [limbs(code) for code in chosen])
        expected = [oracle.decode(code) for code in chosen]
        assert [row[20] for row in rows] == [0 if point is None else (1 << 64) - 1 for point in expected]
        for row, point in zip(rows, expected, strict=True):
            assert point is None or affine(as_point(row[:20])) == affine(point)


# --- edwards25519 in its own encoding ---------------------------------------------------------------------------------


def edwards_code(point: oracle.Point) -> int:
    x, y = affine(point)
    return y | (x & 1) << 255


def with_sign(y: int, odd: int) -> oracle.Point | None:
    """The point with that y and parity of x; None where there is none."""
    square, x = oracle.sqrt_ratio(oracle.mpz((y * y - 1) % P), oracle.mpz((int(oracle.D) * y * y + 1) % P))
    if not square:
        return None
    x = (P - x) % P if odd else x
    return x, oracle.mpz(y), oracle.mpz(1), x * y % P


def in_prime_order_group(point: oracle.Point) -> bool:
    return affine(oracle.times(point, ORDER)) == (0, 1) != affine(point)


def torsion_points() -> list[oracle.Point]:
    """The eight points of order 1, 2, 4 and 8."""
    generator = next(p for y in range(2, 99) if (p := with_sign(y, 0)) and affine(oracle.times(oracle.times(p, ORDER), 4)) != (0, 1))
    return [oracle.times(oracle.times(generator, ORDER), k) for k in range(8)]


def test_edwards_encodings_both_ways_and_what_is_outside_the_group(kernel: Kernel) -> None:
    rng = random.Random(11)
    good = [oracle.times(BASE, rng.randrange(1, ORDER)) for _ in range(8)]  # type: ignore[arg-type]
    torsion = torsion_points()
    assert len({affine(point) for point in torsion}) == 8
    mixed = [oracle.add_points(good[k], torsion[k]) for k in range(8)]
    codes = [edwards_code(point) for point in (*good, *torsion, *mixed)]
    codes += [P, P + 1, P - 1, 1 | 1 << 255, 2**255 - 1, *(rng.randrange(2**256) for _ in range(20))]
    for start in range(0, len(codes), kernel.lanes):
        chosen = (codes[start:] + codes)[: kernel.lanes]
        rows = kernel.call("decode_edwards", 21, [limbs(code) for code in chosen])
        for row, code in zip(rows, chosen, strict=True):
            y, odd = code & (1 << 255) - 1, code >> 255
            point = with_sign(y, odd) if y < P else None
            expected = point is not None and not (affine(point)[0] == 0 and odd) and in_prime_order_group(point)
            assert row[20] == ((1 << 64) - 1 if expected else 0)
            if expected:
                assert affine(as_point(row[:20])) == affine(point)  # type: ignore[arg-type]
    flat = [[d for value in (x, y, x * y % P) for d in loose(value, rng)] for x, y in map(affine, [*good, *torsion][: kernel.lanes])]
    found = kernel.call("encode_edwards", 4, flat)
    assert [sum(word << 64 * k for k, word in enumerate(row)) for row in found] == codes[: kernel.lanes]


def elligator(r: int, odd: int) -> oracle.Point:
    """Eight times the map of RFC 9380, section 6.7.1, by its definition, with the sign of x as given."""
    a, u = 486662, -486662 * pow(1 + 2 * r * r, -1, P) % P
    if pow((u**3 + a * u * u + u) % P, (P - 1) // 2, P) == P - 1:
        u = (-u - a) % P
    point = with_sign((u - 1) * pow(u + 1, -1, P) % P, odd)
    assert point is not None
    return oracle.times(point, 8)


def test_uniform_bits_become_points_of_edwards25519(kernel: Kernel) -> None:
    rng = random.Random(12)
    codes = [0, 1, P, P - 1, 2**255 - 1, 2**255, 2**256 - 1, *(rng.randrange(2**256) for _ in range(25))]
    for start in range(0, len(codes), kernel.lanes):
        chosen = (codes[start:] + codes)[: kernel.lanes]
        found = kernel.call("edwards_from_uniform", 20, [limbs(code) for code in chosen])
        same_points(found, [elligator((code & (1 << 255) - 1) % P, code >> 255) for code in chosen])


def test_twice_a_point_is_encoded_without_a_root(kernel: Kernel) -> None:
    rng = random.Random(13)
    torsion = (oracle.SQRT_M1, oracle.mpz(0), oracle.mpz(1), oracle.mpz(0))
    for turn in range(6):
        p = points(rng, kernel.lanes)
        if turn == 1:
            p = [oracle.add_points(point, torsion) for point in p]
        rows = [point_row(point, rng) for point in p]
        product = [number(row) for row in kernel.call("double_product", DIGITS, rows)]
        assert all(product)
        inverses = [loose(pow(value, -1, P), rng) for value in product]
        found = kernel.call("encode_double", 4, rows, inverses)
        codes = [sum(word << 64 * k for k, word in enumerate(row)) for row in found]
        assert codes == [oracle.encode(oracle.add_points(point, point)) for point in p]


def test_uniform_bytes_become_points(kernel: Kernel) -> None:
    rng = random.Random(8)
    halves = [(0, 1), (P, 2**255 - 1), (2**256 - 1, 2**255), *((rng.randrange(2**256), rng.randrange(2**256)) for _ in range(13))]
    for start in range(0, len(halves), kernel.lanes):
        chosen = (halves[start:] + halves)[: kernel.lanes]
        found = kernel.call("from_uniform", 20, [limbs(a) + limbs(b) for a, b in chosen])
        low = (1 << 255) - 1
        same_points(found, [oracle.add_points(oracle.mapped(a & low), oracle.mapped(b & low)) for a, b in chosen])


def test_representatives_of_one_element_are_equal_and_others_are_not(kernel: Kernel) -> None:
    rng = random.Random(9)
    p = points(rng, kernel.lanes)
    torsion = (oracle.SQRT_M1, oracle.mpz(0), oracle.mpz(1), oracle.mpz(0))  # of order 4
    moved = [oracle.add_points(point, torsion) for point in p]
    a, b = ([point_row(point, rng) for point in side] for side in (p, moved))
    assert [row[0] for row in kernel.call("equal", 1, a, b)] == [(1 << 64) - 1] * kernel.lanes
    others = [point_row(oracle.add_points(point, BASE), rng) for point in p]  # type: ignore[arg-type]
    assert [row[0] for row in kernel.call("equal", 1, a, others)] == [0] * kernel.lanes


@pytest.mark.parametrize("count", [1, 2, 128])
def test_neighbours_at_many_distances(kernel: Kernel, count: int) -> None:
    rng = random.Random(10)
    p = points(rng, kernel.lanes)
    steps = [oracle.IDENTITY, *points(rng, count)][:count]
    flat = [[d for value in (x, y, x * y % P) for d in digits(value)] for x, y in map(affine, p)]
    rows = np.array([d for x, y in map(affine, steps) for value in (x, y, x * y % P) for d in digits(value)], dtype=np.uint64)
    found = kernel.call("steps", 2 * count, flat, rows, n=count)
    low = (1 << 64) - 1
    for lane, point in enumerate(p):
        for k, (x, y, z, t) in enumerate(steps):
            assert found[lane][2 * k] == affine(oracle.add_points(point, (x, y, z, t)))[1] & low
            assert found[lane][2 * k + 1] == affine(oracle.add_points(point, (-x, y, z, -t)))[1] & low
    assert [row[0] for row in kernel.call("key", 1, flat)] == [affine(point)[1] & low for point in p]

"""Encrypted arrays against numpy: twenty properties of two hundred cases each, both schemes, every backend, to the last bit.

The numbers are multiples of 1/8 and the factors of 1/16, so that numpy's own float64 results are exact.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vflfast
from vflfast.crypto import backend as be
from vflfast.crypto import codec
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import InputError, PrecisionWarning

CASES = 200
MOST = 6  # numbers of an array
POOL = 64  # numbers encrypted once; every case takes its arrays from them
Drawn = tuple[Any, Any]


class Case:
    """Random arrays of one case, and encrypted ones beside them."""

    def __init__(self, key: Any, pool: Drawn, seed: int) -> None:
        self.key, self.public, self._pool, self.rng = key, key.public, pool, np.random.default_rng(seed)

    def shape(self, most: int = 3, least: int = 0) -> tuple[int, ...]:
        sides: list[int] = self.rng.integers(1, 4, self.rng.integers(least, most + 1)).tolist()
        while np.prod(sides) > MOST:
            sides[sides.index(max(sides))] -= 1
        return tuple(sides)

    def array(self, shape: tuple[int, ...] | None = None) -> Drawn:
        """A plain array and the same one encrypted."""
        shape = self.shape() if shape is None else shape
        places = self.rng.integers(0, POOL, shape)
        return self._pool[0][places], self._pool[1].at(np.asarray(places))

    def plain(self, shape: tuple[int, ...], step: float = 1 / 16) -> Any:
        return self.rng.integers(-48, 49, shape) * step

    def narrowed(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts with another."""
        sides = tuple(1 if self.rng.random() < 0.3 else side for side in shape)
        return sides[self.rng.integers(0, len(shape) + 1) :]

    def some(self, choices: Sequence[Any], count: int = 3) -> list[Any]:
        return [choices[place] for place in self.rng.permutation(len(choices))[:count]]

    def same(self, got: CipherArray, expected: Any) -> None:
        expected = np.asarray(expected)
        assert got.shape == expected.shape
        opened = self.key.decrypt(got)
        assert np.array_equal(opened, expected)
        assert got.bound >= np.abs(expected * 2.0**got.frac_bits).max(initial=0)


def indexing(case: Case) -> None:
    x, c = case.array(case.shape(least=1))
    rng, side = case.rng, x.shape[0]
    whole, fancy = int(rng.integers(-side, side)), rng.integers(-side, side, rng.integers(0, 4))
    for index in case.some((whole, fancy, rng.random(x.shape) < 0.5, slice(None, None, -1), slice(1, 3), (..., 0), None, (whole, ...), ())):
        case.same(c[index], x[index])


def shapes(case: Case) -> None:
    x, c = case.array()
    axes = tuple(case.rng.permutation(x.ndim).tolist())
    for got, expected in ((c.T, x.T), (c.ravel(), x.ravel()), (c.reshape(-1, 1), x.reshape(-1, 1)), (c.reshape((1, *x.shape)), x[None])):
        case.same(got, expected)
    case.same(c.transpose(axes), x.transpose(axes))
    case.same(c[None].squeeze(0), x)
    assert (c.ndim, c.size) == (x.ndim, x.size)


def sums_of_arrays(case: Case) -> None:
    x, c = case.array()
    y, d = case.array(case.narrowed(x.shape))
    case.same(c + d, x + y)
    case.same(d + c, y + x)


def differences_of_arrays(case: Case) -> None:
    x, c = case.array()
    y, d = case.array(case.narrowed(x.shape))
    case.same(c - d, x - y)
    case.same(d - c, y - x)
    case.same(c - c, x - x)


def signs(case: Case) -> None:
    x, c = case.array()
    case.same(-c, -x)
    case.same(+c, x)
    negative = -c
    case.same(-negative, x)


def plain_added(case: Case) -> None:
    x, c = case.array()
    y = case.plain(case.narrowed(x.shape))
    case.same(c + y, x + y)
    case.same(y + c, y + x)
    case.same(c + y.tolist() if y.ndim else c + float(y), x + y)


def plain_subtracted(case: Case) -> None:
    x, c = case.array()
    y = case.plain(case.narrowed(x.shape))
    case.same(c - y, x - y)
    case.same(y - c, y - x)
    case.same(3 - c, 3 - x)


def whole_factors(case: Case) -> None:
    x, c = case.array()
    k = case.rng.integers(-9, 10, case.narrowed(x.shape))
    case.same(c * k, x * k)
    case.same(k * c, k * x)
    assert (c * k).frac_bits == c.frac_bits


def float_factors(case: Case) -> None:
    x, c = case.array()
    y = case.plain(case.narrowed(x.shape))
    case.same(c * y, x * y)
    case.same(y * c, y * x)
    case.same(c * 0.5 * 0.25, x * 0.125)
    assert (c * 0.5).frac_bits == c.frac_bits + c.precision


def divisors(case: Case) -> None:
    x, c = case.array()
    y = 2.0 ** case.rng.integers(-3, 4, case.narrowed(x.shape)) * case.rng.choice([-1, 1])
    case.same(c / y, x / y)
    case.same(c / 4, x / 4)


def sums(case: Case) -> None:
    x, c = case.array()
    keep = bool(case.rng.integers(2))
    case.same(c.sum(keepdims=keep), x.sum(keepdims=keep))
    for axis in (*range(-x.ndim, x.ndim), tuple(range(x.ndim)), tuple(case.rng.permutation(x.ndim)[:1].tolist())):
        case.same(c.sum(axis=axis, keepdims=keep), x.sum(axis=axis, keepdims=keep))
    case.same(np.sum(c), np.sum(x))


def means(case: Case) -> None:
    x, c = case.array((2, int(case.rng.choice([1, 2, 4]))))
    for axis in (None, 0, 1, (0, 1)):
        case.same(c.mean(axis=axis), x.mean(axis=axis))
    case.same(np.mean(c, axis=1, keepdims=True), x.mean(axis=1, keepdims=True))


def joined(case: Case) -> None:
    shape = case.shape(least=1)
    axis = int(case.rng.integers(-len(shape), len(shape)))
    longer = list(shape)
    longer[axis] += 1
    (x, c), (y, d) = case.array(shape), case.array(tuple(longer))
    case.same(np.concatenate([c, d], axis=axis), np.concatenate([x, y], axis=axis))
    case.same(CipherArray.concatenate([c, d * 0.5], axis=axis), np.concatenate([x, y * 0.5], axis=axis))  # at the finer scale


def stacked(case: Case) -> None:
    (x, c), axis = case.array(), int(case.rng.integers(0, 2))
    axis = min(axis, x.ndim)
    y, d = case.array(x.shape)
    case.same(np.stack([c, d], axis=axis), np.stack([x, y], axis=axis))
    case.same(np.vstack([c, d]), np.vstack([x, y]))
    if x.ndim:
        case.same(np.hstack([c, d]), np.hstack([x, y]))


def whole_matrix(case: Case) -> None:
    x, c = case.array(case.shape(2, 1))
    m = case.rng.integers(-300, 301, (int(case.rng.integers(1, 4)), x.shape[0]))
    case.same(m @ c, m @ x)
    case.same(m[0] @ c, m[0] @ x)
    assert (m @ c).frac_bits == c.frac_bits


def float_matrix(case: Case) -> None:
    x, c = case.array(case.shape(2, 1))
    m = case.plain((int(case.rng.integers(1, 4)), x.shape[0]))
    m[0, 0] += 0.5
    case.same(m @ c, m @ x)
    case.same(np.dot(m[0], c), m[0] @ x)


def matrix_on_the_right(case: Case) -> None:
    x, c = case.array(case.shape(2, 1))
    m = case.plain((x.shape[-1], int(case.rng.integers(1, 4)))) + 0.5
    case.same(c @ m, x @ m)
    case.same(c.dot(m[:, 0]), x @ m[:, 0])
    case.same(c @ np.ones((x.shape[-1], 2), dtype=int), x @ np.ones((x.shape[-1], 2), dtype=int))


def moves(case: Case) -> None:
    x, c = case.array(case.shape(least=1))
    for call in case.some((
        np.flip, np.atleast_2d, np.squeeze, np.ravel, np.transpose, lambda a: np.roll(a, 1, axis=0), lambda a: np.tile(a, 2),
        lambda a: np.repeat(a, 2, axis=0), lambda a: np.expand_dims(a, 0), lambda a: np.broadcast_to(a, (2, *a.shape)),
        lambda a: np.swapaxes(a, 0, -1), lambda a: np.moveaxis(a, 0, -1), lambda a: np.take(a, [0], axis=0), lambda a: np.reshape(a, -1),
        lambda a: np.array_split(a, 2)[0], lambda a: a.copy(), lambda a: np.stack(list(a)),
    )):  # fmt: skip
        case.same(call(c), call(x))
    assert (np.shape(c), np.ndim(c), np.size(c), len(c)) == (x.shape, x.ndim, x.size, len(x))


def scales(case: Case) -> None:
    x, c = case.array()
    finer = c.at_scale(c.frac_bits + int(case.rng.integers(0, 9)))
    case.same(finer, x)
    case.same(finer + c, 2 * x)
    case.same(c - finer, 0 * x)
    case.same(c * 0.25 + c, x * 1.25)
    assert (finer + c).frac_bits == finer.frac_bits


def fresh_and_bytes(case: Case) -> None:
    x, c = case.array()
    wire = case.public.rerandomize(c * 0.5)
    again = WireArray.from_bytes(wire.to_bytes(), case.public)
    for got in (wire, again, wire.reshape(-1)[:].reshape(x.shape), again * 2 - wire):
        case.same(got, x * 0.5)
    assert (again.frac_bits, again.precision, again.bound, again.shape) == (wire.frac_bits, wire.precision, wire.bound, wire.shape)


PROPERTIES: list[Callable[[Case], None]] = [
    indexing, shapes, sums_of_arrays, differences_of_arrays, signs, plain_added, plain_subtracted, whole_factors, float_factors, divisors,
    sums, means, joined, stacked, whole_matrix, float_matrix, matrix_on_the_right, moves, scales, fresh_and_bytes,
]  # fmt: skip


@pytest.fixture(params=["paillier", "elgamal"], scope="module")
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=be.available(), scope="module")
def drawn(request: pytest.FixtureRequest, scheme: str, primes256: tuple[int, int]) -> Iterator[Drawn]:
    """A key and the pool of numbers under it."""
    with be.use(request.param):
        key = PrivateKey(*primes256, test_sizes=True) if scheme == "paillier" else vflfast.generate_keypair(scheme="elgamal")
        numbers = np.random.default_rng(7).integers(-32, 33, POOL) / 8
        yield key, (numbers, key.public.encrypt(numbers, frac_bits=8))


@pytest.mark.parametrize("law", PROPERTIES, ids=lambda law: law.__name__)
def test_it_is_as_in_numpy(law: Callable[[Case], None], drawn: Drawn) -> None:
    for seed in range(CASES):
        law(Case(*drawn, seed))


# --- nothing is lost in silence ------------------------------------------------------------------------------------------------


@settings(max_examples=2000, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 1200), st.booleans())
def test_no_magnitude_is_lost_without_a_word(value: float, frac_bits: int, among_others: bool) -> None:
    """Every float64 is kept to a thousandth, or there is a warning or an error that names `frac_bits`; what it names keeps it."""
    values = [value, 1.0] if among_others else [value]
    expected = [round(Fraction(x) * (1 << frac_bits)) for x in values]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            encoded, bits = codec.numbers("values", values, frac_bits, 24)
        except InputError as error:
            said.append(error)  # type: ignore[arg-type]
    exact = Fraction(value)
    lost = abs(Fraction(expected[0], 1 << frac_bits) - exact) > abs(exact) / 1024
    assert bool(said) == lost
    if said:
        text = str(getattr(said[0], "message", said[0]))
        wanted = int(text.partition("frac_bits=")[2].split()[0])
        assert frac_bits < wanted <= 1100
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            codec.numbers("values", values, wanted, 24)
    else:
        assert bits == frac_bits
        assert encoded.tolist() == expected


@pytest.mark.parametrize("value", [5e-324, 2.2e-308, 1e-30, 1e-9, 0.1, 1.0, 1e20, 1e100, 1.7976931348623157e308])
def test_a_key_holds_every_magnitude_at_a_scale_of_its_own(value: float, key_of: Callable[[int], PrivateKey]) -> None:
    key = key_of(2048)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        c = key.public.encrypt([value, -value], frac_bits=1074 if value < 1 else 60)
    assert key.decrypt(c).tolist() == [value, -value]
    assert key.decrypt(c + c[::-1]).tolist() == [0.0, 0.0]


def test_warnings_point_at_the_callers_line(drawn: Drawn) -> None:
    public = drawn[0].public
    c, small = public.encrypt([1.0, 2.0]), np.array([1.0, 1e-7])
    for call in (lambda: public.encrypt(small), lambda: c * small, lambda: c + small, lambda: small @ c, lambda: small[None] @ c):
        with pytest.warns(PrecisionWarning, match="frac_bits=") as said:
            call()
        assert [warning.filename for warning in said] == [__file__]


def test_a_chosen_precision_stays_with_the_array(key_of: Callable[[int], PrivateKey]) -> None:
    key = key_of(2048)
    c = key.public.encrypt([3.141592653, 300.0, -4.6e-12], frac_bits=90)
    assert key.decrypt(c).tolist() == [3.141592653, 300.0, -4.6e-12]
    assert (c.precision, (c * 0.1).frac_bits, (c * 0.1 * 0.1).frac_bits) == (90, 180, 270)
    assert key.decrypt(c * 0.1 / -3.1) == pytest.approx(np.array([3.141592653, 300.0, -4.6e-12]) * 0.1 / -3.1, rel=1e-15)
    assert key.decrypt(key.public.encrypt([3]) + 0.5).tolist() == [3.5]
    assert key.decrypt(c[0] * 2) == 2 * 3.141592653


def test_a_repr_tells_no_number(drawn: Drawn) -> None:
    made = repr(drawn[0].public.encrypt(np.full((2, 3), 777.0)))
    assert "777" not in made
    assert "shape=(2, 3)" in made

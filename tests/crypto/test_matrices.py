"""Plain matrices times encrypted arrays: every way of multiplying against whole numbers of any size, on both schemes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vflfast
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.matrices import PlainMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import BoundError, InputError

RNG = np.random.default_rng(11)
X = RNG.integers(-50, 51, 60)
MATRICES = {
    "few distinct values": RNG.choice([-3.25, 0.5, 1e4], (4, 60)),
    "many distinct values": RNG.normal(size=(3, 60)),
    "both": np.vstack([RNG.choice([0.25, 7.0], 60), RNG.normal(size=60) * 100, np.zeros(60), RNG.choice([-1e6, 1e-3], 60)]),
    "integers of one digit": RNG.integers(0, 2, (3, 60)),
    "integers": RNG.integers(-(2**31), 2**31, (3, 60)),
    "booleans": RNG.random((2, 60)) < 0.5,
    "unsigned": RNG.integers(0, 2**40, (2, 60)).astype(np.uint64),
    "float32": RNG.normal(size=(2, 60)).astype(np.float32),
    "columns in memory order": np.asfortranarray(RNG.normal(size=(3, 60))),
    "all one number": np.full((2, 60), -0.5),
    "the smallest int64": np.array([[-(2**63) + 1] * 59 + [5]]),
}


def exact(matrix: Any, frac_bits: int) -> Any:
    """The whole numbers that stand for the matrix."""
    if matrix.dtype.kind != "f":
        return matrix.astype(object) * 1
    return np.rint(matrix.astype(np.float64) * 2.0**frac_bits).astype(np.int64).astype(object)


@pytest.mark.parametrize("name", MATRICES)
def test_paillier_products_are_those_of_whole_numbers(name: str, backend: str, key_of: Callable[[int], PrivateKey]) -> None:
    key, matrix = key_of(512), MATRICES[name]
    c = key.public.encrypt(X)
    got = PlainMatrix(matrix) @ c
    places = 24 if matrix.dtype.kind == "f" else 0
    expected = exact(matrix, places) @ X.astype(object)
    opened = key.decrypt(got)
    assert got.frac_bits == places
    assert (np.ldexp(opened, places) if places else opened).tolist() == expected.tolist()
    assert got.bound >= max(abs(int(v)) for v in expected)


@pytest.mark.filterwarnings("ignore::vflfast.errors.PrecisionWarning")
@pytest.mark.parametrize("name", ["few distinct values", "many distinct values", "integers of one digit", "both"])
def test_elgamal_products_are_those_of_whole_numbers(name: str) -> None:
    key, matrix = vflfast.generate_keypair(scheme="elgamal"), MATRICES[name]
    c = key.public.encrypt(X)
    got = PlainMatrix(matrix, frac_bits=10) @ c if matrix.dtype.kind == "f" else matrix @ c
    places = 10 if matrix.dtype.kind == "f" else 0
    assert (key.decrypt(got) * 2.0**places).tolist() == (exact(matrix, places) @ X.astype(object)).tolist()


def test_numbers_of_any_size(key_of: Callable[[int], PrivateKey]) -> None:
    key = key_of(1024)
    matrix = np.array([[(-1) ** (i + j) * (1 << (17 * i + j)) for j in range(40)] for i in range(8)], dtype=object)
    x = np.arange(40)
    assert key.decrypt(PlainMatrix(matrix) @ key.public.encrypt(x)).tolist() == (matrix @ x.astype(object)).tolist()
    fine = PlainMatrix(MATRICES["both"], frac_bits=200)
    c = key.public.encrypt(X)
    assert np.allclose(key.decrypt(fine @ c), MATRICES["both"] @ X, rtol=1e-14)


def test_the_way_is_said_and_is_the_cheaper_one() -> None:
    for name, said in (
        ("few distinct values", "4 rows by their at most 3 distinct values"),
        ("all one number", "2 rows by their at most 1 distinct values"),
        ("integers of one digit", "3 rows by their at most 2 distinct values"),
    ):
        assert PlainMatrix(MATRICES[name]).method == said
        assert said in repr(PlainMatrix(MATRICES[name]))
    both = PlainMatrix(np.vstack([np.repeat(np.arange(5.0), 4000), RNG.normal(size=20000)])).method
    assert both.startswith("1 rows by their at most 5 distinct values; 1 rows by 4 digits of 7 bits")  # long rows: wide digits
    assert "digits of" in PlainMatrix(np.arange(300)[None] * 7 + 10**9).method


def test_it_is_looked_at_once_and_multiplies_many(key_of: Callable[[int], PrivateKey]) -> None:
    key, matrix = key_of(512), PlainMatrix(RNG.integers(-9, 10, (3, 5)))
    x = RNG.integers(-9, 10, (5, 4))
    c = key.public.encrypt(x)
    assert key.decrypt(matrix @ c).tolist() == (matrix.numbers @ x).tolist()
    assert key.decrypt(matrix @ c[:, 2]).tolist() == (matrix.numbers @ x[:, 2]).tolist()
    assert key.decrypt(key.public.encrypt(x.T) @ matrix.T).tolist() == (x.T @ matrix.numbers.T).tolist()
    assert key.decrypt(c.T @ matrix.T).shape == (4, 3)
    assert (matrix.T.shape, matrix.T.frac_bits) == ((5, 3), 0)
    halves = PlainMatrix(matrix.numbers / 2, frac_bits=1)
    assert key.decrypt(key.public.encrypt(x.T) @ halves.T).tolist() == (x.T @ matrix.numbers.T / 2).tolist()
    codes = CodedMatrix.from_integers(RNG.integers(0, 4, (5, 2)))
    assert key.decrypt(codes.T @ c).shape == (2, 4)


def test_refusals(key_of: Callable[[int], PrivateKey]) -> None:
    key = key_of(256)
    c = key.public.encrypt([1, 2, 3])
    for bad in ([1, 2], np.ones((2, 0)), np.ones((1, 2, 3)), [["a"]], None, [[1j]], [[np.nan]], [[1], [1, 2]]):
        with pytest.raises(InputError) as caught:
            PlainMatrix(bad)  # type: ignore[arg-type]
        assert caught.value.argument == "matrix"
    for wrong in (np.ones(3), [1, 2, 3], None):
        with pytest.raises(InputError):
            PlainMatrix(np.ones((2, 3))) @ wrong
    with pytest.raises(BoundError):
        np.array([[1 << 60, 0, 0]], dtype=object) * (1 << 200) @ c

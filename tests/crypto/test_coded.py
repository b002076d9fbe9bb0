"""Coded matrices: the encrypted product is numpy's, in every mixture of classes, on every backend, segment and thread count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.moduli import each_backend
from support.tables import dense

from vflfast.crypto import backend as be
from vflfast.crypto.arrays import CipherArray
from vflfast.crypto.blocks import BlockPlan
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import BoundError, InputError
from vflfast.params import MAX_COLUMN_VALUE

KeyOf = Callable[[int], PrivateKey]
Ints = npt.NDArray[np.int64]


def random_matrix(rng: np.random.Generator, n_rows: int, counts: list[int], share: float = 0.0) -> CodedMatrix:
    """Ordinal, one-hot and arbitrary integer columns over features of the given class counts, `share` of each modal."""
    features = len(counts)
    codes = rng.integers(0, np.array(counts)[:, None], (features, n_rows))
    modal = rng.integers(0, counts)
    codes = np.where(rng.random((features, n_rows)) < share, modal[:, None], codes).astype(np.uint8)
    width, columns, values = max(counts), [], []
    for feature, count in enumerate(counts):
        kinds: dict[str, list[Ints]] = {
            "ordinal": [np.arange(width)],
            "one-hot": [(np.arange(width) == v).astype(np.int64) for v in range(min(count, 6))],
            "any": [rng.integers(-1000, 1000, width)],
            "far": [rng.choice([-MAX_COLUMN_VALUE, MAX_COLUMN_VALUE, 0], width)],
            "zero": [np.zeros(width, dtype=np.int64)],
        }
        chosen = kinds[str(rng.choice(list(kinds)))]
        columns += [feature] * len(chosen)
        values += chosen
    return CodedMatrix(codes, counts, columns, np.array(values))


def check_product(matrix: CodedMatrix, key: PrivateKey, g: Ints, where: str = "") -> None:
    columns, total = matrix.product(key.public.encrypt(g))
    assert (columns.shape, total.shape) == ((matrix.n_columns,), (1,))
    assert key.decrypt(columns).tolist() == (dense(matrix).T @ g).tolist(), where
    assert key.decrypt(total).tolist() == [g.sum()], where


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.sampled_from([1, 2, 2, 3, 5, 7, 256]), min_size=1, max_size=12),
    n_rows=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.7, 0.95, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_product_equals_numpy(key_of: KeyOf, counts: list[int], n_rows: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = random_matrix(rng, n_rows, counts, share)
    for where in each_backend((2,)):
        check_product(matrix, key_of(256), rng.integers(-(1 << 28), 1 << 28, n_rows), where)


SHAPES = {
    "mixed": (300, [2, 3, 5, 256, 2, 3, 5, 1, 7] * 3, 0.0),
    "five classes": (700, [5] * 33, 0.0),
    "two classes": (500, [2] * 90, 0.0),
    "modal-heavy": (500, [5, 2, 3, 256] * 10, 0.97),
    "sparse": (900, [2] * 60, 0.995),
    "one class each": (50, [1] * 20, 0.0),
    "one row": (1, [5, 2, 256, 1], 0.0),
    "one feature": (400, [5], 0.0),
    "one feature of one class": (9, [1], 0.0),
    "one wide feature": (400, [256], 0.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_products_of_every_shape_on_every_backend_and_thread_count(name: str, key_of: KeyOf) -> None:
    rng = np.random.default_rng(len(name))
    n_rows, counts, share = SHAPES[name]
    matrix = random_matrix(rng, n_rows, counts, share)
    g = rng.integers(-(1 << 28), 1 << 28, n_rows)
    wire = key_of(256).public.encrypt(g).limbs
    stored = {}
    for where in each_backend():
        key = key_of(256)
        columns, total = matrix.product(key.public.parse(wire, frac_bits=0, bound=1 << 28))
        assert key.decrypt(columns).tolist() == (dense(matrix).T @ g).tolist(), where
        assert key.decrypt(total).tolist() == [g.sum()], where
        stored[where] = key.public.context.store(CipherArray.concatenate([columns, total]).vector).tobytes()
    assert len(set(stored.values())) == 1  # the ciphertexts themselves agree, bit for bit


@pytest.mark.parametrize("segments", [1, 2, 3, 8, 61])
def test_row_segments_change_nothing(segments: int, backend: str, key_of: KeyOf, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(segments)
    matrix = random_matrix(rng, 61, [5, 5, 2, 3, 256], 0.5)
    monkeypatch.setattr(BlockPlan, "segments", lambda *_: segments)
    check_product(matrix, key_of(256), rng.integers(-1000, 1000, 61))


def test_products_at_full_key_size(key_of: KeyOf) -> None:
    rng = np.random.default_rng(7)
    matrix = random_matrix(rng, 60, [5, 5, 2, 3], 0.3)
    for where in each_backend((2,)):
        check_product(matrix, key_of(2048), rng.integers(-(1 << 28), 1 << 28, 60), where)


def test_products_of_products_and_of_slices(backend: str, key_of: KeyOf) -> None:
    rng, key = np.random.default_rng(3), key_of(256)
    first, second = rng.integers(-2, 3, (30, 6)), rng.integers(0, 5, (6, 4))
    g = rng.integers(-1000, 1000, 60)
    c = key.public.encrypt(g)
    assert key.decrypt(second.T @ (first.T @ c[::2])).tolist() == (second.T @ (first.T @ g[::2])).tolist()
    assert key.decrypt(first[::-1].T @ c[30:]).tolist() == (first[::-1].T @ g[30:]).tolist()


def test_fixed_point_and_bounds_travel_along(key_of: KeyOf) -> None:
    key, matrix = key_of(256), CodedMatrix.from_integers([[1, -4], [2, 0], [3, 4]])
    columns, total = matrix.product(key.public.encrypt([0.5, 0.25, -1.0], bound=16.0))
    assert (columns.frac_bits, total.frac_bits) == (24, 24)
    assert key.decrypt(columns).tolist() == [-2.0, -6.0]
    assert key.decrypt(total).tolist() == [-0.25]
    assert columns.bound == (16 << 24) * 8  # Σ|z| of the second column
    assert total.bound == (16 << 24) * 3


def test_a_product_that_could_wrap_is_refused(key_of: KeyOf) -> None:
    key = key_of(256)
    matrix, n = CodedMatrix.from_integers([[3], [-4]]), key.public.n
    c = key.public.encrypt([1, 1])
    for bound, fits in ((n // 2 // 7, True), (n // 2 // 7 + 1, False)):
        vector = CipherArray(key.public, c.vector, 0, bound)
        if fits:
            matrix.product(vector)
            continue
        with pytest.raises(BoundError) as caught:
            matrix.product(vector)
        assert caught.value.argument == "bound"
    zeros = CodedMatrix.from_integers(np.zeros((2, 1), dtype=int))
    with pytest.raises(BoundError):  # the columns are zero, but Σg could wrap
        zeros.product(CipherArray(key.public, c.vector, 0, n // 4 + 1))


# --- the matrix ---------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_integers_become_codes_and_back(n_rows: int, n_columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.integers(-MAX_COLUMN_VALUE, MAX_COLUMN_VALUE - 255, n_columns)
    z = low + rng.integers(0, 256, (n_rows, n_columns))
    matrix = CodedMatrix.from_integers(z)
    assert matrix.shape == z.shape
    assert matrix.T.shape == z.shape[::-1]
    assert np.array_equal(dense(matrix), z)
    assert np.array_equal(matrix.absolute_sums, np.abs(z).sum(axis=0))
    assert matrix.class_rows.sum() == n_rows * n_columns
    index = rng.integers(0, n_rows, 5)
    assert np.array_equal(dense(matrix.take_rows(index)), z[index])
    mask = rng.random(n_rows) < 0.5
    if mask.any():
        assert np.array_equal(dense(matrix.take_rows(mask)), z[mask])


@pytest.mark.parametrize("dtype", [bool, np.int8, ">i4", np.uint64])
@pytest.mark.parametrize("layout", ["plain", "fortran", "strided"])
def test_integers_of_every_kind_are_read_right(dtype: Any, layout: str) -> None:
    z = np.array([[0, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 1]]).astype(dtype)
    made = {"plain": z, "fortran": np.asfortranarray(z), "strided": np.repeat(z, 2, axis=0)[::2]}[layout]
    assert np.array_equal(dense(CodedMatrix.from_integers(made)), z.astype(int))
    assert np.array_equal(dense(CodedMatrix.from_integers(made[:, 0])), z[:, :1].astype(int))


def test_columns_at_the_largest_value_beside_wide_ones() -> None:
    z = np.array([[MAX_COLUMN_VALUE, 0, -MAX_COLUMN_VALUE], [MAX_COLUMN_VALUE, 255, -MAX_COLUMN_VALUE]])
    assert np.array_equal(dense(CodedMatrix.from_integers(z)), z)


def test_codes_of_every_layout_are_read_right(backend: str, key_of: KeyOf) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, (6, 40)).astype(np.uint8)
    g = rng.integers(-9, 9, 20)
    for made in (codes[::2, ::2], np.asfortranarray(codes[::2, ::2]), codes[::2, ::2].copy()):
        made.setflags(write=False)
        matrix = CodedMatrix(made)
        assert np.array_equal(dense(matrix), codes[::2, ::2].T)
        check_product(matrix, key_of(256), g)


CODES = np.array([[0, 1, 2], [1, 0, 0]], dtype=np.uint8)
REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: CodedMatrix(None), "codes"),  # type: ignore[arg-type]
    (lambda: CodedMatrix(CODES.tolist()), "codes"),  # type: ignore[arg-type]
    (lambda: CodedMatrix(CODES.astype(np.int64)), "codes"),  # type: ignore[arg-type]
    (lambda: CodedMatrix(CODES.astype(np.int8)), "codes"),  # type: ignore[arg-type]
    (lambda: CodedMatrix(CODES.astype(bool)), "codes"),  # type: ignore[arg-type]
    (lambda: CodedMatrix(CODES.astype(object)), "codes"),
    (lambda: CodedMatrix(CODES[0]), "codes"),
    (lambda: CodedMatrix(CODES[None]), "codes"),
    (lambda: CodedMatrix(CODES[:, :0]), "codes"),
    (lambda: CodedMatrix(CODES[:0]), "codes"),
    (lambda: CodedMatrix(CODES, [2, 2]), "codes"),  # a code at its class count
    (lambda: CodedMatrix(CODES, [0, 2]), "class_counts"),
    (lambda: CodedMatrix(CODES, [-3, 2]), "class_counts"),
    (lambda: CodedMatrix(CODES, [257, 2]), "class_counts"),
    (lambda: CodedMatrix(CODES, [3]), "class_counts"),
    (lambda: CodedMatrix(CODES, 3), "class_counts"),
    (lambda: CodedMatrix(CODES, [3.0, 2.0]), "class_counts"),
    (lambda: CodedMatrix(CODES, [True, True]), "class_counts"),
    (lambda: CodedMatrix(CODES, [3, None]), "class_counts"),  # type: ignore[list-item]
    (lambda: CodedMatrix(CODES, np.array([1 << 63, 2], dtype=np.uint64)), "class_counts"),
    (lambda: CodedMatrix(CODES, None, [0, 2], np.ones((2, 3), int)), "column_features"),
    (lambda: CodedMatrix(CODES, None, [-1], np.ones((1, 3), int)), "column_features"),
    (lambda: CodedMatrix(CODES, None, [], np.ones((0, 3), int)), "column_features"),
    (lambda: CodedMatrix(CODES, None, [0.0], np.ones((1, 3), int)), "column_features"),
    (lambda: CodedMatrix(CODES, None, None, np.ones((2, 3), int)), "column_features"),
    (lambda: CodedMatrix(CODES, None, [0]), "column_values"),
    (lambda: CodedMatrix(CODES, None, [0], np.ones((1, 2), int)), "column_values"),
    (lambda: CodedMatrix(CODES, None, [0], np.ones((2, 3), int)), "column_values"),
    (lambda: CodedMatrix(CODES, None, [0], np.ones(3, int)), "column_values"),
    (lambda: CodedMatrix(CODES, None, [0], np.ones((1, 3))), "column_values"),
    (lambda: CodedMatrix(CODES, None, [0], np.full((1, 3), MAX_COLUMN_VALUE + 1)), "column_values"),
    (lambda: CodedMatrix(CODES, None, [0], np.full((1, 3), -(1 << 63))), "column_values"),
    (lambda: CodedMatrix(CODES, None, [0], [[1, 2, 3], [1]]), "column_values"),  # type: ignore[list-item]
    (lambda: CodedMatrix.from_integers([[0.5]]), "matrix"),
    (lambda: CodedMatrix.from_integers([[0], [256]]), "matrix"),
    (lambda: CodedMatrix.from_integers([[-(1 << 63)], [(1 << 63) - 1]]), "matrix"),
    (lambda: CodedMatrix.from_integers([[MAX_COLUMN_VALUE + 1]]), "matrix"),
    (lambda: CodedMatrix.from_integers([[1 << 64]]), "matrix"),
    (lambda: CodedMatrix.from_integers([]), "matrix"),
    (lambda: CodedMatrix.from_integers(np.zeros((3, 0), int)), "matrix"),
    (lambda: CodedMatrix.from_integers(np.zeros((1, 1, 1), int)), "matrix"),
    (lambda: CodedMatrix.from_integers([[1, 2], [3]]), "matrix"),  # type: ignore[list-item]
    (lambda: CodedMatrix.from_integers(None), "matrix"),  # type: ignore[arg-type]
    (lambda: CodedMatrix.from_integers(np.ma.masked_array([[1, 2]], mask=[[0, 1]])), "matrix"),
    (lambda: CodedMatrix(CODES).product(None), "vector"),  # type: ignore[arg-type]
    (lambda: CodedMatrix(CODES).product(np.ones(3)), "vector"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "culprit"), REFUSED)
def test_bad_matrices_are_refused(call: Callable[[], object], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.argument == culprit


@pytest.mark.parametrize("length", [0, 1, 2, 4])
def test_vectors_of_another_length_are_refused(length: int, key_of: KeyOf) -> None:
    vector = key_of(256).public.encrypt(np.zeros(length, dtype=np.int64))
    for multiply in (CodedMatrix(CODES).product, lambda v: CodedMatrix(CODES).T @ v):
        with pytest.raises(InputError) as caught:
            multiply(vector)
        assert caught.value.argument == "vector"


def test_a_matrix_made_on_one_backend_serves_another(key_of: KeyOf) -> None:
    rng = np.random.default_rng(1)
    matrix = random_matrix(rng, 20, [5, 5, 2])
    for key in [key_of(256) for _ in each_backend((1,))]:
        for _ in each_backend((1,)):  # the key keeps the backend it was made with
            check_product(matrix, key, rng.integers(-9, 9, 20), be.current().name)


# --- the product in its parts ----------------------------------------------------------------------------------------


def test_the_parts_of_a_product_and_their_time(backend: str, key_of: Callable[[int], PrivateKey]) -> None:
    key = key_of(256)
    matrix = CodedMatrix(np.array([[0, 1, 2, 1], [1, 0, 0, 1]], dtype=np.uint8))
    vector = key.public.encrypt([1, 2, 3, 4])
    sums = matrix.class_sums(vector)
    assert {"bucket", "collapse"} <= set(sums.spent) <= {"logarithms", "bucket", "collapse"}
    assert min(sums.spent.values()) >= 0 < sum(sums.spent.values())
    columns, total = matrix.combine(sums)
    assert key.decrypt(columns).tolist() == [0 * 1 + 1 * 2 + 2 * 3 + 1 * 4, 1 + 4]
    assert key.decrypt(total).tolist() == [10]
    with pytest.raises(InputError) as caught:
        matrix.combine(vector)  # type: ignore[arg-type]
    assert caught.value.argument == "sums"

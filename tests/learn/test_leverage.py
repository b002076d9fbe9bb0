"""Leverages against the hat matrix by its definition: rare classes, nested columns, dependent columns, wide blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vflfast.crypto.coded import CodedMatrix
from vflfast.learn import leverage
from vflfast.learn.leverage import leverages


def hat_diagonal(matrix: CodedMatrix) -> npt.NDArray[np.float64]:
    values = matrix.column_values[np.arange(matrix.n_columns)[:, None], matrix.codes[matrix.column_features]].astype(float)
    z = np.vstack([values, np.ones(matrix.n_rows)]).T
    return np.einsum("ij,ij->i", z @ np.linalg.pinv(z.T @ z), z)


def plain(n_rows: int = 400, n_features: int = 12, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 5, (n_features, n_rows), dtype=np.uint8)


def with_rare(size: int) -> CodedMatrix:
    codes = plain()
    codes[3] = 0
    codes[3, 10 : 10 + size] = 1
    return CodedMatrix(codes, [5] * len(codes))


def one_hot() -> CodedMatrix:
    codes = plain(n_features=4)
    return CodedMatrix(codes, [5] * 4, np.repeat(np.arange(4), 5), np.tile(np.eye(5, dtype=np.int64), (4, 1)))


def nested() -> CodedMatrix:
    """Two flags that differ in one row."""
    codes = (plain(n_features=3) > 2).astype(np.uint8)
    codes[1] = codes[0]
    codes[1, 17] ^= 1
    return CodedMatrix(codes, [2, 2, 2])


CASES: dict[str, CodedMatrix] = {
    "plain": CodedMatrix(plain(), [5] * 12), "one row": with_rare(1), "two rows": with_rare(2), "five rows": with_rare(5),
    "all levels": one_hot(), "nested": nested(), "a constant": CodedMatrix(np.vstack([plain(), np.zeros((1, 400), np.uint8)]), [5] * 13),
    "wide": CodedMatrix(plain(60, 50), [5] * 50),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("exact_columns", [500, 0], ids=["exact", "sketched"])
def test_leverages_are_the_hat_matrix(case: str, exact_columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leverage, "EXACT_COLUMNS", exact_columns)
    right = hat_diagonal(CASES[case])
    found = leverages(CASES[case])
    if exact_columns or right.max() > leverage.LIMITS[0]:
        assert found.largest == pytest.approx(right.max(), abs=1e-5)
    assert found.largest <= right.max() + 1e-9
    assert found.above == {limit: int((right > limit).sum()) for limit in leverage.LIMITS}
    assert sorted(found.rows) == np.flatnonzero(right > 0.2).tolist()
    assert (np.diff(right[found.rows]) < 1e-6).all()  # highest first


@pytest.mark.parametrize(("case", "rows"), [("one row", [10]), ("two rows", [10, 11]), ("nested", [17])])
def test_rows_that_are_set_apart_are_named(case: str, rows: list[int]) -> None:
    assert sorted(leverages(CASES[case]).rows) == rows


def test_a_class_of_s_rows_gives_at_least_one_part_in_s() -> None:
    for size in (1, 2, 5):
        assert leverages(with_rare(size)).largest >= 1 / size - 1e-6


def test_the_estimate_is_near_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only rows estimated above a third of the limit are computed: none above the limit is missed in many sketches."""
    matrix, missed = CASES["wide"], 0
    right = set(np.flatnonzero(hat_diagonal(matrix) > 0.2).tolist())
    monkeypatch.setattr(leverage, "EXACT_COLUMNS", 0)
    default: Any = np.random.default_rng
    for seed in range(60):
        monkeypatch.setattr(leverage.np.random, "default_rng", lambda _, seed=seed: default(seed))
        missed += len(right - set(leverages(matrix).rows))
    assert missed == 0

"""Labels of single rows read from opened sums, attack by attack: each works where nothing is measured, and is refused by the defaults.

The host's columns have nothing to do with the labels, so whatever is read right beyond a half comes from the sums.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from support.opened import UNIT, dense, read_labels, record, record_digits
from support.runs import Parties, settings, train

from vflfast.binning.binner import Binner
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import generate_keypair
from vflfast.errors import LeakageGuardError
from vflfast.params import MIN_WOE_CLASS
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.packing import RowPacking
from vflfast.protocol.row_guard import guard_rows, mend
from vflfast.protocol.settings import Settings
from vflfast.tables.table import table_from_frame

Labels = npt.NDArray[np.int8]
ONE_ROUND = {"init": "zeros", "max_iter": 1}


def bank(host: CodedMatrix, *, share: float = 0.5, seed: int = 3) -> Parties:
    """A host with these columns and a bank of two, whose labels depend on neither."""
    rng = np.random.default_rng(seed)
    n = host.n_rows
    labels = np.where(rng.permutation(n) < round(share * n), 1, -1).astype(np.int8)
    commitment = hashlib.sha256(b"rows").digest()
    guest = PartyInputs(CodedMatrix(rng.integers(0, 3, (2, n), dtype=np.uint8), [3, 3]), commitment, "bank", labels)
    return Parties(guest, [PartyInputs(host, commitment, "telco")])


def sums_of(monkeypatch: pytest.MonkeyPatch, made: Parties, **changes: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The host's equations of round 1: system and right-hand side."""
    gradient, total = record(monkeypatch, made, settings(**ONE_ROUND, **changes))[0]
    matrix = made.hosts[0].matrix
    return np.vstack([dense(matrix).T, np.ones(matrix.n_rows)]), np.array([*gradient, total], dtype=float) / UNIT


def refused(made: Parties, words: str = "max_leverage: the columns of host1", **changes: Any) -> None:
    """With the limits of `Settings()` the run ends before anything is opened."""
    with pytest.raises(LeakageGuardError, match=words):
        train(made, settings(**ONE_ROUND, **{"max_leverage": None, "allow_wide": False} | changes))


def mended(made: Parties, **changes: Any) -> PartyInputs:
    return mend("host1", made.hosts[0], settings(**{"max_leverage": None} | changes))


# --- classes -----------------------------------------------------------------------------------------------------


def levels(size: int, n: int = 600, count: int = 12) -> CodedMatrix:
    """A feature with `count` levels of `size` rows each, one 0/1 column a level, and the rest; and one of three even classes."""
    codes = np.zeros((2, n), dtype=np.uint8)
    codes[0, np.random.default_rng(size).permutation(n)[: count * size]] = np.repeat(np.arange(1, count + 1), size)
    codes[1] = np.random.default_rng(9).integers(0, 3, n)
    values = np.vstack([np.eye(count + 1, dtype=np.int64)[1:], np.arange(count + 1)])
    return CodedMatrix(codes, [count + 1, 3], [0] * count + [1], values)


@pytest.mark.parametrize(("size", "right"), [(1, 1.0), (2, 0.7), (5, 0.6)])
def test_levels_of_a_few_rows(size: int, right: float, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bank(levels(size))
    system, sums = sums_of(monkeypatch, made)
    rare = made.hosts[0].matrix.codes[0] > 0
    assert (read_labels(system, sums) == made.labels)[rare].mean() >= right
    refused(made)
    assert mended(made).left_out == tuple(range(12))


def id_like(n: int, ids: int) -> pd.DataFrame:
    """An account number that was left in the table, for some of the customers."""
    numbers = [f"account {k}" if k < ids else "none" for k in range(n)]
    return pd.DataFrame({"key": [f"c{k}" for k in range(n)], "account": numbers, "age": np.arange(n) % 7})


def test_an_account_number_left_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    n, ids = 800, 50
    table = table_from_frame(id_like(n, ids), id_column="key")
    made = bank(Binner.fit_transform(table, min_class_size=1, max_levels=60)[1][0])
    system, sums = sums_of(monkeypatch, made)
    assert (read_labels(system, sums) == made.labels)[:ids].all()
    refused(made)
    by_default = bank(Binner.fit_transform(table)[1][0])
    train(by_default, settings(**ONE_ROUND, max_leverage=None, allow_wide=False))  # the ids are one class of 50
    system, sums = sums_of(monkeypatch, by_default)
    assert (read_labels(system, sums) == by_default.labels)[:ids].mean() < 0.75


def nested(n: int = 3000, count: int = 30, least: int = 300) -> CodedMatrix:
    """Flags of 300 to 329 rows, each holding the one before: every class is large, the differences are single rows."""
    place = np.random.default_rng(1).permutation(n)
    return CodedMatrix((place[None, :] < least + np.arange(count)[:, None]).astype(np.uint8), np.full(count, 2))


def test_nested_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    made = bank(nested())
    matrix = made.hosts[0].matrix
    alone = [int(np.flatnonzero(matrix.codes[k + 1] != matrix.codes[k])[0]) for k in range(matrix.n_columns - 1)]
    system, sums = sums_of(monkeypatch, made)
    assert (read_labels(system, sums) == made.labels)[alone].all()
    refused(made)
    kept = mended(made)
    assert 0 < len(kept.left_out) < 30
    train(Parties(made.guest, [kept]), settings(**ONE_ROUND, max_leverage=None))


def test_knapsack_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Powers of two in one column: a single sum holds the labels of all of them."""
    n, count = 600, 16
    values = np.concatenate([[0], 1 << np.arange(count)]).astype(np.int64)
    codes = np.zeros((1, n), dtype=np.uint8)
    codes[0, :count] = np.arange(1, count + 1)
    made = bank(CodedMatrix(codes, [count + 1], [0], values[None, :]))
    _, sums = sums_of(monkeypatch, made)
    half = round(-sums[0] / 2)  # Σ 2^i·y_i, as u = 0 in round 1
    positive = (half + (1 << count) - 1) // 2  # Σ 2^i·(1 + y_i)/2
    np.testing.assert_array_equal([1 if positive >> i & 1 else -1 for i in range(count)], made.labels[:count])
    refused(made)
    assert mended(Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=joined(made.hosts[0].matrix))])).left_out == (0,)


def joined(matrix: CodedMatrix) -> CodedMatrix:
    """The same with an ordinary column besides."""
    more = np.random.default_rng(8).integers(0, 3, (1, matrix.n_rows), dtype=np.uint8)
    values = np.zeros((2, matrix.column_values.shape[1]), dtype=np.int64)
    values[0], values[1, :3] = matrix.column_values[0], [0, 1, 2]
    return CodedMatrix(np.vstack([matrix.codes, more]), [int(matrix.class_counts[0]), 3], [0, 1], values)


# --- batches, rows in one ciphertext, classes of host_woe --------------------------------------------------------


def test_batches_make_large_classes_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels of 16 rows, fine in all rows; in batches of a tenth some are alone."""
    made = bank(levels(16, n=1500, count=6))
    guard_rows("host1", made.hosts[0], settings(max_leverage=None))
    given = record(monkeypatch, made, settings(init="zeros", max_iter=10, n_batches=10))
    matrix, right, alone = made.hosts[0].matrix, 0, 0
    for number, (gradient, _) in enumerate(given):
        rows = np.arange(number, matrix.n_rows, 10)
        for column in range(6):
            inside = rows[matrix.codes[0, rows] == column + 1]
            if len(inside) == 1:
                alone += 1
                right += (1 if gradient[column] < 0 else -1) == made.labels[inside[0]]
    assert alone
    assert right > 0.9 * alone  # all while the predictors are small
    refused(made, "of batch", n_batches=10)


def test_rows_in_one_ciphertext_make_large_classes_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of twelve second rows of a ciphertext and one first row: the digit that nobody asked for is one customer's residual."""
    n, k = 240, 2
    codes = np.random.default_rng(4).integers(0, 2, (3, n), dtype=np.uint8)  # the guest has two columns
    codes[0] = 0
    codes[0, [*range(1, 24, 2), 100]] = 1
    made = bank(CodedMatrix(codes, [2, 2, 2]))
    guard_rows("host1", made.hosts[0], settings(max_leverage=None))
    packed = {"row_packing": k, "key_bits": 1024}
    private = generate_keypair(1024, test_sizes=True)
    digits = record_digits(monkeypatch, made, settings(**ONE_ROUND, **packed), private)[0]
    system = dense(RowPacking(k, 1).equations(made.hosts[0].matrix))
    columns = np.array([[digit[2 * k - 2 - block] for digit in digits[:-1]] for block in range(2 * k - 1)]).ravel()
    ones = [digits[-1][2 * k - 2 - block] for block in range(2 * k - 1) if block != k - 1]
    told = np.array([*columns, *ones, digits[-1][k - 1]], dtype=float) / UNIT
    read = read_labels(np.vstack([system.T, np.ones(n)]), told)
    assert read[101] == made.labels[101]
    np.testing.assert_allclose(system.T @ (-2.0 * made.labels), told[:-1], atol=1e-6)
    with pytest.raises(LeakageGuardError, match="max_leverage: the columns of host1"):
        guard_rows("host1", made.hosts[0], settings(max_leverage=None, **packed))


def woe_host(n: int = 1200, count: int = 20, least: int = 100) -> CodedMatrix:
    """Nested classes of 100 to 120 rows, one feature each, far above the smallest that host_woe allows."""
    matrix = nested(n, count + 1, least)
    return CodedMatrix(matrix.codes, matrix.class_counts)


def test_nested_classes_of_host_woe(monkeypatch: pytest.MonkeyPatch) -> None:
    made = bank(woe_host())
    matrix = made.hosts[0].matrix
    assert matrix.class_rows.min() >= MIN_WOE_CLASS
    alone = [int(np.flatnonzero(matrix.codes[k + 1] != matrix.codes[k])[0]) for k in range(matrix.n_columns - 1)]
    result = train(made, settings(**ONE_ROUND, host_woe=True))
    values = result.hosts[0].woe
    assert values is not None
    positives = [positives_of(int(rows[1]), int(woe[1]), matrix.n_rows, made) for rows, woe in zip(matrix.class_rows, values, strict=True)]
    read = np.where(np.diff(positives) > 0, 1, -1)
    assert (read == made.labels[alone]).mean() > 0.9
    refused(made, host_woe=True)
    kept = mended(made, host_woe=True)
    assert 0 < len(kept.left_out) < matrix.n_features
    train(Parties(made.guest, [kept]), settings(**ONE_ROUND, host_woe=True, max_leverage=None))


def positives_of(rows: int, woe: int, n_rows: int, made: Parties) -> int:
    """How many of a class's rows are positive, found by trying all numbers in the formula of its WOE."""
    from vflfast.binning.woe import weight_of_evidence

    total = int((made.labels > 0).sum())
    tried = [weight_of_evidence(np.array([n_rows - rows, rows]), np.array([total - p, p]))[0][1] for p in range(rows + 1)]
    return int(np.abs(np.array(tried) - woe).argmin())


# --- what the measure itself says --------------------------------------------------------------------------------


def test_the_limits_of_the_two_levels_of_privacy() -> None:
    made = bank(levels(16, n=1500, count=6))
    assert guard_rows("host1", made.hosts[0], Settings()).largest == pytest.approx(1 / 16, abs=0.01)  # type: ignore[union-attr]
    with pytest.raises(LeakageGuardError, match=r"the limit is 0\.05"):
        guard_rows("host1", made.hosts[0], Settings(privacy="strict"))

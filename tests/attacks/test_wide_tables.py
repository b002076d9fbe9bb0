"""Readers who know that labels are ±1, or rare, at the edge of what the guards of wide tables let through and beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from attacks.test_single_rows import ONE_ROUND, bank, refused, sums_of
from scipy.optimize import linprog
from support.opened import read_labels
from support.runs import Parties, settings, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import LeakageGuardError
from vflfast.protocol.leakage import guard_rare_labels
from vflfast.protocol.settings import Settings

Floats = npt.NDArray[np.float64]


def wide(n: int, k: int, seed: int = 0, share: float = 0.5) -> Parties:
    """k columns of five even classes on n rows."""
    codes = np.random.default_rng(seed).integers(0, 5, (k, n), dtype=np.uint8)
    return bank(CodedMatrix(codes, np.full(k, 5)), share=share, seed=seed + 1)


def by_programme(system: Floats, sums: Floats) -> npt.NDArray[np.int8]:
    """Labels by a linear programme: 4g = −2y in round 1, each y from −1 to 1."""
    found = linprog(np.ones(system.shape[1]), A_eq=system, b_eq=sums / -2.0, bounds=(-1, 1), method="highs").x
    return np.where(found > 0, 1, -1).astype(np.int8)


def right(made: Parties, found: Any) -> float:
    return float((found == made.labels).mean())


NO_ROWS = {"max_leverage": 1.0}  # every row of a wide table stands out; here the share of columns is looked at


@pytest.mark.parametrize("reader", [read_labels, by_programme])
def test_at_the_edge_readers_do_little_better_than_guessing(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = wide(300, 30)
    train(made, settings(**ONE_ROUND, allow_wide=False))
    assert right(made, reader(*sums_of(monkeypatch, made))) < 0.72


def test_one_column_more_is_refused() -> None:
    refused(wide(300, 31), "allow_wide: 31 columns for 300 rows", **NO_ROWS)


@pytest.mark.parametrize(("columns", "reader", "least"), [(240, read_labels, 0.9), (165, by_programme, 1.0)])
def test_the_control_reads_labels_of_wide_tables(columns: int, reader: Any, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    made = wide(300, columns)
    assert right(made, reader(*sums_of(monkeypatch, made))) >= least
    refused(made, f"allow_wide: {columns} columns", **NO_ROWS)


def positives_found(made: Parties, found: npt.NDArray[np.int8]) -> float:
    return float((found[made.labels > 0] > 0).mean())


def test_rare_labels_are_read_from_few_columns_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 % positives, a column for ten rows: a reader that knows they are rare finds all of them."""
    made = wide(1000, 100, share=0.02)
    assert positives_found(made, by_programme_of_rare(*sums_of(monkeypatch, made))) == 1.0
    refused(made, "allow_wide: the rarer label is 2.00% of 1000 rows", **NO_ROWS)


def by_programme_of_rare(system: Floats, sums: Floats) -> npt.NDArray[np.int8]:
    """As few positives as possible: x = (1 + y)/2 from 0 to 1 with the least sum."""
    total = (sums / -2.0 + system.sum(axis=1)) / 2.0
    noise = 1e-3 * np.random.default_rng(2).random(system.shape[1])
    return np.where(linprog(1.0 + noise, A_eq=system, b_eq=total, bounds=(0, 1), method="highs").x > 0.5, 1, -1).astype(np.int8)


def test_at_the_edge_of_rare_labels_few_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    n, share = 1000, 0.02
    most = max(k for k in range(1, 100) if passes(n, round(share * n), k))
    assert not passes(n, round(share * n), most + 1)
    made = wide(n, most, share=share)
    train(made, settings(**ONE_ROUND, **NO_ROWS, allow_wide=False))
    assert positives_found(made, by_programme_of_rare(*sums_of(monkeypatch, made))) < 0.35


def passes(n_rows: int, n_positive: int, n_columns: int, **changes: Any) -> bool:
    try:
        guard_rare_labels(n_rows, n_positive, n_columns, Settings(**changes))
    except LeakageGuardError:
        return False
    return True


def test_the_rule_counts_batches_packing_and_both_labels() -> None:
    assert passes(66_274, 2_000, 3_000)
    assert not passes(66_274, 1_800, 3_000)
    assert not passes(66_274, 66_274 - 1_800, 3_000)  # the rarer label is −1
    assert passes(66_274, 1_800, 3_000, allow_wide=True)
    assert not passes(66_274, 2_000, 3_000, n_batches=2)
    assert not passes(66_274, 2_000, 3_000, row_packing=2)
    assert not passes(100, 0, 1)  # no label is open, and none is hidden

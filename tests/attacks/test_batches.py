"""D9: labels from mini-batches. A host with as many columns as the batch has rows solves for 4g of every row, and its sign is the label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from support.opened import UNIT, Opened, dense, record
from support.runs import Parties, parties, settings, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import LeakageGuardError
from vflfast.protocol.leakage import guard_batches

Floats = npt.NDArray[np.float64]


def solve(matrix: CodedMatrix, n_batches: int, given: Opened) -> npt.NDArray[np.int8]:
    """Labels by least squares: Zᵀ(4g) = gradient, 1ᵀ(4g) = sum; then y = −sign(4g), because |u| < 2 in the first rounds."""
    labels = np.zeros(matrix.n_rows, dtype=np.int8)
    for first, (gradient, total) in enumerate(given[:n_batches]):
        rows = np.arange(first, matrix.n_rows, n_batches)
        part = dense(matrix.take_rows(rows))
        system = np.vstack([part.T, np.ones(len(rows))])
        residual = np.linalg.lstsq(system, np.array([*gradient, total], dtype=float) / UNIT, rcond=None)[0]
        labels[rows] = np.where(residual < 0, 1, -1)
    return labels


def without_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken control."""
    for module in ("guest", "host", "row_guard"):
        monkeypatch.setattr(f"vflfast.protocol.{module}.guard_batches", lambda *_, **__: None)


def accuracy(found: npt.NDArray[np.int8], made: Parties) -> float:
    return float((found == made.labels).mean())


@pytest.mark.parametrize(("n_rows", "n_columns", "n_batches"), [(120, 40, 3), (80, 40, 2), (200, 39, 5), (41, 40, 1)])
def test_the_control_gives_every_label_away(n_rows: int, n_columns: int, n_batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`n_columns` equations and one for the sum, for `n_rows`/`n_batches` unknowns."""
    made = parties(n_rows, (2, n_columns))
    agreed = settings(n_batches=n_batches, init="zeros", max_iter=n_batches, alpha=1.0)
    with pytest.raises(LeakageGuardError):
        train(made, agreed)
    without_guard(monkeypatch)
    assert accuracy(solve(made.hosts[0].matrix, n_batches, record(monkeypatch, made, agreed)), made) == 1.0


@pytest.mark.parametrize(("n_rows", "n_batches"), [(400, 1), (800, 2)])
def test_what_the_guard_lets_pass_gives_few_labels_away(n_rows: int, n_batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows for each equation: the same attack does hardly better than the model that the host is meant to help to train."""
    made = parties(n_rows, (2, 40))
    labels = np.random.default_rng(9).permutation(made.labels)  # nothing about them is in the columns
    made = Parties(type(made.guest)(made.guest.matrix, made.guest.commitment, "bank", labels), made.hosts)
    guard_batches(n_rows, 40, n_batches)
    given = record(monkeypatch, made, settings(n_batches=n_batches, init="zeros", max_iter=n_batches, alpha=1.0))
    assert accuracy(solve(made.hosts[0].matrix, n_batches, given), made) < 0.75


def test_reshuffled_batches_would_give_labels_away_over_the_rounds() -> None:
    """Why the partition is fixed: in the clear, batches of 12 rows drawn anew each round for 3 columns, and gradients at w = 0."""
    rng = np.random.default_rng(4)
    z, y = rng.integers(0, 5, (60, 3)).astype(float), np.where(rng.random(60) < 0.4, 1.0, -1.0)
    fixed, fresh = [], []
    for round_ in range(40):
        for rows, equations in ((np.arange(round_ % 5, 60, 5), fixed), (rng.permutation(60)[:12], fresh)):
            system = np.zeros((4, 60))
            system[:3, rows], system[3, rows] = z[rows].T, 1.0
            equations.append(np.column_stack([system, system @ (-2 * y)]))
    for equations, most in ((fixed, 5 * 4), (fresh, 60)):
        stacked = np.vstack(equations)
        assert np.linalg.matrix_rank(stacked[:, :60]) == most
    stacked = np.vstack(fresh)
    solved = np.linalg.lstsq(stacked[:, :60], stacked[:, 60], rcond=None)[0]
    np.testing.assert_array_equal(-np.sign(solved), y)

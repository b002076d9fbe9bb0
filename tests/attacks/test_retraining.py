"""Row privacy over runs: a host that trains again with other bin edges collects equations about the same labels (privacy §1).

400 customers, 40 one-hot columns; each run cuts the same features at other edges. By least squares over all opened sums the host reads
nearly every label after ten runs, each of which told it 40 equations. Under an account over runs the second one is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import Parties, settings, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import LeakageGuardError
from vflfast.learn import solver
from vflfast.net.budget import FileBudget
from vflfast.protocol.block import PartyInputs

N, FEATURES, CLASSES = 400, 10, 5
RUNS = 11
Floats = npt.NDArray[np.float64]


class Bank:
    """One guest, one host with continuous features, labels that depend on neither: what is read comes from the sums alone."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(11)
        self.features = self.rng.normal(size=(FEATURES, N))
        self.labels = np.where(self.rng.random(N) < 0.5, 1, -1).astype(np.int8)
        self.own = CodedMatrix(self.rng.integers(0, 3, (2, N), dtype=np.uint8), [3, 3])
        self.ids = np.array([f"c{i}" for i in range(N)], dtype=object)

    def binned(self) -> CodedMatrix:
        """The host's features, one-hot, at edges that are new in each run; the first level of a feature is left out."""
        edges = [np.sort(self.rng.choice(one, CLASSES - 1, replace=False)) for one in self.features]
        codes = np.array([np.searchsorted(cuts, one) for cuts, one in zip(edges, self.features, strict=True)], dtype=np.uint8)
        levels = np.tile(np.eye(CLASSES, dtype=np.int64)[1:], (FEATURES, 1))
        return CodedMatrix(codes, [CLASSES] * FEATURES, np.repeat(np.arange(FEATURES), CLASSES - 1), levels)

    def parties(self, folder: Path | None = None) -> tuple[Parties, CodedMatrix]:
        commitment, matrix = hashlib.sha256(b"rows").digest(), self.binned()
        guest = PartyInputs(self.own, commitment, "bank", self.labels)
        if folder is not None:
            guest = dataclasses.replace(guest, budget=FileBudget(folder, "bought", self.ids))
        return Parties(guest, [PartyInputs(matrix, commitment, "telco")]), matrix


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """What the host is told in each run: Zᵀ(4g), then Σ4g, of round 1."""
    seen: list[Floats] = []
    update = solver.BlockSolver.update

    def spy(self: solver.BlockSolver, theta: Floats, gradient: list[int], residual: int, bits: int, *more: int) -> Floats:
        if len(gradient) == FEATURES * (CLASSES - 1):
            seen.append(np.array([*gradient, residual], dtype=np.float64) / 2**bits)
        return update(self, theta, gradient, residual, bits, *more)

    monkeypatch.setattr(solver.BlockSolver, "update", spy)
    return seen


def columns(matrix: CodedMatrix) -> Floats:
    values = matrix.column_values[np.arange(matrix.n_columns)[:, None], matrix.codes[matrix.column_features]]
    return np.vstack([values, np.ones(N)]).astype(np.float64)


def share_read(told: list[tuple[CodedMatrix, Floats]], labels: npt.NDArray[np.int8]) -> float:
    """Least squares of 4g = u − 2y over all that was told; negative for buyers."""
    equations = np.vstack([columns(matrix) for matrix, _ in told])
    residual, *_ = np.linalg.lstsq(equations, np.concatenate([sums for _, sums in told]), rcond=None)
    return float((np.where(residual < 0, 1, -1) == labels).mean())


def test_the_control_reads_nearly_every_label_after_eleven_runs(sums: list[Floats]) -> None:
    bank, told = Bank(), []
    for _ in range(RUNS):
        made, matrix = bank.parties()
        train(made, settings(max_iter=1))
        told.append((matrix, sums[-1]))
    assert share_read(told[:1], bank.labels) < 0.75
    assert share_read(told, bank.labels) > 0.98


def test_the_account_refuses_the_second_run(sums: list[Floats], tmp_path: Path) -> None:
    bank = Bank()
    made, matrix = bank.parties(tmp_path)
    train(made, settings(max_iter=1))
    told = [(matrix, sums[-1])]
    for _ in range(RUNS - 1):
        made, _ = bank.parties(tmp_path)
        with pytest.raises(LeakageGuardError, match=r"telco: .* 40 of them in earlier runs"):
            train(made, settings(max_iter=1))
    assert len(sums) == 1
    assert share_read(told, bank.labels) < 0.75

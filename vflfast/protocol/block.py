"""A party's block: its columns, its weights, and its step of each round; the same code in the encrypted run and in the twin."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto.codec import encode
from ..crypto.coded import CodedMatrix
from ..errors import InputError
from ..learn.logistic import cross_entropy, linear_predictor
from ..learn.solver import BlockNewton, BlockSolver, GradientDescent, auto_alpha, local_start
from ..learn.stopping import StopRule
from .leakage import LeakLedger
from .settings import Settings

Floats = npt.NDArray[np.float64]
Rows = Any  # slice or index array


@dataclass(frozen=True)
class PartyInputs:
    """What a data party brings: its columns on the matched rows, the commitment to their order, labels ±1 if it has them."""

    matrix: CodedMatrix
    commitment: bytes
    organisation: str
    labels: npt.NDArray[np.int8] | None = field(default=None, repr=False)


@dataclass
class PartyModel:
    """What a data party keeps of a training run: its own half, never another's.

    Attributes
    ----------
    weights, intercept
        u = Z·weights + intercept over its own integer columns; the guest's intercept holds the model's.
    losses
        Cross-entropy of the own half after each round, or mean |Δu| where the party has no labels.
    hashes
        SHA-256 of the weights after each round.
    norm
        Frozen normalisation of its scores.
    """

    name: str
    weights: Floats
    intercept: float
    alpha: float
    n_iter: int
    stopped: bool
    losses: list[float]
    hashes: list[str]
    ledger: LeakLedger
    session: str
    settings: Settings
    norm: dict[str, Any] | None = None
    train_labels: npt.NDArray[np.int8] | None = field(default=None, repr=False)
    train_scores: Floats | None = field(default=None, repr=False)


class Block:
    """One party's θ and the rounds over it."""

    def __init__(self, inputs: PartyInputs, settings: Settings, n_total_columns: int, n_blocks: int, *, has_intercept: bool) -> None:
        self.matrix = inputs.matrix
        self.settings = settings
        self.labels = inputs.labels
        self.has_intercept = has_intercept
        self.alpha = auto_alpha(n_total_columns, self.matrix.n_rows) if settings.alpha is None else settings.alpha
        self.solver = _make_solver(self.matrix, settings, self.alpha, n_blocks)
        self.theta: Floats = np.zeros(self.matrix.n_columns)
        self.intercept = 0.0
        if settings.init == "local" and self.labels is not None:
            self.theta, start = local_start(self.solver, self.matrix, self.labels)
            self.intercept = start if has_intercept else 0.0
        self.stop_rule = StopRule(settings.tol, settings.n_iter_no_change)
        self.losses: list[float] = []
        self.hashes: list[str] = []
        self.flag = False
        self._batches = _partition(self.matrix, settings.n_batches)
        self.predictor = self._predict()
        if self.labels is not None:
            self.stop_rule.observe(cross_entropy(self.predictor, self.labels))

    def coefficients(self) -> tuple[Floats, float]:
        """Return (weights, intercept) over the integer columns."""
        weights, shift = self.solver.coefficients(self.theta)
        return weights, shift + self.intercept

    def own_labels(self) -> npt.NDArray[np.int8]:
        """Return the labels ±1 of a party that has them."""
        if self.labels is None:
            raise InputError("labels", "this party has none")
        return self.labels

    def batch(self, round_: int) -> tuple[Rows, CodedMatrix]:
        """Return the rows of round `round_` (from 1) and this block's columns on them."""
        return self._batches[(round_ - 1) % len(self._batches)]

    def fixed_predictor(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return u on `rows` in fixed point; refused above the agreed bound."""
        return encode(self.predictor[rows], self.settings.frac_bits, self.settings.predictor_bound, "linear predictor")

    def update(self, gradient_sums: list[int], residual_sum: int, n_rows: int) -> None:
        """Take one step from Zᵀ(4g) and Σ4g [0107], [0108], then look at the loss [0124], [0129]."""
        bits = self.settings.frac_bits
        self.theta = self.solver.update(self.theta, gradient_sums, residual_sum, bits, n_rows)
        if self.has_intercept:
            self.intercept += self.solver.intercept_step(residual_sum, bits, n_rows)
        before, self.predictor = self.predictor, self._predict()
        if self.labels is not None:
            self.losses.append(cross_entropy(self.predictor, self.labels))
            self.flag = self.stop_rule.observe(self.losses[-1])
        else:
            self.losses.append(float(np.abs(self.predictor - before).mean()))
            self.flag = self.stop_rule.observe_change(self.losses[-1])
        self.hashes.append(weight_hash(*self.coefficients()))

    def _predict(self) -> Floats:
        return linear_predictor(self.matrix, *self.coefficients())


def weight_hash(weights: Floats, intercept: float) -> str:
    """Return the SHA-256 of a party's weights, every bit of them."""
    return hashlib.sha256(np.ascontiguousarray(weights, dtype="<f8").tobytes() + struct.pack("<d", intercept)).hexdigest()


def joint_hash(hashes: list[str]) -> str:
    """Return one hash of all parties' weight hashes, guest first."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _make_solver(matrix: CodedMatrix, settings: Settings, alpha: float, n_blocks: int) -> BlockSolver:
    if settings.solver == "block-newton":
        return BlockNewton(matrix, alpha=alpha, n_blocks=n_blocks)
    step: float | str = "auto" if settings.step is None else settings.step
    return GradientDescent(matrix, alpha=alpha, n_blocks=n_blocks, step=step, momentum=settings.momentum)


def _partition(matrix: CodedMatrix, n_batches: int) -> list[tuple[Rows, CodedMatrix]]:
    """One fixed partition of the rows; the full batch is the matrix itself, not a copy."""
    if n_batches == 1:
        return [(slice(None), matrix)]
    rows = [np.arange(first, matrix.n_rows, n_batches) for first in range(n_batches)]
    return [(index, matrix.take_rows(index)) for index in rows]

"""A party's block: its columns, its weights, and its step of each round; the same code in the encrypted run and in the twin."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto.codec import encode
from ..crypto.coded import CodedMatrix
from ..errors import InputError, ModelError
from ..learn.logistic import cross_entropy, linear_predictor
from ..learn.quasi_newton import QuasiNewton
from ..learn.solver import BlockNewton, BlockSolver, GradientDescent, auto_alpha, local_start
from ..learn.stopping import StopRule
from ..learn.weights import RowWeights, check_row_weights
from .budget import Budget, NoBudget
from .forward import gradient_bits, residual_bound
from .joint import ScoreScale
from .leakage import LeakLedger
from .packing import agreed_packing
from .settings import Settings

Floats = npt.NDArray[np.float64]
Rows = Any  # slice or index array
AfterRound = Callable[[Floats, float], None]


@dataclass(frozen=True)
class PartyInputs:
    """What a data party brings: its columns on the matched rows, the commitment to their order, labels ±1 if it has them.

    Attributes
    ----------
    matrix
        Its columns, n_rows × n_columns.
    commitment
        32 bytes, the fingerprint of the row order.
    organisation
        Who it is; another than the arbiter's.
    labels
        ±1, shape (n_rows,), or None.
    row_weights
        The guest's: integers from 1 to the agreed ``max_weight``, shape (n_rows,), ``weight_unit`` of them for weight 1; None: all weigh 1.
    start
        (weights, intercept) over the integer columns to start from, such as an earlier model's; it takes the place of ``init``.
    budget
        The account of what peers were told about its numbers over all runs; by default nothing is counted.
    after_round
        Called with (weights, intercept) after each round of the party's own run.
    features
        Names of its features, for errors; without them their numbers are named.
    left_out
        Numbers of the columns that are 0 in every row, because they would set rows apart (row_guard.py).
    """

    matrix: CodedMatrix
    commitment: bytes
    organisation: str
    labels: npt.NDArray[np.int8] | None = field(default=None, repr=False)
    start: tuple[Floats, float] | None = field(default=None, repr=False)
    after_round: AfterRound | None = field(default=None, repr=False)
    row_weights: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    budget: Budget = field(default_factory=NoBudget, repr=False)
    features: tuple[str, ...] = field(default=(), repr=False)
    left_out: tuple[int, ...] = ()


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
    woe
        WOE integers that the guest gave for the host's classes, shape (n_features, classes).
    left_out
        Numbers of the columns that were left out because they set rows apart.
    scale
        Of the joint score, where labels come from it.
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
    woe: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    left_out: tuple[int, ...] = ()
    scale: ScoreScale | None = field(default=None, repr=False)


class Block:
    """One party's θ and the rounds over it."""

    def __init__(self, inputs: PartyInputs, settings: Settings, n_total_columns: int, n_blocks: int, *, has_intercept: bool) -> None:
        self.matrix = inputs.matrix
        self.settings, self.n_parties = settings, n_blocks
        self.labels = inputs.labels
        self._after_round = inputs.after_round
        self.has_intercept = has_intercept
        self.alpha = auto_alpha(n_total_columns, self.matrix.n_rows) if settings.alpha is None else settings.alpha
        self.row_weights = _row_weights(inputs, settings) if has_intercept else None
        self.solver = _make_solver(self.matrix, settings, self.alpha, n_blocks, self.row_weights, has_intercept=has_intercept)
        self.theta: Floats = np.zeros(self.matrix.n_columns)
        self.intercept = 0.0
        if inputs.start is not None:
            self.theta, intercept = self.solver.standardised(*inputs.start)
            self.intercept = intercept if has_intercept else 0.0
        elif settings.init == "local" and self.labels is not None:
            self.theta, start = local_start(self.solver, self.matrix, self.labels)
            self.intercept = start if has_intercept else 0.0
        self.stop_rule = StopRule(settings.tol, settings.still_rounds)
        self.losses: list[float] = []
        self.hashes: list[str] = []
        self.flag = False
        self._batches = partition(self.matrix, settings.n_batches)
        self.packing = agreed_packing(settings, self.matrix.n_rows, residual_bound(settings, n_blocks))
        self._parts: dict[int, list[CodedMatrix]] = {}
        self.predictor = self._predict()
        if self.labels is not None:
            self.stop_rule.observe(cross_entropy(self.predictor, self.labels, self.row_weights))

    def coefficients(self) -> tuple[Floats, float]:
        """Return (weights, intercept) over the integer columns."""
        weights, shift = self.solver.coefficients(self.theta)
        return weights, shift + self.intercept

    def own_labels(self) -> npt.NDArray[np.int8]:
        """Return the labels ±1 of a party that has them; InputError for another."""
        if self.labels is None:
            raise InputError("labels", "this party has none")
        return self.labels

    def batch(self, round_: int) -> tuple[Rows, CodedMatrix]:
        """Return the rows of round `round_` (from 1) and this block's columns on them."""
        return self._batches[(round_ - 1) % len(self._batches)]

    def parts(self, round_: int) -> list[CodedMatrix]:
        """Return the columns of round `round_` as the row packing splits them; made once for each batch."""
        number = (round_ - 1) % len(self._batches)
        if number not in self._parts:
            self._parts[number] = self.packing.split(self._batches[number][1])
        return self._parts[number]

    def fixed_predictor(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return u on `rows` in fixed point; refused above the agreed bound."""
        return encode(self.predictor[rows], self.settings.frac_bits, self.settings.predictor_bound, "linear predictor")

    def half(self, rows: Rows) -> Floats:
        """Return u on `rows`; refused above the agreed bound, where the logistic residual is not to be trusted either."""
        self.fixed_predictor(rows)
        return np.asarray(self.predictor[rows])

    def update(self, gradient_sums: list[int], residual_sum: int, n_rows: int) -> None:
        """Take one step from Zᵀ(4g) and Σ4g [0107], [0108], then look at the loss [0124], [0129]."""
        bits = gradient_bits(self.settings, self.n_parties)
        theta = self.solver.update(self.theta, gradient_sums, residual_sum, bits, n_rows)
        relaxed = self.solver.intercept_relaxation * self.solver.intercept_step(residual_sum, bits, n_rows) if self.has_intercept else 0.0
        self._take(theta, self.intercept + relaxed)

    def steps(self, gradient_sums: list[int], residual_sum: int, n_rows: int) -> Generator[list[float], list[float], None]:
        """Update as `update` does; a solver over all parties' blocks yields numbers, and is sent their sums over the parties."""
        if not isinstance(self.solver, QuasiNewton):
            self.update(gradient_sums, residual_sum, n_rows)
            return
        bits = gradient_bits(self.settings, self.n_parties)
        self._take(*(yield from self.solver.steps(self.theta, self.intercept, gradient_sums, residual_sum, bits)))

    def _take(self, theta: Floats, intercept: float) -> None:
        """Take new weights over; look at the loss and the flag."""
        self.theta, self.intercept = theta, intercept
        before, self.predictor = self.predictor, self._predict()
        moved = math.fsum(np.abs(self.predictor - before)) / before.size  # exact: in any order of the rows
        # weights of mean 1 or more: a weighted loss changes by no more than the largest weight times this
        weighed = moved * self.settings.max_weight / self.settings.weight_unit
        self.losses.append(moved if self.labels is None else cross_entropy(self.predictor, self.labels, self.row_weights))
        if self.settings.stop == "move":
            self.flag = self.stop_rule.observe_move(weighed, self.n_parties)
        elif self.labels is not None:
            self.flag = self.stop_rule.observe(self.losses[-1])
        else:
            self.flag = self.stop_rule.observe_change(weighed)
        self.hashes.append(weight_hash(*self.coefficients()))
        if self._after_round is not None:
            self._after_round(*self.coefficients())

    def state(self) -> dict[str, Any]:
        """Return what the next round needs, ready for JSON; floats keep every bit there."""
        return {
            "theta": self.theta.tolist(),
            "intercept": self.intercept,
            "losses": list(self.losses),
            "hashes": list(self.hashes),
            "stop_rule": self.stop_rule.to_dict(),
            "solver": self.solver.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Raises
        ------
        ModelError
            It is of another number of columns, or its weights are not those of its last hash.
        """
        theta = np.array(state["theta"], dtype=np.float64)
        if theta.shape != self.theta.shape:
            raise ModelError("theta", f"has {theta.size} numbers for {self.theta.size} columns")
        self.theta, self.intercept = theta, float(state["intercept"])
        self.losses, self.hashes = list(state["losses"]), list(state["hashes"])
        self.stop_rule = StopRule.from_dict(state["stop_rule"])
        self.solver.restore(state["solver"])
        self.flag = self.stop_rule.flag
        self.predictor = self._predict()
        if self.hashes[-1:] != [weight_hash(*self.coefficients())]:
            raise ModelError("hashes", "the last is not that of the weights")

    def _predict(self) -> Floats:
        return linear_predictor(self.matrix, *self.coefficients())


def weight_hash(weights: Floats, intercept: float) -> str:
    """Return the SHA-256 of a party's weights, every bit of them."""
    return hashlib.sha256(np.ascontiguousarray(weights, dtype="<f8").tobytes() + struct.pack("<d", intercept)).hexdigest()


def joint_hash(hashes: list[str]) -> str:
    """Return one hash of all parties' weight hashes, guest first."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _row_weights(inputs: PartyInputs, settings: Settings) -> npt.NDArray[np.int64] | None:
    """The guest's weights; None where all agreed on none."""
    n_rows = inputs.matrix.n_rows
    given = np.full(n_rows, settings.weight_unit) if inputs.row_weights is None else inputs.row_weights
    weights = check_row_weights(given, n_rows, settings.max_weight)
    return weights if settings.weighted else None


def _make_solver(
    matrix: CodedMatrix, settings: Settings, alpha: float, n_blocks: int, own: npt.NDArray[np.int64] | None, *, has_intercept: bool
) -> BlockSolver:
    weights = RowWeights(settings.max_weight, settings.weight_unit, own) if settings.weighted else None
    if settings.solver == "block-newton":
        return BlockNewton(matrix, alpha=alpha, n_blocks=n_blocks, weights=weights)
    if settings.solver == "lbfgs":
        return QuasiNewton(matrix, alpha=alpha, n_blocks=n_blocks, weights=weights, has_intercept=has_intercept)
    step: float | str = "auto" if settings.step is None else settings.step
    return GradientDescent(matrix, alpha=alpha, n_blocks=n_blocks, step=step, momentum=settings.momentum, weights=weights)


def partition(matrix: CodedMatrix, n_batches: int) -> list[tuple[Rows, CodedMatrix]]:
    """Return the rows and columns of every batch, one fixed partition; the full batch is the matrix itself, not a copy."""
    if n_batches == 1:
        return [(slice(None), matrix)]
    rows = [np.arange(first, matrix.n_rows, n_batches) for first in range(n_batches)]
    return [(index, matrix.take_rows(index)) for index in rows]

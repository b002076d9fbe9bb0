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
from ..learn.penalty import Choice, PenaltySearch
from ..learn.quasi_newton import QuasiNewton
from ..learn.solver import BlockNewton, BlockSolver, GradientDescent, auto_alpha, local_start
from ..learn.stopping import StopRule
from ..learn.weights import RowWeights, check_row_weights
from .budget import Budget, NoBudget
from .forward import gradient_bits, residual_bound
from .multiplied import RoundWeights
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
    held_out
        The guest's with ``alpha = "search"``: rows that take no part while λ is searched for, bool, shape (n_rows,) (learn/penalty.py).
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
    held_out: npt.NDArray[np.bool_] | None = field(default=None, repr=False)


class Block:
    """One party's θ and the rounds over it."""

    def __init__(self, inputs: PartyInputs, settings: Settings, n_total_columns: int, n_blocks: int, *, has_intercept: bool) -> None:
        self.matrix = inputs.matrix
        self.settings, self.n_parties = settings, n_blocks
        self.labels = inputs.labels
        self._after_round = inputs.after_round
        self.has_intercept = has_intercept
        auto = auto_alpha(n_total_columns, self.matrix.n_rows)
        self.search = PenaltySearch.over(auto, self.matrix.n_rows) if settings.alpha == "search" else None
        self._held_out = _held_out(inputs) if self.search is not None and has_intercept else None
        self.alpha = self.search.penalty if self.search is not None else auto if settings.alpha is None else float(settings.alpha)
        self.row_weights = _row_weights(inputs, settings) if has_intercept else None
        self.solver = _make_solver(self.matrix, settings, self.alpha, n_blocks, self.row_weights, has_intercept=has_intercept)
        self.theta: Floats = np.zeros(self.matrix.n_columns)
        self.intercept = 0.0
        if inputs.start is not None:
            self.theta, intercept = self.solver.standardised(*inputs.start)
            self.intercept = intercept if has_intercept else 0.0
        elif settings.init == "local" and self.labels is not None:
            self.theta, start = self._local_start(self.labels)
            self.intercept = start if has_intercept else 0.0
        self.stop_rule = StopRule(settings.tol, settings.still_rounds)
        self.losses: list[float] = []
        self.hashes: list[str] = []
        self.flag = self.gave_up = False
        self._previous = self.theta, self.intercept
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

    def weights_of(self, round_: int) -> RoundWeights:
        """Return the weights of the guest's rows in a round: rows held out count nothing in its sums while λ is searched for."""
        if not self.searching or self._held_out is None:
            return RoundWeights(self.row_weights, None, self.tolerated)
        ones = np.ones(self.matrix.n_rows, dtype=np.int64) if self.row_weights is None else self.row_weights
        judged = np.where(self._held_out, ones, 0) if self.judges(round_) else None
        return RoundWeights(np.where(self._held_out, 0, ones), judged, self.tolerated)

    @property
    def searching(self) -> bool:
        """Whether λ is still searched for."""
        return self.search is not None and not self.search.done

    def judges(self, round_: int) -> bool:
        """Return whether a round opens the loss of rows held out."""
        return self.search is not None and self.search.judges(round_)

    @property
    def tolerated(self) -> float | None:
        """The bound of predictors above which the search, or the run, ends with the weights before; None where it is an error."""
        return None if self.search is None else self.settings.predictor_bound

    def give_up(self) -> None:
        """Take the last step back and vote to stop: with it a half would vary too much for the residual to be trusted."""
        self.gave_up = True
        self._take(*self._previous)

    def decide(self, loss_sum: int, *, trusted: bool) -> Choice:
        """Guest: take the summed loss of the rows held out, as it was opened, and decide how the search goes on (penalty.py)."""
        judged = self.weights_of(len(self.losses) + 1).judged
        assert self.search is not None  # noqa: S101  (asked for only while there is one)
        assert judged is not None  # noqa: S101
        return self.search.decide(loss_sum / (int(judged.sum()) << gradient_bits(self.settings, self.n_parties) + 2), trusted=trusted)

    def choose(self, choice: Choice) -> bool:
        """Go on with another λ, or with the best one from the weights that were found with it; return whether this round still steps.

        Raises
        ------
        InputError
            A choice that cannot be.
        """
        assert self.search is not None  # noqa: S101  (there are choices only while there is one)
        found = self.search.take(choice, (self.theta, self.intercept), len(self.losses) + 1)
        self._penalise(1.0 / self.search.share if choice.final else 1.0)
        if choice.final:
            self._take(*found)
        return not choice.final

    def _penalise(self, scale: float = 1.0) -> None:
        """Take over the λ of the search, for sums that are `scale` times as large."""
        assert self.search is not None  # noqa: S101
        self.alpha = self.search.penalty
        self.quasi_newton.penalise(self.alpha, scale)

    @property
    def quasi_newton(self) -> QuasiNewton:
        """The solver where it is L-BFGS, as in a search."""
        assert isinstance(self.solver, QuasiNewton)  # noqa: S101  (agreed with the search)
        return self.solver

    def _local_start(self, labels: npt.NDArray[np.int8]) -> tuple[Floats, float]:
        """The own fit; while rows are held out, of the others, on whose scale its coefficients are then not."""
        if self._held_out is None:
            return local_start(self.solver, self.matrix, labels)
        kept = np.flatnonzero(~self._held_out)
        matrix, own = self.matrix.take_rows(kept), None if self.row_weights is None else self.row_weights[kept]
        solver = _make_solver(matrix, self.settings, self.alpha, self.n_parties, own, has_intercept=self.has_intercept)
        theta, intercept = local_start(solver, matrix, labels[kept])
        weights, shift = solver.coefficients(theta)
        return self.solver.standardised(weights, intercept + shift)

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
        """Return u on `rows`; refused above the agreed bound, where the logistic residual is not to be trusted either, unless tolerant."""
        if self.tolerated is None:
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
        self._previous = self.theta, self.intercept
        self.theta, self.intercept = theta, intercept
        before, self.predictor = self.predictor, self._predict()
        moved = math.fsum(np.abs(self.predictor - before)) / before.size  # exact: in any order of the rows
        # weights of mean 1 or more: a weighted loss changes by no more than the largest weight times this
        weighed = moved * self.settings.max_weight / self.settings.weight_unit
        self.losses.append(moved if self.labels is None else cross_entropy(self.predictor, self.labels, self.row_weights))
        self.flag = self._stands_still(weighed)
        self.hashes.append(weight_hash(*self.coefficients()))
        if self._after_round is not None:
            self._after_round(*self.coefficients())

    def _stands_still(self, moved: float) -> bool:
        """What the stop rule says after a round; rounds of a search do not count."""
        if self.search is not None and self.search.covers(len(self.losses)):
            return False
        if self.settings.stop == "move":
            return self.stop_rule.observe_move(moved, self.n_parties)
        return self.stop_rule.observe_change(moved) if self.labels is None else self.stop_rule.observe(self.losses[-1])

    @property
    def stopped(self) -> bool:
        """Whether training ended by itself, by the stop rule or because it gave up, and not at the last round."""
        return self.flag or self.gave_up

    @property
    def votes_to_stop(self) -> bool:
        """Whether this party votes to stop: by the rule, at max_iter rounds after a search, or because it gave up."""
        searched = self.search is not None and self.search.done
        return self.stopped or (searched and len(self.losses) - self.search.rounds >= self.settings.max_iter)  # type: ignore[union-attr]

    def state(self) -> dict[str, Any]:
        """Return what the next round needs, ready for JSON; floats keep every bit there."""
        return {
            "theta": self.theta.tolist(),
            "intercept": self.intercept,
            "losses": list(self.losses),
            "hashes": list(self.hashes),
            "stop_rule": self.stop_rule.to_dict(),
            "solver": self.solver.state(),
            **({} if self.search is None else self._search_state(self.search)),
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
        if self.search is not None:
            self.search.restore(state["search"])
            self._penalise()
            self.gave_up = bool(state["gave_up"])
            self._previous = np.array(state["previous"][0], dtype=np.float64), float(state["previous"][1])
        self.solver.restore(state["solver"])
        self.flag = self.stop_rule.flag
        self.predictor = self._predict()
        if self.hashes[-1:] != [weight_hash(*self.coefficients())]:
            raise ModelError("hashes", "the last is not that of the weights")

    def _search_state(self, search: PenaltySearch) -> dict[str, Any]:
        theta, intercept = self._previous
        return {"search": search.state(), "gave_up": self.gave_up, "previous": [theta.tolist(), intercept]}

    def _predict(self) -> Floats:
        return linear_predictor(self.matrix, *self.coefficients())


def weight_hash(weights: Floats, intercept: float) -> str:
    """Return the SHA-256 of a party's weights, every bit of them."""
    return hashlib.sha256(np.ascontiguousarray(weights, dtype="<f8").tobytes() + struct.pack("<d", intercept)).hexdigest()


def joint_hash(hashes: list[str]) -> str:
    """Return one hash of all parties' weight hashes, guest first."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _held_out(inputs: PartyInputs) -> npt.NDArray[np.bool_]:
    """The rows that the guest holds out."""
    if inputs.held_out is None or inputs.held_out.shape != (inputs.matrix.n_rows,):
        raise InputError("held_out", 'alpha = "search" needs a mark for each row of the guest (vflfast.learn.penalty.held_out)')
    return inputs.held_out


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

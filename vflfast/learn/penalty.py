"""The search for the penalty λ: five values, from large to small, each from the weights of the one before, judged by rows held out.

A fifth of the guest's rows takes no part while λ is searched for: their residuals are 0 in all sums. After `ROUNDS_EACH` rounds the log
loss of these rows, summed over all of them, is opened to the guest, which goes on to the next λ or, once the loss has risen, ends the
search. Then all rows train at the best λ from the weights that were found with it.

Which rows these are is the guest's secret, because sums over all rows less sums over the others are nearly sums over those held out: a
host that knew them could read rows that are alone in a class there. They follow from ids and labels by a hash, so that the same tables give
the same rows in whatever order, on every machine, and nobody without all labels can work them out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, ModelError
from . import checks
from .checks import Floats

GRID_SIZE, GRID_STEP, LARGEST = 5, 4.0, 4.0  # values of λ, the factor between them, and the first over columns/rows
ROUNDS_EACH = 3
MOST_ROUNDS = GRID_SIZE * ROUNDS_EACH + 1  # of a search: the last one judges, and takes no step
ONE_IN = 5  # rows held out
LEAST_HELD_OUT = 20

Weights = tuple[Floats, float]  # standardised coefficients and intercept


def penalties(auto: float) -> tuple[float, ...]:
    """Return the values of λ, from large to small: 4, 1, ¼, … times the automatic one."""
    return tuple(LARGEST * auto / GRID_STEP**k for k in range(GRID_SIZE))


def held_out(ids: Sequence[str], labels: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Return which rows are held out: a fifth of them, by a hash of the id under a key that hashes all ids and labels.

    Raises
    ------
    InputError
        Fewer than 20 rows would be.
    """
    count = len(labels) // ONE_IN
    if count < LEAST_HELD_OUT:
        raise InputError("alpha", f"search holds a fifth of the rows out, {count} here; at least {LEAST_HELD_OUT} are needed")
    named = [str(one).encode() for one in ids]
    key = hashlib.sha256(b"vflfast held out")
    for name, label in sorted(zip(named, labels.tolist(), strict=True)):
        key.update(len(name).to_bytes(8, "little") + name + bytes([label > 0]))
    secret = key.digest()
    marks = [hashlib.sha256(secret + name).digest() for name in named]
    out = np.zeros(len(labels), dtype=np.bool_)
    out[sorted(range(len(marks)), key=marks.__getitem__)[:count]] = True
    return out


@dataclass(frozen=True)
class Choice:
    """What the guest decides after a judgement: the number of the next λ to try, or with `final` that of the best."""

    number: int
    final: bool


@dataclass
class PenaltySearch:
    """Where a data party is in the search.

    Attributes
    ----------
    grid
        The values of λ, from large to small.
    share
        Rows that are not held out over all rows: sums over those are divided by the number of all, and λ is scaled with them.
    number
        Of the λ that is tried, from 0; at the end of the best.
    done
        Whether the best is found.
    rounds
        Rounds that the search took, once it is done.
    losses
        Mean log loss of the rows held out at each λ that was judged; of the guest only.
    found
        Weights at each λ that was judged.
    """

    grid: tuple[float, ...]
    share: float
    number: int = 0
    done: bool = False
    rounds: int = 0
    losses: list[float] = field(default_factory=list)
    found: list[Weights] = field(default_factory=list)

    @classmethod
    def over(cls, auto: float, n_rows: int) -> PenaltySearch:
        """Return a search about the automatic λ of a table of so many rows."""
        return cls(penalties(auto), (n_rows - n_rows // ONE_IN) / n_rows)

    @property
    def penalty(self) -> float:
        """λ of the next step, for sums that are divided by the number of all rows."""
        return self.grid[self.number] * (1.0 if self.done else self.share)

    def judges(self, round_: int) -> bool:
        """Return whether round `round_` (from 1) opens the loss of the weights that it starts from."""
        return not self.done and round_ > 1 and (round_ - 1) % ROUNDS_EACH == 0

    def covers(self, round_: int) -> bool:
        """Return whether a round belongs to the search."""
        return not self.done or round_ <= self.rounds

    def decide(self, loss: float, *, trusted: bool = True) -> Choice:
        """Guest: take the loss at the λ that was tried, and decide.

        The search ends after the last λ, after one that is worse, and after one at which a half varied too much for the residual to be
        trusted; that one is not taken unless it was the first.
        """
        if trusted or not self.losses:
            self.losses.append(checks.number("loss", loss))
        best = min(range(len(self.losses)), key=self.losses.__getitem__)
        last = not trusted or len(self.losses) == len(self.grid) or self.losses[-1] > self.losses[best]
        return Choice(best, True) if last else Choice(len(self.losses), False)

    def take(self, choice: Choice, weights: Weights, round_: int) -> Weights:
        """Keep the weights of the λ that was judged in this round; return those to go on from.

        Raises
        ------
        InputError
            A choice that cannot be: the next λ is the one after this, the best one that was tried.
        """
        self.found.append(weights)
        tried = len(self.found)
        possible = range(tried) if choice.final else range(tried, min(tried + 1, len(self.grid)))
        if choice.number not in possible:
            raise InputError("alpha", f"number {choice.number} is not what a search can go on with after {tried} penalties")
        self.number, self.done = choice.number, choice.final
        if choice.final:
            self.rounds = round_
        return self.found[choice.number] if choice.final else weights

    def tried(self) -> list[tuple[float, float]]:
        """Return (λ, mean log loss of the rows held out) of each that the guest judged."""
        return list(zip(self.grid, self.losses, strict=False))

    def state(self) -> dict[str, Any]:
        """Return what belongs to a checkpoint, ready for JSON."""
        return {
            "number": self.number, "done": self.done, "rounds": self.rounds, "losses": list(self.losses),
            "found": [[theta.tolist(), intercept] for theta, intercept in self.found],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned; ModelError if it is something else."""
        if not isinstance(state, dict) or set(state) != set(self.state()) or not 0 <= state["number"] < len(self.grid):
            raise ModelError("search", "must hold number, done, rounds, losses and found and nothing else")
        self.number, self.done, self.rounds = int(state["number"]), bool(state["done"]), int(state["rounds"])
        self.losses = [float(loss) for loss in state["losses"]]
        self.found = [(np.array(theta, dtype=np.float64), float(intercept)) for theta, intercept in state["found"]]

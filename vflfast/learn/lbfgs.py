"""L-BFGS over the blocks of several parties: vectors stay with their party, inner products are sums of the parties' own.

With P = blockdiag((¼C_b + λI)⁻¹) over the parties' blocks, and 4 for the intercept, a step is the two-loop recursion (Nocedal & Wright
2006, algorithm 7.4) over the last `PAIRS` pairs (s, y), started from γ·P. It needs inner products of s, y, P·y, g and P·g only (Chen et
al. 2014, "Large-scale L-BFGS using MapReduce"), so every party computes the same coefficients and combines its own vectors.

Safeguards: the root mean square of Δu is at most 2 a round; a step whose slope at its end is above half of that at its start went too far
and is taken back to the secant point; a direction that does not descend forgets all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModelError
from . import checks
from .checks import Floats

PAIRS = 3
FIRST_STEP, PLAIN_STEP = 0.75, 0.5  # of P·g: at the start, and where a direction did not descend
LARGEST_MOVE = 2.0  # root mean square of Δu over the rows
TOO_FAR = 0.5  # slope at a step's end over that at its start, in magnitude
SHORTEST, LONGEST = 0.1, 0.5  # of a step that is taken back
CURVATURE = 1e-10  # least sᵀy over |s||y| of a pair

Sums = Generator[list[float], list[float], Floats]


@dataclass
class Lbfgs:
    """One party's share of the steps; all parties' take the same decisions from the same sums.

    Parameters
    ----------
    precondition
        x ↦ P·x on the party's own vector.
    move
        x ↦ root mean square of the change of the party's predictor by x.
    """

    precondition: Callable[[Floats], Floats]
    move: Callable[[Floats], float]
    pairs: list[tuple[Floats, Floats, Floats]] = field(default_factory=list)  # s, y, P·y; the newest last
    before: tuple[Floats, Floats, Floats] | None = None  # θ, g, P·g where the last step began
    slope: float = 0.0  # gᵀs at the beginning of the last step, over all parties

    def step(self, theta: Floats, gradient: Floats) -> Sums:
        """Return the next θ. Yields numbers of this party, and is sent their sums over all parties.

        Parameters
        ----------
        theta, gradient
            The party's own, shape (n_coordinates,); the guest's end with the intercept.
        """
        conditioned = self.precondition(gradient)
        moved = None
        if self.before is not None:
            s, y = theta - self.before[0], gradient - self.before[1]
            moved = (s, y, conditioned - self.before[2])
        tried = [*self.pairs, moved][-PAIRS:] if moved is not None else list(self.pairs)
        sums = Products(len(tried), (yield products(tried, gradient, conditioned)))
        if moved is not None and self._went_too_far(sums.slope):
            return self._taken_back(moved[0], sums.slope)
        if moved is not None:
            tried = self._accepted(tried, sums)
        return (yield from self._descend(theta, gradient, conditioned, tried, sums))

    def _went_too_far(self, slope: float) -> bool:
        return slope > TOO_FAR * abs(self.slope)

    def _taken_back(self, s: Floats, slope: float) -> Floats:
        """Return the secant point of the last step, from where it began; what began it stays."""
        assert self.before is not None  # noqa: S101  (a step was taken)
        share = min(max(self.slope / (self.slope - slope), SHORTEST), LONGEST)
        self.slope *= share
        return self.before[0] + share * s

    def _accepted(self, tried: list[Any], sums: Products) -> list[Any]:
        """Keep the newest pair if its curvature is positive; without it the others have fewer products."""
        if sums.sy(-1, -1) > CURVATURE * math.sqrt(sums.ss * sums.yy):
            self.pairs = tried
            return tried
        sums.drop_newest()
        return tried[:-1]

    def _descend(self, theta: Floats, gradient: Floats, conditioned: Floats, pairs: list[Any], sums: Products) -> Sums:
        of_s, of_py, of_pg = sums.direction()
        slope = sums.slope_of(of_s, of_py, of_pg)
        if pairs and not slope < 0.0:
            self.pairs, pairs = [], []
            of_s, of_py, of_pg, slope = [], [], -PLAIN_STEP, -PLAIN_STEP * sums.gpg
        direction = of_pg * conditioned
        for (s, _, py), a, b in zip(pairs, of_s, of_py, strict=True):
            direction = direction + a * s + b * py
        (moved,) = yield [self.move(direction)]
        share = min(1.0, LARGEST_MOVE / moved) if moved > 0.0 else 1.0
        self.before, self.slope = (theta, gradient, conditioned), share * slope
        return theta + share * direction

    def penalise(self, more: Floats, scale: float) -> None:
        """Take the pairs over to another penalty: the loss is `scale` times the old one, plus ½·Σ more·θ².

        Its gradient is g·scale + more·θ, so a pair's y becomes y·scale + more·s; P is the new one. Where the last step began is forgotten:
        what its slope is now, no party knows alone.

        Parameters
        ----------
        more
            What the penalty of each of the party's own coordinates grows by, shape (n_coordinates,).
        """
        self.pairs = [(s, moved, self.precondition(moved)) for s, y, _ in self.pairs for moved in (y * scale + more * s,)]
        self.before = None

    def state(self) -> dict[str, Any]:
        """Return what the next step needs, ready for JSON."""
        return {
            "pairs": [[v.tolist() for v in pair] for pair in self.pairs],
            "before": None if self.before is None else [v.tolist() for v in self.before],
            "slope": self.slope,
        }

    def restore(self, state: dict[str, Any], size: int) -> None:
        """Take back what `state` returned, for vectors of `size`; ModelError for anything else."""
        if not isinstance(state, dict) or set(state) != {"pairs", "before", "slope"} or len(state["pairs"]) > PAIRS:
            raise ModelError("state", "must hold pairs, before and slope and nothing else")
        pairs = [tuple(checks.floats("pairs", v, size) for v in pair) for pair in state["pairs"]]
        before = None if state["before"] is None else tuple(checks.floats("before", v, size) for v in state["before"])
        if any(len(pair) != 3 for pair in pairs) or (before is not None and len(before) != 3):
            raise ModelError("state", "each pair has three vectors")
        self.pairs, self.before = pairs, before  # type: ignore[assignment]
        self.slope = checks.number("slope", state["slope"])


def products(pairs: list[Any], gradient: Floats, conditioned: Floats) -> list[float]:
    """Return a party's own inner products, in the order in which `Products` reads their sums."""
    found = [_dot(gradient, conditioned)]
    for s, y, _ in pairs:
        found += [_dot(s, gradient), _dot(y, conditioned)]
        found += [_dot(s, other) for _, other, _ in pairs]
        found += [_dot(y, other) for _, _, other in pairs]
    if pairs:
        s, y, _ = pairs[-1]
        found += [_dot(s, s), _dot(y, y)]
    return found


class Products:
    """Sums of `products` over all parties, and what follows from them.

    Attributes
    ----------
    gpg, slope
        gᵀP·g, and gᵀs of the newest pair.
    ss, yy
        |s|² and |y|² of the newest pair.
    """

    def __init__(self, n_pairs: int, sums: list[float]) -> None:
        self.gpg, rest = sums[0], sums[1:]
        width = 2 + 2 * n_pairs
        rows = [rest[i * width : (i + 1) * width] for i in range(n_pairs)]
        self.sg, self.ypg = [row[0] for row in rows], [row[1] for row in rows]
        self._sy = [row[2 : 2 + n_pairs] for row in rows]
        self._ypy = [row[2 + n_pairs :] for row in rows]
        self.slope = self.sg[-1] if n_pairs else 0.0
        self.ss, self.yy = rest[n_pairs * width :] if n_pairs else (0.0, 0.0)

    def sy(self, i: int, j: int) -> float:
        """Return s_iᵀy_j."""
        return self._sy[i][j]

    def drop_newest(self) -> None:
        """Forget the newest pair."""
        self.sg, self.ypg = self.sg[:-1], self.ypg[:-1]
        self._sy, self._ypy = ([row[:-1] for row in table[:-1]] for table in (self._sy, self._ypy))

    def direction(self) -> tuple[list[float], list[float], float]:
        """Return the coefficients of s_i, P·y_i and P·g in the direction −H·g."""
        n = len(self.sg)
        if not n:
            return [], [], -FIRST_STEP
        alpha = [0.0] * n
        for i in reversed(range(n)):
            alpha[i] = (self.sg[i] - math.fsum(alpha[j] * self._sy[i][j] for j in range(i + 1, n))) / self._sy[i][i]
        gamma = self._sy[-1][-1] / self._ypy[-1][-1]
        delta = [0.0] * n
        for i in range(n):
            yr = gamma * (self.ypg[i] - math.fsum(alpha[j] * self._ypy[i][j] for j in range(n)))
            yr += math.fsum(delta[j] * self._sy[j][i] for j in range(i))
            delta[i] = alpha[i] - yr / self._sy[i][i]
        return [-d for d in delta], [gamma * a for a in alpha], -gamma

    def slope_of(self, of_s: list[float], of_py: list[float], of_pg: float) -> float:
        """Return gᵀd of a direction in these coefficients."""
        pairs = [(of_pg, self.gpg), *zip(of_s, self.sg, strict=True), *zip(of_py, self.ypg, strict=True)]
        return math.fsum(coefficient * product for coefficient, product in pairs)


def _dot(a: Floats, b: Floats) -> float:
    return math.fsum((a * b).tolist())

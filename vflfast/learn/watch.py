"""How well each round's model separates customers that training does not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..crypto.coded import CodedMatrix
from . import metrics
from .checks import Floats, Labels
from .logistic import cross_entropy, linear_predictor

JOINT = "joint"
Curve = dict[str, list[float]]  # "loss", "auc" and "ks" by round


class RoundWatch:
    """The parties' weights after each round: every side's in one place, so for trials only.

    Parameters
    ----------
    names
        The parties, in any order.
    after_round
        Called with this watch when the last party has brought a round.
    """

    def __init__(self, names: list[str], after_round: Callable[[RoundWatch], None] | None = None) -> None:
        self.rounds: dict[str, list[tuple[Floats, float]]] = {name: [] for name in names}
        self._after_round = after_round

    def of(self, name: str) -> Callable[[Floats, float], None]:
        """Return what a party calls with (weights, intercept) after each of its rounds."""

        def keep(weights: Floats, intercept: float) -> None:
            self.rounds[name].append((weights.copy(), intercept))
            if self._after_round and len({len(kept) for kept in self.rounds.values()}) == 1:
                self._after_round(self)

        return keep

    def joint_auc(self, matrices: Mapping[str, CodedMatrix], labels: Labels) -> float:
        """Return the AUC of Σu by the newest round's weights; `matrices` and `labels` as of `curves`, whose errors it raises."""
        newest = [linear_predictor(matrices[name], *kept[-1]) for name, kept in self.rounds.items()]
        return metrics.roc_auc(labels, np.sum(newest, axis=0))

    def curves(self, matrices: Mapping[str, CodedMatrix], labels: Labels) -> dict[str, Curve]:
        """Return cross-entropy, AUC and KS by round: of u of every party alone, and of Σu as "joint" ([0075], [0124]).

        Parameters
        ----------
        matrices
            The customers' columns by party, n_rows × n_columns each.
        labels
            ±1 in the same order, both present, shape (n_rows,).

        Raises
        ------
        InputError
            Labels of one class only or of another length.
        """
        found: dict[str, Curve] = {name: {"loss": [], "auc": [], "ks": []} for name in (*self.rounds, JOINT)}
        for parts in zip(*self.rounds.values(), strict=True):
            scores = {name: linear_predictor(matrices[name], *part) for name, part in zip(self.rounds, parts, strict=True)}
            scores[JOINT] = np.sum(list(scores.values()), axis=0)
            for name, score in scores.items():
                found[name]["loss"].append(cross_entropy(score, labels))
                found[name]["auc"].append(metrics.roc_auc(labels, score))
                found[name]["ks"].append(metrics.ks(labels, score))
        return found

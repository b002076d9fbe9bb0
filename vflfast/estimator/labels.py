"""Labels beside a VerticalFrame, and customers kept aside to watch the rounds with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crypto.coded import CodedMatrix
from ..data.columns import read_labels
from ..errors import DataError, InputError
from ..learn import metrics
from ..learn.logistic import linear_predictor
from ..protocol.block import AfterRound
from .frame import VerticalFrame

Floats = npt.NDArray[np.float64]


def check_frame(name: str, value: object) -> VerticalFrame:
    """Return a VerticalFrame, unchanged; InputError for anything else."""
    if not isinstance(value, VerticalFrame):
        raise InputError(name, f"must be a VerticalFrame, not {type(value).__name__}")
    return value


def aligned_labels(name: str, y: Any, frame: VerticalFrame) -> tuple[npt.NDArray[Any], npt.NDArray[np.int8]]:
    """Return (the two classes as they are given, the negative one first; labels ±1 in the frame's order).

    Parameters
    ----------
    name
        The argument that errors name.
    y
        {0, 1}, booleans or ±1: a Series whose index holds every customer of `frame`, or n_rows of them in its order.

    Raises
    ------
    InputError
        Another type or shape.
    DataError
        A customer without label, a label outside the coding, one class only.
    """
    if y is None or isinstance(y, pd.DataFrame | str | bytes):
        raise InputError(name, "must be a Series or an array of labels")
    if isinstance(y, pd.Series):
        if not y.index.is_unique or not frame.index.isin(y.index).all():
            raise DataError(name, "its index must hold every customer of X, once")
        cells = y.loc[frame.index]
    else:
        array = np.asarray(y)
        if array.ndim != 1 or len(array) != len(frame):
            raise InputError(name, f"must have shape ({len(frame)},), not {array.shape}; a Series is aligned by customer")
        cells = pd.Series(array)
    labels = read_labels(name, cells.reset_index(drop=True))
    given = cells.to_numpy()
    return np.array([given[int((labels < 0).argmax())], given[int((labels > 0).argmax())]]), labels


class RoundWatch:
    """The parties' weights after each round, and what the joint score of some customers would have been with them."""

    def __init__(self, names: list[str]) -> None:
        self.rounds: dict[str, list[tuple[Floats, float]]] = {name: [] for name in names}

    def of(self, name: str) -> AfterRound:
        """Return what a party calls after each of its rounds."""
        return lambda weights, intercept: self.rounds[name].append((weights.copy(), intercept))

    def curve(self, matrices: Mapping[str, CodedMatrix], labels: npt.NDArray[np.int8]) -> pd.DataFrame:
        """Return AUC and KS of the joint score, by round from 1.

        Parameters
        ----------
        matrices
            The customers' columns by party.
        labels
            ±1 in the same order.
        """
        rows = []
        for parts in zip(*self.rounds.values(), strict=True):
            joint = np.sum([linear_predictor(matrices[name], *part) for name, part in zip(self.rounds, parts, strict=True)], axis=0)
            rows.append((metrics.roc_auc(labels, joint), metrics.ks(labels, joint)))
        return curve_frame([auc for auc, _ in rows], [ks for _, ks in rows])


def curve_frame(auc: list[float], ks: list[float]) -> pd.DataFrame:
    """Return a validation curve as a DataFrame by round from 1."""
    return pd.DataFrame({"auc": auc, "ks": ks}, index=pd.RangeIndex(1, len(auc) + 1, name="round"))

"""Labels beside a VerticalFrame, and the curve of customers kept aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..tables.labels import read_labels
from .frame import VerticalFrame


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
    labels = read_labels(name, [cells.reset_index(drop=True)])
    given = cells.to_numpy()
    return np.array([given[int((labels < 0).argmax())], given[int((labels > 0).argmax())]]), labels


def curve_frame(auc: list[float], ks: list[float]) -> pd.DataFrame:
    """Return a validation curve as a DataFrame by round from 1."""
    return pd.DataFrame({"auc": auc, "ks": ks}, index=pd.RangeIndex(1, len(auc) + 1, name="round"))


def coded_class_weight(class_weight: Any, classes: npt.NDArray[Any]) -> Any:
    """Return class weights by −1 and +1 instead of by the two labels as they are given; InputError for another label."""
    if not isinstance(class_weight, dict):
        return class_weight
    codes = {classes[0].item(): -1, classes[1].item(): 1}
    unknown = [label for label in class_weight if label not in codes]
    if unknown:
        raise InputError("class_weight", f"{unknown[0]!r} is no label; there are {', '.join(map(repr, codes))}")
    return {codes[label]: weight for label, weight in class_weight.items()}

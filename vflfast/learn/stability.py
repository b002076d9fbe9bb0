"""Population stability: how far a distribution over classes is from the one in training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import checks

SHIFTED, DRIFTED = 0.1, 0.25  # the customary limits of credit scoring
EMPTY_COUNT = 0.5  # stands for no row: the index would be infinite


def population_stability(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """PSI = Σ_v (a_v − e_v)·log(a_v/e_v) over the classes' shares e and a; classes that are empty in both count nothing.

    A count of 0 on one side is taken as half a row.

    Parameters
    ----------
    expected, actual
        Rows per class, integers ≥ 0, shape (n_classes,), not all 0.

    Raises
    ------
    InputError
        Wrong type or length, a negative count, no row.
    """
    before = _counts("expected", expected, None)
    now = _counts("actual", actual, before.size)
    used = (before > 0) | (now > 0)
    e = np.maximum(before[used], EMPTY_COUNT) / before.sum()
    a = np.maximum(now[used], EMPTY_COUNT) / now.sum()
    return float(((a - e) * np.log(a / e)).sum())


def verdict(psi: float) -> str:
    """Return "stable" below 0.1, "shifted" below 0.25, else "drifted"."""
    if checks.number("psi", psi, least=0.0) < SHIFTED:
        return "stable"
    return "shifted" if psi < DRIFTED else "drifted"


def _counts(name: str, value: npt.ArrayLike, length: int | None) -> npt.NDArray[np.int64]:
    counts = checks.int64s(name, value, length)
    if counts.min() < 0 or counts.max() == 0:
        raise InputError(name, "must be rows per class, none negative and not all 0")
    return counts

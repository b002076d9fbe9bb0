"""How well each feature alone separates the labels: one that does so nearly perfectly was probably made after them (leakage, [0090])."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..crypto.coded import CodedMatrix
from ..errors import InputError
from ..params import LEAK_AUC, LEAK_CLASS_ROWS
from .metrics import roc_auc

Labels = npt.NDArray[np.int8]


def feature_auc(codes: npt.NDArray[np.uint8], labels: Labels) -> float:
    """Return the AUC of the share of +1 in a row's class, classes under `LEAK_CLASS_ROWS` rows taken together.

    A class of few rows has a share near 0 or 1 by chance; taken together they cannot make a harmless column look like a leak.

    Parameters
    ----------
    codes
        shape (n_rows,), the row's class of one feature.
    labels
        shape (n_rows,), −1 and +1, both present.

    Raises
    ------
    InputError
        Lengths differ, or one class of labels only.
    """
    if len(codes) != len(labels):
        raise InputError("codes", f"{len(codes)} rows, {len(labels)} labels")
    rows = np.bincount(codes, minlength=256)
    merged = np.where(rows[codes] < LEAK_CLASS_ROWS, 256, codes.astype(np.int64))
    rows = np.bincount(merged, minlength=257)
    share = np.bincount(merged[labels > 0], minlength=257) / np.maximum(rows, 1)
    return roc_auc(labels, share[merged])


def suspects(matrix: CodedMatrix, names: list[str], labels: Labels) -> dict[str, float]:
    """Return the features whose AUC alone is above `LEAK_AUC`, by name; none where the labels are all the same."""
    if len(np.unique(labels)) < 2:
        return {}
    found = ((name, feature_auc(codes, labels)) for name, codes in zip(names, matrix.codes, strict=True))
    return {name: auc for name, auc in found if auc > LEAK_AUC}

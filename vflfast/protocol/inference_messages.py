"""Messages of the standard errors (inference.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .fields import Limbs
from .message import Message


@dataclass(frozen=True)
class Curvature(Message):
    """Guest to host: [[w·σ′(u)]], one ciphertext a row."""

    kind = 50
    phase = "inference"
    ciphertexts: Limbs


@dataclass(frozen=True)
class WeighedColumn(Message):
    """Data party to data party: rows of one column, [[z]] or [[w·σ′(u)·z]], one ciphertext a row.

    `number`: of the message among these, from 0; `largest`: of |z| over all columns.
    """

    kind = 51
    phase = "inference"
    number: int
    largest: int
    ciphertexts: Limbs


@dataclass(frozen=True)
class ColumnMoments(Message):
    """Data party to arbiter: sums of its columns and of their products, in the clear and of weighted rows encrypted; the penalty.

    `features`: the number of the feature of each column. `sums` and `products` (upper triangle by rows) are 64-bit two's complements;
    `weighted` has the constant first, then as these.
    """

    kind = 52
    phase = "inference"
    alpha: float
    features: Limbs
    sums: Limbs
    products: Limbs
    weighted: Limbs


@dataclass(frozen=True)
class CrossMoments(Message):
    """Data party to arbiter: encrypted sums of products of another's columns and its own, of all rows and of weighted ones, row by row."""

    kind = 53
    phase = "inference"
    plain: Limbs
    weighted: Limbs


@dataclass(frozen=True)
class StandardErrors(Message):
    """Arbiter to data party: what is due to its columns (learn/inference.py); the intercept's is the guest's, NaN for others.

    `partners`: shape (n_columns, 1), the number of the column of another party with the strongest correlation, counted over all parties.
    """

    kind = 54
    phase = "inference"
    intercept: float
    errors: npt.NDArray[np.float64]
    inflation: npt.NDArray[np.float64]
    correlation: npt.NDArray[np.float64]
    partners: Limbs

"""Weight of evidence: a class's share of the positives against its share of the negatives, as an integer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..crypto.codec import encode
from ..errors import InputError
from ..learn.elementary import log
from ..params import WOE_BOUND, WOE_FRAC_BITS

Ints = npt.NDArray[np.int64]
LARGEST_WOE = int(WOE_BOUND) << WOE_FRAC_BITS


def weight_of_evidence(rows: npt.ArrayLike, positives: npt.ArrayLike) -> tuple[Ints, float]:
    """Return (round(2^10·WOE_k), IV) of a feature's classes k with n_k rows, of which p_k are positive and q_k = n_k − p_k are not.

    With P = Σp, Q = Σq and K classes that have rows: a_k = (p_k + ½)/(P + K/2), b_k = (q_k + ½)/(Q + K/2), WOE_k = ln(a_k/b_k),
    IV = Σ(a_k − b_k)·WOE_k. A class without rows has WOE 0. (Good 1950; Siddiqi 2006, "Credit Risk Scorecards", ch. 6.)

    Parameters
    ----------
    rows, positives
        Whole numbers, shape (n_classes,), 0 ≤ p_k ≤ n_k, both below 2^31.

    Raises
    ------
    InputError
        Other numbers or shapes.
    """
    n, p = _counts("rows", rows), _counts("positives", positives)
    if n.shape != p.shape:
        raise InputError("positives", f"has {p.size} numbers for {n.size} classes")
    if (p > n).any():
        raise InputError("positives", "are more than the rows in some class")
    q, used = n - p, int((n > 0).sum())
    total_p, total_q = 2 * int(p.sum()) + used, 2 * int(q.sum()) + used
    values, information = np.zeros(n.size), 0.0
    for k in np.flatnonzero(n).tolist():
        twice_p, twice_q = 2 * int(p[k]) + 1, 2 * int(q[k]) + 1
        values[k] = float(log((twice_p * total_q) / (twice_q * total_p)))  # a quotient of integers: rounded once
        information += (twice_p / total_p - twice_q / total_q) * float(values[k])
    return encode(values, WOE_FRAC_BITS, WOE_BOUND, "weight of evidence"), information


def _counts(name: str, values: npt.ArrayLike) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise InputError(name, "must be whole numbers, one a class")
    if int(array.min()) < 0 or int(array.max()) >= 1 << 31:
        raise InputError(name, "must be from 0 to 2^31 - 1")
    return array.astype(np.int64)

"""Row numbers in messages, and selections of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError

SHOWN_ROWS = 10  # row numbers listed in one message


def row_numbers(index: npt.ArrayLike) -> str:
    """Return "rows 1, 5, 9 (and 3 more)" for positions counted from 0; row 1 is the first row of data."""
    positions = np.asarray(index, dtype=np.int64) + 1
    shown = ", ".join(str(int(row)) for row in positions[:SHOWN_ROWS])
    more = f" (and {positions.size - SHOWN_ROWS} more)" if positions.size > SHOWN_ROWS else ""
    return f"row{'s' if positions.size > 1 else ''} {shown}{more}"


def row_index(name: str, rows: object, n_rows: int) -> npt.NDArray[np.int64]:
    """Return the positions that a boolean mask or a list of distinct positions selects.

    Raises
    ------
    InputError
        Not a mask of `n_rows` booleans nor distinct integers in 0..n_rows-1, or nothing selected.
    """
    chosen = np.asarray(rows)
    if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
        raise InputError(name, "must be a one-dimensional boolean mask or an array of row positions")
    if chosen.dtype == np.bool_:
        if chosen.size != n_rows:
            raise InputError(name, f"the mask has {chosen.size} entries for {n_rows} rows")
        chosen = np.flatnonzero(chosen)
    if chosen.size == 0:
        raise InputError(name, "selects no row")
    if chosen.min() < 0 or chosen.max() >= n_rows:
        raise InputError(name, f"positions must be 0..{n_rows - 1}")
    if np.bincount(chosen.astype(np.int64), minlength=n_rows).max() > 1:
        raise InputError(name, "selects a row twice")
    return chosen.astype(np.int64)

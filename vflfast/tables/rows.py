"""Row numbers in messages, and selections of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError

SHOWN_ROWS = 10  # row numbers listed in one message


def row_numbers(index: npt.ArrayLike, count: int | None = None) -> str:
    """Return "rows 1, 5, 9 (and 3 more)" for positions counted from 0; row 1 is the first row of data.

    With `count`, that many are meant, of which `index` has the first.
    """
    positions = np.asarray(index, dtype=np.int64) + 1
    n_rows = positions.size if count is None else count
    shown = ", ".join(str(int(row)) for row in positions[:SHOWN_ROWS])
    more = f" (and {n_rows - SHOWN_ROWS} more)" if n_rows > SHOWN_ROWS else ""
    return f"row{'s' if n_rows > 1 else ''} {shown}{more}"


class RowList:
    """Rows that are found piece by piece: how many, and the first of them, as many as a message has room for.

    Parameters
    ----------
    most
        Rows to keep.

    Attributes
    ----------
    count
        Rows added; true of a RowList with any.
    first
        int64, the smallest of them in ascending order, at most `most`.
    """

    def __init__(self, most: int = SHOWN_ROWS) -> None:
        self._most, self.count, self.first = most, 0, np.empty(0, dtype=np.int64)

    def add(self, rows: npt.ArrayLike) -> None:
        """Add positions counted from 0, in any order, none added before."""
        found = np.asarray(rows, dtype=np.int64)
        self.count += found.size
        if found.size:
            self.first = np.sort(np.concatenate([self.first, found]))[: self._most]

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        return row_numbers(self.first, self.count)


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
    seen = np.zeros(n_rows, dtype=bool)
    seen[chosen] = True
    if np.count_nonzero(seen) < chosen.size:
        raise InputError(name, "selects a row twice")
    return chosen.astype(np.int64)

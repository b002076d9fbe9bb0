"""Small tables, and the integer matrix behind the codes, for the tests of the data wing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vflfast.crypto.coded import CodedMatrix
from vflfast.tables.table import Table


def table(kinds: dict[str, str] | None = None, **columns: Any) -> Table:
    """A table whose lists of numbers are numeric columns and whose lists of text are categories."""
    found = {name: "numeric" if np.asarray(cells).dtype.kind in "fi" else "categorical" for name, cells in columns.items()}
    found |= kinds or {}
    frame = {name: pd.Series(cells, dtype=object if found[name] == "categorical" else float) for name, cells in columns.items()}
    n_rows = len(next(iter(columns.values())))
    return Table(np.array([f"id{k}" for k in range(n_rows)], dtype=object), pd.DataFrame(frame), found)


def dense(coded: CodedMatrix) -> npt.NDArray[np.int64]:
    """The integer matrix, straight from the definition."""
    columns = [coded.column_values[j][coded.codes[f]] for j, f in enumerate(coded.column_features)]
    return np.stack(columns, axis=1)

"""CSV text without quotes, by pyarrow where it is installed: the cells that the csv module would give, about ten times as fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def plain_columns(text: str, n_columns: int, separator: str = ",") -> list[Any] | None:
    """Return the columns of whole lines as string arrays, null where empty, or None where only the csv module's word counts.

    That is with quotes, a row of another length, or without pyarrow.
    """
    if '"' in text:
        return None
    try:
        import pyarrow
        import pyarrow.csv
    except ImportError:
        return None
    data, names = text.encode(), [str(k) for k in range(n_columns)]
    try:
        table = pyarrow.csv.read_csv(
            pyarrow.BufferReader(data),
            pyarrow.csv.ReadOptions(column_names=names, block_size=len(data) + 1),
            pyarrow.csv.ParseOptions(delimiter=separator, quote_char=False),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()), null_values=[""], strings_can_be_null=True),
        )
    except pyarrow.ArrowException:
        return None
    return [column.combine_chunks() for column in table.columns]


def plain_numbers(cells: Any) -> npt.NDArray[np.float64] | None:
    """Return a string array as float64, NaN where null, or None if a cell is not certainly a finite number.

    Both libraries round to the nearest float64, so what is finite here is what `float` gives.
    """
    import pyarrow

    try:
        values: npt.NDArray[np.float64] = cells.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    except pyarrow.ArrowException:
        return None
    return values if np.count_nonzero(~np.isfinite(values)) == cells.null_count else None


def plain_texts(cells: Any) -> list[str]:
    """Return a string array as a list, "" where null."""
    return ["" if cell is None else cell for cell in cells.to_pylist()]

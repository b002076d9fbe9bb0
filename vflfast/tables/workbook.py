"""Sheets of Excel workbooks (.xlsx) as named columns, read by openpyxl."""

from __future__ import annotations

import datetime
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from .rows import row_numbers

MAX_DIGITS = 10**15  # Excel keeps fifteen digits of a number and writes zeros for the others
MIDNIGHT = datetime.time()
_DAMAGED = (KeyError, ValueError, TypeError, OSError, EOFError, SyntaxError, RuntimeError, zipfile.BadZipFile, zlib.error)  # archive, XML


def read_workbook(path: Path, sheet: str | None) -> tuple[list[str], Callable[[str], pd.Series[Any]]]:
    """Return the header of a sheet and a function that returns one column; the whole sheet is in memory.

    A column of numbers is float64, whole ones int64 where no cell is empty; one of dates datetime64, one of booleans bool or objects with
    None; any other is text, its dates in ISO form, "" where empty. Cells that show an error are its text, such as ``#N/A``.

    Raises
    ------
    DataError
        No workbook, a damaged one, an unnamed choice of sheets, or cells without a name in the header; `argument` is the path.
    """
    header, rows = _header_and_rows(path, sheet)
    names = ["" if name is None else str(name).strip() for name in header]
    wide = [number for number, row in enumerate(rows, start=1) if any(cell is not None for cell in row[len(names) :])]
    if wide:
        raise DataError(str(path), f"rows have more cells than the header has names, {row_numbers(np.array(wide) - 1)}")
    place = {name: k for k, name in enumerate(names)}

    def fetch(name: str) -> pd.Series[Any]:
        column = place[name]
        return _column(name, [row[column] if column < len(row) else None for row in rows])

    return names, fetch


def first_header(path: Path, sheet: str | None) -> list[str]:
    """Return the names of a sheet's columns; DataError as `read_workbook`."""
    header, _ = _header_and_rows(path, sheet, 0)
    return ["" if name is None else str(name).strip() for name in header]


def _header_and_rows(path: Path, sheet: str | None, n_rows: int | None = None) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    """Return the first row without its empty end, and the others that have a value."""
    try:
        import openpyxl
    except ImportError:
        raise DataError(str(path), "reading Excel workbooks needs the package openpyxl: pip install 'vflfast[excel]'") from None
    try:
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            rows = _values(workbook[_chosen(path, [one.title for one in workbook.worksheets], sheet)])
            return _without_empty_end(next(rows, ())), list(islice(filter(_has_value, rows), n_rows))
        finally:
            workbook.close()
    except DataError:
        raise
    except (*_DAMAGED, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(str(path), f"is no Excel workbook, is protected by a password, or is damaged ({type(error).__name__})") from None


def _values(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as far as they go, whatever size the file states for the sheet."""
    sheet.reset_dimensions()
    return iter(sheet.iter_rows(values_only=True))


def _chosen(path: Path, sheets: list[str], sheet: str | None) -> str:
    if sheet is None and len(sheets) == 1:
        return sheets[0]
    if sheet not in sheets:
        wanted = "the workbook has several sheets" if sheet is None else f"the workbook has no sheet {sheet!r}"
        raise DataError(str(path), f"{wanted}: say sheet, one of {', '.join(map(repr, sheets))}")
    return sheet


def _has_value(row: tuple[Any, ...]) -> bool:
    return any(cell is not None for cell in row)


def _without_empty_end(row: tuple[Any, ...]) -> tuple[Any, ...]:
    size = len(row)
    while size and row[size - 1] is None:
        size -= 1
    return row[:size]


def _column(name: str, cells: list[Any]) -> pd.Series[Any]:
    given = [cell for cell in cells if cell is not None]
    types = {type(cell) for cell in given}
    if types <= {int, float}:
        _refuse_lost_digits(name, cells)
        whole = len(given) == len(cells) and all(cell == int(cell) for cell in given)
        return pd.Series(cells, dtype=np.int64 if whole else np.float64)
    if types <= {datetime.datetime, datetime.date}:
        return pd.to_datetime(pd.Series(cells, dtype=object))
    if types == {bool}:
        return pd.Series(cells, dtype=bool if len(given) == len(cells) else object)
    return pd.Series([_text(cell) for cell in cells], dtype=object)


def _refuse_lost_digits(name: str, cells: list[Any]) -> None:
    """Refuse whole numbers that Excel cannot have kept: account and card numbers, as a rule."""
    long = [row for row, cell in enumerate(cells) if cell is not None and abs(cell) >= MAX_DIGITS and cell == int(cell)]
    if long:
        raise DataError(name, f"numbers of more than fifteen digits, which Excel rounds, in {row_numbers(long)}; store them as text")


def _text(cell: Any) -> str:
    """Return a cell of a column of several types as text, as a CSV would have it."""
    if cell is None:
        return ""
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == MIDNIGHT else cell.isoformat(sep=" ")
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)

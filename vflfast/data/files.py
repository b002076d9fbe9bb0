"""CSV and Parquet files as named columns."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from ..errors import DataError
from .columns import parse_numbers

CHUNK_CELLS = 1 << 21  # cells held as text at a time: about 150 MB


@dataclass(frozen=True)
class ColumnSource:
    """Column names in file order, and a function that returns one column."""

    names: list[str]
    fetch: Callable[[str], pd.Series[Any]]


def open_columns(path: Path, text_columns: frozenset[str]) -> ColumnSource:
    """Open a CSV (.csv, .csv.gz) or Parquet (.parquet) file; CSV cells of `text_columns` are left as they are.

    Raises
    ------
    DataError
        No such file, another suffix, or a damaged file; `argument` is the path.
    """
    name = path.name.lower()
    if not path.is_file():
        raise DataError(str(path), "no such file")
    if name.endswith((".csv", ".csv.gz")):
        return _csv_columns(path, text_columns)
    if name.endswith(".parquet"):
        return _parquet_columns(path)
    raise DataError(str(path), "must end in .csv, .csv.gz or .parquet")


# --- CSV ---------------------------------------------------------------------------------------------------------


def _csv_columns(path: Path, text_columns: frozenset[str]) -> ColumnSource:
    reader = _CsvReader(path, text_columns)
    if reader.unsettled:  # number-like at first, text further down: read once more with those columns as text
        reader = _CsvReader(path, text_columns | reader.unsettled)
    return ColumnSource(reader.names, reader.fetch)


class _CsvReader:
    """Reads a CSV in chunks: number columns as float64, the others as text, "" where empty."""

    def __init__(self, path: Path, text_columns: frozenset[str]) -> None:
        self.path = path
        self.unsettled: frozenset[str] = frozenset()
        self._text = set(text_columns)
        try:
            with _open_text(path) as file:
                rows = csv.reader(file, strict=True)
                self.names = next(rows, [])
                _check_header(path, self.names)
                self._parts: list[list[Any]] = [[] for _ in self.names]
                for chunk in self._chunks(rows):
                    self._add(chunk)
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            # the class only: csv and codec messages may quote cells
            raise DataError(str(path), f"cannot be read as CSV in UTF-8 ({type(error).__name__})") from None

    def _chunks(self, rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
        n_read, step = 0, max(1, CHUNK_CELLS // len(self.names))
        filled = filter(None, rows)  # a blank line is no row
        while chunk := list(islice(filled, step)):
            for row, cells in enumerate(chunk, start=n_read + 1):
                if len(cells) != len(self.names):
                    raise DataError(str(self.path), f"row {row} has {len(cells)} cells, the header has {len(self.names)}")
            yield chunk
            n_read += len(chunk)

    def _add(self, chunk: list[list[str]]) -> None:
        for name, parts, cells in zip(self.names, self._parts, zip(*chunk, strict=True), strict=True):
            numbers = None if name in self._text else parse_numbers(cells)
            if numbers is None and name not in self._text:
                if parts:
                    self.unsettled |= {name}
                self._text.add(name)
            parts.append(list(cells) if numbers is None else numbers)

    def fetch(self, name: str) -> pd.Series[Any]:
        """Hand over one column, as float64 or as objects; it is then no longer held here."""
        column = self.names.index(name)
        parts, self._parts[column] = self._parts[column], []
        if name in self._text:
            return pd.Series([cell for part in parts for cell in part], dtype=object)
        return pd.Series(np.concatenate(parts) if parts else np.empty(0))


def _open_text(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _check_header(path: Path, names: list[str]) -> None:
    if not names or "" in names:
        raise DataError(str(path), "needs a header line with a name for every column")


# --- Parquet -----------------------------------------------------------------------------------------------------


def _parquet_columns(path: Path) -> ColumnSource:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(str(path), "reading Parquet needs the package pyarrow") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(str(path), f"cannot be read as Parquet ({type(error).__name__})") from None

    def fetch(name: str) -> pd.Series[Any]:
        try:  # column by column: the whole table is never held twice
            column: pd.Series[Any] = file.read(columns=[name]).column(name).to_pandas()
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(str(path), f"column {name!r} cannot be read ({type(error).__name__})") from None
        return column

    return ColumnSource(list(file.schema_arrow.names), fetch)

"""CSV, Parquet and Excel files as named columns."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
import pandas as pd

from ..crypto import storage
from ..errors import DataError
from ..params import IDS_PER_PASS
from .columns import Floats, parse_numbers
from .forms import Forms
from .id_texts import passes
from .plain_csv import plain_columns, plain_numbers, plain_texts
from .workbook import first_header, read_workbook

BLOCK_CHARS = 1 << 24  # of a CSV without quotes that are parsed at a time
CHUNK_CELLS = 1 << 21  # cells of another CSV held as text at a time: about 150 MB
SPOOL_BYTES = 1 << 26  # cells of a CSV beyond this wait in a temporary file
CODE_ROWS = 1000  # of a column that are looked at for leading zeros
ENCODING_BYTES = 1 << 16  # of a file that are tried in other encodings
WORKBOOK = ".xlsx"
OTHER_ENCODINGS = ("utf-8", "gb18030", "utf-16", "cp1252")
_CODE_LINE = re.compile(r"^0\d+$", re.MULTILINE)
GROUP_CELLS = 1 << 22  # cells of a Parquet file that are read at a time, whole columns of them


@dataclass(frozen=True)
class ColumnSource:
    """Column names in file order, and a function that returns one column; no more than a few columns are in memory.

    `pieces`, where a source has it, gives the same column some rows at a time: each piece as `fetch` would give it by itself.
    """

    names: list[str]
    fetch: Callable[[str], pd.Series[Any]]
    pieces: Callable[[str], Iterator[pd.Series[Any]]] | None = None

    def in_pieces(self, name: str) -> Iterator[pd.Series[Any]]:
        """Yield one column in pieces where a scratch folder is in use and the source has them; else whole."""
        if storage.folder() is None or self.pieces is None:
            yield self.fetch(name)
        else:
            for piece in self.pieces(name):
                yield from passes(piece)


def open_columns(path: Path, text_columns: frozenset[str], forms: Forms = Forms()) -> ColumnSource:  # noqa: B008  (frozen)
    """Open a CSV (.csv, .csv.gz), Parquet (.parquet) or Excel (.xlsx) file; CSV cells of `text_columns` are left as they are.

    Raises
    ------
    DataError
        No such file, another suffix, or a damaged file; `argument` is the path.
    """
    name = path.name.lower()
    if not os.path.isfile(path):  # no error for a name that no file can have
        raise DataError(str(path), "no such file")
    if name.endswith((".csv", ".csv.gz")):
        return _csv_columns(path, text_columns, forms)
    if name.endswith(".parquet"):
        return _parquet_columns(path)
    if name.endswith(WORKBOOK):
        names, fetch = read_workbook(path, forms.sheet)
        _check_header(path, names, forms)
        return ColumnSource(names, fetch)
    raise DataError(str(path), f"must end in .csv, .csv.gz, .parquet or {WORKBOOK}")


def first_column(path: Path, forms: Forms) -> str:
    """Return the name of a file's first column, without reading its cells; DataError as `open_columns`."""
    if path.name.lower().endswith(WORKBOOK):
        return next(filter(None, first_header(path, forms.sheet)), "")
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        return open_columns(path, frozenset()).names[0]
    if not os.path.isfile(path):
        raise DataError(str(path), "no such file")
    try:
        with _open_text(path, forms.encoding) as file:
            names = next(csv.reader(file, strict=True, delimiter=forms.separator), [])
    except (OSError, EOFError, zlib.error, UnicodeError, csv.Error) as error:
        raise DataError(str(path), f"cannot be read: {_fault(error, path, forms)}") from None
    _check_header(path, names, forms)
    return next(name for name in names if name)


# --- CSV ---------------------------------------------------------------------------------------------------------


def _csv_columns(path: Path, text_columns: frozenset[str], forms: Forms) -> ColumnSource:
    reader = _CsvReader(path, text_columns, forms)
    if reader.unsettled:  # number-like at first, text further down: read once more with those columns as text
        reader = _CsvReader(path, text_columns | reader.unsettled, forms)
    return ColumnSource(reader.names, reader.fetch, reader.pieces)


class _CsvReader:
    """Reads a CSV in chunks: number columns as float64, the others as text, "" where empty.

    The cells wait column by column in a temporary file without a name, which the system removes with the process.
    """

    def __init__(self, path: Path, text_columns: frozenset[str], forms: Forms) -> None:
        self.path, self._forms = path, forms
        self.unsettled: frozenset[str] = frozenset()
        self._text = set(text_columns)
        try:
            with _open_text(path, forms.encoding) as file:
                rows = csv.reader(file, strict=True, delimiter=forms.separator)
                self.names = next(rows, [])
                _check_header(path, self.names, forms)
                if not forms.plain_numbers:
                    self._text |= set(self.names)
                self._position = {name: k for k, name in enumerate(self.names)}
                self._store = _spool()
                self._ends: list[list[int]] = []  # of every chunk: where in the store each of its columns ends
                for columns in _made_ahead(self._columns(file)):
                    self._add(columns)
        except (OSError, EOFError, zlib.error, UnicodeError, csv.Error) as error:
            raise DataError(str(path), f"cannot be read: {_fault(error, path, forms)}") from None

    def _columns(self, file: TextIO) -> Iterator[list[Any]]:
        """Yield the columns of some rows at a time: by blocks of lines while these are plain, else by the csv module."""
        n_read, rest = 0, ""
        while text := file.read(BLOCK_CHARS):
            end = text.rfind("\n") + 1
            found = plain_columns(rest + text[:end], len(self.names), self._forms.separator, self._settled()) if end else None
            if found is None:
                rest += text
                break
            yield found
            n_read += len(found[0])
            rest = text[end:]
        lines = io.StringIO(rest + file.readline(), newline="")  # the line that a block ended in is made whole
        yield from self._csv_columns(csv.reader(chain(lines, file), strict=True, delimiter=self._forms.separator), n_read)

    def _settled(self) -> list[int]:
        """The columns that were numbers so far."""
        return [k for k, name in enumerate(self.names) if name not in self._text] if self._ends else []

    def _csv_columns(self, rows: Iterator[list[str]], n_read: int) -> Iterator[list[tuple[str, ...]]]:
        step = max(1, CHUNK_CELLS // len(self.names))
        filled = filter(None, rows)  # a blank line is no row
        while chunk := list(islice(filled, step)):
            for row, cells in enumerate(chunk, start=n_read + 1):
                if len(cells) != len(self.names):
                    raise DataError(str(self.path), f"row {row} has {len(cells)} cells, the header has {len(self.names)}")
            yield list(zip(*chunk, strict=True))
            n_read += len(chunk)

    def _add(self, columns: list[Any]) -> None:
        pieces = [self._piece(name, cells) for name, cells in zip(self.names, columns, strict=True)]
        start = self._ends[-1][-1] if self._ends else 0
        try:
            self._store.writelines(pieces)
            self._store.flush()
        except OSError as error:
            raise DataError(str(self.path), f"its cells do not fit in the folder for temporary files: {error.strerror}") from None
        self._ends.append(list(accumulate(map(len, pieces), initial=start)))

    def _piece(self, name: str, cells: Any) -> bytes:
        if isinstance(cells, np.ndarray):  # numbers already; if the column is no longer settled, the file is read once more
            return cells.tobytes()
        numbers = None if name in self._text else _numbers(cells)
        if numbers is not None and not (self._ends or _are_codes(cells)):
            return numbers.tobytes()
        if numbers is not None and self._ends:
            return numbers.tobytes()
        if name not in self._text:
            if self._ends:
                self.unsettled |= {name}
            self._text.add(name)
        return json.dumps(cells if isinstance(cells, tuple) else plain_texts(cells)).encode()

    def fetch(self, name: str) -> pd.Series[Any]:
        """Return one column, as float64 or as objects."""
        parts = self._parts(name)
        if name in self._text:
            return pd.Series([cell for part in parts for cell in json.loads(part)], dtype=object)
        return pd.Series(np.frombuffer(b"".join(parts), dtype=np.float64))

    def pieces(self, name: str) -> Iterator[pd.Series[Any]]:
        """Yield one column by the chunks that it was read in."""
        for part in self._parts(name):
            yield pd.Series(json.loads(part), dtype=object) if name in self._text else pd.Series(np.frombuffer(part, dtype=np.float64))

    def _parts(self, name: str) -> Iterator[bytes]:
        column = self._position[name]
        for ends in self._ends:
            self._store.seek(ends[column])
            yield self._store.read(ends[column + 1] - ends[column])


def _made_ahead(items: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """Yield what an iterator gives, each made by another thread while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _spool() -> IO[bytes]:
    """Return a temporary file for a table's cells; without a scratch folder, a small table's stay in memory."""
    if storage.folder() is not None:
        return tempfile.TemporaryFile(dir=storage.folder())
    return tempfile.SpooledTemporaryFile(SPOOL_BYTES)


def _are_codes(cells: Any) -> bool:
    """Whether digits have leading zeros, by the first rows: then they are kept as text, and a person is asked (columns.py)."""
    first = cells[:CODE_ROWS]
    texts = first if isinstance(first, tuple) else plain_texts(first)
    return _CODE_LINE.search("\n".join(texts)) is not None


def _fault(error: Exception, path: Path, forms: Forms) -> str:
    """Say what is wrong with a CSV file; the libraries' own messages may quote cells."""
    if isinstance(error, UnicodeError):
        could = [f'"{name}"' for name in OTHER_ENCODINGS if name != forms.encoding and _decodes(path, name)]
        way_on = f"; it could be {' or '.join(could)}: say encoding = {could[0]}" if could else "; say its encoding"
        return f"its text is not in {forms.encoding.upper()}{way_on}"
    if isinstance(error, csv.Error):
        return "a quote is not closed, or a cell goes on after its closing quote, or a cell is too long"
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
        return "it is no gzip file, or only a part of one"
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _numbers(cells: Any) -> Floats | None:
    """Return the cells of a column as `parse_numbers` would."""
    if isinstance(cells, tuple):
        return parse_numbers(cells)
    found = plain_numbers(cells)
    return parse_numbers(plain_texts(cells)) if found is None else found


def _open_text(path: Path, encoding: str) -> TextIO:
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _decodes(path: Path, encoding: str) -> bool:
    """Whether the beginning of a file is text in an encoding; one that takes any bytes must give letters, not signs."""
    with path.open("rb") if not path.name.lower().endswith(".gz") else gzip.open(path) as file:
        try:
            start = file.read(ENCODING_BYTES)
        except (OSError, EOFError, zlib.error):  # damaged further down
            return False
    marked = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if (encoding == "utf-16") != marked:
        return False
    try:
        codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeError:
        return False
    return True


def _check_header(path: Path, names: list[str], forms: Forms) -> None:
    if not names:
        raise DataError(str(path), "needs a header line with a name for every column")
    if "" in names and "" not in forms.drop:
        place = names.index("") + 1
        index = ", and looks like the row numbers that pandas writes" if place == 1 else ""
        raise DataError(str(path), f'column {place} has no name in the header{index}; drop = [""] leaves it out')


# --- Parquet -----------------------------------------------------------------------------------------------------


def _parquet_columns(path: Path) -> ColumnSource:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(str(path), "reading Parquet needs the package pyarrow: pip install 'vflfast[parquet]'") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(str(path), f"is no Parquet file, or is damaged ({type(error).__name__})") from None

    reader = _ParquetReader(path, file)
    return ColumnSource(list(file.schema_arrow.names), reader.fetch, reader.pieces)


class _ParquetReader:
    """Reads groups of neighbouring columns: each call of the library looks through the whole file's metadata."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file
        self._names = list(file.schema_arrow.names)
        self._size = max(1, GROUP_CELLS // max(1, file.metadata.num_rows))
        self._ahead: dict[str, Any] = {}

    def fetch(self, name: str) -> pd.Series[Any]:
        """Return one column."""
        if name not in self._ahead:
            self._ahead = {}  # dropped before the next group is read
            first = self._names.index(name)
            self._ahead = self._read(self._names[first : first + self._size])
        column: pd.Series[Any] = self._ahead.pop(name).to_pandas()
        return column

    def pieces(self, name: str) -> Iterator[pd.Series[Any]]:
        """Yield one column `IDS_PER_PASS` rows at a time; one of booleans whole, since pandas has two types for them."""
        import pyarrow

        if pyarrow.types.is_boolean(self._file.schema_arrow.field(name).type):
            yield self.fetch(name)
            return
        try:
            for batch in self._file.iter_batches(IDS_PER_PASS, columns=[name]):
                yield batch.column(name).to_pandas()
        except (OSError, pyarrow.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def _read(self, names: list[str]) -> dict[str, Any]:
        import pyarrow

        try:
            group = self._file.read(columns=names)
            return {name: group.column(name) for name in names}
        except (OSError, pyarrow.ArrowException) as error:
            if len(names) > 1:
                return self._read(names[:1])  # a damaged neighbour: its own turn names it
            raise self._unreadable(names[0], error) from None

    def _unreadable(self, name: str, error: Exception) -> DataError:
        return DataError(str(self._path), f"column {name!r} cannot be read ({type(error).__name__})")

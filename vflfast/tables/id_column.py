"""The id column of a table: whole, or out of memory by pieces, with the same result and the same refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ..crypto import storage
from ..errors import DataError
from ..params import ID_DIGEST_BYTES
from .columns import cell_texts, texts_or_none
from .files import ColumnSource
from .id_forms import LOGGED_ROWS, looks_like_floats, normalise, put_in_form, refuse_form
from .id_texts import Ids, IdTexts
from .rows import RowList, row_numbers
from .sorting import SortedRuns, repeats

LARGEST_WHOLE = 2.0**53  # below, a float is the whole number that it shows
NO_ROWS, TWICE = "the table has no rows", "an id more than once"


def read_ids(name: str, source: ColumnSource, id_format: str) -> Ids | IdTexts:
    """Return the normalised ids of a column, each once; `IdTexts` where a scratch folder is in use and the source gives pieces.

    Raises
    ------
    DataError
        No row, cells that are no ids, an id that is missing, malformed or there twice; `argument` is the column.
    """
    if storage.folder() is not None and source.pieces is not None:
        return _Reader(name, id_format).read(source.in_pieces(name))
    cells = source.fetch(name)
    if len(cells) == 0:
        raise DataError(name, NO_ROWS)
    _check_type(name, cells, id_format)
    texts = cell_texts(name, cells)
    _refuse_floats(name, texts, id_format)
    ids = normalise(texts, id_format, name=name)
    twice = np.flatnonzero(pd.Series(ids, dtype=object).duplicated(keep=False).to_numpy())
    if twice.size:
        raise DataError(name, f"{TWICE}, {row_numbers(twice)}")
    return ids


def _refuse_floats(name: str, texts: Ids, id_format: str, first: int = 0) -> None:
    """Refuse ids that went through a spreadsheet, where most look like that, and say the way on."""
    odd = looks_like_floats(texts) if id_format == "text" else []
    if 2 * len(odd) > len(texts):
        raise DataError(
            name, f"ids look like numbers that went through a spreadsheet, such as 123.0, in {row_numbers(np.array(odd) + first)}; "
            'id_format = "digits" takes the .0 off, at all parties'
        )  # fmt: skip


def _check_type(name: str, cells: pd.Series[Any], id_format: str) -> None:
    if id_format == "digits" and pd.api.types.is_float_dtype(cells.dtype):
        whole = cells.dropna()
        if bool(((whole == np.rint(whole)) & (whole.abs() < LARGEST_WHOLE)).all()):
            return
    if pd.api.types.is_float_dtype(cells.dtype) or pd.api.types.is_bool_dtype(cells.dtype):
        raise DataError(name, f"ids must be text or integers, not {cells.dtype}; digits may be lost")
    if cells.dtype == object and any(isinstance(cell, (float, bool)) and cell == cell for cell in cells):
        raise DataError(name, "ids must be text or integers; digits may be lost")


class _Reader:
    """Reads ids by pieces. What is wrong with them is told at the end, in the order in which a whole column is checked."""

    def __init__(self, name: str, id_format: str) -> None:
        self._name, self._id_format = name, id_format
        self._n_rows = 0
        self._unreadable, self._missing, self._malformed = RowList(), RowList(), RowList(LOGGED_ROWS)
        self._digests = storage.Growing(np.uint8, ID_DIGEST_BYTES)

    def read(self, pieces: Iterator[pd.Series[Any]]) -> IdTexts:
        ids = IdTexts(self._good(pieces))
        if not self._n_rows:
            raise DataError(self._name, NO_ROWS)
        if self._unreadable:
            raise DataError(self._name, f"neither text nor number in {self._unreadable}")
        if self._missing:
            raise DataError(self._name, f"missing, or not text, in {self._missing}")
        refuse_form(self._name, self._malformed, self._id_format)
        if twice := repeats(SortedRuns(self._digests.finish())):
            raise DataError(self._name, f"{TWICE}, {twice}")
        return ids

    def _good(self, pieces: Iterator[pd.Series[Any]]) -> Iterator[Ids]:
        """Yield the ids of one pass after the other, as long as all are good."""
        for cells in filter(len, pieces):  # a file of no rows may have a piece of another type
            _check_type(self._name, cells, self._id_format)
            ids = self._checked(cells)
            self._n_rows += len(cells)
            if ids is not None:
                digests = [hashlib.blake2b(text.encode(), digest_size=ID_DIGEST_BYTES).digest() for text in ids]
                self._digests.append(np.frombuffer(b"".join(digests), dtype=np.uint8))
                yield ids

    def _checked(self, cells: pd.Series[Any]) -> Ids | None:
        texts, unreadable = texts_or_none(cells)
        self._unreadable.add(self._n_rows + np.array(unreadable, dtype=np.int64))
        if self._unreadable:
            return None
        self._missing.add(self._n_rows + np.flatnonzero(texts == ""))
        if self._missing:
            return None
        _refuse_floats(self._name, texts, self._id_format, self._n_rows)
        self._malformed.add(self._n_rows + np.array(put_in_form(texts, self._id_format), dtype=np.int64))
        return None if self._malformed else texts

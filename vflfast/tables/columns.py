"""Cells of one column: numbers, dates, categories, labels."""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crypto import storage
from ..errors import DataError, InputError
from .rows import RowList, row_numbers

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

SECONDS_PER_DAY = 86_400.0
KINDS = ("numeric", "categorical", "date")
_WORDS, _NO_LABEL = {"true": 1, "false": 0}, 2


@dataclass(frozen=True)
class DateRule:
    """How dates are written and the day that they are counted back from ([0086])."""

    date_format: str
    observation_date: datetime.datetime | None


def date_rule(date_format: object, observation_date: object) -> DateRule:
    """Check the two date settings; the observation date is in ISO form whatever `date_format` says; InputError names the wrong one."""
    if not isinstance(date_format, str) or not _can_be_parsed(date_format):
        raise InputError("date_format", "must be a strptime format without time zone, such as %Y-%m-%d")
    if observation_date is None:
        return DateRule(date_format, None)
    try:
        moment = datetime.datetime.fromisoformat(observation_date)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError("observation_date", "must be text such as 2017-09-01") from None
    if moment.tzinfo is not None:
        raise InputError("observation_date", "must have no time zone; dates are local")
    return DateRule(date_format, moment)


def _can_be_parsed(date_format: str) -> bool:
    if "%" not in date_format or "%z" in date_format.lower():
        return False
    try:
        pd.to_datetime("", format=date_format, errors="coerce")
    except ValueError:
        return False
    return True


def typed_column(name: str, cells: pd.Series[Any], kind: str | None, dates: DateRule) -> tuple[str, npt.NDArray[Any]]:
    """Return (kind, cells) of one feature: float64 with NaN for missing, or text with None for missing.

    Without a given kind: all cells finite numbers → numeric; else all by the date format → date, as days before the
    observation date; else categorical. A column with missing cells only is numeric.

    Raises
    ------
    DataError
        A cell that the kind does not allow; `argument` is the column, the message gives row numbers.
    InputError
        A date column without an observation date.
    """
    if _are_dates(cells):
        cells = pd.to_datetime(cells)
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind == "M":
        if kind not in (None, "date"):
            raise DataError(name, f"holds dates, cannot be read as {kind}")
        return "date", _days_before(name, cells, dates)
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        raise DataError(name, "holds times with a time zone; convert them to local dates")
    if kind in (None, "numeric") and pd.api.types.is_numeric_dtype(cells.dtype):
        return "numeric", _finite(name, _native_numbers(name, cells))
    texts = cell_texts(name, cells)
    if kind in (None, "numeric"):
        found = parse_numbers(texts)
        if found is not None:
            return "numeric", _finite(name, found)
        if kind == "numeric":
            raise DataError(name, f"not a number in {row_numbers(_not_numbers(texts))}")
    if kind == "date" or (kind is None and _looks_like_dates(texts, dates.date_format)):
        return "date", _days_before(name, _parse_dates(name, texts, dates.date_format), dates)
    texts[texts == ""] = None
    return "categorical", texts


# --- text and numbers --------------------------------------------------------------------------------------------


def cell_texts(name: str, cells: pd.Series[Any]) -> Texts:
    """Return the cells as text, "" where missing; numbers as their shortest text, whole ones without a point.

    Raises
    ------
    DataError
        Names the rows of other cells.
    """
    array, bad = texts_or_none(cells)
    if bad:
        raise DataError(name, f"neither text nor number in {row_numbers(bad)}")
    return array


def texts_or_none(cells: pd.Series[Any]) -> tuple[Texts, list[int]]:
    """Return the cells as `cell_texts` does, None where a cell is neither text nor number, and the rows of these."""
    array = cells.astype(object).to_numpy(dtype=object, copy=True)
    array[cells.isna().to_numpy(dtype=bool)] = ""
    array[:] = [cell if type(cell) is str else _one_text(cell) for cell in array]
    return array, [row for row, text in enumerate(array) if text is None]


def _one_text(cell: object) -> str | None:
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, (bool, np.bool_, numbers.Integral)):
        return str(cell)
    if isinstance(cell, (float, np.floating)):
        value = float(cell)
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(cell, decimal.Decimal):
        return str(cell)
    return None


def parse_numbers(texts: Sequence[str] | Texts) -> Floats | None:
    """Return the cells as float64, NaN where empty and inf where not finite, or None if one is not a number."""
    joined = "".join(texts)
    if "_" in joined or not joined.isascii():  # float() would accept 1_000 and full-width digits
        return None
    try:
        values = np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except ValueError:
        return None
    odd = np.flatnonzero(np.isnan(values)).tolist()
    values[[row for row in odd if texts[row]]] = np.inf  # the text "nan" is not a missing cell
    return values


def _not_numbers(texts: Texts) -> list[int]:
    return [row for row, text in enumerate(texts) if parse_numbers([text]) is None]


def _native_numbers(name: str, cells: pd.Series[Any]) -> Floats:
    if pd.api.types.is_complex_dtype(cells.dtype):
        raise DataError(name, "holds complex numbers")
    return cells.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)


def _finite(name: str, values: Floats) -> Floats:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise DataError(name, f"not a finite number in {row_numbers(infinite)}; leave missing cells empty")
    return values


# --- dates -------------------------------------------------------------------------------------------------------


def _are_dates(cells: pd.Series[Any]) -> bool:
    """Whether all cells are Python dates, which is how Parquet's date type arrives."""
    if cells.dtype != object:
        return False
    given = cells.dropna()
    return len(given) > 0 and all(isinstance(cell, datetime.date) for cell in given)


def _to_dates(texts: Texts, date_format: str) -> pd.Series[Any]:
    given = texts.copy()
    given[texts == ""] = None
    parsed: pd.Series[Any] = pd.to_datetime(pd.Series(given), format=date_format, errors="coerce")
    return parsed


def _looks_like_dates(texts: Texts, date_format: str) -> bool:
    first = texts[texts != ""][:1]
    if _to_dates(first, date_format).isna().any():  # spares a category the parse of every cell
        return False
    return not bool((_to_dates(texts, date_format).isna().to_numpy() & (texts != "")).any())


def _parse_dates(name: str, texts: Texts, date_format: str) -> pd.Series[Any]:
    parsed = _to_dates(texts, date_format)
    bad = np.flatnonzero(parsed.isna().to_numpy() & (texts != ""))
    if bad.size:
        raise DataError(name, f"not a date of the form {date_format} in {row_numbers(bad)}")
    return parsed


def _days_before(name: str, moments: pd.Series[Any], dates: DateRule) -> Floats:
    if dates.observation_date is None:
        raise InputError("observation_date", f"is needed because column {name!r} holds dates")
    elapsed: pd.Series[Any] = pd.Timestamp(dates.observation_date) - moments
    days: Floats = elapsed.dt.total_seconds().to_numpy(dtype=np.float64) / SECONDS_PER_DAY
    after = np.flatnonzero(days < 0)
    if after.size:
        raise DataError(name, f"dates after the observation date in {row_numbers(after)}")
    return days


# --- labels ------------------------------------------------------------------------------------------------------


def read_labels(name: str, pieces: Iterable[pd.Series[Any]]) -> npt.NDArray[np.int8]:
    """Return the labels of a column, given whole or in pieces, as ±1 (int8) from {0, 1}, booleans or ±1 ([0079], [0084]).

    Raises
    ------
    DataError
        A missing or other label (with row numbers), two codings mixed, or one class only.
    """
    by_word, by_number = storage.Growing(np.int8), storage.Growing(np.int8)  # which coding it is, the last row may tell
    unreadable, missing, n_rows = RowList(), RowList(), 0
    for cells in pieces:
        texts, bad = texts_or_none(cells)
        unreadable.add(n_rows + np.array(bad, dtype=np.int64))
        if not unreadable:
            missing.add(n_rows + np.flatnonzero(texts == ""))
            words = np.array([_WORDS.get(text.lower(), _NO_LABEL) for text in texts], dtype=np.int8)
            by_word.append(words)
            by_number.append(_label_numbers(texts) if (words == _NO_LABEL).any() else np.full_like(words, _NO_LABEL))
        n_rows += len(cells)
    if unreadable:
        raise DataError(name, f"neither text nor number in {unreadable}")
    words, figures = by_word.finish(), by_number.finish()
    return _plus_minus(name, figures if (words == _NO_LABEL).any() else words, missing)


def _plus_minus(name: str, values: npt.NDArray[np.int8], missing: RowList) -> npt.NDArray[np.int8]:
    if missing:
        raise DataError(name, f"no label in {missing}")
    other = np.flatnonzero(values == _NO_LABEL)
    if other.size:
        raise DataError(name, f"neither 0/1, true/false nor -1/+1 in {row_numbers(other)}")
    found = set(np.unique(values).tolist())
    if len(found) < 2:
        raise DataError(name, "holds one class only; customers of both are needed")
    if found not in ({0, 1}, {-1, 1}):
        raise DataError(name, "mixes 0/1 with -1/+1; use one of them")
    return np.where(values > 0, np.int8(1), np.int8(-1))


def _label_numbers(texts: Texts) -> npt.NDArray[np.int8]:
    values = parse_numbers(texts)
    if values is None:
        bad = set(_not_numbers(texts))
        values = np.array([np.nan if row in bad or not text else float(text) for row, text in enumerate(texts)])
    return np.where(np.isin(values, (-1.0, 0.0, 1.0)), values, _NO_LABEL).astype(np.int8)

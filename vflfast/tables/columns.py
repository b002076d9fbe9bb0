"""Cells of one column: numbers, dates, categories, labels."""

from __future__ import annotations

import datetime
import decimal
import logging
import numbers
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from .forms import Forms, zone_of
from .rows import row_numbers
from .understanding import ZONED, as_category, is_number, mixed

log = logging.getLogger("vflfast")

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

SECONDS_PER_DAY = 86_400.0
KINDS = ("numeric", "categorical", "date")
_CODE = re.compile(r"[+-]?0[0-9]+")
_WAY_ON = 'say which words mean no value (missing), or bad_cells = "missing"'


@dataclass(frozen=True)
class DateRule:
    """How dates are written, the day that they are counted back from ([0086]), and the zone of times that have one."""

    formats: tuple[str, ...]
    observation_date: datetime.datetime | None
    time_zone: str | None = None

    @property
    def text(self) -> str:
        """What messages call the formats."""
        return " or ".join(self.formats)


def date_rule(date_format: object, observation_date: object, time_zone: str | None = None) -> DateRule:
    """Check the two date settings; the observation date is in ISO form whatever `date_format` says; InputError names the wrong one."""
    formats = (date_format,) if isinstance(date_format, str) else date_format
    if not isinstance(formats, list | tuple) or not formats or not all(isinstance(one, str) and _can_be_parsed(one) for one in formats):
        raise InputError("date_format", "must be a strptime format without time zone, such as %Y-%m-%d, or a list of some")
    if observation_date is None:
        return DateRule(tuple(formats), None, time_zone)
    try:
        moment = datetime.datetime.fromisoformat(observation_date)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError("observation_date", "must be text such as 2017-09-01") from None
    if moment.tzinfo is not None:
        raise InputError("observation_date", "must have no time zone; dates are local")
    return DateRule(tuple(formats), moment, time_zone)


def _can_be_parsed(date_format: str) -> bool:
    if "%" not in date_format or "%z" in date_format.lower():
        return False
    try:
        pd.to_datetime("", format=date_format, errors="coerce")
    except ValueError:
        return False
    return True


def typed_column(
    name: str, cells: pd.Series[Any], kind: str | None, dates: DateRule, forms: Forms = Forms()  # noqa: B008  (frozen)
) -> tuple[str, npt.NDArray[Any]]:
    """Return (kind, cells) of one feature: float64 with NaN for missing, or text with None for missing.

    Without a given kind: all cells finite numbers → numeric; else all by a date format → date, as days before the observation date;
    else categorical, unless most cells are numbers or dates (understanding.py). A column with missing cells only is numeric.

    Raises
    ------
    DataError
        A cell that the kind does not allow, or a column that is nearly all numbers or dates; `argument` is the column, the message gives
        row numbers and the setting that decides.
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
        if dates.time_zone is None:
            raise DataError(name, 'holds times with a time zone: say time_zone, such as time_zone = "+08:00", whose days count')
        return "date", _days_before(name, _local(cells, dates.time_zone), dates)
    if kind in (None, "numeric") and pd.api.types.is_numeric_dtype(cells.dtype):
        return "numeric", _finite(name, _native_numbers(name, cells))
    texts = without_words(cell_texts(name, cells), forms.missing_words(name))
    if kind in (None, "numeric"):
        found = _declared_numbers(texts, forms)
        if found is not None:
            _refuse_codes(name, kind, texts)
            return "numeric", _finite(name, found)
        if kind == "numeric":
            return "numeric", _finite(name, _other_cells_missing(name, texts, forms))
    if kind == "date" or (kind is None and _looks_like_dates(texts, dates)):
        return "date", _days_before(name, _parse_dates(name, texts, dates, forms), dates)
    if kind is None and (found_mixed := mixed(name, texts, lambda text: is_number(forms.number_text(text)))) is not None:
        if forms.bad_cells != "missing" or found_mixed.form != "number":
            raise DataError(name, found_mixed.problem)
        return "numeric", _finite(name, _other_cells_missing(name, texts, forms))
    texts[texts == ""] = None
    return "categorical", texts


def without_words(texts: Texts, words: frozenset[str]) -> Texts:
    """Return the texts with "" for the words that mean no value."""
    if words:
        texts[[text.strip() in words for text in texts]] = ""
    return texts


def _declared_numbers(texts: Texts, forms: Forms) -> Floats | None:
    """Return the cells in the declared form as `parse_numbers` does."""
    return parse_numbers(texts if forms.plain_numbers else [forms.number_text(text) if text else "" for text in texts])


def _refuse_codes(name: str, kind: str | None, texts: Texts) -> None:
    """Refuse digits with leading zeros, which are names as a rule, until the kind is said."""
    if kind is None:
        codes = [row for row, text in enumerate(texts) if _CODE.fullmatch(text)]
        if codes:
            raise DataError(
                name, f'digits with leading zeros in {row_numbers(codes)}: names, such as postcodes, or numbers? Say '
                f'{as_category(name)}, or "numeric"'
            )  # fmt: skip


def _other_cells_missing(name: str, texts: Texts, forms: Forms) -> Floats:
    """Return the numbers of a column; other cells are an error, or missing where that is declared, and counted."""
    plain = [forms.number_text(text) if text else "" for text in texts]
    bad = not_numbers(np.array(plain, dtype=object))
    if forms.bad_cells != "missing":
        raise DataError(name, f"not a number in {row_numbers(bad)}; {_WAY_ON}")
    log.warning("%s: %d cells are no numbers and count as missing (bad_cells)", name, len(bad))
    for row in bad:
        plain[row] = ""
    found = parse_numbers(plain)
    assert found is not None  # noqa: S101  (what is left are numbers)
    return found


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


def not_numbers(texts: Texts) -> list[int]:
    """Return the rows of texts that are no numbers."""
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


def _zoned_dates(texts: Texts, time_zone: str) -> pd.Series[Any]:
    """Times with a zone of their own, in that of the table; NaT for all others."""
    given = [text if ZONED.fullmatch(text) else None for text in texts]
    moments: pd.Series[Any] = pd.to_datetime(pd.Series(given, dtype=object), format="ISO8601", utc=True, errors="coerce")
    return _local(moments, time_zone)


def _local(moments: pd.Series[Any], time_zone: str) -> pd.Series[Any]:
    local: pd.Series[Any] = moments.dt.tz_convert(zone_of(time_zone)).dt.tz_localize(None)
    return local


def _readings(texts: Texts, dates: DateRule) -> Iterator[pd.Series[Any]]:
    """Yield the texts by each of the formats, and as times with a zone where one is declared."""
    yield from (_to_dates(texts, one) for one in dates.formats)
    if dates.time_zone is not None:
        yield _zoned_dates(texts, dates.time_zone)


def _looks_like_dates(texts: Texts, dates: DateRule) -> bool:
    first, given = texts[texts != ""][:1], texts != ""
    if all(found.isna().any() for found in _readings(first, dates)):  # spares a category the parse of every cell
        return False
    return any(not bool((found.isna().to_numpy() & given).any()) for found in _readings(texts, dates))


def _parse_dates(name: str, texts: Texts, dates: DateRule, forms: Forms) -> pd.Series[Any]:
    """The dates by the one format that all cells have; DataError for cells that have none, and where several formats give other days."""
    given = texts != ""
    read = list(_readings(texts, dates))
    whole = [found for found in read if not bool((found.isna().to_numpy() & given).any())]
    if whole:
        if any(not whole[0].equals(other) for other in whole[1:]):
            raise DataError(name, f"all cells are dates by several of {dates.text}, and by each of them other days: name one")
        return whole[0]
    best = min(read, key=lambda found: int((found.isna().to_numpy() & given).sum()))
    bad = np.flatnonzero(best.isna().to_numpy() & given)
    if forms.bad_cells != "missing":
        raise DataError(name, f"not a date of the form {dates.text} in {row_numbers(bad)}; {_WAY_ON}")
    log.warning("%s: %d cells are no dates and count as missing (bad_cells)", name, bad.size)
    return best


def _days_before(name: str, moments: pd.Series[Any], dates: DateRule) -> Floats:
    if dates.observation_date is None:
        raise InputError("observation_date", f"is needed because column {name!r} holds dates")
    elapsed: pd.Series[Any] = pd.Timestamp(dates.observation_date) - moments
    days: Floats = elapsed.dt.total_seconds().to_numpy(dtype=np.float64) / SECONDS_PER_DAY
    after = np.flatnonzero(days < 0)
    if after.size:
        raise DataError(name, f"dates after the observation date in {row_numbers(after)}")
    return days

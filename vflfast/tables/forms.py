"""How a party's file is written: its encoding and separator, its numbers, its words for "no value", its labels."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

SEPARATORS = (",", ";", "\t", "|", ":", " ")
DECIMALS = (".", ",")
THOUSANDS = ("", ",", ".", " ", "'", "\u00a0", "\u202f")
BAD_CELLS = ("refuse", "missing")
UNLABELLED = ("refuse", "leave out")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")


@dataclass(frozen=True)
class Forms:
    """What a table's section of a job file says about the form of its cells; the defaults are those of a plain CSV.

    Attributes
    ----------
    encoding, separator
        Of a CSV: any encoding that Python knows (utf-8 may have a byte order mark); , ; tab | : or a space.
    sheet
        Of an Excel workbook; needed where it has several.
    decimal, thousands
        "." or ","; what groups digits by three, "" for nothing.
    units
        Texts around a number that are taken off, such as "%" or "€"; the number stays as it is written.
    missing
        Words for "no value", for all columns, or by column; they are compared without outer spaces.
    special_values
        Numbers by column that mean something of their own, such as -9999 for "not asked": they are missing in the column, and the levels
        of a text feature beside it.
    drop
        Columns that are not read as features.
    sample_weight
        The guest's column of training rows' weights, numbers above 0; it is no feature.
    bad_cells
        "refuse": a cell that the column's kind does not allow is an error; "missing": it is missing, and counted in a warning.
    positive_label, negative_label
        The label's two values; one of them is enough where there are two.
    unlabelled
        "refuse": a row without a label is an error; "leave out": it takes no part.
    time_zone
        Name or offset, such as Asia/Shanghai or +08:00, of the days of times that have a zone of their own.
    """

    encoding: str = "utf-8"
    separator: str = ","
    sheet: str | None = None
    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    missing: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    special_values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    sample_weight: str | None = None
    bad_cells: str = "refuse"
    positive_label: str | None = None
    negative_label: str | None = None
    unlabelled: str = "refuse"
    time_zone: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Forms:
        """Return the forms of settings as a job file has them; InputError names the one that is wrong."""
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise InputError(unknown[0], f"is no setting of a table; there are {', '.join(sorted(known))}")
        values = {name: value for name, value in given.items() if value is not None}
        for name in ("units", "drop"):
            if name in values:
                values[name] = _texts(name, values[name])
        if "missing" in values:
            values["missing"] = _missing(values["missing"])
        if "special_values" in values:
            values["special_values"] = _special(values["special_values"])
        for name in ("positive_label", "negative_label"):
            if name in values:
                values[name] = _label(name, values[name])
        made = cls(**values)
        made._check()
        return made

    def _check(self) -> None:
        for name, allowed in (
            ("separator", SEPARATORS), ("decimal", DECIMALS), ("thousands", THOUSANDS), ("bad_cells", BAD_CELLS),
            ("unlabelled", UNLABELLED),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise InputError(name, f"must be one of {', '.join(map(repr, allowed))}")
        if self.thousands == self.decimal:
            raise InputError("thousands", "must differ from decimal")
        if not is_file_encoding(self.encoding):
            raise InputError("encoding", "must be an encoding that Python knows, such as utf-8, gb18030, utf-16 or cp1252")
        if self.positive_label is not None and self.positive_label == self.negative_label:
            raise InputError("negative_label", "must differ from positive_label")
        for name, what in (("sheet", "sheet"), ("sample_weight", "column")):
            if not isinstance(getattr(self, name), str | None):
                raise InputError(name, f"must be the name of a {what}")
        if self.time_zone is not None:
            zone_of(self.time_zone)

    @property
    def plain_numbers(self) -> bool:
        """Whether numbers are written as in a program."""
        return self.decimal == "." and not self.thousands and not self.units

    @property
    def no_features(self) -> tuple[str, ...]:
        """Columns that are not read as features, beside id and label."""
        return self.drop if self.sample_weight is None else (*self.drop, self.sample_weight)

    def missing_words(self, column: str) -> frozenset[str]:
        """Return the words for "no value" of a column."""
        words = self.missing.get(column, ()) if isinstance(self.missing, Mapping) else self.missing
        return frozenset(words)

    def number_text(self, text: str) -> str:
        """Return a cell's number as a program writes it; "?" for one that is not in the declared form."""
        for unit in self.units:
            text = text.replace(unit, "")
        text = text.strip()
        if self.thousands and self.thousands in text:
            whole = re.escape(self.thousands)
            if not re.fullmatch(rf"[+-]?\d{{1,3}}({whole}\d{{3}})+({re.escape(self.decimal)}\d*)?", text):
                return "?"
            text = text.replace(self.thousands, "")
        if self.decimal != ".":
            text = "?" if "." in text else text.replace(self.decimal, ".")
        return text


FORMS = tuple(one.name for one in fields(Forms))  # the names of these settings


def is_file_encoding(name: object) -> bool:
    """Return whether Python knows an encoding of text by that name."""
    try:
        return isinstance(name, str) and codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False


def zone_of(time_zone: str) -> Any:
    """Return what pandas converts times to; InputError for a name that is none."""
    if isinstance(time_zone, str) and _OFFSET.fullmatch(time_zone):
        return f"UTC{time_zone}"
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise InputError("time_zone", "must be a name such as Asia/Shanghai, or an offset such as +08:00") from None


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise InputError(name, "must be a list of texts")
    return tuple(value)


def _missing(value: object) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
    if isinstance(value, Mapping):
        return {str(column): _stripped(words) for column, words in value.items()}
    return _stripped(value)


def _stripped(words: object) -> tuple[str, ...]:
    return tuple(word.strip() for word in _texts("missing", words))


def _special(value: object) -> dict[str, tuple[float, ...]]:
    if not isinstance(value, Mapping):
        raise InputError("special_values", "must be a table of columns and their numbers, such as {age = [-9999, -8888]}")
    return {str(column): _numbers(numbers) for column, numbers in value.items()}


def _numbers(value: object) -> tuple[float, ...]:
    listed: Iterable[Any] = value if isinstance(value, Sequence) and not isinstance(value, str) else [None]
    if any(isinstance(one, bool) or not isinstance(one, int | float) or not np.isfinite(one) for one in listed) or not listed:
        raise InputError("special_values", "must name one or more finite numbers for a column, such as {age = [-9999, -8888]}")
    return tuple(float(one) for one in listed)


def _label(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | str) and str(value).strip():
        return str(value).strip()
    raise InputError(name, "must be a text or a whole number")

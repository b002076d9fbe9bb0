"""Customer ids as text: the form in which an id is equal wherever the customer is the same ([0088])."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, InputError
from .id_texts import Ids
from .rows import RowList, row_numbers

IdSequence = Sequence[str] | npt.NDArray[Any]

ID_FORMATS = "text, digits, phone, phone-e164 or phone-e164:COUNTRY, as phone-e164:86"
_PHONE = re.compile("[0-9]{11}")
_E164 = re.compile(r"\+[1-9][0-9]{7,14}")  # ITU-T E.164: country code and number, 15 digits at most
_NATIONAL = re.compile("[1-9][0-9]{3,13}")
_FORMAT = re.compile("text|digits|phone|phone-e164(:[1-9][0-9]{0,2})?")
_SPREADSHEET = re.compile(r"([0-9]+)(\.0+)?")
_FLOAT = re.compile(r"[0-9]+\.0+|[0-9]\.[0-9]+[eE]\+?[0-9]+")
LOGGED_ROWS = 1000  # row numbers of unusable ids in one line of the log

logger = logging.getLogger(__name__)


def normalise(ids: IdSequence, id_format: str = "text", *, name: str = "ids") -> Ids:
    """Return the ids as an object array of text that is equal wherever the customer is the same ([0088]).

    "digits" takes digits, with .0 at the end or not, and leaves leading zeros off. "phone" takes exactly 11 ASCII digits. "phone-e164"
    takes + and 8 to 15 ASCII digits; "phone-e164:86" gives a number without + the country code 86. "text" takes printable text without
    outer spaces, in Unicode form NFC.

    Parameters
    ----------
    ids
        n texts; numbers are refused, they have lost their leading zeros.
    id_format
        "text", "digits", "phone", "phone-e164" or "phone-e164:" and a country code.
    name
        What error messages call the ids.

    Raises
    ------
    InputError
        Unknown format, or not a list of ids.
    DataError
        An id that is missing or malformed; the message, and a line of the log, list row numbers, never ids.
    """
    check_format(id_format)
    array = text_array(ids, name)
    bad = RowList(LOGGED_ROWS)
    bad.add(put_in_form(array, id_format))
    refuse_form(name, bad, id_format)
    return array


def put_in_form(array: Ids, id_format: str) -> list[int]:
    """Bring texts into the form of `id_format` in their place; return the rows of those that have no such form."""
    if id_format == "phone":
        return [row for row, text in enumerate(array) if not _PHONE.fullmatch(text)]
    if id_format == "digits":
        array[:] = [_whole_digits(text) for text in array]
        return [row for row, text in enumerate(array) if not (text.isascii() and text.isdigit())]
    if id_format == "text":
        bad = [row for row, text in enumerate(array) if not _is_plain(text)]
        array[:] = [unicodedata.normalize("NFC", text) for text in array]
        return bad
    country = id_format.partition(":")[2]
    array[:] = [f"+{country}{text}" if country and _NATIONAL.fullmatch(text) else text for text in array]
    return [row for row, text in enumerate(array) if not _E164.fullmatch(text)]


def _whole_digits(text: str) -> str:
    """Digits without the .0 and the leading zeros that a spreadsheet adds or takes; other text as it is."""
    found = _SPREADSHEET.fullmatch(text)
    return (found[1].lstrip("0") or "0") if found else text


def looks_like_floats(array: Ids) -> list[int]:
    """Return the rows of ids such as 13800138000.0 or 1.38E+10, as spreadsheets write them."""
    return [row for row, text in enumerate(array) if _FLOAT.fullmatch(text)]


def refuse_form(name: str, bad: RowList, id_format: str) -> None:
    """Raise the DataError of rows that `put_in_form` found; `bad` keeps as many of them as are logged."""
    if not bad:
        return
    logger.warning("%s: %d unusable ids in rows %s", name, bad.count, ", ".join(str(row + 1) for row in bad.first.tolist()))
    if id_format == "phone":
        wanted = "not 11 ASCII digits (no +86, no spaces, no full-width digits)"
    elif id_format == "digits":
        wanted = "no digits (nor digits and .0)"
    elif id_format == "text":
        wanted = "outer spaces or unprintable characters"
    else:
        country = id_format.partition(":")[2]
        wanted = "no number of + and 8 to 15 ASCII digits" + (f", nor one of country {country} without its leading 0" if country else "")
    raise DataError(name, f"{wanted} in {bad}")


def check_format(id_format: object) -> None:
    """Check the name of an id format; InputError lists them."""
    if not isinstance(id_format, str) or not _FORMAT.fullmatch(id_format):
        raise InputError("id_format", f"must be {ID_FORMATS}")


def _is_plain(text: str) -> bool:
    return text.isprintable() and text == text.strip()


def text_array(ids: object, name: str) -> Ids:
    """Return ids as an object array of text that is not empty; InputError for no list, DataError names rows."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, (Sequence, np.ndarray)):
        raise InputError(name, "must be a list or a one-dimensional array of text")
    array = np.empty(len(ids), dtype=object)
    if array.size == 0 or np.ndim(ids) > 1:
        raise DataError(name, "needs at least one id, in one dimension")
    array[:] = [str(text) if isinstance(text, str) else None for text in ids]
    bad = [row for row, text in enumerate(array) if not text]
    if bad:
        raise DataError(name, f"missing, or not text, in {row_numbers(bad)}")
    return array


def check_unicode(ids: Ids) -> None:
    """Check that ids are text that can be encoded; DataError names the first row that cannot."""
    for row, text in enumerate(ids):
        try:
            text.encode()
        except UnicodeEncodeError:
            # from None: the codec's own message quotes the id
            raise DataError("ids", f"not valid Unicode in {row_numbers([row])}") from None

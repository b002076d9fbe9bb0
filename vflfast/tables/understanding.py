"""What a column of text is when most of its cells are numbers or dates and some are not: named, with the setting that decides it.

A cell of such a column may be a word for "no value", a number in another form, a mistake. Which one it is, nobody but a person knows, so
nothing is guessed: the column is refused until its table's section says. Words are quoted only if several rows share them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .rows import row_numbers

Texts = npt.NDArray[np.object_]

SHOWN_WORDS, LONGEST_WORD, MOST_APART = 12, 24, 5
UNITS = frozenset({"元", "万", "万元", "EUR", "USD", "GBP", "CNY", "RMB", "CHF", "kg", "km", "cm", "h"})
FREE_TEXT_SHARE = 0.25  # of the rows: more different texts are no category
LONELY_SHARE, LARGEST_ASIDE = 0.05, 0.3  # of the cells with extreme values that are far from all others: at least, and at most
WORDS = frozenset({
    "na", "n/a", "#n/a", "n.a.", "null", "none", "nil", "nan", "inf", "-", "--", "---", "?", ".", "*", "unknown", "missing", "empty",
    "void",
    "not available", "not applicable", "无", "空", "未知", "不详", "暂无", "缺失", "\\n",
})  # fmt: skip


def _ascii(pattern: str) -> re.Pattern[str]:
    """A pattern whose digits are 0 to 9 alone, as a number's are."""
    return re.compile(pattern, re.ASCII)


GROUPED = _ascii(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
GROUPED_POINT = _ascii(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?")
GROUPED_SPACE = _ascii(r"[+-]?\d{1,3}([ \u00a0\u202f']\d{3})+([.,]\d*)?")
COMMA = _ascii(r"[+-]?\d+,\d+")
NUMBER = _ascii(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
WITH_UNIT = _ascii(r"([^\d\s.,+-]{1,4}\s?)?[+-]?[\d.,]*\d(\s?[^\d\s.,+-]{1,4})?")
ZONED = _ascii(r"\d{4}-\d\d?-\d\d?[T ]\d\d?:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)")
DATES = {
    "%Y-%m-%d": _ascii(r"\d{4}-\d{1,2}-\d{1,2}"),
    "%Y/%m/%d": _ascii(r"\d{4}/\d{1,2}/\d{1,2}"),
    "%Y.%m.%d": _ascii(r"\d{4}\.\d{1,2}\.\d{1,2}"),
    "%Y年%m月%d日": _ascii(r"\d{4}年\d{1,2}月\d{1,2}日"),
    "%Y-%m-%d %H:%M:%S": _ascii(r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}:\d{2}"),
    "%Y-%m-%dT%H:%M:%S": _ascii(r"\d{4}-\d{1,2}-\d{1,2}T\d{1,2}:\d{2}:\d{2}"),
    "%Y/%m/%d %H:%M:%S": _ascii(r"\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}:\d{2}"),
    "%Y/%m/%d %H:%M": _ascii(r"\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}"),
    "%d.%m.%Y": _ascii(r"\d{1,2}\.\d{1,2}\.\d{4}"),
    "%d/%m/%Y": _ascii(r"\d{1,2}/\d{1,2}/\d{4}"),
    "%d-%m-%Y": _ascii(r"\d{1,2}-\d{1,2}-\d{4}"),
    "%d-%b-%Y": _ascii(r"\d{1,2}-[A-Za-z]{3}-\d{4}"),
}
AMBIGUOUS = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}


@dataclass(frozen=True)
class Levels:
    """The distinct texts of a column that are not empty, how many rows have each, and a row's number among them (-1: empty)."""

    texts: list[str]
    counts: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Texts) -> Levels:
        """Return the levels of a column of text, "" where missing."""
        given = texts.copy()
        given[texts == ""] = None
        index, found = pd.factorize(given)
        return cls(list(found), np.bincount(index[index >= 0], minlength=len(found)), index)

    @property
    def total(self) -> int:
        """Rows that are not empty."""
        return int(self.counts.sum())

    def which(self, holds: Callable[[str], Any]) -> npt.NDArray[np.bool_]:
        """Return of which levels something holds."""
        return np.array([bool(holds(text)) for text in self.texts], dtype=np.bool_)

    def share(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Return the share of rows with chosen levels."""
        return float(self.counts[chosen].sum()) / max(self.total, 1)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the rows with chosen levels, from 0."""
        return np.flatnonzero((self.index >= 0) & chosen[self.index])

    def words(self, chosen: npt.NDArray[np.bool_]) -> str:
        """Return the chosen words that may be shown, those that most rows share first."""
        order = [k for k in np.argsort(-self.counts, kind="stable").tolist() if chosen[k]]
        shown = [self.texts[k] for k in order if len(self.texts[k]) <= LONGEST_WORD and (self.counts[k] > 1 or is_word(self.texts[k]))]
        return ", ".join(json.dumps(text, ensure_ascii=False) for text in shown[:SHOWN_WORDS])


@dataclass(frozen=True)
class Mixed:
    """A column whose cells are of two forms: what most are; and what is wrong, with the way on."""

    form: str
    problem: str


def is_word(text: str) -> bool:
    """Return whether a text is a usual word for "no value"."""
    return text.strip().lower() in WORDS


def is_number(text: str) -> bool:
    """Return whether a text is a number as a program writes it."""
    return NUMBER.fullmatch(text) is not None


@dataclass(frozen=True)
class Lonely:
    """A few extreme values that stand in many cells, far from all others: how many cells, and which values."""

    share: float
    values: tuple[float, ...]

    @property
    def asked(self) -> str:
        """What a log asks, without the values."""
        return (
            f"{len(self.values)} extreme value{'s' if len(self.values) > 1 else ''} in {self.share:.1%} of the cells, far from all others; "
            "if this means something of its own, such as not asked: special_values (vflfast inspect shows them)"
        )

    def setting(self, name: str) -> str:
        """Return the setting that gives each of the values of a column a class of its own."""
        return f"special_values = {{{_key(name)} = [{', '.join(f'{value:g}' for value in self.values)}]}}"


def lonely_values(values: npt.NDArray[np.float64]) -> Lonely | None:
    """Return extreme values that may mean something of their own.

    That is at most five different ones, in more than 5 % of the cells, farther away than three times the range of all others.

    Parameters
    ----------
    values
        Finite numbers, shape (n,).
    """
    low, high = float(values.min()), float(values.max())
    below = float(np.mean(values < low / 2 + high / 2))
    if not (0 < min(below, 1 - below) <= LARGEST_ASIDE):  # spares most columns a sort
        return None
    aside = values < low / 2 + high / 2 if below <= LARGEST_ASIDE else values > low / 2 + high / 2
    apart, others = np.unique(values[aside]), values[~aside]
    near, span = max(others.min() - apart.max(), apart.min() - others.max()), others.max() - others.min()
    if span == 0 or near <= 3 * span or len(apart) > MOST_APART or aside.mean() <= LONELY_SHARE:
        return None
    return Lonely(float(aside.mean()), tuple(apart.tolist()))


def mixed(name: str, texts: Texts, parses: Callable[[str], bool]) -> Mixed | None:
    """Return what is wrong with a column that is neither all numbers nor all dates; None for a category.

    Parameters
    ----------
    name, texts
        Its name and its cells, "" where missing; shape (n_rows,).
    parses
        Whether a text is a number in the declared form.
    """
    levels = Levels.of(texts)
    if not levels.texts:
        return None
    numbers = levels.which(parses)
    if levels.share(numbers) > 0.5:
        return _numbers_and_others(name, levels, numbers)
    dates = _dates(name, levels)
    if dates is not None:
        return dates
    return _other_numbers(name, levels)


def _numbers_and_others(name: str, levels: Levels, numbers: npt.NDArray[np.bool_]) -> Mixed:
    odd, words = ~numbers, levels.words(~numbers)
    known = levels.which(is_word) & odd
    listed = words or '"…"'
    count = int(levels.counts[odd].sum())
    text = f"{count} of {levels.total} cells are no numbers, in {row_numbers(levels.rows(odd))}"
    text += f": {words}" if words else ""
    hints = [f"missing = [{listed}]", 'bad_cells = "missing"', as_category(name)]
    form = _form_of(levels, odd & ~known)
    if form is not None:
        hints.insert(0, form)
    return Mixed("number", f"{text}. Say what they are: {', or '.join(hints)}")


def _form_of(levels: Levels, odd: npt.NDArray[np.bool_]) -> str | None:
    """The setting that makes numbers of most of the odd cells."""
    total = int(levels.counts[odd].sum())
    for setting, pattern in (
        ('thousands = ","', GROUPED), ('decimal = ","', COMMA), ('decimal = "," with thousands = "."', GROUPED_POINT),
        ('thousands = " "', GROUPED_SPACE),
    ):  # fmt: skip
        if total and levels.counts[odd & levels.which(pattern.fullmatch)].sum() * 2 > total:
            return setting
    units = _units(levels, odd)
    return f"units = [{units}]" if units else None


def _units(levels: Levels, chosen: npt.NDArray[np.bool_]) -> str:
    """The signs around the numbers of the chosen cells, if it is nearly all of them."""
    with_unit = chosen & levels.which(WITH_UNIT.fullmatch) & ~levels.which(is_number)
    if not chosen.any() or levels.counts[with_unit].sum() < 0.9 * levels.counts[chosen].sum():
        return ""
    signs = {re.sub(r"[\d\s.,+-]", "", levels.texts[k]) for k in np.flatnonzero(with_unit)} - {""}
    return ", ".join(f'"{sign}"' for sign in sorted(signs)) if 0 < len(signs) <= MOST_APART and all(map(_is_unit, signs)) else ""


def _is_unit(sign: str) -> bool:
    """Whether a text beside digits is a sign of currency or a share, or a usual unit: T1 and DE7 are names."""
    return sign in UNITS or all(unicodedata.category(one) == "Sc" or one in "%‰" for one in sign)


def _other_numbers(name: str, levels: Levels) -> Mixed | None:
    """A column most of whose cells are numbers in another form than declared."""
    everything = np.ones(len(levels.texts), dtype=np.bool_)
    words = levels.which(is_word)
    setting = _form_of(levels, everything & ~words & ~levels.which(is_number))
    if setting is None:
        return None
    pattern = {'thousands = ","': GROUPED, 'decimal = ","': COMMA, 'thousands = " "': GROUPED_SPACE}.get(setting, WITH_UNIT)
    fits = levels.which(pattern.fullmatch) | levels.which(is_number)
    if levels.share(fits) <= 0.5:
        return None
    count = int(levels.counts[fits].sum())
    return Mixed(
        "number in another form", f"{count} of {levels.total} cells look like numbers that are written another way: say {setting}, or "
        f"{as_category(name)} if they are names",
    )  # fmt: skip


def _dates(name: str, levels: Levels) -> Mixed | None:
    """A column most of whose cells are dates in some form."""
    zoned = levels.which(ZONED.fullmatch)
    if levels.share(zoned) > 0.5:
        return Mixed("date", f"{int(levels.counts[zoned].sum())} of {levels.total} cells are times with a zone: say time_zone, such as "
                     'time_zone = "+08:00", whose days count')  # fmt: skip
    for form, pattern in DATES.items():
        fits = levels.which(pattern.fullmatch)
        if levels.share(fits) > 0.5:
            return _dates_of(name, levels, form, fits)
    return None


def _dates_of(name: str, levels: Levels, form: str, fits: npt.NDArray[np.bool_]) -> Mixed:
    real = fits & levels.which(lambda text: _is_date(text, form))
    other = AMBIGUOUS.get(form)
    if other is not None:
        swapped = fits & levels.which(partial(_is_date, form=other))
        if levels.counts[swapped].sum() > levels.counts[real].sum():
            form, other, real = other, form, swapped
    odd = ~real
    count = int(levels.counts[odd].sum())
    text = f"{levels.total - count} of {levels.total} cells are dates of the form {form}"
    hints = [f'date_format = "{form}"' + (f' (or "{other}": both may fit)' if other is not None else "")]
    if count:
        words = levels.words(odd)
        text += f"; {count} {'is' if count == 1 else 'are'} none, in {row_numbers(levels.rows(odd))}" + (f": {words}" if words else "")
        hints.append(f"missing = [{words}]" if words else 'bad_cells = "missing"')
    return Mixed("date", f"{text}. Say {' and '.join(hints)}, or {as_category(name)}")


def as_category(name: str) -> str:
    """Return the setting that makes a column a category."""
    return f'kinds = {{{_key(name)} = "categorical"}}'


def _key(name: str) -> str:
    """A column's name as a key of TOML."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _is_date(text: str, form: str) -> bool:
    return not bool(pd.isna(pd.to_datetime(text, format=form, errors="coerce")))

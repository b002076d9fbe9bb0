"""Cells of the label column: two values, what they are, and rows that have none ([0079], [0084])."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crypto import storage
from ..errors import DataError
from .columns import Texts, not_numbers, parse_numbers, texts_or_none, without_words
from .forms import Forms
from .rows import RowList, row_numbers
from .understanding import Levels

_WORDS, _NO_LABEL, _EMPTY = {"true": 1, "false": 0}, 2, 3
SHOWN_LABELS = 6


def read_labels(name: str, pieces: Iterable[pd.Series[Any]], forms: Forms = Forms()) -> npt.NDArray[np.int8]:  # noqa: B008  (frozen)
    """Return the labels of a column, given whole or in pieces, as ±1 (int8) from {0, 1}, booleans or ±1 ([0079], [0084]).

    With `positive_label` or `negative_label` its two values are what they say. 0 for a row without a label, where those are left out.

    Raises
    ------
    DataError
        A missing or other label (with row numbers), two codings mixed, or one class only.
    """
    by_word, by_number, given = storage.Growing(np.int8), storage.Growing(np.int8), _Given(forms)
    unreadable, missing, n_rows = RowList(), RowList(), 0  # which coding it is, the last row may tell
    for cells in pieces:
        texts, bad = texts_or_none(cells)
        unreadable.add(n_rows + np.array(bad, dtype=np.int64))
        if not unreadable:
            texts = without_words(texts, forms.missing_words(name))
            missing.add(n_rows + np.flatnonzero(texts == ""))
            words = given.coded(texts)
            by_word.append(words)
            by_number.append(_label_numbers(texts) if (words == _NO_LABEL).any() else np.full_like(words, _NO_LABEL))
        n_rows += len(cells)
    if unreadable:
        raise DataError(name, f"neither text nor number in {unreadable}")
    words, figures = by_word.finish(), by_number.finish()
    use_words = given.declared or not (words[words != _EMPTY] == _NO_LABEL).any()
    return _plus_minus(name, words if use_words else figures, missing, given)


class _Given:
    """What the two values of a label are: by the settings, or true and false."""

    def __init__(self, forms: Forms) -> None:
        self.positive, self.negative, self.leave_out = forms.positive_label, forms.negative_label, forms.unlabelled != "refuse"
        self.seen: dict[str, int] = {}

    @property
    def declared(self) -> bool:
        """Whether the settings say it."""
        return self.positive is not None or self.negative is not None

    def coded(self, texts: Texts) -> npt.NDArray[np.int8]:
        """Return 1, 0, `_NO_LABEL`, or `_EMPTY` of each text; one declared value leaves the other to all that is no such text."""
        levels = Levels.of(np.array([text.strip() for text in texts], dtype=object))
        for text, count in zip(levels.texts, levels.counts.tolist(), strict=True):
            self.seen[text] = self.seen.get(text, 0) + count
        codes = np.array([*(self._code(text) for text in levels.texts), _EMPTY], dtype=np.int8)
        return codes[levels.index]

    def _code(self, text: str) -> int:
        if not self.declared:
            return _WORDS.get(text.lower(), _NO_LABEL)
        if text in (self.positive, self.negative):
            return int(text == self.positive)
        if self.positive is None:
            return 1
        return 0 if self.negative is None else _NO_LABEL

    def check(self, name: str) -> None:
        """Refuse a third value beside one that is declared alone, and a declared one that is not there; DataError."""
        for setting, text in (("positive_label", self.positive), ("negative_label", self.negative)):
            if text is not None and text not in self.seen:
                raise DataError(name, f"no cell is {text!r}, which {setting} names; there are {self.shown()}")
        if self.declared and len(self.seen) > 2:
            raise DataError(name, f"has {len(self.seen)} different values, {self.shown()}; a label has two")

    def shown(self) -> str:
        """Return the values that several rows share, the most frequent first."""
        order = sorted(self.seen.items(), key=lambda item: -item[1])
        return ", ".join(f'"{text}"' for text, count in order[:SHOWN_LABELS] if count > 1) or "values that no two rows share"


def _plus_minus(name: str, values: npt.NDArray[np.int8], missing: RowList, given: _Given) -> npt.NDArray[np.int8]:
    if missing and not given.leave_out:
        raise DataError(name, f'no label in {missing}; unlabelled = "leave out" leaves these {missing.count} rows out')
    given.check(name)
    labelled = values != _EMPTY
    other = np.flatnonzero((values == _NO_LABEL) & labelled)
    if other.size:
        raise DataError(
            name, f"neither 0/1, true/false nor -1/+1 in {row_numbers(other)}: {given.shown()}. Say which one is positive: positive_label"
        )
    found = set(np.unique(values[labelled]).tolist())
    if len(found) < 2:
        raise DataError(name, "holds one class only; customers of both are needed")
    if found not in ({0, 1}, {-1, 1}):
        raise DataError(name, "mixes 0/1 with -1/+1; use one of them")
    return np.where(labelled, np.where(values > 0, np.int8(1), np.int8(-1)), np.int8(0))


def _label_numbers(texts: Texts) -> npt.NDArray[np.int8]:
    values = parse_numbers(texts)
    if values is None:
        bad = set(not_numbers(texts))
        values = np.array([np.nan if row in bad or not text else float(text) for row, text in enumerate(texts)])
    found = np.where(np.isin(values, (-1.0, 0.0, 1.0)), values, _NO_LABEL).astype(np.int8)
    found[texts == ""] = _EMPTY
    return found

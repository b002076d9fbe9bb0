"""How one feature becomes class codes and columns: the four binning rules, integer levels, categories; their encodings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..params import BINS, MAX_CLASSES, MIN_CLASS_SIZE, THREE_ZERO_SHARE, ZERO_SHARE
from .merging import kept_levels, merge_ranks

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RULES = ("five", "zero", "sign", "missing", "levels")
ENCODINGS = ("ordinal", "onehot", "woe")
MAX_STEPS = MAX_CLASSES - 2  # largest integer level: 255 levels, and one class for missing


# --- numbers and dates -------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)  # no repr: edges and levels are the party's own data
class NumericRule:
    """Classes of a numeric or date feature ([0085], [0091]).

    A finite value x has the rank r(x) below; ranks run from 0 to n_ranks − 1.

    =========  ======================================================================
    five       number of `edges` strictly below x
    zero       0 if x = 0, else 1
    sign       0 if x < 0, 1 if x = 0, 2 if x > 0
    missing    0
    levels     round((x − edges[0]) / (edges[1] − edges[0]) · n_steps), held to 0..n_steps
    =========  ======================================================================

    With missing cells in the training rows (and always under "missing") the class of missing is 0 and x has class
    r(x) + 1. Without, x has class r(x) and a cell that is missing later has the last class, whose column value is
    that of `fallback`. A feature therefore has n_ranks + 1 classes, in training as in scoring, unless some are merged.

    Attributes
    ----------
    groups
        The class of each of those n_ranks + 1 where small ones are merged and edges cannot say so; empty: none is.
    encoding
        "ordinal": one column of class numbers; "onehot": one 0/1 column per class of the training rows; "woe": one
        column of `woe`, integers of `weight_of_evidence`, empty until they are known.
    iv
        Information value on the training rows, where labels are known.
    counts
        Training rows per class.
    fallback
        The most frequent class of the training rows; for "levels" the class of the median.
    n_missing
        Training rows whose cell is missing or not finite.
    """

    feature: str
    kind: str
    rule: str
    edges: tuple[float, ...]
    n_steps: int
    has_missing: bool
    fallback: int
    counts: tuple[int, ...]
    n_missing: int
    groups: tuple[int, ...] = ()
    encoding: str = "ordinal"
    woe: tuple[int, ...] = ()
    iv: float | None = None

    @property
    def n_ranks(self) -> int:
        """Number of classes of finite values."""
        return n_ranks(self.rule, len(self.edges), self.n_steps)

    @property
    def n_classes(self) -> int:
        """Number of classes, the one of missing cells included."""
        return max(self.groups) + 1 if self.groups else self.n_ranks + 1

    def class_texts(self) -> list[str]:
        """Return what falls into each class, such as "(1, 2.5]" or "missing", for a person to read."""
        ranks = _rank_texts(self.rule, self.edges, self.n_steps)
        return self.grouped(["missing", *ranks] if self.has_missing else [*ranks, "missing later"])

    def grouped(self, texts: list[str]) -> list[str]:
        """Return a text for each class from one for each class before small ones were merged."""
        if not self.groups:
            return texts
        return [" or ".join(text for text, g in zip(texts, self.groups, strict=True) if g == k) for k in range(self.n_classes)]

    def column_names(self) -> list[str]:
        """Return the feature's name, or "feature=class" for every 0/1 column."""
        if self.encoding != "onehot":
            return [self.feature]
        return [f"{self.feature}={text}" for text in self.class_texts()[: self._n_trained]]

    def column_values(self) -> Ints:
        """Return the integer of each class in each column, shape (n_columns, n_classes)."""
        if self.encoding == "onehot":
            values = np.eye(self._n_trained, self.n_classes, dtype=np.int64)
        elif self.encoding == "woe":
            values = np.array([self.woe or (0,) * self.n_classes], dtype=np.int64)
        else:
            values = np.arange(self.n_classes, dtype=np.int64)[None, :]
            if self.rule == "levels" and self.has_missing:
                values[:, 1:] -= 1
                values[:, 0] = values[:, self.fallback]
        if not self.has_missing:
            values[:, -1] = values[:, self.fallback]
        return values

    @property
    def _n_trained(self) -> int:
        """Number of classes without the last one, where that only serves cells that are missing later."""
        return self.n_classes - (not self.has_missing)

    def write_codes(self, column: pd.Series[Any], out: Codes) -> None:
        """Write the class of every cell to `out`, shape (n_rows,)."""
        values = column.to_numpy(dtype=np.float64)
        finite = np.isfinite(values)
        out[:] = self.has_missing
        self._add_ranks(values, finite, out)
        out[~finite] = 0 if self.has_missing else self.n_ranks
        if self.groups:
            out[:] = np.array(self.groups, dtype=np.uint8)[out]

    def _add_ranks(self, values: Floats, finite: npt.NDArray[np.bool_], out: Codes) -> None:
        if self.rule == "five":
            for edge in self.edges:
                out += values > edge
        elif self.rule == "zero":
            out += values != 0
        elif self.rule == "sign":
            out += values >= 0
            out += values > 0
        elif self.rule == "levels":
            low, high = self.edges
            inside = np.where(finite, values, low).clip(low, high)
            out += np.rint((inside - low) / (high - low) * self.n_steps).astype(np.uint8)


def n_ranks(rule: str, n_edges: int, n_steps: int) -> int:
    """Return the number of classes that the rule gives to finite values."""
    return {"five": n_edges + 1, "zero": 2, "sign": 3, "missing": 1, "levels": n_steps + 1}[rule]


def _rank_texts(rule: str, edges: tuple[float, ...], n_steps: int) -> list[str]:
    marks = [repr(edge).removesuffix(".0") for edge in edges]
    if rule == "levels":
        low, high = edges
        return [f"about {low + (high - low) * step / n_steps:.6g}" for step in range(n_steps + 1)]
    if rule != "five":
        return {"zero": ["0", "not 0"], "sign": ["below 0", "0", "above 0"], "missing": ["present"]}[rule]
    if not marks:
        return ["any number"]
    inner = [f"({low}, {high}]" for low, high in pairwise(marks)]
    return [f"up to {marks[0]}", *inner, f"above {marks[-1]}"]


def fit_numeric(
    feature: str,
    kind: str,
    sample: Floats,
    *,
    default: str,
    override: str | None,
    min_class_size: int = 1,
    encoding: str = "ordinal",
) -> NumericRule:
    """Choose the rule and its edges from the training rows' cells (NaN or not finite = missing).

    Parameters
    ----------
    feature, kind
        Its name; "numeric" or "date".
    sample
        shape (n_training_rows,).
    default
        "bins": by the precedence of protocol §2; "five": five classes; "levels": integer levels.
    override
        One of `RULES`, or None.
    min_class_size
        Training rows that a class must have; smaller ones are merged with a neighbour (`merge_ranks`).
    encoding
        One of `ENCODINGS`.

    Raises
    ------
    InputError
        Levels with a minimum class size or an encoding of classes; `argument` is that setting.
    DataError
        Levels of a feature whose range is above the largest float64.
    """
    ordered = np.sort(sample[np.isfinite(sample)]) + 0.0  # + 0.0: no edge is -0.0
    n_missing = sample.size - ordered.size
    rule = override or choose_rule(ordered, default)
    edges: tuple[float, ...] = ()
    n_steps = 0
    if rule == "levels":
        if ordered.size == 0 or ordered[0] == ordered[-1]:
            rule = "missing"  # no two levels
        else:
            _refuse_classes_of_levels(feature, min_class_size, encoding)
            edges, n_steps = _level_range(feature, ordered)
    elif rule == "five":
        edges = tuple(float(edge) for edge in five_edges(ordered))
    draft = NumericRule(feature, kind, rule, edges, n_steps, n_missing > 0 or rule == "missing", 0, (), n_missing, encoding=encoding)
    return _with_counts(draft, sample, min_class_size)


def _refuse_classes_of_levels(feature: str, min_class_size: int, encoding: str) -> None:
    for name, unset in (("min_class_size", min_class_size in (1, MIN_CLASS_SIZE)), ("encoding", encoding == "ordinal")):
        if not unset:
            raise InputError(name, f"the levels of {feature!r} are numbers on a grid, not classes; give the feature another rule")


def choose_rule(ordered: Floats, default: str) -> str:
    """Return the rule of protocol §2 for the sorted finite training values ([0091])."""
    if ordered.size == 0 or ordered[0] == ordered[-1]:
        return "missing"
    if default != "bins":
        return default
    n_negative, up_to_zero = int(np.searchsorted(ordered, 0.0, "left")), int(np.searchsorted(ordered, 0.0, "right"))
    n_zero, n_positive = up_to_zero - n_negative, ordered.size - up_to_zero
    if not (n_negative and n_positive):
        other = ordered[:n_negative] if n_negative else ordered[up_to_zero:]
        if other[0] == other[-1] or _is_share(n_zero, ZERO_SHARE, ordered.size):
            return "zero"
    if n_negative and n_positive and _is_share(n_zero, THREE_ZERO_SHARE, ordered.size):
        return "sign"
    return "five"


def _is_share(count: int, share: float, total: int) -> bool:
    return 100 * count >= round(100 * share) * total  # in integers: the boundary itself counts


def five_edges(ordered: Floats) -> Floats:
    """Return the distinct 20/40/60/80 % order statistics x_(⌈qn⌉) below the largest value ([0091]).

    Up to five distinct values are kept apart: every value but the largest is then an edge.
    """
    if ordered.size == 0:
        return ordered
    distinct = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
    if distinct.size <= BINS:
        return distinct[:-1]
    position = [-(-ordered.size * cut // BINS) - 1 for cut in range(1, BINS)]
    cuts: Floats = np.unique(ordered[position])
    return cuts[: int(np.searchsorted(cuts, ordered[-1]))]  # above the largest value no training row would fall


def _level_range(feature: str, ordered: Floats) -> tuple[tuple[float, float], int]:
    low, high = float(ordered[0]), float(ordered[-1])
    span = high - low
    if not np.isfinite(span):
        raise DataError(feature, "its range is above the largest float64; rescale it or give it another rule")
    whole = span <= MAX_STEPS and bool((ordered == np.rint(ordered)).all())
    return (low, high), int(span) if whole else MAX_STEPS  # few whole numbers: one level each, nothing is rounded


def _with_counts(draft: NumericRule, sample: Floats, min_class_size: int) -> NumericRule:
    codes = np.empty(sample.size, dtype=np.uint8)
    draft.write_codes(pd.Series(sample, copy=False), codes)
    counts = np.bincount(codes, minlength=draft.n_classes)
    if min_class_size > 1 and draft.rule != "levels":  # levels are numbers on a grid, the leverage guard looks after them
        of_ranks = (counts[1:] if draft.has_missing else counts[:-1]).tolist()
        groups = merge_ranks(of_ranks, draft.n_missing, draft.has_missing, min_class_size)
        if groups:
            counts = np.bincount(groups, weights=counts).astype(np.int64)
            draft = _merged(draft, groups)
    if draft.rule == "levels":
        known = np.sort(codes[np.isfinite(sample)])
        fallback = int(known[(known.size - 1) // 2])
    else:
        fallback = int(counts.argmax())
    return replace(draft, fallback=fallback, counts=tuple(counts.tolist()))


def _merged(draft: NumericRule, groups: tuple[int, ...]) -> NumericRule:
    """Return the rule with its classes merged: by fewer edges where there are edges, by groups otherwise."""
    if draft.rule != "five":
        return replace(draft, groups=groups)
    ranks = groups[1:] if draft.has_missing else groups[:-1]
    edges = tuple(edge for edge, (below, above) in zip(draft.edges, pairwise(ranks), strict=True) if below != above)
    missing_joins = draft.has_missing and groups.count(groups[0]) > 1
    return replace(draft, edges=edges, groups=(groups[0], *range(len(edges) + 1)) if missing_joins else ())


# --- categories --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class CategoryRule:
    """Classes of a categorical feature: the most frequent levels in order, then one class for all the rest.

    Each level has one 0/1 column. The last class holds the rarer levels, and at scoring unseen ones; it has a column
    only if it has training rows (`has_rest`), else its cells are 0 in every column. A missing cell is a level (None).

    Attributes
    ----------
    counts
        Training rows per class.
    n_missing
        Training rows whose cell is missing.
    encoding
        "ordinal" and "onehot": the 0/1 columns, because levels have no order; "woe": one column of `woe`.
    woe, iv
        As of `NumericRule`.
    """

    feature: str
    levels: tuple[str | None, ...]
    has_rest: bool
    counts: tuple[int, ...]
    n_missing: int
    encoding: str = "ordinal"
    woe: tuple[int, ...] = ()
    iv: float | None = None
    kind: str = "categorical"
    rule: str = "categories"

    @property
    def n_classes(self) -> int:
        """Number of classes, the one of all other levels included."""
        return len(self.levels) + 1

    def class_texts(self) -> list[str]:
        """Return the levels and "(rest)"."""
        return [*("(missing)" if level is None else level for level in self.levels), "(rest)"]

    def column_names(self) -> list[str]:
        """Return "feature=level" for every 0/1 column, or the feature's name."""
        if self.encoding == "woe":
            return [self.feature]
        return [f"{self.feature}={text}" for text in self.class_texts()[: len(self.levels) + self.has_rest]]

    def column_values(self) -> Ints:
        """Return the integer of each class in each column, shape (n_columns, n_classes)."""
        if self.encoding == "woe":
            return np.array([self.woe or (0,) * self.n_classes], dtype=np.int64)
        return np.eye(len(self.levels) + self.has_rest, self.n_classes, dtype=np.int64)

    def write_codes(self, column: pd.Series[Any], out: Codes) -> None:
        """Write the class of every cell to `out`, shape (n_rows,)."""
        present, found = factorise(self.feature, column)
        code_of = {level: code for code, level in enumerate(self.levels)}
        table = np.array([code_of.get(level, len(self.levels)) for level in found], dtype=np.uint8)
        out[:] = table[present]


def fit_category(
    feature: str, column: pd.Series[Any], max_levels: int, min_class_size: int = 1, encoding: str = "ordinal"
) -> CategoryRule:
    """Keep the most frequent levels of the training rows; ties by text order, missing before any text.

    Levels of fewer than `min_class_size` rows go to the rest, and so do larger ones as long as the rest is smaller than that.
    """
    present, found = factorise(feature, column)
    frequency = np.bincount(present, minlength=len(found)).tolist()
    order = sorted((k for k in range(len(found)) if frequency[k]), key=lambda k: (-frequency[k], found[k] is not None, found[k] or ""))
    counts = [frequency[k] for k in order[:max_levels]]
    kept = kept_levels(counts, len(present) - sum(counts), min_class_size)
    rest = len(present) - sum(counts[:kept])
    levels = tuple(found[k] for k in order[:kept])
    return CategoryRule(feature, levels, rest > 0, (*counts[:kept], rest), frequency[-1], encoding)


def factorise(feature: str, column: pd.Series[Any]) -> tuple[Ints, Sequence[str | None]]:
    """Return each cell's index into the distinct levels, of which the last is None for missing cells.

    Raises
    ------
    DataError
        A cell that is neither text nor missing.
    """
    index, found = pd.factorize(column.to_numpy(dtype=object), use_na_sentinel=True)
    levels: list[str | None] = list(found)
    if not all(isinstance(level, str) for level in levels):
        raise DataError(feature, "a categorical cell is neither text nor missing")
    return np.where(index < 0, len(levels), index), [*levels, None]

"""How one feature becomes class codes: the four binning rules, integer levels, categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..params import BINS, MAX_CLASSES, THREE_ZERO_SHARE, ZERO_SHARE

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RULES = ("five", "zero", "sign", "missing", "levels")
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
    that of `fallback`. A feature therefore has n_ranks + 1 classes, in training as in scoring.

    Attributes
    ----------
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

    @property
    def n_ranks(self) -> int:
        """Number of classes of finite values."""
        return n_ranks(self.rule, len(self.edges), self.n_steps)

    @property
    def n_classes(self) -> int:
        """Number of classes, the one of missing cells included."""
        return self.n_ranks + 1

    def column_names(self) -> list[str]:
        """Return the feature's name: one ordinal column."""
        return [self.feature]

    def column_values(self) -> Ints:
        """Return the integer of each class, shape (1, n_classes)."""
        values = np.arange(self.n_classes, dtype=np.int64)
        if self.rule == "levels" and self.has_missing:
            values[1:] -= 1
            values[0] = values[self.fallback]
        elif not self.has_missing:
            values[-1] = values[self.fallback]
        return values[None, :]

    def write_codes(self, column: pd.Series[Any], out: Codes) -> None:
        """Write the class of every cell to `out`, shape (n_rows,)."""
        values = column.to_numpy(dtype=np.float64)
        finite = np.isfinite(values)
        out[:] = self.has_missing
        self._add_ranks(values, finite, out)
        out[~finite] = 0 if self.has_missing else self.n_ranks

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


def fit_numeric(feature: str, kind: str, sample: Floats, *, default: str, override: str | None) -> NumericRule:
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

    Raises
    ------
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
            edges, n_steps = _level_range(feature, ordered)
    elif rule == "five":
        edges = tuple(float(edge) for edge in five_edges(ordered))
    draft = NumericRule(feature, kind, rule, edges, n_steps, n_missing > 0 or rule == "missing", 0, (), n_missing)
    return _with_counts(draft, sample)


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


def _with_counts(draft: NumericRule, sample: Floats) -> NumericRule:
    codes = np.empty(sample.size, dtype=np.uint8)
    draft.write_codes(pd.Series(sample, copy=False), codes)
    counts = np.bincount(codes, minlength=draft.n_classes)
    if draft.rule == "levels":
        known = np.sort(codes[np.isfinite(sample)])
        fallback = int(known[(known.size - 1) // 2])
    else:
        fallback = int(counts.argmax())
    return replace(draft, fallback=fallback, counts=tuple(counts.tolist()))


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
    """

    feature: str
    levels: tuple[str | None, ...]
    has_rest: bool
    counts: tuple[int, ...]
    n_missing: int
    kind: str = "categorical"
    rule: str = "categories"

    @property
    def n_classes(self) -> int:
        """Number of classes, the one of all other levels included."""
        return len(self.levels) + 1

    def column_names(self) -> list[str]:
        """Return "feature=level" for every 0/1 column."""
        names = [f"{self.feature}={'(missing)' if level is None else level}" for level in self.levels]
        return [*names, f"{self.feature}=(rest)"] if self.has_rest else names

    def column_values(self) -> Ints:
        """Return the 0/1 table of classes, shape (n_columns, n_classes)."""
        return np.eye(len(self.levels) + self.has_rest, self.n_classes, dtype=np.int64)

    def write_codes(self, column: pd.Series[Any], out: Codes) -> None:
        """Write the class of every cell to `out`, shape (n_rows,)."""
        present, found = factorise(self.feature, column)
        code_of = {level: code for code, level in enumerate(self.levels)}
        table = np.array([code_of.get(level, len(self.levels)) for level in found], dtype=np.uint8)
        out[:] = table[present]


def fit_category(feature: str, column: pd.Series[Any], max_levels: int) -> CategoryRule:
    """Keep the most frequent levels of the training rows; ties by text order, missing before any text."""
    present, found = factorise(feature, column)
    frequency = np.bincount(present, minlength=len(found)).tolist()
    order = sorted((k for k in range(len(found)) if frequency[k]), key=lambda k: (-frequency[k], found[k] is not None, found[k] or ""))
    kept = order[:max_levels]
    counts = [frequency[k] for k in kept]
    rest = len(present) - sum(counts)
    n_missing = frequency[-1]
    return CategoryRule(feature, tuple(found[k] for k in kept), rest > 0, (*counts, rest), n_missing)


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

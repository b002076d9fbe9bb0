"""A model as a table: what each class of each feature adds to the logit. Every format and every report starts from it.

u = intercept + Σ_k contribution_k[class of feature k], the same sum as Z·w + b, since columns are functions of classes ([0075], [0091]).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..binning.rules import CategoryRule, NumericRule
from ..errors import InputError, ModelError
from ..jobs.model import SavedParty

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """The finite numbers from `low` to `high`; an end that is finite belongs to it if `closed` says so."""

    low: float = -math.inf
    high: float = math.inf
    low_closed: bool = False
    high_closed: bool = False


@dataclass(frozen=True)
class FeatureClass:
    """One class of a feature.

    Attributes
    ----------
    code
        Its class code.
    text
        What falls into it, for people, as the party's bins say it.
    contribution
        What it adds to the logit.
    rows
        Training rows in it.
    intervals, levels
        The numbers, or the texts, that fall into it.
    missing, rest
        Whether missing cells fall into it, and all texts that are no other class's.
    """

    code: int
    text: str
    contribution: float
    rows: int
    intervals: tuple[Interval, ...] = ()
    levels: tuple[str, ...] = ()
    missing: bool = False
    rest: bool = False


@dataclass(frozen=True)
class Feature:
    """A feature and its classes, by code; `name` is unique in the model, `column` is the party's own name of it."""

    name: str
    column: str
    party: str
    kind: str
    classes: tuple[FeatureClass, ...]

    @property
    def contributions(self) -> Floats:
        """Contribution by class code, shape (n_classes,)."""
        return np.array([one.contribution for one in self.classes])

    @property
    def mean(self) -> float:
        """Mean contribution over the training rows."""
        rows = [one.rows for one in self.classes]
        return math.fsum(one.contribution * one.rows for one in self.classes) / sum(rows)


@dataclass(frozen=True)
class ClassModel:
    """One party's half, or the joint model of several parties, as features and classes.

    Attributes
    ----------
    parties
        Roles whose halves are in it.
    session
        The training run.
    intercept
        b; for a half, that half's own.
    """

    parties: tuple[str, ...]
    session: str
    intercept: float
    features: tuple[Feature, ...]


def class_model(*parties: SavedParty) -> ClassModel:
    """Return u = b + Σ_k contribution_k[class_k] of one party, or of several whose logits add up to the joint one ([0075]).

    The joint model needs every party's weights and bins in one place: it takes the consent of all of them.

    Parameters
    ----------
    parties
        Saved models, one a party.

    Raises
    ------
    InputError
        No party, or something else than saved models.
    ModelError
        Parties of different training runs, or one twice.
    """
    if not parties or not all(isinstance(party, SavedParty) for party in parties):
        raise InputError("parties", "must be saved models of data parties, at least one")
    if len({party.session for party in parties}) > 1:
        raise ModelError("session", "the parties' models come from different training runs")
    roles = tuple(party.role for party in parties)
    if len(set(roles)) < len(roles):
        raise ModelError("role", "one party's model is given twice")
    names = [name for party in parties for name in party.binner.feature_names]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    features = tuple(feature for party in parties for feature in _features(party, twice))
    return ClassModel(roles, parties[0].session, math.fsum(party.intercept for party in parties), features)


def _features(party: SavedParty, twice: set[str]) -> list[Feature]:
    result, first = [], 0
    for rule in party.binner.rules:
        values = rule.column_values()
        contributions = party.weights[first : first + len(values)] @ values
        first += len(values)
        classes = _categories(rule, contributions) if isinstance(rule, CategoryRule) else _numbers(rule, contributions)
        name = f"{party.role}.{rule.feature}" if rule.feature in twice else rule.feature
        result.append(Feature(name, rule.feature, party.role, rule.kind, classes))
    return result


def _categories(rule: CategoryRule, contributions: Floats) -> tuple[FeatureClass, ...]:
    rest = len(rule.levels)
    return tuple(
        FeatureClass(
            code, text, float(contributions[code]), rule.counts[code],
            levels=() if code == rest or rule.levels[code] is None else (str(rule.levels[code]),),
            missing=None not in rule.levels if code == rest else rule.levels[code] is None,
            rest=code == rest,
        )
        for code, text in enumerate(rule.class_texts())
    )  # fmt: skip


def _numbers(rule: NumericRule, contributions: Floats) -> tuple[FeatureClass, ...]:
    group = rule.groups or range(rule.n_ranks + 1)
    missing = group[0 if rule.has_missing else rule.n_ranks]
    intervals: dict[int, list[Interval]] = {code: [] for code in range(rule.n_classes)}
    for rank, interval in _pieces(rule):
        intervals[group[rank + rule.has_missing]].append(interval)
    return tuple(
        FeatureClass(code, text, float(contributions[code]), rule.counts[code], intervals=_joined(intervals[code]), missing=code == missing)
        for code, text in enumerate(rule.class_texts())
    )


def _joined(intervals: list[Interval]) -> tuple[Interval, ...]:
    """Neighbouring pieces of one class as one."""
    result: list[Interval] = []
    for interval in intervals:
        before = result[-1] if result else None
        if before and before.high == interval.low and (before.high_closed or interval.low_closed):
            result[-1] = Interval(before.low, interval.high, before.low_closed, interval.high_closed)
        else:
            result.append(interval)
    return tuple(result)


def _pieces(rule: NumericRule) -> list[tuple[int, Interval]]:
    """Ranks of the finite numbers, piece by piece from the lowest."""
    if rule.rule == "missing":
        return [(0, Interval())]
    if rule.rule in ("zero", "sign"):
        below, above = (1, 1) if rule.rule == "zero" else (0, 2)
        zero = 0 if rule.rule == "zero" else 1
        return [(below, Interval(high=0.0)), (zero, Interval(0.0, 0.0, True, True)), (above, Interval(low=0.0))]
    if rule.rule == "five":
        bounds = [-math.inf, *rule.edges, math.inf]
        return [(rank, Interval(low, high, False, high < math.inf)) for rank, (low, high) in enumerate(pairwise(bounds))]
    bounds = [-math.inf, *_level_starts(rule), math.inf]
    return [(rank, Interval(low, high, low > -math.inf, False)) for rank, (low, high) in enumerate(pairwise(bounds))]


def _level_starts(rule: NumericRule) -> Sequence[float]:
    """Smallest number of every level from 1 up, exactly: found in the bits of the numbers by the rule's own rounding, which is monotone."""
    low, high = (_ordinal(edge) for edge in rule.edges)
    starts = []
    for level in range(1, rule.n_steps + 1):
        below, at = low, high
        while at - below > 1:
            middle = (below + at) // 2
            below, at = (below, middle) if _level(rule, _number(middle)) >= level else (middle, at)
        starts.append(_number(at))
    return starts


def _level(rule: NumericRule, value: float) -> int:
    low, high = rule.edges
    return int(np.rint((value - low) / (high - low) * rule.n_steps))


def _ordinal(value: float) -> int:
    """Position of a float64 among all of them."""
    bits = int(np.float64(value).view(np.int64))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def _number(ordinal: int) -> float:
    bits = ordinal if ordinal >= 0 else -ordinal | -(1 << 63)
    return float(np.int64(bits).view(np.float64))

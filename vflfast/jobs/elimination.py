"""Backward elimination: features leave the model by rules, one at a time, each time with a refit that starts from the weights before.

Before the first fit each party judges its own features by themselves: cells that are missing, information value. After each fit the worst
feature by the first rule that is broken leaves: variance inflation, then correlation, then p. What a party compares are the numbers of its
own columns, and of other parties' the worst number alone; names stay with their party.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..binning.binner import Binner
from ..crypto.coded import CodedMatrix
from ..errors import InputError, LeakageGuardError
from ..learn.inference import json_number
from ..protocol.block import PartyInputs
from .coefficients import coefficients
from .job import Prepared, TrainedJob, prepare, train_prepared
from .jobfile import Job
from .model import SavedParty
from .progress import StageClock

log = logging.getLogger("vflfast")

MOST_STEPS = 400
SAME = 1e-9  # relative difference of a number that two parties have
RANGES = {"max_missing": (0, 1), "min_iv": (0, math.inf), "max_inflation": (1, math.inf), "max_correlation": (0, 1), "max_p": (0, 1)}


@dataclass(frozen=True)
class Rules:
    """When a feature leaves; None: that is no reason.

    Attributes
    ----------
    max_missing
        Largest share of training rows whose cell is missing.
    min_iv
        Least information value, of features whose party knows their classes' labels: the guest's.
    max_inflation
        Largest variance inflation of any of its columns beside all other features of both sides.
    max_correlation
        Largest magnitude of a correlation with a column of the other side; of such a pair the one with the larger p leaves.
    max_p
        Largest p of its most significant column.

    Raises
    ------
    InputError
        A number outside its range, or no rule at all.
    """

    max_missing: float | None = None
    min_iv: float | None = None
    max_inflation: float | None = None
    max_correlation: float | None = None
    max_p: float | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most):
                raise InputError(name, f"must be a number from {least} to {most}")
        if all(getattr(self, name) is None for name in RANGES):
            raise InputError("rules", "at least one is needed, such as max_p = 0.05")

    @property
    def need_fits(self) -> bool:
        """Whether any rule looks at fitted numbers."""
        return any(rule is not None for rule in (self.max_inflation, self.max_correlation, self.max_p))


@dataclass(frozen=True)
class Step:
    """One feature that left: after how many fits, whose, which rule it broke, its number and the rule's limit."""

    fits: int
    party: str
    feature: str
    rule: str
    value: float
    limit: float

    def to_dict(self) -> dict[str, Any]:
        """Return the step for JSON; text for a number that is infinite."""
        return {**vars(self), "value": json_number(self.value)}


def eliminate(job: Job, rules: Rules, observer: StageClock, *, verify: bool = False) -> tuple[TrainedJob, list[Step]]:
    """Train, leave out the feature that breaks a rule most, and train again, until none does; return the last fit and the steps.

    Parameters
    ----------
    job
        A simulation, with standard errors where a rule needs them.

    Raises
    ------
    InputError
        Nothing would be left at a party, or the settings have no standard errors.
    LeakageGuardError
        No simulation: between organisations each leaves out its own columns between two runs (docs/standard-errors.md).
    """
    if not job.settings.simulation:
        raise LeakageGuardError("eliminate: refits in one place need a simulation; between organisations each party drops its own columns")
    if rules.need_fits and not job.settings.inference:
        job = dataclasses.replace(job, settings=job.settings.changed(inference=True))
    with job.resources.in_use():
        ready = prepare(job, observer)
        names = [plan.name for plan in (job.guest, *job.hosts)]
        steps = list(_alone(ready, names, rules))
        ready = _without(ready, names, {(step.party, step.feature) for step in steps})
        for fits in range(1, MOST_STEPS + 1):
            trained = train_prepared(ready, job, observer, verify=verify)
            worst = _worst(trained.parties, rules, fits) if rules.need_fits else None
            if worst is None:
                return dataclasses.replace(trained, parties=[_dropping(party, steps) for party in trained.parties]), steps
            log.info("%s: %s leaves after fit %d by %s, %.4g", worst.party, worst.feature, fits, worst.rule, worst.value)
            steps.append(worst)
            ready = _without(_warm(ready, trained.parties), names, {(worst.party, worst.feature)})
    raise InputError("rules", f"more than {MOST_STEPS} features would leave one by one; use stricter rules before the first fit")


def _dropping(party: SavedParty, steps: Sequence[Step]) -> SavedParty:
    """The model of a party that reads tables without the features that left."""
    out = {step.feature for step in steps if step.party == party.role}
    if not out:
        return party
    return dataclasses.replace(party, reading={**party.reading, "drop": sorted({*party.reading.get("drop", ()), *out})})


def _alone(ready: Prepared, names: Sequence[str], rules: Rules) -> Iterator[Step]:
    """Features that break a rule by themselves, each party's own."""
    for name, binner, inputs in zip(names, ready.binners, ready.inputs, strict=True):
        for rule in binner.rules:
            missing = rule.n_missing / inputs.matrix.n_rows
            if rules.max_missing is not None and missing > rules.max_missing:
                yield Step(0, name, rule.feature, "max_missing", missing, rules.max_missing)
            elif rules.min_iv is not None and rule.iv is not None and rule.iv < rules.min_iv:  # known where the labels are
                yield Step(0, name, rule.feature, "min_iv", rule.iv, rules.min_iv)


def _worst(parties: Sequence[SavedParty], rules: Rules, fits: int) -> Step | None:
    """The feature that breaks the first broken rule most; of equal ones the guest's, then the first by column."""
    told = [(party.role, feature, rows) for party in parties for feature, rows in _by_feature(party)]
    if rules.max_inflation is not None:
        found = max(told, key=lambda one: _largest(one[2], "inflation"), default=None)
        if found is not None and _largest(found[2], "inflation") > rules.max_inflation:
            return Step(fits, found[0], found[1], "max_inflation", _largest(found[2], "inflation"), rules.max_inflation)
    if rules.max_correlation is not None:
        strongest = max((_correlation(rows) for _, _, rows in told), default=0.0)
        if strongest > rules.max_correlation:  # both sides of the pair have it, but for rounding
            pair = [one for one in told if math.isclose(_correlation(one[2]), strongest, rel_tol=SAME)]
            party, feature, _ = max(pair, key=lambda one: _least_p(one[2]))
            return Step(fits, party, feature, "max_correlation", strongest, rules.max_correlation)
    if rules.max_p is not None:
        found = max(told, key=lambda one: _least_p(one[2]), default=None)
        if found is not None and _least_p(found[2]) > rules.max_p:
            return Step(fits, found[0], found[1], "max_p", _least_p(found[2]), rules.max_p)
    return None


def _by_feature(party: SavedParty) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A party's features with the rows of their columns, those that vary."""
    rows, place = coefficients(party)[1:], 0
    for rule in party.binner.rules:
        count = len(rule.column_names())
        own = [row for row in rows[place : place + count] if not math.isnan(row["error"])]
        place += count
        if own:
            yield rule.feature, own


def _largest(rows: list[dict[str, Any]], name: str) -> float:
    return max(float(row[name]) for row in rows)


def _correlation(rows: list[dict[str, Any]]) -> float:
    return max(abs(float(row["correlation"])) for row in rows)


def _least_p(rows: list[dict[str, Any]]) -> float:
    return min(float(row["p"]) for row in rows)


def _warm(ready: Prepared, parties: Sequence[SavedParty]) -> Prepared:
    """The same tables, to start from fitted weights."""
    starts = [(party.weights, party.intercept) for party in parties]
    return dataclasses.replace(
        ready, inputs=[dataclasses.replace(one, start=start) for one, start in zip(ready.inputs, starts, strict=True)]
    )


def _without(ready: Prepared, names: Sequence[str], out: set[tuple[str, str]]) -> Prepared:
    """The tables without some features, each (party, feature); InputError where a party would have none left."""
    if not out:
        return ready
    inputs, binners = [], []
    matrices = [] if ready.test is None else list(ready.test.matrices)
    for number, (name, binner, own) in enumerate(zip(names, ready.binners, ready.inputs, strict=True)):
        kept = [place for place, rule in enumerate(binner.rules) if (name, rule.feature) not in out]
        if not kept:
            raise InputError("rules", f"would leave {name} without a feature; what the other side has is then a model of its own")
        columns = np.flatnonzero(np.isin(own.matrix.column_features, kept))
        inputs.append(_taken(own, kept, columns))
        binners.append(_binner(binner, kept))
        if matrices:
            matrices[number] = _subset(matrices[number], kept, columns)
    test = None if ready.test is None else dataclasses.replace(ready.test, matrices=matrices)
    return dataclasses.replace(ready, inputs=inputs, binners=binners, test=test)


def _taken(own: PartyInputs, kept: list[int], columns: npt.NDArray[np.int64]) -> PartyInputs:
    """A party's inputs with some of its features; weights to start from, and columns left out, are those of the kept columns."""
    start = None if own.start is None else (own.start[0][columns], own.start[1])
    left = tuple(int(place) for place in np.flatnonzero(np.isin(columns, own.left_out)))
    features = tuple(own.features[place] for place in kept) if own.features else ()
    return dataclasses.replace(own, matrix=_subset(own.matrix, kept, columns), start=start, left_out=left, features=features)


def _subset(matrix: CodedMatrix, kept: list[int], columns: npt.NDArray[np.int64]) -> CodedMatrix:
    places = np.searchsorted(kept, matrix.column_features[columns])
    return CodedMatrix(matrix.codes[kept], matrix.class_counts[kept], places, matrix.column_values[columns])


def _binner(binner: Binner, kept: list[int]) -> Binner:
    saved = binner.to_dict()
    return Binner.from_dict({**saved, "rules": [saved["rules"][place] for place in kept]})

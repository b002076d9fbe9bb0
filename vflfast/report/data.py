"""What a report shows, as one JSON-ready dict: of a whole trial, or of one party's own model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..binning.rules import CategoryRule, NumericRule
from ..crypto.coded import CodedMatrix
from ..errors import InputError, LeakageGuardError
from ..jobs import coefficients as coef
from ..jobs.job import TrainedJob
from ..jobs.model import SavedParty
from ..learn.logistic import sigmoid
from ..learn.uncertainty import rate_interval
from ..protocol.block import PartyInputs
from .warnings import feature_warnings

REPORT_VERSION = 1
SAMPLES = (("highest score", 1.0), ("near the threshold", None), ("median score", 0.5), ("lowest score", 0.0))
MISSING = ("missing", "missing later")  # classes of an ordinal feature that have no place in its order
REASONS = 4  # of each sign that are told of a customer
NEEDED = (
    "match", "training_rows", "columns", "rounds", "stopped_by_rule", "losses", "evaluation", "threshold", "flagged_share_in_training",
    "bytes", "bytes_by_message", "seconds", "seconds_by_stage", "weight_hash", "verified_rounds", "leak_ledger", "settings",
)  # fmt: skip

Floats = npt.NDArray[np.float64]


def run_report(summary: Mapping[str, Any], trained: TrainedJob) -> dict[str, Any]:
    """Return the report of a trial, every side in one place.

    Raises
    ------
    LeakageGuardError
        The run was no simulation: no single place may then see all sides.
    """
    report = summary_report(summary)
    report["parties"] = [scorecard(party) for party in trained.parties]
    if trained.test is not None:
        for card, party, matrix in zip(report["parties"], trained.parties, trained.test.matrices, strict=True):
            _tell_rates(card, party, matrix, trained.test.labels)
        report["samples"] = _samples(trained, float(summary["threshold"]))
    return report


def summary_report(summary: Mapping[str, Any], parties: Sequence[SavedParty] = ()) -> dict[str, Any]:
    """Return the report of a run's JSON summary, with the scorecards of the models that are given.

    Raises
    ------
    InputError
        Not the summary of a run.
    LeakageGuardError
        As `run_report`.
    """
    absent = [name for name in NEEDED if name not in summary]
    if absent:
        raise InputError("summary", f"is not that of a run: {absent[0]} is missing")
    if not summary["settings"].get("simulation"):
        raise LeakageGuardError("report: all sides in one page need a simulation; report each party's own model instead")
    return {**_head("run"), "summary": dict(summary), "parties": [scorecard(party) for party in parties], "samples": []}


def model_report(party: SavedParty) -> dict[str, Any]:
    """Return the report of one party's own model: nothing of any other side is in it."""
    facts = party.facts
    return {
        **_head("party"),
        "party": {
            "role": party.role,
            "session": party.session,
            "rounds": facts.get("n_iter"),
            "stopped_by_rule": facts.get("stopped_by_rule"),
            "alpha": facts.get("alpha"),
            "losses": {party.role: facts.get("losses", [])},
            "leak_ledger": facts.get("ledger", []),
            "settings": facts.get("settings", {}),
        },
        "parties": [scorecard(party)],
        "samples": [],
    }


def scorecard(party: SavedParty) -> dict[str, Any]:
    """Return every feature's classes with their training rows and what each adds to the linear predictor, widest spread first."""
    features = [_feature(*each) for each in _points(party)]
    rows = coef.coefficients(party)
    return {
        "role": party.role,
        "coefficients": coef.ready(rows),
        "inference": coef.outline(rows),
        "intercept": party.intercept,
        "n_columns": len(party.weights),
        "rules": _count([rule.rule for rule in party.binner.rules]),
        "features": sorted(features, key=lambda feature: (-feature["spread"], feature["feature"])),
    }


def _tell_rates(card: dict[str, Any], party: SavedParty, matrix: CodedMatrix, labels: npt.NDArray[np.int8]) -> None:
    """Add to every class how many customers kept out of training it has, and how many of them are positive, with the rate's interval."""
    features = {feature["feature"]: feature for feature in card["features"]}
    for rule, codes in zip(party.binner.rules, matrix.codes, strict=True):
        classes = features[rule.feature]["classes"]
        rows, positives = (np.bincount(part, minlength=len(classes)).tolist() for part in (codes, codes[labels > 0]))
        for place, shown in enumerate(classes):
            seen = rate_interval(positives[place], rows[place]) if rows[place] else None
            shown["test_rows"], shown["test_positives"] = rows[place], positives[place]
            shown["test_rate"] = None if seen is None else seen.value
            shown["test_rate_low"], shown["test_rate_high"] = (None, None) if seen is None else (seen.low, seen.high)
        features[rule.feature]["warnings"] = feature_warnings(features[rule.feature])


def _points(party: SavedParty) -> Iterator[tuple[NumericRule | CategoryRule, Floats, float]]:
    """Yield every feature's rule, what each of its classes adds to the linear predictor, and the mean of that over the training rows."""
    column = 0
    for rule in party.binner.rules:
        values, rows = rule.column_values(), np.array(rule.counts)
        points = party.weights[column : column + len(values)] @ values
        column += len(values)
        yield rule, points, float(points @ rows / max(1, rows.sum()))


def _feature(rule: NumericRule | CategoryRule, points: Floats, mean: float) -> dict[str, Any]:
    seen = points[np.array(rule.counts) > 0]
    classes = [
        {"label": label, "rows": int(n), "points": float(p)} for label, n, p in zip(rule.class_texts(), rule.counts, points, strict=True)
    ]
    ordinal = isinstance(rule, NumericRule) and rule.encoding == "ordinal"
    return {
        "feature": rule.feature,
        "kind": rule.kind,
        "rule": rule.rule,
        "spread": float(seen.max() - seen.min()) if seen.size else 0.0,
        "mean": mean,
        "ordered": [place for place, one in enumerate(classes) if ordinal and one["label"] not in MISSING],
        "classes": classes,
    }


def _samples(trained: TrainedJob, threshold: float) -> list[dict[str, Any]]:
    """Reason codes of a few customers kept out of training: each feature's points against the mean of the training rows."""
    test = trained.test
    if test is None:
        return []
    inputs = [
        party.to_score(PartyInputs(matrix, test.commitment, ""))
        for party, matrix in zip(trained.parties, test.matrices, strict=True)
    ]
    total = np.sum([one.predictor() for one in inputs], axis=0)
    order = np.argsort(total)
    found = []
    for name, place in SAMPLES:
        cut = 1 - trained.result.arbiter.flagged_share if place is None else place
        row = int(order[round(cut * (len(order) - 1))])
        found.append({"customer": name, "joint_probability": float(sigmoid(total[row : row + 1])[0]), "reasons": _reasons(trained, row)})
    return found


def _reasons(trained: TrainedJob, row: int) -> list[dict[str, Any]]:
    test = trained.test
    reasons: list[dict[str, Any]] = []
    for party, matrix in zip(trained.parties, test.matrices if test else (), strict=True):
        for (rule, points, mean), code in zip(_points(party), matrix.codes[:, row].tolist(), strict=True):
            effect = float(points[code] - mean)
            reasons.append({"party": party.role, "feature": rule.feature, "class": rule.class_texts()[code], "effect": effect})
    ranked = sorted(reasons, key=lambda reason: reason["effect"])
    return [*reversed(ranked[-REASONS:]), *ranked[:REASONS]]


def _head(kind: str) -> dict[str, Any]:
    return {"format": "vflfast report", "version": REPORT_VERSION, "kind": kind, "vflfast": __version__}


def _count(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}

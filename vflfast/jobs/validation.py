"""Cross-validation of a job: every customer is kept out of training once, by a hash of the id, and every fold is a whole encrypted run."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

import numpy as np

from ..errors import InputError, LeakageGuardError
from .evaluation import ALL, evaluate
from .job import TrainedJob, prepare, train_prepared
from .jobfile import Job
from .matched import Matched, in_test_part
from .progress import StageClock

MOST_FOLDS = 50
FIGURES = ("auc", "ks", "lift_10", "log_loss", "brier_score", "calibration_error")


def validate(job: Job, folds: int, observer: StageClock) -> dict[str, Any]:
    """Train and evaluate once for every fold; everything that is fitted, bins and levels too, sees that fold's training rows only.

    Parameters
    ----------
    job
        A simulation; its own `test_share` is not used.
    folds
        From 2 to 50.
    observer
        Told of stages and rounds.

    Returns
    -------
    dict
        ``folds``: rows, positives, rounds, weight hash and the figures of every score, by fold. ``mean`` and ``spread`` (sample standard
        deviation) of every figure over the folds. ``partner``: AUC gained over the guest alone, by fold, with mean and spread.

    Raises
    ------
    InputError
        Folds outside their range, or a fold without customers of both classes, outside or inside it.
    LeakageGuardError
        No simulation: figures of all sides would have to be in one place.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or not 2 <= folds <= MOST_FOLDS:
        raise InputError("folds", f"must be a whole number from 2 to {MOST_FOLDS}")
    if not job.settings.simulation:
        raise LeakageGuardError("validate: comparing every side's scores needs them in one place; only a simulation has that")
    rows: list[dict[str, Any]] = []
    matched: Matched | None = None
    with job.resources.in_use():
        for number in range(folds):
            part = dataclasses.replace(job, test_share=1 / folds, test_start=number / folds)
            ready = prepare(part, observer, matched)
            if matched is None:
                matched = ready.matched
                _check_classes(job, matched, folds)
            trained = train_prepared(ready, part, observer)
            rows.append(_fold(trained, evaluate(trained, part, observer)))
    return {"folds": rows, **_over(rows), "seconds": observer.total(), "seconds_by_stage": dict(observer.seconds)}


def _check_classes(job: Job, matched: Matched | None, folds: int) -> None:
    """Refuse folds that could not be measured, before the first is trained."""
    guest = job.guest.open()
    if matched is None or guest.labels is None:
        raise InputError("label_column", "the guest's table has no labels")
    rows = matched.positions[0]
    labels = guest.labels[rows]
    for number in range(folds):
        outside = in_test_part(guest.ids, rows, 1 / folds, number / folds)
        if any(len(np.unique(labels[part])) < 2 for part in (outside, ~outside)):
            raise InputError("folds", f"fold {number + 1} or its training rows have customers of one class only; take fewer folds")


def _fold(trained: TrainedJob, evaluation: dict[str, Any]) -> dict[str, Any]:
    scores = {name: {**evaluation["scores"][name], **evaluation["probabilities"].get(name, {})} for name in evaluation["scores"]}
    return {
        "rows": evaluation["rows"],
        "positives": round(evaluation["rows"] * evaluation["positive_share"]),
        "training_rows": trained.n_train,
        "rounds": trained.result.guest.n_iter,
        "weight_hash": trained.result.weight_hash,
        "scores": scores,
    }


def _over(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of every figure of every score, and of what the partners add to the guest's."""
    mean: dict[str, dict[str, float]] = {}
    spread: dict[str, dict[str, float]] = {}
    for name in rows[0]["scores"]:
        for figure in FIGURES:
            values = [row["scores"][name][figure] for row in rows if figure in row["scores"][name]]
            if values:
                mean.setdefault(name, {})[figure] = statistics.fmean(values)
                spread.setdefault(name, {})[figure] = statistics.stdev(values)
    alone = next(name for name in rows[0]["scores"] if name.startswith("guest"))
    gains = [row["scores"][ALL]["auc"] - row["scores"][alone]["auc"] for row in rows]
    partner = {"auc_gain": gains, "mean": statistics.fmean(gains), "spread": statistics.stdev(gains)}
    return {"mean": mean, "spread": spread, "partner": partner}

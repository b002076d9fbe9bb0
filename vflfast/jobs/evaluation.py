"""What a run showed: the scores of customers kept out of training, and the summary of the whole."""

from __future__ import annotations

import dataclasses
import resource
import sys
from typing import Any

import numpy as np

from ..errors import LeakageGuardError
from ..learn import metrics, stability, uncertainty
from ..learn.checks import Floats, Labels
from ..learn.curves import curves
from ..learn.logistic import sigmoid
from ..learn.watch import JOINT
from ..protocol.block import PartyInputs
from ..protocol.guest import ScoringResult
from .job import TrainedJob, score_parties
from .jobfile import Job
from .progress import StageClock

COMBINED, ALL = "combined F", "joint"
CALIBRATION_BINS = STABILITY_BINS = 10
MOST_UNSTABLE = 25  # features that are told one by one


def evaluate(trained: TrainedJob, job: Job, observer: StageClock) -> dict[str, Any]:
    """How well scores separate the test part, and how true probabilities are: each side alone, F where labels come from it, all together.

    Only where one place may know all of them: a trial.

    Raises
    ------
    LeakageGuardError
        Elsewhere.
    """
    if trained.test is None:
        return {}
    if not job.settings.simulation:
        raise LeakageGuardError("evaluate: comparing every side's scores needs them in one place; only a simulation has that")
    jointly = job.settings.scoring == "joint"
    settings = job.settings.changed(output="probability" if jointly else "scores")
    test = trained.test
    result, _ = score_parties(
        trained.parties, trained.result.arbiter, test.matrices, test.commitment, settings, job=job, observer=observer
    )
    halves = [
        party.to_score(PartyInputs(matrix, test.commitment, "")).predictor()
        for party, matrix in zip(trained.parties, test.matrices, strict=True)
    ]
    scores = {f"{party.role} alone": sigmoid(half) for party, half in zip(trained.parties, halves, strict=True)}
    if result.scores is not None:
        scores[COMBINED] = result.scores
    together = np.asarray(np.sum(halves, axis=0))
    scores[ALL] = sigmoid(together) if result.joint_probability is None else result.joint_probability
    labels, chance = test.labels, scores[ALL]
    return {
        "rows": len(labels),
        "positive_share": float((labels > 0).mean()),
        "flagged_share": float((result.labels > 0).mean()),
        "rounds": _by_round(trained),
        "curves": {name: curves(labels, values) for name, values in scores.items()},
        "scores": {name: _separation(labels, values) for name, values in scores.items()},
        "probabilities": {name: _probability(labels, values) for name, values in scores.items() if name != COMBINED},  # which is none
        "partner": partner_gain(labels, chance, scores[f"{trained.parties[0].role} alone"]),
        "calibrated": calibrated(labels, chance),
        "flagged": flagged(labels, result.labels),
        "stability": _stability(trained, together),
    }


def evaluate_at_guest(labels: Labels, own: Floats, result: ScoringResult) -> dict[str, Any]:
    """What the guest of a run between processes finds of the customers kept out: it has their labels and its own half of the score.

    How the joint score separates and how true it is are known where the settings open it (``output = "probability"``); of labels alone
    there is whom they flag.
    """
    found: dict[str, Any] = {
        "rows": len(labels),
        "positive_share": float((labels > 0).mean()),
        "flagged_share": float((result.labels > 0).mean()),
        "flagged": flagged(labels, result.labels),
    }
    if not _two_of_each(labels):
        return found
    scores = {"guest alone": sigmoid(own)}
    if result.joint_probability is not None:
        scores[ALL] = result.joint_probability
        found["partner"] = partner_gain(labels, scores[ALL], scores["guest alone"])
        found["calibrated"] = calibrated(labels, scores[ALL])
    found["scores"] = {name: _separation(labels, values) for name, values in scores.items()}
    found["probabilities"] = {name: _probability(labels, values) for name, values in scores.items()}
    return found


def _separation(labels: Labels, values: Floats) -> dict[str, float | None]:
    """AUC with its interval, Gini, KS, lift; no interval where a class has a single row."""
    auc = metrics.roc_auc(labels, values)
    found = uncertainty.auc_interval(labels, values) if _two_of_each(labels) else None
    return {
        "auc": auc,
        "auc_low": None if found is None else found.low,
        "auc_high": None if found is None else found.high,
        "gini": 2 * auc - 1,
        "ks": metrics.ks(labels, values),
        "lift_10": metrics.lift(labels, values, 0.1),
    }


def _probability(labels: Labels, values: Floats) -> dict[str, float]:
    return {
        "log_loss": metrics.log_loss(labels, values),
        "brier_score": metrics.brier_score(labels, values),
        "calibration_error": metrics.calibration_error(labels, values, min(CALIBRATION_BINS, len(labels))),
    }


def partner_gain(labels: Labels, jointly: Floats, alone: Floats) -> dict[str, float | bool] | None:
    """What the partners add to the guest's own score: AUC with interval and test, KS and lift; None for too few rows of a class."""
    if not _two_of_each(labels):
        return None
    test = uncertainty.auc_test(labels, jointly, alone)
    return {
        "auc_gain": test.difference.value,
        "low": test.difference.low,
        "high": test.difference.high,
        "p_value": test.p_value,
        "shown": test.p_value < 1 - uncertainty.CONFIDENCE and test.difference.value > 0,
        "ks_gain": metrics.ks(labels, jointly) - metrics.ks(labels, alone),
        "lift_10_gain": metrics.lift(labels, jointly, 0.1) - metrics.lift(labels, alone, 0.1),
    }


def calibrated(labels: Labels, probability: Floats) -> dict[str, float | int]:
    """How many groups of rising probability have their mean prediction within the 95 % interval of their observed rate."""
    groups = np.array_split(np.argsort(probability, kind="stable"), min(CALIBRATION_BINS, len(labels)))
    within = 0
    for group in groups:
        seen = uncertainty.rate_interval(int((labels[group] > 0).sum()), len(group))
        within += seen.low <= float(probability[group].mean()) <= seen.high
    return {"groups": len(groups), "within": int(within), "mean_probability": float(probability.mean())}


def flagged(labels: Labels, given: Labels) -> dict[str, float | int | None]:
    """Whom the threshold flags: rows, how many of them are positive, with an interval, and what share of all positives they are."""
    chosen = given > 0
    rows, hits, positives = int(chosen.sum()), int((chosen & (labels > 0)).sum()), int((labels > 0).sum())
    precision = uncertainty.rate_interval(hits, rows) if rows else None
    return {
        "rows": rows,
        "positives": hits,
        "precision": None if precision is None else precision.value,
        "precision_low": None if precision is None else precision.low,
        "precision_high": None if precision is None else precision.high,
        "recall": hits / positives if positives else None,
    }


def _stability(trained: TrainedJob, test_scores: Floats) -> dict[str, Any]:
    """Population stability from the training rows to those kept out: of the joint score by tenths, and of every feature by its classes."""
    before = trained.train_scores
    psi = None
    if before is not None:
        edges = np.quantile(before, np.arange(1, STABILITY_BINS) / STABILITY_BINS)
        tenths = (np.bincount(np.searchsorted(edges, u), minlength=STABILITY_BINS) for u in (before, test_scores))
        psi = stability.population_stability(*tenths)
    features: list[dict[str, Any]] = []
    for party, matrix in zip(trained.parties, trained.test.matrices if trained.test else (), strict=True):
        for rule, codes in zip(party.binner.rules, matrix.codes, strict=True):
            counts = np.array(rule.counts)
            found = stability.population_stability(counts, np.bincount(codes, minlength=len(counts))[: len(counts)])
            features.append({"party": party.role, "feature": rule.feature, "psi": found, "verdict": stability.verdict(found)})
    features.sort(key=lambda one: -one["psi"])
    verdicts = {name: sum(one["verdict"] == name for one in features) for name in ("stable", "shifted", "drifted")}
    score = {"score_psi": psi, "score_verdict": None if psi is None else stability.verdict(psi)}
    return {**score, **verdicts, "features": features[:MOST_UNSTABLE]}


def _two_of_each(labels: Labels) -> bool:
    return min(int((labels > 0).sum()), int((labels < 0).sum())) >= 2


def _by_round(trained: TrainedJob) -> dict[str, Any]:
    """AUC and KS of the test part by round, and the first round of which they are known: a run that went on has not the ones before."""
    test, watch, last = trained.test, trained.watch, trained.result.guest.n_iter
    if test is None or watch is None:
        return {}
    found = watch.curves(dict(zip(watch.rounds, test.matrices, strict=True)), test.labels)
    return {"first": last - len(found[JOINT]["auc"]) + 1, "scores": found}


def summary(trained: TrainedJob, evaluation: dict[str, Any], clock: StageClock) -> dict[str, Any]:
    """Return what a run showed, ready for JSON."""
    result = trained.result
    models = (result.guest, *result.hosts)
    return {
        "match": trained.match,
        "training_rows": trained.n_train,
        "columns": {m.name: len(m.weights) for m in models},
        "left_out": {party.role: party.facts["left_out"] for party in trained.parties},
        "bins": {party.role: party.binner.to_records() for party in trained.parties},
        "alpha": result.guest.alpha,
        "alpha_tried": result.guest.tried,
        "rounds": result.guest.n_iter,
        "stopped_by_rule": all(m.stopped for m in models),
        "losses": {m.name: m.losses for m in models},
        "evaluation": evaluation,
        "threshold": result.threshold,
        "flagged_share_in_training": result.arbiter.flagged_share,
        "bytes": result.traffic.total_bytes,
        "bytes_by_message": result.traffic.n_bytes,
        "seconds": clock.total(),
        "seconds_by_stage": dict(sorted(clock.seconds.items(), key=lambda item: -item[1])),
        "seconds_by_round": clock.round_seconds,
        "timeline": [span._asdict() for span in clock.spans],
        "peak_memory_bytes": peak_memory(),
        "settings": dataclasses.asdict(result.guest.settings),
        "weight_hash": result.weight_hash,
        "verified_rounds": result.verified_rounds,
        "leak_ledger": [entry for m in models for entry in m.ledger.to_list()],
    }


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

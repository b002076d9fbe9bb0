"""What a run showed: the scores of customers kept out of training, and the summary of the whole."""

from __future__ import annotations

import dataclasses
import resource
import sys
from typing import Any

import numpy as np

from ..errors import LeakageGuardError
from ..learn import metrics
from ..learn.curves import curves
from ..learn.logistic import sigmoid
from ..learn.watch import JOINT
from ..protocol.block import PartyInputs
from .job import TrainedJob, score_parties
from .jobfile import Job
from .progress import StageClock

COMBINED, ALL = "combined F", "joint"
CALIBRATION_BINS = 10


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
    scores[ALL] = sigmoid(np.sum(halves, axis=0)) if result.joint_probability is None else result.joint_probability
    return {
        "rows": len(test.labels),
        "positive_share": float((test.labels > 0).mean()),
        "flagged_share": float((result.labels > 0).mean()),
        "rounds": _by_round(trained),
        "curves": {name: curves(test.labels, values) for name, values in scores.items()},
        "scores": {
            name: {
                "auc": metrics.roc_auc(test.labels, values),
                "ks": metrics.ks(test.labels, values),
                "lift_10": metrics.lift(test.labels, values, 0.1),
            }
            for name, values in scores.items()
        },
        "probabilities": {
            name: {
                "log_loss": metrics.log_loss(test.labels, values),
                "brier_score": metrics.brier_score(test.labels, values),
                "calibration_error": metrics.calibration_error(test.labels, values, min(CALIBRATION_BINS, len(test.labels))),
            }
            for name, values in scores.items()
            if name != COMBINED  # which is no probability
        },
    }


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

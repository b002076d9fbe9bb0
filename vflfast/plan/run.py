"""A training job with its prediction: rates are measured and blocks chosen by them before the first round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from ..crypto import storage
from ..crypto.blocks import use_costs
from ..jobs import job as jobs
from ..jobs.jobfile import Job
from ..jobs.progress import StageClock
from ..protocol.resume import Journal
from .predict import Prediction, predict, rates_of
from .shape import RunShape, job_shape


def train(
    job: Job, observer: StageClock, *, verify: bool = False, journals: Mapping[str, Journal] | None = None
) -> tuple[jobs.TrainedJob, Prediction]:
    """Train as `job.train` does; return also what the run should have taken, from its shape and the rates of this machine."""
    with observer.stage("measure rates"):
        rates = rates_of(job.settings)
    with job.resources.in_use(), use_costs(rates.block_costs()):
        ready = jobs.prepare(job, observer)
        with observer.stage("predict"):
            prediction = predict(job_shape(ready, job, observer.seconds, verify=verify), rates)
        return jobs.train_prepared(ready, job, observer, verify=verify, journals=journals), prediction


def read_shape(job: Job) -> RunShape:
    """Read, match and bin a job's tables; return the shape of its training run."""
    clock = StageClock()
    with storage.use_scratch(job.resources.scratch):
        return job_shape(jobs.prepare(job, clock), job, clock.seconds)


def side_by_side(prediction: Prediction, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prediction, and beside each of its figures the measured one, ready for JSON; `ratio` is predicted over actual."""
    truth = {
        "rounds": summary["rounds"],
        "seconds": summary["seconds"],
        "seconds a round": statistics.median(summary["seconds_by_round"][1:] or summary["seconds_by_round"] or [0.0]),
        "bytes": summary["bytes"],
        "memory bytes": summary["peak_memory_bytes"],
    }
    predicted = {
        "rounds": prediction.rounds,
        "seconds": prediction.seconds,
        "seconds a round": prediction.round_seconds,
        "bytes": prediction.bytes,
        "memory bytes": prediction.memory_bytes,
    }
    stages = sorted({*prediction.seconds_by_stage, *summary["seconds_by_stage"]})
    by_stage = {s: (prediction.seconds_by_stage.get(s, 0.0), summary["seconds_by_stage"].get(s, 0.0)) for s in stages}
    return {
        **prediction.to_dict(),
        "compared": [_row(what, predicted[what], actual) for what, actual in truth.items()],
        "compared_stages": [_row(stage, *pair) for stage, pair in sorted(by_stage.items(), key=lambda item: -max(item[1]))],
    }


def _row(what: str, predicted: float, actual: float) -> dict[str, Any]:
    return {"what": what, "predicted": predicted, "actual": actual, "ratio": predicted / actual if actual else None}

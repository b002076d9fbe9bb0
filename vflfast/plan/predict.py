"""Predictions: seconds by stage, traffic, memory, rounds; with the parties apart, and with more workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..crypto import calibration, calibration_curve
from ..crypto.calibration import Rates
from ..crypto.calibration_curve import PointRates
from ..errors import InputError, LeakageGuardError
from ..learn.penalty import MOST_ROUNDS
from ..params import MAX_GRAM_COLUMNS, RELAXATION, ROW_PACKINGS
from ..protocol.leakage import guard_batches
from ..protocol.settings import Settings
from . import inference
from .apart import Link, apart_seconds
from .forms import form_of
from .points import PointWork
from .shape import RunShape
from .wire import traffic
from .work import Work

# Mean |Δu″| of the first round on tables that a partner's columns say something about: where the geometric fall of changes starts.
LBFGS_ROUNDS = 8  # until nothing moves: 8 to 21 on four public tables
FIRST_CHANGE = 0.35
WORKER_BYTES_PER_SECOND = 1.25e9  # 10 Gbit/s inside a cluster
# What a cluster of a party shares out, and what stays: packing, opening, the arbiter.
SHARED = ("logarithms", "bucket", "collapse", "encrypt", "rerandomize", "prepare", "update")


@dataclass(frozen=True)
class Prediction:
    """What a run will take.

    Attributes
    ----------
    rounds
        Expected: the stop rule's count of unchanged rounds after the changes have fallen below tol.
    seconds_by_stage, seconds, round_seconds
        All parties in one process of this machine; `round_seconds` is one round after the first.
    bytes_by_message, bytes
        On the wire, training only.
    memory_bytes
        Peak of that one process.
    apart_seconds, apart_round_seconds
        Each party on a machine like this one, with the link between them.
    workers
        For each number of workers of a cluster: seconds, speed-up.
    solvers
        By party: "gram", its matrix is made and factored; "conjugate gradients", it is too wide for that; or "gradient descent".
    row_packings
        With a link: seconds of a round apart for every setting of `row_packing` that the key and the leakage guard allow.
    """

    rounds: int
    least_rounds: int
    seconds: float
    round_seconds: float
    seconds_by_stage: dict[str, float]
    bytes: int
    bytes_by_message: dict[str, int]
    memory_bytes: int
    apart_seconds: float | None
    apart_round_seconds: float | None
    workers: list[dict[str, float]]
    solvers: dict[str, str]
    row_packings: list[dict[str, float]]
    kernel: str
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def expected_rounds(settings: Settings, n_parties: int) -> int:
    """Return how many rounds the stop rule will take: `n_iter_no_change` from the first round whose change is within tol.

    With ω = RELAXATION/K of K parties the change falls to 1 − ω of the last in every round ([0145]); the patent profile looks at losses,
    which are flat to second order, so there the change counts squared. L-BFGS has no such rate: what real tables took.
    """
    change, fall = FIRST_CHANGE, 1 - RELAXATION / max(n_parties, 2)
    if settings.tol == 0:
        return settings.last_round
    if settings.solver == "lbfgs":
        searched = MOST_ROUNDS if settings.searches else 0
        return min(settings.max_iter, LBFGS_ROUNDS + settings.least_rounds) + searched
    power = 2 if settings.profile == "patent" else 1
    first = 1 + max(0, math.ceil(math.log(settings.tol / change**power) / (power * math.log(fall))))
    return min(settings.max_iter, first + settings.n_iter_no_change - 1)


def rates_of(settings: Settings) -> Rates:
    """Return this machine's rates for the scheme of a run."""
    return calibration_curve.rates() if settings.scheme == "elgamal" else calibration.rates(settings.key_bits)


def work_of(shape: RunShape, rates: Rates) -> Work:
    """Return the work of a run with the scheme that the rates are of."""
    return PointWork(shape, rates) if isinstance(rates, PointRates) else Work(shape, rates)


def predict(
    shape: RunShape, rates: Rates | None = None, *, rounds: int | None = None, link: Link | None = None, workers: Sequence[int] = ()
) -> Prediction:
    """Predict a run of `shape` on this machine.

    Parameters
    ----------
    rates
        Measured rates; default: this machine's (`rates_of`).
    rounds
        Number of rounds; default: `expected_rounds`.
    link
        Between the parties, when each has a machine of its own.
    workers
        Sizes of a cluster that shares out the hosts' coded product.

    Raises
    ------
    InputError
        Fewer than one worker.
    """
    settings = shape.settings
    rates = rates or rates_of(settings)
    count = rounds or expected_rounds(settings, len(shape.parties))
    work = work_of(shape, rates)
    work.setup()
    before = 0
    for number in range(count):
        before = len(work.steps) if number else 0  # a single round has no later one: the setup counts with it
        work.round()
    last = work.steps[before:]
    inference.add_work(work)
    work.closing()
    if shape.n_test:
        work.evaluation()
    by_stage: dict[str, float] = {}
    for step in work.steps:
        by_stage[step.stage] = by_stage.get(step.stage, 0.0) + step.seconds
    sizes = traffic(shape, count)
    for message, more in inference.traffic(shape).items():
        sizes[message] = sizes.get(message, 0) + more
    seconds = sum(by_stage.values())
    apart, apart_round = (None, None) if link is None else apart_seconds(work.steps, last, sizes, count, link)
    return Prediction(
        count, settings.least_rounds, seconds, sum(step.seconds for step in last),
        dict(sorted(by_stage.items(), key=lambda item: -item[1])), sum(sizes.values()), sizes, work.memory(),
        apart, apart_round, [_with_workers(k, shape, rates, seconds, by_stage, count) for k in workers], _solvers(shape),
        [] if link is None else packings(shape, rates, link), rates.kernel, rates.threads,
    )  # fmt: skip


def packings(shape: RunShape, rates: Rates, link: Link) -> list[dict[str, float]]:
    """Return seconds of a round apart, and its bytes, for every `row_packing` that the key and the leakage guard allow."""
    found: list[dict[str, float]] = []
    for rows in ROW_PACKINGS if shape.settings.scheme == "paillier" else ():
        try:
            packed = replace(shape, settings=shape.settings.changed(row_packing=rows))
            work = work_of(packed, rates)
            guard_batches(shape.n_rows, max(p.n_columns for p in shape.parties), shape.settings.n_batches, rows)
            sizes = traffic(packed, 1)
        except (InputError, LeakageGuardError):
            continue
        work.round()  # the first one makes tables
        before = len(work.steps)
        work.round()
        _, later = apart_seconds(work.steps, work.steps[before:], sizes, 1, link)
        found.append({"row_packing": rows, "round_seconds": later, "bytes": sum(sizes.values())})
    return found


def _solvers(shape: RunShape) -> dict[str, str]:
    """Say how every party's step is solved: by the number of its columns."""
    if shape.settings.solver == "gd":
        return {party.name: "gradient descent" for party in shape.parties}
    return {party.name: "gram" if party.n_columns <= MAX_GRAM_COLUMNS else "conjugate gradients" for party in shape.parties}


def _with_workers(
    k: int, shape: RunShape, rates: Rates, seconds: float, by_stage: dict[str, float], rounds: int
) -> dict[str, float]:
    """Amdahl's law: k machines like this one share the passes of `SHARED`; ciphertexts go to them and back, all else stays.

    A host has one vector made and one multiplied, the guest one re-randomised, there and back, and one multiplied.
    """
    if k < 1:
        raise InputError("workers", "must be 1 or more")
    shared = sum(by_stage.get(stage, 0.0) for stage in SHARED)
    vectors = rounds * (4 * (len(shape.parties) - 1) + 1)
    ciphertext = form_of(shape.settings).width / WORKER_BYTES_PER_SECOND + (rates.load + rates.store) / 2e6
    moved = 0.0 if k == 1 else vectors * -(-shape.n_rows // shape.settings.row_packing) * ciphertext
    total = seconds - shared + shared / k + moved
    return {"workers": k, "seconds": total, "speed_up": seconds / total, "shared_part": shared / seconds}

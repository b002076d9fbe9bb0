"""The demo: synthetic raw tables of a bank and its partners, then exactly what a user does with their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..crypto import backend
from ..errors import InputError
from ..jobs import evaluation, jobfile
from ..jobs import job as jobs
from ..jobs.progress import StageClock
from ..plan import run as planned
from ..report import data, page
from .synthetic import write_demo


@dataclass(frozen=True)
class Preset:
    """Size of a demo: rows of each raw table, raw columns of guest and host, share kept out of training."""

    n_rows: int
    guest_columns: int
    host_columns: int
    test_share: float


FEW_ROUNDS = 5  # of a demo on slow arithmetic
PRESETS = {
    "small": Preset(8_000, 20, 160, 0.3),
    "tiny": Preset(400, 5, 7, 0.3),
    "patent": Preset(71_925, 65, 3_000, 0.04872),  # with one partner 69,767 match, and the 66,274 of [0089] train
}


def usual_preset() -> str:
    """Return the demo that takes a minute at most with the arithmetic of this machine: without the native core, the smallest."""
    return "tiny" if backend.current().name == "gmpy2" else "small"


def write_tables(folder: Path, preset: str, n_hosts: int, clock: StageClock, *, shape: str = "mixed") -> dict[str, Any]:
    """Write the raw tables; return the job mapping a user would have in a TOML file beside them.

    Raises
    ------
    InputError
        For a preset or count that is not there.
    """
    if preset not in PRESETS:
        raise InputError("preset", f"must be one of {', '.join(PRESETS)}")
    size = PRESETS[preset]
    with clock.stage("write raw tables"):
        files = write_demo(
            folder, n_rows=size.n_rows, guest_columns=size.guest_columns, host_columns=size.host_columns, n_hosts=n_hosts, shape=shape
        )
    return {
        "guest": {"file": files.guest.name, "organisation": "bank", **files.guest_arguments},
        "hosts": [
            {"file": path.name, "organisation": f"partner {i + 1}", **arguments}
            for i, (path, arguments) in enumerate(zip(files.hosts, files.host_arguments, strict=True))
        ],
        "run": {"test_share": size.test_share},
    }


def run(
    mapping: dict[str, Any], folder: Path, changes: dict[str, Any], clock: StageClock, *, verify: bool, report: Path | None = None
) -> dict[str, Any]:
    """Train, save the models, evaluate on customers kept out, write the `report`; return what is shown."""
    job = jobfile.job_from_mapping(mapping, folder, changes)
    trained, prediction = planned.train(job, clock, verify=verify)
    paths = jobs.save_models(trained, folder / "models")
    summary = evaluation.summary(trained, evaluation.evaluate(trained, job, clock), clock)
    summary["plan"] = planned.side_by_side(prediction, summary)
    if report:
        page.write(report, data.run_report(summary, trained))
    return {"summary": summary, "models": [str(path) for path in paths]}

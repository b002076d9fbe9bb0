"""plan: what a run will take, before anything starts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .common import json_option, reports_errors, settings_given, with_settings

if TYPE_CHECKING:
    from ..plan.apart import Link
    from ..plan.predict import Prediction
    from ..plan.shape import RunShape

UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


@click.command()
@click.argument("job_file", required=False, type=click.Path(path_type=Path))
@click.option("--rows", type=int, help="Customers that guest and hosts share.")
@click.option("--guest-columns", type=int, help="Columns of the guest.")
@click.option("--host-columns", type=int, multiple=True, help="Columns of a host; repeat for several hosts.")
@click.option("--classes", type=int, default=5, show_default=True, help="Classes that a column is cut into.")
@click.option("--link", metavar="RATE/DELAY", help="Line between the parties, such as 100Mbit/50ms; the delay is one way.")
@click.option("--workers", type=int, multiple=True, help="Machines of a cluster that shares the work; repeat for several sizes.")
@with_settings
@json_option
@reports_errors
def plan(
    job_file: Path | None, rows: int | None, guest_columns: int | None, host_columns: tuple[int, ...], classes: int, link: str | None,
    workers: tuple[int, ...], as_json: bool, profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None,
    changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Predict time, memory, traffic and rounds of a training run on this machine; nothing is encrypted but a second of measuring.

    Give a job file, whose tables are then read and binned, or the sizes.

    \b
    vflfast plan job.toml --link 100Mbit/50ms
    vflfast plan --rows 66274 --guest-columns 65 --host-columns 3000 --workers 2 --workers 4
    """  # noqa: D301
    from ..plan.predict import predict

    given = settings_given(profile, scheme, key_bits, max_iter, changes)
    sizes = {"--rows": rows, "--guest-columns": guest_columns, "--host-columns": host_columns}
    shape = _shape(job_file, sizes, classes, given)
    prediction = predict(shape, link=parse_link(link) if link else None, workers=workers)
    if as_json:
        click.echo(json.dumps(prediction.to_dict()))
    else:
        print_prediction(shape, prediction)


def _shape(job_file: Path | None, sizes: dict[str, Any], classes: int, given: dict[str, Any]) -> RunShape:
    from ..plan.run import read_shape
    from ..plan.shape import flat_shape
    from ..protocol.settings import Settings

    if job_file is not None:
        for name, size in sizes.items():
            if size:
                raise InputError(name, "belongs to a plan without a job file")
        from ..jobs import jobfile

        return read_shape(jobfile.read_job(job_file, given))
    for name, size in sizes.items():
        if not size:
            raise InputError(name, "is needed when there is no job file")
    settings = Settings.from_mapping({"simulation": True, **given})
    return flat_shape(sizes["--rows"], (sizes["--guest-columns"], *sizes["--host-columns"]), settings, classes)


def parse_link(text: str) -> Link:
    """Return the line that a text such as 100Mbit/50ms describes."""
    from ..plan.apart import Link

    match = re.fullmatch(r"(\d+(?:\.\d+)?)(kbit|mbit|gbit)(?:/(\d+(?:\.\d+)?)(ms|s))?", text.strip().lower())
    if not match or float(match[1]) == 0:
        raise InputError("--link", "needs a rate and a delay, such as 100Mbit/50ms")
    delay = float(match[3] or 0.0) * (1e-3 if match[4] == "ms" else 1.0)
    return Link(float(match[1]) * UNITS[match[2]] / 8, delay)


def _key(shape: RunShape) -> str:
    settings = shape.settings
    return "ElGamal over ristretto255" if settings.scheme == "elgamal" else f"{settings.key_bits}-bit key"


def print_prediction(shape: RunShape, prediction: Prediction) -> None:
    """Show a prediction, for people."""
    from ..jobs.progress import duration

    columns = " + ".join(f"{party.n_columns:,}" for party in shape.parties)
    click.echo(f"{shape.n_rows:,} rows × {columns} columns, {_key(shape)}, "
               f"{prediction.kernel} arithmetic on {prediction.threads} threads")  # fmt: skip
    click.echo(f"rounds    {prediction.rounds} expected ({prediction.least_rounds} at least, {shape.settings.last_round} at most)")
    click.echo(f"time      {duration(prediction.seconds)} in one process here, {prediction.round_seconds:.2f} s a round")
    if prediction.apart_seconds is not None and prediction.apart_round_seconds is not None:
        click.echo(f"          {duration(prediction.apart_seconds)} with a machine like this one for every party and that line, "
                   f"{prediction.apart_round_seconds:.2f} s a round")  # fmt: skip
    for row in prediction.row_packings:
        click.echo(f"          {row['round_seconds']:.2f} s a round apart with row_packing = {row['row_packing']:.0f}, "
                   f"{row['bytes'] / 1e6:,.1f} MB")  # fmt: skip
    click.echo(f"memory    {prediction.memory_bytes / 1e9:.2f} GB at the peak of that process")
    click.echo(f"traffic   {prediction.bytes / 1e6:,.1f} MB, {prediction.bytes / 1e6 / prediction.rounds:,.1f} MB a round")
    if wide := [name for name, solver in prediction.solvers.items() if solver == "conjugate gradients"]:
        click.echo(f"solver    conjugate gradients at {', '.join(wide)}: too many columns for a Gram matrix")
    click.echo("by stage:")
    for stage, seconds in prediction.seconds_by_stage.items():
        if seconds >= 0.005 * prediction.seconds:
            click.echo(f"  {stage:<18}{seconds:>10.2f} s {seconds / prediction.seconds:>6.1%}")
    for row in prediction.workers:
        click.echo(f"{row['workers']:.0f} machines of a cluster: {duration(row['seconds'])}, {row['speed_up']:.2f} times as fast; "
                   f"only {row['shared_part']:.0%} of the work can be shared")  # fmt: skip

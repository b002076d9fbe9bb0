"""bins: what matching and binning make of the tables, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import json_option, match_line, reports_errors, show_table

if TYPE_CHECKING:
    from ..binning.binner import Binner
    from ..jobs.job import Prepared


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--party", help="One party only: guest, host1, host2, …")
@json_option
@reports_errors
def bins(job_file: Path, party: str | None, as_json: bool) -> None:
    """Match and bin the tables that JOB_FILE names; show the match and every feature's classes.

    Counts are those of the training rows. IV, the information value, is known where labels are: at the guest.

    \b
    vflfast bins job.toml
    vflfast bins job.toml --party guest --json
    """  # noqa: D301
    from ..errors import InputError
    from ..jobs import job as jobs
    from ..jobs import jobfile
    from ..jobs.progress import StageClock

    job = jobfile.read_job(job_file)
    names = ["guest", *(host.name for host in job.hosts)]
    if party is not None and party not in names:
        raise InputError("--party", f"must be one of {', '.join(names)}")
    ready = jobs.prepare(job, StageClock())
    shown = {name: binner for name, binner in zip(names, ready.binners, strict=True) if party in (None, name)}
    if as_json:
        click.echo(json.dumps(report(ready, shown)))
    else:
        _print(report(ready, {}), shown)


def report(ready: Prepared, shown: dict[str, Binner]) -> dict[str, Any]:
    """Return the match and the parties' bins, ready for JSON."""
    return {
        "match": ready.match,
        "training_rows": ready.inputs[0].matrix.n_rows,
        "suspects": ready.suspects,
        "bins": {name: binner.to_records() for name, binner in shown.items()},
    }


def _print(found: dict[str, Any], shown: dict[str, Binner]) -> None:
    from rich.table import Table
    from rich.text import Text

    click.echo(match_line(found["match"]))
    click.echo(f"bins fitted on {found['training_rows']:,} training rows")
    for name, binner in shown.items():
        table = Table(title=f"{name}: {len(binner.rules)} features, {len(binner.column_names)} columns", title_justify="left")
        for heading in ("feature", "kind", "rule", "encoding", "classes: training rows"):
            table.add_column(heading, overflow="fold")
        for heading in ("missing", "IV"):
            table.add_column(heading, justify="right")
        for row in binner.to_records():
            classes = "; ".join(f"{text}: {count:,}" for text, count in zip(row["classes"], row["rows_per_class"], strict=True))
            iv = "" if row["iv"] is None else f"{row['iv']:.4f}"
            cells = (row["feature"], row["kind"], row["rule"], row["encoding"], classes, f"{row['missing_share']:.1%}", iv)
            table.add_row(*(Text(cell) for cell in cells))  # Text: a level in square brackets is no markup
        show_table(table)

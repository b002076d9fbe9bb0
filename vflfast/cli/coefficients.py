"""coefficients: what a party's columns weigh, with standard errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from .common import json_option, reports_errors, show_table

HEADS = {
    "column": "column", "value": "value", "error": "std. error", "z": "z", "p": "p", "low": "from", "high": "to (95 %)",
    "inflation": "VIF", "correlation": "partner r",
}  # fmt: skip


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@json_option
@reports_errors
def coefficients(model: Path, as_json: bool) -> None:
    """Show the coefficients of one party's MODEL file; of a run with inference = true, standard errors, z, p, intervals and VIF.

    VIF is the variance inflation beside all columns of both parties; "partner r" the strongest correlation with a column of the other.

    \b
    vflfast train job.toml --set inference=true
    vflfast coefficients models/guest.json
    """  # noqa: D301
    from ..jobs.coefficients import coefficients as rows_of
    from ..jobs.coefficients import ready
    from ..jobs.model import SavedParty, read_json

    rows = rows_of(SavedParty.from_dict(read_json(model)))
    if as_json:
        click.echo(json.dumps({"coefficients": ready(rows)}))
        return
    show_rows(rows)
    if "error" not in rows[0]:
        click.echo("no standard errors: the run had none. Train with --set inference=true, or inference = true in [settings], to have them")


def show_rows(rows: list[dict[str, Any]]) -> None:
    """Print a table of coefficients."""
    from rich.table import Table

    table = Table(box=None)
    shown = [name for name in HEADS if any(name in row for row in rows)]
    for name in shown:
        table.add_column(HEADS[name], justify="left" if name == "column" else "right", no_wrap=name != "column")
    for row in rows:
        table.add_row(*(_cell(name, row.get(name)) for name in shown))
    show_table(table)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "-"
    return "<0.001" if name == "p" and value < 0.001 else f"{value:.3f}" if name in ("p", "correlation") else f"{value:.4g}"

"""select: a guest's or host's table by SQL, with labels by rule."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import json_option, reports_errors

if TYPE_CHECKING:
    from ..tables.select import Selected


@click.command()
@click.argument("specification", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("selected.parquet"), show_default=True, help="Parquet file to write.")
@json_option
@reports_errors
def select(specification: Path, out: Path, as_json: bool) -> None:
    """Select customers, features and labels from files and databases by the SQL of a SPECIFICATION; write them as one table.

    A job file can name the specification itself: select = "spec.toml" in place of file. Needs vflfast[sql].

    \b
    vflfast select spec.toml --out bank.parquet

    \b
    id_column = "phone"
    observation_date = 2026-01-01      # features from before, labels from after
    query = "SELECT c.phone, count(t.day) AS n FROM customers c LEFT JOIN transactions t USING (phone) GROUP BY c.phone"
    [sources.customers]
    file = "customers.csv"
    [sources.transactions]
    file = "transactions.parquet"      # or database = "bank.duckdb", table = "transactions"
    date_column = "day"
    [label]                            # 1: a row in the window for which this holds
    source = "transactions"
    where = "product = 'loan'"
    window_days = 90
    """  # noqa: D301
    from ..tables.select import select as run
    from ..tables.selection import read_selection

    selection = read_selection(specification)
    found = run(selection, out)
    suspected = _suspects(selection.reading(), found) if selection.label_column else {}
    if as_json:
        click.echo(json.dumps({**asdict(found), "path": str(found.path), "suspects": suspected}))
    else:
        _print(found, suspected)


def _suspects(reading: dict[str, Any], found: Selected) -> dict[str, float]:
    """Bin the selected table as training would; return what separates the labels alone."""
    import numpy as np

    from ..binning.binner import Binner
    from ..jobs import job as jobs
    from ..tables.table import open_table

    table = open_table(found.path, **reading)
    binner, (matrix,) = Binner.fit_transform(table, np.arange(table.n_rows))
    return {} if table.labels is None else jobs.leakage_suspects(binner, matrix, table.labels)


def _print(found: Selected, suspected: dict[str, float]) -> None:
    labelled = "" if found.n_positive is None else f", {found.n_positive:,} labelled 1 ({found.n_positive / found.n_rows:.1%})"
    click.echo(f"{found.n_rows:,} customers{labelled}; {len(found.features)} features; written to {found.path}")
    for source, count in found.held_back.items():
        click.echo(f"{source}: {count:,} rows from the observation date on, or without a date, were kept from the query")
    for name, kind in found.features.items():
        click.echo(f"  {name:<30} {kind}" + (f"   separates the labels alone: AUC {suspected[name]:.3f}" if name in suspected else ""))

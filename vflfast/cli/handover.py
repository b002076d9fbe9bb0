"""export, drift, reasons: what a party does with its own model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from ..tables.writing import written_whole
from .common import json_option, reports_errors

if TYPE_CHECKING:
    import pandas as pd

    from ..jobs.model import SavedParty
    from ..tables.table import Table

FORMATS = ("onnx", "pmml", "scorecard")

model_option = click.option("--model", "model_file", required=True, type=click.Path(path_type=Path), help="The party's model file.")
table_option = click.option(
    "--table", "table_file", required=True, type=click.Path(path_type=Path), help="Customers: .csv, .parquet or .xlsx."
)
label_option = click.option("--label-column", help="Name of the label column, if the table has one.")


@click.command()
@click.option("--model", "model_files", required=True, multiple=True, type=click.Path(path_type=Path),
              help="A party's model file (JSON); with --merge one for every party.")  # fmt: skip
@click.option("--merge", is_flag=True, help="The joint model of all the files, for parties that agree to share weights and bins.")
@click.option("--format", "format_", required=True, type=click.Choice(FORMATS), help="scorecard: .csv or .json.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--base-points", type=float, default=600.0, show_default=True, help="Scorecard: points at the base odds.")
@click.option("--base-odds", type=float, default=1.0, show_default=True, help="Scorecard: odds of a positive at the base points.")
@click.option("--pdo", type=float, default=20.0, show_default=True, help="Scorecard: points that double the odds.")
@click.option("--whole", is_flag=True, help="Scorecard: whole points.")
@json_option
@reports_errors
def export(
    model_files: tuple[Path, ...], merge: bool, format_: str, out: Path, base_points: float, base_odds: float, pdo: float, whole: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Write a model in another format: ONNX, PMML 4.4 (a Scorecard) or a table of points.

    \b
    vflfast export --model models/guest.json --format pmml --out guest.pmml
    vflfast export --model models/guest.json --model models/host1.json --merge --format onnx --out joint.onnx
    vflfast export --model models/guest.json --format scorecard --out card.csv --base-odds 0.02 --whole
    """  # noqa: D301
    from ..handover.classes import class_model
    from ..handover.onnx import to_onnx
    from ..handover.pmml import to_pmml
    from ..handover.scorecards import Scaling, scorecard

    if merge != (len(model_files) > 1):
        raise InputError("--merge", "belongs to several models, and several models need it")
    model = class_model(*(_party(path) for path in model_files))
    if format_ == "onnx":
        out.write_bytes(to_onnx(model).SerializeToString())
    elif format_ == "pmml":
        out.write_text(to_pmml(model), encoding="utf-8")
    else:
        _write_table(out, scorecard(model, Scaling(base_points, base_odds, pdo), whole=whole))
    if as_json:
        click.echo(json.dumps({"file": str(out), "format": format_, "features": len(model.features), "parties": list(model.parties)}))
    else:
        click.echo(f"{len(model.features)} features of {', '.join(model.parties)} written to {out}", err=True)


@click.command()
@model_option
@table_option
@label_option
@click.option("--out", type=click.Path(path_type=Path), help="File for the whole table, .csv or .json.")
@json_option
@reports_errors
def drift(model_file: Path, table_file: Path, label_column: str | None, out: Path | None, as_json: bool) -> None:
    """Compare a later table with the training rows: population stability index of every feature (0.1: shifted; 0.25: drifted).

    \b
    vflfast drift --model models/guest.json --table bank.csv --label-column bought
    """  # noqa: D301
    from ..handover.drifts import drift as measure

    party = _party(model_file)
    found = measure(party, _table(party, table_file, label_column))
    if out:
        _write_table(out, found)
    if as_json:
        click.echo(json.dumps({"features": found.to_dict("records")}))
        return
    for row in found.head(20).itertuples():
        missing = f"missing {row.missing_before:.1%} → {row.missing_now:.1%}"
        click.echo(f"{row.psi:>8.4f}  {row.verdict:<8} {row.feature}  (by chance {row.by_chance:.4f}; {missing})")
    counts = found["verdict"].value_counts()
    click.echo(", ".join(f"{counts.get(name, 0)} {name}" for name in ("stable", "shifted", "drifted")))


@click.command()
@model_option
@table_option
@label_option
@click.option("--top", type=int, default=3, show_default=True, help="Most reasons a customer.")
@click.option("--direction", type=click.Choice(["up", "down", "both"]), default="up", show_default=True,
              help="What raises the score, what lowers it, or both.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write, .csv or .json.")
@json_option
@reports_errors
def reasons(
    model_file: Path, table_file: Path, label_column: str | None, top: int, direction: str, out: Path, as_json: bool
) -> None:
    """Write which of the party's features moved each customer's score most, against the mean of the training rows.

    \b
    vflfast reasons --model models/guest.json --table bank.csv --label-column bought --out reasons.csv
    """  # noqa: D301
    from ..handover.reasons import reason_codes

    party = _party(model_file)
    table = _table(party, table_file, label_column)
    found = reason_codes(party, table, top=top, direction=direction)
    _write_table(out, found)
    if as_json:
        click.echo(json.dumps({"file": str(out), "reasons": len(found), "customers": table.n_rows}))
    else:
        click.echo(f"{len(found)} reasons for {table.n_rows} customers written to {out}", err=True)


def _party(path: Path) -> SavedParty:
    from ..jobs.model import SavedParty, read_json

    return SavedParty.from_dict(read_json(path))


def _table(party: SavedParty, path: Path, label_column: str | None) -> Table:
    """Read a table as the party's training table was read."""
    from ..tables.table import open_table

    reading: dict[str, Any] = {name: value for name, value in party.reading.items() if name != "label_column"}
    return open_table(path, **reading, label_column=label_column).load()


def _write_table(path: Path, table: pd.DataFrame) -> None:
    if path.suffix not in (".csv", ".json"):
        raise InputError("--out", "must end in .csv or .json")
    text = table.to_csv(index=False) if path.suffix == ".csv" else json.dumps(table.to_dict("records"), indent=1) + "\n"
    with written_whole(path, newline="") as stream:
        stream.write(text)

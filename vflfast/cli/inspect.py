"""``vflfast inspect``: how every column is understood, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import json_option, name_and_text, reports_errors, show_table

if TYPE_CHECKING:
    from ..tables.inspect import TableReport


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--party", help="Of a job file one party only: guest, host1, host2, …")
@click.option("--id", "id_column", help="Of a table: its id column.  [default: the first column that has a name]")
@click.option("--label", "label_column", help="Of a table: its label column.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Of a table: how it is written, as --set encoding=gb18030.")
@click.option("--write", type=click.Path(path_type=Path), help="Of a table: a section of a job file to start from.")
@json_option
@reports_errors
def inspect(
    file: Path, party: str | None, id_column: str | None, label_column: str | None, changes: tuple[str, ...], write: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show how every column of FILE is understood: a table, or all tables of a job file.

    Number, date, category, free text, constant or empty; missing cells, levels, the smallest and the largest value. A column that is
    ambiguous says which setting decides it, in the words with which training would refuse it. No id and no label is shown.

    \b
    vflfast inspect bank.csv --id phone --label bought
    vflfast inspect bank.csv --id phone --set separator=; --write section.toml
    vflfast inspect job.toml --party guest --json
    """  # noqa: D301
    from ..errors import InputError
    from ..tables.inspect import inspect_file, starting_section

    if file.suffix == ".toml":
        if id_column or label_column or changes or write:
            raise InputError("--id, --label, --set, --write", "are for a table; the job file says these things itself")
        reports = _of_job(file, party)
    else:
        reading = _reading(file, id_column, label_column, changes)
        reports = {file.name: inspect_file(file, reading)}
        if write is not None:
            write.write_text(starting_section(reports[file.name], reading), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({name: report.to_dict() for name, report in reports.items()}))
        return
    for name, report in reports.items():
        _print(name, report)


def _of_job(file: Path, party: str | None) -> dict[str, TableReport]:
    from ..errors import InputError
    from ..jobs import jobfile
    from ..tables.inspect import inspect_opened

    job = jobfile.read_job(file)
    plans = {plan.name: plan for plan in (job.guest, *job.hosts)}
    if party is not None and party not in plans:
        raise InputError("--party", f"must be one of {', '.join(plans)}")
    return {name: inspect_opened(plan.file.name, plan.open) for name, plan in plans.items() if party in (None, name)}


def _reading(file: Path, id_column: str | None, label_column: str | None, changes: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a table from the options; without --id the first column is the id."""
    from ..tables.files import first_column
    from ..tables.forms import Forms

    reading: dict[str, Any] = {}
    for change in changes:
        name, value = name_and_text(change)
        reading[name] = [value] if name in ("missing", "drop", "units") else value
    forms = Forms.of({name: value for name, value in reading.items() if name not in ("id_format", "date_format", "observation_date")})
    reading["id_column"] = id_column or first_column(file, forms)
    return reading | ({"label_column": label_column} if label_column else {})


def _print(name: str, report: TableReport) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = "" if report.n_rows is None else f", {report.n_rows:,} rows"
    if report.problem is not None:
        click.echo(f"{name}: {report.path}: {report.problem}")
        return
    table = Table(title=f"{name}: {report.path}{rows}", title_justify="left")
    for heading in ("column", "understood as", "missing", "levels", "first", "last"):
        table.add_column(heading, overflow="fold")
    for one in report.columns:
        missing, levels = ("" if one.missing is None else f"{one.missing:.1%}"), ("" if one.levels is None else f"{one.levels:,}")
        table.add_row(*map(Text, (one.name, one.verdict, missing, levels, one.first or "", one.last or "")))
    show_table(table)
    for one in report.columns:
        for text in (*([one.problem] if one.problem else []), *one.warnings):
            click.echo(f"{'decide' if text == one.problem else 'note'}: {one.name}: {text}")

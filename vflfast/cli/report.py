"""report: one HTML page from a run's JSON, or from one party's model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..errors import InputError, ModelError
from .common import json_option, reports_errors


@click.command()
@click.argument("summary_file", required=False, type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="One party's model file: a page about its side only.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--format", "format_", type=click.Choice(["html", "pdf"]), default="html", show_default=True,
              help="pdf: printed by Chromium, Chrome or Edge, if one is installed.")  # fmt: skip
@json_option
@reports_errors
def report(summary_file: Path | None, model: Path | None, out: Path, format_: str, as_json: bool) -> None:
    """Write a self-contained page from the JSON that train or demo printed, or from one party's model.

    \b
    vflfast train job.toml --json > run.json && vflfast report run.json --out report.html
    vflfast report --model models/guest.json --out guest.html
    vflfast report run.json --out report.pdf --format pdf
    """  # noqa: D301
    import tempfile

    from ..jobs.model import SavedParty, read_json
    from ..report import data, page, pdf

    if (summary_file is None) == (model is None):
        raise InputError("SUMMARY_FILE", "give either a run's JSON or --model")
    made = data.model_report(SavedParty.from_dict(read_json(model))) if model is not None else _run_report(str(summary_file))
    if format_ == "html":
        page.write(out, made)
    else:
        pdf.browser()
        with tempfile.TemporaryDirectory(prefix="vflfast-report-") as folder:
            html = Path(folder) / "report.html"
            page.write(html, made)
            pdf.write_pdf(html, out)
    if as_json:
        click.echo(json.dumps({"file": str(out), "kind": made["kind"]}))


def _run_report(file: str) -> dict[str, Any]:
    from ..jobs.model import read_json
    from ..report import data

    try:
        shown = read_json(file)
    except ModelError as error:
        raise InputError(file, error.problem) from None
    summary = shown.get("summary", shown)
    if not isinstance(summary, dict):
        raise InputError("summary", "must be the summary of a run")
    return data.summary_report(summary, _saved_parties(shown.get("models")))


def _saved_parties(paths: object) -> list[Any]:
    """The data parties' models of the run, those that are still there."""
    from ..jobs.model import SavedParty, read_json

    files = [Path(path) for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
    return [SavedParty.from_dict(read_json(path)) for path in files if path.name != "arbiter.json" and path.exists()]

"""eliminate: backward elimination of features by rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .common import json_option, reports_errors, settings_given, show_table, with_settings


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--models", type=click.Path(path_type=Path), default=Path("models"), show_default=True,
              help="Folder for the last fit's models.")  # fmt: skip
@click.option("--max-p", type=float, help="A feature leaves if none of its columns has a smaller p, such as 0.05.")
@click.option("--max-inflation", type=float, help="... if a column's variance inflation is above, such as 10.")
@click.option("--max-correlation", type=float, help="... if it is correlated more with a column of the other side, and less significant.")
@click.option("--min-iv", type=float, help="... before the first fit: a guest's feature whose information value is below, such as 0.02.")
@click.option("--max-missing", type=float, help="... before the first fit: if a larger share of its cells is missing.")
@click.option("--report", type=click.Path(path_type=Path), help="HTML file for a page about the last fit, with the steps.")
@with_settings
@json_option
@reports_errors
def eliminate(
    job_file: Path, models: Path, max_p: float | None, max_inflation: float | None, max_correlation: float | None, min_iv: float | None,
    max_missing: float | None, report: Path | None, as_json: bool, profile: str | None, scheme: str | None, key_bits: int | None,
    max_iter: int | None, changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Leave features of JOB_FILE out by rules, one at a time, with an encrypted refit after each; save the last fit's models.

    \b
    vflfast eliminate job.toml --max-inflation 10 --max-p 0.05
    vflfast eliminate job.toml --min-iv 0.02 --max-p 0.01 --scheme elgamal --report report.html
    """  # noqa: D301
    from ..jobs import elimination, evaluation, jobfile
    from ..jobs import job as jobs
    from ..jobs.progress import Progress
    from ..report import data, page

    if report:
        page.check_target(report)
    rules = elimination.Rules(max_missing, min_iv, max_inflation, max_correlation, max_p)
    job = jobfile.read_job(job_file, settings_given(profile, scheme, key_bits, max_iter, changes))
    models.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
    progress = Progress(job.settings)
    try:
        trained, steps = elimination.eliminate(job, rules, progress)
        paths = jobs.save_models(trained, models)
        summary = evaluation.summary(trained, evaluation.evaluate(trained, job, progress), progress)
    finally:
        progress.close()
    summary["elimination"] = [step.to_dict() for step in steps]
    if report:
        page.write(report, data.run_report(summary, trained))
    if as_json:
        click.echo(json.dumps({"summary": summary, "models": [str(path) for path in paths]}))
    else:
        show_steps(summary["elimination"], [len(party.binner.rules) for party in trained.parties])
        click.echo("models: " + ", ".join(str(path) for path in paths))


def show_steps(steps: list[dict[str, Any]], left: list[int]) -> None:
    """Show which features left and why, for people."""
    from rich.table import Table

    table = Table(box=None)
    for name, side in (("fits", "right"), ("party", "left"), ("feature", "left"), ("rule", "left"), ("value", "right"), ("limit", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for step in steps:
        value = step["value"] if isinstance(step["value"], str) else f"{step['value']:.4g}"
        table.add_row(str(step["fits"]), step["party"], step["feature"], step["rule"], value, f"{step['limit']:.4g}")
    if steps:
        show_table(table)
    click.echo(f"{len(steps)} features left; the model has " + " + ".join(map(str, left)))

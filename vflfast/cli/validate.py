"""validate: how good a model of a job is on customers that it has not seen, fold by fold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .common import json_option, reports_errors, settings_given, with_settings


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--folds", type=int, default=5, show_default=True, help="Parts of the customers; each is kept out of training once.")
@with_settings
@json_option
@reports_errors
def validate(
    job_file: Path, folds: int, as_json: bool, profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None,
    changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Cross-validate the job of JOB_FILE: for every fold bin, train encrypted and evaluate, all parties in this process.

    Nothing is saved. Customers go to folds by a hash of their id, the same on every machine.

    \b
    vflfast validate job.toml --folds 5
    vflfast validate job.toml --scheme elgamal --json
    """  # noqa: D301
    from ..jobs import jobfile, validation
    from ..jobs.progress import Progress

    job = jobfile.read_job(job_file, settings_given(profile, scheme, key_bits, max_iter, changes))
    progress = Progress(job.settings)
    try:
        found = validation.validate(job, folds, progress)
    finally:
        progress.close()
    click.echo(json.dumps(found)) if as_json else print_folds(found)


def print_folds(found: dict[str, Any]) -> None:
    """Show every fold, the means and the spreads, for people."""
    from ..jobs.progress import duration

    click.echo(f"{'fold':<8}{'rows':>8}{'positive':>10}{'rounds':>8}{'AUC guest':>11}{'AUC joint':>11}{'KS':>8}{'log loss':>10}")
    for number, row in enumerate(found["folds"], start=1):
        alone, joint = row["scores"]["guest alone"], row["scores"]["joint"]
        click.echo(f"{number:<8}{row['rows']:>8,}{row['positives']:>10,}{row['rounds']:>8}{alone['auc']:>11.4f}{joint['auc']:>11.4f}"
                   f"{joint['ks']:>8.4f}{joint['log_loss']:>10.4f}")  # fmt: skip
    for name in ("mean", "spread"):
        alone, joint = found[name]["guest alone"], found[name]["joint"]
        click.echo(f"{name:<34}{alone['auc']:>11.4f}{joint['auc']:>11.4f}{joint['ks']:>8.4f}{joint['log_loss']:>10.4f}")
    partner = found["partner"]
    click.echo(f"the partner adds {partner['mean']:+.4f} to the AUC, spread {partner['spread']:.4f} over the folds; "
               f"{duration(found['seconds'])} in all")  # fmt: skip

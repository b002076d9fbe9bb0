"""demo, train, score: all parties in this process."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .common import (  # fmt: skip
    json_option,
    labels_option,
    match_line,
    print_evaluation,
    reports_errors,
    scoring_given,
    settings_given,
    show_scored,
    stopped,
    with_scoring,
    with_settings,
)

SLOW = (
    "slow arithmetic, 10 to 100 times slower than the native core ({reason}): the demo has 400 customers and five rounds.\n"
    "Wheels have the core; from source it takes a C++ compiler (pip install --force-reinstall vflfast). --preset small is the whole demo"
)
report_option = click.option("--report", type=click.Path(path_type=Path), help="HTML file for a page about the run.")


@click.command()
@click.option("--preset", type=click.Choice(["tiny", "small", "patent"]), show_default="small; tiny without the native core",
              help="tiny: 400 customers; small: 8,000; patent: 66,274 to train on, 65 and 3,000 raw columns.")  # fmt: skip
@click.option("--hosts", "n_hosts", type=click.IntRange(1, 8), default=1, show_default=True, help="Number of partners.")
@click.option("--shape", type=click.Choice(["mixed", "five"]), default="mixed", show_default=True,
              help="mixed: dates, categories, gaps, zeros, amounts; five: amounts only, all in five classes.")  # fmt: skip
@report_option
@click.option("--folder", type=click.Path(path_type=Path), help="Where tables and models go; default: a temporary folder.")
@click.option("--ids", "id_method", type=click.Choice(["ecdh", "hmac", "hash", "sm3"]), default="ecdh", show_default=True,
              help="How ids are matched; ecdh takes seconds, hmac none.")  # fmt: skip
@click.option("--verify/--no-verify", default=True, show_default=True, help="Compare every weight of every round with a plaintext twin.")
@with_settings
@json_option
@reports_errors
def demo(
    preset: str | None, n_hosts: int, shape: str, report: Path | None, folder: Path | None, id_method: str, verify: bool, as_json: bool,
    profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Write raw tables of a bank and its partners, then match, bin, train and score them with real encryption.

    \b
    vflfast demo
    vflfast demo --preset patent --profile patent
    vflfast demo --hosts 2 --json
    """  # noqa: D301
    from ..crypto import backend
    from ..jobs.progress import Progress
    from ..protocol.settings import Settings
    from ..report import page
    from ..samples import demo as demos

    given = settings_given(profile, scheme, key_bits, max_iter, changes)
    if report:
        page.check_target(report)
    if preset is None:
        preset = demos.usual_preset()
        if preset != "small":
            click.echo(SLOW.format(reason=backend.current().reason), err=True)
            given = {"max_iter": demos.FEW_ROUNDS, **given}
    progress = Progress(Settings.from_mapping({"simulation": True, **given}))
    with tempfile.TemporaryDirectory(prefix="vflfast-demo-") as temporary:
        target = folder or Path(temporary)
        try:
            mapping = demos.write_tables(target, preset, n_hosts, progress, shape=shape)
            mapping["ids"] = {"method": id_method}
            shown = demos.run(mapping, target, given, progress, verify=verify, report=report)
        finally:
            progress.close()
    if as_json:
        click.echo(json.dumps(shown))
    else:
        print_summary(shown["summary"])
        if folder:
            click.echo("models: " + ", ".join(shown["models"]))


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--models", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Folder for the models.")
@click.option("--journal", type=click.Path(path_type=Path), help="Folder for the rounds done so far; default: journal, among the models.")
@click.option("--resume", is_flag=True, help="Go on with the run in the journal.")
@click.option("--cluster", metavar="N|ADDRESS", help="Share the work among N worker processes, or among a Dask scheduler's workers.")
@click.option("--scratch", type=click.Path(path_type=Path), help="Folder for what does not fit in memory.")
@click.option("--fix-leverage", is_flag=True, help="Leave out the columns that set single customers apart, and say which.")
@report_option
@click.option("--verify", is_flag=True, help="Compare every weight of every round with a plaintext twin.")
@with_settings
@json_option
@reports_errors
def train(
    job_file: Path, models: Path, journal: Path | None, resume: bool, cluster: str | None, scratch: Path | None, fix_leverage: bool,
    report: Path | None, verify: bool, as_json: bool, profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None,
    changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Train on the tables that JOB_FILE (TOML) names, all parties in this process; save one model file per party.

    \b
    vflfast train job.toml --models models
    vflfast train job.toml --models models --resume      after a stop or a crash

    \b
    [guest]
    file = "bank.csv"
    id_column = "phone"
    label_column = "bought"
    observation_date = "2026-01-01"

    \b
    [[hosts]]
    file = "partner.parquet"
    id_column = "phone"

    \b
    [run]
    test_share = 0.3        # kept out of training, for the figures

    \b
    [settings]              # command line wins
    key_bits = 2048
    """  # noqa: D301
    from ..jobs import evaluation, jobfile
    from ..jobs import job as jobs
    from ..jobs.progress import Progress
    from ..plan import run as planned
    from ..report import data, page
    from ..scale.resources import with_choice

    if report:
        page.check_target(report)
    job = jobfile.read_job(job_file, settings_given(profile, scheme, key_bits, max_iter, changes))
    job = replace(job, resources=with_choice(job.resources, cluster, scratch))
    if fix_leverage:
        job = replace(job, guest=replace(job.guest, fix_leverage=True), hosts=tuple(replace(h, fix_leverage=True) for h in job.hosts))
    models.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
    folder = journal or models / "journal"
    where = f"--models {models}" + (f" --journal {journal}" if journal else "")
    again = f"go on with: vflfast train {job_file} {where} --resume, and the same settings"
    progress = Progress(job.settings)
    try:
        with stopped(again), jobs.kept(job, folder, resume=resume) as (job, journals):
            trained, prediction = planned.train(job, progress, verify=verify, journals=journals)
            paths = jobs.save_models(trained, models)
        with stopped("the models are saved"):
            evaluated = evaluation.evaluate(trained, job, progress)
    finally:
        progress.close()
    summary = evaluation.summary(trained, evaluated, progress)
    summary["plan"] = planned.side_by_side(prediction, summary)
    if report:
        page.write(report, data.run_report(summary, trained))
    if as_json:
        click.echo(json.dumps({"summary": summary, "models": [str(p) for p in paths]}))
    else:
        print_summary(summary)
        click.echo("models: " + ", ".join(str(p) for p in paths))


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--models", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Folder with the models.")
@labels_option
@with_scoring
@json_option
@reports_errors
def score(job_file: Path, models: Path, out: Path | None, output: str | None, as_json: bool) -> None:
    """Score the customers in the tables that JOB_FILE names, with models saved by train.

    \b
    vflfast score new_customers.toml --models models --out labels.csv
    """  # noqa: D301
    from ..jobs import job as jobs
    from ..jobs import jobfile, scored
    from ..jobs.progress import Progress

    if out:
        scored.check_target(out)
    job = jobfile.read_job(job_file, scoring_given(output))
    progress = Progress(job.settings)
    try:
        table, result, match, _ = jobs.score(job, models, job.settings, progress)
    finally:
        progress.close()
    found = scored.at_guest(table.ids, result, match)
    if out:
        found.save(out)
    show_scored(found, out, as_json)


def print_summary(summary: dict[str, Any]) -> None:
    """Show what a run showed, for people."""
    match, evaluation = summary["match"], summary["evaluation"]
    click.echo(match_line(match))
    click.echo(f"trained on {summary['training_rows']:,} rows × " + " + ".join(f"{n:,}" for n in summary["columns"].values()) + " columns")
    for party, names in summary["left_out"].items():
        if names:
            click.echo(f"{party}: fix_leverage left {len(names)} columns out: {', '.join(names)}")
    why = "stopped by the rule" if summary["stopped_by_rule"] else "stopped at max_iter"
    click.echo(f"{summary['rounds']} rounds, {why}; last losses: " + ", ".join(f"{k} {v[-1]:.6f}" for k, v in summary["losses"].items()))
    if summary["alpha_tried"]:
        tried = ", ".join(f"{alpha:.4g}: {loss:.4f}" for alpha, loss in summary["alpha_tried"])
        click.echo(f"alpha {summary['alpha']:.4g}, by the log loss of a fifth held out ({tried})")
    if summary["verified_rounds"] is not None:
        click.echo(f"verified: every weight of {summary['verified_rounds']} rounds equals the plaintext twin's, bit for bit")
    if evaluation:
        click.echo()
        print_evaluation(evaluation)
        click.echo(f"  threshold {summary['threshold']:.6g} flags {evaluation['flagged_share']:.1%}")
    click.echo(f"\n{summary['seconds']:.1f} s in all, {summary['bytes'] / 1e6:.1f} MB between the parties; by stage:")
    for name, seconds in summary["seconds_by_stage"].items():
        if seconds >= 0.005 * summary["seconds"]:
            click.echo(f"  {name:<18}{seconds:>8.2f} s {seconds / summary['seconds']:>6.1%}")
    click.echo("\nwhat the parties could solve for (equations given / unknowns):")
    for entry in summary["leak_ledger"]:
        click.echo(f"  {entry['party']:<8}{entry['what']}: {entry['equations']:,} / {entry['unknowns']:,}{_of_rows(entry)}")
    click.echo(f"\nweight hash {summary['weight_hash']}")


def _of_rows(entry: dict[str, Any]) -> str:
    if entry["largest"] is None:
        return ""
    return (
        f"; of one row at most {entry['largest']:.2f}, rows above 0.2, 0.5, 0.9: {entry['above_fifth']}, {entry['above_half']}, "
        f"{entry['above_nine_tenths']}"
    )

"""party, launch, certs, status, check: the parties in processes and on machines of their own."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from .common import (  # fmt: skip
    EXIT_FAILED,
    json_option,
    labels_option,
    print_evaluation,
    reports_errors,
    scoring_given,
    settings_given,
    show_scored,
    stopped,
    with_scoring,
    with_settings,
)

config_option = click.option("--config", "config_file", type=click.Path(path_type=Path), default=Path("fed.toml"), show_default=True,
                             help="This party's settings.")  # fmt: skip
role_option = click.option("--role", required=True, metavar="ROLE", help="guest, host (host1, host2, …), mart or arbiter.")

score_option = click.option("--score", is_flag=True, help="Score new customers with the models that training left.")
evaluate_option = click.option("--evaluate", is_flag=True, help="Evaluate on the customers that training kept out (test_share).")


@click.command()
@role_option
@config_option
@score_option
@evaluate_option
@click.option("--anew", is_flag=True, help="Train anew: take away the journal of a run that came to its end first.")
@labels_option
@with_scoring
@with_settings
@json_option
@reports_errors
def party(
    role: str, config_file: Path, score: bool, evaluate: bool, anew: bool, out: Path | None, output: str | None, as_json: bool,
    profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Take one party's part in a run; start it again after a crash or a stop, and it goes on.

    After its end the same command says again what it said then, and serves a party that has not ended yet; --anew begins another run.

    \b
    vflfast party --role guest --config fed.toml
    vflfast party --role guest --config fed.toml --score --out labels.csv      every party with --score

    \b
    [guest]                        # every party's file has all addresses
    address = "bank.example:7001"
    file = "bank.csv"              # and its own data, as in a job file
    id_column = "phone"
    label_column = "bought"

    \b
    [[hosts]]
    address = "partner.example:7001"

    \b
    [arbiter]
    address = "notary.example:7001"

    \b
    [mart]                         # besides [[hosts]] or in their place: an organisation with a store of features
    address = "mart.example:7001"
    mart = "store"                 # as made by vflfast mart build

    \b
    [ids]
    method = "ecdh"                # private set intersection, the default

    \b
    [network]
    certificates = "certificates"  # ca.pem, guest.pem, guest.key: vflfast certs
    """  # noqa: D301
    from ..jobs import leash, programs
    from ..jobs import party as parties
    from ..jobs.progress import Progress

    leash.end_with_starter()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    task = _task(score, evaluate)
    given = {**settings_given(profile, scheme, key_bits, max_iter, changes), **_scoring(task, output)}
    own = parties.read_party(config_file, role, given, task=task, out=out)
    if anew:
        parties.begin_anew(own)
    progress = Progress(own.settings)
    try:
        with stopped("the same command goes on with the run"):
            result = parties.run_party(own, progress)
    finally:
        progress.close()
    if result.scored is not None:
        show_scored(result.scored, out, as_json, role=result.role)
        return
    if as_json:
        click.echo(json.dumps({"role": result.role, **({"model": str(result.path)} if result.path else {}), **result.facts}))
        return
    if "evaluation" in result.facts:
        print_evaluation(result.facts["evaluation"])
        return
    if task != programs.TRAIN:
        click.echo(f"{result.role}: {result.facts['customers']} customers scored; what came of it is at the recipients", err=True)
        return
    click.echo(f"{result.role}: {result.facts['rounds']} rounds; model: {result.path}")
    if "weight_hash" in result.facts:
        click.echo(f"hash of the own weights {result.facts['weight_hash']}")


def _task(score: bool, evaluate: bool) -> str:
    """Return what the run is for; InputError for two things."""
    from ..jobs import programs

    if score and evaluate:
        raise InputError("--evaluate", "scores the customers kept out of training, --score new ones: give one of them")
    return programs.SCORE if score else programs.EVALUATE if evaluate else programs.TRAIN


def _scoring(task: str, output: str | None) -> dict[str, Any]:
    """Return the settings of scoring that are given; InputError in training."""
    given = scoring_given(output)
    if given and task == "train":
        raise InputError(f"--{next(iter(given))}", "belongs to --score or --evaluate")
    return given


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--folder", type=click.Path(path_type=Path), default=Path("run"), show_default=True,
              help="For settings, journals and models.")  # fmt: skip
@click.option("--plaintext", is_flag=True, help="No TLS between the processes.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@score_option
@evaluate_option
@with_scoring
@with_settings
@json_option
@reports_errors
def launch(
    job_file: Path, folder: Path, plaintext: bool, resume: bool, score: bool, evaluate: bool, output: str | None, as_json: bool,
    profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Train the job of JOB_FILE with every party in a process of its own, under mutual TLS on this machine.

    \b
    vflfast launch job.toml --folder run
    vflfast launch job.toml --folder run --resume              after a stop or a crash
    vflfast launch job.toml --folder run --evaluate --output probability    on the customers kept out ([run] test_share)
    vflfast launch new_customers.toml --folder run --score     with the models in the folder; labels: run/labels/guest.csv
    """  # noqa: D301
    from ..jobs.launch import launch as start

    def show(role: str, line: str) -> None:
        click.echo(f"{role:<8}| {line}", err=True)

    task = _task(score, evaluate)
    given = {**settings_given(profile, scheme, key_bits, max_iter, changes), **_scoring(task, output)}
    starts_anew = score or evaluate
    again = "start it again" if starts_anew else f"go on with: vflfast launch {job_file} --folder {folder} --resume, and the same settings"
    with stopped(again):
        summary = start(job_file, folder, given, show, plaintext=plaintext, resume=resume, task=task)
    if as_json:
        click.echo(json.dumps(summary))
        return
    if evaluate:
        print_evaluation(summary["evaluation"])
        return
    if score:
        flagged = f"{summary['flagged_share']:.1%} flagged"
        click.echo(f"{summary['customers']:,} customers matched and scored, {flagged}, {summary['seconds']:.1f} s")
        click.echo("labels: " + ", ".join(summary["labels"].values()))
        return
    click.echo(f"matched and trained on {summary['training_rows']:,} rows × " + " + ".join(f"{n:,}" for n in summary["columns"].values())
               + f" columns; {summary['rounds']} rounds, {summary['seconds']:.1f} s")  # fmt: skip
    click.echo("models: " + ", ".join(summary["models"]))
    click.echo(f"weight hash {summary['weight_hash']}")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("certificates"), show_default=True, help="Folder for the files.")
@click.option("--roles", default="guest,host1,arbiter", show_default=True, help="Roles, with commas between.")
@click.option("--days", type=float, default=365, show_default=True, help="How long they are valid.")
@json_option
@reports_errors
def certs(out: Path, roles: str, days: float, as_json: bool) -> None:
    """Make a private certificate authority, and a certificate and key for every role.

    \b
    vflfast certs --out certificates --roles guest,host1,host2,arbiter

    Give every party ca.pem and its own two files, over a safe way. ca.key makes new certificates: keep it apart, with nobody's data.
    """  # noqa: D301
    from ..net.certs import write_certificates

    written = write_certificates(out, [role.strip() for role in roles.split(",")], days=days)
    click.echo(json.dumps([str(path) for path in written]) if as_json else "\n".join(str(path) for path in written))


@click.command()
@role_option
@config_option
@json_option
@reports_errors
def status(role: str, config_file: Path, as_json: bool) -> None:
    """Ask every party how it is, with the certificate of ROLE.

    \b
    vflfast status --role guest --config fed.toml
    """  # noqa: D301
    from ..jobs import party as parties
    from ..jobs import preflight

    found = preflight.ask(parties.read_party(config_file, role, task="ask"))
    if as_json:
        click.echo(json.dumps({name: {"error": s} if isinstance(s, str) else dataclasses.asdict(s) for name, s in found.items()}))
    for name, answer in found.items() if not as_json else ():
        if isinstance(answer, str):
            click.echo(f"{name:<8} not reached: {answer}")
        else:
            what = f"{answer.party}, {answer.step}: {answer.problem}" if answer.problem else answer.stage
            click.echo(f"{name:<8} {answer.task:<5} {answer.state:<9} attempt {answer.attempt}, round {answer.round}  {what}")
    if any(isinstance(answer, str) for answer in found.values()):
        sys.exit(EXIT_FAILED)


@click.command()
@role_option
@config_option
@click.option("--wait", type=float, default=10.0, show_default=True, help="Seconds to wait for peers that are not there yet.")
@score_option
@with_settings
@json_option
@reports_errors
def check(
    role: str, config_file: Path, wait: float, score: bool, as_json: bool,
    profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Try everything that a run needs before it: certificates, key, table, folders, and every peer's address, clock and settings.

    All parties may check at the same time.

    \b
    vflfast check --role guest --config fed.toml --wait 60
    """  # noqa: D301
    from ..jobs import party as parties
    from ..jobs import preflight, programs

    given = settings_given(profile, scheme, key_bits, max_iter, changes)
    found = preflight.check(parties.read_party(config_file, role, given, task=programs.SCORE if score else programs.TRAIN), wait)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in found]))
    for finding in found if not as_json else ():
        click.echo(f"{'ok' if finding.good else 'FAILED':<7} {finding.name:<12} {finding.text}")
    if not all(finding.good for finding in found):
        sys.exit(EXIT_FAILED)

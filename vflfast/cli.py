"""The command line: demo, train, score, keygen, info."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from . import __version__
from .errors import InputError, VflError

EXIT_INPUT, EXIT_FAILED = 2, 1


def _reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the library's errors into one line and an exit code: 2 for input, 1 for a run that failed."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except VflError as error:
            click.echo(f"vflfast: {error}", err=True)
            sys.exit(EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED)
        except BrokenPipeError:  # whoever reads the output has gone: click ends quietly
            raise
        except OSError as error:
            click.echo(f"vflfast: {error.filename}: {error.strerror}", err=True)
            sys.exit(EXIT_INPUT)

    return wrapped


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output and nothing else there.")
setting_options = [
    click.option("--profile", type=click.Choice(["hardened", "patent"]), help="Who sees what; hardened is the default."),
    click.option("--key-bits", type=int, help="Bits of the Paillier modulus: 2048, 3072 or 4096."),
    click.option("--max-iter", type=int, help="Most rounds."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Any other setting, such as --set solver=gd; may repeat."),
]


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(setting_options):
        command = option(command)
    return command


def _changes(profile: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings given on the command line; they win over the file's."""
    import tomllib

    given: dict[str, Any] = {"profile": profile, "key_bits": key_bits, "max_iter": max_iter}
    result = {name: value for name, value in given.items() if value is not None}
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator:
            raise InputError("--set", f"needs NAME=VALUE, not {change!r}")
        try:
            value = tomllib.loads(f"x = {text}")
        except (ValueError, RecursionError):
            value = {"x": text}
        if len(value) > 1:
            raise InputError("--set", "takes one setting; repeat it for another")
        result[name.strip()] = value["x"]
    return result


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="vflfast")
def main() -> None:
    """Three-party vertical federated logistic regression on Paillier encryption.

    \b
    vflfast demo                        train and score on made-up tables of a bank and a partner
    vflfast train job.toml              train on your own tables
    vflfast score job.toml              score new customers with the saved models
    vflfast info                        which arithmetic this machine uses, and why
    """  # noqa: D301  (\b is for click: keep these lines as they are)


@main.command()
@click.option("--preset", type=click.Choice(["small", "patent"]), default="small", show_default=True,
              help="patent: 66,274 customers to train on, 65 and 3,000 raw columns.")  # fmt: skip
@click.option("--hosts", "n_hosts", type=click.IntRange(1, 8), default=1, show_default=True, help="Number of partners.")
@click.option("--shape", type=click.Choice(["mixed", "five"]), default="mixed", show_default=True,
              help="mixed: dates, categories, gaps, zeros, amounts; five: amounts only, all in five classes.")  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path), help="Where tables and models go; default: a temporary folder.")
@click.option("--verify/--no-verify", default=True, show_default=True, help="Compare every weight of every round with a plaintext twin.")
@_with_settings
@json_option
@_reports_errors
def demo(
    preset: str, n_hosts: int, shape: str, folder: Path | None, verify: bool, as_json: bool,
    profile: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Write raw tables of a bank and its partners, then match, bin, train and score them with real encryption.

    \b
    vflfast demo
    vflfast demo --preset patent --profile patent
    vflfast demo --hosts 2 --json
    """  # noqa: D301
    from . import demo as demos
    from .progress import Progress
    from .protocol.settings import Settings

    given = _changes(profile, key_bits, max_iter, changes)
    progress = Progress(Settings.from_mapping({"simulation": True, **given}))
    with tempfile.TemporaryDirectory(prefix="vflfast-demo-") as temporary:
        target = folder or Path(temporary)
        try:
            mapping = demos.write_tables(target, preset, n_hosts, progress, shape=shape)
            shown = demos.run(mapping, target, given, progress, verify=verify)
        finally:
            progress.close()
    if as_json:
        click.echo(json.dumps(shown))
    else:
        _print_summary(shown["summary"])
        if folder:
            click.echo("models: " + ", ".join(shown["models"]))


@main.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--models", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Folder for the models.")
@click.option("--verify", is_flag=True, help="Compare every weight of every round with a plaintext twin.")
@_with_settings
@json_option
@_reports_errors
def train(
    job_file: Path, models: Path, verify: bool, as_json: bool,
    profile: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...],
) -> None:  # fmt: skip
    """Train on the tables that JOB_FILE (TOML) names, all parties in this process; save one model file per party.

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
    from . import demo as demos
    from . import job as jobs
    from .progress import Progress

    job = jobs.read_job(job_file, _changes(profile, key_bits, max_iter, changes))
    models.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
    progress = Progress(job.settings)
    try:
        trained = jobs.train(job, progress, verify=verify)
        paths = jobs.save_models(trained, models)
        evaluation = jobs.evaluate(trained, job, progress)
    finally:
        progress.close()
    summary = demos.summary(trained, evaluation, progress)
    if as_json:
        click.echo(json.dumps({"summary": summary, "models": [str(p) for p in paths]}))
    else:
        _print_summary(summary)
        click.echo("models: " + ", ".join(str(p) for p in paths))


@main.command()
@click.argument("job_file", type=click.Path(path_type=Path))
@click.option("--models", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Folder with the models.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file for the labels; default: standard output.")
@click.option("--output", type=click.Choice(["labels", "scores"]), default="labels", show_default=True,
              help="scores: also the combined score F, which tells the guest the host's normalised score.")  # fmt: skip
@click.option("--joint", is_flag=True, help="Also the joint probability, which tells the guest the host's predictor.")
@json_option
@_reports_errors
def score(job_file: Path, models: Path, out: Path | None, output: str, joint: bool, as_json: bool) -> None:
    """Score the customers in the tables that JOB_FILE names, with models saved by train.

    \b
    vflfast score new_customers.toml --models models --out labels.csv
    """  # noqa: D301
    from . import job as jobs
    from .progress import Progress

    job = jobs.read_job(job_file)
    settings = dataclasses.replace(job.settings, output=output, joint=joint)
    progress = Progress(settings)
    try:
        table, result, match, arbiter_model = jobs.score(job, models, settings, progress)
    finally:
        progress.close()
    columns: dict[str, list[Any]] = {"id": table.ids.tolist(), "label": result.labels.tolist()}
    if result.scores is not None:
        columns["score"] = result.scores.tolist()
    if result.joint_probability is not None:
        columns["joint_probability"] = result.joint_probability.tolist()
    flagged = float((result.labels > 0).mean())
    if as_json:
        click.echo(json.dumps({"match": match, "threshold": arbiter_model.threshold, "flagged_share": flagged, "columns": columns}))
        return
    _write_csv(out, columns)
    click.echo(f"{len(result.labels)} customers matched and scored, {flagged:.1%} flagged at threshold {result.threshold:.6g}", err=True)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File for the private key (mode 0600).")
@click.option("--key-bits", type=int, default=2048, show_default=True, help="2048, 3072 or 4096.")
@json_option
@_reports_errors
def keygen(out: Path, key_bits: int, as_json: bool) -> None:
    """Make the arbiter's key. Without one, every session makes its own, which is safer.

    \b
    vflfast keygen --out arbiter.key --key-bits 3072
    """  # noqa: D301
    from .crypto import keyfile, keys

    p, q = keys.generate_primes(key_bits)
    keyfile.save_private_key(out, p, q)
    facts = {"file": str(out), "key_bits": key_bits, "fingerprint": keys.fingerprint(p * q)}
    click.echo(json.dumps(facts) if as_json else f"{facts['key_bits']}-bit key {facts['fingerprint']} written to {out}")


@main.command()
@json_option
@_reports_errors
def info(as_json: bool) -> None:
    """Show the version, the arithmetic in use and why, threads and libraries."""
    import platform
    from importlib.metadata import version

    from .crypto import backend

    chosen = backend.current()
    facts = {
        "vflfast": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": chosen.name,
        "because": chosen.reason,
        "available": backend.available(),
        "threads": backend.threads(),
        "libraries": {name: version(name) for name in ("numpy", "gmpy2", "numba", "pandas")},
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name:<10} {', '.join(text) if isinstance(text, list) else text}")


def _write_csv(out: Path | None, columns: dict[str, list[Any]]) -> None:
    stream = out.open("w", newline="", encoding="utf-8") if out else sys.stdout
    try:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    finally:
        if out:
            stream.close()


def _print_summary(summary: dict[str, Any]) -> None:
    match, evaluation = summary["match"], summary["evaluation"]
    click.echo(f"matched {match['matched']:,} customers of " + ", ".join(
        f"{party} {rows:,}" for party, rows in zip(match["parties"], match["rows"], strict=True)) + f" ({match['method']})")  # fmt: skip
    click.echo(f"trained on {summary['training_rows']:,} rows × " + " + ".join(f"{n:,}" for n in summary["columns"].values()) + " columns")
    why = "stopped by the rule" if summary["stopped_by_rule"] else "stopped at max_iter"
    click.echo(f"{summary['rounds']} rounds, {why}; last losses: " + ", ".join(f"{k} {v[-1]:.6f}" for k, v in summary["losses"].items()))
    if summary["verified_rounds"] is not None:
        click.echo(f"verified: every weight of {summary['verified_rounds']} rounds equals the plaintext twin's, bit for bit")
    if evaluation:
        click.echo(f"\non {evaluation['rows']:,} customers kept out of training ({evaluation['positive_share']:.1%} positive):")
        click.echo(f"  {'':<14}{'AUC':>8}{'KS':>8}{'lift 10 %':>11}")
        for name, row in evaluation["scores"].items():
            click.echo(f"  {name:<14}{row['auc']:>8.4f}{row['ks']:>8.4f}{row['lift_10']:>11.2f}")
        click.echo(f"  threshold {summary['threshold']:.6g} flags {evaluation['flagged_share']:.1%}")
    click.echo(f"\n{summary['seconds']:.1f} s in all, {summary['bytes'] / 1e6:.1f} MB between the parties; by stage:")
    for name, seconds in summary["seconds_by_stage"].items():
        if seconds >= 0.005 * summary["seconds"]:
            click.echo(f"  {name:<18}{seconds:>8.2f} s {seconds / summary['seconds']:>6.1%}")
    click.echo("\nwhat the parties could solve for (equations given / unknowns):")
    for entry in summary["leak_ledger"]:
        click.echo(f"  {entry['party']:<8}{entry['what']}: {entry['equations']:,} / {entry['unknowns']:,}")
    click.echo(f"\nweight hash {summary['weight_hash']}")

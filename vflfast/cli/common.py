"""What the commands share: errors as one line and an exit code, and options of the settings."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, VflError

if TYPE_CHECKING:
    from rich.table import Table

    from ..jobs.scored import Scored

PIPE_WIDTH = 160  # characters of a table, where there is no terminal to ask
EXIT_INPUT, EXIT_FAILED, EXIT_STOPPED = 2, 1, 130
EXIT_CODES = (
    f"Exit codes: 0 done; {EXIT_FAILED} the run failed; {EXIT_INPUT} an option, file or setting is wrong; {EXIT_STOPPED} stopped by Ctrl-C."
)


def reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the library's errors, and Ctrl-C, into one line and an exit code of `EXIT_CODES`."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except VflError as error:
            click.echo(f"vflfast: {error}", err=True)
            sys.exit(EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED)
        except KeyboardInterrupt as stop:
            click.echo("; ".join(["vflfast: stopped", *map(str, stop.args)]), err=True)
            sys.exit(EXIT_STOPPED)
        except BrokenPipeError:  # whoever reads the output has gone: click ends quietly
            raise
        except OSError as error:
            click.echo(f"vflfast: {error.filename}: {error.strerror}", err=True)
            sys.exit(EXIT_INPUT)

    return wrapped


@contextmanager
def stopped(how_to_go_on: str) -> Iterator[None]:
    """Stop at SIGTERM as at Ctrl-C; say after either how to go on."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop) if threading.current_thread() is threading.main_thread() else None
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(how_to_go_on) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output and nothing else there.")
setting_options = [
    click.option("--profile", type=click.Choice(["hardened", "patent"]), help="Who sees what; hardened is the default."),
    click.option("--scheme", type=click.Choice(["paillier", "elgamal"]), help="Encryption; paillier is the default, elgamal is faster."),
    click.option("--key-bits", type=int, help="Bits of the Paillier modulus: 2048, 3072 or 4096."),
    click.option("--max-iter", type=int, help="Most rounds."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Any other setting, such as --set solver=gd; may repeat."),
]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the settings."""
    for option in reversed(setting_options):
        command = option(command)
    return command


labels_option = click.option("--out", type=click.Path(path_type=Path), help="CSV file for the labels; default: standard output.")
scoring_options = [
    click.option("--output", type=click.Choice(["labels", "probability", "scores"]),
                 help="probability: also the joint one, which tells the guest the host's predictor. scores: also F, of a model that "
                      "labels by it, which tells the guest the host's normalised score. Default: labels."),
]  # fmt: skip


def with_scoring(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of scoring."""
    for option in reversed(scoring_options):
        command = option(command)
    return command


def scoring_given(output: str | None) -> dict[str, Any]:
    """Return the settings of scoring that are given on the command line; they win over the file's."""
    return {} if output is None else {"output": output}


def show_scored(scored: Scored, out: Path | None, as_json: bool, **more: Any) -> None:
    """Show what a recipient got: labels to `out` or standard output, or all of it as JSON; for people, a line on stderr."""
    if as_json:
        click.echo(json.dumps({**more, **scored.facts, **({"labels": str(out)} if out else {"columns": scored.columns})}))
        return
    if out is None:
        scored.write(sys.stdout)
    for warning in match_warnings(scored.match):
        click.echo(f"warning: {warning}", err=True)
    at = "" if scored.threshold is None else f" at threshold {scored.threshold:.6g}"
    click.echo(f"{scored.facts['customers']} customers matched and scored, {scored.facts['flagged_share']:.1%} flagged{at}", err=True)


def print_evaluation(evaluation: dict[str, Any]) -> None:
    """Show what was found of customers kept out of training, for people."""
    click.echo(f"on {evaluation['rows']:,} customers kept out of training ({evaluation['positive_share']:.1%} positive):")
    if "scores" in evaluation:
        click.echo(f"  {'':<14}{'AUC':>8}{'KS':>8}{'lift 10 %':>11}")
    for name, row in evaluation.get("scores", {}).items():
        click.echo(f"  {name:<14}{row['auc']:>8.4f}{row['ks']:>8.4f}{row['lift_10']:>11.2f}")
    if gain := evaluation.get("partner"):
        sure = "p < 0.001" if gain["p_value"] < 0.001 else f"p = {gain['p_value']:.3f}"
        click.echo(f"  the partner adds {gain['auc_gain']:+.4f} to the AUC ({gain['low']:+.4f} to {gain['high']:+.4f}, {sure})")
    if joint := evaluation.get("probabilities", {}).get("joint"):
        click.echo(
            f"  joint probability: log loss {joint['log_loss']:.4f}, Brier score {joint['brier_score']:.4f}, "
            f"calibration error {joint['calibration_error']:.4f}"
        )
    flagged = evaluation["flagged"]
    if flagged["rows"]:
        caught = "" if flagged["recall"] is None else f", {flagged['recall']:.1%} of all positives"
        click.echo(f"  {flagged['rows']:,} flagged, {flagged['precision']:.1%} of them positive{caught}")


def settings_given(
    profile: str | None, scheme: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...]
) -> dict[str, Any]:
    """Return the settings given on the command line; they win over the file's."""
    import tomllib

    given: dict[str, Any] = {"profile": profile, "scheme": scheme, "key_bits": key_bits, "max_iter": max_iter}
    result = {name: value for name, value in given.items() if value is not None}
    for change in changes:
        name, text = name_and_text(change)
        try:
            value = tomllib.loads(f"x = {text}")
        except (ValueError, RecursionError):
            value = {"x": text}
        if len(value) > 1:
            raise InputError("--set", "takes one setting; repeat it for another")
        result[name] = value["x"]
    return result


def name_and_text(change: str) -> tuple[str, str]:
    """Return name and value of a ``--set NAME=VALUE``, both as text; InputError for anything else."""
    name, equals, text = change.partition("=")
    if not equals:
        raise InputError("--set", f"needs NAME=VALUE, not {change!r}")
    return name.strip(), text


def show_table(table: Table) -> None:
    """Print a table as wide as the terminal, or where there is none, `PIPE_WIDTH` characters."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def match_line(match: dict[str, Any]) -> str:
    """Return what a match report says in a line; below it, its warnings."""
    sizes = ", ".join(f"{party} {rows:,}" for party, rows in zip(match["parties"], match["rows"], strict=True))
    warnings = "".join(f"\nwarning: {warning}" for warning in match_warnings(match))
    return f"matched {match['matched']:,} customers of {sizes} ({match['method']}){warnings}"


def match_warnings(match: dict[str, Any]) -> list[str]:
    """Return the warnings of a match report."""
    return [match[name] for name in ("exposes", "unusual", "few") if name in match]

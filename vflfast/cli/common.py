"""What the commands share: errors as one line and an exit code, and options of the settings."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

import click

from ..errors import InputError, VflError

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
    click.option("--key-bits", type=int, help="Bits of the Paillier modulus: 2048, 3072 or 4096."),
    click.option("--max-iter", type=int, help="Most rounds."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Any other setting, such as --set solver=gd; may repeat."),
]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the settings."""
    for option in reversed(setting_options):
        command = option(command)
    return command


def settings_given(profile: str | None, key_bits: int | None, max_iter: int | None, changes: tuple[str, ...]) -> dict[str, Any]:
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


def match_line(match: dict[str, Any]) -> str:
    """Return what a match report says in a line; below it, what the method exposes, if anything."""
    sizes = ", ".join(f"{party} {rows:,}" for party, rows in zip(match["parties"], match["rows"], strict=True))
    warning = f"\nwarning: {match['exposes']}" if "exposes" in match else ""
    return f"matched {match['matched']:,} customers of {sizes} ({match['method']}){warning}"

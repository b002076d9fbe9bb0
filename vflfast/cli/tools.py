"""keygen, info, completion."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from .. import __version__
from ..errors import InputError
from ..params import PASSPHRASE_VARIABLE
from .common import json_option, reports_errors


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File for the private key (mode 0600).")
@click.option(
    "--scheme", "name", type=click.Choice(["paillier", "elgamal"]), default="paillier", show_default=True, help="Encryption of the runs."
)
@click.option("--key-bits", type=int, help="Of paillier: 2048 (default), 3072 or 4096.")
@click.option("--encrypt", is_flag=True, help="Encrypt the file under a passphrase: asked for, or of VFLFAST_KEY_PASSPHRASE.")
@json_option
@reports_errors
def keygen(out: Path, name: str, key_bits: int | None, encrypt: bool, as_json: bool) -> None:
    """Make the arbiter's key. Without one, every session makes its own, which is safer.

    \b
    vflfast keygen --out arbiter.key --key-bits 3072

    A run reads the passphrase of an encrypted file from VFLFAST_KEY_PASSPHRASE.
    """  # noqa: D301
    from ..crypto.schemes import SCHEMES, generate_keypair

    key = generate_keypair(key_bits, scheme=name)  # type: ignore[call-overload]
    SCHEMES[name].save(out, key, passphrase=_passphrase() if encrypt else None)
    facts = {"file": str(out), "scheme": name, "key_bits": key.public.key_bits, "fingerprint": key.public.fingerprint}
    click.echo(json.dumps(facts) if as_json else f"{facts['key_bits']}-bit key {facts['fingerprint']} written to {out}")


def _passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    return given or str(click.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True))


@click.command()
@json_option
@reports_errors
def info(as_json: bool) -> None:
    """Show the version, the arithmetic in use and why, threads and libraries.

    \b
    vflfast info --json
    """  # noqa: D301
    import platform
    from importlib.metadata import version

    from ..crypto import backend

    chosen = backend.current()
    facts = {
        "vflfast": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": chosen.name,
        "because": chosen.reason,
        "available": backend.available(),
        "threads": backend.threads(),
        "libraries": {name: version(name) for name in ("numpy", "gmpy2", "numba", "pandas", "pynacl")},
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    if chosen.name == "gmpy2":
        facts["slow"] = "10 to 100 times slower than the native core, which wheels have; from source it takes a C++ compiler"
    for name, value in facts.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name:<10} {', '.join(text) if isinstance(text, list) else text}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@reports_errors
def completion(shell: str, as_json: bool) -> None:
    """Print what makes SHELL complete commands, options and choices.

    \b
    vflfast completion bash >> ~/.bashrc
    vflfast completion zsh >> ~/.zshrc
    vflfast completion fish > ~/.config/fish/completions/vflfast.fish
    """  # noqa: D301
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise InputError("SHELL", f"{shell} is unknown to this click")
    script = made(click.get_current_context().find_root().command, {}, "vflfast", "_VFLFAST_COMPLETE").source()
    click.echo(json.dumps({"shell": shell, "script": script}) if as_json else script)

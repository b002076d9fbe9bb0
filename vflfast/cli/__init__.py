"""The command line: one module a family of commands, put together here. Heavy imports stand inside the commands."""

from __future__ import annotations

import click

from .. import __version__
from . import run, tools


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


for command in (run.demo, run.train, run.score, tools.keygen, tools.info):
    main.add_command(command)

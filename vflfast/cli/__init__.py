"""The command line: one module a family of commands, put together here. Heavy imports stand inside the commands."""

from __future__ import annotations

import click

from .. import __version__
from . import bins, coefficients, eliminate, handover, inspect, ledger, mart, net, plan, report, run, select, tools, validate
from .common import EXIT_CODES
from .groups import Sections


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="vflfast")
def main() -> None:
    """Three-party vertical federated logistic regression on encrypted sums.

    \b
    vflfast demo                   a bank and a partner with synthetic tables: train, score, report
    vflfast inspect job.toml       how every column of your own tables is understood
    vflfast train job.toml         train on them; the help of train shows a job file
    vflfast COMMAND --help         options and examples of a command
    """  # noqa: D301  (\b is for click: keep these lines as they are)


for command in (run.demo, run.train, run.score, validate.validate, select.select, inspect.inspect, bins.bins, plan.plan, report.report,
                coefficients.coefficients, eliminate.eliminate):  # fmt: skip
    main.add_command(command)
for command in (tools.keygen, tools.info, tools.completion):
    main.add_command(command)
for command in (handover.export, handover.drift, handover.reasons):
    main.add_command(command)
main.add_command(ledger.ledger)
for command in (net.launch, net.party, net.certs, net.check, net.status):
    main.add_command(command)
main.add_command(mart.mart)
for command in (main, mart.mart, *main.commands.values(), *mart.mart.commands.values()):
    command.epilog = EXIT_CODES

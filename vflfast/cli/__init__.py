"""The command line: one module a family of commands, put together here. Heavy imports stand inside the commands."""

from __future__ import annotations

import click

from .. import __version__
from . import bins, coefficients, eliminate, handover, inspect, ledger, mart, net, plan, report, run, select, tools, validate
from .common import EXIT_CODES


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="vflfast")
def main() -> None:
    """Three-party vertical federated logistic regression on Paillier encryption.

    \b
    vflfast demo                        train and score on made-up tables of a bank and a partner
    vflfast train job.toml              train on your own tables
    vflfast launch job.toml             train, with every party in a process of its own
    vflfast score job.toml              score new customers with the saved models
    vflfast validate job.toml           how good it is on customers it has not seen, fold by fold
    vflfast eliminate job.toml --max-p 0.05   leave features out by rules, with a refit after each
    vflfast select spec.toml            a table and its labels by SQL
    vflfast inspect bank.csv            how every column of a table is understood
    vflfast bins job.toml               the match, and every feature's classes
    vflfast plan job.toml               time, memory and traffic, before anything starts
    vflfast report run.json --out r.html   one page about a run
    vflfast coefficients guest.json     what a party's columns weigh, with standard errors
    vflfast export --model guest.json --format pmml --out g.pmml   a model in another format; also drift, reasons
    vflfast ledger --role guest         what each peer was told about your numbers, over all runs
    vflfast mart build SPEC.toml --out store   a partner's store of feature classes; also mart info
    vflfast info                        which arithmetic this machine uses, and why
    vflfast completion bash             completion for your shell; its help says where to put it
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

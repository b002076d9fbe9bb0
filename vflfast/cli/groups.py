"""The commands of --help under headings, by what a person wants to do, each in a few words."""

from __future__ import annotations

import click

SECTIONS = {
    "Train and score": {
        "demo": "a bank and a partner with synthetic tables, end to end",
        "train": "train the job of a file, all parties in this process",
        "score": "score new customers with saved models",
        "validate": "cross-validate a job, every fold encrypted",
        "eliminate": "leave features out by rules, with a refit after each",
        "report": "one HTML page about a run or a model",
    },
    "Look first": {
        "inspect": "how every column of a table is understood",
        "bins": "the match, and the classes of every feature",
        "plan": "time, memory and traffic of a run, before it starts",
        "select": "customers, features and labels by SQL",
    },
    "Between organisations": {
        "certs": "certificates for a trial",
        "check": "try everything that a run needs",
        "launch": "train with every party in a process of its own",
        "party": "take one party's part in a run",
        "status": "what every party is doing",
        "ledger": "what each peer was told, over all runs",
        "mart": "a partner's store of feature classes",
    },
    "Hand a model over": {
        "coefficients": "what columns weigh, with standard errors",
        "export": "as ONNX, PMML or a scorecard",
        "drift": "a later table against the training rows",
        "reasons": "which features moved each customer's score",
    },
    "Tools": {
        "info": "the arithmetic in use and why, packages, limits",
        "keygen": "the arbiter's key",
        "completion": "completion for a shell",
    },
}


class Sections(click.Group):
    """A group whose help shows its commands under headings."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section of commands under each heading."""
        width = max(len(name) for name in self.commands)
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])

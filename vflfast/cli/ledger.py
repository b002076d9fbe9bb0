"""ledger: what peers were told about a party's numbers over all runs, and how much they may be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .common import json_option, reports_errors

if TYPE_CHECKING:
    from ..net.budget import FileBudget


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--role", metavar="ROLE", help="Instead of FOLDER: that of this user's guest, host1, host2, … or mart.")
@click.option("--peer", metavar="ORGANISATION", help="Whose limit to set.")
@click.option("--target", metavar="NAME", default="", help="Of which label column, or features; default: of all.")
@click.option("--limit", type=click.FloatRange(0.0, 1.0, min_open=True),
              help="Equations to customers that the peer may be told over all runs.")  # fmt: skip
@click.option("--repeats", type=click.IntRange(1), help="How often the sums of one round may be opened, after crashes.")
@click.option("--scorings", type=click.IntRange(1), help="In how many sessions a customer may be scored (a host's ledger).")
@click.option("--reason", help="Why; kept with the limit.")
@json_option
@reports_errors
def ledger(
    folder: Path | None, role: str | None, peer: str | None, target: str, limit: float | None, repeats: int | None, scorings: int | None,
    reason: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what each peer was told about this party's numbers, over all runs; or set how much it may be told.

    \b
    vflfast ledger --role guest
    vflfast ledger --role guest --peer telco --limit 0.2 --reason "agreed with the privacy officer on 3 May"
    """  # noqa: D301
    account = _account(folder, role)
    if (peer is None) != (limit is None):
        raise InputError("--limit" if limit is None else "--peer", "--peer and --limit belong together")
    if limit is not None and peer is not None:
        if not reason:
            raise InputError("--reason", "is needed with --limit: it is kept with it")
        account.allow(peer, target, limit, reason)
    if scorings is not None:
        if not reason:
            raise InputError("--reason", "is needed with --scorings: it is kept with it")
        account.allow_scorings(scorings, reason)
    if repeats is not None:
        account.allow_repeats(repeats)
    told, kept, scored = account.told(), account.read(), account.scored()
    limits = kept["limits"]
    if as_json:
        click.echo(json.dumps({"told": told, "limits": limits, "scored": scored, "matchings": kept.get("matchings", [])}))
        return
    for one in told:
        _show(one)
    for one in limits:
        click.echo(f"limit for {one['peer']}, {one['target'] or 'all'}: {one['limit']:.1%}, since {one['day']}: {one['reason']}")
    if scored["customers"]:
        click.echo(f"{scored['customers']:,} customers were scored, one of them in {scored['most']} sessions; limit {scored['limit']}")
    matchings = kept.get("matchings", [])
    if matchings:
        smallest = min(matchings, key=lambda one: min(one["rows"]))
        click.echo(
            f"ids were matched {len(matchings)} times, {matchings[0]['day']} to {matchings[-1]['day']}; the smallest set had "
            f"{min(smallest['rows']):,} ids, {smallest['matched']:,} of them in common"
        )
    if not told and not matchings and not scored["customers"]:
        click.echo("nothing was told to anybody yet")


def _account(folder: Path | None, role: str | None) -> FileBudget:
    from ..jobs.ledger import ledger_folder
    from ..net.budget import FileBudget
    from ..net.roles import check_role

    if (folder is None) == (role is None):
        raise InputError("FOLDER", "or --role, one of them")
    place = folder or ledger_folder(check_role(role))
    if not place.is_dir():
        raise InputError("FOLDER" if folder else "--role", f"{place} is not there: no run has kept a ledger in it")
    return FileBudget(place)


def _show(one: dict[str, Any]) -> None:
    click.echo(
        f"{one['peer']}: {one['equations']:,.0f} equations about {one['target']} of {one['customers']:,} customers, {one['share']:.2%}; "
        f"limit {one['limit']:.1%}"
    )
    for entry in one["entries"]:
        what = "the numbers themselves were sent" if entry["given"] else f"{entry['equations']:,} equations"
        click.echo(
            f"    {entry['first']} to {entry['last']}: {entry['columns']:,} columns on {entry['n_customers']:,} customers, {what}; "
            f"{len(entry['runs'])} runs{_of_rows(entry['rows'])}"
        )


def _of_rows(rows: list[float] | None) -> str:
    if rows is None:
        return ""
    largest, *above = rows
    return f"; of one row at most {largest:.2f} by its own word, rows above 0.2, 0.5, 0.9: {', '.join(map(str, above))}"

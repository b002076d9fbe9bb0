"""mart build, mart info: a partner's store of feature classes by customer id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import json_option, reports_errors

if TYPE_CHECKING:
    from ..mart.store import Store


@click.group()
def mart() -> None:
    """A partner's store of feature classes by customer id, for `mart = "store"` in a job's host section.

    \b
    vflfast mart build credit.csv payments.parquet --out store --id-column phone --id-format phone
    vflfast mart info store
    """  # noqa: D301


@mart.command("build")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the store; an older store there is replaced.")
@click.option("--id-column", default="id", show_default=True, help="Of tables given as files.")
@click.option("--id-format", default="text", show_default=True, help="text, phone, phone-e164 or phone-e164:86; of tables given as files.")
@click.option("--observation-date", help="Day that dates are counted back from; of tables given as files.")
@json_option
@reports_errors
def build(
    sources: tuple[Path, ...], out: Path, id_column: str, id_format: str, observation_date: str | None, as_json: bool
) -> None:
    """Write a store from tables (CSV, Parquet), a feature class each, or from a SPEC.toml that names them.

    \b
    vflfast mart build credit.csv payments.parquet --out store --id-column phone --id-format phone
    vflfast mart build SPEC.toml --out store

    \b
    [classes.credit]
    file = "credit.csv"
    id_column = "phone"
    id_format = "phone"            # the same in all classes
    observation_date = "2026-01-01"
    """  # noqa: D301
    from ..mart import store as marts

    if len(sources) == 1 and sources[0].suffix == ".toml":
        classes = _spec(sources[0])
    else:
        classes = _files(sources, {"id_column": id_column, "id_format": id_format, "observation_date": observation_date})
    _show(marts.build(classes, out), as_json)


@mart.command("info")
@click.argument("store", type=click.Path(path_type=Path))
@json_option
@reports_errors
def info(store: Path, as_json: bool) -> None:
    """Show a store's feature classes, after comparing every file with its checksum.

    \b
    vflfast mart info store
    """  # noqa: D301
    from ..mart import store as marts

    opened = marts.open_store(store)
    marts.verify(opened)
    _show(opened, as_json)


def _files(sources: tuple[Path, ...], reading: dict[str, Any]) -> dict[str, dict[str, Any]]:
    from ..errors import InputError

    given = {key: value for key, value in reading.items() if value is not None}
    classes: dict[str, dict[str, Any]] = {}
    for path in sources:
        name = path.name.split(".")[0]
        if name in classes:
            raise InputError(str(path), f"class {name!r} has another file already; name the classes in a SPEC.toml")
        classes[name] = {"file": path, **given}
    return classes


def _spec(path: Path) -> dict[str, dict[str, Any]]:
    import datetime

    from ..errors import InputError
    from ..tables.toml import read_toml

    data = read_toml(path)
    classes = data.get("classes")
    if set(data) != {"classes"} or not isinstance(classes, dict) or not all(isinstance(section, dict) for section in classes.values()):
        raise InputError(str(path), "must hold [classes.NAME] sections and nothing else")
    for section in classes.values():
        if isinstance(section.get("file"), str):
            section["file"] = path.parent / section["file"]
        if isinstance(section.get("observation_date"), datetime.date):  # a TOML date without quotes
            section["observation_date"] = section["observation_date"].isoformat()
    return classes


def _show(store: Store, as_json: bool) -> None:
    facts = store.to_dict()
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"{facts['store']}: {len(facts['classes'])} classes, ids as {facts['id_format']}, {facts['bytes'] / 1e6:.1f} MB")
    for name, found in facts["classes"].items():
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in found["kinds"].items() if count)
        click.echo(f"  {name}: {found['rows']:,} customers × {found['columns']:,} columns ({kinds})")

"""The job file (TOML): what the parties bring, how ids are protected, the agreed settings."""

from __future__ import annotations

import dataclasses
import datetime
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..binning.rules import ENCODINGS
from ..errors import InputError
from ..mart.table import NAMES, open_mart
from ..matching.match import check_method
from ..net.config import NET_KEYS, party_sections
from ..params import MAX_IDS, MAX_LEVELS, MIN_CLASS_SIZE, MIN_ID_KEY_BYTES, MIN_WOE_CLASS
from ..protocol.settings import Settings
from ..scale.resources import NO_RESOURCES, Resources, read_resources
from ..tables.forms import is_file_encoding
from ..tables.select import open_selected
from ..tables.selection import Selection, read_selection
from ..tables.table import OpenTable, open_table
from ..tables.toml import known, read_toml, text
from ..tables.toml import section as section_of
from . import model as saved

BINNING = ("numeric", "max_levels", "overrides", "min_class_size", "encoding")  # as of Binner.fit
MART = ("mart", "classes", "names")  # a host's store in place of a file
FILE_ENCODING = "file_encoding"  # the encoding of a file, which `encoding` may name too where it is none of the classes
PARTY_SETTINGS = {
    "file", FILE_ENCODING, "select", *MART, "organisation", "class_weight", "ledger", "fix_leverage", *BINNING, *saved.READING,
}  # fmt: skip
ID_KEY_BYTES = 32  # of a key that no file gives
SECTIONS = {"guest", "hosts", "arbiter", "ids", "run", "settings", "resources"}
PART_SECTIONS = SECTIONS - {"run"} | {"mart", "network"}


@dataclass(frozen=True)
class PartyPlan:
    """One data party's section of a job file: its table and how to read and bin it.

    Attributes
    ----------
    mart
        Classes and names of `open_mart`, where `file` is a store; None: a table.
    selection
        What to select, where `file` is a specification.
    class_weight
        The guest's: "balanced", or the weights of −1 and +1.
    ledger
        Folder of its account of what peers were told about its numbers; None: that of the user, and none in a simulation.
    fix_leverage
        Leave out the columns that set single rows apart, and say which, instead of refusing to train.
    """

    name: str
    file: Path
    organisation: str
    reading: dict[str, Any]
    numeric: str = "bins"
    max_levels: int = MAX_LEVELS
    overrides: dict[str, str] | None = None
    min_class_size: int = MIN_CLASS_SIZE
    encoding: str = "ordinal"
    mart: dict[str, Any] | None = None
    selection: Selection | None = None
    class_weight: str | dict[int, float] | None = None
    ledger: Path | None = None
    fix_leverage: bool = False

    def open(self, reading: Mapping[str, Any] | None = None) -> OpenTable:
        """Open the store, run the selection or open the file, a table by `reading` in place of the plan's own."""
        if self.mart is not None:
            return open_mart(self.file, **self.mart)
        reading = self.reading if reading is None else reading
        return open_table(self.file, **reading) if self.selection is None else open_selected(self.selection, reading)

    @property
    def binning(self) -> dict[str, Any]:
        """The settings of `Binner.fit`."""
        return {name: getattr(self, name) for name in BINNING}


@dataclass(frozen=True)
class Job:
    """A job file: the parties' tables, how ids are protected, the agreed settings.

    Attributes
    ----------
    id_method, id_key
        ``ecdh``, private set intersection; ``hmac`` with a shared key (``None``: a fresh one, which serves parties in one process
        only); or the patent's ``hash`` or ``sm3`` without one.
    max_ids
        Most ids of one party.
    test_share
        Share of the customers, chosen by a hash of the id, kept out of training for evaluation.
    test_start
        Where that share begins, as a part of all: folds of a cross-validation begin one behind the other.
    key_file
        The arbiter's private key; ``None``: a fresh one per session.
    resources
        A cluster and a scratch disk of the machine that the parties share.
    """

    guest: PartyPlan
    hosts: tuple[PartyPlan, ...]
    settings: Settings
    id_method: str = "ecdh"
    id_key: bytes | None = None
    test_share: float = 0.0
    test_start: float = 0.0
    arbiter: str = "arbiter"
    key_file: Path | None = None
    max_ids: int = MAX_IDS
    resources: Resources = NO_RESOURCES


@dataclass(frozen=True)
class Part:
    """What one party reads of a job: its own section, and what all agree on.

    Attributes
    ----------
    plan
        Its table; ``None``: the arbiter.
    resources
        Its own cluster and scratch disk; the arbiter, who has the private key, has none.
    """

    settings: Settings
    plan: PartyPlan | None = None
    id_method: str = "ecdh"
    id_key: bytes | None = None
    max_ids: int = MAX_IDS
    arbiter: str = "arbiter"
    key_file: Path | None = None
    resources: Resources = NO_RESOURCES


def read_job(path: str | Path, changes: Mapping[str, Any] | None = None) -> Job:
    """Read a TOML job file; `changes` to its ``[settings]`` win.

    Raises
    ------
    InputError
        The file cannot be read, or a section or name is unknown or missing.
    """
    return job_from_mapping(read_toml(path), Path(path).parent, changes)


def job_from_mapping(data: Mapping[str, Any], folder: Path, changes: Mapping[str, Any] | None = None) -> Job:
    """Return the job of a mapping with the sections of a job file; relative paths start at `folder`.

    Raises
    ------
    InputError
        Names the section or setting.
    """
    known("job file", data, SECTIONS)
    for section in ("guest", "hosts"):
        if section not in data:
            raise InputError(section, "is missing from the job file")
    hosts = data["hosts"]
    if not isinstance(hosts, list) or not hosts:
        raise InputError("hosts", "must be one or more [[hosts]] sections")
    run = section_of(data, "run")
    known("run", run, {"test_share"})
    settings = _settings({"simulation": True, **section_of(data, "settings"), **(changes or {})}, 1 + len(hosts))
    share = run.get("test_share", settings.test_share)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise InputError("test_share", "must be a number from 0 up to, not including, 1")
    if share and not settings.simulation:
        raise InputError("test_share", "needs simulation: the evaluation compares every side's scores in one place")
    settings = settings.changed(test_share=float(share))
    return Job(
        _party("guest", data["guest"], folder),
        tuple(_host(f"host{i + 1}", host, folder, settings) for i, host in enumerate(hosts)),
        settings, test_share=float(share), resources=read_resources(section_of(data, "resources"), folder),
        **_ids(section_of(data, "ids"), folder), **_arbiter(section_of(data, "arbiter"), folder),
    )  # fmt: skip


def part_from_mapping(data: Mapping[str, Any], role: str, folder: Path, changes: Mapping[str, Any] | None = None) -> Part:
    """Return the part of one party, by the sections of its fed.toml; what the other parties' sections hold is not read.

    Parameters
    ----------
    data
        The party's own section, ``[guest]``, its one of ``[[hosts]]``, ``[mart]`` or ``[arbiter]``, as in a job file; ``[ids]`` and
        ``[settings]``. Addresses and ``[network]`` are read by `net_config`. A mart is a host by that name whose table is a store.
    role
        guest, host1, host2, …, mart or arbiter.
    folder
        Where relative paths start.
    changes
        To ``[settings]``; they win. `simulation` is off unless it is set: a part belongs to a run between organisations.

    Raises
    ------
    InputError
        Names the section or setting.
    """
    known("a party's file", data, PART_SECTIONS)
    sections = party_sections(data)
    if role not in sections:
        raise InputError("role", f"{role} has no section; there are {', '.join(sections)}")
    settings = _settings({"simulation": False, **section_of(data, "settings"), **(changes or {})}, len(sections) - 1)
    if role == "arbiter":
        return Part(settings, **_arbiter(_without_net(section_of(data, role)), folder))
    section = _without_net(sections[role])
    plan = _party(role, section, folder) if role == "guest" else _host(role, section, folder, settings)
    if role == "mart" and plan.mart is None:
        raise InputError("mart.mart", "must name the store, as made by `vflfast mart build`")
    return Part(settings, plan, resources=read_resources(section_of(data, "resources"), folder), **_ids(section_of(data, "ids"), folder))


def _without_net(section: Any) -> Any:
    return {key: value for key, value in section.items() if key not in NET_KEYS} if isinstance(section, Mapping) else section


def _settings(given: dict[str, Any], n_parties: int) -> Settings:
    settings = Settings.from_mapping(given)
    if settings.powers is not None and len(settings.powers) != n_parties:
        raise InputError("powers", f"{len(settings.powers)} numbers for {n_parties} data parties")
    return settings


def _ids(section: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return how ids are protected, as fields of Job and Part."""
    known("ids", section, {"method", "key_file", "max_ids"})
    method = check_method(section.get("method", Job.id_method))
    max_ids = section.get("max_ids", MAX_IDS)
    if isinstance(max_ids, bool) or not isinstance(max_ids, int) or max_ids < 1:
        raise InputError("ids.max_ids", "must be an integer from 1")
    return {"id_method": method, "id_key": _id_key(method, section.get("key_file"), folder), "max_ids": max_ids}


def _arbiter(section: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the arbiter's name and key file, as fields of Job and Part."""
    known("arbiter", section, {"organisation", "key_file"})
    key_file = section.get("key_file")
    path = None if key_file is None else folder / text("arbiter.key_file", key_file)
    return {"arbiter": text("arbiter.organisation", section.get("organisation", "arbiter")), "key_file": path}


def kept_id_key(path: Path) -> bytes:
    """Return the key for `hmac` that a run keeps in a file of its own; a fresh one at the first call."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(ID_KEY_BYTES))
    return path.read_bytes()


def _party(name: str, section: object, folder: Path) -> PartyPlan:
    if not isinstance(section, Mapping):
        raise InputError(name, "must be a section of settings")
    known(name, section, PARTY_SETTINGS)
    if "mart" in section:
        section = {**section, "file": _mart_path(name, section)}
    elif given := sorted(set(MART) & set(section)):
        raise InputError(f"{name}.{given[0]}", "belongs to a mart")
    selection, section = _selection(name, section, folder)
    if not isinstance(section.get("file"), str):
        raise InputError(f"{name}.file", "must name the party's table")
    if name != "guest" and "label_column" in section:
        raise InputError(f"{name}.label_column", "labels are the guest's; leave the column out of the partner's table")
    for weights in ("class_weight", "sample_weight"):
        if name != "guest" and weights in section:
            raise InputError(f"{name}.{weights}", "belongs to the guest, who has the labels")
    section = _encodings(section)
    reading = {key: section[key] for key in saved.READING if key in section and key != "encoding"}
    if FILE_ENCODING in section:
        reading["encoding"] = section[FILE_ENCODING]
    if isinstance(reading.get("observation_date"), datetime.date):  # a TOML date without quotes
        reading["observation_date"] = reading["observation_date"].isoformat()
    binning = {key: section[key] for key in BINNING if key in section}
    fix_leverage = section.get("fix_leverage", False)
    if not isinstance(fix_leverage, bool):
        raise InputError(f"{name}.fix_leverage", "must be true or false")
    organisation = text(f"{name}.organisation", section.get("organisation", name))
    mart = {key: section[key] for key in MART[1:] if key in section} if "mart" in section else None
    return PartyPlan(
        name, folder / section["file"], organisation, reading, **binning, mart=mart, selection=selection,
        class_weight=_class_weight(section.get("class_weight")),
        ledger=folder / text(f"{name}.ledger", section["ledger"]) if "ledger" in section else None, fix_leverage=fix_leverage,
    )  # fmt: skip


def _encodings(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section with `encoding`, where it names one of a file, as that."""
    given = section.get("encoding")
    if isinstance(given, str) and given not in ENCODINGS and is_file_encoding(given):
        return {**{key: value for key, value in section.items() if key != "encoding"}, FILE_ENCODING: section.get(FILE_ENCODING, given)}
    return section


def _class_weight(value: object) -> str | dict[int, float] | None:
    """Return "balanced", or weights by −1 and +1 from a table whose names are 0 or -1, and 1; InputError."""
    if value is None or value == "balanced":
        return value
    codes = {"0": -1, "-1": -1, "1": 1, "+1": 1}
    if not isinstance(value, Mapping) or not value or not set(value) <= set(codes):
        raise InputError("guest.class_weight", 'must be "balanced" or a table such as {0 = 1, 1 = 5}')
    return {codes[label]: weight for label, weight in value.items()}


def _selection(name: str, section: Mapping[str, Any], folder: Path) -> tuple[Selection | None, Mapping[str, Any]]:
    """Return what `select` names, and the section with the settings of the table that it gives."""
    if "select" not in section:
        return None, section
    for key in ("file", FILE_ENCODING, *MART, *(key for key in saved.READING if key not in ("id_format", "encoding"))):
        if key in section:
            raise InputError(f"{name}.{key}", "belongs to a file; the specification that `select` names has its own")
    path = folder / text(f"{name}.select", section["select"])
    selection = read_selection(path)
    return selection, {**section, **selection.reading(), "file": str(path)}


def _mart_path(name: str, section: Mapping[str, Any]) -> str:
    """Return the path of a host's store, whose catalogue says all that a file's section would."""
    if name == "guest":
        raise InputError("guest.mart", "is for hosts; the guest brings a table with labels")
    for key in ("file", FILE_ENCODING, *(key for key in saved.READING if key != "encoding")):
        if key in section:
            raise InputError(f"{name}.{key}", "belongs to a file; the mart has its own")
    if section.get("names", NAMES[0]) not in NAMES:
        raise InputError(f"{name}.names", f"must be one of {', '.join(NAMES)}")
    return text(f"{name}.mart", section["mart"])


def _host(name: str, section: object, folder: Path, settings: Settings) -> PartyPlan:
    """Return a host's plan; `host_woe`, agreed by all, sets its encoding and the least size of its classes."""
    plan = _party(name, section, folder)
    given: Any = section
    if not settings.host_woe:
        if plan.encoding == "woe":
            raise InputError(f"{name}.encoding", "woe needs host_woe = true in [settings], because guest and arbiter take part")
        return plan
    if given.get("encoding", "woe") != "woe":
        raise InputError(f"{name}.encoding", "must be woe or left out, because host_woe is set")
    least = given.get("min_class_size", MIN_WOE_CLASS)
    if isinstance(least, bool) or not isinstance(least, int) or least < MIN_WOE_CLASS:
        raise InputError(f"{name}.min_class_size", f"must be an integer from {MIN_WOE_CLASS}, because host_woe is set")
    return dataclasses.replace(plan, encoding="woe", min_class_size=least)


def _id_key(method: str, key_file: object, folder: Path) -> bytes | None:
    """The shared key of `hmac`, from its file."""
    if key_file is None:
        return None
    if method != "hmac":
        raise InputError("ids.key_file", "belongs to method hmac")
    try:
        key = (folder / text("ids.key_file", key_file)).read_bytes()
    except OSError as error:
        raise InputError("ids.key_file", f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the path
        raise InputError("ids.key_file", "must be a path") from error
    if len(key) < MIN_ID_KEY_BYTES:
        raise InputError("ids.key_file", f"must hold at least {MIN_ID_KEY_BYTES} bytes")
    return key

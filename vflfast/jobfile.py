"""The job file (TOML): what the parties bring, how ids are protected, the agreed settings."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import model as saved
from .data.mart_table import NAMES, open_mart
from .data.matching import check_method
from .data.tables import OpenTable, open_table
from .data.toml import read_toml
from .errors import InputError
from .params import MAX_IDS, MAX_LEVELS, MIN_ID_KEY_BYTES, MIN_WOE_CLASS
from .protocol.settings import Settings

BINNING = ("numeric", "max_levels", "overrides", "min_class_size", "encoding")  # as of Binner.fit
MART = ("mart", "classes", "names")  # a host's store in place of a file
PARTY_SETTINGS = {"file", *MART, "organisation", *BINNING, *saved.READING}
SECTIONS = {"guest", "hosts", "arbiter", "ids", "run", "settings"}


@dataclass(frozen=True)
class PartyPlan:
    """One data party's section of a job file: its table and how to read and bin it.

    Attributes
    ----------
    mart
        Classes and names of `open_mart`, where `file` is a store; None: a table.
    """

    name: str
    file: Path
    organisation: str
    reading: dict[str, Any]
    numeric: str = "bins"
    max_levels: int = MAX_LEVELS
    overrides: dict[str, str] | None = None
    min_class_size: int = 1
    encoding: str = "ordinal"
    mart: dict[str, Any] | None = None

    def open(self) -> OpenTable:
        """Open the table or the store."""
        return open_table(self.file, **self.reading) if self.mart is None else open_mart(self.file, **self.mart)

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
        ``ecdh``, private set intersection; ``hmac`` with a shared key; or the patent's ``hash`` or ``sm3`` without one.
    max_ids
        Most ids of one party.
    test_share
        Share of the customers, chosen by a hash of the id, kept out of training for evaluation.
    key_file
        The arbiter's private key; ``None``: a fresh one per session.
    """

    guest: PartyPlan
    hosts: tuple[PartyPlan, ...]
    settings: Settings
    id_method: str = "ecdh"
    id_key: bytes | None = None
    test_share: float = 0.0
    arbiter: str = "arbiter"
    key_file: Path | None = None
    max_ids: int = MAX_IDS


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
    _known("job file", data, SECTIONS)
    for section in ("guest", "hosts"):
        if section not in data:
            raise InputError(section, "is missing from the job file")
    hosts = data["hosts"]
    if not isinstance(hosts, list) or not hosts:
        raise InputError("hosts", "must be one or more [[hosts]] sections")
    id_section, run = _section(data, "ids"), _section(data, "run")
    arbiter = _section(data, "arbiter")
    _known("ids", id_section, {"method", "key_file", "max_ids"})
    _known("run", run, {"test_share"})
    _known("arbiter", arbiter, {"organisation", "key_file"})
    settings = Settings.from_mapping({"simulation": True, **_section(data, "settings"), **(changes or {})})
    if settings.powers is not None and len(settings.powers) != 1 + len(hosts):
        raise InputError("powers", f"{len(settings.powers)} numbers for {1 + len(hosts)} data parties")
    share = run.get("test_share", 0.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise InputError("test_share", "must be a number from 0 up to, not including, 1")
    if share and not settings.simulation:
        raise InputError("test_share", "needs simulation: the evaluation compares every side's scores in one place")
    method = check_method(id_section.get("method", Job.id_method))
    max_ids = id_section.get("max_ids", MAX_IDS)
    if isinstance(max_ids, bool) or not isinstance(max_ids, int) or max_ids < 1:
        raise InputError("ids.max_ids", "must be an integer from 1")
    key_file = arbiter.get("key_file")
    return Job(
        _party("guest", data["guest"], folder),
        tuple(_host(f"host{i + 1}", host, folder, settings) for i, host in enumerate(hosts)),
        settings, method, _id_key(method, id_section.get("key_file"), folder), float(share),
        _text("arbiter.organisation", arbiter.get("organisation", "arbiter")),
        None if key_file is None else folder / _text("arbiter.key_file", key_file),
        max_ids,
    )  # fmt: skip


def _party(name: str, section: object, folder: Path) -> PartyPlan:
    if not isinstance(section, Mapping):
        raise InputError(name, "must be a section of settings")
    _known(name, section, PARTY_SETTINGS)
    if "mart" in section:
        section = {**section, "file": _mart_path(name, section)}
    elif given := sorted(set(MART) & set(section)):
        raise InputError(f"{name}.{given[0]}", "belongs to a mart")
    if not isinstance(section.get("file"), str):
        raise InputError(f"{name}.file", "must name the party's table")
    if name != "guest" and "label_column" in section:
        raise InputError(f"{name}.label_column", "labels are the guest's; leave the column out of the partner's table")
    reading = {key: section[key] for key in saved.READING if key in section}
    if isinstance(reading.get("observation_date"), datetime.date):  # a TOML date without quotes
        reading["observation_date"] = reading["observation_date"].isoformat()
    binning = {key: section[key] for key in BINNING if key in section}
    organisation = _text(f"{name}.organisation", section.get("organisation", name))
    mart = {key: section[key] for key in MART[1:] if key in section} if "mart" in section else None
    return PartyPlan(name, folder / section["file"], organisation, reading, **binning, mart=mart)


def _mart_path(name: str, section: Mapping[str, Any]) -> str:
    """Return the path of a host's store, whose catalogue says all that a file's section would."""
    if name == "guest":
        raise InputError("guest.mart", "is for hosts; the guest brings a table with labels")
    for key in ("file", *saved.READING):
        if key in section:
            raise InputError(f"{name}.{key}", "belongs to a file; the mart has its own")
    if section.get("names", NAMES[0]) not in NAMES:
        raise InputError(f"{name}.names", f"must be one of {', '.join(NAMES)}")
    return _text(f"{name}.mart", section["mart"])


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


def _section(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = data.get(name, {})
    if not isinstance(section, Mapping):
        raise InputError(name, "must be a section of settings")
    return dict(section)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(name, "must be text")
    return value


def _known(where: str, section: Mapping[str, Any], names: set[str]) -> None:
    unknown = sorted(set(section) - names)
    if unknown:
        raise InputError(unknown[0], f"is unknown in {where}; there are {', '.join(sorted(names))}")


def _id_key(method: str, key_file: object, folder: Path) -> bytes | None:
    """The shared key of `hmac`: from its file, or a fresh one, which serves parties in one process only."""
    if key_file is None:
        return secrets.token_bytes(32) if method == "hmac" else None
    if method != "hmac":
        raise InputError("ids.key_file", "belongs to method hmac")
    try:
        key = (folder / _text("ids.key_file", key_file)).read_bytes()
    except OSError as error:
        raise InputError("ids.key_file", f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the path
        raise InputError("ids.key_file", "must be a path") from error
    if len(key) < MIN_ID_KEY_BYTES:
        raise InputError("ids.key_file", f"must hold at least {MIN_ID_KEY_BYTES} bytes")
    return key

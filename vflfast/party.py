"""One party of a run in its own process: its section of fed.toml, its tables, its program over the network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import jobfile
from . import model as saved
from .data import ids
from .data.binning import Binner
from .data.mart_table import rows_of
from .data.toml import read_toml
from .errors import InputError
from .job import arbiter_inputs
from .net.board import Board
from .net.config import NetConfig, net_config
from .net.connection import connected
from .net.journal import FileJournal
from .net.runner import Program, Runner
from .protocol import arbiter, guest, host
from .protocol.block import PartyInputs, PartyModel
from .protocol.link import Link, Observer
from .protocol.matching import MatchedRows, intersect_at_guest, intersect_at_host, match_at_guest, match_at_host, matching_link
from .protocol.settings import Settings

if TYPE_CHECKING:
    from .net.certs import Credentials

SECTIONS = {*jobfile.SECTIONS, "network"} - {"run"}
ELSEWHERE = "-"  # another party's table, which this party does not know


@dataclass(frozen=True)
class PartyJob:
    """What one party brings: how it reaches the others, the agreed settings, and its own part.

    Attributes
    ----------
    plan
        Its table; None: the arbiter.
    """

    config: NetConfig
    job: jobfile.Job
    plan: jobfile.PartyPlan | None

    @property
    def settings(self) -> Settings:
        """The agreed settings."""
        return self.job.settings

    @property
    def settings_digest(self) -> str:
        """SHA-256 of the agreed settings, in hex: what peers compare before they say Hello."""
        return hashlib.sha256(self.settings.to_json().encode()).hexdigest()


@dataclass(frozen=True)
class PartyResult:
    """What a party has after a run: its model's file and the facts that it may tell."""

    role: str
    path: Path
    facts: dict[str, Any]


def read_party(path: str | Path, role: str, changes: Mapping[str, Any] | None = None) -> PartyJob:
    """Return a party's part of a fed.toml file; `changes` to its ``[settings]`` win.

    Raises
    ------
    InputError
        The file cannot be read, or something in it is unknown, missing or wrong.
    """
    data, folder = read_toml(path), Path(path).parent
    unknown = sorted(set(data) - SECTIONS)
    if unknown:
        raise InputError(unknown[0], f"is unknown in fed.toml; there are {', '.join(sorted(SECTIONS))}")
    config = net_config(data, folder, role)
    own = {"guest": data["guest"], **{f"host{i + 1}": section for i, section in enumerate(data["hosts"])}, "arbiter": data["arbiter"]}
    sections = {name: _job_section(name, dict(section), config.role) for name, section in own.items()}
    job_data = {
        "guest": sections["guest"],
        "hosts": [section for name, section in sections.items() if name.startswith("host")],
        "arbiter": sections["arbiter"],
        "ids": data.get("ids", {}) if config.role != "arbiter" else {},
        "settings": {"simulation": False, **data.get("settings", {})},
    }
    job = jobfile.job_from_mapping(job_data, folder, changes)
    plan = {"guest": job.guest, **{plan.name: plan for plan in job.hosts}}.get(config.role)
    if config.role == "guest" and job.guest.reading.get("label_column") is None:
        raise InputError("label_column", "the guest's section must name it")
    if plan and job.id_method == "hmac" and "key_file" not in data.get("ids", {}):
        raise InputError("ids.key_file", "is needed: guest and hosts share one key between their machines")
    return PartyJob(config, job, plan)


def run_party(party: PartyJob, observer: Observer) -> PartyResult:
    """Take a party's part in a run, from its tables to its saved model.

    Raises
    ------
    VflError
        Whatever its program, a peer or the network brings; the journal is whole and the run can be resumed by starting again.
    """
    config = party.config
    config.models.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        journal = FileJournal(config.journal, config.role)
        stack.callback(journal.close)
        board, peers = stack.enter_context(connected(config, credentials(config), party.settings_digest))
        observe = _observer(board, observer)

        @cache
        def programs() -> _ArbiterPrograms | _DataPrograms:  # made inside the run, so that the peers hear of a table that cannot be read
            plan = party.plan
            return _ArbiterPrograms(party, observe, journal) if plan is None else _DataPrograms(party, plan, observe, journal)

        runner = Runner(board, peers, config, lambda attempt: programs().make(attempt), journal)
        facts: dict[str, Any] = {}
        path = config.models / f"{config.role}.json"

        def save(model: Any) -> None:
            saved.write_json(path, programs().to_dict(model))
            facts.update(programs().facts(model))

        runner.run(save)
    return PartyResult(config.role, path, facts)


def credentials(config: NetConfig) -> Credentials | None:
    """Return the party's checked certificates; None for plaintext."""
    if config.plaintext:
        return None
    from .net.certs import read_credentials

    return read_credentials(config.certificates, config.role)


class _DataPrograms:
    """Programs of guest or host: match, bin, train. Tables are read once, binned once for the same matched rows."""

    def __init__(self, party: PartyJob, plan: jobfile.PartyPlan, observer: Observer, journal: FileJournal) -> None:
        self._party, self._plan, self._observer, self._journal = party, plan, observer, journal
        observer(plan.name, 0, "read tables")
        self._table = plan.open()
        self._tokens: ids.Tokens | None = None
        if party.job.id_method != "ecdh":
            self._tokens = ids.protect(self._table.ids, method=party.job.id_method, key=party.job.id_key)
        self._matched: MatchedRows | None = None
        self._prepared: tuple[PartyInputs, Binner] | None = None

    def make(self, attempt: int) -> Program:
        return self._run(attempt)

    async def _run(self, attempt: int) -> PartyModel:
        role, peers, settings = self._plan.name, self._party.config.peers, self._party.settings
        matched = await self._match(matching_link(role, peers, self._observer, attempt))
        inputs = self._prepare(matched)
        train = guest.train if role == "guest" else host.train
        return await train(Link(role, peers, self._observer, attempt), inputs, settings, self._journal)

    async def _match(self, link: Link) -> MatchedRows:
        job, at_guest = self._party.job, self._plan.name == "guest"
        if self._tokens is None:
            intersect = intersect_at_guest if at_guest else intersect_at_host
            return await intersect(link, self._table.ids, job.settings.to_json(), job.max_ids)
        match = match_at_guest if at_guest else match_at_host
        return await match(link, self._tokens, job.id_method)

    def _prepare(self, matched: MatchedRows) -> PartyInputs:
        if self._prepared is None or self._matched is None or matched.commitment != self._matched.commitment:
            plan = self._plan
            table, rows = next(rows_of([self._table], [matched.positions]))
            self._observer(plan.name, 0, "bin")
            binner, (matrix,) = Binner.fit_transform(table, rows, **plan.binning)
            labels = None if table.labels is None or plan.name != "guest" else table.labels[rows]
            self._prepared = PartyInputs(matrix, matched.commitment, plan.organisation, labels), binner
            self._matched = matched
        return self._prepared[0]

    def to_dict(self, model: Any) -> dict[str, Any]:
        assert self._prepared is not None  # noqa: S101  (a model comes after its inputs)
        binner = self._prepared[1]
        return saved.saved_party(model, binner, {**self._plan.reading, "kinds": binner.kinds}).to_dict()

    def facts(self, model: Any) -> dict[str, Any]:
        assert self._matched is not None  # noqa: S101
        return {
            "match": self._matched.report,
            "training_rows": len(self._matched.positions),
            "columns": len(model.weights),
            "rounds": model.n_iter,
            "stopped_by_rule": model.stopped,
            "weight_hash": model.hashes[-1],
            "leak_ledger": model.ledger.to_list(),
        }


class _ArbiterPrograms:
    """Programs of the arbiter."""

    def __init__(self, party: PartyJob, observer: Observer, journal: FileJournal) -> None:
        self._party, self._observer, self._journal = party, observer, journal
        self._inputs = arbiter_inputs(party.job)

    def make(self, attempt: int) -> Program:
        config = self._party.config
        link = Link(config.role, config.peers, self._observer, attempt)
        return arbiter.train(link, self._inputs, self._party.settings, self._journal)

    def to_dict(self, model: Any) -> dict[str, Any]:
        return saved.arbiter_to_dict(model)

    def facts(self, model: Any) -> dict[str, Any]:
        return {"rounds": model.n_iter, "threshold": model.threshold, "flagged_share_in_training": model.flagged_share}


def _job_section(name: str, section: dict[str, Any], role: str) -> dict[str, Any]:
    """Return a party's section as in a job file; of the others only what is not their data."""
    section.pop("address", None)
    if name == role:
        return section
    others = {"organisation": section["organisation"]} if "organisation" in section else {}
    return others if name == "arbiter" else {"file": ELSEWHERE, **others}


def _observer(board: Board, observer: Observer) -> Observer:
    def observe(party: str, round_: int, stage: str) -> None:
        board.tell(round=round_, stage=stage)
        observer(party, round_, stage)

    return observe

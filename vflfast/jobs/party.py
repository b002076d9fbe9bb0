"""One party of a run in its own process: its section of fed.toml, its tables, its program over the network."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..net import journal
from ..net.board import Board
from ..net.config import NetConfig, net_config
from ..net.connection import connected
from ..net.journal import FileJournal
from ..net.runner import Runner
from ..protocol.link import Observer
from ..tables.toml import read_toml
from . import jobfile
from .programs import EVALUATE, SCORE, TRAIN, PartyJob, PartyResult, Programs, programs_of
from .scored import check_target

if TYPE_CHECKING:
    from ..net.certs import Credentials

PATIENCE = 10.0  # seconds for a process of this party that is about to end


def read_party(
    path: str | Path, role: str, changes: Mapping[str, Any] | None = None, *, task: str = TRAIN, out: Path | None = None
) -> PartyJob:
    """Return a party's part of a fed.toml file.

    Parameters
    ----------
    role
        guest, host1, host2, …, mart or arbiter; ``host`` where there is one. The mart is a host whose certificate, model and place in
        every message, status and error are named mart; its table is the store that ``[mart]`` names ([0095]).
    changes
        To ``[settings]``; they win.
    task
        "train"; "score": new customers, by the models that training left; or "evaluate": those that training kept out.
    out
        CSV file for the labels of a recipient.

    Raises
    ------
    InputError
        The file cannot be read, or something in it is unknown, missing or wrong; `out` where no labels arrive.
    """
    data, folder = read_toml(path), Path(path).parent
    config = net_config(data, folder, role)
    party = PartyJob(config, jobfile.part_from_mapping(data, config.role, folder, changes), task, out)
    plan = party.part.plan
    if config.role == "guest" and task in (TRAIN, EVALUATE) and plan is not None and plan.reading.get("label_column") is None:
        raise InputError("label_column", "the guest's section must name it")
    if task == EVALUATE and not party.settings.test_share:
        raise InputError("test_share", "is 0: the run keeps no customers out of training that could be evaluated")
    if plan and party.part.id_method == "hmac" and party.part.id_key is None:
        raise InputError("ids.key_file", "is needed: guest and hosts share one key between their machines")
    if out is not None:
        if task != SCORE or not party.is_recipient:
            raise InputError("out", f"{config.role} gets no labels here; they go to the guest, and in profile patent to the hosts")
        check_target(out)
    return party


def run_party(party: PartyJob, observer: Observer) -> PartyResult:
    """Take a party's part in a run, from its tables to its saved model, or from its model to the labels.

    Raises
    ------
    VflError
        Whatever its program, a peer or the network brings, with the `place` where it did; the run can go on by starting again.
    """
    config = party.config
    with ExitStack() as stack:
        stack.enter_context(party.part.resources.in_use())
        kept_rounds = _journal(party)
        stack.callback(kept_rounds.close)
        if not party.model_file.exists():  # it was saved before the end was noted, and is wanted
            kept_rounds.unmark_finished()
        ended = kept_rounds.outcome()
        board, peers = stack.enter_context(
            connected(config, credentials(config), party.settings.to_json(), party.task, None if ended is None else ended[0])
        )
        observe = _Observer(board, observer)

        @cache
        def programs() -> Programs:  # made inside the run, so that the peers hear of a table that cannot be read
            return programs_of(party, observe, kept_rounds)

        kept: list[PartyResult] = []

        def keep(result: Any) -> dict[str, Any]:
            observe(config.role, board.status().round, "save")
            kept[:] = [programs().keep(result)]
            return kept[0].to_dict() if party.task == TRAIN else {}

        outcome = Runner(board, peers, config, lambda attempt: programs().make(attempt), kept_rounds).run(keep)
    return kept[0] if kept else PartyResult.brought_back(config.role, outcome)


def begin_anew(party: PartyJob) -> None:
    """Take away the journal of a run that came to its end, so that the next start trains anew; InputError for one that did not."""
    journal.begin_anew(party.config.journal.parent, (party.config.journal.name,))


def credentials(config: NetConfig) -> Credentials | None:
    """Return the party's checked certificates; None for plaintext; InputError for those that are not its own or not accepted."""
    if config.plaintext:
        return None
    from ..net.certs import read_credentials
    from ..net.identity import role_shown

    shown = read_credentials(config.certificates, config.role)
    if role_shown(shown.certificate, config) is None:
        raise InputError(f"{config.role}.fingerprints", f"do not list {config.role}'s own certificate in {config.certificates}")
    return shown


def _journal(party: PartyJob) -> FileJournal:
    """Return the journal of the rounds; in scoring one that counts attempts only, beside that of a training run that may go on."""
    config = party.config
    if party.scores:
        return FileJournal(config.journal.with_name(f"{config.role}.score"), config.role, patience=PATIENCE)
    config.models.mkdir(parents=True, exist_ok=True)
    return FileJournal(config.journal, config.role, patience=PATIENCE)


class _Observer:
    """Tells the board, which answers `vflfast status`, and the run's own observer."""

    def __init__(self, board: Board, observer: Observer) -> None:
        self._board, self._observer = board, observer
        for name in ("tell", "divide"):  # what an observer may have besides
            if hasattr(observer, name):
                setattr(self, name, getattr(observer, name))

    def __call__(self, party: str, round_: int, stage: str) -> None:
        self._board.tell(round=round_, stage=stage)
        self._observer(party, round_, stage)

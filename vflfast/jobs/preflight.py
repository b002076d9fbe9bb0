"""Preflight: what can go wrong hours into a run, tried before it. Nothing is trained and no message of the protocol is sent."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import InputError, VflError
from ..mart.store import open_store
from ..net.board import Board, Status
from ..net.config import NetConfig
from ..net.connection import connected
from ..params import MAX_CLOCK_DIFFERENCE
from ..protocol.settings import differences
from .job import arbiter_inputs
from .party import credentials
from .programs import PartyJob, read_arbiter, read_half

LEAST_DISK_BYTES = 1 << 28
LEAST_DAYS = 7.0


@dataclass(frozen=True)
class Finding:
    """One thing that was tried."""

    name: str
    good: bool
    text: str


def check(party: PartyJob, wait: float) -> list[Finding]:
    """Try everything that this party's run needs; wait up to `wait` seconds for every peer to run or to check too."""
    own: list[tuple[str, Callable[[], str]]] = [
        ("certificate", lambda: _certificate(party.config)),
        ("key", lambda: _key(party)),
        ("table", lambda: _table(party)),
        ("journal", lambda: _folder(party.config.journal)),
        ("model", lambda: _model(party)) if party.scores else ("models", lambda: _folder(party.config.models)),
    ]
    found = [_tried(name, attempt) for name, attempt in own]
    if all(finding.good for finding in found[:1]):
        found += _peers(party, wait)
    return found


def ask(party: PartyJob, timeout: float = 5.0) -> dict[str, Status | str]:
    """Return what every party, this one too, says of itself; a text says why one is not reached."""
    from ..net.client import ask_all

    return ask_all(party.config, credentials(party.config), timeout)


def _tried(name: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, attempt())
    except VflError as error:
        return Finding(name, False, str(error))
    except OSError as error:
        return Finding(name, False, f"{error.filename}: {error.strerror}")


def _certificate(config: NetConfig) -> str:
    shown = credentials(config)
    if shown is None:
        return "none: plaintext on loopback"
    from ..net.certs import days_left

    left = days_left(shown)
    if left < LEAST_DAYS:
        raise InputError(config.role, f"its certificate ends in {left:.1f} days")
    return f"of {config.role}, {left:.0f} days left"


def _key(party: PartyJob) -> str:
    if party.part.plan is not None:
        return f"{party.settings.bits_of_key} bits are agreed"
    private = arbiter_inputs(party.part).private
    if private is None:
        return f"a fresh one of {party.settings.bits_of_key} bits per session"
    if private.public.key_bits != party.settings.bits_of_key:
        raise InputError("key_file", f"its key has {private.public.key_bits} bits, {party.settings.bits_of_key} are agreed")
    return f"{private.public.key_bits} bits, from its file"


def _table(party: PartyJob) -> str:
    plan = party.part.plan
    if plan is None:
        return "the arbiter has none"
    if plan.mart is not None:
        return f"mart, {open_store(plan.file).to_dict()['bytes'] / 1e6:.1f} MB"
    if not plan.file.is_file():
        raise InputError(str(plan.file), "is no file")
    with plan.file.open("rb"):
        return f"{plan.file.stat().st_size / 1e6:.1f} MB"


def _model(party: PartyJob) -> str:
    read = read_arbiter if party.part.plan is None else read_half
    read(party)
    return f"of {party.config.role}"


def _folder(folder: Path) -> str:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = folder / ".probe"
    probe.write_bytes(b"probe")
    probe.unlink()
    free = shutil.disk_usage(folder).free
    if free < LEAST_DISK_BYTES:
        raise InputError(str(folder), f"has {free / 1e6:.0f} MB free, needs {LEAST_DISK_BYTES / 1e6:.0f}")
    return f"can be written, {free / 1e9:.1f} GB free"


def _peers(party: PartyJob, wait: float) -> Iterator[Finding]:
    """Stand at the own address, so that peers that check at the same time find this party, and look at each of them."""
    try:
        with connected(party.config, credentials(party.config), party.settings.to_json(), "check") as (board, _):
            end = time.monotonic() + wait
            with board.changed:
                while time.monotonic() < end and len(board.statuses) < len(board.peers):
                    board.changed.wait(0.1)
            found = [_tried(peer, lambda peer=peer: _peer(board, peer)) for peer in board.peers]  # type: ignore[misc]
            time.sleep(min(1.0, max(0.0, end - time.monotonic())))  # stay a moment for those that look at this party
    except VflError as error:
        found = [Finding("service", False, str(error))]
    return iter(found)


def _peer(board: Board, peer: str) -> str:
    status = board.statuses.get(peer)
    if status is None:
        raise InputError(peer, f"is not reached ({board.problems.get(peer, 'no answer')})")
    off = abs(status.clock - time.time())
    if off > MAX_CLOCK_DIFFERENCE:
        raise InputError(peer, f"its clock is {off:.0f} s off; at most {MAX_CLOCK_DIFFERENCE:.0f} s")
    if status.version != __version__:
        raise InputError(peer, f"runs version {status.version}, this is {__version__}")
    if status.settings != board.status().settings:
        raise InputError(peer, "settings differ: " + "; ".join(differences(board.status().settings, status.settings)))
    return f"reached, {status.state}; clock {off:.1f} s off, version and settings as here"

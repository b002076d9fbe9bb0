"""Parties in this process, on loopback ports, with certificates made once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from vflfast.net.board import Board
from vflfast.net.certs import Authority, Credentials, issue, make_authority
from vflfast.net.client import Peer
from vflfast.net.config import NetConfig
from vflfast.net.runner import Runner
from vflfast.net.service import Service
from vflfast.net.transport import free_port
from vflfast.protocol.link import Link
from vflfast.protocol.resume import Checkpoint

ROLES = ("guest", "host1", "arbiter")


@cache
def authority() -> Authority:
    return make_authority()


@cache
def credentials(role: str) -> Credentials:
    return issue(authority(), role)


def configs(roles: tuple[str, ...] = ROLES, **changes: Any) -> dict[str, NetConfig]:
    addresses = {role: f"127.0.0.1:{free_port()}" for role in roles}
    quick = {"heartbeat": 0.1, "linger": 1.0, "peer_timeout": 10.0, **changes}
    nowhere = Path("nowhere")
    for role in roles:
        credentials(role)  # before there are threads that would each make another authority
    return {role: NetConfig(role, addresses, nowhere, nowhere, nowhere, addresses[role], **quick) for role in roles}


@contextmanager
def connected(config: NetConfig, shown: Credentials | None = None) -> Iterator[tuple[Board, dict[str, Peer]]]:
    """One party on the network; without credentials of its own in TLS, those of its role."""
    if not config.plaintext:
        shown = shown or credentials(config.role)
    board = Board(config.role, config.peers, config.max_held_bytes)
    with ExitStack() as stack:
        peers = {name: Peer(board, config, shown, name) for name in config.peers}
        for peer in peers.values():
            stack.callback(peer.close)
        service = Service(board, config, shown, lambda role, instance: peers[role].confirm(instance))
        stack.callback(service.stop)
        for peer in peers.values():
            peer.start()
        yield board, peers


class MemoryJournal:
    """A journal that outlives its party, not this process."""

    def __init__(self) -> None:
        self.checkpoints: list[Checkpoint] = []
        self.attempt = 0
        self.done = False

    def held(self) -> tuple[Checkpoint, ...]:
        return tuple(self.checkpoints[:2])

    def commit(self, checkpoint: Checkpoint) -> None:
        self.done = False
        self.checkpoints = [checkpoint, *(c for c in self.checkpoints if c.round < checkpoint.round)]

    def finished(self) -> bool:
        return self.done

    def mark_finished(self) -> None:
        self.done = True

    def next_attempt(self) -> int:
        self.attempt += 1
        return self.attempt

    def adopt_attempt(self, attempt: int) -> None:
        self.attempt = attempt


Make = Callable[[Link], Any]


def run_party(config: NetConfig, make: Make, journal: MemoryJournal | None = None, shown: Credentials | None = None) -> Any:
    """Run one party's program to its end."""
    with connected(config, shown) as (board, peers):
        return Runner(board, peers, config, lambda attempt: make(Link(config.role, config.peers, None, attempt)),
                      journal or MemoryJournal()).run(lambda result: None)  # fmt: skip


def run_all(makes: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Run a function per party at the same time; return what each gave, an exception included."""
    results: dict[str, Any] = {}

    def work(role: str) -> None:
        try:
            results[role] = makes[role]()
        except Exception as error:
            results[role] = error

    threads = [threading.Thread(target=work, args=(role,), daemon=True) for role in makes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(results) == set(makes), "a party hangs"
    return results

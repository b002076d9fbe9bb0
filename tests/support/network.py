"""Parties in this process, on loopback ports, with certificates made once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

from support.simulator import MemoryJournal

from vflfast.net import connection
from vflfast.net.board import Board
from vflfast.net.certs import Authority, Credentials, issue, make_authority
from vflfast.net.client import Peer
from vflfast.net.config import NetConfig
from vflfast.net.runner import Runner
from vflfast.net.transport import free_ports
from vflfast.protocol.link import Link

ROLES = ("guest", "host1", "arbiter")


@cache
def authority() -> Authority:
    return make_authority()


@cache
def credentials(role: str) -> Credentials:
    return issue(authority(), role)


def configs(roles: tuple[str, ...] = ROLES, **changes: Any) -> dict[str, NetConfig]:
    addresses = {role: f"127.0.0.1:{port}" for role, port in zip(roles, free_ports(len(roles)), strict=True)}
    quick = {"heartbeat": 0.1, "linger": 1.0, "peer_timeout": 10.0, **changes}
    nowhere = Path("nowhere")
    for role in roles:
        credentials(role)  # before there are threads that would each make another authority
    return {role: NetConfig(role, addresses, nowhere, nowhere, nowhere, addresses[role], **quick) for role in roles}


def connected(config: NetConfig, shown: Credentials | None = None) -> AbstractContextManager[tuple[Board, dict[str, Peer]]]:
    """One party on the network; without credentials of its own in TLS, those of its role."""
    return connection.connected(config, shown if config.plaintext or shown else credentials(config.role))


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

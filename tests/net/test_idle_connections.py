"""Connections that say nothing, 1,200 to a party, during a run: it finishes with the same weights, at few descriptors too.

The control has the handshake deadline of the library, two minutes, and no cap: at 256 descriptors the flooded party loses its commit.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.network import MemoryJournal, configs, credentials, run_all, run_party
from support.runs import parties, settings, train

from vflfast.errors import ProtocolError
from vflfast.protocol import guest, host

TESTS = str(Path(__file__).parents[1])
IDLE = 1_200

ARBITER = """
import json, resource, sys
from pathlib import Path
from support.runs import private_key, settings
from vflfast.net import descriptors, service
from vflfast.net.certs import Credentials
from vflfast.net.config import NetConfig
from vflfast.net.connection import connected
from vflfast.net.journal import FileJournal
from vflfast.net.runner import Runner
from vflfast.protocol import arbiter
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.link import Link

addresses, limit, kind, folder = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
if kind == "control":
    service.SERVER_OPTIONS = [pair for pair in service.SERVER_OPTIONS if pair[0] != "grpc.server_handshake_timeout_ms"]
    service.most_connections = lambda: 1 << 20
    descriptors.PATIENCE = descriptors.IN_RESERVE = -1
shown = Credentials(*((folder / name).read_bytes() for name in ("ca", "certificate", "key")))
config = NetConfig("arbiter", addresses, folder, folder, folder, addresses["arbiter"], heartbeat=0.2, linger=1.0, peer_timeout=10.0)
journal, agreed = FileJournal(folder / "journal", "arbiter"), settings(**json.loads(sys.argv[5]))
with connected(config, shown) as (board, peers):
    own = ArbiterInputs("arbiter", private_key())
    program = lambda attempt: arbiter.train(Link("arbiter", config.peers, None, attempt), own, agreed, journal)
    print(Runner(board, peers, config, program, journal).run(lambda result: None).n_iter)
"""
AGREED = {"tol": 0.0, "max_iter": 60}


class Idlers:
    """Connections that are opened, say nothing, and are opened again when they are closed."""

    def __init__(self, addresses: list[str], count: int) -> None:
        self.addresses, self.count, self.opened = addresses, count, 0
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Idlers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _keep(self) -> None:
        while not self._over.is_set():
            while len(self._selector.get_map()) < self.count:
                self._open()
            self._over.wait(0.5)  # who is refused asks again, at once for all
            for key, _ in self._selector.select(0):
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]

    def _open(self) -> None:
        host, port = self.addresses[self.opened % len(self.addresses)].split(":")
        idle = socket.socket()
        idle.setblocking(False)
        idle.connect_ex((host, int(port)))
        self._selector.register(idle, selectors.EVENT_READ)
        self.opened += 1


def ran(kind: str, limit: int, folder: Path) -> dict[str, Any]:
    """What every party ended with: the arbiter is flooded from its first commit on."""
    made, made_configs, agreed = parties(60, (3, 4)), configs(peer_timeout=10.0), settings(**AGREED)
    shown = credentials("arbiter")
    for name in ("ca", "certificate", "key"):
        (folder / name).write_bytes(getattr(shown, name))
    addresses = {role: config.listen for role, config in made_configs.items()}
    command = [sys.executable, "-c", ARBITER, json.dumps(addresses), str(limit), kind, str(folder), json.dumps(AGREED)]
    flooded = threading.Thread(target=flood, args=(folder / "journal" / "checkpoint", addresses["arbiter"]), daemon=True)

    def arbiter() -> str:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": TESTS}, check=False)
        return ended.stdout or ended.stderr[-500:]

    flooded.start()
    return run_all({
        "arbiter": arbiter,
        "guest": lambda: run_party(made_configs["guest"], lambda link: guest.train(link, made.guest, agreed, MemoryJournal())),
        "host1": lambda: run_party(made_configs["host1"], lambda link: host.train(link, made.hosts[0], agreed, MemoryJournal())),
    })  # fmt: skip


def flood(sign: Path, address: str) -> None:
    while not sign.exists():
        time.sleep(0.01)
    with Idlers([address], IDLE):
        time.sleep(15)


@pytest.mark.parametrize("limit", [256, 20_000])
def test_a_run_finishes_among_idle_connections(limit: int, tmp_path: Path) -> None:
    expected = train(parties(60, (3, 4)), settings(**AGREED))
    found = ran("guarded", limit, tmp_path)
    assert found["arbiter"] == "60\n"
    assert found["guest"].hashes == expected.guest.hashes
    assert found["host1"].hashes == expected.hosts[0].hashes


def test_control_without_deadline_cap_and_reserve_they_end_the_run(tmp_path: Path) -> None:
    found = ran("control", 256, tmp_path)
    assert "Too many open files" in found["arbiter"]
    assert isinstance(found["guest"], ProtocolError)

"""Whole runs over loopback while something is wrong: a stopped process, a slow or half-open line, a clock that jumps, rows that differ,
bytes that are not the peer's; and many rounds without a byte more (assurance B8 to B11, C6, D7).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure
from support import parties as party_folders
from support.jobs import sections, succeeded, write_job, write_tables
from support.network import MemoryJournal, configs, run_all, run_party
from support.proxy import Proxy, between
from support.runs import Parties, Tampered, parties, private_key, settings, train

from vflfast.errors import PeerTimeoutError, ProtocolError, VflError
from vflfast.net import board, client, runner
from vflfast.net.journal import FileJournal
from vflfast.net.runner import Runner
from vflfast.protocol import arbiter, guest, host
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.link import Link
from vflfast.protocol.settings import Settings

Programs = dict[str, Callable[[Link], Any]]


def programs(made: Parties, agreed: Settings) -> Programs:
    return {
        "arbiter": lambda link: arbiter.train(link, ArbiterInputs("arbiter", private_key()), agreed, MemoryJournal()),
        "guest": lambda link: guest.train(link, made.guest, agreed, MemoryJournal()),
        "host1": lambda link: host.train(link, made.hosts[0], agreed, MemoryJournal()),
    }


def run_over(made: dict[str, Any], ran: Programs) -> dict[str, Any]:
    return run_all({role: lambda role=role: run_party(made[role], ran[role]) for role in made})


def hashes(results: dict[str, Any]) -> list[list[str]]:
    return [results[role].hashes for role in ("guest", "host1")]


def expected(made: Parties, agreed: Settings) -> list[list[str]]:
    result = train(made, agreed)
    return [result.guest.hashes, result.hosts[0].hashes]


# --- B8: paused, slow, half open -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pause", [2.0, pytest.param(60.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("victim", ["host1", pytest.param("arbiter", marks=pytest.mark.slow)])
def test_a_stopped_process_goes_on_where_it_was(victim: str, pause: float, tmp_path: Path) -> None:
    write_tables(tmp_path / "tables")
    agreed = {"key_bits": 512, "test_key": True, "max_iter": 12, "tol": 0.0, "simulation": True}
    data = sections(tmp_path / "tables", run={}, settings=agreed)
    inline = succeeded("train", write_job(tmp_path / "tables", data), "--models", tmp_path / "inline", "--json")
    home = party_folders.set_up(tmp_path / "run", tmp_path / "tables", settings=agreed)
    processes = {}
    for role in party_folders.ROLES:
        fed = home / role / "fed.toml"
        fed.write_text(fed.read_text().replace("peer_timeout = 60.0", "peer_timeout = 180.0"))
        command = [sys.executable, "-m", "vflfast", "party", "--role", role, "--config", str(fed), "--json"]
        processes[role] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    checkpoints = home / victim / "journal"
    end = time.monotonic() + 60
    while not any(path.stat().st_size > 200 for path in checkpoints.rglob("*") if path.is_file()) and time.monotonic() < end:
        time.sleep(0.005)
    processes[victim].send_signal(signal.SIGSTOP)
    time.sleep(pause)
    running = [role for role, process in processes.items() if process.poll() is None]
    processes[victim].send_signal(signal.SIGCONT)
    ended = {role: process.communicate(timeout=120) for role, process in processes.items()}
    assert {role: process.returncode for role, process in processes.items()} == dict.fromkeys(processes, 0), ended
    assert set(running) == set(processes)  # nobody had ended when it was stopped
    assert json.loads(ended["guest"][0])["rounds"] == 12
    for name in ("guest", "host1"):
        own = [json.loads((folder / f"{name}.json").read_text()) for folder in (tmp_path / "inline", home / name / "models")]
        assert own[0]["weight_hash"] == own[1]["weight_hash"]
    assert json.loads(inline.stdout)["summary"]["rounds"] == 12


def hold_after(made: Parties, proxies: list[Proxy], round_: int, since: list[float]) -> Parties:
    """Stop the line when the guest has done some rounds."""
    seen: list[int] = []

    def after(*_: object) -> None:
        seen.append(1)
        if len(seen) == round_:
            since.append(time.monotonic())
            for proxy in proxies:
                proxy.held.set()

    return dataclasses.replace(made, guest=dataclasses.replace(made.guest, after_round=after))


@pytest.mark.parametrize("jump", [0.0, 86_400.0, pytest.param(-86_400.0, marks=pytest.mark.slow)])
def test_a_half_open_line_is_an_error_at_the_deadline(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line between guest and host stands, and carries nothing; both hear the arbiter all the time. Wall clocks may jump meanwhile."""
    agreed, since, timeout = settings(max_iter=40, tol=0.0), [], 4.0
    gave_up, give_up = {}, Runner._give_up

    def noting(self: Runner, error: VflError) -> None:
        gave_up[self._board.role] = time.monotonic() - since[0]
        give_up(self, error)

    monkeypatch.setattr(Runner, "_give_up", noting)
    jumping = types.SimpleNamespace(time=lambda: time.time() + (jump if since else 0.0), monotonic=time.monotonic, sleep=time.sleep)
    for module in (board, client, runner):
        monkeypatch.setattr(module, "time", jumping)  # not for grpcio, which reckons deadlines by the clock of its core
    with between(configs(peer_timeout=timeout), "guest", "host1") as (made, proxies):
        stopped = hold_after(parties(60, (3, 4)), proxies, 2, since)
        results = run_over(made, programs(stopped, agreed))
    ended = {role: error for role, error in results.items() if isinstance(error, PeerTimeoutError)}
    assert ended, results
    assert {(role, error.party) for role, error in ended.items()} <= {("guest", "host1"), ("host1", "guest")}
    for role, error in results.items():
        assert isinstance(error, VflError), role
        assert 0.9 * timeout <= gave_up[role] <= 1.1 * timeout, gave_up


def test_control_by_the_wall_clock_a_deadline_would_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes back by a day while the line is held; after twice the deadline the line is let go, and nobody has given up."""
    made, agreed, since, timeout = parties(60, (3, 4)), settings(max_iter=6, tol=0.0), [], 1.5

    def jumped() -> float:
        return time.time() - (86_400.0 if since and time.monotonic() > since[0] + 0.7 else 0.0)

    wall = types.SimpleNamespace(time=time.time, monotonic=jumped)
    monkeypatch.setattr(board, "time", wall)
    monkeypatch.setattr(runner, "time", wall)
    with between(configs(peer_timeout=timeout), "guest", "host1") as (led, proxies):
        stopped = hold_after(made, proxies, 2, since)

        def let_go() -> None:
            while not since:
                time.sleep(0.01)
            time.sleep(2 * timeout)
            for proxy in proxies:
                proxy.held.clear()

        threading.Thread(target=let_go, daemon=True).start()
        results = run_over(led, programs(stopped, agreed))
    assert hashes(results) == expected(made, agreed)


def test_a_line_a_hundred_times_slower_gives_the_same_weights() -> None:
    made, agreed = parties(60, (3, 4)), settings(max_iter=2, tol=0.0)
    with between(configs(peer_timeout=30.0), "guest", "host1") as (slow, proxies):
        for proxy in proxies:
            proxy.delay = 0.02
        results = run_over(slow, programs(made, agreed))
    assert hashes(results) == expected(made, agreed)


# --- B9: clocks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_changes_nothing(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = settings(max_iter=4, tol=0.0)
    made = parties(60, (3, 4))
    jumped = types.SimpleNamespace(time=lambda: time.time() + jump, monotonic=time.monotonic)  # the board is what tells the time to others
    rounds: list[int] = []

    def after(*_: object) -> None:
        rounds.append(1)
        if len(rounds) == 2:
            monkeypatch.setattr(board, "time", jumped)

    jumping = dataclasses.replace(made, guest=dataclasses.replace(made.guest, after_round=after))
    results = run_over(configs(peer_timeout=5.0), programs(jumping, agreed))
    assert board.time is jumped
    assert hashes(results) == expected(made, agreed)


# --- B10: rows that differ -----------------------------------------------------------------------------------------

ROWS: dict[str, Callable[[int], Any]] = {
    "shuffled": lambda n: np.random.default_rng(0).permutation(n),
    "one missing": lambda n: np.arange(n - 1),
    "one twice": lambda n: np.append(np.arange(n - 1), 0),
    "off by one": lambda n: np.roll(np.arange(n), 1),
    "one more": lambda n: np.append(np.arange(n), 0),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_differ_are_refused_before_the_first_round_at_every_party(case: str) -> None:
    made, agreed = parties(60, (3, 4)), settings()
    rows = ROWS[case](60)
    commitment = hashlib.sha256(rows.tobytes()).digest()
    same = hashlib.sha256(np.arange(60).tobytes()).digest()
    other = dataclasses.replace(made.hosts[0], matrix=made.hosts[0].matrix.take_rows(np.arange(60)), commitment=commitment)
    if len(rows) != 60:
        codes = made.hosts[0].matrix.codes[:, rows]
        other = dataclasses.replace(other, matrix=type(other.matrix)(np.ascontiguousarray(codes), np.full(len(codes), 5)))
    asked = Parties(dataclasses.replace(made.guest, commitment=same), [other])
    results = run_over(configs(peer_timeout=5.0), programs(asked, agreed))
    for role, error in results.items():
        assert isinstance(error, ProtocolError), (role, error)
        assert "RowCommitment" in str(error)
        assert "round 1" not in str(error)


def test_control_rows_that_go_uncompared_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made, agreed = parties(60, (3, 4)), settings()
    shuffled = dataclasses.replace(made.hosts[0], matrix=made.hosts[0].matrix.take_rows(ROWS["shuffled"](60)), commitment=bytes(32))

    async def uncompared(link: Link, others: tuple[str, ...], n_rows: int, digest: bytes) -> None:
        for other in others:
            await link.send(other, ms.RowCommitment(n_rows, digest))
        for other in others:
            await link.receive(other, ms.RowCommitment)

    monkeypatch.setattr(guest, "compare_rows", uncompared)
    monkeypatch.setattr(host, "compare_rows", uncompared)
    results = run_over(configs(), programs(Parties(made.guest, [shuffled]), agreed))
    assert results["guest"].hashes[-1] != expected(made, agreed)[0][-1]


def test_control_the_same_rows_are_accepted() -> None:
    made, agreed = parties(60, (3, 4)), settings()
    assert hashes(run_over(configs(), programs(made, agreed))) == expected(made, agreed)


# --- B11: many rounds ----------------------------------------------------------------------------------------------


def resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("warm", "rounds"), [(60, 100), pytest.param(60, 200, marks=pytest.mark.slow)])
def test_rounds_take_no_more_memory_and_no_more_files(warm: int, rounds: int, tmp_path: Path, figure: Figure) -> None:
    """All three parties in this process, over TLS, with journals on disk; by round 60 the tables for encryption have their full size."""
    made, agreed = parties(60, (3, 4)), settings(max_iter=rounds, tol=0.0)
    seen: list[tuple[int, int]] = []
    watched = dataclasses.replace(made.guest, after_round=lambda *_: seen.append((resident(), len(os.listdir("/proc/self/fd")))))
    journals = {role: FileJournal(tmp_path / role, role) for role in ("guest", "host1", "arbiter")}
    ran: Programs = {
        "arbiter": lambda link: arbiter.train(link, ArbiterInputs("arbiter", private_key()), agreed, journals["arbiter"]),
        "guest": lambda link: guest.train(link, watched, agreed, journals["guest"]),
        "host1": lambda link: host.train(link, made.hosts[0], agreed, journals["host1"]),
    }
    made_configs = configs(peer_timeout=60.0)
    results = run_all({role: lambda role=role: run_party(made_configs[role], ran[role], journals[role]) for role in ran})  # type: ignore[arg-type]
    for journal in journals.values():
        journal.close()
    assert len(results["guest"].losses) == rounds
    (memory, files), (later, files_later) = seen[warm - 1], seen[-1]
    assert later < 1.01 * memory, f"{later - memory:,} bytes more after {rounds} rounds"
    assert abs(files_later - files) <= 2, (files, files_later)  # a connection may be made again meanwhile
    figure("B11", "rounds", rounds)
    figure("B11", "percent of memory more", round(100 * (later - memory) / memory, 2))


# --- C6: messages that are not the peer's --------------------------------------------------------------------------


def wrong(kind: type[ms.Message], **fields: Any) -> Any:
    def change(recipient: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, kind) or envelope.round not in (0, 1):
            return None
        return [ms.to_bytes(message, dataclasses.replace(envelope, **fields))]

    return change


def again(recipient: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
    """The predictor twice, the second time as the next message of the line."""
    return [ms.to_bytes(message, envelope)] * 2 if isinstance(message, ms.Predictor) and envelope.round == 1 else None


WRONG = {
    "of another session": wrong(ms.Predictor, session=bytes(32)),
    "of another round": wrong(ms.Predictor, round=2),
    "of another attempt": wrong(ms.Predictor, attempt=9),
    "of another sender": wrong(ms.Predictor, sender="arbiter"),
    "for another recipient": wrong(ms.Predictor, recipient="arbiter"),
    "once more": again,
}


@pytest.mark.parametrize("case", [*WRONG, "honest"])
def test_messages_that_are_not_the_peers_are_refused_at_every_party(case: str) -> None:
    made, agreed = parties(60, (3, 4)), settings(tol=0.0)
    ran = programs(made, agreed)
    change = WRONG.get(case, lambda *_: None)
    honest = ran["host1"]
    ran["host1"] = lambda link: Tampered(honest(link), change)
    results = run_over(configs(peer_timeout=5.0), ran)
    if case == "honest":
        assert hashes(results) == expected(made, agreed)
        return
    for role, error in results.items():
        assert isinstance(error, ProtocolError), (role, error)
        assert error.party == "host1", (role, error)


# --- D7: what a recorder between the parties sees ------------------------------------------------------------------


def test_nothing_planted_is_on_the_wire_or_in_a_file(tmp_path: Path) -> None:
    """Without TLS, which has to be asked for, so that the recorder sees what would be inside it; journals on disk."""
    made, agreed = parties(120, (3, 4)), settings(max_iter=3, tol=0.0)
    result = train(made, agreed)
    numbers = [*result.guest.weights, result.guest.intercept, *result.hosts[0].weights]
    planted = {f"weight {i}": np.float64(value).tobytes() for i, value in enumerate(numbers)}
    planted |= {f"fixed {i}": np.int64(round(value * (1 << 24))).tobytes() for i, value in enumerate(numbers)}
    planted |= {"labels": (made.labels > 0).astype(np.uint8)[:24].tobytes(), "codes": made.hosts[0].matrix.codes[0][:24].tobytes()}
    planted |= {"prime": private_key().primes[0].to_bytes(32, "little"), "prime, text": str(private_key().primes[0]).encode()}
    journals = {role: FileJournal(tmp_path / role, role) for role in ("guest", "host1", "arbiter")}
    ran: Programs = {
        "arbiter": lambda link: arbiter.train(link, ArbiterInputs("arbiter", private_key()), agreed, journals["arbiter"]),
        "guest": lambda link: guest.train(link, made.guest, agreed, journals["guest"]),
        "host1": lambda link: host.train(link, made.hosts[0], agreed, journals["host1"]),
    }
    seen = b""
    plain = configs(plaintext=True)
    with between(plain, "guest", "host1") as (first, one), between(first, "guest", "arbiter") as (second, two):
        results = run_all({role: lambda role=role: run_party(second[role], ran[role], journals[role]) for role in ran})  # type: ignore[arg-type]
        seen = b"".join(bytes(proxy.seen) for proxy in (*one, *two))
    for journal in journals.values():
        journal.close()
    assert hashes(results) == [result.guest.hashes, result.hosts[0].hashes]
    assert [name for name, pattern in planted.items() if pattern in seen] == []
    assert b"partner 1" in seen  # the control: what does travel is found
    assert b"VFLF" in seen
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) >= 6
    own = ("weight", "fixed")  # a party's journal holds its own weights
    secret = {name: pattern for name, pattern in planted.items() if not name.startswith(own)}
    assert [(path.name, name) for path, data in written.items() for name, pattern in secret.items() if pattern in data] == []
    others = [text.encode() for text in (repr(float(v)) for v in result.hosts[0].weights)]
    assert not any(text in data for path, data in written.items() if "host1" not in str(path) for text in others)


def test_threads_end_with_their_run() -> None:
    before = threading.active_count()
    made, agreed = parties(60, (3, 4)), settings()
    run_over(configs(), programs(made, agreed))
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() <= before

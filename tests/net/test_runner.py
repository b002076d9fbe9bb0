"""The runner: attempts, damage, crashes, silence, and whose fault it was. Programs here are toys; the real ones run in test_launch."""

from __future__ import annotations

import hashlib
import threading
import time
import types
from collections.abc import Generator
from typing import Any

import pytest
from support.network import MemoryJournal, configs, connected, run_all, run_party

from vflfast.errors import InputError, PeerAbortError, PeerTimeoutError, ProtocolError, VflError
from vflfast.net.board import Board
from vflfast.net.client import Caller
from vflfast.net.runner import Runner
from vflfast.params import MAX_BARREN_ATTEMPTS
from vflfast.protocol.link import Link, ReceiveRequest, SendRequest
from vflfast.protocol.resume import Checkpoint

N_ROUNDS = 4


@types.coroutine
def ask(request: SendRequest | ReceiveRequest) -> Generator[SendRequest | ReceiveRequest, bytes, bytes]:
    return (yield request)


async def toy(link: Link, journal: MemoryJournal | None = None, fault: Any = None) -> bytes:
    """All to all in every round: a chain of hashes that everyone ends with, whatever happened on the way."""
    held = journal.held() if journal else ()
    for peer in link.peers:
        await ask(SendRequest(peer, bytes([held[0].round if held else 0]), "Hello"))
    rounds = [(await ask(ReceiveRequest(peer, "Hello")))[0] for peer in link.peers]
    start = min([*rounds, held[0].round if held else 0])
    state = next((bytes.fromhex(c.state["hash"]) for c in held if c.round == start), b"")
    for round_ in range(start + 1, N_ROUNDS + 1):
        if fault:
            fault(link, round_)
        said = {link.name: hashlib.sha256(state + link.name.encode()).digest() * 1000}
        for peer in link.peers:
            await ask(SendRequest(peer, said[link.name], "Word"))
        for peer in link.peers:
            said[peer] = await ask(ReceiveRequest(peer, "Word"))
        state = hashlib.sha256(b"".join(said[name] for name in sorted(said))).digest()
        if journal:
            journal.commit(Checkpoint(b"run", b"", round_, False, {"hash": state.hex()}))
    return state


def expected() -> bytes:
    state = b""
    for _ in range(N_ROUNDS):
        state = hashlib.sha256(b"".join(hashlib.sha256(state + name).digest() * 1000 for name in (b"arbiter", b"guest", b"host1"))).digest()
    return state


@pytest.mark.parametrize("plaintext", [False, True])
def test_all_come_to_the_same_end(plaintext: bool) -> None:
    made = configs(plaintext=plaintext)
    results = run_all({role: lambda role=role: run_party(made[role], toy) for role in made})
    assert results == dict.fromkeys(made, expected())


def test_attempts_that_differ_meet_at_the_highest() -> None:
    made = configs()
    journals = {role: MemoryJournal() for role in made}
    journals["host1"].attempt = 7
    results = run_all({role: lambda role=role: run_party(made[role], toy, journals[role]) for role in made})
    assert results == dict.fromkeys(made, expected())
    assert {journal.attempt for journal in journals.values()} == {8}


@pytest.mark.parametrize("victim", ["guest", "host1", "arbiter"])
def test_a_party_that_crashes_and_comes_back(victim: str) -> None:
    made = configs()
    journals = {role: MemoryJournal() for role in made}
    crashes = []

    def crash(link: Link, round_: int) -> None:
        if link.name == victim and round_ == 3 and not crashes:
            crashes.append(round_)
            raise KeyboardInterrupt  # the process ends without a word

    def run(role: str) -> Any:
        while True:
            try:
                return run_party(made[role], lambda link: toy(link, journals[role], crash), journals[role])
            except KeyboardInterrupt:
                time.sleep(0.3)

    results = run_all({role: lambda role=role: run(role) for role in made})
    assert results == dict.fromkeys(made, expected())
    assert crashes == [3]
    assert {journal.attempt for journal in journals.values()} == {2}


def test_a_party_that_lost_its_journal_is_not_mixed_up_with_its_former_process() -> None:
    made = configs()
    journals = {role: MemoryJournal() for role in made}
    crashes = []

    def crash(link: Link, round_: int) -> None:
        if link.name == "guest" and round_ == 1 and not crashes:
            crashes.append(round_)
            raise KeyboardInterrupt

    def run(role: str) -> Any:
        try:
            return run_party(made[role], lambda link: toy(link, None, crash), journals[role])
        except KeyboardInterrupt:
            return run_party(made[role], lambda link: toy(link, None, crash), MemoryJournal())

    assert run_all({role: lambda role=role: run(role) for role in made}) == dict.fromkeys(made, expected())


def test_a_message_damaged_on_the_way_costs_an_attempt() -> None:
    made = configs()
    journals = {role: MemoryJournal() for role in made}
    left = [2]

    def damage(link: Link, round_: int) -> None:
        if link.name == "guest" and round_ == 2 and left[0]:
            left[0] -= 1
            raise ProtocolError("host1", "parse", "the message's digest is wrong")

    results = run_all({role: lambda role=role: run_party(made[role], lambda link: toy(link, journals[role], damage), journals[role])
                       for role in made})  # fmt: skip
    assert results == dict.fromkeys(made, expected())
    assert journals["guest"].attempt == 3


def test_damage_without_end_is_an_error_for_all() -> None:
    made = configs()
    tries = []

    def damage(link: Link, round_: int) -> None:
        if link.name == "guest":
            tries.append(round_)
            raise ProtocolError("host1", "parse", "the message's digest is wrong")

    results = run_all({role: lambda role=role: run_party(made[role], lambda link: toy(link, None, damage)) for role in made})
    assert all(isinstance(error, ProtocolError) and "digest" in str(error) for error in results.values())
    assert len(tries) == MAX_BARREN_ATTEMPTS + 1


@pytest.mark.parametrize(
    ("error", "party", "words"),
    [
        (ProtocolError("host1", "Predictor", "sent 3 ciphertexts"), "host1", "sent 3 ciphertexts"),
        (InputError("labels", "the guest needs labels"), "guest", "needs labels"),
        (RuntimeError("13812345678 is a customer"), "guest", "failed (RuntimeError, test_runner.py line"),
    ],
)
def test_the_others_are_told(error: Exception, party: str, words: str) -> None:
    made = configs()

    def fail(link: Link, round_: int) -> None:
        if link.name == "guest" and round_ == 2:
            raise error

    start = time.monotonic()
    results = run_all({role: lambda role=role: run_party(made[role], lambda link: toy(link, None, fail)) for role in made})
    own = results["guest"]
    assert own is error if isinstance(error, VflError) else (type(own), own.__cause__) == (VflError, error)
    step = error.step if isinstance(error, ProtocolError) else "run"
    assert str(own).startswith(f"{party}, round 0, {step}: ")  # a toy tells no round
    for role in ("host1", "arbiter"):
        assert isinstance(results[role], PeerAbortError), results[role]
        assert results[role].party == party
        assert words in str(results[role])
        assert str(results[role]).partition(" (as ")[0] == str(own)
        assert "13812345678" not in str(results[role])
    assert time.monotonic() - start < made["guest"].peer_timeout  # told, not timed out


@pytest.mark.parametrize("frozen", ["never there", "stops answering"])
def test_a_silent_peer_is_an_error_at_the_deadline(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = configs(peer_timeout=3.0)
    silent_since = [time.monotonic()]
    there = threading.Event()

    def two(role: str) -> Any:
        with connected(made[role]) as (board, peers):
            program = Runner(board, peers, made[role], lambda attempt: toy(Link(role, made[role].peers, None, attempt)), MemoryJournal())
            try:
                return program.run(lambda result: None)
            except PeerTimeoutError as error:
                return error, time.monotonic() - silent_since[0]

    def third() -> None:
        if frozen == "stops answering":
            with connected(made["arbiter"]) as (board, _):
                while len(board.statuses) < 2:
                    time.sleep(0.01)
                silent_since[0] = time.monotonic()
        there.set()

    results = run_all({"guest": lambda: two("guest"), "host1": lambda: two("host1"), "arbiter": third})
    ends = [r for r in results.values() if isinstance(r, tuple)]
    assert ends  # the one that saw it first may tell the other
    for error, seconds in ends:
        assert (error.party, type(error)) == ("arbiter", PeerTimeoutError)
        assert 0.9 * 3.0 <= seconds <= 1.1 * 3.0
        assert "round 0" in str(error)
        assert "start again" in str(error)
    for result in results.values():
        assert result is None or isinstance(result, tuple | PeerAbortError)


def test_a_peer_that_is_slow_but_answers_is_waited_for() -> None:
    made = configs(peer_timeout=0.6)

    def slow(link: Link, round_: int) -> None:
        if link.name == "host1" and round_ == 2:
            time.sleep(2)

    results = run_all({role: lambda role=role: run_party(made[role], lambda link: toy(link, None, slow)) for role in made})
    assert results == dict.fromkeys(made, expected())


def test_a_process_that_was_paused_itself_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    made = configs()["guest"]
    board = Board("guest", made.peers, made.max_held_bytes)
    runner = Runner(board, {}, made, lambda attempt: toy(Link("guest", ())), MemoryJournal())
    now, waits = [time.monotonic()], []

    def wait(timeout: float | None = None) -> bool:
        waits.append(timeout)
        now[0] += 3600 if len(waits) == 1 else 0.1  # the clock ran on by an hour while nothing here did
        return True

    monkeypatch.setattr("vflfast.net.runner.time", types.SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(board.changed, "wait", wait)
    runner._peers = {"arbiter": types.SimpleNamespace(pending=False)}  # type: ignore[dict-item]
    with board.changed:
        runner._wait_until(lambda: len(waits) > 3, "Word", "arbiter")
    assert len(waits) == 4


def test_a_lost_connection_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = configs()
    real, failures = Caller.deliver, []

    def flaky(self: Caller, *arguments: Any) -> Any:
        reply = real(self, *arguments)
        if len(failures) < 20 and len(failures) % 2 == 0:
            failures.append(1)
            raise ValueError("the answer was lost")  # the message was taken: it is sent twice
        failures.append(0)
        return reply

    monkeypatch.setattr(Caller, "deliver", flaky)
    results = run_all({role: lambda role=role: run_party(made[role], toy) for role in made})
    assert results == dict.fromkeys(made, expected())
    assert sum(failures) > 3

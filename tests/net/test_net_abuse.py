"""What a peer may try over the network: claims without end, floods, old TLS, another's voice, ciphertexts of another key or too many of
them (assurance C4 to C7). Every refusal stands beside a control that is let through, or a receiver without the guard that is not safe.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.network import MemoryJournal, configs, connected, credentials, run_all, run_party
from support.runs import Tampered, parties, private_key, settings, train

from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier.keys import generate_primes
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import PeerAbortError, ProtocolError
from vflfast.net import service
from vflfast.net.board import Board, Status
from vflfast.net.client import Caller
from vflfast.net.config import NetConfig, split_address
from vflfast.net.frames import FrameHeader, split
from vflfast.net.service import Service
from vflfast.net.transport import INSTANCE_KEY, load_grpc, open_channel, refuses_old_tls
from vflfast.protocol import arbiter, guest, host, transcripts
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs

grpc = load_grpc()
TESTS = str(Path(__file__).parents[1])


@contextmanager
def standing(made: dict[str, NetConfig], *callers: str) -> Iterator[tuple[Board, dict[str, Board]]]:
    """The arbiter's board at attempt 1, and those of callers that it has found at their addresses."""
    with connected(made["arbiter"]) as (board, _):
        board.restart(1)
        found = {}
        contexts = [(role, connected(made[role])) for role in callers]
        try:
            for role, context in contexts:
                found[role] = context.__enter__()[0]
                with board.changed:
                    assert board.changed.wait_for(lambda role=role: board.is_live(role, found[role].instance), 10)
            yield board, found
        finally:
            for _, context in contexts:
                context.__exit__(None, None, None)


def deliver(config: NetConfig, frames: list[bytes], instance: str) -> int:
    """The arbiter's answer to frames from the party of `config`."""
    channel = open_channel(config, None if config.plaintext else credentials(config.role), "arbiter")
    try:
        own_word = (("vflfast-role", config.role),) if config.plaintext else ()
        reply: bytes = channel.stream_unary("/vflfast/Deliver")(iter(frames), timeout=5, metadata=((INSTANCE_KEY, instance), *own_word))
        return reply[0]
    finally:
        channel.close()


# --- C4: claims ----------------------------------------------------------------------------------------------------


def allocated_by(claim: int) -> int:
    """Most bytes that Python objects took meanwhile, in all threads."""
    made = configs()
    with standing(made, "guest") as (_, found):
        deliver(made["guest"], list(split(FrameHeader(1, 0, 3), b"abc")), found["guest"].instance)
        tracemalloc.start()
        try:
            with pytest.raises(grpc.RpcError) as caught:
                deliver(made["guest"], [FrameHeader(1, 1, claim).to_bytes()], found["guest"].instance)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert caught.value.code().name == "INVALID_ARGUMENT"
    return most


@pytest.mark.parametrize("claim", [1 << 31, 1 << 62, 1 << 63, (1 << 64) - 1])
def test_a_claim_allocates_less_than_a_mebibyte(claim: int) -> None:
    assert allocated_by(claim) < 1 << 20


def test_control_a_receiver_that_makes_room_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(frame: bytes, sender: str, max_bytes: int) -> FrameHeader:
        room = bytes(min(int.from_bytes(frame[-8:], "little"), 1 << 22))
        return real(frame, sender, max_bytes + 0 * len(room))

    real = service.parse_header
    monkeypatch.setattr(service, "parse_header", trusting)
    assert allocated_by(1 << 31) > 1 << 20


# --- C5: the probe for old TLS -------------------------------------------------------------------------------------


@contextmanager
def tls_server(folder: Path, version: ssl.TLSVersion) -> Iterator[NetConfig]:
    """A server of one TLS version at the arbiter's address, with the arbiter's certificate."""
    made = configs()["arbiter"]
    shown = credentials("arbiter")
    (folder / "s.pem").write_bytes(shown.certificate)
    (folder / "s.key").write_bytes(shown.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "s.pem", folder / "s.key")
    context.set_alpn_protocols(["h2"])
    context.minimum_version = context.maximum_version = version

    def serve() -> None:
        try:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True):
                pass
        except OSError:
            pass

    with socket.create_server(split_address("", made.listen)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield made
        thread.join(10)


def test_the_probe_tells_a_server_of_old_tls_from_one_of_new(tmp_path: Path) -> None:
    with tls_server(tmp_path, ssl.TLSVersion.TLSv1_2) as made:
        assert not refuses_old_tls(made)
    with tls_server(tmp_path, ssl.TLSVersion.TLSv1_3) as made:
        assert refuses_old_tls(made)


OLD_TLS = """
import sys
from pathlib import Path
from vflfast.net import transport
from vflfast.net.certs import read_credentials
from vflfast.net.config import NetConfig
from vflfast.net.connection import connected
transport.NO_OLD_CIPHERS = sys.argv[1]
addresses = {"guest": sys.argv[2], "host1": "127.0.0.1:1", "arbiter": "127.0.0.1:2"}
place = Path(sys.argv[3])
config = NetConfig("guest", addresses, place, place, place, addresses["guest"])
with connected(config, read_credentials(place, "guest")):
    print("serves")
"""


@pytest.mark.parametrize(("ciphers", "serves"), [("ECDHE-PSK-CHACHA20-POLY1305", True), ("ECDHE-ECDSA-AES128-GCM-SHA256", False)])
def test_a_service_that_would_take_old_tls_does_not_begin(ciphers: str, serves: bool, tmp_path: Path) -> None:
    shown = credentials("guest")
    for name, data in (("ca.pem", shown.ca), ("guest.pem", shown.certificate), ("guest.key", shown.key)):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    address = configs()["guest"].listen
    ended = subprocess.run([sys.executable, "-c", OLD_TLS, ciphers, address, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert ("serves" in ended.stdout) is serves, ended.stderr
    assert ("takes TLS 1.2 here" in ended.stderr) is not serves


# --- C6: another's voice -------------------------------------------------------------------------------------------


def test_what_a_host_sends_is_the_hosts_whatever_it_says(tmp_path: Path) -> None:
    """The guest's own frames, recorded and sent again by the host, with the guest's instance and with its own."""
    made = configs()
    frames = list(split(FrameHeader(1, 0, 3), b"abc"))
    with standing(made, "guest", "host1") as (board, found):
        with pytest.raises(grpc.RpcError) as caught:
            deliver(made["host1"], frames, found["guest"].instance)
        assert caught.value.code().name == "ALREADY_EXISTS"
        assert deliver(made["guest"], frames, found["guest"].instance) == 0  # the control: taken
        assert deliver(made["guest"], frames, found["guest"].instance) == 1  # again: answered, and taken once
        assert deliver(made["host1"], frames, found["host1"].instance) == 0
        assert board.mailbox.take("guest") == b"abc"
        assert board.mailbox.take("guest") is None
        assert board.mailbox.take("host1") == b"abc"  # on its own lane, where its program reads the envelope


Change = Callable[[str, ms.Message, ms.Envelope], "list[bytes] | None"]


def run_with(change: Change, role: str = "host1") -> dict[str, Any]:
    """A run over TLS in which one party's messages pass through `change`."""
    made, agreed = parties(60, (3, 4)), settings(tol=0.0)
    made_configs = configs(peer_timeout=5.0)
    ran: dict[str, Callable[[Any], Any]] = {
        "arbiter": lambda link: arbiter.train(link, ArbiterInputs("arbiter", private_key()), agreed, MemoryJournal()),
        "guest": lambda link: guest.train(link, made.guest, agreed, MemoryJournal()),
        "host1": lambda link: host.train(link, made.hosts[0], agreed, MemoryJournal()),
    }
    honest = ran[role]
    ran[role] = lambda link: Tampered(honest(link), change)
    return run_all({name: lambda name=name: run_party(made_configs[name], ran[name]) for name in ran})


def replaced(kind: type[ms.Message], make: Callable[[Any], ms.Message]) -> Change:
    def change(_: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        return [ms.to_bytes(make(message), envelope)] if isinstance(message, kind) and envelope.round <= 1 else None

    return change


def other_key() -> PrivateKey:
    """A key whose ciphertexts all pass for numbers below n² of the right one."""
    while True:
        p, q = generate_primes(512, test_sizes=True)
        if p * q < private_key().public.n:
            return PrivateKey(p, q, test_sizes=True)


def encrypted_again(message: Any, key: PrivateKey) -> Any:
    """The same plaintexts, as far as they fit, under a key."""
    own, n = private_key(), key.public.n
    vector = own.public.parse(message.ciphertexts, frac_bits=0, bound=1)
    plaintexts = [value % n for value in lm.to_ints(own.decrypt_residues(vector))]
    randomness = [2 + secrets.randbelow(n - 2) for _ in plaintexts]
    return dataclasses.replace(message, ciphertexts=key.public.encrypt_with(plaintexts, randomness).limbs)


CAUGHT = {ms.Predictor: ("arbiter", "OpenedGradient"), ms.MaskedGradient: ("arbiter", "OpenedGradient"), ms.Vote: ("host1", "Vote")}


@pytest.mark.parametrize("kind", CAUGHT)
@pytest.mark.parametrize("right", [False, True])
def test_ciphertexts_of_another_key_end_the_run_at_every_party(
    kind: type[ms.Message], right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the comparison of transcripts, which finds every change on the way: the right key's are then those of the honest run."""
    key = private_key() if right else other_key()
    for module in (arbiter, transcripts):
        monkeypatch.setattr(module, "compare", lambda *_: None)
    results = run_with(replaced(kind, lambda message: encrypted_again(message, key)))
    if right:
        assert results["guest"].hashes == train(parties(60, (3, 4)), settings(tol=0.0)).guest.hashes
        return
    for role, error in results.items():
        assert isinstance(error, ProtocolError), (role, error)
        assert (error.party, error.step) == CAUGHT[kind]


# --- C7: quotas and floods -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["guest", "host1"])
def test_more_ciphertexts_than_the_quota_are_refused_at_every_party(role: str) -> None:
    def doubled(message: ms.MaskedGradient) -> ms.MaskedGradient:
        return ms.MaskedGradient(np.concatenate([message.ciphertexts, message.ciphertexts[:1]]))

    results = run_with(replaced(ms.MaskedGradient, doubled), role)
    for name, error in results.items():
        assert isinstance(error, ProtocolError), (name, error)
        assert isinstance(error, PeerAbortError) is (name != "arbiter")
        assert (error.party, error.step) == (role, "MaskedGradient")
        assert "ciphertexts, 1 are due" in str(error)


RECEIVER = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from support.network import configs, connected
from vflfast.net.config import NetConfig
from vflfast.net.mailbox import Mailbox
from vflfast.net.service import Service
from contextlib import nullcontext
from pathlib import Path
if sys.argv[3] == "unbounded":
    Mailbox.has_room = lambda self, sender, sequence, n_bytes: True
    Service._one_at_a_time = lambda self, sender: nullcontext(True)
place = Path("nowhere")
fields = json.loads(sys.argv[2])
with connected(NetConfig(**fields, certificates=place, journal=place, models=place)) as (board, _):
    board.restart(1)
    print("ready", flush=True)
    for _ in sys.stdin:
        held = sum(map(len, board.mailbox._held["guest"].values()))
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        print(held, resident, flush=True)
"""
LIMIT = 1 << 22


def flooded(kind: str) -> tuple[int, int, int]:
    """What a receiver holds, and has grown by, after a peer has sent 96 MiB of messages that nobody reads; and how many were taken."""
    made = configs(plaintext=True, max_message_bytes=LIMIT, max_held_bytes=LIMIT)
    theirs = made["arbiter"]
    fields = {"role": "arbiter", "addresses": theirs.addresses, "listen": theirs.listen, "plaintext": True,
              "max_message_bytes": LIMIT, "max_held_bytes": LIMIT, "heartbeat": 0.1}  # fmt: skip
    command = [sys.executable, "-c", RECEIVER, TESTS, json.dumps(fields), kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process, connected(made["guest"]) as (own, _):
        asks, says = process.stdin, process.stdout
        assert asks
        assert says
        assert says.readline() == "ready\n"

        def ask() -> tuple[int, int]:
            print(file=asks, flush=True)
            held, resident = says.readline().split()
            return int(held), int(resident)

        with own.changed:
            assert own.changed.wait_for(lambda: "arbiter" in own.statuses, 10)
        taken = flood(made["guest"], own.instance, 1)
        before = ask()[1]
        taken += flood(made["guest"], own.instance, 24)
        held, after = ask()
        asks.close()
    return held, after - before, taken


def flood(config: NetConfig, instance: str, each: int) -> int:
    """Send from four connections at the same time; return how many were taken."""
    data = os.urandom(1 << 20)
    taken: list[int] = []

    def send(first: int) -> None:
        caller = Caller(config, None, "arbiter")
        for sequence in range(1 + first * each, 1 + (first + 1) * each):  # the due message, number 0, never comes
            try:
                answer, _ = caller.deliver(FrameHeader(1, sequence, len(data)), data, instance, 30)
                taken.append(answer.value == 0)
            except grpc.RpcError:
                pass
        caller.close()

    threads = [threading.Thread(target=send, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sum(taken)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["bounded", "unbounded"])
def test_a_flood_is_held_back_where_room_is_bounded_and_only_there(kind: str) -> None:
    held, more, taken = flooded(kind)
    if kind == "bounded":
        assert held <= LIMIT
        assert taken <= LIMIT >> 20
        assert more < 24 << 20
    else:
        assert held > 24 << 20
        assert more > 24 << 20


@pytest.mark.parametrize("guarded", [True, False])
def test_calls_that_are_held_open_keep_nobody_else_out(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest opens forty calls and sends nothing; the host is answered, unless each call of the guest's may keep a thread."""
    if not guarded:
        monkeypatch.setattr(Service, "_one_at_a_time", lambda self, sender: nullcontext(True))
    made, over = configs(), threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(30)
        yield from ()

    with standing(made, "guest") as (_, found):
        channel = open_channel(made["guest"], credentials("guest"), "arbiter")
        hold = channel.stream_unary("/vflfast/Deliver")
        calls = [hold.future(nothing(), timeout=20, metadata=((INSTANCE_KEY, found["guest"].instance),)) for _ in range(40)]
        time.sleep(0.5)
        caller = Caller(made["host1"], credentials("host1"), "arbiter")
        try:
            if guarded:
                assert caller.hail(Status("host1"), 5).role == "arbiter"
            else:
                with pytest.raises(grpc.RpcError):
                    caller.hail(Status("host1"), 2)
        finally:
            caller.close()
            over.set()
            for call in calls:
                call.cancel()
            channel.close()

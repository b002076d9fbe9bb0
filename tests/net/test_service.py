"""The service: who may call, what is taken."""

from __future__ import annotations

import datetime
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.network import MemoryJournal, authority, configs, connected, credentials

from vflfast.errors import InputError, ProtocolError
from vflfast.net.board import FINISHED, RUNNING, Board, Status, parse_status
from vflfast.net.certs import Credentials, issue, make_authority
from vflfast.net.client import Caller
from vflfast.net.config import NetConfig, split_address
from vflfast.net.frames import FrameHeader, split
from vflfast.net.mailbox import Answer
from vflfast.net.runner import Runner
from vflfast.net.transport import INSTANCE_KEY, load_grpc, open_channel

grpc = load_grpc()

Net = tuple[Board, dict[str, NetConfig]]


@pytest.fixture
def arbiter() -> Iterator[Net]:
    """An arbiter that serves, at attempt 1."""
    made = configs()
    with connected(made["arbiter"]) as (board, _):
        board.restart(1)
        yield board, made


def hail(made: dict[str, NetConfig], role: str, shown: Credentials | None = None) -> Status:
    caller = Caller(made[role], shown or credentials(role), "arbiter")
    try:
        return caller.hail(Status(role), 5)
    finally:
        caller.close()


@contextmanager
def guest_of(board: Board, config: NetConfig) -> Iterator[Board]:
    """A guest that the arbiter has found at its address."""
    with connected(config) as (guest, _):
        with board.changed:
            assert board.changed.wait_for(lambda: board.is_live("guest", guest.instance), 10)
        yield guest


def code(error: Any) -> str:
    return str(error.code().name)


# --- TLS -------------------------------------------------------------------------------------------------------------


def handshake(address: str, shown: Credentials | None, folder: Path, **versions: ssl.TLSVersion) -> str | None:
    """The version of a handshake that ended well and was answered; else ssl.SSLError or ConnectionError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=credentials("guest").ca.decode())
    context.set_alpn_protocols(["h2"])
    for name, version in versions.items():
        setattr(context, name, version)
    if shown:
        (folder / "c.pem").write_bytes(shown.certificate)
        (folder / "c.key").write_bytes(shown.key)
        context.load_cert_chain(folder / "c.pem", folder / "c.key")
    with socket.create_connection(split_address("", address), 5) as raw, context.wrap_socket(raw, server_hostname="arbiter.vflfast") as tls:
        if not tls.recv(9):  # TLS 1.3 refuses a client's certificate after the client's part of the handshake
            raise ConnectionError("closed")
        return tls.version()


@pytest.mark.parametrize("case", ["none", "wrong authority", "expired", "not yet valid", "wrong role", "self-signed", "TLS 1.2"])
def test_refused_and_the_good_certificate_works(case: str, arbiter: Net, tmp_path: Path) -> None:
    _, made = arbiter
    address = made["arbiter"].addresses["arbiter"]
    assert hail(made, "guest").state == RUNNING
    assert handshake(address, credentials("guest"), tmp_path) == "TLSv1.3"
    now = datetime.datetime.now(datetime.UTC)
    other = make_authority()
    shown = {
        "none": None,
        "wrong authority": issue(other, "guest"),
        "expired": issue(authority(), "guest", days=1, begin=now - datetime.timedelta(days=2)),
        "not yet valid": issue(authority(), "guest", begin=now + datetime.timedelta(days=2)),
        "wrong role": issue(authority(), "host7"),
        "self-signed": Credentials(b"", *self_signed()),
        "TLS 1.2": credentials("guest"),
    }[case]
    if case == "wrong role":  # the authority's, but of nobody in this federation: let in by TLS, refused at the first call
        caller = Caller(made["guest"], shown, "arbiter")
        with pytest.raises(grpc.RpcError) as caught:
            caller.hail(Status("guest"), 5)
        caller.close()
        assert code(caught.value) == "PERMISSION_DENIED"
        return
    versions = {"maximum_version": ssl.TLSVersion.TLSv1_2} if case == "TLS 1.2" else {}
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(address, shown, tmp_path, **versions)
    if shown and case != "TLS 1.2":
        with pytest.raises(grpc.RpcError) as caught:
            hail(made, "guest", Credentials(credentials("guest").ca, shown.certificate, shown.key))
        assert code(caught.value) == "UNAVAILABLE"


def self_signed() -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives import serialization as ser

    made = make_authority()
    key = made.key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    return made.certificate.public_bytes(ser.Encoding.PEM), key


def test_a_client_refuses_a_server_of_another_role_and_one_of_tls_1_2(tmp_path: Path) -> None:
    made = configs()
    with connected(made["arbiter"], credentials("host1")), pytest.raises(ProtocolError, match=r"arbiter, connect: .* of host1"):
        hail(made, "guest")

    shown = credentials("arbiter")
    (tmp_path / "c.pem").write_bytes(shown.certificate)
    (tmp_path / "c.key").write_bytes(shown.key)
    seen: list[object] = []

    def serve(listener: socket.socket, least: ssl.TLSVersion, most: ssl.TLSVersion) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "c.pem", tmp_path / "c.key")
        context.set_alpn_protocols(["h2"])
        context.minimum_version, context.maximum_version = least, most
        raw, _ = listener.accept()
        try:
            with context.wrap_socket(raw, server_side=True) as tls:
                seen.append(tls.version())
        except OSError as error:
            seen.append(error)

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        made = configs()
        with socket.create_server(split_address("", made["arbiter"].addresses["arbiter"])) as listener:
            thread = threading.Thread(target=serve, args=(listener, version, version), daemon=True)
            thread.start()
            with pytest.raises((grpc.RpcError, ProtocolError)):
                hail(made, "guest")
            thread.join(10)
    assert isinstance(seen[0], OSError)
    assert seen[1] == "TLSv1.3"


def test_without_tls_only_on_loopback() -> None:
    with pytest.raises(InputError, match="loopback"):
        configs(plaintext=True)["guest"].__class__("guest", {"guest": "10.1.2.3:7", "host1": "127.0.0.1:8", "arbiter": "127.0.0.1:9"},
                                                   Path(), Path(), Path(), "10.1.2.3:7", plaintext=True)  # fmt: skip


def test_a_port_in_use(arbiter: Net) -> None:
    _, made = arbiter
    with pytest.raises(InputError, match="in use"), connected(made["arbiter"]):
        pass


# --- calls -----------------------------------------------------------------------------------------------------------


def deliver(made: NetConfig, frames: list[bytes], instance: str, timeout: float | None = 5) -> bytes:
    channel = open_channel(made, credentials(made.role), "arbiter")
    try:
        call = channel.stream_unary("/vflfast/Deliver")
        reply: bytes = call(iter(frames), timeout=timeout, metadata=((INSTANCE_KEY, instance),))
        return reply
    finally:
        channel.close()


def test_messages_are_taken_once_and_only_in_their_attempt(arbiter: Net) -> None:
    board, made = arbiter
    with guest_of(board, made["guest"]) as guest:
        guest.restart(1)
        caller = Caller(made["guest"], credentials("guest"), "arbiter")
        data = bytes(range(256)) * 5000

        def send(attempt: int, sequence: int) -> Answer:
            return caller.deliver(FrameHeader(attempt, sequence, len(data)), data, guest.instance, 5)[0]

        assert send(1, 0) is Answer.TAKEN
        assert send(1, 0) is Answer.DUPLICATE  # a captured frame, again
        board.restart(2)
        assert send(1, 1) is Answer.STALE
        assert send(3, 0) is Answer.LATER
        assert board.mailbox.wanted == 3
        assert send(2, 0) is Answer.TAKEN
        assert board.mailbox.take("guest") == data
        caller.close()


def test_a_second_process_of_a_role_is_refused_while_the_first_lives(arbiter: Net) -> None:
    board, made = arbiter
    frames = list(split(FrameHeader(1, 0, 3), b"abc"))
    with guest_of(board, made["guest"]) as guest:
        with pytest.raises(grpc.RpcError) as caught:
            deliver(made["guest"], frames, "a second one")
        assert code(caught.value) == "ALREADY_EXISTS"
        deliver(made["guest"], frames, guest.instance)
        assert board.mailbox.take("guest") == b"abc"
    with guest_of(board, made["guest"]) as after:  # the first is gone
        deliver(made["guest"], list(split(FrameHeader(1, 1, 3), b"abc")), after.instance)
        assert board.mailbox.wanted == 2  # what the first one began, the second cannot go on with


def test_a_process_that_came_for_another_task_is_not_mixed_up_with_this_run(arbiter: Net) -> None:
    board, made = arbiter
    with guest_of(board, made["guest"]) as guest:
        guest.tell(task="score")
        guest.restart(7)
        with board.changed:
            assert board.changed.wait_for(lambda: board.statuses["guest"].state == RUNNING, 10)
        assert board.is_elsewhere("guest")
        with pytest.raises(grpc.RpcError) as caught:
            deliver(made["guest"], list(split(FrameHeader(7, 0, 3), b"abc")), guest.instance)
        assert code(caught.value) == "UNAVAILABLE"  # again later: this process ends, its successor may take it
        assert board.mailbox.wanted == 1
        runner = Runner(board, {}, made["arbiter"], lambda attempt: None, MemoryJournal())  # type: ignore[arg-type, return-value]
        board.tell(state=FINISHED)
        with board.changed:
            assert board.changed.wait_for(lambda: board.has_seen("guest"), 10)
        assert runner._may_leave("guest")
        guest.tell(task="")
        guest.restart(8)
        with board.changed:
            assert board.changed.wait_for(lambda: board.mailbox.wanted == 8, 10)


def test_an_end_is_heard_when_the_peer_says_so_and_not_when_it_was_told() -> None:
    own, peer = Board("arbiter", ["guest"], 1 << 20), Board("guest", ["arbiter"], 1 << 20)
    own.restart(1)
    peer.hear("arbiter", own.status("guest"))
    own.tell_failure("arbiter", "run", "no key", 0)
    own.note_heard("guest", "")  # the peer answered, and did not know this process yet
    own.note_heard("guest", peer.status("arbiter").heard)  # it knew it, from before the end
    assert not own.has_seen("guest")
    peer.hear("arbiter", own.status("guest"))
    heard = peer.status("arbiter").heard
    own.note_heard("guest", heard)
    assert own.has_seen("guest")
    after = Board("arbiter", ["guest"], 1 << 20)  # started again; what was heard of the former process is nothing to it
    after.restart(1)
    after.tell_failure("arbiter", "run", "no key", 0)
    after.note_heard("guest", heard)
    assert not after.has_seen("guest")


@pytest.mark.parametrize("claim", [0, 1 << 31, 1 << 63, (1 << 64) - 1])
def test_a_claim_is_refused_before_memory_is_taken(claim: int, arbiter: Net) -> None:
    board, made = arbiter
    with guest_of(board, made["guest"]) as guest:
        deliver(made["guest"], list(split(FrameHeader(1, 0, 3), b"abc")), guest.instance)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(grpc.RpcError) as caught:
            deliver(made["guest"], [FrameHeader(1, 1, claim).to_bytes()], guest.instance)
        assert code(caught.value) == "INVALID_ARGUMENT"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 10  # KiB
    assert board.mailbox.take("guest") == b"abc"


def test_too_many_bytes_a_missing_deadline_and_unknown_calls_are_refused(arbiter: Net) -> None:
    board, made = arbiter
    with guest_of(board, made["guest"]) as guest:
        with pytest.raises(grpc.RpcError) as caught:
            deliver(made["guest"], [FrameHeader(1, 0, 3).to_bytes(), b"abcd"], guest.instance)
        assert code(caught.value) == "INVALID_ARGUMENT"
        with pytest.raises(grpc.RpcError) as caught:
            deliver(made["guest"], list(split(FrameHeader(1, 0, 3), b"abc")), guest.instance, timeout=None)
        assert code(caught.value) == "INVALID_ARGUMENT"
        channel = open_channel(made["guest"], credentials("guest"), "arbiter")
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/vflfast/Open")(b"", timeout=5)
        channel.close()
        assert code(caught.value) == "UNIMPLEMENTED"


def test_a_full_mailbox_holds_the_sender_back() -> None:
    made = configs(max_held_bytes=1 << 16)
    with connected(made["arbiter"]) as (board, _), connected(made["guest"]) as (guest, peers):
        board.restart(1)
        guest.restart(1)
        data = bytes(50_000)
        for _ in range(4):
            peers["arbiter"].put(data)
        end = time.monotonic() + 5
        got = 0
        while got < 4 and time.monotonic() < end:
            held = sum(map(len, board.mailbox._held["guest"].values()))
            assert held <= (1 << 16) + len(data)
            with board.changed:
                got += board.mailbox.take("guest") is not None
                board.changed.wait(0.05)
        assert got == 4


@pytest.mark.parametrize(
    "change",
    [
        {"role": "host1"}, {"attempt": "1"}, {"attempt": -1}, {"attempt": True},
        {"state": "well"}, {"problem": "x" * 10_000}, {"clock": 1}, {"step": None},
    ],
)  # fmt: skip
def test_no_status(change: dict[str, object]) -> None:
    import json

    good = json.loads(Status("guest", clock=1.5).to_bytes())
    assert parse_status(json.dumps(good).encode(), "guest").clock == 1.5
    with pytest.raises(ProtocolError, match="status"):
        parse_status(json.dumps(good | change).encode(), "guest")
    for junk in (b"", b"[]", b"null", b"{}", b"\xff", b"[" * 4000):
        with pytest.raises(ProtocolError, match="status"):
            parse_status(junk, "guest")

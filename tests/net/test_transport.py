"""gRPC's edges: who calls, whether the own port refuses old TLS, what is said without the package."""

from __future__ import annotations

import dataclasses
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from support.network import configs, credentials

from vflfast.errors import InputError, VflError
from vflfast.net import transport
from vflfast.net.config import NetConfig

CONFIG = configs()["arbiter"]


def call(tls: list[bytes] | None = None, shown: list[bytes] | None = None, said: list[tuple[str, Any]] | None = None) -> Any:
    facts = {"x509_pem_cert": shown or []} | ({} if tls is None else {"ssl_tls_version": tls})
    return SimpleNamespace(auth_context=lambda: facts, invocation_metadata=lambda: said or [])


@pytest.mark.parametrize(("tls", "role", "expected"), [
    (None, "guest", "guest"), ([b"TLSv1.3"], "guest", "guest"), ([b"TLSv1.2"], "guest", None),
    ([b"TLSv1.3", b"TLSv1.2"], "guest", None), (None, "", None),
])  # fmt: skip
def test_the_role_is_that_of_a_certificate_under_tls_1_3(tls: list[bytes] | None, role: str, expected: str | None) -> None:
    shown = [credentials(role).certificate] if role else []
    assert transport.caller(call(tls, shown, [(transport.ROLE_KEY, "arbiter")]), CONFIG) == expected


@pytest.mark.parametrize(("said", "expected"), [
    ([(transport.ROLE_KEY, "guest")], "guest"), ([], None), ([(transport.ROLE_KEY, b"guest")], None), ([("other", "guest")], None),
    ([(transport.ROLE_KEY, "guest"), (transport.ROLE_KEY, "arbiter")], None),
])  # fmt: skip
def test_without_tls_the_role_is_the_one_word_that_is_said(said: list[tuple[str, Any]], expected: str | None) -> None:
    assert transport.caller(call(said=said), configs(plaintext=True)["arbiter"]) == expected


def test_without_grpc_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(InputError, match=r"vflfast\[net\]"):
        transport.load_grpc()


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[NetConfig]:
    """A port that takes one call and answers in its own way."""
    own = configs()["guest"]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as taken:
                taken.recv(1 << 14)
                answer(taken)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield dataclasses.replace(own, listen=f"127.0.0.1:{server.getsockname()[1]}")
        thread.join(10)


def reset(taken: socket.socket) -> None:
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing now sends a reset


@pytest.mark.parametrize(("answer", "refuses"), [
    (lambda taken: taken.sendall(b"\x16\x03\x03"), False),  # it goes on with the handshake
    (lambda taken: taken.sendall(b"\x15\x03\x03"), True),  # an alert
    (lambda taken: None, True),  # it hangs up
    (reset, True),
])  # fmt: skip
def test_what_a_port_answers_to_old_tls(answer: Callable[[socket.socket], None], refuses: bool) -> None:
    with answering(answer) as config:
        assert transport.refuses_old_tls(config) is refuses


def test_a_port_that_does_not_answer_cannot_be_asked() -> None:
    with answering(lambda taken: taken.recv(1)) as config, pytest.raises(VflError, match="does not answer"):
        transport.refuses_old_tls(config, 0.2)


def test_an_address_that_cannot_be_reached_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def nowhere(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(transport.socket, "create_connection", nowhere)
    for listen in ("0.0.0.0:7", "[::]:7"):
        with pytest.raises(VflError, match="Network is unreachable"):
            transport.refuses_old_tls(dataclasses.replace(configs()["guest"], listen=listen))
    assert asked == [("127.0.0.1", 7), ("::1", 7)]  # "everywhere" is asked at home

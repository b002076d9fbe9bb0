"""A TCP proxy between two parties, which delays, records, or stops forwarding without closing."""

from __future__ import annotations

import dataclasses
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vflfast.net.config import NetConfig, split_address


class Proxy:
    """Forwards a port of its own to `target`.

    Attributes
    ----------
    delay
        Seconds that every piece of up to 64 kB waits.
    held
        While set, nothing is forwarded and nothing is closed: a half-open connection.
    seen
        All bytes that were forwarded, in both directions.
    """

    def __init__(self, target: str) -> None:
        self._target = split_address("target", target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.delay, self.held, self.seen = 0.0, threading.Event(), bytearray()
        self._closed = False
        self._sockets: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._server.accept()
            except OSError:
                continue
            try:
                far = socket.create_connection(self._target, 5)
            except OSError:
                near.close()  # nobody there: the caller must hear so at once
                continue
            self._sockets += [near, far]
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        chosen = selectors.DefaultSelector()
        chosen.register(near, selectors.EVENT_READ, far)
        chosen.register(far, selectors.EVENT_READ, near)
        try:
            while not self._closed:
                if self.held.is_set():
                    time.sleep(0.02)
                    continue
                for key, _ in chosen.select(0.1):
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        return
                    time.sleep(self.delay)
                    self.seen += data
                    key.data.sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            near.close()
            far.close()


@contextmanager
def between(made: dict[str, NetConfig], one: str, other: str) -> Iterator[tuple[dict[str, NetConfig], list[Proxy]]]:
    """Put a proxy into each direction of the line between two parties; give the configurations that lead through them."""
    proxies = {(near, far): Proxy(made[far].listen) for near, far in ((one, other), (other, one))}
    led = dict(made)
    for (near, far), proxy in proxies.items():
        led[near] = dataclasses.replace(led[near], addresses={**led[near].addresses, far: proxy.address}, listen=made[near].listen)
    try:
        yield led, list(proxies.values())
    finally:
        for proxy in proxies.values():
            proxy.close()

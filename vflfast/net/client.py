"""One peer as this party reaches it: messages go out in order and are repeated until they are taken; a heartbeat asks how it is."""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ProtocolError
from ..params import MAX_EARLY_MESSAGES
from .board import Board, Status, parse_status
from .config import NetConfig
from .frames import FrameHeader, split
from .mailbox import Answer
from .service import ANSWER
from .transport import CONNECT_SECONDS, INSTANCE_KEY, ROLE_KEY, SERVICE, load_grpc, open_channel

if TYPE_CHECKING:
    import grpc

    from .certs import Credentials

log = logging.getLogger("vflfast")
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5  # seconds between two tries
HAIL_SECONDS = 5.0
FIRST_HAILS = 0.25  # seconds between two hails to a peer that is not there
FINAL_CODES = ("PERMISSION_DENIED", "ALREADY_EXISTS", "INVALID_ARGUMENT", "UNIMPLEMENTED")


class Caller:
    """Calls to one peer's service.

    Parameters
    ----------
    config, credentials
        Where it is; None for plaintext.
    peer
        Its role.
    """

    def __init__(self, config: NetConfig, credentials: Credentials | None, peer: str) -> None:
        self.peer = peer
        self._config, self._credentials = config, credentials
        self._metadata = ((ROLE_KEY, config.role),) if config.plaintext else ()
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._shown: bytes | None = None
        self._doubtful = True
        self._closed = False

    def hail(self, own: Status, timeout: float = HAIL_SECONDS) -> Status:
        """Exchange statuses; ProtocolError, or grpc.RpcError when the peer is not reached."""
        with self._connected() as channel:
            reply = channel.unary_unary(f"/{SERVICE}/Hail")(own.to_bytes(), timeout=timeout, metadata=self._metadata)
        return parse_status(reply, self.peer)

    def deliver(self, header: FrameHeader, data: bytes, instance: str, timeout: float) -> tuple[Answer, int]:
        """Send a message; return what became of it, and the peer's attempt; ProtocolError if it is refused."""
        metadata = (*self._metadata, (INSTANCE_KEY, instance))
        with self._connected() as channel:
            reply = channel.stream_unary(f"/{SERVICE}/Deliver")(split(header, data), timeout=timeout, metadata=metadata)
        try:
            answer, attempt = ANSWER.unpack(reply)
            return Answer(answer), attempt
        except (ValueError, struct.error):
            raise ProtocolError(self.peer, "deliver", "its answer is not one") from None

    def close(self) -> None:
        """Give the connection up."""
        with self._lock:
            self._closed = True
            if self._channel is not None:
                self._channel.close()

    @contextmanager
    def _connected(self) -> Iterator[grpc.Channel]:
        """The channel; after a failure the peer shows its certificate again, for it may have come back with another."""
        with self._lock:
            if self._closed:
                raise ValueError("the connection was given up")
            if self._doubtful:
                self._renew()
                self._doubtful = False
            channel = self._channel
        try:
            yield channel
        except load_grpc().RpcError:
            self._doubtful = True
            raise

    def _renew(self) -> None:
        if self._credentials is None:
            self._channel = self._channel or open_channel(self._config, None, self.peer)
            return
        from .identity import certificate_at

        shown = certificate_at(self._config, self._credentials, self.peer, CONNECT_SECONDS)
        if shown == self._shown:
            return
        if self._channel is not None:
            self._channel.close()
        self._channel = open_channel(self._config, self._credentials, self.peer, shown)
        self._shown = shown


class Peer:
    """A Caller with two threads: one sends what is put, the other keeps in touch."""

    def __init__(self, board: Board, config: NetConfig, credentials: Credentials | None, name: str) -> None:
        self.name = name
        self._board, self._config = board, config
        self._caller = Caller(config, credentials, name)
        self._queue: deque[tuple[FrameHeader, bytes]] = deque()
        self._sequence = 0
        self._closed = False
        self._threads = [threading.Thread(target=t, name=f"{t.__name__} {name}", daemon=True) for t in (self._send, self._keep_in_touch)]

    def start(self) -> None:
        """Begin to send and to ask."""
        for thread in self._threads:
            thread.start()

    def restart(self) -> None:
        """Drop what was not sent: a new attempt begins."""
        with self._board.changed:
            self._queue.clear()
            self._sequence = 0
            self._board.changed.notify_all()

    def put(self, data: bytes) -> None:
        """Take the next message of the attempt; the caller holds `board.changed` and has seen that there is `room`."""
        with self._board.changed:
            self._queue.append((FrameHeader(self._board.mailbox.attempt, self._sequence, len(data)), data))
            self._sequence += 1
            self._board.changed.notify_all()

    @property
    def room(self) -> bool:
        """Whether another message may wait."""
        return len(self._queue) < MAX_EARLY_MESSAGES

    @property
    def pending(self) -> bool:
        """Whether a message was not taken yet."""
        return bool(self._queue)

    def confirm(self, instance: str) -> bool | None:
        """Return whether `instance` is the process that answers at the peer's address now; None when nobody does."""
        return self._board.is_live(self.name, instance) if self._ask() else None

    def close(self) -> None:
        """End both threads, and the connection."""
        with self._board.changed:
            self._closed = True
            self._board.changed.notify_all()
            self._board.news.notify_all()
        self._caller.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(LONGEST_PAUSE)

    def _send(self) -> None:
        pause = FIRST_PAUSE
        while True:
            with self._board.changed:
                while not self._queue and not self._closed:
                    pause = FIRST_PAUSE
                    self._board.changed.wait()
                if self._closed:
                    return
                header, data = self._queue[0]
            if self._try(header, data):
                pause = FIRST_PAUSE
            else:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _try(self, header: FrameHeader, data: bytes) -> bool:
        """Send once; return whether the message need not be sent again."""
        try:
            answer, attempt = self._caller.deliver(header, data, self._board.instance, self._config.peer_timeout)
        except (load_grpc().RpcError, ValueError, ProtocolError) as error:  # ValueError: the channel was closed meanwhile
            self._failed(error)
            return False
        with self._board.changed:
            self._board.touch(self.name, attempt)
            done = answer in (Answer.TAKEN, Answer.DUPLICATE)
            if done and self._queue and self._queue[0][0] is header:
                self._queue.popleft()
                self._board.changed.notify_all()
        return done

    def _failed(self, error: Exception) -> None:
        if self._closed:
            return
        code, details = _reason(error)
        self._board.miss(self.name, f"{code}: {details}")
        log.info("%s: %s is not reached (%s)", self._board.role, self.name, code)
        if code in FINAL_CODES:
            self._board.refuse(self.name, ProtocolError(self.name, "deliver", f"refuses: {details}"))

    def _keep_in_touch(self) -> None:
        while not self._closed:
            state = self._board.status().state
            reached = self._ask()
            with self._board.changed:
                if not self._closed and state == self._board.status().state:  # else pass the news on at once
                    self._board.news.wait(self._config.heartbeat if reached else min(self._config.heartbeat, FIRST_HAILS))

    def _ask(self) -> bool:
        try:
            status = self._caller.hail(self._board.status(self.name))
        except (load_grpc().RpcError, ValueError, ProtocolError) as error:
            if not self._closed:
                self._board.miss(self.name, ": ".join(_reason(error)))
            return False
        self._board.hear(self.name, status)
        self._board.note_heard(self.name, status.heard)
        return True


def _reason(error: Exception) -> tuple[str, str]:
    if isinstance(error, ProtocolError):
        return "UNAVAILABLE", error.problem
    code = getattr(error, "code", None)
    if code is None:
        return type(error).__name__, str(error)
    return code().name, str(getattr(error, "details", lambda: "")())


def ask_all(config: NetConfig, credentials: Credentials | None, timeout: float) -> dict[str, Status | str]:
    """Return what every party, this one too, says of itself; a text says why one is not reached."""
    found: dict[str, Status | str] = {}
    for name in config.addresses:
        caller = Caller(config, credentials, name)
        try:
            found[name] = caller.hail(Status(config.role), timeout)
        except (load_grpc().RpcError, ProtocolError) as error:
            found[name] = ": ".join(_reason(error))
        finally:
            caller.close()
    return found

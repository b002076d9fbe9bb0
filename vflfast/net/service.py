"""The service: one port a party, two calls. Deliver takes a message into the mailbox, Hail exchanges statuses; all else is refused."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ProtocolError, VflError
from .board import Board, parse_status
from .config import NetConfig
from .frames import join, parse_header
from .mailbox import Answer
from .transport import INSTANCE_KEY, SERVER_OPTIONS, SERVICE, caller, listen, load_grpc, metadata, most_connections, refuses_old_tls

if TYPE_CHECKING:
    import grpc

    from .certs import Credentials

log = logging.getLogger("vflfast")
ANSWER = struct.Struct("<BI")  # Answer, attempt of the recipient
MAX_CALL_SECONDS = 2e6  # a call without a deadline counts as endless; the longest peer_timeout is half of this
STOP_GRACE = 1.0  # seconds for calls that are under way

Confirm = Callable[[str, str], bool | None]


class Service:
    """One party's server; VflError if the port is taken.

    Parameters
    ----------
    board
        What it fills.
    config, credentials
        Where it listens, as whom; `credentials` is None for plaintext.
    confirm
        Says whether a process is the one that answers at the address of a role; None when nobody answers there.
    """

    def __init__(self, board: Board, config: NetConfig, credentials: Credentials | None, confirm: Confirm) -> None:
        self._board, self._config, self._confirm = board, config, confirm
        self._busy = {peer: threading.Lock() for peer in board.peers}
        grpc = load_grpc()
        threads = 4 * len(board.peers) + 2
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vflfast-service")
        options = [*SERVER_OPTIONS, ("grpc.max_allowed_incoming_connections", most_connections())]
        self._server = grpc.server(self._pool, options=options, maximum_concurrent_rpcs=threads)
        handlers = {
            "Deliver": grpc.stream_unary_rpc_method_handler(self._deliver),
            "Hail": grpc.unary_unary_rpc_method_handler(self._hail),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        listen(self._server, config, credentials)
        self._server.start()
        if credentials and not refuses_old_tls(config):
            self.stop()
            raise VflError("service: grpcio takes TLS 1.2 here; load vflfast.net.transport.load_grpc() before any other use of grpc")
        log.info("%s listens on %s%s", board.role, config.listen, "" if credentials else " without TLS")

    def stop(self) -> None:
        """Take no new calls, and end those under way."""
        self._server.stop(STOP_GRACE).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, frames: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        sender = self._peer(context)
        with self._one_at_a_time(sender) as alone, _told_to_the_caller(context):
            answer = self._take(sender, frames, context) if alone else Answer.FULL
        return ANSWER.pack(answer.value, self._board.status().attempt)

    def _take(self, sender: str, frames: Iterator[bytes], context: grpc.ServicerContext) -> Answer:
        header = parse_header(next(frames, b""), sender, self._config.max_message_bytes)
        instance = metadata(context, INSTANCE_KEY)
        if not self._board.is_live(sender, instance):
            confirmed = self._confirm(sender, instance)
            if confirmed is None:
                self._deny(context, "UNAVAILABLE", f"{sender}: nobody answers at its address")
            if not confirmed:
                self._deny(context, "ALREADY_EXISTS", f"{sender}: another process answers at its address")
        if self._board.is_elsewhere(sender):
            self._deny(context, "UNAVAILABLE", f"{self._board.role}: here for another task than {sender}")
        refused = self._board.room(sender, header)
        return refused or self._board.offer(sender, header, join(frames, header, sender, lambda: self._board.touch(sender)))

    def _hail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        sender = self._peer(context, also_self=True)
        with _told_to_the_caller(context):
            status = parse_status(request, sender)
        if sender not in self._board.peers or not self._board.is_live(sender, status.instance):
            return self._board.status().to_bytes()
        self._board.hear(sender, status)
        self._board.note_heard(sender, status.heard)
        return self._board.status(sender).to_bytes()

    def _peer(self, context: grpc.ServicerContext, *, also_self: bool = False) -> str:
        role = caller(context, self._config)
        if role not in (*self._board.peers, *([self._board.role] if also_self else [])):
            log.warning("refused a caller that is no peer of %s", self._board.role)
            self._deny(context, "PERMISSION_DENIED", f"only {', '.join(self._board.peers)} may call {self._board.role}")
        remaining = context.time_remaining()
        if remaining is None or remaining > MAX_CALL_SECONDS:
            self._deny(context, "INVALID_ARGUMENT", "a call needs a deadline")
        return str(role)

    def _deny(self, context: grpc.ServicerContext, code: str, why: str) -> None:
        context.abort(load_grpc().StatusCode[code], why)

    @contextmanager
    def _one_at_a_time(self, sender: str) -> Iterator[bool]:
        """Memory for one message a peer: a second call waits at its sender."""
        alone = self._busy[sender].acquire(blocking=False)
        try:
            yield alone
        finally:
            if alone:
                self._busy[sender].release()


@contextmanager
def _told_to_the_caller(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except ProtocolError as error:
        log.warning("refused: %s", error)
        context.abort(load_grpc().StatusCode.INVALID_ARGUMENT, str(error))

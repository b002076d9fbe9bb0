"""Link: how a party's program sends and receives. It serialises, parses, and holds every message against the table of steps.

A program is a coroutine; `await link.send(...)` and `await link.receive(...)` yield requests to whatever drives it (the inline
driver, later a network service), so that the same text runs in every topology.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ..errors import ProtocolError
from . import messages as ms
from .steps import ROUND_KINDS, TABLE, Lane, Table

M = TypeVar("M", bound=ms.Message)

# (party, round, stage) at the start of every stage of work; (party, round, "") when it waits.
Observer = Callable[[str, int, str], None]
# A little work that could be done now; False when there is none left.
Idle = Callable[[], bool]


@dataclass(frozen=True)
class SendRequest:
    """Deliver `data` to `recipient`."""

    recipient: str
    data: bytes
    kind: str


@dataclass(frozen=True)
class ReceiveRequest:
    """Give the next message from `sender`."""

    sender: str
    kind: str
    idle: Idle | None = field(default=None, compare=False)  # what the party can do while it waits


class _Ask:
    """Awaitable that yields one request and returns what the driver sends back."""

    def __init__(self, request: SendRequest | ReceiveRequest) -> None:
        self.request = request

    def __await__(self) -> Generator[SendRequest | ReceiveRequest, bytes, bytes]:
        return (yield self.request)


class Link:
    """One party's end of the conversation.

    Attributes
    ----------
    session
        32 bytes once all have said Hello; every later message must carry it.
    round, attempt
        What messages of a round carry; a message of another round or attempt is refused.
    idle
        Work for a driver whose party waits for a peer on another machine; one that never waits leaves it.

    The messages of `table` are all that it knows: any other kind is refused when it is parsed.
    Its transcripts go on from those of `before`, an earlier conversation of the same parties.
    """

    def __init__(
        self, name: str, peers: tuple[str, ...], observer: Observer | None = None, attempt: int = 0, *, table: Table = TABLE,
        before: Link | None = None,
    ) -> None:
        self.name = name
        self.peers = peers
        self.session = ms.NO_SESSION
        self.round = 0
        self.attempt = attempt
        self.idle: Idle | None = None
        self._observer = observer
        self._out = {peer: Lane(name, peer, table) for peer in peers}
        self._in = {peer: Lane(peer, name, table) for peer in peers}
        self._kinds = {cls.kind: cls for states in table.values() for follow in states.values() for cls in follow}
        lanes = [lane for peer in peers for lane in ((name, peer), (peer, name))]
        self._chains: dict[tuple[str, str], bytes] = dict(before._chains) if before else dict.fromkeys(lanes, bytes(ms.DIGEST_BYTES))

    def stage(self, name: str) -> None:
        """Tell the observer what this party starts to do."""
        if self._observer:
            self._observer(self.name, self.round, name)

    def divide(self, parts: Mapping[str, float]) -> None:
        """Tell an observer that can tell them apart what the stage up to now was made of, in any unit of time."""
        divide = getattr(self._observer, "divide", None)
        if divide is not None:
            divide(self.name, self.round, parts)

    def tell(self, what: str, value: float) -> None:
        """Tell an observer that shows figures one of them: "loss" of the round, or "bytes" that were sent."""
        tell = getattr(self._observer, "tell", None)
        if tell is not None:
            tell(self.name, what, value)

    async def send(self, recipient: str, message: ms.Message) -> None:
        """Send a message that the table allows now."""
        self._out[recipient].advance(type(message))
        self.stage("serialize")
        envelope = ms.Envelope(self.session, self._round_of(type(message)), self.attempt, self.name, recipient)
        data = ms.to_bytes(message, envelope)
        self._chain(self.name, recipient, data)
        self.tell("bytes", len(data))
        self.stage("")
        await _Ask(SendRequest(recipient, data, type(message).__name__))

    async def receive(self, sender: str, cls: type[M]) -> M:
        """Return the next message from `sender`, which must be of class `cls`.

        Raises
        ------
        ProtocolError
            Another kind, session, round, attempt, sender or recipient; damaged bytes.
        """
        self.stage("")
        data = await _Ask(ReceiveRequest(sender, cls.__name__, self.idle and self._work_idly))
        self.stage("parse")
        message, envelope = ms.from_bytes(data, sender, self._kinds)
        if not isinstance(message, cls):
            raise ProtocolError(sender, cls.__name__, f"sent {type(message).__name__} instead")
        self._check(envelope, sender, cls)
        self._in[sender].advance(cls)
        self._chain(sender, self.name, data)
        return message

    def _work_idly(self) -> bool:
        self.stage("precompute")
        done = self.idle is not None and self.idle()
        self.stage("")
        return done

    def transcript(self, peer: str) -> bytes:
        """Return the SHA-256 over all messages to and from a peer; both ends have the same between two rounds."""
        lanes = sorted(((self.name, peer), (peer, self.name)))
        return hashlib.sha256(b"".join(self._chains[lane] for lane in lanes)).digest()

    def transcripts(self) -> bytes:
        """Return the transcripts with all peers, in the order of their names."""
        return b"".join(self.transcript(peer) for peer in sorted(self.peers))

    def _chain(self, sender: str, recipient: str, data: bytes) -> None:
        lane = sender, recipient
        self._chains[lane] = hashlib.sha256(self._chains[lane] + data[-ms.DIGEST_BYTES :]).digest()

    def _round_of(self, cls: type[ms.Message]) -> int:
        return self.round if cls in ROUND_KINDS else 0

    def _check(self, envelope: ms.Envelope, sender: str, cls: type[ms.Message]) -> None:
        step = cls.__name__
        if envelope.sender != sender or envelope.recipient != self.name:
            raise ProtocolError(sender, step, "the message is from or for another party")
        if envelope.session != self.session:
            raise ProtocolError(sender, step, "the message belongs to another session")
        if envelope.round != self._round_of(cls) or envelope.attempt != self.attempt:
            raise ProtocolError(
                sender, step, f"the message is of round {envelope.round}, attempt {envelope.attempt}; "
                f"this is round {self._round_of(cls)}, attempt {self.attempt}"
            )  # fmt: skip

"""Board: what one party's threads share. Its mailbox, where its program is, and what every peer last said of itself."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

from .. import __version__
from ..errors import ProtocolError
from ..params import MAX_NOTICE_CHARS
from .frames import FrameHeader
from .mailbox import Answer, Mailbox

STARTING, RUNNING, FINISHED, FAILED = "starting", "running", "finished", "failed"
STATES = (STARTING, RUNNING, FINISHED, FAILED)
MAX_STATUS_BYTES = 1 << 13


@dataclass(frozen=True)
class Status:
    """What a party says of itself when it is hailed; nothing of its data.

    Attributes
    ----------
    instance
        Random name of the process; empty for someone who only asks.
    clock
        Seconds since 1970.
    settings
        The agreed settings, as canonical text; empty for someone who only asks.
    task
        What the process is there for, such as "train" or "score".
    party, step, problem
        Of a run that failed: who was at fault where, and what was wrong.
    heard
        What was last heard of the process that this is said to, as its `summary`; empty: nothing yet.
    """

    role: str
    instance: str = ""
    state: str = STARTING
    attempt: int = 0
    round: int = 0
    stage: str = ""
    version: str = __version__
    clock: float = 0.0
    settings: str = ""
    task: str = ""
    party: str = ""
    step: str = ""
    problem: str = ""
    heard: str = ""

    @property
    def summary(self) -> str:
        """Process, attempt and state."""
        return f"{self.instance} {self.attempt} {self.state}"

    def to_bytes(self) -> bytes:
        """Return the status as JSON."""
        return json.dumps(asdict(self)).encode()


def parse_status(data: bytes, sender: str) -> Status:
    """Return a peer's status, every field of its type and of bounded length.

    Raises
    ------
    ProtocolError
        Anything else.
    """
    try:
        values = json.loads(data) if len(data) <= MAX_STATUS_BYTES else {}
        kinds = {"int": int, "str": str, "float": float}
        status = Status(**{field.name: kinds[str(field.type)](values[field.name]) for field in fields(Status)})
        if any(type(values[field.name]) is not kinds[str(field.type)] for field in fields(Status)):
            raise ValueError
        "".join(value for value in values.values() if isinstance(value, str)).encode()  # lone surrogates cannot be shown
        if status.state not in STATES or status.role != sender or not 0 <= status.attempt < 1 << 32:
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        raise ProtocolError(sender, "hail", "its status is not one") from None
    return status


class Board:
    """The state of one party, behind one lock; `changed` wakes whoever waits for a part of it, `news` who passes its state on.

    Parameters
    ----------
    role, peers
        This party and the others.
    max_held_bytes
        Most bytes of one peer's messages that wait to be read.
    settings, task
        As of `Status`.
    """

    def __init__(self, role: str, peers: Sequence[str], max_held_bytes: int, settings: str = "", task: str = "") -> None:
        self.role, self.peers = role, tuple(peers)
        self.instance = secrets.token_hex(16)
        lock = threading.RLock()
        self.changed, self.news = threading.Condition(lock), threading.Condition(lock)
        self.mailbox = Mailbox(peers, 0, max_held_bytes)
        self.statuses: dict[str, Status] = {}
        self.last_heard = dict.fromkeys(peers, time.monotonic())
        self.problems: dict[str, str] = {}
        self.refusals: dict[str, ProtocolError] = {}
        self._seen: set[str] = set()
        self._spoke: set[str] = set()
        self._own = Status(role, self.instance, settings=settings, task=task)

    def status(self, to: str = "") -> Status:
        """Return this party's status, as it is said to a peer."""
        with self.changed:
            heard = self.statuses[to].summary if to in self.statuses else ""
            return replace(self._own, attempt=self.mailbox.attempt, clock=time.time(), heard=heard)

    def restart(self, attempt: int) -> None:
        """Begin an attempt: an empty mailbox, and nobody has seen its end."""
        with self.changed:
            self.mailbox.restart(attempt)
            self._spoke.clear()
        self.tell(state=RUNNING, party="", step="", problem="")

    def come_back(self, attempt: int) -> None:
        """Say that this party's run came to its end in `attempt`, before this process was started."""
        with self.changed:
            self.mailbox.restart(attempt)
        self.tell(state=FINISHED)

    def tell(self, **changes: str | int) -> None:
        """Change this party's status; when its state changes, wake those who pass it on."""
        with self.changed:
            self._own = replace(self._own, **changes)  # type: ignore[arg-type]
            if "state" in changes:
                self._seen.clear()
                self.changed.notify_all()
                self.news.notify_all()

    def tell_failure(self, party: str, step: str, problem: str, round_: int) -> None:
        """Say why this party ends the run."""
        self.tell(state=FAILED, party=party[:16], step=step[:64], problem=problem[:MAX_NOTICE_CHARS], round=round_)

    def hear(self, peer: str, status: Status) -> None:
        """Take note of what the live process of a peer said."""
        with self.changed:
            before = self.statuses.get(peer)
            self.statuses[peer] = status
            self.last_heard[peer] = time.monotonic()
            self.problems.pop(peer, None)
            if not self.is_elsewhere(peer):
                ended = status.state == FINISHED and status.attempt == self.mailbox.attempt  # what it had to say was taken before
                if before and before.instance != status.instance and peer in self._spoke and not ended:
                    self.mailbox.notice(self.mailbox.attempt + 1)  # what its former process began, this one cannot go on with
                if status.state in (RUNNING, FINISHED):
                    self.mailbox.notice(status.attempt)
            self.changed.notify_all()

    def is_elsewhere(self, peer: str) -> bool:
        """Return whether a peer's process is there for another task than this one: its attempts and its end are not this run's."""
        with self.changed:
            status = self.statuses.get(peer)
            return status is not None and status.task != self._own.task

    def touch(self, peer: str, attempt: int | None = None) -> None:
        """Take note that a peer answered, and of the attempt it is in."""
        with self.changed:
            self.last_heard[peer] = time.monotonic()
            self.problems.pop(peer, None)
            if attempt is not None:
                self.mailbox.notice(attempt)
                self.changed.notify_all()

    def miss(self, peer: str, problem: str) -> None:
        """Take note of why a peer could not be reached."""
        with self.changed:
            self.problems[peer] = problem

    def refuse(self, peer: str, error: ProtocolError) -> None:
        """Take note that a peer refuses this party for good."""
        with self.changed:
            self.refusals[peer] = error
            self.changed.notify_all()

    def forgive(self, seconds: float) -> None:
        """Move all last words forward: this process itself was paused, and heard nobody."""
        with self.changed:
            for peer in self.peers:
                self.last_heard[peer] += seconds

    def is_live(self, peer: str, instance: str) -> bool:
        """Return whether `instance` is the process that answers at the peer's address, as far as is known."""
        with self.changed:
            status = self.statuses.get(peer)
            return bool(instance) and status is not None and status.instance == instance

    def note_heard(self, peer: str, heard: str) -> None:
        """Take note of what a peer has heard of this party: that it ended, once the peer says so, and not when it was told."""
        with self.changed:
            own = self.status()
            if own.state in (FINISHED, FAILED) and heard == own.summary:
                self._seen.add(peer)
                self.changed.notify_all()

    def has_seen(self, peer: str) -> bool:
        """Return whether a peer has this party's present state."""
        with self.changed:
            return peer in self._seen

    def room(self, sender: str, header: FrameHeader) -> Answer | None:
        """Return the answer to a claim that is refused before its message is read; None: go on reading."""
        with self.changed:
            box = self.mailbox
            box.notice(header.attempt)
            if header.attempt != box.attempt:
                self.changed.notify_all()
                return Answer.STALE if header.attempt < box.attempt else Answer.LATER
            return None if box.has_room(sender, header.sequence, header.n_bytes) else Answer.FULL

    def offer(self, sender: str, header: FrameHeader, data: bytes) -> Answer:
        """Put a whole message into the mailbox."""
        with self.changed:
            answer = self.mailbox.offer(sender, header.attempt, header.sequence, data)
            if answer is Answer.TAKEN:
                self._spoke.add(sender)
            self.changed.notify_all()
            return answer

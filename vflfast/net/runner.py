"""Runner: drives one party's program over the network, through as many attempts as crashes and lost messages take.

A party's program is a coroutine (protocol/link.py). Whoever restarts begins a new attempt; a party that learns of a newer attempt than
its own closes its program and begins that one, from the last round that all have committed.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..errors import PeerAbortError, PeerTimeoutError, ProtocolError, VflError
from ..params import MAX_BARREN_ATTEMPTS
from ..protocol.link import ReceiveRequest, SendRequest
from ..protocol.resume import Journal
from ..protocol.settings import differences
from .board import FAILED, FINISHED, RUNNING, STARTING, Board
from .client import Peer
from .config import NetConfig

log = logging.getLogger("vflfast")
Program = Coroutine[SendRequest | ReceiveRequest, bytes, Any]
PARSE = "parse"  # the step of a message that was damaged on the way
TICK = 0.5  # seconds between two looks at the clock
CAME_BACK = 5.0  # seconds that a party which had ended before waits for a peer that is not there
PAUSED = 2.0  # seconds beyond a tick: this process was not running


class AttemptJournal(Journal, Protocol):
    """A Journal that also counts attempts, durably."""

    def next_attempt(self) -> int:
        """Return the next attempt's number."""

    def adopt_attempt(self, attempt: int) -> None:
        """Take over another party's attempt."""

    def mark_finished(self, outcome: Mapping[str, Any] | None = None) -> None:
        """Note that the run came to its end here, and what the party had of it."""

    def outcome(self) -> tuple[int, dict[str, Any]] | None:
        """Return (attempt, outcome) of the run that came to its end here; None where it did not."""


class _SupersededError(Exception):
    """Another party is in a newer attempt."""


class Runner:
    """One party's part in a run.

    Parameters
    ----------
    board, peers
        The party's state, and its ends of the connections.
    config
        Timeouts.
    make_program
        Makes the program of an attempt.
    journal
        Its checkpoints and its count of attempts.
    """

    def __init__(
        self, board: Board, peers: dict[str, Peer], config: NetConfig, make_program: Callable[[int], Program], journal: AttemptJournal
    ) -> None:
        self._board, self._peers, self._config = board, peers, config
        self._make_program, self._journal = make_program, journal
        self._barren, self._newest = 0, -1

    def run(self, save: Callable[[Any], Mapping[str, Any] | None]) -> Any:
        """Run the program to its end, `save` its result, stay for peers that have not ended; return the result.

        Where the journal says that the run came to its end here, nothing is run again: the party says so, takes part once more if a
        peer needs it, and what `save` returned then is returned in place of a result.

        Raises
        ------
        PeerTimeoutError
            A peer that is needed was not heard of for `peer_timeout`; the journal is whole.
        PeerAbortError
            Another party ended the run.
        VflError
            Whatever the program raises; the peers are told. Every error's `place` says party, round and step.
        """
        try:
            ended = self._journal.outcome()
            attempt = self._journal.next_attempt() if ended is None else ended[0]
            while True:
                try:
                    if ended is None:
                        result = self._attempt(attempt)
                        self._journal.mark_finished(save(result))
                    else:
                        result = ended[1]
                    self._board.tell(state=FINISHED, stage="")
                    self._linger(came_back=ended is not None)
                    return result
                except _SupersededError:
                    attempt, ended = self._board.mailbox.wanted, None
                    self._journal.adopt_attempt(attempt)
                except ProtocolError as error:
                    if error.step != PARSE or isinstance(error, PeerAbortError) or not self._try_again():
                        raise
                    log.warning("%s: attempt %d ends (%s)", self._board.role, attempt, error)
                    attempt = self._journal.next_attempt()
        except Exception as error:
            if isinstance(error, VflError):
                self._give_up(error)
                raise
            made = VflError(_cause(error))
            self._give_up(made)
            raise made from error

    def _try_again(self) -> bool:
        """Return whether another attempt is worth while: so many in a row may bring no new round."""
        held = self._journal.held()
        newest = held[0].round if held else 0
        self._barren = self._barren + 1 if newest == self._newest else 1
        self._newest = newest
        return self._barren <= MAX_BARREN_ATTEMPTS

    def _attempt(self, attempt: int) -> Any:
        """Drive one attempt's program to its end; every message of it is delivered then."""
        log.info("%s: attempt %d begins", self._board.role, attempt)
        self._board.restart(attempt)
        for peer in self._peers.values():
            peer.restart()
        program = self._make_program(attempt)
        answer: bytes | None = None
        try:
            while True:
                try:
                    request = program.send(answer)  # type: ignore[arg-type]
                except StopIteration as end:
                    self._drain()
                    return end.value
                if isinstance(request, SendRequest):
                    self._send(request)
                    answer = None
                else:
                    answer = self._receive(request)
        finally:
            program.close()

    def _send(self, request: SendRequest) -> None:
        peer = self._peers[request.recipient]
        with self._board.changed:
            self._wait_until(lambda: peer.room, request.kind)
            peer.put(request.data)

    def _receive(self, request: ReceiveRequest) -> bytes:
        taken: list[bytes] = []

        def there() -> bool:
            data = None if taken else self._board.mailbox.take(request.sender)
            taken.extend([] if data is None else [data])
            return bool(taken)

        while request.idle is not None and not self._has_news(there) and request.idle():
            pass  # the lock is free meanwhile, for the threads that send and receive
        with self._board.changed:
            self._wait_until(there, request.kind, request.sender)
        return taken[0]

    def _has_news(self, there: Callable[[], bool]) -> bool:
        """Return whether there is anything better to do than idle work: a message, an attempt that ends, a peer that failed."""
        with self._board.changed:
            over = self._board.mailbox.wanted > self._board.mailbox.attempt
            failed = any(status.state == FAILED for status in self._board.statuses.values())
            return over or failed or there()

    def _drain(self) -> None:
        with self._board.changed:
            self._wait_until(lambda: not any(peer.pending for peer in self._peers.values()), "last messages")

    def _wait_until(self, done: Callable[[], bool], step: str, sender: str | None = None) -> None:
        """Wait under `board.changed`; whatever keeps it from coming true is an error within the time limits."""
        while True:
            if self._board.mailbox.wanted > self._board.mailbox.attempt:
                raise _SupersededError
            self._check_agreement()
            if done():
                return
            needed = [name for name, peer in self._peers.items() if name == sender or peer.pending]
            self._check_peers(needed, step)
            before = time.monotonic()
            self._board.changed.wait(min(TICK, max(0.001, self._time_left(needed))))
            late = time.monotonic() - before - TICK
            if late > PAUSED:
                self._board.forgive(late)

    def _time_left(self, needed: list[str]) -> float:
        last = min((self._board.last_heard[name] for name in needed), default=time.monotonic())
        return last + self._config.peer_timeout - time.monotonic()

    def _check_agreement(self) -> None:
        """Refuse peers that run something else, or otherwise, before a message of theirs is read as one of this run."""
        own = self._board.status()
        for name, status in self._board.statuses.items():
            if status.state in (RUNNING, FAILED) and status.task != own.task:  # one that has finished leaves its place soon
                raise ProtocolError(name, "Hello", f"is there to {status.task}, {own.role} to {own.task}")
            if status.state == RUNNING and status.settings != own.settings:
                raise ProtocolError(name, "Hello", "settings differ: " + "; ".join(differences(own.settings, status.settings)))

    def _check_peers(self, needed: list[str], step: str) -> None:
        for name, status in self._board.statuses.items():
            if status.state == FAILED:
                raise PeerAbortError(status.party or name, status.step or step, status.problem, round_=status.round, teller=name)
        for name in needed:
            if name in self._board.refusals:
                raise self._board.refusals[name]
            silent = time.monotonic() - self._board.last_heard[name]
            if silent >= self._config.peer_timeout:
                why = self._board.problems.get(name, "no answer")
                raise PeerTimeoutError(name, step, f"not heard of for {self._config.peer_timeout:g} s ({why}); start again to go on")

    def _linger(self, *, came_back: bool = False) -> None:
        """Stay until every peer has ended too and knows that this party has, or is silent for the `linger` time.

        A party that came back after its end waits less for a peer that it has not heard of: most likely that one is gone.
        """
        with self._board.changed:
            while not all(self._may_leave(name, came_back=came_back) for name in self._peers):
                if self._board.mailbox.wanted > self._board.mailbox.attempt:
                    raise _SupersededError
                self._board.changed.wait(TICK)

    def _may_leave(self, name: str, *, came_back: bool = False) -> bool:
        status = self._board.statuses.get(name)
        over = status is not None and status.state == FINISHED and status.attempt == self._board.mailbox.attempt
        failed = status is not None and (status.state == FAILED or (status.state != STARTING and self._board.is_elsewhere(name)))
        patience = min(self._config.linger, CAME_BACK) if came_back and status is None else self._config.linger
        silent = time.monotonic() - self._board.last_heard[name] >= patience
        # One that ended leaves when it knows that this party has: it need not say so again, so its silence says it.
        gone = over and name in self._board.problems
        return silent or gone or ((over or failed) and self._board.has_seen(name))

    def _give_up(self, error: VflError) -> None:
        """Say where it ended, and tell the peers why, as far as they can be reached soon."""
        own = self._board.status()
        party, step, problem = own.role, own.stage or "run", str(error)
        if isinstance(error, ProtocolError):
            party, step, problem = error.party, error.step, error.problem
        round_ = error.round if isinstance(error, PeerAbortError) else own.round
        error.place = ": ".join(filter(None, (f"{party}, round {round_}, {step}", error.place)))
        self._board.tell_failure(party, step, problem, round_)
        end = time.monotonic() + self._last_words
        with self._board.changed:
            while time.monotonic() < end and not all(self._board.has_seen(name) or self._has_gone(name) for name in self._peers):
                self._board.changed.wait(0.1)

    def _has_gone(self, name: str) -> bool:
        """Return whether a peer is not reached: at once if it was there, after a while if not, since it may be about to start."""
        silent = time.monotonic() - self._board.last_heard[name]
        return name in self._board.problems and (name in self._board.statuses or silent >= self._last_words)

    @property
    def _last_words(self) -> float:
        """Seconds to tell the peers of a failure."""
        return min(self._config.linger, 5 * self._config.heartbeat)


def _cause(error: Exception) -> str:
    """Return what may be told of an error outside the tree: its message may hold a secret, its class and line hold none."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f", {Path(frame.filename).name} line {frame.lineno}" for frame in last)
    return f"failed ({type(error).__name__}{where})"

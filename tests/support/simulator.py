"""A network of one thread that does everything networks and machines do: it drops, duplicates, reorders, corrupts, delays, pauses and
crashes, by a seed. The parties' programs, mailboxes and journals are the real ones; time is a count of steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vflfast.errors import JournalError, ProtocolError, VflError
from vflfast.net.mailbox import Answer, Mailbox
from vflfast.protocol.inline import Program
from vflfast.protocol.link import ReceiveRequest, SendRequest
from vflfast.protocol.resume import Checkpoint

MAX_ATTEMPTS = 60
ROOM = 1 << 20
RETRY_STEPS = 8

MakeProgram = Callable[[int, "MemoryJournal"], Program]


class Crash(BaseException):
    """The process ends here, whatever it was doing."""


@dataclass
class MemoryJournal:
    """Durable memory with the rules of FileJournal; `crash` ("before" or "after" the durable write, round) ends the process there."""

    generations: list[Checkpoint] = field(default_factory=list)
    attempt: int = 0
    done: bool = False
    ended: tuple[int, dict[str, Any]] = (0, {})
    crash: tuple[str, int] | None = None

    def held(self) -> tuple[Checkpoint, ...]:
        return tuple(self.generations)

    def commit(self, checkpoint: Checkpoint) -> None:
        self._maybe_crash("before", checkpoint.round)
        older = [c for c in self.generations if c.run == checkpoint.run and c.round < checkpoint.round]
        self.generations = [checkpoint, *older][:2]
        self.done = False
        self._maybe_crash("after", checkpoint.round)

    def finished(self) -> bool:
        return self.done

    def mark_finished(self, outcome: Any = None) -> None:
        self.done, self.ended = True, (self.attempt, dict(outcome or {}))

    def outcome(self) -> tuple[int, dict[str, Any]] | None:
        return self.ended if self.done else None

    def next_attempt(self) -> int:
        self.attempt += 1
        return self.attempt

    def adopt_attempt(self, attempt: int) -> None:
        self.attempt = attempt

    def _maybe_crash(self, when: str, round_: int) -> None:
        if self.crash == (when, round_):
            self.crash = None
            raise Crash


@dataclass(frozen=True)
class Faults:
    """Chance of each fault: per packet, or per party and step."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    corrupt: float = 0.0
    lose_answer: float = 0.0
    pause: float = 0.0
    crash: float = 0.0
    most_crashes: int = 3


@dataclass
class Packet:
    """A message on its way."""

    due: int
    sender: str
    recipient: str
    attempt: int
    sequence: int
    data: bytes


class Party:
    """One process: what survives a crash is its journal alone."""

    def __init__(self, name: str, peers: tuple[str, ...], make: MakeProgram) -> None:
        self.name, self.peers, self.make = name, peers, make
        self.journal = MemoryJournal()
        self.result: Any = None
        self.error: VflError | None = None
        self.asleep_until = 0
        self.crashes = 0
        self.program: Program | None = None
        self.begin(self.journal.next_attempt())

    def begin(self, attempt: int) -> None:
        """Start the program of an attempt from nothing but the journal."""
        self.journal.attempt = attempt
        self.box = Mailbox(self.peers, attempt, ROOM)
        if self.program:
            self.program.close()
        self.program = self.make(attempt, self.journal)
        self.waiting: ReceiveRequest | None = None
        self.started = False
        self.outbox: dict[str, list[tuple[int, bytes]]] = {peer: [] for peer in self.peers}
        self.sent = dict.fromkeys(self.peers, 0)
        self.retry_at = dict.fromkeys(self.peers, 0)

    def run(self) -> None:
        """Go on as far as messages allow."""
        if self.box.wanted > self.box.attempt:
            self.begin(self.box.wanted)
        while self.program is not None:
            answer = None
            if self.waiting is not None:
                answer = self.box.take(self.waiting.sender)
                if answer is None:
                    return
            try:
                request = self.program.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                self.result, self.program, self.journal.done = end.value, None, True
                return
            except ProtocolError as error:
                self._fail(error, again=error.step == "parse" and self.box.attempt < MAX_ATTEMPTS)
                return
            except VflError as error:
                self._fail(error, again=False)
                return
            if isinstance(request, SendRequest):
                self.waiting = None
                self.outbox[request.recipient].append((self.sent[request.recipient], request.data))
                self.sent[request.recipient] += 1
            else:
                self.waiting = request

    def _fail(self, error: VflError, *, again: bool) -> None:
        if again:  # a message was damaged on the way: all begin again from their journals
            self.begin(self.journal.next_attempt())
        else:
            self.error, self.program = error, None


class Simulation:
    """Parties and the network between them.

    `run` returns when all have finished, one has failed, or `most_steps` are over (a hang).
    """

    def __init__(self, programs: dict[str, MakeProgram], faults: Faults, seed: int, most_steps: int = 4000) -> None:
        self.random = random.Random(seed)
        self.faults, self.most_steps, self.now = faults, most_steps, 0
        names = tuple(programs)
        self.parties = {name: Party(name, tuple(n for n in names if n != name), make) for name, make in programs.items()}
        self.flying: list[Packet] = []
        self.captured: list[Packet] = []

    def run(self) -> str:
        """Return "finished", "failed" or "hang"."""
        for step in range(self.most_steps):
            self.now = step
            for party in self.parties.values():
                self._step(party)
            self._deliver()
            if any(p.error for p in self.parties.values()):
                return "failed"
            if all(p.program is None for p in self.parties.values()):
                return "finished"
        return "hang"

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _step(self, party: Party) -> None:
        if self.now < party.asleep_until:
            return
        if self._chance(self.faults.pause):
            party.asleep_until = self.now + self.random.randrange(1, 20)
            return
        if party.crashes < self.faults.most_crashes and self._chance(self.faults.crash):
            self.crash(party)
            return
        try:
            party.run()
        except (Crash, JournalError):
            self.crash(party)
            return
        self._send(party)

    def crash(self, party: Party) -> None:
        """End the process of a party; it starts again some steps later."""
        party.crashes += 1
        party.begin(party.journal.next_attempt())
        party.asleep_until = self.now + self.random.randrange(1, 10)

    def _send(self, party: Party) -> None:
        for peer, queue in party.outbox.items():
            if not queue or self.now < party.retry_at[peer]:
                continue
            party.retry_at[peer] = self.now + RETRY_STEPS
            sequence, data = queue[0]
            packet = Packet(self.now, party.name, peer, party.box.attempt, sequence, data)
            for _ in range(1 + self._chance(self.faults.duplicate)):
                if not self._chance(self.faults.drop):
                    self._launch(packet)

    def _launch(self, packet: Packet) -> None:
        late = self.random.randrange(1, 30) if self._chance(self.faults.delay) else 0
        data = packet.data
        if self._chance(self.faults.corrupt):
            position = self.random.randrange(len(data) * 8)
            changed = bytearray(data)
            changed[position // 8] ^= 1 << position % 8
            data = bytes(changed)
        self.flying.append(Packet(self.now + late, packet.sender, packet.recipient, packet.attempt, packet.sequence, data))

    def _deliver(self) -> None:
        arriving = [p for p in self.flying if p.due <= self.now and self.now >= self.parties[p.recipient].asleep_until]
        self.flying = [p for p in self.flying if p not in arriving]
        self.random.shuffle(arriving)
        for packet in arriving:
            recipient, sender = self.parties[packet.recipient], self.parties[packet.sender]
            answer = recipient.box.offer(packet.sender, packet.attempt, packet.sequence, packet.data)
            if recipient.program is None and recipient.box.wanted > recipient.box.attempt:
                recipient.begin(recipient.box.wanted)  # finished here, but a peer crashed in its last step
            if self._chance(self.faults.lose_answer) or sender.box.attempt != packet.attempt:
                continue
            if answer is Answer.STALE:
                sender.box.notice(recipient.box.attempt)
                if sender.program is None and sender.box.wanted > sender.box.attempt:
                    sender.begin(sender.box.wanted)
            elif answer in (Answer.TAKEN, Answer.DUPLICATE):
                queue = sender.outbox[packet.recipient]
                if queue and queue[0][0] == packet.sequence:
                    queue.pop(0)
                    sender.retry_at[packet.recipient] = self.now

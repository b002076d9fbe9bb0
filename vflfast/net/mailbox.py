"""Mailbox: what has arrived for a party's program, in order, once, and of the attempt that runs (protocol §7).

All parties of a run are in the same *attempt*, a number that only grows. Whoever restarts takes the next one; a message of a newer
attempt tells a party to restart too, one of an older attempt tells its sender. So all arrive at the highest number, whatever was lost.
Within an attempt every message of a lane has a sequence number: duplicates are dropped, early ones wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from ..params import MAX_EARLY_MESSAGES


class Answer(Enum):
    """What became of an offered message; the sender repeats it on LATER and FULL."""

    TAKEN = 0
    DUPLICATE = 1
    STALE = 2  # of an older attempt: the sender must restart
    LATER = 3  # of a newer attempt: this party restarts first
    FULL = 4  # no room: the program has to read first


class Mailbox:
    """Messages from every peer to one party.

    Parameters
    ----------
    peers
        Names that may send.
    attempt
        The attempt that runs, from 1.
    max_bytes
        Most bytes held from one peer besides the message that is due, which may be larger.
    """

    def __init__(self, peers: Iterable[str], attempt: int, max_bytes: int) -> None:
        self._peers = tuple(peers)
        self.max_bytes = max_bytes
        self.attempt = self.wanted = attempt
        self.restart(attempt)

    def restart(self, attempt: int) -> None:
        """Forget everything and begin an attempt."""
        self.attempt = attempt
        self.wanted = max(self.wanted, attempt)
        self._held: dict[str, dict[int, bytes]] = {peer: {} for peer in self._peers}
        self._next = dict.fromkeys(self._peers, 0)

    def notice(self, attempt: int) -> None:
        """Take note of an attempt that another party is in."""
        self.wanted = max(self.wanted, attempt)

    def offer(self, sender: str, attempt: int, sequence: int, data: bytes) -> Answer:
        """Take a message of a peer, if it is one to be had now."""
        self.notice(attempt)
        if attempt != self.attempt:
            return Answer.STALE if attempt < self.attempt else Answer.LATER
        held = self._held[sender]
        if sequence < self._next[sender] or sequence in held:
            return Answer.DUPLICATE
        if not self.has_room(sender, sequence, len(data)):
            return Answer.FULL
        held[sequence] = data
        return Answer.TAKEN

    def has_room(self, sender: str, sequence: int, n_bytes: int) -> bool:
        """Return whether a message of so many bytes could be taken; the one that the program reads next always can."""
        if sequence == self._next[sender]:  # else messages that came early could keep it out for ever
            return True
        return sequence < self._next[sender] + MAX_EARLY_MESSAGES and sum(map(len, self._held[sender].values())) + n_bytes <= self.max_bytes

    def take(self, sender: str) -> bytes | None:
        """Return the next message of a peer, None when it is not there yet."""
        data = self._held[sender].pop(self._next[sender], None)
        if data is not None:
            self._next[sender] += 1
        return data

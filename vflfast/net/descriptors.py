"""File descriptors for what must be written although others took them all.

A flood of connections can take every descriptor that a process may have. A few are kept in reserve and given up when a file of the
journal or the ledger is to be opened; when they are gone too, opening is tried again until `PATIENCE` is over.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

IN_RESERVE = 4
PATIENCE = 30.0  # seconds; connections that say nothing are closed long before
PAUSE = 0.05
EXHAUSTED = (errno.EMFILE, errno.ENFILE)


class Reserve:
    """A few descriptors on nothing, to be given up one by one."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._lock = threading.Lock()

    def fill(self) -> None:
        """Take descriptors again, as far as there are any."""
        with self._lock:
            try:
                while len(self._held) < IN_RESERVE:
                    self._held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                return

    def give_up(self) -> bool:
        """Free one descriptor; return whether there was one."""
        with self._lock:
            if self._held:
                os.close(self._held.pop())
                return True
            return False


_reserve = Reserve()


def with_descriptor(work: Callable[[], T]) -> T:
    """Return what `work` gives, which opens a file; OSError with EMFILE or ENFILE only after `PATIENCE` seconds without a descriptor."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            done = work()
        except OSError as error:
            if error.errno not in EXHAUSTED or time.monotonic() > end:
                raise
            if not _reserve.give_up():
                time.sleep(PAUSE)
            continue
        _reserve.fill()
        return done

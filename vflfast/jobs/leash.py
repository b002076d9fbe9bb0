"""Processes that end with the one that started them, however that ends.

The starter keeps the write end of a pipe that nobody writes to, its children inherit the read end: when the starter is gone, by whatever
signal, the system closes its end and the children's read returns. Nothing is asked for in intervals, and no process number can be reused.
"""

from __future__ import annotations

import os
import signal
import threading
import time

VARIABLE = "VFLFAST_LEASH"  # the inherited descriptor's number, in the environment of a child
GRACE = 5.0  # seconds from the signal to the end


class Leash:
    """The starter's side; `descriptors` and `environment` are for every child's `subprocess.Popen`, as `pass_fds` and `env`."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()  # neither is inherited but by pass_fds

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a child inherits."""
        return (self._read,)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process, with the descriptor's number."""
        return {**os.environ, VARIABLE: str(self._read)}

    def close(self) -> None:
        """Let go: children that still run end."""
        for descriptor in (self._read, self._write):
            os.close(descriptor)


def end_with_starter() -> None:
    """In a child: end as on SIGTERM once the starter is gone, and after `GRACE` seconds in any case; nothing if nobody holds a leash."""
    text = os.environ.pop(VARIABLE, "")
    if text.isdigit():
        os.set_inheritable(int(text), False)
        threading.Thread(target=_watch, args=(int(text),), name="leash", daemon=True).start()


def _watch(descriptor: int) -> None:
    os.read(descriptor, 1)  # nobody writes: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)

"""Data on a worker, and sending it again when its worker is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Sent:
    """Something for the workers.

    Parameters
    ----------
    make
        Gives it, also a second time: the client is its origin.
    home
        Number of the worker that gets it, counted around the workers there are.
    everywhere
        Every worker gets a copy.
    """

    def __init__(self, make: Callable[[], Any], *, home: int, everywhere: bool = False) -> None:
        self.make, self.home, self.everywhere = make, home, everywhere
        self.future: Any = None


def send(client: Any, data: Sent) -> Any:
    """Return the future of what is on a worker; sent now if it is not, or no longer."""
    if data.future is None or data.future.status != "finished":
        workers = sorted(client.nthreads())
        chosen = workers if data.everywhere else [workers[data.home % len(workers)]]
        # in a list: a tuple or list would be taken apart into one future for each of its elements
        data.future = client.scatter([data.make()], workers=chosen, broadcast=data.everywhere, hash=False)[0]
    return data.future

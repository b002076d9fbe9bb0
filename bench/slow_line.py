"""A slow line between network namespaces of this machine: IP packets through tunnel devices, each held back by rate and delay.

It stands in for the kernel's own emulator where that is not built. Linux and root only; every namespace gets one device, ``line``, and an
address of 10.77.0.0/24.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
MTU = 9000  # fewer packets for this process to carry
QUEUE_SECONDS = 0.5  # a router's buffer: what would wait longer is dropped, and TCP slows down


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def open_tunnel(space: str, address: str) -> int:
    """Make the device in a namespace; return its file descriptor, which stays good after this thread has gone back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{space}", os.O_RDONLY)
    try:
        os.setns(there, CLONE_NEWNET) if hasattr(os, "setns") else _setns(there)
        tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH", b"line", IFF_TUN | IFF_NO_PI))
    finally:
        os.setns(home, CLONE_NEWNET) if hasattr(os, "setns") else _setns(home)
        os.close(home)
        os.close(there)
    ip("-n", space, "addr", "add", f"{address}/24", "dev", "line")
    ip("-n", space, "link", "set", "line", "mtu", str(MTU), "up")
    ip("-n", space, "link", "set", "lo", "up")
    return tunnel


def _setns(descriptor: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Switch:
    """Carries packets between tunnels; each sender's line has its rate, all have the same delay."""

    def __init__(self, tunnels: dict[str, int], bits_per_second: float, delay: float) -> None:
        self._tunnels = tunnels  # address → descriptor
        self._rate, self._delay = bits_per_second, delay
        self._free_at = dict.fromkeys(tunnels.values(), 0.0)
        self._waiting: deque[tuple[float, int, bytes]] = deque()
        self._closed = threading.Event()
        self.carried = 0
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(5)
        for tunnel in self._tunnels.values():
            os.close(tunnel)

    def _carry(self) -> None:
        while not self._closed.is_set():
            until = self._waiting[0][0] - time.monotonic() if self._waiting else 0.2
            ready, _, _ = select.select(list(self._tunnels.values()), [], [], min(0.2, max(0.0, until)))
            now = time.monotonic()
            for tunnel in ready:
                self._take(tunnel, now)
            while self._waiting and self._waiting[0][0] <= now:
                _, tunnel, packet = self._waiting.popleft()
                os.write(tunnel, packet)
                self.carried += len(packet)

    def _take(self, tunnel: int, now: float) -> None:
        packet = os.read(tunnel, MTU + 100)
        if packet[0] >> 4 != 4:
            return
        recipient = self._tunnels.get(".".join(str(byte) for byte in packet[16:20]))
        start = max(now, self._free_at[tunnel])
        if recipient is None or start - now > QUEUE_SECONDS:
            return
        self._free_at[tunnel] = start + 8 * len(packet) / self._rate
        due = self._free_at[tunnel] + self._delay
        # lines differ in how far they are behind, so a packet may have to stand before one that came earlier
        place = len(self._waiting)
        while place and self._waiting[place - 1][0] > due:
            place -= 1
        self._waiting.insert(place, (due, recipient, packet))


@contextmanager
def network(names: Sequence[str], bits_per_second: float, delay: float) -> Iterator[dict[str, str]]:
    """A namespace a name, each at the end of a line; gives their addresses."""
    spaces = {name: f"vfl-{name}" for name in names}
    addresses = {name: f"10.77.0.{number}" for number, name in enumerate(names, start=1)}
    switch = None
    try:
        for space in spaces.values():
            ip("netns", "add", space)
        switch = Switch({addresses[name]: open_tunnel(space, addresses[name]) for name, space in spaces.items()}, bits_per_second, delay)
        yield addresses
    finally:
        if switch:
            switch.close()
        for space in spaces.values():
            subprocess.run(["ip", "netns", "del", space], capture_output=True)

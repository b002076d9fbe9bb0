"""Frames: a message between machines is a header that claims its size, then pieces of about 1 MiB.

The claim is held against the quota before a byte of the message is taken, and memory grows only with what has arrived.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..errors import ProtocolError
from ..params import FRAME_BYTES, SERVICE_VERSION

MAGIC = b"VFLN"
HEADER = struct.Struct("<4sHIIQ")
STEP = "frames"


@dataclass(frozen=True)
class FrameHeader:
    """What the first frame claims: the attempt and the place of the message on its lane, and how many bytes will follow."""

    attempt: int
    sequence: int
    n_bytes: int

    def to_bytes(self) -> bytes:
        """Return the first frame."""
        return HEADER.pack(MAGIC, SERVICE_VERSION, self.attempt, self.sequence, self.n_bytes)


def parse_header(frame: bytes, sender: str, max_bytes: int) -> FrameHeader:
    """Return the claim of a first frame.

    Raises
    ------
    ProtocolError
        No header of this version, or a claim of nothing or of more than `max_bytes`.
    """
    if len(frame) != HEADER.size:
        raise ProtocolError(sender, STEP, f"the first frame has {len(frame)} bytes, a header has {HEADER.size}")
    magic, version, attempt, sequence, n_bytes = HEADER.unpack(frame)
    if magic != MAGIC or version != SERVICE_VERSION:
        raise ProtocolError(sender, STEP, f"no header of service version {SERVICE_VERSION}")
    if not 0 < n_bytes <= max_bytes:
        raise ProtocolError(sender, STEP, f"claims a message of {n_bytes} bytes; from 1 to {max_bytes} are allowed")
    return FrameHeader(attempt, sequence, n_bytes)


def split(header: FrameHeader, data: bytes) -> Iterator[bytes]:
    """Yield the header and then the pieces of a message."""
    yield header.to_bytes()
    view = memoryview(data)
    for start in range(0, len(view), FRAME_BYTES):
        yield bytes(view[start : start + FRAME_BYTES])


def join(frames: Iterable[bytes], header: FrameHeader, sender: str, on_frame: Callable[[], None] = lambda: None) -> bytes:
    """Return the message of the frames after the header, exactly as long as it claimed.

    Raises
    ------
    ProtocolError
        An empty or over-long frame, or more or fewer bytes than claimed.
    """
    pieces, have = [], 0
    for frame in frames:
        have += len(frame)
        if not 0 < len(frame) <= FRAME_BYTES or have > header.n_bytes:
            raise ProtocolError(sender, STEP, f"sent frames beyond the {header.n_bytes} bytes that it claimed, or of a wrong size")
        pieces.append(frame)
        on_frame()
    if have != header.n_bytes:
        raise ProtocolError(sender, STEP, f"sent {have} bytes of the {header.n_bytes} that it claimed")
    return b"".join(pieces)

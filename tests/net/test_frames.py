"""Frames: sizes are checked before anything is taken."""

from __future__ import annotations

import tracemalloc

import pytest

from vflfast.errors import ProtocolError
from vflfast.net.frames import HEADER, FrameHeader, join, parse_header, split
from vflfast.params import FRAME_BYTES

LIMIT = 1 << 30


@pytest.mark.parametrize("size", [1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES])
def test_there_and_back(size: int) -> None:
    data = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000) + bytes(size % 1000)
    header = FrameHeader(3, 4, size)
    frames = list(split(header, data))
    assert parse_header(frames[0], "guest", LIMIT) == header
    assert max(map(len, frames[1:])) <= FRAME_BYTES
    assert join(frames[1:], header, "guest") == data


@pytest.mark.parametrize("claim", [0, LIMIT + 1, 1 << 40, 1 << 62, 1 << 63, (1 << 64) - 1])
def test_a_claim_beyond_the_quota_allocates_nothing(claim: int) -> None:
    frame = FrameHeader(1, 0, claim).to_bytes()
    tracemalloc.start()
    with pytest.raises(ProtocolError, match="claims"):
        parse_header(frame, "guest", LIMIT)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


LONG, OTHER_VERSION = FrameHeader(1, 0, 5).to_bytes() + b"x", b"VFLN" + bytes(HEADER.size - 4)


@pytest.mark.parametrize("damage", [b"", b"x", bytes(HEADER.size), LONG, OTHER_VERSION])
def test_no_header(damage: bytes) -> None:
    with pytest.raises(ProtocolError, match="header"):
        parse_header(damage, "guest", LIMIT)


@pytest.mark.parametrize("frames", [[], [b"abc"], [b"abc", b""], [b"abc", b"de", b"f"], [b"abcdef"], [bytes(FRAME_BYTES + 1)]])
def test_more_or_less_than_claimed(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError, match="claimed"):
        join(frames, FrameHeader(1, 0, 5), "guest")


def test_what_goes_on_too_long_is_not_kept() -> None:
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1
            yield bytes(FRAME_BYTES)

    with pytest.raises(ProtocolError, match="beyond"):
        join(endless(), FrameHeader(1, 0, 3 * FRAME_BYTES), "guest")
    assert taken == 4

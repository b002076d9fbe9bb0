"""Matching as the parties' programs do it: the same rows by every method, stable when a run is resumed, and what a peer may not send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vflfast.errors import DataError, ProtocolError
from vflfast.matching.group import Group, to_array
from vflfast.matching.ids import protect
from vflfast.protocol import inline, matching
from vflfast.protocol import messages as ms
from vflfast.protocol.link import Link, SendRequest
from vflfast.protocol.matching import BlindedIds, BlindedReply, CommonPlaces, CommonTokens, HostTokens, MatchingNonce, matching_link
from vflfast.tables.id_forms import normalise

SETS = {"guest": ["ann", "bob", "cat", "dan"], "host1": ["eve", "dan", "bob"], "host2": ["bob", "dan", "ann", "zoe"]}
KEY = bytes(32)



def programs(method: str, settings: str = "{}", attempt: int = 0) -> dict[str, Any]:
    made = {name: matching_link(name, tuple(peer for peer in SETS if peer != name), None, attempt) for name in SETS}
    if method == "ecdh":
        return {
            name: (matching.intersect_at_guest if name == "guest" else matching.intersect_at_host)(made[name], normalise(own), settings)
            for name, own in SETS.items()
        }
    return {
        name: (matching.match_at_guest if name == "guest" else matching.match_at_host)(made[name], protect(own, key=KEY), method)
        for name, own in SETS.items()
    }


@pytest.mark.parametrize("method", ["ecdh", "hmac"])
def test_all_end_with_the_same_rows(method: str) -> None:
    found = inline.drive(programs(method))
    aligned = [[SETS[name][row] for row in found[name].positions] for name in SETS]
    assert sorted(aligned[0]) == ["bob", "dan"]
    assert aligned[1:] == [aligned[0]] * 2
    assert len({found[name].commitment for name in SETS}) == 1
    guest, host = found["guest"].report, found["host1"].report
    assert guest == {
        "rows": [4, 3, 4], "matched": 2, "share": [0.5, 2 / 3, 0.5], "parties": ["guest", "host1", "host2"], "method": method}  # fmt: skip
    assert (host["matched"], host["method"], host["rows"][0]) == (2, method, 3)


def test_a_run_that_is_resumed_ends_with_the_same_order() -> None:
    first, again = (inline.drive(programs("ecdh", attempt=attempt)) for attempt in (0, 1))
    assert first["guest"].commitment == again["guest"].commitment
    assert first["guest"].commitment != inline.drive(programs("ecdh", settings="{1}"))["guest"].commitment


def pair(guest: Any, host: Any) -> dict[str, Any]:
    """A guest and one host, either of which may be a program that does as it likes."""
    made = {name: matching_link(name, tuple(peer for peer in ("guest", "host1") if peer != name)) for name in ("guest", "host1")}
    return {"guest": guest(made["guest"]), "host1": host(made["host1"])}


def honest_guest(link: Link) -> Any:
    return matching.intersect_at_guest(link, normalise(SETS["guest"]), "{}")


def honest_host(link: Link) -> Any:
    return matching.intersect_at_host(link, normalise(SETS["host1"]), "{}")


async def nonces(link: Link) -> bytes:
    """What an honest guest sends to its only host."""
    return bytes(16) + (await link.receive("host1", MatchingNonce)).nonce


POINT = to_array(Group().hash_ids(["x"], b"s" * 16)).tobytes()
OTHER_NONCES: list[Callable[[bytes], bytes]] = [
    lambda own: b"", lambda own: own, lambda own: bytes(32), lambda own: own + bytes(16), lambda own: bytes(16) + own[:-1],
    lambda own: bytes(15) + own, lambda own: bytes(16) + own + b"x",
]  # fmt: skip


@pytest.mark.parametrize("change", OTHER_NONCES)
def test_a_host_takes_part_only_in_a_session_of_its_own_bits(change: Callable[[bytes], bytes]) -> None:
    async def guest(link: Link) -> None:
        await link.send("host1", BlindedIds(POINT, change((await link.receive("host1", MatchingNonce)).nonce)))
        await link.receive("host1", BlindedReply)

    with pytest.raises(ProtocolError, match="guest, BlindedIds: needs nonces"):
        inline.drive(pair(guest, honest_host))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_guest_refuses_a_nonce_of_another_size(size: int) -> None:
    async def host(link: Link) -> None:
        await link.send("guest", MatchingNonce(bytes(size)))
        await link.receive("guest", BlindedIds)

    with pytest.raises(ProtocolError, match="host1, MatchingNonce: must have 16 bytes"):
        inline.drive(pair(honest_guest, host))


def test_no_two_intersections_are_of_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same parties, ids, settings, even scalars: what they send shares no point, what they find is in one order."""
    seen: list[set[bytes]] = []
    orders = []
    for _ in range(2):
        points: set[bytes] = set()
        numbers = iter(range(7, 16))
        monkeypatch.setattr(Group, "scalar", lambda _, numbers=numbers: bytes([next(numbers)]) + bytes(31))
        results = inline.drive({name: Overheard(program, points) for name, program in pair(honest_guest, honest_host).items()})
        seen.append(points)
        orders.append([found.positions.tolist() for found in results.values()])
    assert orders[0] == orders[1]
    assert seen[0]
    assert not seen[0] & seen[1]


class Overheard:
    """A program whose sent points somebody writes down."""

    def __init__(self, program: Any, points: set[bytes]) -> None:
        self.program, self.points = program, points

    def send(self, value: bytes) -> Any:
        request = self.program.send(value)
        if isinstance(request, SendRequest) and request.kind in ("BlindedIds", "BlindedReply"):
            message, _ = ms.from_bytes(request.data, "test", {BlindedIds.kind: BlindedIds, BlindedReply.kind: BlindedReply})
            self.points |= {message.points[i : i + 32] for i in range(0, len(message.points), 32)}
        return request

    def close(self) -> None:
        self.program.close()


@pytest.mark.parametrize("sent", [b"", bytes(31), bytes(33), bytes(32), b"\xff" * 32, bytes(64)])
def test_a_host_refuses_points_that_are_none(sent: bytes) -> None:
    async def guest(link: Link) -> None:
        await link.send("host1", BlindedIds(sent, await nonces(link)))
        await link.receive("host1", BlindedReply)

    with pytest.raises(ProtocolError) as caught:
        inline.drive(pair(guest, honest_host))
    assert caught.value.party == "guest"


@pytest.mark.parametrize("places", [b"", bytes(3), bytes(8), b"\xff" * 4])
def test_a_host_refuses_places_that_are_none(places: bytes) -> None:
    async def guest(link: Link) -> None:
        await link.send("host1", BlindedIds(to_array(Group().hash_ids(["x"], b"s" * 16)).tobytes(), await nonces(link)))
        await link.receive("host1", BlindedReply)
        await link.send("host1", CommonPlaces(places, bytes(32)))

    with pytest.raises(ProtocolError, match="guest, Common"):
        inline.drive(pair(guest, honest_host))


@pytest.mark.parametrize("echo", [b"", bytes(32), bytes(33)])
def test_a_guest_refuses_an_echo_that_is_none(echo: bytes) -> None:
    async def host(link: Link) -> None:
        await link.send("guest", MatchingNonce(bytes(16)))
        asked = await link.receive("guest", BlindedIds)
        await link.send("guest", BlindedReply(asked.points, echo))

    with pytest.raises(ProtocolError) as caught:
        inline.drive(pair(honest_guest, host))
    assert caught.value.party == "host1"


def test_parties_of_different_methods() -> None:
    async def host(link: Link) -> Any:
        return await matching.match_at_host(link, protect(SETS["host1"], key=KEY), "hmac")

    with pytest.raises(ProtocolError):
        inline.drive(pair(honest_guest, host))
    with pytest.raises(ProtocolError):
        inline.drive(pair(lambda link: matching.match_at_guest(link, protect(SETS["guest"], key=KEY), "hmac"), honest_host))


def test_no_id_in_common() -> None:
    with pytest.raises(DataError, match="no id in common"):
        inline.drive(pair(honest_guest, lambda link: matching.intersect_at_host(link, normalise(["x"]), "{}")))


def test_a_cap_is_kept() -> None:
    with pytest.raises(ProtocolError, match="host1, Reply: holds 3 points, from 1 to 2"):
        inline.drive(pair(lambda link: matching.intersect_at_guest(link, normalise(["bob", "x"]), "{}", 2), honest_host))


def test_a_host_refuses_tokens_that_are_not_its_own() -> None:
    async def guest(link: Link) -> None:
        await link.receive("host1", HostTokens)
        await link.send("host1", CommonTokens(np.zeros(32, dtype=np.uint8).tobytes()))

    async def host(link: Link) -> Any:
        return await matching.match_at_host(link, protect(SETS["host1"], key=KEY), "hmac")

    with pytest.raises(ProtocolError, match="guest, CommonTokens"):
        inline.drive(pair(guest, host))

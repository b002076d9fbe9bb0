"""Matching as the parties' programs do it: the same rows by every method, stable when a run is resumed, and what a peer may not send."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vflfast.errors import DataError, ProtocolError
from vflfast.matching.group import Group, to_array
from vflfast.matching.ids import protect
from vflfast.protocol import inline, matching
from vflfast.protocol.link import Link
from vflfast.protocol.matching import BlindedIds, BlindedReply, CommonPlaces, CommonTokens, HostTokens, matching_link
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


@pytest.mark.parametrize("sent", [b"", bytes(31), bytes(33), bytes(32), b"\xff" * 32, bytes(64)])
def test_a_host_refuses_points_that_are_none(sent: bytes) -> None:
    async def guest(link: Link) -> None:
        await link.send("host1", BlindedIds(sent))
        await link.receive("host1", BlindedReply)

    with pytest.raises(ProtocolError) as caught:
        inline.drive(pair(guest, honest_host))
    assert caught.value.party == "guest"


@pytest.mark.parametrize("places", [b"", bytes(3), bytes(8), b"\xff" * 4])
def test_a_host_refuses_places_that_are_none(places: bytes) -> None:
    async def guest(link: Link) -> None:
        await link.send("host1", BlindedIds(to_array(Group().hash_ids(["x"], b"s" * 16)).tobytes()))
        await link.receive("host1", BlindedReply)
        await link.send("host1", CommonPlaces(places, bytes(32)))

    with pytest.raises(ProtocolError, match="guest, Common"):
        inline.drive(pair(guest, honest_host))


@pytest.mark.parametrize("echo", [b"", bytes(32), bytes(33)])
def test_a_guest_refuses_an_echo_that_is_none(echo: bytes) -> None:
    async def host(link: Link) -> None:
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

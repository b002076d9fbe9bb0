"""Private set intersection: exactness for two and more parties, what the messages hold, and everything a peer may not send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.errors import DataError, InputError, ProtocolError
from vflfast.matching.group import Group, to_array
from vflfast.matching.ids import commitment, warnings_of
from vflfast.matching.intersect import Common, GuestIntersection, HostIntersection, Reply, Request, session_of
from vflfast.matching.match import match_parties
from vflfast.tables.id_forms import normalise

SESSION = bytes(range(16))
MINE, THEIRS = ["ann", "bob", "cat", "dan"], ["eve", "dan", "bob", "fay", "gus"]

# The eight points of small order, and encodings of them that are not canonical (y ≥ p)
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
OFF_CURVE = "0200000000000000000000000000000000000000000000000000000000000000"


def parties(*sets: list[str], session: bytes = SESSION) -> tuple[GuestIntersection, dict[str, HostIntersection]]:
    names = [f"host{k}" for k in range(1, len(sets))]
    guest = GuestIntersection(normalise(sets[0]), session, names)
    return guest, {name: HostIntersection(normalise(own), session) for name, own in zip(names, sets[1:], strict=True)}


def exchange(guest: GuestIntersection, hosts: dict[str, HostIntersection]) -> list[Any]:
    for name, host in hosts.items():
        guest.receive(name, host.reply(guest.request(name)))
    found = guest.finish()
    return [found, *(host.finish(guest.common(name)) for name, host in hosts.items())]


def mixed_order_point() -> bytes:
    """A point of the prime-order group plus the point of order 2: of order 2ℓ."""
    from nacl import bindings

    point = Group().hash_ids(["x"], SESSION)[0]
    return bytes(bindings.crypto_core_ed25519_add(point, bytes.fromhex(SMALL_ORDER[1])))


# --- what comes out ----------------------------------------------------------------------------------------------


def test_both_end_with_the_same_order_and_commitment() -> None:
    guest, hosts = parties(MINE, THEIRS)
    at_guest, at_host = exchange(guest, hosts)
    assert [MINE[row] for row in at_guest.positions] == [THEIRS[row] for row in at_host.positions]
    assert {MINE[row] for row in at_guest.positions} == {"bob", "dan"}
    assert at_guest.commitment == at_host.commitment == commitment(at_guest.tokens)
    assert guest.report() == {"rows": [4, 5], "matched": 2, "share": [0.5, 0.4]}
    assert repr(at_host) == "CommonRows(n_matched=2)"
    assert at_guest.positions.dtype == np.int64


small_sets = st.lists(st.integers(0, 12).map(str), min_size=1, max_size=9, unique=True)


@given(st.lists(small_sets, min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_it_is_the_intersection(sets: list[list[str]]) -> None:
    common = set.intersection(*map(set, sets))
    guest, hosts = parties(*sets)
    if not common:
        with pytest.raises(DataError, match="no id in common"):
            exchange(guest, hosts)
        return
    aligned = [[own[row] for row in found.positions] for own, found in zip(sets, exchange(guest, hosts), strict=True)]
    assert set(aligned[0]) == common
    assert all(one == aligned[0] for one in aligned)
    assert len(aligned[0]) == len(common)


def test_a_host_learns_only_what_all_have() -> None:
    guest, hosts = parties(["a", "b", "c"], ["a", "b"], ["b", "c"])
    for name, host in hosts.items():
        guest.receive(name, host.reply(guest.request(name)))
    assert len(guest.common("host1").places) == len(guest.common("host2").places) == 1


def test_more_points_than_a_thread_takes_at_a_time() -> None:
    mine, theirs = [f"{k}" for k in range(2500)], [f"{k}" for k in range(2450, 2600)]
    found = exchange(*parties(mine, theirs))
    assert sorted(mine[row] for row in found[0].positions) == [f"{k}" for k in range(2450, 2500)]
    assert [mine[row] for row in found[0].positions] == [theirs[row] for row in found[1].positions]


def test_the_order_depends_on_ids_and_session_alone() -> None:
    first = exchange(*parties(MINE, THEIRS))[0]
    again = exchange(*parties(MINE[::-1], THEIRS))[0]
    assert first.commitment == again.commitment
    assert first.commitment != exchange(*parties(MINE, THEIRS, session=SESSION[::-1]))[0].commitment


def test_scalars_are_fresh_for_every_pair_and_run() -> None:
    guest, _ = parties(MINE, THEIRS, THEIRS)
    other, _ = parties(MINE, THEIRS)
    sent = [guest.request("host1"), guest.request("host2"), other.request("host1")]
    points = [row.tobytes() for request in sent for row in request.points]
    assert len(set(points)) == 3 * len(MINE)


def test_sets_are_sent_in_the_order_of_their_points() -> None:
    guest, hosts = parties(MINE, THEIRS)
    request = guest.request("host1")
    reply = hosts["host1"].reply(request)
    for points in (request.points, reply.points):
        rows = [row.tobytes() for row in points]
        assert rows == sorted(rows)
    assert (request.n_bytes, reply.n_bytes) == (32 * 4, 32 * (5 + 4))


def test_no_id_and_no_hash_of_one_is_in_a_message() -> None:
    guest, hosts = parties(MINE, THEIRS)
    request = guest.request("host1")
    reply = hosts["host1"].reply(request)
    sent = b"".join(part.tobytes() for part in (request.points, reply.points, reply.echo))
    assert not any(point in sent for point in Group().hash_ids([*MINE, *THEIRS], SESSION))


def test_hashing_to_the_group() -> None:
    group = Group()
    points = group.hash_ids(["a", "b"], SESSION)
    assert len({*points, *group.hash_ids(["a", "b"], SESSION + b"x"), *group.hash_ids(["xa"], SESSION)}) == 5
    group.check(points, "own", "hash")
    one, two = group.scalar(), group.scalar()
    there = group.multiply(two, group.multiply(one, points, "p", "s"), "p", "s")
    assert there == group.multiply(one, group.multiply(two, points, "p", "s"), "p", "s")


def test_sessions_keep_their_parts_apart() -> None:
    assert session_of(b"ab", b"c") != session_of(b"a", b"bc")


def test_the_report_of_the_default_method() -> None:
    ids = [normalise(MINE), normalise(THEIRS), normalise(["bob", "zoe"])]
    positions, tokens, report = match_parties(ids)
    assert [ids[k][rows].tolist() for k, rows in enumerate(positions)] == [["bob"]] * 3
    assert tokens.shape == (1, 32)
    assert report.pop("seconds") >= 0
    assert report == {
        "parties": ["guest", "host1", "host2"], "rows": [4, 5, 2], "matched": 1, "share": [0.25, 0.2, 0.5], "method": "ecdh",
        "bytes": {
            "guest to host1": 4 * 32 + 4 + 32, "host1 to guest": (5 + 4) * 32,
            "guest to host2": 4 * 32 + 4 + 32, "host2 to guest": (2 + 4) * 32,
        },
        **{name: warnings_of("ecdh", [4, 5, 2], 1)[name] for name in ("unusual", "few")},
    }  # fmt: skip


@pytest.mark.parametrize("method", ["hash", "sm3"])
def test_the_plain_hashes_say_what_they_expose(method: str) -> None:
    report = match_parties([normalise(MINE), normalise(THEIRS)], method=method)[2]
    assert "eleven-digit numbers are enumerated in minutes" in report["exposes"]


def test_hmac_says_what_the_guest_can_do_and_ecdh_has_nothing_to_say() -> None:
    keyed = match_parties([normalise(MINE), normalise(THEIRS)], method="hmac", key=bytes(16))[2]
    assert "the guest, which holds the key" in keyed["exposes"]
    assert "exposes" not in match_parties([normalise(MINE), normalise(THEIRS)])[2]


@pytest.mark.parametrize(("rows", "matched", "said"), [
    ([2000, 5000], 1500, ""), ([2000, 5000], 19, "19 customers in common of 2000"), ([50, 60], 9, "9 customers in common"),
    ([50, 5001], 50, "tables of 50 and 5001"), ([50, 5000], 50, ""), ([50, 60], 10, ""),
])  # fmt: skip
def test_sets_that_ask_about_a_few_people_are_unusual(rows: list[int], matched: int, said: str) -> None:
    found = warnings_of("ecdh", rows, matched)
    assert found.get("unusual", "").startswith(said)
    assert ("unusual" in found) is bool(said)
    assert ("few" in found) is (matched < 100)


# --- what a peer may not send ------------------------------------------------------------------------------------


def change(points: Any, row: int, data: bytes) -> Any:
    """The points with one replaced, in ascending order again."""
    rows = [point.tobytes() for point in points]
    rows[row] = data
    return to_array(sorted(rows))


BAD_POINTS: dict[str, bytes] = {f"small order {k}": bytes.fromhex(text) for k, text in enumerate(SMALL_ORDER)}
BAD_POINTS |= {"off the curve": bytes.fromhex(OFF_CURVE), "y above p": b"\xff" * 32, "of order 2l": b""}


@pytest.mark.parametrize("bad", BAD_POINTS)
@pytest.mark.parametrize("place", ["request", "reply", "echo"])
def test_an_invalid_point_is_refused(bad: str, place: str) -> None:
    data = BAD_POINTS[bad] or mixed_order_point()
    guest, hosts = parties(MINE, THEIRS)
    request = guest.request("host1")
    if place == "request":
        with pytest.raises(ProtocolError, match=r"guest, Request: number . is no point of the prime-order group"):
            hosts["host1"].reply(Request(change(request.points, 0, data)))
        return
    reply = hosts["host1"].reply(request)
    reply = replace(reply, **{"points" if place == "reply" else "echo": change(reply.points if place == "reply" else reply.echo, 0, data)})
    with pytest.raises(ProtocolError, match=r"host1, Reply: number . is no point of the prime-order group"):
        guest.receive("host1", reply)


def flat(points: Any) -> Any:
    return points.reshape(-1)


SHAPES: dict[str, Callable[[Any], Any]] = {
    "none": lambda points: points[:0],
    "twice": lambda points: np.concatenate([points[:1], points]),
    "not in order": lambda points: points[::-1],
    "31 bytes": lambda points: points[:, :31],
    "one dimension": flat,
    "wider integers": lambda points: points.astype(np.int64),
    "bytes": lambda points: points.tobytes(),
    "None": lambda points: None,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_points_of_another_shape_are_refused(shape: str) -> None:
    guest, hosts = parties(MINE, THEIRS)
    request = guest.request("host1")
    with pytest.raises(ProtocolError, match="guest, Request"):
        hosts["host1"].reply(Request(SHAPES[shape](request.points)))
    reply = hosts["host1"].reply(request)
    with pytest.raises(ProtocolError, match="host1, Reply"):
        guest.receive("host1", Reply(SHAPES[shape](reply.points), reply.echo))


@pytest.mark.parametrize("wrong", ["short", "long", "twice", "reflected", "reflected set"])
def test_an_echo_that_is_not_the_guests_points_blinded(wrong: str) -> None:
    guest, hosts = parties(MINE, THEIRS)
    request = guest.request("host1")
    reply = hosts["host1"].reply(request)
    echo = {
        "short": reply.echo[:-1], "long": np.concatenate([reply.echo, reply.points[:1]]), "twice": reply.echo[[0, 0, 1, 2]],
        "reflected": request.points, "reflected set": reply.echo,
    }[wrong]  # fmt: skip
    points = request.points if wrong == "reflected set" else reply.points
    with pytest.raises(ProtocolError, match="host1, Reply"):
        guest.receive("host1", Reply(points, echo))


COMMON: dict[str, Callable[[Common], Common]] = {
    "another row": lambda told: replace(told, places=np.array([told.places[0], 4 if told.places[1] != 4 else 3], dtype=np.uint32)),
    "one row less": lambda told: replace(told, places=told.places[:1]),
    "no row": lambda told: replace(told, places=told.places[:0]),
    "a row twice": lambda told: replace(told, places=told.places[[0, 0]]),
    "not in order": lambda told: replace(told, places=told.places[::-1]),
    "outside": lambda told: replace(told, places=np.array([0, 5], dtype=np.uint32)),
    "more than were asked": lambda told: replace(told, places=np.arange(5, dtype=np.uint32)),
    "signed": lambda told: replace(told, places=told.places.astype(np.int64)),
    "a list": lambda told: replace(told, places=told.places.tolist()),
    "another commitment": lambda told: replace(told, commitment=bytes(32)),
    "no commitment": lambda told: replace(told, commitment=None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("wrong", COMMON)
def test_a_result_that_is_not_of_the_same_ids(wrong: str) -> None:
    guest, hosts = parties(MINE, THEIRS)
    guest.receive("host1", hosts["host1"].reply(guest.request("host1")))
    with pytest.raises(ProtocolError, match="guest, Common"):
        hosts["host1"].finish(COMMON[wrong](guest.common("host1")))


def test_the_counts_are_told() -> None:
    guest, hosts = parties(MINE, THEIRS)
    guest.receive("host1", hosts["host1"].reply(guest.request("host1")))
    with pytest.raises(ProtocolError, match="5 common ids of sets of 4 and 5"):
        hosts["host1"].finish(replace(guest.common("host1"), places=np.arange(5, dtype=np.uint32)))


def test_an_invalid_point_is_told_by_its_place_in_the_whole() -> None:
    group = Group()
    points = [*group.hash_ids([str(k) for k in range(2100)], SESSION), bytes(32)]
    with pytest.raises(ProtocolError, match="p, s: number 2101 is no point"):
        group.multiply(group.scalar(), points, "p", "s")
    with pytest.raises(ProtocolError, match="p, s: number 2101 is no point"):
        group.check(points, "p", "s")


def test_everything_has_its_turn() -> None:
    guest, hosts = parties(MINE, THEIRS, THEIRS)
    with pytest.raises(ProtocolError, match="guest, Common: came before"):
        hosts["host1"].finish(Common(np.zeros(1, dtype=np.uint32), bytes(32)))
    reply = hosts["host1"].reply(request := guest.request("host1"))
    with pytest.raises(ProtocolError, match="a second time"):
        hosts["host1"].reply(request)
    with pytest.raises(ProtocolError, match="one for every host"):
        guest.request("host1")
    with pytest.raises(ProtocolError, match="host2, Reply: came out of turn"):
        guest.receive("host2", reply)
    guest.receive("host1", reply)
    with pytest.raises(ProtocolError, match="host1, Reply: came out of turn"):
        guest.receive("host1", reply)
    with pytest.raises(ProtocolError, match="host2, Reply: has not come"):
        guest.finish()


def test_sets_above_the_cap() -> None:
    with pytest.raises(InputError, match="4 ids, at most 3 are allowed") as caught:
        GuestIntersection(normalise(MINE), SESSION, ["host1"], max_ids=3)
    assert caught.value.argument == "ids"
    guest = GuestIntersection(normalise(MINE), SESSION, ["host1"], max_ids=4)
    request = guest.request("host1")
    with pytest.raises(ProtocolError, match="guest, Request: holds 4 points, from 1 to 3"):
        HostIntersection(normalise(MINE[:3]), SESSION, max_ids=3).reply(request)
    with pytest.raises(ProtocolError, match="host1, Reply: holds 5 points, from 1 to 4"):
        guest.receive("host1", HostIntersection(normalise(THEIRS), SESSION).reply(request))
    with pytest.raises(InputError, match="host1 ids: 5 ids"):
        match_parties([normalise(MINE), normalise(THEIRS)], max_ids=4)


def test_other_sessions_have_nothing_in_common() -> None:
    guest = GuestIntersection(normalise(MINE), SESSION, ["host1"])
    guest.receive("host1", HostIntersection(normalise(MINE), SESSION + b"x").reply(guest.request("host1")))
    with pytest.raises(DataError, match="no id in common"):
        guest.finish()


def test_a_host_that_is_none() -> None:
    guest, hosts = parties(MINE, THEIRS)
    exchange(guest, hosts)
    with pytest.raises(InputError, match="host: must be one of host1"):
        guest.common("host2")

"""Enumeration of phone numbers: whoever sees plain hashes reads the ids; the same attack finds nothing in hmac tokens or points.

The attacker knows the methods and the session, sees all that is sent, and tries every number of a range.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable

import pytest

from vflfast.matching.group import Group, from_array, to_array, to_list
from vflfast.matching.ids import exposure, protect
from vflfast.matching.intersect import GuestIntersection, HostIntersection
from vflfast.tables.id_forms import normalise

SESSION = bytes(range(16))
PREFIX, N_NUMBERS = 138_0013_0000, 3_000  # the range that the attacker tries
PLANTED = [f"{PREFIX + k}" for k in (17, 256, 1024, 2047, 2999)]
OTHERS = [f"{PREFIX + 5_000 + k}" for k in range(20)]


def candidates() -> list[str]:
    return [f"{PREFIX + k}" for k in range(N_NUMBERS)]


def guesses(text: str) -> Iterable[bytes]:
    """What a number may look like on the wire, without a secret."""
    data = text.encode()
    yield hashlib.sha256(data).digest()
    yield hashlib.new("sm3", data).digest()
    yield hmac.digest(b"", data, "sha256")
    yield hmac.digest(bytes(32), data, "sha256")
    yield hmac.digest(SESSION, data, "sha256")


def attack(seen: set[bytes]) -> list[str]:
    """The numbers of the range that can be read from the 32-byte values on the wire."""
    points = Group().hash_ids(candidates(), SESSION)  # also tried bare: the blinding might be missing
    return [text for text, point in zip(candidates(), points, strict=True) if point in seen or not seen.isdisjoint(guesses(text))]


def tokens(method: str, key: bytes | None = None) -> set[bytes]:
    return {row.tobytes() for row in protect([*PLANTED, *OTHERS], method=method, key=key)}


def transcript() -> set[bytes]:
    guest = GuestIntersection(normalise([*PLANTED, *OTHERS], "phone"), SESSION, ["host1"])
    host = HostIntersection(normalise([*OTHERS, *PLANTED[:2]], "phone"), SESSION)
    request = guest.request("host1")
    reply = host.reply(request)
    guest.receive("host1", reply)
    common = guest.common("host1")
    assert len(host.finish(common).positions) == len(OTHERS) + 2
    return {row.tobytes() for points in (request.points, reply.points, reply.echo) for row in points} | {common.commitment}


@pytest.mark.parametrize("method", ["hash", "sm3"])
def test_plain_hashes_are_read(method: str) -> None:
    assert attack(tokens(method)) == PLANTED


@pytest.mark.parametrize("seen", [lambda: tokens("hmac", b"k" * 32), transcript], ids=["hmac", "ecdh"])
def test_nothing_is_read_without_the_secret(seen: Callable[[], set[bytes]]) -> None:
    assert attack(seen()) == []


def test_the_attack_finds_points_that_are_not_blinded() -> None:
    assert attack(set(Group().hash_ids(PLANTED, SESSION))) == PLANTED


def test_a_guest_reads_a_hosts_customers_under_hmac() -> None:
    """Nobody else can, the guest can: it has the key of the job and is sent the host's tokens. Said in the run's warnings."""
    key = b"k" * 32
    sent = tokens("hmac", key)
    assert [text for text in candidates() if hmac.digest(key, text.encode(), "sha256") in sent] == PLANTED
    assert "try out every id" in str(exposure("hmac"))


def test_a_guest_does_not_under_ecdh() -> None:
    """The control: all that the guest holds, its scalar and the host's points, tells of its own ids alone."""
    guest = GuestIntersection(normalise(OTHERS, "phone"), SESSION, ["host1"])
    host = HostIntersection(normalise([*OTHERS, *PLANTED], "phone"), SESSION)
    reply = host.reply(guest.request("host1"))
    scalar = guest._asked["host1"][0]
    group = Group()
    points = from_array(to_array(group.hash_ids(candidates(), SESSION)), "guest", "test", N_NUMBERS)
    tried = {row.tobytes() for row in to_array(group.multiply(scalar, to_list(points), "guest", "test"))}
    seen = {row.tobytes() for part in (reply.points, reply.echo) for row in part}
    assert not tried & seen

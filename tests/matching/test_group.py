"""Points by the native core and by PyNaCl: the same bytes, the same refusals."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.crypto import backend as be
from vflfast.crypto.curve import ORDER
from vflfast.errors import ProtocolError
from vflfast.matching.group import Group

KERNELS = [name for name in be.available() if name != "gmpy2"]
SESSION = b"s" * 16
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
]
ODD = [bytes.fromhex(code) for code in SMALL_ORDER] + [
    bytes.fromhex("0100000000000000000000000000000000000000000000000000000000000080"),  # x = 0 with a sign
    (2**255 - 19).to_bytes(32, "little"), (2**255 - 18).to_bytes(32, "little"), b"\xff" * 32, b"\x02" + bytes(31),
]  # fmt: skip


def group_of(backend: str) -> Group:
    with be.use(backend):
        return Group()


@pytest.fixture(params=KERNELS)
def both(request: pytest.FixtureRequest) -> tuple[Group, Group]:
    native, other = group_of(request.param), group_of("gmpy2")
    assert native._native is not None
    assert other._native is None
    return native, other


def outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except ProtocolError as error:
        return str(error)


def compare(both: tuple[Group, Group], count: int, seed: int) -> None:
    rng = random.Random(seed)
    native, other = both
    texts = [f"{rng.randrange(10**11):011d}" for _ in range(count)]
    points = native.hash_ids(texts, SESSION)
    assert points == other.hash_ids(texts, SESSION)
    scalar = rng.randrange(1, ORDER).to_bytes(32, "little")
    once = native.multiply(scalar, points, "host1", "BlindedIds")
    assert once == other.multiply(scalar, points, "host1", "BlindedIds")
    native.check(once, "host1", "BlindedReply")


def test_hashes_and_multiples_are_the_same_bytes(both: tuple[Group, Group]) -> None:
    compare(both, 300, 1)


@pytest.mark.slow
def test_hashes_and_multiples_of_many_are_the_same_bytes(both: tuple[Group, Group]) -> None:
    compare(both, 100_000, 2)


@pytest.mark.parametrize("scalar", [1, 2, ORDER - 1, 1 << 251])
def test_multiples_by_the_ends_of_the_range(both: tuple[Group, Group], scalar: int) -> None:
    points = both[0].hash_ids(["a", "b", "c"], SESSION)
    made = [group.multiply(scalar.to_bytes(32, "little"), points, "host1", "x") for group in both]
    assert made[0] == made[1]
    assert scalar != 1 or made[0] == points


@pytest.mark.parametrize("point", ODD, ids=lambda point: point.hex()[:8] + point.hex()[-2:])
def test_what_is_no_point_of_the_group_is_refused_by_both(both: tuple[Group, Group], point: bytes) -> None:
    scalar = (5).to_bytes(32, "little")
    points = [*both[0].hash_ids(["a"], SESSION), point]
    ways = [(group.check, group.multiply) for group in both]
    answers = [[outcome(check, points, "host1", "x", 10), outcome(multiply, scalar, points, "host1", "x", 10)] for check, multiply in ways]
    assert answers[0] == answers[1]
    assert "number 12 is no point of the prime-order group" in answers[0][0]


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_judged_alike(data: bytes) -> None:
    found = {str(outcome(group_of(name).check, [data], "host1", "x")) for name in (be.available()[0], "gmpy2")}
    assert len(found) == 1


def test_points_with_a_part_of_small_order_are_refused(both: tuple[Group, Group]) -> None:
    from nacl import bindings

    good = both[0].hash_ids(["a"], SESSION)[0]
    for code in SMALL_ORDER[1:]:
        mixed = bindings.crypto_core_ed25519_add(good, bytes.fromhex(code))
        assert mixed != good
        for group in both:
            with pytest.raises(ProtocolError, match="prime-order group"):
                group.check([mixed], "host1", "x")

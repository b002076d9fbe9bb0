"""The arbiter and opened sums by ElGamal: what it gets is uniformly random; with the owner's half of the ciphertext it reads everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vflfast.crypto import limbs as lm
from vflfast.crypto.curve import CODE_LIMBS
from vflfast.crypto.elgamal.private import PrivateKey, generate_keypair
from vflfast.crypto.elgamal.public import PublicKey

SUMS = np.array([0, 1, -1, 5, 1000, -65_536, 3, 3])
REACH = 1 << 20


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return generate_keypair()


def small_numbers(key: PrivateKey, points: Any) -> int:
    """How many of the points are small multiples of the generator, as numbers in the exponent would be."""
    _, found = key.public.read(points, REACH)
    return int(found.sum())


def requests_of(key: PrivateKey, count: int) -> tuple[Any, list[Any]]:
    """The first points of a vector of `SUMS`, which who encrypted it knows, and what the arbiter receives for each of its openings."""
    owner = PublicKey(key.public.h)
    sums = owner.encrypt(SUMS)
    return owner.context.part(sums.vector, 0), [owner.opening(sums).request.vector for _ in range(count)]


def test_the_arbiter_finds_no_number_in_what_it_opens(key: PrivateKey) -> None:
    single = key.public.single
    _, (points,) = requests_of(key, 1)
    secret = lm.from_ints([key.secret], CODE_LIMBS)
    inverse = lm.from_ints([pow(key.secret, -1, 2**252 + 27742317777372353535851937790883648493)], CODE_LIMBS)
    differences = single.multiply(points[1:], single.invert(points[:-1]))
    for tried in (points, single.scale(points, secret), single.scale(points, inverse), differences):
        assert small_numbers(key, tried) == 0


def test_the_control_with_both_halves_reads_every_number(key: PrivateKey) -> None:
    owner, context, single = PublicKey(key.public.h), key.public.context, key.public.single
    both = owner.rerandomize(owner.encrypt(SUMS)).vector
    shared = single.scale(context.part(both, 0), lm.from_ints([key.secret], CODE_LIMBS))
    assert small_numbers(key, single.multiply(context.part(both, 1), single.invert(shared))) == len(SUMS)


def test_openings_of_the_same_sums_have_nothing_in_common_with_them_or_each_other(key: PrivateKey) -> None:
    """Who encrypted what was summed knows the first points of the sums; the arbiter with it could tell them apart."""
    single = key.public.single
    known, (first, second) = requests_of(key, 2)
    for one, other in ((first, second), (first, known), (second, known)):
        assert small_numbers(key, single.multiply(one, single.invert(other))) == 0
    assert len(np.unique(single.store(np.concatenate([known, first, second])), axis=0)) == 3 * len(SUMS)


def test_the_control_without_fresh_randomness_shows_that_they_are_the_same(key: PrivateKey) -> None:
    owner, single = PublicKey(key.public.h), key.public.single
    kept = key.public.context.part(owner.encrypt(SUMS).vector, 0)
    assert small_numbers(key, single.multiply(kept, single.invert(kept))) == len(SUMS)

"""Masked openings: the key holder learns nothing, the owner gets exact numbers or an error, each mask serves once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.opening import MaskedOpening, plan_opening
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import BoundError, CheckError, InputError

KeyOf = Callable[[int], PrivateKey]


@pytest.fixture
def key(backend: str, key_of: KeyOf) -> PrivateKey:
    return key_of(512)


def answer(key: PrivateKey, opening: MaskedOpening) -> lm.Limbs:
    """The key holder's part, from the bytes that reach it."""
    public = key.public
    return key.decrypt_residues(public.parse(opening.request.limbs, frac_bits=0, bound=public.n // 2))


def changed(limbs: lm.Limbs, place: int, difference: int, n: int) -> lm.Limbs:
    values = lm.to_ints(limbs)
    values[place] = (values[place] + difference) % n
    return lm.from_ints(values, limbs.shape[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 150).flatmap(lambda bits: st.lists(st.integers(-(1 << bits), 1 << bits), min_size=1, max_size=30)))
def test_numbers_come_back_exactly(key_of: KeyOf, values: list[int]) -> None:
    key = key_of(512)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    vector = key.public.encrypt(array)
    try:
        opening = MaskedOpening(key.public, vector)
    except BoundError:
        assert vector.bound.bit_length() > 120  # the check value, 64 bits wider, does not fit
        return
    assert opening.open(answer(key, opening)) == values


def test_the_largest_numbers_of_either_sign(key: PrivateKey) -> None:
    bound = (1 << 40) - 1
    values = np.array([bound, -bound, 0, bound, bound, -bound] * 5)
    opening = MaskedOpening(key.public, key.public.encrypt(values, bound=bound))
    assert opening.open(answer(key, opening)) == values.tolist()


def test_a_gradient_from_product_to_opening(backend: str, key_of: KeyOf) -> None:
    key, rng = key_of(1024), np.random.default_rng(2)
    z, g = rng.integers(0, 5, (80, 30)), rng.integers(-(1 << 28), 1 << 28, 80)
    columns, total = CodedMatrix.from_integers(z).product(key.public.encrypt(g, bound=1 << 28))
    opening = MaskedOpening(key.public, CipherArray.concatenate([columns, total]))
    assert opening.open(answer(key, opening)) == [*(z.T @ g).tolist(), g.sum()]
    assert len(opening.request) == plan_opening(31, columns.bound, 1024).n_plaintexts < 31  # packed


def test_both_sides_compute_the_same_plan(key: PrivateKey) -> None:
    vector = key.public.encrypt([1, 2, 3], bound=1000)
    opening = MaskedOpening(key.public, vector)
    assert opening.plan == plan_opening(3, 1000, key.public.key_bits)
    assert isinstance(opening.request, WireArray)
    assert len(opening.request) == opening.plan.n_plaintexts


# --- what the key holder sees ---------------------------------------------------------------------------------------------


def test_masks_and_requests_never_repeat(key: PrivateKey) -> None:
    vector = key.public.encrypt([5])
    openings = [MaskedOpening(key.public, vector) for _ in range(60)]
    requests = [c for opening in openings for c in lm.to_ints(opening.request.limbs)]
    seen = [m for opening in openings for m in lm.to_ints(answer(key, opening))]
    weights = [w for opening in openings for w in opening._weights]
    assert len(set(requests)) == len(set(seen)) == len(requests)
    assert len(set(weights)) == 60
    assert all(w % 2 and w < 1 << 64 for w in weights)


def test_what_the_key_holder_decrypts_is_uniform_modulo_n(key: PrivateKey) -> None:
    """Masks cover the whole plaintext, not only its slots: halves and quarters of [0, n) are equally likely."""
    vector = key.public.encrypt([5])
    seen = [lm.to_ints(answer(key, MaskedOpening(key.public, vector)))[0] for _ in range(400)]
    quarters = np.bincount([4 * m // key.public.n for m in seen], minlength=4)
    assert quarters.sum() == 400
    assert quarters.min() > 40  # expected 100, standard deviation 8.7
    assert quarters.max() < 160


def test_requests_use_full_entropy(key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = lm.random_limbs
    monkeypatch.setattr(lm, "random_limbs", lambda count, bits: asked.append((count, bits)) or real(count, bits))
    vector = key.public.encrypt([5])
    asked.clear()
    opening = MaskedOpening(key.public, vector)
    assert asked == [(len(opening.request), key.public.key_bits + 64)]


# --- what the owner refuses -----------------------------------------------------------------------------------------------


def test_an_opening_serves_once(key: PrivateKey) -> None:
    opening = MaskedOpening(key.public, key.public.encrypt([7, 8]))
    opened = answer(key, opening)
    assert opening.open(opened) == [7, 8]
    with pytest.raises(InputError) as caught:
        opening.open(opened)
    assert caught.value.argument == "answer"


def test_a_failed_opening_serves_no_second_time(key: PrivateKey) -> None:
    opening = MaskedOpening(key.public, key.public.encrypt([7, 8]))
    opened = answer(key, opening)
    with pytest.raises(CheckError):
        opening.open(changed(opened, 0, 1, key.public.n))
    with pytest.raises(InputError):
        opening.open(opened)


@pytest.mark.parametrize("kind", ["low bit", "slot", "check slot", "every value by one", "top bit", "other value", "zero"])
def test_a_tampering_key_holder_is_caught(kind: str, key: PrivateKey) -> None:
    for _ in range(5):
        opening = MaskedOpening(key.public, key.public.encrypt(np.arange(12), bound=1 << 50))
        plan, opened, n = opening.plan, answer(key, opening), key.public.n
        ones = sum(1 << plan.slot_bits * j for j in range(min(plan.slots, 12)))
        place, difference = {
            "low bit": (0, 1),
            "slot": (0, 3 << plan.slot_bits),
            "check slot": (plan.check_at // plan.slots, 1 << plan.slot_bits * (plan.check_at % plan.slots)),
            "every value by one": (0, ones),
            "top bit": (0, 1 << plan.slots * plan.slot_bits),
            "other value": (0, 5 - (5 << plan.slot_bits)),
            "zero": (0, -lm.to_ints(opened)[0]),
        }[kind]
        with pytest.raises(CheckError):
            opening.open(changed(opened, place, difference, n))


def test_swapped_answers_are_caught(key: PrivateKey) -> None:
    first, second = (MaskedOpening(key.public, key.public.encrypt(np.arange(20), bound=1 << 50)) for _ in range(2))
    one, two = answer(key, first), answer(key, second)
    assert len(one) > 1
    for opening, wrong in ((first, two), (second, one[::-1].copy())):
        with pytest.raises(CheckError):
            opening.open(wrong)


@pytest.mark.parametrize("kind", ["too few", "too many", "not below n"])
def test_answers_of_the_wrong_size_are_caught(kind: str, key: PrivateKey) -> None:
    opening = MaskedOpening(key.public, key.public.encrypt([1]))
    opened = answer(key, opening)
    above = opened.copy()
    above[0] = lm.from_ints([key.public.n], opened.shape[1])[0]
    with pytest.raises(CheckError):
        opening.open({"too few": opened[:-1], "too many": np.concatenate([opened, opened]), "not below n": above}[kind])


WRONG_ARRAYS = [np.zeros(8), np.zeros((1, 8)), np.zeros((1, 8), np.int64), np.zeros(8, np.uint64), np.zeros((1, 8), ">u8")]
ANSWERS: list[Any] = [None, 5, [1], "x", b"", *WRONG_ARRAYS]


@pytest.mark.parametrize("wrong", ANSWERS, ids=lambda a: type(a).__name__)
def test_answers_that_are_no_limbs_are_refused_and_cost_no_mask(wrong: Any, key: PrivateKey) -> None:
    opening = MaskedOpening(key.public, key.public.encrypt([4]))
    with pytest.raises(InputError) as caught:
        opening.open(wrong)
    assert caught.value.argument == "answer"
    assert opening.open(answer(key, opening)) == [4]


@pytest.mark.parametrize("values", [None, [1], np.ones(3)], ids=str)
def test_only_encrypted_numbers_are_opened(key: PrivateKey, values: Any) -> None:
    with pytest.raises(InputError) as caught:
        MaskedOpening(key.public, values)
    assert caught.value.argument == "values"


def test_nothing_to_open_is_refused(key: PrivateKey) -> None:
    with pytest.raises(InputError) as caught:
        MaskedOpening(key.public, key.public.encrypt(np.zeros(0, dtype=np.int64)))
    assert caught.value.argument == "n_values"


def test_numbers_too_wide_for_a_checked_opening_are_refused(key: PrivateKey) -> None:
    vector = key.public.encrypt([1])
    with pytest.raises(BoundError):
        MaskedOpening(key.public, CipherArray(key.public, vector.vector, 0, key.public.n // 2))


# --- overflow past the planner (assurance C8), encrypted ------------------------------------------------------------------------


def overflowing(plan_bits: int) -> list[int]:
    return [1 << plan_bits - 1, -(1 << plan_bits - 1) - 1, 1 << plan_bits, 3 << plan_bits, -(1 << plan_bits), (1 << plan_bits + 9) + 5]


def opened_wrong(key: PrivateKey, values: npt.NDArray[Any], bound: int) -> list[int]:
    """Opens numbers whose vector declares a bound that they break."""
    honest = key.public.encrypt(values)
    opening = MaskedOpening(key.public, CipherArray(key.public, honest.vector, 0, bound))
    return opening.open(answer(key, opening))


@pytest.mark.parametrize("place", [0, 4, 5, 11])
def test_encrypted_numbers_above_their_declared_bound_are_caught(place: int, key: PrivateKey) -> None:
    bound = (1 << 30) - 1
    slot_bits = plan_opening(12, bound, key.public.key_bits).slot_bits
    for extra in overflowing(slot_bits):
        values = np.arange(12, dtype=object)
        values[place] = extra
        with pytest.raises(CheckError):
            opened_wrong(key, values, bound)
    values[place] = bound  # the control
    assert opened_wrong(key, values, bound) == values.tolist()


def test_several_overflows_that_cancel_are_caught(key: PrivateKey) -> None:
    bound = (1 << 30) - 1
    bits = plan_opening(12, bound, key.public.key_bits).slot_bits
    for first, second in itertools.permutations(range(3), 2):
        values = np.zeros(12, dtype=object)
        values[first], values[second] = 1 << bits, -(1 << bits)
        with pytest.raises(CheckError):
            opened_wrong(key, values, bound)
    values = np.zeros(12, dtype=object)
    values[3], values[4] = 1 << bits, -1  # in the packed sum these two are nothing: only the secret weights tell
    with pytest.raises(CheckError):
        opened_wrong(key, values, bound)

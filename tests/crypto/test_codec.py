"""Fixed point, residues and slots: exact both ways, refused at the first number that would not fit, overflow always caught."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.overflows import overflow_case, prove

from vflfast.crypto import codec
from vflfast.crypto import limbs as lm
from vflfast.crypto.slots import SlotPlan
from vflfast.errors import BoundError, CheckError, InputError
from vflfast.params import CHECK_WEIGHT_BITS

MANY = settings(max_examples=200, deadline=None)
FRAC_BITS = st.integers(0, 40)
MODULI = st.sampled_from([(1 << 128) - 159, (1 << 129) + 1, (1 << 192) - 237, (1 << 191) + 1, (1 << 256) - 189, (1 << 2048) - 1942289])

# --- encode, decode ------------------------------------------------------------------------------------------------


@MANY
@given(FRAC_BITS, st.data())
def test_encode_rounds_to_the_nearest_multiple(frac_bits: int, data: st.DataObject) -> None:
    bound = 2.0 ** min(20, 61 - frac_bits)
    values = data.draw(st.lists(st.floats(-bound, bound), max_size=20))
    encoded = codec.encode(values, frac_bits, bound)
    assert encoded.dtype == np.int64
    for x, v in zip(values, encoded.tolist(), strict=True):
        error = abs(Fraction(x) * (1 << frac_bits) - v)
        assert error <= Fraction(1, 2)
        assert error < Fraction(1, 2) or v % 2 == 0  # ties to even
    assert np.array_equal(codec.decode(encoded, frac_bits), [round(Fraction(x) * (1 << frac_bits)) / (1 << frac_bits) for x in values])


@MANY
@given(FRAC_BITS, st.lists(st.integers(-(1 << 50), 1 << 50), max_size=20))
def test_what_fits_the_scale_comes_back_exactly(frac_bits: int, values: list[int]) -> None:
    x = np.array(values, dtype=np.float64) / (1 << frac_bits)
    encoded = codec.encode(x, frac_bits, 2.0 ** (61 - frac_bits))
    assert encoded.tolist() == values
    assert np.array_equal(codec.decode(encoded, frac_bits), x)


@MANY
@given(st.integers(1, 40), st.data())
def test_whole_numbers_are_encoded_exactly_beyond_2_to_the_53(frac_bits: int, data: st.DataObject) -> None:
    limit = (1 << 61 - frac_bits) - 1
    values = data.draw(st.lists(st.integers(-limit, limit), max_size=10))
    assert codec.encode(np.array(values, dtype=np.int64), frac_bits, limit).tolist() == [v << frac_bits for v in values]


@MANY
@given(st.lists(st.integers(-(1 << 600), 1 << 600), min_size=1, max_size=5), FRAC_BITS)
def test_decode_of_wide_integers_is_the_nearest_float(values: list[int], frac_bits: int) -> None:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    decoded = codec.decode(array, frac_bits)
    assert decoded.dtype == np.float64
    assert decoded.tolist() == [v / (1 << frac_bits) for v in values]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8", ">f4", np.int8, ">i4", np.uint16, np.longdouble])
@pytest.mark.parametrize("layout", ["plain", "strided", "reversed", "read-only"])
def test_every_number_type_and_layout_is_read_right(dtype: Any, layout: str) -> None:
    values = np.array([1, 2, 3, 100, 5, 64, 7, 8]).astype(dtype)
    strides = {"strided": np.repeat(values, 3)[::3], "reversed": values[::-1].copy()[::-1]}
    made = strides.get(layout, values)
    made.setflags(write=False)
    assert codec.encode(made, 8, 100.0).tolist() == [256 * v for v in (1, 2, 3, 100, 5, 64, 7, 8)]


@MANY
@given(st.floats(1e-6, 1e6), st.integers(0, 30))
def test_the_bound_itself_passes_and_the_next_float_does_not(bound: float, frac_bits: int) -> None:
    codec.encode([bound, -bound], frac_bits, bound)
    for over in (math.nextafter(bound, math.inf), -math.nextafter(bound, math.inf)):
        with pytest.raises(BoundError) as caught:
            codec.encode([0.0, over], frac_bits, bound, "predictor")
        assert caught.value.argument == "predictor"


REFUSED = [
    ([math.nan], 24, 1.0, "values"),
    ([math.inf], 24, 1.0, "values"),
    ([0.0, -math.inf], 24, 1.0, "values"),
    (None, 24, 1.0, "values"),
    (["1.0"], 24, 1.0, "values"),
    ([True], 24, 1.0, "values"),
    ([1j], 24, 1.0, "values"),
    ([[1.0], [1.0, 2.0]], 24, 1.0, "values"),
    (np.array([0.5], dtype=object), 24, 1.0, "values"),
    (np.array(["2020-01-01"], dtype="datetime64[D]"), 24, 1.0, "values"),
    (np.ma.masked_array([0.5, 0.25], mask=[False, True]), 24, 1.0, "values"),
    ([1 << 70], 24, 1.0, "values"),
    ([1.5], 24, 1.0, "values"),
    (np.array([-(1 << 63)]), 0, 2.0**61, "values"),
    ([0.5], -1, 1.0, "frac_bits"),
    ([0.5], 41, 1.0, "frac_bits"),
    ([0.5], 24.0, 1.0, "frac_bits"),
    ([0.5], True, 1.0, "frac_bits"),
    ([0.5], None, 1.0, "frac_bits"),
    ([0.5], 24, math.nan, "bound"),
    ([0.5], 24, math.inf, "bound"),
    ([0.5], 24, 0.0, "bound"),
    ([0.5], 24, -1.0, "bound"),
    ([0.5], 24, 2.0**38, "bound"),
    ([0.5], 0, 10**400, "bound"),
    ([0.5], 24, None, "bound"),
    ([0.5], 24, "1", "bound"),
    ([0.5], 24, True, "bound"),
]


@pytest.mark.parametrize(("values", "frac_bits", "bound", "culprit"), REFUSED, ids=str)
def test_encode_refuses(values: Any, frac_bits: Any, bound: Any, culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        codec.encode(values, frac_bits, bound)
    assert caught.value.argument == culprit


# --- residues ------------------------------------------------------------------------------------------------------

INT64 = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0, 1, -1, (1 << 63) - 1, -(1 << 63), 1 << 32, -(1 << 32)])


@MANY
@given(MODULI, st.lists(INT64, max_size=12))
def test_int64_to_residues_and_back(n: int, values: list[int]) -> None:
    residues = codec.to_residues(np.array(values, dtype=np.int64), n)
    assert lm.to_ints(residues) == [v % n for v in values]
    for bound in (1 << 63, 1 << 100):
        assert codec.from_residues(residues, n, bound).tolist() == values
    if -(1 << 63) not in values:
        back = codec.from_residues(residues, n, (1 << 63) - 1)
        assert back.dtype == np.int64
        assert back.tolist() == values


@MANY
@given(MODULI, st.data())
def test_wide_integers_to_residues_and_back(n: int, data: st.DataObject) -> None:
    edge = n // 2
    wide = st.integers(-edge, edge) | st.sampled_from([edge, -edge, edge - 1, 0, (1 << 64) - 1, -(1 << 64), 1 << 64])
    values = data.draw(st.lists(wide, min_size=1, max_size=8))
    array = np.empty(len(values), dtype=object)
    array[:] = values
    residues = codec.to_residues(array, n)
    assert lm.to_ints(residues) == [v % n for v in values]
    assert codec.from_residues(residues, n, edge).tolist() == values


@MANY
@given(MODULI, st.integers(0, (1 << 63) - 2) | st.integers(1 << 63, 1 << 126), st.booleans())
def test_the_largest_integer_passes_and_one_more_is_caught(n: int, bound: int, negative: bool) -> None:
    assume(bound + 1 <= n // 2)
    sign = -1 if negative else 1
    assert codec.from_residues(lm.from_ints([sign * bound % n], lm.limb_count(n.bit_length())), n, bound).tolist() == [sign * bound]
    for over in (bound + 1, n // 2):
        with pytest.raises(CheckError):
            codec.from_residues(lm.from_ints([0, sign * over % n], lm.limb_count(n.bit_length())), n, bound)


@pytest.mark.parametrize("sign", [1, -1])
def test_every_limb_above_the_lowest_counts_against_the_bound(sign: int) -> None:
    n = (1 << 256) - 189
    for limb in (1, 2, 3):
        over = lm.from_ints([0, sign * ((1 << 64 * limb) + 5) % n], 4)
        with pytest.raises(CheckError):
            codec.from_residues(over, n, 1 << 62)


# --- slots: the proof ------------------------------------------------------------------------------------------------

PLANS = st.tuples(st.integers(1, 60), st.integers(0, 1 << 90), st.sampled_from([256, 300, 512, 1024]))


@MANY
@given(PLANS)
def test_the_plan_proves_what_it_promises(case: tuple[int, int, int]) -> None:
    n_values, bound, n_bits = case
    check_bound = bound * n_values << CHECK_WEIGHT_BITS
    width = bound.bit_length() + 1
    if (check_bound.bit_length() // width + 1) * width > n_bits - 2:
        with pytest.raises(BoundError):
            prove(*case)
        return
    plan = prove(*case)
    assert 1 << (plan.slot_bits - 1) > bound
    assert 1 << (plan.slot_bits * plan.check_slots - 1) > check_bound
    assert plan.slots * plan.slot_bits <= n_bits - 2
    assert bound >= 1 << plan.slot_bits >> 2  # and is not wider than it must be
    assert (plan.slots + 1) * plan.slot_bits > n_bits - 2
    assert plan.check_at >= n_values  # the check has slots of its own, in one plaintext
    assert plan.check_at // plan.slots == (plan.check_at + plan.check_slots - 1) // plan.slots
    assert plan.n_plaintexts == -(-(plan.check_at + plan.check_slots) // plan.slots)
    assert plan.n_plaintexts <= -(-n_values // plan.slots) + 1


@MANY
@given(PLANS, st.randoms(use_true_random=False))
def test_pack_and_unpack_are_inverse_to_the_last_bit(case: tuple[int, int, int], rng: random.Random) -> None:
    n_values, bound, n_bits = case
    assume((bound * n_values).bit_length() + CHECK_WEIGHT_BITS + bound.bit_length() + 2 < n_bits - 2)
    plan, check_bound = prove(*case), bound * n_values << CHECK_WEIGHT_BITS
    mixed = [rng.choice((bound, -bound, 0, rng.randint(-bound, bound))) for _ in range(n_values)]
    for values in ([bound] * n_values, [-bound] * n_values, mixed):
        for check in (check_bound, -check_bound, 0):
            packed = plan.pack(values, check)
            assert len(packed) == plan.n_plaintexts
            assert all(0 <= p < 1 << (n_bits - 2) for p in packed)
            assert plan.unpack(packed) == (values, check)
            # slot by slot: value j at slot j, offset by half a slot
            for j, value in enumerate(values):
                slot = packed[j // plan.slots] >> plan.slot_bits * (j % plan.slots)
                assert slot % (1 << plan.slot_bits) == value + (1 << plan.slot_bits - 1)


def test_the_example_of_the_specification() -> None:
    """66,274 rows, bins 0..4, B = 16, 24 fraction bits: 47-bit slots, 43 in 2048 bits, 70 ciphertexts."""
    column_sum = 66274 * (0 + 1 + 2 + 3 + 4) // 5  # five classes of equal size
    plan = prove(3000, (16 << 24) * column_sum, 2048)
    assert (plan.slot_bits, plan.slots, plan.n_plaintexts) == (47, 43, 70)


@pytest.mark.parametrize("n_values", [1, 5, 6])
@pytest.mark.parametrize("place", [0, -1])
def test_pack_refuses_one_above_its_slot(n_values: int, place: int) -> None:
    plan = prove(n_values, 1000, 256)
    half, check_half = 1 << plan.slot_bits - 1, 1 << plan.slot_bits * plan.check_slots - 1
    values = [0] * n_values
    for over in (half, -half):
        values[place] = over
        with pytest.raises(BoundError) as caught:
            plan.pack(values, 0)
        assert caught.value.argument == "values"
        with pytest.raises(BoundError):
            plan.pack([0] * n_values, check_half * (1 if over > 0 else -1))
        values[place] = over - 1 if over > 0 else over + 1
        assert plan.unpack(plan.pack(values, 0)) == (values, 0)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ((0, 10, 10, 256), "n_values"),
        ((-1, 10, 10, 256), "n_values"),
        ((True, 10, 10, 256), "n_values"),
        ((None, 10, 10, 256), "n_values"),
        ((1, -1, 10, 256), "bound"),
        ((1, 2.5, 10, 256), "bound"),
        ((1, 1 << 254, 10, 256), "bound"),
        ((1, 10, 1 << 254, 256), "bound"),
        ((1, 10, -1, 256), "check_bound"),
        ((1, 10, 1.0, 256), "check_bound"),
        ((1, 10, 10, 0), "bound"),
        ((1, 10, 10, None), "n_bits"),
    ],
)
def test_prove_refuses(arguments: tuple[Any, ...], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        SlotPlan.prove(*arguments)
    assert caught.value.argument == culprit


@pytest.mark.parametrize(("bound", "check_bound", "slot_bits", "check_slots"), [
    (7, 127, 4, 2), (7, 128, 4, 3), (8, 511, 5, 2), (8, 512, 5, 3), (7, 7, 4, 1), (7, 8, 4, 2), (0, 0, 1, 1), (0, 1, 1, 2), (1, 0, 2, 1),
])  # fmt: skip
def test_slots_are_as_narrow_as_the_bounds_allow(bound: int, check_bound: int, slot_bits: int, check_slots: int) -> None:
    plan = SlotPlan.prove(1, bound, check_bound, 256)
    assert (plan.slot_bits, plan.check_slots, plan.slots) == (slot_bits, check_slots, 254 // slot_bits)
    for value in (bound, -bound):
        for check in (check_bound, -check_bound):
            assert plan.unpack(plan.pack([value], check)) == ([value], check)


@pytest.mark.parametrize(("n_values", "check_at", "n_plaintexts"), [
    (1, 1, 1), (60, 60, 1), (61, 61, 1), (62, 63, 2), (63, 63, 2), (64, 64, 2), (124, 124, 2), (125, 126, 3),
])  # fmt: skip
def test_the_check_fills_the_last_plaintext_where_it_fits(n_values: int, check_at: int, n_plaintexts: int) -> None:
    """63 slots in a plaintext, the check takes two that lie together."""
    plan = SlotPlan.prove(n_values, 7, 127, 256)
    assert (plan.slots, plan.check_slots) == (63, 2)
    assert (plan.check_at, plan.n_slots, plan.n_plaintexts) == (check_at, check_at + 2, n_plaintexts)


def test_a_number_one_bit_wider_than_the_slots_is_refused() -> None:
    SlotPlan.prove(1, (1 << 252) - 1, 10, 255)
    with pytest.raises(BoundError):
        SlotPlan.prove(1, 1 << 252, 10, 255)


@pytest.mark.parametrize("wrong", ["too few", "too many", "bits above", "negative"])
def test_unpack_refuses(wrong: str) -> None:
    plan = prove(9, 1 << 30, 256)
    packed = plan.pack([5] * 9, 7)
    broken = {
        "too few": packed[:-1],
        "too many": [*packed, 0],
        "bits above": [packed[0] + (1 << plan.slots * plan.slot_bits), *packed[1:]],
        "negative": [-1, *packed[1:]],
    }[wrong]
    with pytest.raises(CheckError):
        plan.unpack(broken)


@pytest.mark.parametrize("n_values", [9, 60, 61, 62, 63, 125])
def test_unpack_refuses_what_stands_in_unused_slots(n_values: int) -> None:
    """Before the check value and after it; one bit of a slot in use is read as another number."""
    plan = SlotPlan.prove(n_values, 7, 127, 256)
    packed = plan.pack([5] * n_values, 7)
    used = {*range(n_values), *range(plan.check_at, plan.n_slots)}
    for slot in range(plan.n_plaintexts * plan.slots):
        for bit in (0, plan.slot_bits - 1):
            other = list(packed)
            other[slot // plan.slots] ^= 1 << plan.slot_bits * (slot % plan.slots) + bit
            if slot in used:
                assert plan.unpack(other) != ([5] * n_values, 7)
            else:
                with pytest.raises(CheckError, match="not empty"):
                    plan.unpack(other)


def test_the_lowest_bits_of_a_slot_are_its_lowest_number() -> None:
    """0 is as good a plaintext as another; that it is beyond the bound is for the check column to say."""
    plan = SlotPlan.prove(3, 7, 127, 256)
    assert plan.unpack([0]) == ([-8, -8, -8], -128)


def test_pack_refuses_another_count() -> None:
    with pytest.raises(InputError) as caught:
        prove(3, 10, 256).pack([1, 2], 0)
    assert caught.value.argument == "values"


# --- slots: overflow past the planner (assurance C8) ------------------------------------------------------------------






def test_every_overflow_past_the_planner_is_caught(figure: Figure) -> None:
    rng, seen = random.Random(8), {"width": 0, "check": 0}
    for _ in range(10_000):
        seen[overflow_case(rng)] += 1  # KeyError: passed
    assert seen["check"] > 5000
    figure("C8", "overflows", sum(seen.values()))


@pytest.mark.parametrize(("values", "kind"), [
    (np.array([2**63 - 1, 0]), np.int64), (np.array([1 - 2**63, 0]), np.int64), (np.array([-(2**63), 0]), object),
    (np.array([2**63, 0], dtype=np.uint64), object), (np.array([2**63 - 1], dtype=np.uint64), np.int64),
    (np.array([], dtype=np.int8), np.int64),
])  # fmt: skip
def test_whole_numbers_are_int64_where_their_magnitude_is(values: Any, kind: Any) -> None:
    """|−2^63| is no int64: it would be negative."""
    found = codec.whole_numbers("values", values)
    assert found.dtype == kind
    assert found.tolist() == values.tolist()
    assert codec.largest_magnitude(found) == max(map(abs, values.tolist()), default=0)

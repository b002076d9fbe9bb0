"""Limb arrays: exact both ways, little-endian, random numbers of the asked size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.crypto import limbs as lm

MANY = settings(max_examples=200, deadline=None)
SIZES = st.integers(1, 9)


@MANY
@given(SIZES.flatmap(lambda size: st.tuples(st.just(size), st.lists(st.integers(0, (1 << 64 * size) - 1), max_size=12))))
def test_integers_come_back_from_limbs(case: tuple[int, list[int]]) -> None:
    size, values = case
    limbs = lm.from_ints(values, size)
    assert limbs.shape == (len(values), size)
    assert limbs.dtype == np.uint64
    assert lm.to_ints(limbs) == values


def test_the_first_limb_is_the_lowest() -> None:
    assert lm.from_ints([5 + (7 << 64) + (9 << 128)], 4).tolist() == [[5, 7, 9, 0]]


@pytest.mark.parametrize("layout", ["strided", "reversed", "big-endian", "fortran", "read-only"])
def test_every_memory_layout_is_read_as_the_same_numbers(layout: str) -> None:
    values = [(1 << 128) - 1, 1, 1 << 64, (3 << 64) + 2, 0, 12345 << 60]
    plain = lm.from_ints(values, 2)
    wide = np.zeros((12, 4), dtype=np.uint64)
    wide[::2, 1:3] = plain
    made = {
        "strided": wide[::2, 1:3],
        "reversed": np.ascontiguousarray(plain[::-1])[::-1],
        "big-endian": plain.astype(">u8"),
        "fortran": np.asfortranarray(plain),
        "read-only": plain.copy(),
    }[layout]
    made.setflags(write=False)
    assert lm.to_ints(made) == values


@pytest.mark.parametrize("value", [-1, 1 << 128])
def test_numbers_that_do_not_fit_are_refused(value: int) -> None:
    with pytest.raises(OverflowError):
        lm.from_ints([value], 2)


@pytest.mark.parametrize(("bits", "count"), [(0, 0), (1, 1), (64, 1), (65, 2), (128, 2), (129, 3), (4096, 64)])
def test_limb_count(bits: int, count: int) -> None:
    assert lm.limb_count(bits) == count


@pytest.mark.parametrize("bits", [1, 63, 64, 65, 127, 128, 1024, 2112])
def test_random_limbs_fill_exactly_the_asked_bits(bits: int) -> None:
    drawn = lm.to_ints(lm.random_limbs(200, bits))
    assert max(drawn).bit_length() <= bits
    assert sum(1 << bits >> 1 <= v for v in drawn) in range(50, 151)  # the top bit is set half the time: 7 sigma
    seen, missing = 0, (1 << bits) - 1
    for value in drawn:
        seen |= value
        missing &= value
    assert seen == (1 << bits) - 1  # every bit is 1 somewhere
    assert missing == 0  # and 0 somewhere


def test_random_limbs_of_nothing() -> None:
    assert lm.random_limbs(0, 130).shape == (0, 3)


@pytest.mark.parametrize("bound", [1, 2, 3, 77, (1 << 64) + 1, (1 << 256) - 189])
def test_random_below_stays_below(bound: int) -> None:
    drawn = lm.random_below(bound, 300)
    assert len(drawn) == 300
    assert all(0 <= v < bound for v in drawn)
    assert bound > 77 or set(drawn) <= set(range(bound))
    assert bound > 3 or set(drawn) == set(range(bound))
    assert bound < 1 << 64 or len(set(drawn)) == 300


def test_random_below_is_uniform_where_masking_would_not_be() -> None:
    # 3 of 4: drawing two bits modulo 3 would give 0 half of the time
    drawn = lm.random_below(3, 3000)
    assert all(drawn.count(v) in range(800, 1201) for v in range(3))  # expected 1000, 7.7 sigma


def test_wipe_clears_the_array_itself() -> None:
    array = lm.random_limbs(5, 512)
    view = array[1:3]
    lm.wipe(array)
    assert not view.any()
    assert not array.any()

"""The block planner keeps every feature, and the contexts' class sums and combinations equal plain integers."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.moduli import each_backend, units

from vflfast.crypto import backend as be
from vflfast.crypto import blocks
from vflfast.crypto import limbs as lm
from vflfast.crypto.blocks import BUDGETS, BlockPlan, make_plan
from vflfast.crypto.context import Block
from vflfast.params import MAX_BUCKETS, ROWS_PER_PASS

MANY = settings(max_examples=200, deadline=None)
Codes = npt.NDArray[np.uint8]


# --- the planner -------------------------------------------------------------------------------------------------------


def plan_of(codes: Codes, counts: npt.NDArray[np.int64]) -> BlockPlan:
    shares = np.array([np.bincount(row).max() / len(row) for row in codes])
    return make_plan(codes, counts, shares)


def features_of(plan: BlockPlan) -> list[list[int]]:
    """Which features each block holds, from the positions of their classes."""
    order = np.argsort(plan.first_class, kind="stable").tolist()
    blocks, taken = [], 0
    for block in plan.blocks:
        blocks.append(order[taken : taken + len(block.class_counts)])
        taken += len(block.class_counts)
    assert taken == len(order)
    return blocks


def check_plan(codes: Codes, counts: npt.NDArray[np.int64], plan: BlockPlan) -> None:
    n_features, n_rows = codes.shape
    grouped = features_of(plan)
    assert sorted(f for group in grouped for f in group) == list(range(n_features))  # each feature in exactly one block
    position = 0
    for block, group in zip(plan.blocks, grouped, strict=True):
        assert tuple(counts[group]) == block.class_counts
        assert math.prod(block.class_counts) <= MAX_BUCKETS
        assert block.patterns.dtype == np.uint16
        rows = np.arange(n_rows) if block.rows is None else block.rows
        assert len(rows) == len(block.patterns)
        assert (np.diff(rows.astype(np.int64)) > 0).all()
        stride = 1
        for feature, count in zip(group, block.class_counts, strict=True):  # the pattern is the rows' codes, mixed radix
            assert np.array_equal(block.patterns.astype(np.int64) // stride % count, codes[feature][rows])
            assert plan.first_class[feature] == position
            assert plan.modal_class[feature] == (-1 if block.modal < 0 else block.modal // stride % count)
            stride *= count
            position += count
        if block.rows is not None:  # what a sparse block leaves out is the modal pattern and nothing else
            left_out = np.setdiff1d(np.arange(n_rows), block.rows)
            assert all((codes[f][left_out] == plan.modal_class[f]).all() for f in group)
            assert block.modal not in block.patterns
    first = plan.blocks[0]
    assert first.rows is None  # all patterns kept: its class sums give the sum over all rows
    assert first.modal == -1
    assert plan.first_counts == first.class_counts[0]


@MANY
@given(st.lists(st.sampled_from([1, 2, 2, 3, 5, 7, 50, 256]), min_size=1, max_size=40), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_every_plan_keeps_every_feature(class_counts: list[int], n_rows: int, seed: int) -> None:
    rng, counts = np.random.default_rng(seed), np.array(class_counts)
    modal_heavy = rng.random((len(counts), n_rows)) < rng.choice([0.0, 0.5, 0.99], (len(counts), 1))
    codes = np.where(modal_heavy, 0, rng.integers(0, counts[:, None], (len(counts), n_rows))).astype(np.uint8)
    check_plan(codes, counts, plan_of(codes, counts))


@pytest.mark.parametrize("count", [1, 2, 4, 16, 256])
def test_products_of_exactly_the_largest_budget(count: int) -> None:
    """65,536 patterns are the last that 16 bits hold; a further feature of one class changes nothing."""
    rng = np.random.default_rng(count)
    n_features = 40 if count == 1 else round(math.log(MAX_BUCKETS, count))
    counts = np.array([count] * n_features + [1, 1])
    codes = rng.integers(0, counts[:, None], (len(counts), 300)).astype(np.uint8)
    codes[:, 0] = counts - 1
    check_plan(codes, counts, plan_of(codes, counts))


def test_the_budgets_are_within_the_pattern_type() -> None:
    assert max(BUDGETS) == MAX_BUCKETS == 1 << 16
    assert list(BUDGETS) == sorted(BUDGETS)


def test_the_grouping_pays() -> None:
    """At the size of the task five five-class features share a block, and sparse features are stored sparsely."""
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 5, (50, 66274)).astype(np.uint8)
    assert [b.class_counts for b in plan_of(codes, np.full(50, 5)).blocks] == [(5,) * 5] * 10
    sparse = (rng.random((16, 20000)) < 0.001).astype(np.uint8)
    plan = plan_of(sparse, np.full(16, 2))
    assert all(block.rows is not None for block in plan.blocks[1:])
    assert sum(len(block.patterns) for block in plan.blocks[1:]) < 16 * 40


@MANY
@given(st.integers(1, 64), st.sampled_from([1, 8]), st.integers(1, 100_000), st.integers(1, 30))
def test_segments_split_the_rows_sensibly(threads: int, lanes: int, n_rows: int, n_blocks: int) -> None:
    blocks = tuple(Block((5, 5), np.broadcast_to(np.uint16(0), n_rows), None, -1) for _ in range(n_blocks))
    none = np.zeros(0, dtype=np.int64)
    segments = BlockPlan(blocks, none, none, none, 5).segments(threads, lanes)
    assert 1 <= segments <= n_rows
    if n_rows >= 4 * 25 * 4 * threads:  # enough rows: every thread gets a piece
        assert segments * -(-n_blocks // lanes) >= threads


# --- class sums in the contexts ------------------------------------------------------------------------------------------


def random_block(rng: random.Random, n_rows: int) -> Block:
    counts = tuple(rng.choice(((1,), (2,), (2, 3), (5, 5, 5), (256,), (3, 1, 2), (2,) * 8, (16, 16))))
    patterns = np.array([rng.randrange(math.prod(counts)) for _ in range(n_rows)], dtype=np.uint16)
    modal = rng.choice((-1, int(patterns[0])))
    if rng.random() < 0.5:
        return Block(counts, patterns, None, modal)
    rows = np.array(sorted(rng.sample(range(n_rows), rng.randrange(n_rows + 1))), dtype=np.uint32)
    return Block(counts, patterns[rows], rows, modal)


def plain_class_sums(values: list[int], blocks: list[Block], square: int) -> list[int]:
    sums: list[int] = []
    for block in blocks:
        rows = range(len(values)) if block.rows is None else block.rows.tolist()
        stride = 1
        for count in block.class_counts:
            totals = [1] * count
            for row, pattern in zip(rows, block.patterns.tolist(), strict=True):
                if pattern != block.modal:
                    totals[pattern // stride % count] = totals[pattern // stride % count] * values[row] % square
            sums += totals
            stride *= count
    return sums


@pytest.mark.parametrize("n_blocks", [1, 7, 8, 9, 17])
@pytest.mark.parametrize("n_rows", [1, 2, 9, 60])
def test_class_sums(n_blocks: int, n_rows: int) -> None:
    rng = random.Random(f"{n_blocks} {n_rows}")
    for n in ((1 << 130) - 5, (1 << 256) - 1):
        values, blocks = units(n, n_rows, rng), [random_block(rng, n_rows) for _ in range(n_blocks)]
        expected = plain_class_sums(values, blocks, n * n)
        for where in each_backend((1, 2, 8)):
            for segments in (1, 2, 7):
                context = be.current().public(n)
                sums = context.class_sums(context.load(lm.from_ints(values, 2 * context.limbs)), blocks, segments)
                assert lm.to_ints(context.store(sums)) == expected, (where, segments)


@pytest.mark.parametrize("n_rows", [4093, 4094, 4095, 8189, 12300])
def test_buckets_that_fill_past_the_point_where_logarithms_are_carried(n_rows: int) -> None:
    n = (1 << 128) - 159
    rng = random.Random(n_rows)
    values = [n * n + 1 - n * rng.randrange(1, 1000) for _ in range(n_rows)]  # logarithms just below n: the sums grow fastest
    patterns = np.zeros(n_rows, dtype=np.uint16)
    patterns[::1000] = 1
    blocks = [Block((2,), patterns, None, -1), Block((2, 2), patterns * np.uint16(3), None, 3)]
    expected = plain_class_sums(values, blocks, n * n)
    for where in each_backend((2,)):
        for segments in (1, 3):
            context = be.current().public(n)
            sums = context.class_sums(context.load(lm.from_ints(values, 4)), blocks, segments)
            assert lm.to_ints(context.store(sums)) == expected, (where, segments)


@pytest.mark.parametrize("n_columns", [1, 8, 33])
def test_combine(n_columns: int) -> None:
    rng, n, width = random.Random(n_columns), (1 << 192) - 237, 6
    sums = units(n, 40, rng) + [1] * 5  # classes without rows
    counts = np.array([rng.randrange(1, width + 1) for _ in range(n_columns)])
    first = np.array([rng.randrange(len(sums) - count + 1) for count in counts.tolist()])
    choices = (0, 0, 1, -1, 2, 3, -7, 1 << 21, -(1 << 21), rng.randrange(-1000, 1000))
    exponents = np.array([[rng.choice(choices) for _ in range(width)] for _ in range(n_columns)])

    def weighted(column: int, sign: int) -> int:
        start, used = int(first[column]), exponents[column][: counts[column]].tolist()
        return math.prod(pow(sums[start + v], max(sign * e, 0), n * n) for v, e in enumerate(used)) % (n * n)

    expected: list[Any] = [[weighted(j, sign) for j in range(n_columns)] for sign in (1, -1)]
    for where in each_backend():
        context = be.current().public(n)
        both = context.combine(context.load(lm.from_ints(sums, 2 * context.limbs)), first, counts, exponents)
        assert [lm.to_ints(context.store(side)) for side in both] == expected, where


def test_a_plan_pays_for_every_pass_and_keeps_to_the_memory_of_a_lane() -> None:
    counts, shares = np.full(300, 5), np.full(300, 0.2)
    one_pass = blocks.expected_work(counts, shares, ROWS_PER_PASS, 8)
    four = blocks.expected_work(counts, shares, 4 * ROWS_PER_PASS, 8)
    assert four.n_blocks == one_pass.n_blocks  # the rows of a pass choose, not those of the table
    assert four.used == 4 * one_pass.used
    for n_rows in (10**3, 10**5, 10**7):
        work = blocks.expected_work(counts, shares, n_rows, 8)
        assert work.buckets / work.n_blocks <= blocks.MOST_BUCKETS_OF_A_LANE
        levels = blocks.expected_work(np.full(3, 256), np.full(3, 0.01), n_rows, 8)
        assert levels.n_blocks == 3

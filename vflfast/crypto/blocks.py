"""The block planner: which coded features share a bucket tensor, and how their rows are stored (crypto-core §6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..params import MAX_BUCKETS, ROWS_PER_PASS
from . import storage
from .context import Block, Context, Seconds, Vector

# Tensors of more buckets than this, side by side, leave the second-level cache.
CACHED_BUCKETS = 1024
BUDGETS = (256, 512, 625, 1024, 2048, 3125, 4096, 8192, 16384, 32768, MAX_BUCKETS)
MOST_BUCKETS_OF_A_LANE = 8192  # eight tensors of them at 3072 bits take the 64 MB that a thread may (crypto-core §7)
# Below this share of rows outside the modal pattern a block keeps only those: 6 bytes an entry instead of 2. Side by side, a dense
# block cannot skip a row by itself, and a list costs a tenth more an entry; alone it skips for nothing.
SPARSE_SHARE_LANES = 0.8
SPARSE_SHARE_ALONE = 1 / 3
UNITS_PER_THREAD = 4  # enough pieces of work that no thread waits long at the end


@dataclass(frozen=True)
class BlockCosts:
    """What the planner weighs, in insertions (pair × residue) into a tensor that the second-level cache holds.

    Attributes
    ----------
    collapse
        Summing one used bucket: about two pair × pair products, of 5 h² against an insertion's 3 h² word products.
    clear
        A bucket that is looked at.
    far
        An insertion into a tensor of more than `CACHED_BUCKETS` buckets.
    """

    collapse: float
    clear: float
    far: float


@dataclass(frozen=True)
class BlockWork:
    """Expected work of one encrypted product under a grouping, as if features were independent."""

    n_blocks: int
    near: float  # insertions into tensors of at most CACHED_BUCKETS buckets, first rows of a bucket included
    far: float  # and into larger ones
    used: float  # buckets that rows fall into, in all passes
    buckets: float

    def cost(self, costs: BlockCosts) -> float:
        """Return the whole in insertions."""
        return self.near + costs.far * self.far + costs.collapse * self.used + costs.clear * self.buckets


_measured: BlockCosts | None = None


@contextmanager
def use_costs(costs: BlockCosts) -> Iterator[None]:
    """Run a block with measured costs instead of the fixed ones; results do not depend on it, the arithmetic being exact."""
    global _measured
    before, _measured = _measured, costs
    try:
        yield
    finally:
        _measured = before


def costs_for(lanes: int) -> BlockCosts:
    """Return the costs in use: measured ones inside `use_costs`, else fixed ones (0.43 µs a far insertion against 0.40 with lanes)."""
    return _measured or BlockCosts(collapse=3.3, clear=0.02, far=1.06 if lanes > 1 else 1.0)


@dataclass(frozen=True)
class BlockPlan:
    """Blocks of features over all rows, and where each feature's class sums stand in the product's output.

    Attributes
    ----------
    blocks
        In order; the first is dense and leaves no pattern out, so that its class sums give the sum over all rows.
    class_counts
        shape (n_features,), classes of each feature that have rows here.
    first_class
        shape (n_features,), the position of each feature's class 0.
    modal_class
        shape (n_features,), the class whose rows are partly left out, or −1.
    first_counts
        Class count of the first feature of the first block, whose classes stand at position 0.
    """

    blocks: tuple[Block, ...]
    class_counts: npt.NDArray[np.int64]
    first_class: npt.NDArray[np.int64]
    modal_class: npt.NDArray[np.int64]
    first_counts: int

    @property
    def n_rows(self) -> int:
        """Rows that the blocks are about."""
        return len(self.blocks[0].patterns)

    def segments(self, threads: int, lanes: int) -> int:
        """Return into how many row segments to split the work so that every thread and lane is busy."""
        largest = max(int(np.prod(b.class_counts)) for b in self.blocks)
        return row_segments(len(self.blocks), largest, self.n_rows, threads, lanes)


def take_rows(block: Block, start: int, stop: int) -> Block:
    """Return a block on the rows from `start` up to `stop`: what it leaves out stays the same, so that the sums of parts multiply."""
    if block.rows is None:
        return replace(block, patterns=block.patterns[start:stop])
    first, last = np.searchsorted(block.rows, [start, stop])
    return replace(block, patterns=block.patterns[first:last], rows=block.rows[first:last] - np.uint32(start))


def class_sums(context: Context, plan: BlockPlan, vector: Vector, spent: Seconds, threads: int, lanes: int) -> Vector:
    """Return the product of the rows of every class, `ROWS_PER_PASS` rows at a time; `spent` gets the time by phase."""
    result: Vector | None = None
    for start in range(0, plan.n_rows, ROWS_PER_PASS):
        stop, seconds = min(start + ROWS_PER_PASS, plan.n_rows), Seconds()
        part = replace(plan, blocks=tuple(take_rows(block, start, stop) for block in plan.blocks))
        sums = context.class_sums(vector[start:stop], part.blocks, part.segments(threads, lanes), seconds)
        result = sums if result is None else context.multiply(result, sums)
        for phase, value in seconds.items():
            spent[phase] = spent.get(phase, 0.0) + value
    assert result is not None  # noqa: S101  (a plan has rows)
    return result


def row_segments(blocks: int, buckets: float, n_rows: int, threads: int, lanes: int) -> int:
    """Return how many row segments `blocks` tensors of `buckets` buckets are worth: each segment collapses by itself."""
    wanted = -(-UNITS_PER_THREAD * threads * lanes // (-(-blocks // lanes) * lanes if blocks >= lanes else blocks))
    return max(1, min(wanted, int(n_rows // (4 * buckets)) + 1))


def make_plan(
    codes: npt.NDArray[np.uint8], class_counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], lanes: int = 1
) -> BlockPlan:
    """Return the cheapest grouping of features over the candidate bucket budgets.

    Parameters
    ----------
    codes
        uint8, shape (n_features, n_rows).
    class_counts, shares
        Class count and share of the most frequent class, by feature.
    lanes
        Blocks that the arithmetic treats side by side.
    """
    order, groups = _grouping(class_counts, shares, codes.shape[1], lanes)
    counts = class_counts[order]
    first_class = np.zeros(len(order), dtype=np.int64)
    modal_class = np.full(len(order), -1, dtype=np.int64)
    blocks, position = [], 0
    for start, stop in zip(groups, [*groups[1:], len(order)], strict=True):
        features = order[start:stop]
        block = _make_block(codes, class_counts, features, lanes, keep_all=start == 0)
        blocks.append(block)
        remainder = block.modal
        for feature in features:
            first_class[feature] = position
            position += int(class_counts[feature])
            if block.modal >= 0:
                remainder, modal_class[feature] = divmod(remainder, int(class_counts[feature]))
    return BlockPlan(tuple(blocks), class_counts, first_class, modal_class, int(counts[0]))


def expected_work(class_counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], n_rows: int, lanes: int) -> BlockWork:
    """Return the work of the plan that `make_plan` would choose for `n_rows` rows, from class counts and modal shares alone."""
    order, groups = _grouping(class_counts, shares, n_rows, lanes)
    return _work(class_counts[order], shares[order], groups, n_rows)


def _grouping(
    class_counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], n_rows: int, lanes: int
) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Return the features in the order of their blocks, and where each block starts."""
    order = np.lexsort((shares, class_counts))
    counts, costs = class_counts[order], costs_for(lanes)
    most = MOST_BUCKETS_OF_A_LANE if lanes > 1 else MAX_BUCKETS  # a feature alone has 256 at most: codes are bytes
    candidates = (_group(counts, budget) for budget in BUDGETS if counts.max() <= budget <= most)
    return order, min(candidates, key=lambda starts: _work(counts, shares[order], starts, n_rows).cost(costs))


def _group(counts: npt.NDArray[np.int64], budget: int) -> list[int]:
    """Return where each group starts when neighbours are joined as long as the product of counts is within `budget`."""
    starts, product = [0], 1
    for i, count in enumerate(counts.tolist()):
        if product * count > budget and i > starts[-1]:
            starts.append(i)
            product = 1
        product *= count
    return starts


def _work(counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], starts: list[int], n_rows: int) -> BlockWork:
    """Count the non-modal rows of every block, and its buckets; each pass over rows fills and sums them anew."""
    logs = np.log(np.maximum(shares, 1e-12))
    modal = np.exp(np.add.reduceat(logs, starts))
    buckets = np.exp(np.add.reduceat(np.log(counts), starts))
    modal[0] = 0.0  # the first block keeps all
    entries = n_rows * (1 - modal)
    is_far = buckets > CACHED_BUCKETS + 0.5
    near, far, used = entries[~is_far].sum(), entries[is_far].sum(), np.minimum(buckets * -(-n_rows // ROWS_PER_PASS), n_rows).sum()
    return BlockWork(len(starts), float(near), float(far), float(used), float(buckets.sum()))


def _make_block(
    codes: npt.NDArray[np.uint8], class_counts: npt.NDArray[np.int64], features: npt.NDArray[np.int64], lanes: int, *, keep_all: bool
) -> Block:
    counts = tuple(int(class_counts[f]) for f in features)
    patterns = storage.empty(codes.shape[1], np.uint16)
    patterns[:] = 0
    stride = 1
    for feature, count in zip(features, counts, strict=True):
        patterns += codes[feature].astype(np.uint16) * np.uint16(stride % 65536)  # a stride of 2^16 meets only code 0
        stride *= count
    if keep_all:
        return Block(counts, patterns, None, -1)
    frequency = _frequency(patterns)
    modal = int(frequency.argmax())
    if 1 - frequency[modal] / len(patterns) < (SPARSE_SHARE_LANES if lanes > 1 else SPARSE_SHARE_ALONE):
        rows = np.flatnonzero(patterns != modal).astype(np.uint32)
        return Block(counts, patterns[rows], rows, modal)
    return Block(counts, patterns, None, modal)


def _frequency(patterns: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
    """Count every pattern, a piece of the rows at a time: numpy counts eight-byte numbers."""
    counts = np.zeros(MAX_BUCKETS, dtype=np.int64)
    for start in range(0, len(patterns), ROWS_PER_PASS):
        counts += np.bincount(patterns[start : start + ROWS_PER_PASS], minlength=MAX_BUCKETS)
    return counts

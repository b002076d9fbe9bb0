"""How an encrypted product is cut over a cluster: row shards × column shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..crypto import blocks as planner
from ..crypto.blocks import BlockPlan
from ..params import ROWS_PER_PASS
from .tasks import BlockRows

UNITS_PER_SLOT = 2  # tasks for every thread of the cluster: the last of them end close together
LOGARITHM = 7.5  # taking in one ciphertext, its factor and its logarithm, in insertions


@dataclass(frozen=True)
class Grid:
    """Row shards and column shards: ascending bounds, the first 0, of rows and of blocks."""

    rows: tuple[int, ...]
    blocks: tuple[int, ...]

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Every (row shard, column shard)."""
        return [(r, c) for r in range(len(self.rows) - 1) for c in range(len(self.blocks) - 1)]

    def row_slice(self, r: int) -> slice:
        """Return the rows of a row shard."""
        return slice(self.rows[r], self.rows[r + 1])

    def cut(self, plan: BlockPlan, cell: tuple[int, int]) -> BlockRows:
        """Return one shard of a plan as plain arrays."""
        r, c = cell
        chosen = plan.blocks[self.blocks[c] : self.blocks[c + 1]]
        parts = [planner.take_rows(block, self.rows[r], self.rows[r + 1]) for block in chosen]
        return [(part.class_counts, part.patterns, part.rows, part.modal) for part in parts]


def bounds(count: int, parts: int) -> tuple[int, ...]:
    """Return `parts` + 1 bounds of nearly equal pieces of `count`; fewer where there are not enough."""
    return tuple(np.linspace(0, count, min(parts, count) + 1).round().astype(int).tolist())


def weighted_bounds(weights: Sequence[float], parts: int) -> tuple[int, ...]:
    """Return ascending bounds of at most `parts` pieces whose weights are about equal."""
    ends = np.cumsum(weights)
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, parts) / parts, side="left") + 1
    return tuple(sorted({0, *cuts.clip(1, len(ends)).tolist(), len(ends)}))


def choose(plan: BlockPlan, slots: int) -> Grid:
    """Return the cheapest grid that keeps `slots` threads busy.

    A row shard collapses every bucket by itself, a column shard takes in every ciphertext by itself. No shard is longer than one pass.
    """
    units, n_blocks = slots * UNITS_PER_SLOT, len(plan.blocks)
    collapse = planner.costs_for(1).collapse * sum(float(np.prod(block.class_counts)) for block in plan.blocks)
    least = -(-plan.n_rows // ROWS_PER_PASS)

    def cost(columns: int) -> float:
        return max(least, -(-units // columns)) * collapse + columns * plan.n_rows * LOGARITHM

    columns = min(range(1, min(n_blocks, units) + 1), key=cost)
    work = [float(len(block.patterns)) for block in plan.blocks]
    return Grid(bounds(plan.n_rows, max(least, -(-units // columns))), weighted_bounds(work, columns))

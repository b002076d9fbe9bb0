"""The coded product on Python objects: class sums by buckets, columns by suffix sums, over any group whose elements `plus` adds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .context import Block, Seconds, Vector


def to_vector(elements: list[Any]) -> Vector:
    """Return elements as an object array of one axis, tuples too."""
    vector = np.empty(len(elements), dtype=object)
    for place, element in enumerate(elements):
        vector[place] = element
    return vector


class BucketSums:
    """What a context of Python objects needs of the product: `zero`, `plus` and `times` are the group's."""

    zero: Any

    def plus(self, a: Any, b: Any) -> Any:
        """Return the sum of two elements."""
        raise NotImplementedError

    def times(self, a: Any, factor: int) -> Any:
        """Return a multiple of an element, factor from 1."""
        raise NotImplementedError

    def class_sums(self, a: Vector, blocks: Sequence[Block], segments: int, spent: Seconds | None = None) -> Vector:
        """Return the sum of the rows of every block's every feature's every class; `spent` gets the time by phase."""
        sums: list[Any] = []
        bucket, start = 0.0, time.monotonic()
        for block in blocks:
            before = time.monotonic()
            buckets = self._buckets(a, block)
            bucket += time.monotonic() - before
            sums += self._collapse(block, buckets)
        if spent is not None:
            spent.update(bucket=bucket, collapse=time.monotonic() - start - bucket)
        return to_vector(sums)

    def combine(
        self, sums: Vector, first: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], exponents: npt.NDArray[np.int64]
    ) -> tuple[Vector, Vector]:
        """Return Σ exponent · sums over positive and over negative exponents, by column."""
        sides: tuple[list[Any], list[Any]] = ([], [])
        for start, count, row in zip(first, counts, exponents, strict=True):
            for sign, side in zip((1, -1), sides, strict=True):
                side.append(self._weighted(sums[start : start + count], row[:count] * sign))
        return to_vector(sides[0]), to_vector(sides[1])

    def _weighted(self, sums: Vector, exponents: npt.NDArray[np.int64]) -> Any:
        """Return Σ e_v·S_v over e_v > 0: falling classes, each gap one multiple of the running sum."""
        order = sorted(((int(e), v) for v, e in enumerate(exponents) if e > 0), reverse=True)
        running = result = self.zero
        for i, (exponent, v) in enumerate(order):
            running = self.plus(running, sums[v])
            gap = exponent - (order[i + 1][0] if i + 1 < len(order) else 0)
            if gap:
                result = self.plus(result, running if gap == 1 else self.times(running, gap))
        return result

    def _buckets(self, a: Vector, block: Block) -> dict[int, Any]:
        buckets: dict[int, Any] = {}
        rows = range(len(a)) if block.rows is None else block.rows.tolist()
        for row, pattern in zip(rows, block.patterns.tolist(), strict=True):
            if pattern != block.modal:
                held = buckets.get(pattern)
                buckets[pattern] = a[row] if held is None else self.plus(held, a[row])
        return buckets

    def _collapse(self, block: Block, buckets: dict[int, Any]) -> list[Any]:
        sums: list[Any] = []
        stride = 1
        for count in block.class_counts:
            totals = [self.zero] * count
            for pattern, value in buckets.items():
                v = pattern // stride % count
                totals[v] = self.plus(totals[v], value)
            sums.extend(totals)
            stride *= count
        return sums

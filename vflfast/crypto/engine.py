"""Where the heavy passes run: on this process's threads, or on an engine that shares them out over machines of the same party.

An engine gets ciphertexts, codes and plain numbers, never a private key: what decrypts does not ask for one. Every pass is exact or in
a fixed order by row, so that its results do not depend on the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .blocks import BlockPlan
from .context import Context, Seconds, Vector
from .limbs import Limbs


class Columns(Protocol):
    """What a plaintext pass reads of a `CodedMatrix`: the codes and the tables that make columns of them."""

    codes: npt.NDArray[np.uint8]
    class_counts: npt.NDArray[np.int64]
    column_features: npt.NDArray[np.int64]
    column_values: npt.NDArray[np.int64]


class Engine(Protocol):
    """Passes over rows; each returns None for work too small to be worth sharing, which is then done here."""

    def class_sums(self, context: Context, plan: BlockPlan, vector: Vector, spent: Seconds) -> Vector | None:
        """Return the product of the rows of every class, in the order of `plan`; `spent` gets the time by phase."""

    def encrypt(self, context: Context, start: Vector | None, plain: Limbs | None, count: int, alpha_bits: int) -> Vector | None:
        """Return start · (1 + n)^plain under randomness of `alpha_bits` bits that the machines draw themselves."""

    def linear_predictor(
        self, matrix: Columns, weights: npt.NDArray[np.float64], intercept: float
    ) -> npt.NDArray[np.float64] | None:
        """Return u of every row, as `learn.logistic.linear_predictor`."""

    def cross_product(self, matrix: Columns, g: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """Return Zᵀg, as `learn.logistic.cross_product`."""

    def gram(self, matrix: Columns, row_weights: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float64] | None:
        """Return ZᵀDZ, as `learn.logistic.gram`."""


_current: Engine | None = None


def current() -> Engine | None:
    """Return the engine in use; None: this process's threads."""
    return _current


@contextmanager
def use(engine: Engine | None) -> Iterator[None]:
    """Run a block on another engine; results do not depend on it."""
    global _current
    before, _current = _current, engine
    try:
        yield
    finally:
        _current = before

"""What a worker computes: functions of arrays, bytes and numbers, none of which is secret towards the party whose machine it is.

A worker gets a public parameter, never a key object: it makes its own public context, and its own secret base for encryption, from its
system's randomness.
Ciphertexts travel in wire form, because machines of one cluster may compute on different kernels. A task takes one thread; the engine
gives a machine as many tasks as it has threads.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..crypto import backend as be
from ..crypto import blocks as planner
from ..crypto.coded import CodedMatrix
from ..crypto.context import Block
from ..crypto.limbs import Limbs
from ..crypto.scheme import Public
from ..crypto.schemes import scheme
from ..learn import logistic

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
# (class_counts, patterns, rows, modal) of every block
BlockRows = list[tuple[tuple[int, ...], npt.NDArray[np.uint16], "npt.NDArray[np.uint32] | None", int]]
# (codes, class_counts, column_features, column_values) of some rows
PublicParameter = tuple[str, int]  # the name of a scheme, and n or the encoding of H
CodeRows = tuple[npt.NDArray[np.uint8], Ints, Ints, Ints]


@lru_cache(maxsize=4)
def public_key(key: PublicParameter) -> Public:
    """Return this machine's own key object, of a scheme and a public parameter that the client has validated."""
    name, parameter = key
    return scheme(name).validated(parameter)


def class_sums(key: PublicParameter, shard: BlockRows, wire: Limbs) -> Limbs:
    """Return the product of the shard's rows of every class of its blocks."""
    context, lanes = public_key(key).context, be.current().lanes
    blocks = [Block(*block) for block in shard]
    largest = max(int(np.prod(block.class_counts)) for block in blocks)
    with be.use_threads(1):
        segments = planner.row_segments(len(blocks), largest, len(wire), 1, lanes)
        return context.store(context.class_sums(context.load(wire), blocks, segments))


def multiply(key: PublicParameter, a: Limbs, b: Limbs) -> Limbs:
    """Return the sums of two shards as those of their rows together."""
    context = public_key(key).context
    with be.use_threads(1):
        return context.store(context.multiply(context.load(a), context.load(b)))


def encrypt(key: PublicParameter, start: Limbs | None, plain: Limbs | None, count: int, alpha_bits: int) -> Limbs:
    """Return start · (1 + n)^plain · h_s^α, with this machine's own h_s and α."""
    public = public_key(key)
    with be.use_threads(1):
        vector = None if start is None else public.context.load(start)
        return public.context.store(public.fresh(vector, plain, count, alpha_bits))


def linear_predictor(shard: CodeRows, weights: Floats, intercept: float) -> Floats:
    """Return u of the shard's rows."""
    return logistic.linear_predictor(CodedMatrix(*shard), weights, intercept)


def cross_product(shard: CodeRows, g: Ints) -> Ints:
    """Return the shard's part of Zᵀg."""
    return logistic.cross_product(CodedMatrix(*shard), g)


def gram(shard: CodeRows, row_weights: Ints | None) -> Floats:
    """Return the shard's part of ZᵀDZ."""
    return logistic.gram(CodedMatrix(*shard), row_weights)


def add(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return the sum of two parts: exact, all are integers below 2^53 or of int64."""
    return np.add(a, b)  # type: ignore[no-any-return]

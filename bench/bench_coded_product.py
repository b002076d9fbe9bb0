"""Zᵀ·[[g]] end to end: import, logarithms, buckets, collapse, combination, packing under masks, export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from machine import FULL

from vflfast.crypto import backend as be
from vflfast.crypto.arrays import CipherArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.opening import MaskedOpening
from vflfast.crypto.paillier.private import PrivateKey

KeyOf = Callable[[], PrivateKey]
DISTINCT = 512  # ciphertexts that are encrypted; the others repeat them
ROUNDS = {"ifma": 3, "portable": 1, "gmpy2": 1}


def size(backend: str) -> tuple[int, int]:
    """Rows and features: as many rows as the task where the kernel is quick, so that the collapse weighs what it weighs there."""
    if FULL and backend != "gmpy2":
        return 66_274, 3_000
    return {"ifma": (66_274, 120), "portable": (20_000, 60), "gmpy2": (2_000, 30)}[backend]


def run(classes: list[int], key: PrivateKey, measure: Any, backend: str, sparse: float = 0.0) -> None:
    n_rows, n_features = size(backend)
    if classes == [256] and not FULL:
        n_features //= 5  # a column of levels takes as long as five of five classes
    rng = np.random.default_rng(0)
    counts = np.resize(classes, n_features)
    codes = rng.integers(0, counts[:, None], (n_features, n_rows), dtype=np.uint8)
    if sparse:
        codes[rng.random(codes.shape) < sparse] = 0
    matrix, bound = CodedMatrix(codes, counts), 1 << 29
    small = rng.integers(-(1 << 28), 1 << 28, DISTINCT)
    repeat = np.arange(n_rows) % DISTINCT
    wire = key.public.encrypt(small, bound=bound).limbs[repeat]
    assert matrix.plan.blocks  # made once per training

    def end_to_end() -> tuple[MaskedOpening, CipherArray]:
        vector = CipherArray(key.public, key.public.context.load(wire), 0, bound)
        joined = CipherArray.concatenate(matrix.product(vector))
        return MaskedOpening(key.public, joined), joined

    opening, joined = measure(end_to_end, items=n_rows * n_features, unit="cell", rounds=ROUNDS[backend])
    measure.extra_info["blocks"] = len(matrix.plan.blocks)
    measure.extra_info["segments"] = matrix.plan.segments(be.threads(), be.current().lanes)
    g = small[repeat]
    expected = [*(int(np.dot(row.astype(np.int64), g)) for row in codes), int(g.sum())]
    assert opening.open(key.decrypt_residues(opening.request)) == expected
    assert key.decrypt(joined[-1]).tolist() == expected[-1:]


@pytest.mark.parametrize("classes", [[5], [2], [2, 3, 5], [256]], ids=["five", "two", "mixed", "levels"])
def test_dense_features(classes: list[int], backend: str, key_of: KeyOf, measure: Any) -> None:
    run(classes, key_of(), measure, backend)


def test_sparse_features(backend: str, key_of: KeyOf, measure: Any) -> None:
    run([2, 3], key_of(), measure, backend, sparse=0.99)


def test_five_classes_on_all_cores(key_of: KeyOf, measure: Any) -> None:
    run([5], key_of(), measure, be.current().name)

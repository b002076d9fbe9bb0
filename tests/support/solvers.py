"""Two blocks and their rounds in the clear, for the tests of solvers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vflfast.crypto.coded import CodedMatrix
from vflfast.learn.logistic import cross_product

FRAC_BITS = 24
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def two_blocks(n_rows: int = 400, overlap: float = 0.7) -> tuple[CodedMatrix, CodedMatrix, npt.NDArray[np.int8]]:
    """Guest with 4 features, host with 5, correlated across the parties; one host column is constant."""
    rng = np.random.default_rng(7)
    common = rng.normal(size=(n_rows, 1))
    x = overlap * common + math.sqrt(1 - overlap**2) * rng.normal(size=(n_rows, 9))
    codes = np.clip(np.floor(x * 1.3 + 2.5), 0, 4).astype(np.uint8).T
    y = np.where(x @ rng.normal(size=9) + rng.normal(size=n_rows) > 0.6, 1, -1).astype(np.int8)
    host = np.ascontiguousarray(codes[4:])
    host[2] = 3
    return CodedMatrix(np.ascontiguousarray(codes[:4])), CodedMatrix(host), y


def opened(matrix: CodedMatrix, four_g: npt.NDArray[np.float64]) -> tuple[list[int], int]:
    """What the arbiter returns: Zᵀ(4g) and Σ4g at scale 2^24."""
    fixed = np.rint(four_g * 2**FRAC_BITS).astype(np.int64)
    return cross_product(matrix, fixed).tolist(), int(fixed.sum())

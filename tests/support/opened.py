"""What a host is told of a run, and columns as arrays: for attacks on opened sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import Parties, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.protocol import inline
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.block import Block
from vflfast.protocol.packing import RowPacking

UNIT = 1 << 24
Floats = npt.NDArray[np.float64]
Opened = list[tuple[list[int], int]]


def dense(matrix: CodedMatrix) -> Floats:
    """The columns, n_rows × n_columns."""
    return np.stack([matrix.column_values[j][matrix.codes[f]] for j, f in enumerate(matrix.column_features)], axis=1).astype(float)


def record(monkeypatch: pytest.MonkeyPatch, made: Parties, agreed: Any) -> Opened:
    """Run the protocol; return what host1 was given of each round: Zᵀ(4g) and Σ4g, and nothing else."""
    given: Opened = []
    real = Block.update

    def note(self: Block, gradient_sums: list[int], residual_sum: int, n_rows: int) -> None:
        if self.matrix is made.hosts[0].matrix:
            given.append((gradient_sums, residual_sum))
        real(self, gradient_sums, residual_sum, n_rows)

    monkeypatch.setattr(Block, "update", note)
    train(made, agreed)
    return given


def record_digits(monkeypatch: pytest.MonkeyPatch, made: Parties, agreed: Any, private: PrivateKey) -> list[list[list[int]]]:
    """Run the protocol with several rows in a ciphertext; return, for each opening of host1, every column's 2k − 1 digits."""
    given: list[list[list[int]]] = []
    real = RowPacking.middle

    def note(self: RowPacking, values: list[int]) -> list[int]:
        if len(values) == made.hosts[0].matrix.n_columns + 1:
            base, half = 1 << self.slot_bits, 1 << self.slot_bits - 1
            offset = sum(half << self.slot_bits * t for t in range(self.digits))
            given.append([[((v + offset) >> self.slot_bits * t) % base - half for t in range(self.digits)] for v in values])
        return real(self, values)

    monkeypatch.setattr(RowPacking, "middle", note)
    inline.train(made.guest, made.hosts, agreed, ArbiterInputs("arbiter", private))
    return given


def read_labels(system: Floats, sums: Floats) -> npt.NDArray[np.int8]:
    """Labels by least squares from `system`·4g = `sums`: y = −sign(4g), because |u| < 2 in the first round."""
    return np.where(np.linalg.lstsq(system, sums, rcond=None)[0] < 0, 1, -1).astype(np.int8)

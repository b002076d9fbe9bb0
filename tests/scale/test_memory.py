"""Training holds a party's codes once: beside them only the patterns of the block plan and arrays of one number a row."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from vflfast.crypto.coded import CodedMatrix
from vflfast.protocol import block as blocks
from vflfast.protocol.block import Block, PartyInputs
from vflfast.protocol.settings import Settings


def five_classes(n_features: int = 100, n_rows: int = 40_000) -> CodedMatrix:
    return CodedMatrix(np.random.default_rng(0).integers(0, 5, (n_features, n_rows), dtype=np.uint8))


def test_a_block_holds_the_codes_once() -> None:
    matrix = five_classes()
    block = Block(PartyInputs(matrix, bytes(32), "partner"), Settings(), matrix.n_columns, 2, has_intercept=False)
    rows, batch = block.batch(1)
    assert batch is block.matrix is matrix
    assert np.shares_memory(block.batch(2)[1].codes, matrix.codes)
    assert np.shares_memory(CodedMatrix(matrix.codes).codes, matrix.codes)
    assert rows == slice(None)


def test_patterns_of_five_classes_take_half_of_the_codes() -> None:
    matrix = five_classes()
    stored = matrix.plan.blocks
    assert all(block.rows is None for block in stored)
    assert sum(block.patterns.nbytes for block in stored) == 2 * len(stored) * matrix.n_rows
    assert 2 * len(stored) * matrix.n_rows <= 0.5 * matrix.codes.nbytes


def test_training_keeps_no_second_copy_of_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = five_classes()
    allowed = 0.5 * matrix.codes.nbytes + 24 * matrix.n_rows + 8 * matrix.n_columns**2 + 400_000
    assert kept_by_a_block(matrix) <= allowed < 0.95 * matrix.codes.nbytes
    with monkeypatch.context() as patch:  # the control: a copy is seen
        patch.setattr(blocks, "partition", lambda matrix, n_batches: [(slice(None), matrix.take_rows(np.arange(matrix.n_rows)))])
        assert kept_by_a_block(matrix) > allowed


def kept_by_a_block(matrix: CodedMatrix) -> int:
    """Bytes that a party's block, its block plan included, holds on to beside the matrix."""
    inputs = PartyInputs(matrix, bytes(32), "partner")
    Block(inputs, Settings(), matrix.n_columns, 2, has_intercept=False)  # compiled functions are not counted
    matrix.__dict__.pop("plan", None)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        block = Block(inputs, Settings(), matrix.n_columns, 2, has_intercept=False)
        plan = matrix.plan
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert block.matrix is matrix
    assert plan is matrix.plan
    return after - before

"""Large arrays in a scratch folder: same values, no file left, a full disk is an error; products in passes over the rows."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import P, Parties, Q, parties, settings, train

from vflfast.crypto import blocks, storage
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import InputError


def is_mapped(array: Any) -> bool:
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_a_large_array_is_mapped_from_a_file_without_a_name(tmp_path: Path) -> None:
    with storage.use_scratch(tmp_path, least_bytes=100):
        large, small = storage.empty((10, 10), np.uint8), storage.empty(99, np.uint8)
    large[:] = np.arange(100).reshape(10, 10)
    assert is_mapped(large)
    assert not is_mapped(small)
    assert large.sum() == 4950
    assert list(tmp_path.iterdir()) == []
    assert not is_mapped(storage.empty(1 << 20, np.uint8))


def test_concatenate_is_numpys(tmp_path: Path) -> None:
    parts = [np.arange(6, dtype=np.uint64).reshape(2, 3), np.arange(3, dtype=np.uint64).reshape(1, 3)]
    with storage.use_scratch(tmp_path, least_bytes=1):
        joined = storage.concatenate(list(parts))
    assert is_mapped(joined)
    assert (joined == np.concatenate(parts)).all()


def test_a_full_disk_is_an_error_that_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with storage.use_scratch(tmp_path, least_bytes=1), pytest.raises(InputError) as caught:
        storage.empty(1000, np.uint8)
    assert caught.value.argument == "scratch"
    assert "1,000 bytes" in str(caught.value)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scratch"), storage.use_scratch(tmp_path / "absent"):
        pass


def made() -> Parties:
    return parties(300, (3, 9))


def test_a_run_out_of_core_has_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(made(), settings()).weight_hash
    monkeypatch.setattr(blocks, "ROWS_PER_PASS", 128)
    source = made()
    mapped = tmp_path / "codes"
    np.save(mapped, source.hosts[0].matrix.codes)
    codes = np.load(mapped.with_suffix(".npy"), mmap_mode="r")
    host = source.hosts[0].__class__(CodedMatrix(codes), source.hosts[0].commitment, "partner")
    assert np.shares_memory(host.matrix.codes, codes)
    with storage.use_scratch(tmp_path, least_bytes=1):
        found = train(Parties(source.guest, [host]), settings())
        plan = host.matrix.plan
    assert found.weight_hash == expected
    assert all(is_mapped(block.patterns) for block in plan.blocks if block.rows is None)


@pytest.mark.parametrize("index", [np.array([5, 2, 2]), np.arange(300) % 3 == 0])
def test_rows_are_taken_into_the_folder(index: Any, tmp_path: Path) -> None:
    matrix = made().hosts[0].matrix
    with storage.use_scratch(tmp_path, least_bytes=1):
        taken = matrix.take_rows(index)
    assert is_mapped(taken.codes)
    assert (taken.codes == matrix.codes[:, index]).all()


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("n_rows", [1, 7, 8, 50])
def test_passes_over_the_rows_multiply_to_the_whole(n_rows: int, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n_rows)
    codes = np.where(rng.random((11, n_rows)) < 0.8, 2, rng.integers(0, 5, (11, n_rows))).astype(np.uint8)  # a modal pattern left out
    matrix, key = CodedMatrix(codes, np.full(11, 5)), PrivateKey(P, Q, test_sizes=True)
    g = rng.integers(-100, 100, n_rows)
    vector = key.public.encrypt(g)
    monkeypatch.setattr(blocks, "ROWS_PER_PASS", 7)
    monkeypatch.setattr(blocks, "BUDGETS", (25,))
    matrix.__dict__["plan"] = blocks.make_plan(codes, matrix.class_counts, np.full(11, 0.8), lanes)
    assert n_rows < 50 or any(block.rows is not None for block in matrix.plan.blocks)
    columns, total = matrix.product(vector)
    assert key.decrypt(columns).tolist() == (codes.astype(int) @ g).tolist()
    assert key.decrypt(total).tolist() == [g.sum()]

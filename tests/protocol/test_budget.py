"""What a run tells each peer, and the commitment by which the same columns are known again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.runs import Parties, parties, settings, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import LeakageGuardError, ProtocolError
from vflfast.net.budget import FileBudget
from vflfast.protocol import budget
from vflfast.protocol.budget import commit_to, equations

KEY = b"k" * 32
N = 300


def matrix(seed: int = 0) -> CodedMatrix:
    return CodedMatrix(np.random.default_rng(seed).integers(0, 5, (3, N), dtype=np.uint8), [5, 5, 5])


def customers() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 1 << 63, N, dtype=np.uint64)


@pytest.mark.parametrize(("n_batches", "row_packing", "known"), [(1, 1, True), (2, 1, False), (1, 2, False)])
def test_columns_are_known_again_in_any_order_where_the_equations_are_the_same(n_batches: int, row_packing: int, known: bool) -> None:
    order = np.random.default_rng(1).permutation(N)
    first = commit_to(matrix(), customers(), KEY, n_batches, row_packing)
    second = commit_to(matrix().take_rows(order), customers()[order], KEY, n_batches, row_packing)
    assert (first == second) is known


def changed_value() -> CodedMatrix:
    values = np.tile(np.arange(5), (3, 1))
    values[1, 2] = 7
    return CodedMatrix(matrix().codes, [5, 5, 5], [0, 1, 2], values)


def changed_cell() -> CodedMatrix:
    codes = matrix().codes.copy()
    codes[2, -1] = (codes[2, -1] + 1) % 5
    return CodedMatrix(codes, [5, 5, 5])


def fewer_columns() -> CodedMatrix:
    return CodedMatrix(matrix().codes, [5, 5, 5], [0, 1], np.tile(np.arange(5), (2, 1)))


@pytest.mark.parametrize("other", [changed_value(), changed_cell(), fewer_columns()])
def test_other_columns_have_another_commitment(other: CodedMatrix) -> None:
    assert commit_to(matrix(), customers(), KEY, 1, 1) != commit_to(other, customers(), KEY, 1, 1)


def test_other_customers_and_other_keys_have_another_commitment() -> None:
    first = commit_to(matrix(), customers(), KEY, 1, 1)
    assert first != commit_to(matrix(), customers() + np.uint64(1), KEY, 1, 1)
    assert first != commit_to(matrix(), customers(), b"K" * 32, 1, 1)


def test_rows_beyond_one_pass_count(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = commit_to(matrix(), customers(), KEY, 2, 1)
    monkeypatch.setattr("vflfast.tables.id_texts.IDS_PER_PASS", 7)
    assert commit_to(matrix(), customers(), KEY, 2, 1) == whole


@pytest.mark.parametrize(("n_batches", "row_packing", "times"), [(1, 1, 1), (4, 1, 4), (1, 3, 5), (2, 2, 6)])
def test_equations_by_batches_and_packing(n_batches: int, row_packing: int, times: int) -> None:
    assert equations(10, n_batches, row_packing) == 10 * times


# --- in a run -------------------------------------------------------------------------------------------------------


def with_accounts(made: Parties, folder: Path) -> Parties:
    ids = np.array([f"c{i}" for i in range(made.guest.matrix.n_rows)], dtype=object)
    guest = dataclasses.replace(made.guest, budget=FileBudget(folder / "guest", "bought", ids))
    hosts = [
        dataclasses.replace(inputs, budget=FileBudget(folder / f"host{i}", "features", ids)) for i, inputs in enumerate(made.hosts, start=1)
    ]
    return Parties(guest, hosts)


def told(folder: Path, role: str) -> dict[str, float]:
    return {one["peer"]: one["equations"] for one in FileBudget(folder / role).told()}


def test_every_party_counts_what_every_other_is_told(tmp_path: Path) -> None:
    train(with_accounts(parties(N, (3, 4, 5)), tmp_path), settings())
    assert told(tmp_path, "guest") == {"partner 1": 4, "partner 2": 5}
    assert told(tmp_path, "host1") == {"bank": 3, "partner 2": 5}
    assert told(tmp_path, "host2") == {"bank": 3, "partner 1": 4}


def test_a_second_run_with_the_same_columns_adds_nothing_and_one_with_others_does(tmp_path: Path) -> None:
    train(with_accounts(parties(N), tmp_path), settings())
    train(with_accounts(parties(N), tmp_path), settings(alpha=0.5))
    assert told(tmp_path, "guest") == {"partner 1": 4}
    train(with_accounts(parties(N, seed=1), tmp_path), settings())
    assert told(tmp_path, "guest") == {"partner 1": 8}


def test_woe_classes_count_besides_the_columns(tmp_path: Path) -> None:
    made = parties(2000, (3, 2))
    train(with_accounts(made, tmp_path), settings(host_woe=True))
    assert told(tmp_path, "guest") == {"partner 1": 2 + 2 * 5}


def test_the_patent_profile_notes_that_labels_are_sent(tmp_path: Path) -> None:
    train(with_accounts(parties(N), tmp_path), settings(profile="patent"))
    (entry,) = FileBudget(tmp_path / "guest").told()[0]["entries"]
    assert entry["given"]
    assert entry["equations"] == N


def test_the_accounts_change_no_bit_of_the_model(tmp_path: Path) -> None:
    plain = train(parties(N), settings())
    assert train(with_accounts(parties(N), tmp_path), settings()).weight_hash == plain.weight_hash


def test_nothing_is_opened_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr("vflfast.protocol.guest.open_gradient", lambda *_: opened.append(1))
    for seed in range(7):
        guest = FileBudget(tmp_path / "guest", "bought", np.array([f"c{i}" for i in range(N)], dtype=object))
        guest.spend(seed.to_bytes(32, "big"), [budget.Claim("host1", "partner 1", 4, bytes([seed]) * 32, 4)])
    with pytest.raises(LeakageGuardError, match=r"partner 1: .* 28 of them in earlier runs"):
        train(with_accounts(parties(N), tmp_path), settings())
    assert not opened


def test_a_commitment_of_another_size_is_the_peers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vflfast.protocol.budget.NoBudget.commitment", lambda *_: b"short")
    with pytest.raises(ProtocolError, match="32 bytes"):
        train(parties(N), settings())

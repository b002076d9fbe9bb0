"""A host reads the label of every customer who is alone in a class of its table, in round 1; under the guard nothing is opened."""

from __future__ import annotations

import dataclasses
import hashlib
import re

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import Parties, settings, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import InputError, LeakageGuardError
from vflfast.learn import solver
from vflfast.protocol.block import PartyInputs

N, RARE = 400, 12
Floats = npt.NDArray[np.float64]


def made(size: int) -> tuple[Parties, list[npt.NDArray[np.int64]]]:
    """A bank, and a host one of whose features has `RARE` levels of `size` customers each; labels that depend on no column."""
    rng = np.random.default_rng(size)
    labels = np.where(rng.random(N) < 0.5, 1, -1).astype(np.int8)
    city = np.zeros(N, dtype=np.uint8)
    groups = list(np.split(rng.permutation(N)[: RARE * size], RARE))
    for level, rows in enumerate(groups, start=1):
        city[rows] = level
    levels = np.eye(RARE + 1, dtype=np.int64)[1:]
    host = CodedMatrix(np.vstack([city, rng.integers(0, 5, (2, N), dtype=np.uint8)]), [RARE + 1, 5, 5],
                       [0] * RARE + [1, 2], np.vstack([levels, np.tile(np.arange(RARE + 1), (2, 1))]))  # fmt: skip
    commitment = hashlib.sha256(b"rows").digest()
    guest = PartyInputs(CodedMatrix(rng.integers(0, 3, (2, N), dtype=np.uint8), [3, 3]), commitment, "bank", labels)
    return Parties(guest, [PartyInputs(host, commitment, "telco")]), groups


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """What the host is told in round 1: Zᵀ(4g)."""
    seen: list[Floats] = []
    update = solver.BlockSolver.update

    def spy(self: solver.BlockSolver, theta: Floats, gradient: list[int], residual: int, bits: int, *more: int) -> Floats:
        if len(gradient) == RARE + 2:
            seen.append(np.array(gradient, dtype=np.float64) / 2**bits)
        return update(self, theta, gradient, residual, bits, *more)

    monkeypatch.setattr(solver.BlockSolver, "update", spy)
    return seen


def test_the_control_reads_every_label_of_levels_of_one_customer(sums: list[Floats]) -> None:
    parties, groups = made(1)
    train(parties, settings(max_iter=1))
    read = np.where(sums[0][:RARE] < 0, 1, -1)  # 4g = u − 2y
    np.testing.assert_array_equal(read, [parties.labels[rows[0]] for rows in groups])


@pytest.mark.parametrize("size", [1, 2])
def test_the_guard_refuses_before_anything_is_opened(size: int, sums: list[Floats]) -> None:
    parties, groups = made(size)
    with pytest.raises(LeakageGuardError, match=rf"host1 set {RARE * size} rows apart.*the features 0 \(class of {size}\)") as caught:
        train(parties, settings(max_iter=1, max_leverage=None))
    named = {int(number) for number in re.findall(r"\d+", str(caught.value).split("Rows ")[1].split("…")[0])}
    assert named <= {int(row) for rows in groups for row in rows}
    assert not sums


def test_levels_of_eight_customers_pass_and_those_of_the_strict_limit_do_not(sums: list[Floats]) -> None:
    parties, _ = made(8)
    train(parties, settings(max_iter=1, max_leverage=0.2))
    assert sums
    with pytest.raises(LeakageGuardError, match=r"the limit is 0\.05"):
        train(parties, settings(max_iter=1, max_leverage=0.05))


def test_the_guard_changes_no_bit(sums: list[Floats]) -> None:
    parties, _ = made(8)
    assert train(parties, settings(max_leverage=0.2)).weight_hash == train(parties, settings()).weight_hash


def test_every_batch_is_measured() -> None:
    """Levels that are large enough in all rows are small in a batch."""
    parties, _ = made(8)
    narrow = dataclasses.replace(parties.hosts[0], matrix=CodedMatrix(parties.hosts[0].matrix.codes[:1], [RARE + 1]))
    one = Parties(parties.guest, [narrow])
    train(one, settings(max_iter=1, n_batches=2))
    with pytest.raises(LeakageGuardError, match="of batch 1 apart"):
        train(parties, settings(max_iter=1, n_batches=2, max_leverage=0.1))


def test_the_guests_own_columns_are_measured_too() -> None:
    parties, _ = made(8)
    codes = parties.guest.matrix.codes.copy()
    codes[0] = 0
    codes[0, 5] = 1
    guest = dataclasses.replace(parties.guest, matrix=CodedMatrix(codes, [3, 3]))
    with pytest.raises(LeakageGuardError, match="the columns of guest set 1 rows apart"):
        train(Parties(guest, parties.hosts), settings(max_leverage=0.5))


@pytest.mark.parametrize("value", [0.0, -0.1, 1.1, "0.2", True, float("nan")])
def test_a_limit_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(InputError) as caught:
        settings(max_leverage=value)
    assert caught.value.argument == "max_leverage"

"""The guard of single rows: what is measured, what is left out so that no row stands out, and what its errors say."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import ROWS_APART, refused, succeeded, villages
from support.jobs import vflfast as vflfast_command
from support.opened import dense
from support.runs import parties, run, settings, training_programs

import vflfast
from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import LeakageGuardError
from vflfast.learn.leverage import leverages, reductions
from vflfast.protocol import row_guard
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.packing import RowPacking
from vflfast.protocol.row_guard import guard_rows, mend
from vflfast.protocol.settings import Settings

STANDARD = settings(max_leverage=None)


def hat(columns: np.ndarray) -> np.ndarray:
    """Leverages by their definition, with the column of ones."""
    whole = np.column_stack([columns, np.ones(len(columns))])
    return np.einsum("ij,ji->i", whole, np.linalg.pinv(whole))


def inputs(matrix: CodedMatrix, **more: Any) -> PartyInputs:
    return PartyInputs(matrix, bytes(32), "partner", **more)


def rare(n: int = 300, seed: int = 0, features: int = 5) -> CodedMatrix:
    """Ordinary features, two of which have a class of one and of three rows."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (features, n), dtype=np.uint8)
    codes[1] = codes[3] = 0
    codes[1, 7], codes[3, [9, 20, 40]] = 1, 2
    return CodedMatrix(codes, np.full(features, 3))


# --- what is measured --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("n", [8, 23, 24])
def test_all_that_opened_products_of_packed_rows_tell(k: int, n: int) -> None:
    """Every digit of Σ_groups G·(mirrored cells), by its definition."""
    rng = np.random.default_rng(k)
    matrix = CodedMatrix(rng.integers(0, 4, (3, n), dtype=np.uint8), [4, 4, 4], [0, 1, 1, 2], rng.integers(-5, 6, (4, 4)))
    residual = rng.integers(-100, 100, n)
    digits = []
    for column in np.column_stack([dense(matrix), np.ones(n)]).T:
        each = np.zeros(2 * k - 1)
        for start in range(0, n, k):
            for a, b in np.ndindex(min(k, n - start), min(k, n - start)):
                each[a + k - 1 - b] += column[start + b] * residual[start + a]
        digits.append(each)
    ones = np.delete(digits[-1], k - 1)  # the middle digit of the column of ones is the sum that every party has
    told = dense(RowPacking(k, 40).equations(matrix)).T @ residual
    np.testing.assert_array_equal(np.sort(told), np.sort(np.concatenate([np.ravel(digits[:-1]), ones])))


def test_reductions_are_what_leaving_a_column_out_takes_away() -> None:
    matrix = parties(80, (2, 6)).hosts[0].matrix
    columns = dense(matrix)
    rows = np.array([3, 50, 79])
    whole, found = hat(columns)[rows], reductions(matrix, rows)
    for j in range(matrix.n_columns):
        np.testing.assert_allclose(found[j], whole - hat(np.delete(columns, j, axis=1))[rows], atol=1e-6)


def test_a_constant_column_reduces_nothing() -> None:
    matrix = CodedMatrix(np.vstack([np.zeros(50), np.arange(50) % 5]).astype(np.uint8), [1, 5])
    assert reductions(matrix, np.array([1, 2]))[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("n_batches", [1, 3])
def test_all_batches_are_measured(n_batches: int) -> None:
    matrix = parties(240, (2, 4)).hosts[0].matrix
    found = guard_rows("host1", inputs(matrix), settings(n_batches=n_batches))
    each = [hat(dense(matrix.take_rows(np.arange(b, 240, n_batches)))) for b in range(n_batches)]
    assert found is not None
    assert found.largest == pytest.approx(max(h.max() for h in each), abs=1e-6)
    assert found.counts == tuple(sum(int((h > at).sum()) for h in each) for at in (0.2, 0.5, 0.9))


def test_a_table_too_wide_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_guard, "MAX_GRAM_COLUMNS", 5)
    matrix = parties(400, (2, 6)).hosts[0].matrix
    with pytest.raises(LeakageGuardError, match="6 columns of host1 are more than can be measured, 5"):
        guard_rows("host1", inputs(matrix), STANDARD)
    assert guard_rows("host1", inputs(matrix), settings()) is None


def test_the_error_names_rows_features_and_the_way_on() -> None:
    names = ("age", "village", "income", "illness", "cars")
    with pytest.raises(LeakageGuardError, match=r"set 4 rows apart.*Rows 7, .*village \(class of 1\).*min_class_size.*fix_leverage = true"):
        guard_rows("host1", inputs(rare(), features=names), STANDARD)


# --- what is left out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact_columns", [500, 2])
def test_as_few_columns_as_possible_are_left_out(exact_columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_guard, "EXACT_COLUMNS", exact_columns)
    kept = mend("host1", inputs(rare()), STANDARD)
    assert kept.left_out == (1, 3)
    assert hat(dense(kept.matrix)).max() <= 0.2
    assert (dense(kept.matrix)[:, [1, 3]] == 0).all()
    np.testing.assert_array_equal(dense(kept.matrix)[:, [0, 2, 4]], dense(rare())[:, [0, 2, 4]])


@pytest.mark.parametrize("seed", range(4))
def test_no_smaller_set_would_do(seed: int) -> None:
    """All sets are tried: columns that are equal but for a row or two, in pairs."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2, (3, 200), dtype=np.uint8)
    near = base.copy()
    near[0, 5] ^= 1
    near[1, [7, 11]] ^= 1
    matrix = CodedMatrix(np.vstack([base, near]), np.full(6, 2))  # the last of the pairs is equal, and harms nobody
    kept = mend("host1", inputs(matrix), STANDARD)
    columns = dense(matrix)
    fine = [
        out for size in range(len(kept.left_out)) for out in combinations(range(6), size)
        if hat(np.delete(columns, out, axis=1)).max() <= 0.2
    ]  # fmt: skip
    assert hat(np.delete(columns, kept.left_out, axis=1)).max() <= 0.2
    assert fine == []


def test_nothing_is_left_out_of_columns_that_are_fine() -> None:
    made = parties(400, (2, 4)).hosts[0]
    assert mend("host1", made, STANDARD).matrix is made.matrix


@pytest.mark.parametrize("n", [4, 12])
def test_too_few_rows_are_refused_not_tried_for_ever(n: int) -> None:
    with pytest.raises(LeakageGuardError, match="fix_leverage: no column of host1 can be kept"):
        mend("host1", parties(n, (2, 2)).hosts[0], settings(max_leverage=0.05))


def test_batches_packing_and_classes_of_host_woe_are_mended() -> None:
    for agreed in (settings(max_leverage=None, n_batches=2), settings(max_leverage=None, row_packing=2)):
        kept = mend("host1", inputs(rare(600)), agreed)
        assert {1, 3} <= set(kept.left_out)
        assert len(kept.left_out) < 5
        guard_rows("host1", kept, agreed)
    agreed = settings(max_leverage=None, host_woe=True)
    kept = mend("host1", inputs(rare()), agreed)
    assert kept.left_out == (1, 3)
    assert (kept.matrix.codes[[1, 3]] == 0).all()  # one class each: no sum of theirs is opened
    assert mend("guest", inputs(rare()), agreed).matrix.codes.any(axis=1)[1]  # the guest's columns are not of classes


# --- from tables -------------------------------------------------------------------------------------------------


# of four levels the fourth is what the other three leave: without "town", a village is like it
LEFT_OUT = ["city=town", "city=village a", "city=village b"]


def test_the_command_line_refuses_by_name_and_mends_on_demand(tmp_path: Path) -> None:
    job, models = villages(tmp_path), tmp_path / "models"
    told = vflfast_command("train", job, "--models", models)
    assert told.exit_code == 1
    told = told.stderr
    assert "max_leverage: the columns of host1 set 2 rows apart" in told
    assert "city (class of 1)" in told
    shown = succeeded("train", job, "--models", tmp_path / "others", "--fix-leverage").output
    assert "host1: fix_leverage left 3 columns out: city=town, city=village a, city=village b" in shown


def test_a_section_can_ask_for_it(tmp_path: Path) -> None:
    shown = succeeded("train", villages(tmp_path, fix_leverage=True), "--models", tmp_path / "models", "--verify").output
    assert "host1: fix_leverage left 3 columns out" in shown
    assert "2 rounds equals the plaintext twin's" in shown
    succeeded("score", tmp_path / "job.toml", "--models", tmp_path / "models")  # a column that was left out has the weight 0


def test_a_section_that_is_not_yes_or_no_is_refused(tmp_path: Path) -> None:
    job = villages(tmp_path, fix_leverage="yes")
    assert "host1.fix_leverage: must be true or false" in refused("train", job, "--models", tmp_path / "models")


def test_the_library_and_the_estimator_mend_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    villages(tmp_path)
    reading = {"id_column": "customer", "observation_date": "2026-01-01"}
    bank = vflfast.read_table(tmp_path / "guest.csv", label_column="bought", **reading)
    partner = vflfast.read_table(tmp_path / "host1.csv", **reading)
    agreed = Settings(key_bits=512, test_key=True, max_iter=1, **ROWS_APART)
    with pytest.raises(LeakageGuardError, match="city"):
        vflfast.train(bank, partner, settings=agreed, binning={"min_class_size": 1})
    model = vflfast.train(bank, partner, settings=agreed, binning={"min_class_size": 1}, fix_leverage=True)
    assert "host1: fix_leverage leaves 3 of" in caplog.text
    assert model.parties["host1"].facts["left_out"] == LEFT_OUT
    assert (model.coef_["host1"][LEFT_OUT] == 0).all()
    frame = pd.read_csv(tmp_path / "guest.csv")
    labels = frame.pop("bought")
    X = vflfast.VerticalFrame(frame, pd.read_csv(tmp_path / "host1.csv"), on="customer")
    labels.index = frame["customer"]
    trial = Settings(key_bits=512, test_key=True, **ROWS_APART)
    estimator = vflfast.VerticalLogisticRegression(settings=trial, min_class_size=1, fix_leverage=True, max_iter=1, encrypted=False)
    estimator.set_params(observation_date="2026-01-01")
    assert estimator.fit(X, labels).parties_["host1"].facts["left_out"] == LEFT_OUT


def test_peers_are_told_what_was_measured() -> None:
    from vflfast.protocol import messages as ms

    heard: list[ms.Hello] = []

    def note(_: str, message: ms.Message, __: ms.Envelope) -> None:
        if isinstance(message, ms.Hello):
            heard.append(message)

    made = parties(240, (2, 4))
    run(training_programs(made, settings(max_iter=1)), {"host1": note})
    found = leverages(made.hosts[0].matrix)
    assert heard[0].largest == pytest.approx(found.largest)
    assert (heard[0].above_fifth, heard[0].above_half, heard[0].above_nine_tenths) == found.counts

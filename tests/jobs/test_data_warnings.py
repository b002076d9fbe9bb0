"""What a run says of the data as a whole, before anything is trained."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import succeeded, write_job

from vflfast.crypto.coded import CodedMatrix
from vflfast.jobs.job import equal_features
from vflfast.learn.few import auc_standard_error, few_labels
from vflfast.matching import ids

N = 240


def tables(folder: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(3)
    trait = rng.normal(size=(3, N))
    names = [f"c{k:03d}" for k in range(N)]
    bought = (trait.sum(axis=0) > 0).astype(int)
    trades = rng.choice(["a", "b"], N)
    guest = pd.DataFrame({"id": names, "age": trait[0].round(2), "trade": trades, "bought": changes.get("bought", bought)})
    host = pd.DataFrame({"id": names, "spend": trait[1].round(2), "calls": trait[2].round(2)})
    host = host.rename(columns=changes.get("rename", {})).assign(**changes.get("more", {}))[: changes.get("rows", N)]
    guest.to_csv(folder / "guest.csv", index=False)
    host.to_csv(folder / "host.csv", index=False)
    return write_job(folder, {
        "guest": {"file": "guest.csv", "label_column": "bought"}, "hosts": [{"file": "host.csv"}], "ids": {"method": "hash"},
        "settings": {"key_bits": 512, "test_key": True, "max_iter": 1, "max_leverage": 1.0, "allow_wide": True},
    })  # fmt: skip


def said(path: Path, log: pytest.LogCaptureFixture) -> str:
    done = succeeded("bins", path)
    return done.stdout + done.stderr + log.text


def test_nothing_is_said_of_ordinary_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = said(tables(tmp_path), caplog)
    for words in ("only", "same name", "same classes", "stand"):
        assert words not in told


def test_few_customers_of_one_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = said(tables(tmp_path, bought=(np.arange(N) < 4).astype(int)), caplog)
    assert "guest: only 4 of 240 customers in training are positive: an AUC of 0.75 from so few has a standard error of 0.14" in told


def test_few_customers_in_common(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = said(tables(tmp_path, rows=60), caplog)
    assert "only 60 customers in common, of tables of 240 and 60" in told
    assert "leading zeros" in told


def test_names_that_both_sides_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = said(tables(tmp_path, rename={"spend": "age"}), caplog)
    assert "1 features have the same name at several parties (age): do they mean the same?" in told


def test_features_that_are_equal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spend = np.random.default_rng(3).normal(size=(3, N))[1].round(2)
    told = said(tables(tmp_path, more={"twice": 2 * spend}), caplog)
    assert "host1: spend, twice fall into the same classes in every row" in told


def test_groups_of_equal_features() -> None:
    codes = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]], dtype=np.uint8)
    assert equal_features(CodedMatrix(codes, [2] * 6)) == [[0, 1], [2, 5]]


@pytest.mark.parametrize(("positive", "warns"), [(30, False), (29, True), (71, True), (70, False), (0, True)])
def test_how_few_are_few(positive: int, warns: bool) -> None:
    assert (few_labels(positive, 100, "in training") is not None) == warns


def test_the_standard_error_is_that_of_simulated_areas() -> None:
    """Two normal scores whose area is 0.76: the formula against the spread of 2,000 draws."""
    rng = np.random.default_rng(0)
    scores, others = rng.normal(1, 1, (2000, 25)), rng.normal(0, 1, (2000, 60))
    areas = (scores[:, :, None] > others[:, None, :]).mean(axis=(1, 2))
    assert auc_standard_error(25, 60, float(areas.mean())) == pytest.approx(areas.std(), rel=0.1)


def test_a_match_of_many_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert "few" not in ids.warnings_of("ecdh", [1000, 1000], 100)
    assert "few" in ids.warnings_of("ecdh", [1000, 1000], 99)

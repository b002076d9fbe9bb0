"""A model whose table has words for "no value" and special values, handed over: raw cells give the predictor of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.jobs import succeeded, write_job

from vflfast.errors import DataError
from vflfast.handover.pipeline import sklearn_pipeline
from vflfast.jobs.model import SavedParty
from vflfast.learn.logistic import linear_predictor
from vflfast.tables.table import read_table

N = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target, rng = tmp_path_factory.mktemp("forms"), np.random.default_rng(1)
    names, age = [f"c{k:03d}" for k in range(N)], rng.integers(20, 60, N)
    cells = ["NULL" if k % 9 == 4 else "-9999" if k % 8 == 3 else str(a) for k, a in enumerate(age)]
    guest = pd.DataFrame({"id": names, "age": cells, "pay": [f"{x:,.2f}" for x in rng.normal(5000, 900, N)], "memo": names})
    guest.assign(y=np.where(age > 45, "bad", "good")).to_csv(target / "guest.csv", index=False)
    guest[:50].drop(columns="memo").to_csv(target / "later.csv", index=False)
    pd.DataFrame({"id": names, "spend": rng.normal(size=N)}).to_csv(target / "host.csv", index=False)
    reading = {
        "missing": ["NULL"], "special_values": {"age": [-9999]}, "thousands": ",", "drop": ["memo"], "positive_label": "bad",
    }  # fmt: skip
    write_job(target, {
        "guest": {"file": "guest.csv", "label_column": "y", **reading}, "hosts": [{"file": "host.csv"}], "ids": {"method": "hash"},
        "settings": {"key_bits": 512, "test_key": True, "max_iter": 2, "max_leverage": 1.0, "allow_wide": True},
    })  # fmt: skip
    succeeded("train", target / "job.toml", "--models", target / "models")
    return target


def model(folder: Path) -> SavedParty:
    return SavedParty.from_dict(json.loads((folder / "models" / "guest.json").read_text()))


def test_the_pipeline_takes_the_raw_columns(folder: Path) -> None:
    party = model(folder)
    assert [rule.feature for rule in party.binner.rules] == ["age", "age (special)", "pay"]
    pipeline = sklearn_pipeline(party)
    assert pipeline[0].feature_names_in_.tolist() == ["age", "pay"]
    raw = pd.read_csv(folder / "guest.csv", dtype=str, keep_default_na=False)
    table = read_table(folder / "guest.csv", **{k: v for k, v in party.reading.items() if k != "label_column"} | {"drop": ["memo", "y"]})
    expected = linear_predictor(party.binner.transform(table), party.weights, party.intercept)
    np.testing.assert_allclose(pipeline.decision_function(raw[["age", "pay"]]), expected, atol=1e-9)
    assert len(set(expected[[3, 4, 11]].round(9))) > 1  # the special value and the missing one are told apart


def test_later_customers_are_read_in_the_same_way_without_the_dropped_column(folder: Path) -> None:
    write_job(folder, {
        "guest": {"file": "later.csv"}, "hosts": [{"file": "host.csv"}], "ids": {"method": "hash"},
        "settings": {"key_bits": 512, "test_key": True, "max_iter": 2, "max_leverage": 1.0, "allow_wide": True},
    }, "later.toml")  # fmt: skip
    succeeded("score", folder / "later.toml", "--models", folder / "models", "--out", folder / "labels.csv")
    assert len(pd.read_csv(folder / "labels.csv")) == 50


def test_a_new_word_among_later_numbers_is_refused_by_name(folder: Path) -> None:
    party = model(folder)
    later = pd.read_csv(folder / "later.csv", dtype=str)
    later.loc[7, "age"] = "unknown"
    later.to_csv(folder / "odd.csv", index=False)
    reading = {k: v for k, v in party.reading.items() if k != "label_column"}
    with pytest.raises(DataError, match=r"not a number in row 8; say which words mean no value \(missing\)"):
        read_table(folder / "odd.csv", **reading)

"""A column of the rows' weights: the weights of a run, in one process and in three, and in no model as a feature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import SETTINGS, refused, sections, succeeded, write_job, write_tables

from vflfast.errors import InputError
from vflfast.tables.table import read_table

WEIGHTED = {**SETTINGS, "max_weight": 3}


def job(folder: Path, weights: Any = None, **guest: Any) -> Path:
    """A job whose guest's table has a column of weights; by default 3 for buyers and 1 for others."""
    write_tables(folder)
    table = pd.read_csv(folder / "guest.csv", dtype={"customer": str})
    table["heavy"] = np.where(table["bought"] > 0, 3, 1) if weights is None else weights
    table.to_csv(folder / "guest.csv", index=False)
    made = sections(folder, settings=WEIGHTED)
    section = made["guest"] | {"sample_weight": "heavy"} | guest
    made["guest"] = {name: value for name, value in section.items() if value is not None}
    return write_job(folder, made)


def trained(file: Path, folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(succeeded("train", file, "--models", folder, "--json").stdout)["summary"]
    return summary


def test_a_columns_weights_are_those_of_the_classes_where_they_are_equal(tmp_path: Path) -> None:
    by_column = trained(job(tmp_path), tmp_path / "a")
    by_class = job(tmp_path, drop=["heavy"], sample_weight=None)
    by_class.write_text(by_class.read_text().replace("[[hosts]]", "[guest.class_weight]\n0 = 1\n1 = 3\n\n[[hosts]]", 1))
    assert trained(by_class, tmp_path / "b")["weight_hash"] == by_column["weight_hash"]
    plain = job(tmp_path, 1)
    assert trained(plain, tmp_path / "c")["weight_hash"] != by_column["weight_hash"]
    model = json.loads((tmp_path / "a" / "guest.json").read_text())
    assert "heavy" not in json.dumps(model["binner"])


def test_three_processes_read_the_same_weights(tmp_path: Path) -> None:
    file = job(tmp_path)
    text = file.read_text().replace("[run]\ntest_share = 0.3\n", "")
    file.write_text(text)
    expected = trained(file, tmp_path / "a")["weight_hash"]
    launched = json.loads(succeeded("launch", file, "--folder", tmp_path / "run", "--plaintext", "--json").stdout)
    assert launched["weight_hash"] == expected


def test_later_customers_need_no_weights(tmp_path: Path) -> None:
    file = job(tmp_path)
    trained(file, tmp_path / "a")
    table = pd.read_csv(tmp_path / "guest.csv", dtype={"customer": str})
    for columns in (["heavy"], []):
        table.drop(columns=columns).to_csv(tmp_path / "guest.csv", index=False)
        succeeded("score", file, "--models", tmp_path / "a", "--out", tmp_path / "labels.csv")


@pytest.mark.parametrize(("weights", "says"), [
    (0, "weights must be numbers above 0"), (-1, "above 0"), ("much", "not a number"), (4, "the rows' weights need 4"),
    ([np.nan] + [1] * 249, "rows out that count nothing, row 1"),
])  # fmt: skip
def test_weights_that_cannot_be_are_refused_by_column(weights: Any, says: str, tmp_path: Path) -> None:
    assert says in refused("train", job(tmp_path, weights), "--models", tmp_path / "m")


def test_a_column_that_is_not_there_or_not_the_guests_is_refused(tmp_path: Path) -> None:
    assert "no such column" in refused("train", job(tmp_path, sample_weight="weights", drop=["heavy"]), "--models", tmp_path / "m")
    assert "id or label column" in refused("train", job(tmp_path, sample_weight="bought"), "--models", tmp_path / "m")
    file = job(tmp_path)
    file.write_text(file.read_text().replace("[[hosts]]", '[[hosts]]\nsample_weight = "x"', 1))
    assert "belongs to the guest" in refused("train", file, "--models", tmp_path / "m")
    with pytest.raises(InputError, match="give the weights to fit"):
        read_table(tmp_path / "guest.csv", id_column="customer", label_column="bought", sample_weight="heavy")

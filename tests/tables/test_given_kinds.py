"""The public sets without `kinds`: every column is understood as their description says, or left out by name; codes are the same."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from support.solvers import DATA

from vflfast.binning.binner import Binner
from vflfast.tables.inspect import inspect_file
from vflfast.tables.table import Table, read_table

SETS = ("bank_marketing", "fate_breast", "hotel_bookings", "womens_clothing")
DECIDED = {("hotel_bookings", "host"): {"agent": "categorical", "company": "categorical"}}  # digits that are names
VERDICTS = {"numeric": {"number"}, "date": {"date"}, "categorical": {"category", "free text", "constant"}}


def settings_of(name: str, side: str) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Return path, reading settings without kinds, and the described kinds of one side."""
    meta = json.loads((DATA / name / "meta.json").read_text())
    kinds = {column["name"]: column["kind"] for column in meta[f"{side}_columns"]}
    reading: dict[str, Any] = {"kinds": DECIDED.get((name, side), {})} | ({"label_column": "y"} if side == "guest" else {})
    if meta.get("observation_date"):
        reading["observation_date"] = meta["observation_date"]
    return str(DATA / name / f"{side}.csv.gz"), reading, kinds


def codes_of(table: Table) -> tuple[list[str], np.ndarray[Any, Any]]:
    binner = Binner.fit(table)
    return binner.column_names, np.asarray(binner.transform(table).codes)


WIDE = [("womens_clothing", "host")]  # 3,000 columns
SIDES = [
    pytest.param(name, side, marks=[pytest.mark.slow] if (name, side) in WIDE else []) for name in SETS for side in ("guest", "host")
]


@pytest.mark.parametrize(("name", "side"), SIDES)
def test_columns_are_understood_as_described_and_coded_the_same(name: str, side: str) -> None:
    path, reading, kinds = settings_of(name, side)
    report = inspect_file(path, reading)
    assert report.readable
    for column in report.columns:
        if column.name in kinds:
            assert column.verdict in VERDICTS[kinds[column.name]], column
    given, inferred = read_table(path, **reading | {"kinds": kinds}), read_table(path, **reading)
    assert inferred.kinds == given.kinds
    assert codes_of(inferred)[0] == codes_of(given)[0]
    assert np.array_equal(codes_of(inferred)[1], codes_of(given)[1])

"""A small bank for selections by SQL."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vflfast.tables.select import select
from vflfast.tables.selection import Selection, selection_from_mapping

duckdb = pytest.importorskip("duckdb")
DAY = datetime.date(2026, 1, 1)
N = 200
QUERY = """
SELECT c.phone, c.age, c.region, c.opened, c.vip, count(t.amount) AS payments, sum(t.amount) AS paid
FROM customers c LEFT JOIN transactions t USING (phone) GROUP BY ALL
"""


def spec() -> dict[str, Any]:
    return {
        "id_column": "phone",
        "observation_date": DAY,
        "query": QUERY,
        "sources": {"customers": {"file": "customers.csv"}, "transactions": {"file": "transactions.parquet", "date_column": "day"}},
        "label": {"source": "transactions", "where": "product = 'loan'", "window_days": 90},
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """The specification with one entry set, or taken out with `...`."""
    data: dict[str, Any] = copy.deepcopy(spec())
    *outer, last = path.split("/")
    inner = data
    for name in outer:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return data


def run(data: dict[str, Any], folder: Path, path: Path) -> tuple[Selection, pd.DataFrame]:
    selection = selection_from_mapping(data, folder)
    select(selection, path)
    return selection, pd.read_parquet(path)

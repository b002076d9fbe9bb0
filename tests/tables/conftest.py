"""Fixtures of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.selections import N, duckdb


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bank")
    rng = np.random.default_rng(0)
    phones = np.array([f"0130{k:07d}" for k in rng.permutation(N)])  # leading zeros
    region = rng.choice(["north", "south"], N)
    customers = pd.DataFrame({"phone": phones, "age": rng.integers(18, 80, N), "region": region})
    customers["opened"] = pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d")
    customers["vip"] = rng.random(N) > 0.5
    customers.loc[:4, "age"] = np.nan
    customers.to_csv(made / "customers.csv", index=False)
    days = pd.Timestamp("2025-06-01") + pd.to_timedelta(rng.integers(0, 400, 2000), "D")
    transactions = pd.DataFrame({"phone": rng.choice(phones, 2000), "amount": rng.normal(100, 30, 2000).round(2),
                                 "product": rng.choice(["loan", "card", "fund"], 2000, p=[0.1, 0.6, 0.3]), "day": days})  # fmt: skip
    # the window's first and last day, and the days beside them
    for phone, day in zip(phones[:4], ("2025-12-31", "2026-01-01", "2026-03-31", "2026-04-01"), strict=True):
        transactions = transactions[transactions.phone != phone]
        transactions.loc[len(transactions) + 10_000] = [phone, 1000.0, "loan", pd.Timestamp(day)]
    transactions.to_parquet(made / "transactions.parquet", index=False)
    with duckdb.connect(str(made / "core.duckdb")) as database:
        database.execute("CREATE TABLE accounts AS SELECT * FROM read_parquet(?)", [str(made / "transactions.parquet")])
    (made / "bad.csv").write_text("phone,amount\n0130000001,1\n0130000002,2,3\n")
    (made / "words.csv").write_text("phone,day\n0130000001,yesterday\n")
    (made / "damaged.parquet").write_bytes(b"PAR1 and no more")
    return made

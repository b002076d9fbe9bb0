"""Write customers.csv, bank.duckdb with their transactions, and partner.csv."""

import duckdb
import numpy as np
import pandas as pd

from vflfast.samples import write_bank

bank, partner = write_bank(".", n_rows=1000)
customers = pd.read_csv(bank, dtype={"phone": str})
rng = np.random.default_rng(1)

# a buyer of the sample takes out a loan in the three months after the observation date
buyers = customers.loc[customers["bought"] == 1, "phone"]
loans = pd.DataFrame({"phone": buyers, "product": "loan", "amount": 5000.0})
loans["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(1, 90, len(loans)), unit="D")

# everybody pays by card in the year before
payments = pd.DataFrame({"phone": rng.choice(customers["phone"], 10_000), "product": "card"})
payments["amount"] = rng.gamma(2.0, 30.0, len(payments)).round(2)
payments["day"] = pd.Timestamp("2026-01-01") - pd.to_timedelta(rng.integers(1, 365, len(payments)), unit="D")

customers.drop(columns="bought").to_csv("customers.csv", index=False)
transactions = pd.concat([payments, loans])
with duckdb.connect("bank.duckdb") as database:
    database.execute("CREATE TABLE transactions AS SELECT phone, product, amount, day::DATE AS day FROM transactions")

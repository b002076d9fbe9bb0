"""A synthetic bank and telephone company with columns that read like real ones: for the tutorial and the example."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..params import MAX_COUNT

Floats = npt.NDArray[np.float64]
Side = tuple[pd.DataFrame, Floats]  # a party's columns, and what they add to the log odds

OBSERVATION_DATE = "2026-01-01"
POSITIVE_SHARE = 0.12
ONE_SIDED_SHARE = 0.04  # customers of the bank that the company does not know, and the other way round
JOBS = ("worker", "office", "manager", "technician", "self-employed", "student", "retired")
LEAST_ROWS = 50


def write_bank(folder: str | os.PathLike[str], *, n_rows: int = 4_000, seed: int = 1, later: bool = False) -> tuple[Path, Path]:
    """Write bank.csv and partner.csv, n_rows customers each, nearly all in common; return the paths.

    The label ``bought`` is 1 for the 12 % with the largest x + z + logistic noise, x a function of the bank's columns and z of the
    company's: a logistic model ([0075]) that no side can fit alone. The data are synthetic; the names of the columns are those of a
    campaign for a savings product.

    Parameters
    ----------
    folder
        Made if needed; files of the same names are replaced.
    n_rows
        Rows of each file, at least 50.
    seed
        Of the synthetic data; no key or mask depends on it.
    later
        Customers of a later month: others, without labels, six years older, and more careful with their data volume.

    Raises
    ------
    InputError
        Not a path, or a number outside its range.
    """
    if not isinstance(folder, (str, os.PathLike)):
        raise InputError("folder", "must be a path")
    for name, value, least in (("n_rows", n_rows, LEAST_ROWS), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_COUNT:
            raise InputError(name, f"must be an integer, {least}..{MAX_COUNT}")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, int(later)])
    n_alone = round(ONE_SIDED_SHARE * n_rows)
    phones = [f"12{number:09d}" for number in rng.choice(10**9, n_rows + n_alone, replace=False)]
    (bank, x), (partner, z) = _bank(rng, n_rows + n_alone, later=later), _partner(rng, n_rows + n_alone, later=later)
    utility = x + z + rng.logistic(size=len(x))
    if not later:
        bank["bought"] = (utility >= np.quantile(utility, 1 - POSITIVE_SHARE)).astype(int)
    paths = target / "bank.csv", target / "partner.csv"
    for path, table, rows in zip(paths, (bank, partner), (slice(n_rows), slice(n_alone, None)), strict=True):
        table.insert(0, "phone", phones)
        table[rows].sample(frac=1.0, random_state=seed).to_csv(path, index=False, lineterminator="\n")
    return paths


def _bank(rng: np.random.Generator, n: int, *, later: bool) -> Side:
    age = (18 + rng.gamma(4.0, 6.5, n)).clip(18, 80).round() + (6 if later else 0)
    job = np.where(age < 25, "student", np.where(age > 62, "retired", rng.choice(JOBS[:5], n)))
    job = np.where(rng.random(n) < 0.1, rng.choice(JOBS, n), job)
    education = rng.choice(["primary", "secondary", "tertiary", ""], n, p=[0.2, 0.45, 0.3, 0.05])
    balance = np.where(rng.random(n) < 0.08, 0.0, (rng.lognormal(6.6, 1.2, n) - 250).round())
    housing, loan = (rng.random(n) < 0.55).astype(int), (rng.random(n) < 0.16).astype(int)
    days = rng.integers(30, 5000, n)
    table = pd.DataFrame(
        {
            "age": age.astype(int), "job": job, "education": education, "balance": balance, "housing_loan": housing, "consumer_loan": loan,
            "card_since": _dates(days, missing=rng.random(n) < 0.2),
        }
    )  # fmt: skip
    x = 1.1 * np.isin(job, ["student", "retired"]) + 0.5 * (education == "tertiary") - 0.9 * housing - 0.8 * loan
    return table, x + 0.9 * np.log1p(balance.clip(0)) / 6


def _partner(rng: np.random.Generator, n: int, *, later: bool) -> Side:
    tenure = rng.gamma(2.0, 22.0, n).round()
    bill = (8 + rng.gamma(3.0, 9.0, n)).round(2)
    volume = np.where(rng.random(n) < 0.1, np.nan, (bill * rng.lognormal(-1.2, 0.6, n) * (0.4 if later else 1.0)).round(1))
    abroad = np.where(rng.random(n) < 0.85, 0.0, rng.gamma(2.0, 10.0, n).round())
    late = rng.poisson(0.3, n)
    campaign = rng.choice(["none", "refused", "accepted"], n, p=[0.62, 0.26, 0.12])
    plan = rng.choice(["prepaid", "standard", "family", "business"], n, p=[0.3, 0.4, 0.2, 0.1])
    table = pd.DataFrame(
        {
            "tenure_months": tenure.astype(int), "monthly_bill": bill, "data_gb": volume, "minutes_abroad": abroad, "late_payments": late,
            "last_campaign": campaign, "plan": plan, "contract_since": _dates(rng.integers(1, 700, n), missing=plan == "prepaid"),
        }
    )  # fmt: skip
    z = 2.2 * (campaign == "accepted") - 0.6 * (campaign == "refused") + 0.6 * (abroad > 0) - 0.8 * late.clip(0, 2)
    return table, z + 1.2 * np.tanh((bill - 35) / 20) + 0.5 * np.tanh((tenure - 40) / 30)


def _dates(days_before: npt.NDArray[np.int64], *, missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    """Days before the observation date as text; empty where missing."""
    dates = (np.datetime64(OBSERVATION_DATE) - days_before).astype(str)
    return np.where(missing, "", dates)

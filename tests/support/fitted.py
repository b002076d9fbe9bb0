"""A fitted estimator and its tables for the tests of other formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from support.estimators import estimator

from vflfast import VerticalFrame, VerticalLogisticRegression
from vflfast.jobs.model import SavedParty
from vflfast.tables.table import Table, table_from_frame

TOLERANCE = 1e-9
N_ROWS, N_TRAIN = 900, 600
SMALL: dict[str, Any] = {"max_iter": 3, "encrypted": False, "observation_date": "2026-01-01"}
Floats = npt.NDArray[np.float64]


def tables(n_rows: int = N_ROWS, seed: int = 4) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Every binning rule, with and without missing cells; the last third has cells that training never saw."""
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=(2, n_rows))
    index = pd.Index([f"c{k}" for k in range(n_rows)], name="customer")
    later = np.arange(n_rows) >= N_TRAIN

    def gaps(values: Any, share: float) -> Any:
        return pd.Series(values, index=index).mask(rng.random(n_rows) < share)

    trades = rng.choice(["smith", "ba'ker", "<m>"], n_rows)
    guest = pd.DataFrame(
        {
            "amount": gaps(trait[0], 0.1),
            "whole amount": pd.Series(trait[0].round(1), index=index).mask(later & (rng.random(n_rows) < 0.2)),
            "balance": np.where(rng.random(n_rows) < 0.3, 0.0, trait[0]),
            "calls": np.where(rng.random(n_rows) < 0.93, 0.0, rng.integers(1, 9, n_rows)),
            "second card": gaps(np.ones(n_rows), 0.4),
            "trade <&> \"craft\"": gaps(np.where(later & (rng.random(n_rows) < 0.3), "new & odd", trades), 0.1),
            "since": pd.to_datetime("2025-12-31") - pd.to_timedelta(rng.integers(0, 900, n_rows), unit="D"),
            "both": rng.normal(size=n_rows),
        },
        index=index,
    )
    host = pd.DataFrame(
        {
            "grid": gaps(trait[1] * 3 + 0.1, 0.05),
            "steps": rng.integers(0, 30, n_rows),
            "shop": np.where(later & (rng.random(n_rows) < 0.3), None, rng.choice(["x", "y", "z"], n_rows, p=[0.6, 0.3, 0.1])),
            "both": trait[1],
            "logit": rng.normal(size=n_rows),
        },
        index=index,
    )
    bought = pd.Series((trait.sum(axis=0) + rng.normal(size=n_rows) > 0.3).astype(int), index=index)
    return guest, host, bought


GUEST, HOST, BOUGHT = tables()
FRAME = VerticalFrame(GUEST, HOST)


def fitted(**changes: Any) -> VerticalLogisticRegression:
    settings = {"overrides": {"grid": "levels", "steps": "levels"}, "max_levels": 2, **SMALL, **changes}
    return estimator(**settings).fit(FRAME[:N_TRAIN], BOUGHT)


VARIANTS = {
    "ordinal": {},
    "one-hot, merged": {"encoding": "onehot", "min_class_size": 90, "overrides": None},
    "woe at both": {"encoding": "woe", "host_woe": True, "min_class_size": 60, "overrides": None},
}


def raw(party: str, prefix: bool = False) -> pd.DataFrame:
    """A party's cells as an evaluator gets them: dates as days before the observation date."""
    part = FRAME.parts[party].copy()
    if "since" in part:
        part["since"] = (pd.Timestamp("2026-01-01") - part["since"]).dt.total_seconds() / 86_400
    return part.rename(columns={"both": f"{party}.both"}) if prefix else part


def expected(model: VerticalLogisticRegression, side: str) -> Floats:
    return model.decision_function(FRAME, side=side).to_numpy()


def sides(model: VerticalLogisticRegression) -> list[tuple[str, tuple[SavedParty, ...], pd.DataFrame]]:
    """(side, models, cells) of each half and of the joint model."""
    parties = model.parties_
    joint = pd.concat([raw("guest", prefix=True), raw("host1", prefix=True)], axis=1)
    return [
        ("guest", (parties["guest"],), raw("guest")),
        ("host1", (parties["host1"],), raw("host1")),
        ("joint", tuple(parties.values()), joint),
    ]


def read_as(party: SavedParty, frame: pd.DataFrame) -> Table:
    return table_from_frame(frame.reset_index(), id_column="customer", kinds=party.binner.kinds, observation_date="2026-01-01")

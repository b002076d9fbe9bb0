"""Small tables of a guest and two hosts, and the estimator on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from support.estimators import estimator

from vflfast import VerticalFrame, VerticalLogisticRegression

N_ROWS = 240


def parts(n_rows: int = N_ROWS, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.Series]:
    """A guest, two hosts and labels, each host's rows in an order of its own."""
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=(3, n_rows))
    index = pd.Index([f"c{k:03d}" for k in range(n_rows)])
    guest = pd.DataFrame({"age": trait[0].round(2), "trade": rng.choice(["a", "b"], n_rows)}, index=index)
    first = pd.DataFrame({"spend": trait[1], "shop": rng.choice(["x", "y", "z"], n_rows)}, index=index)
    second = pd.DataFrame({"calls": trait[2]}, index=index)
    labels = pd.Series((trait.sum(axis=0) + 0.7 * rng.normal(size=n_rows) > 0.4).astype(int), index=index)
    return guest, first.sample(frac=1, random_state=1), second.sample(frac=1, random_state=2), labels


GUEST, HOST, SECOND, Y = parts()
X = VerticalFrame(GUEST, HOST)


def plain(**changes: Any) -> VerticalLogisticRegression:
    """The twin, a few rounds."""
    return estimator(**{"max_iter": 3, "encrypted": False, **changes})

"""Small tables with the names that the README and the manual use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def write_tables(folder: Path, *, labels: bool = True) -> None:
    """bank.csv and partner.csv as the snippets name them."""
    rng = np.random.default_rng(8)
    phones = [f"12{k:09d}" for k in range(300)]
    trait = rng.normal(size=(2, 300))
    for name, values in (("bank", trait[0]), ("partner", trait[1])):
        columns: dict[str, Any] = {
            "phone": phones,
            f"{name}_amount": (100 * values).round(),
            f"{name}_since": pd.to_datetime("2025-01-01") + pd.to_timedelta(rng.integers(0, 300, 300), unit="D"),
            f"{name}_trade": rng.choice(["smith", "baker"], 300),
        }
        if name == "bank" and labels:
            columns["bought"] = (trait.sum(axis=0) > 0.3).astype(int)
        pd.DataFrame(columns).sample(frac=1, random_state=1).to_csv(folder / f"{name}.csv", index=False)

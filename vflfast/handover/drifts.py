"""Drift: how far a later table's classes are from those of the training rows."""

from __future__ import annotations

import pandas as pd

from ..errors import InputError
from ..jobs.model import SavedParty
from ..learn.stability import population_stability, verdict
from ..tables.table import Table


def drift(party: SavedParty, table: Table) -> pd.DataFrame:
    """Return the population stability index of every feature against the training rows, largest first.

    Parameters
    ----------
    party
        The party's saved model; its bins carry the training rows of every class.
    table
        The party's features on later customers.

    Returns
    -------
    pandas.DataFrame
        One row a feature: feature, psi, by_chance (what psi is on average when nothing changed), verdict ("stable", "shifted", "drifted"),
        missing_before, missing_now (shares).

    Raises
    ------
    InputError
        Not a saved model.
    DataError
        A feature missing, unknown or of another kind.
    """
    if not isinstance(party, SavedParty):
        raise InputError("party", "must be a data party's saved model")
    matrix = party.binner.transform(table)
    rows = []
    for rule, now in zip(party.binner.rules, matrix.class_rows, strict=True):
        before = list(rule.counts)
        psi = population_stability(before, now[: len(before)])
        used = sum(1 for a, b in zip(before, now.tolist(), strict=False) if a or b)
        by_chance = (used - 1) * (1 / sum(before) + 1 / matrix.n_rows)
        missing_now = float(table.features[rule.feature].isna().mean())
        rows.append((rule.feature, psi, by_chance, verdict(psi), rule.n_missing / sum(before), missing_now))
    columns = ["feature", "psi", "by_chance", "verdict", "missing_before", "missing_now"]
    return pd.DataFrame(rows, columns=columns).sort_values("psi", ascending=False, kind="stable", ignore_index=True)

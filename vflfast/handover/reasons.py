"""Reason codes: which features moved a customer's logit most, computed by the party that has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..jobs.model import SavedParty
from ..learn import checks
from ..tables.table import Table
from .classes import class_model

DIRECTIONS = ("up", "down", "both")


def reason_codes(
    party: SavedParty, table: Table, *, top: int = 3, direction: str = "up", index: Sequence[Any] | None = None
) -> pd.DataFrame:
    """The `top` features k of largest contribution_k[class] − mean_k per customer, the mean over the training rows.

    A party computes them from its own model and its own columns; nothing travels.

    Parameters
    ----------
    party
        The party's saved model.
    table
        Its features on the customers, n_rows of them.
    top
        Reasons a customer, at least 1; never more than there are features.
    direction
        "up": what raises the logit most; "down": what lowers it most; "both": what moves it most.
    index
        n_rows names of the customers for the result; default: the table's ids.

    Returns
    -------
    pandas.DataFrame
        A row a reason: id, rank from 1, feature, class, effect (on the logit, against the training mean). With "up" only positive effects
        are reasons, with "down" only negative ones.

    Raises
    ------
    InputError
        A setting out of range.
    DataError
        A feature missing, unknown or of another kind.
    """
    if direction not in DIRECTIONS:
        raise InputError("direction", f"must be one of {', '.join(DIRECTIONS)}")
    features = class_model(party).features
    wanted = min(checks.count("top", top), len(features))
    matrix = party.binner.transform(table)
    names = list(table.ids if index is None else index)
    if len(names) != matrix.n_rows:
        raise InputError("index", f"has {len(names)} names for {matrix.n_rows} rows")
    effects = np.array([feature.contributions[codes] - feature.mean for feature, codes in zip(features, matrix.codes, strict=True)])
    counts = {"up": effects > 0, "down": effects < 0, "both": effects != 0}[direction]
    order = _strongest(effects, wanted, direction)
    texts = [[one.text for one in feature.classes] for feature in features]
    rows = [
        (names[i], rank + 1, features[k].column, texts[k][matrix.codes[k, i]], float(effects[k, i]))
        for i in range(matrix.n_rows)
        for rank, k in enumerate(order[:, i].tolist())
        if counts[k, i]
    ]
    return pd.DataFrame(rows, columns=["id", "rank", "feature", "class", "effect"])


def _strongest(effects: npt.NDArray[np.float64], wanted: int, direction: str) -> npt.NDArray[np.int64]:
    """Features by falling strength, shape (wanted, n_rows); ties in column order."""
    strength = {"up": -effects, "down": effects, "both": -np.abs(effects)}[direction]
    return np.argsort(strength, axis=0, kind="stable")[:wanted]

"""The model as a scorecard: points for each class of each feature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ..errors import InputError
from ..learn import checks
from .classes import ClassModel


@dataclass(frozen=True)
class Scaling:
    """points = base_points + pdo/log 2 · (u − log base_odds): so many points at those odds, and `pdo` more for every doubling of the odds.

    Parameters
    ----------
    base_points
        Points at `base_odds`.
    base_odds
        Odds of +1 against −1, above 0.
    pdo
        Points that double the odds, above 0.

    Raises
    ------
    InputError
        A value outside its range.
    """

    base_points: float = 600.0
    base_odds: float = 1.0
    pdo: float = 20.0

    def __post_init__(self) -> None:
        checks.number("base_points", self.base_points)
        checks.number("base_odds", self.base_odds, above=0.0)
        checks.number("pdo", self.pdo, above=0.0)

    @property
    def factor(self) -> float:
        """Points for one unit of the logit."""
        return self.pdo / math.log(2.0)

    @property
    def offset(self) -> float:
        """Points at logit 0, odds 1."""
        return self.base_points - self.factor * math.log(self.base_odds)


def scorecard(model: ClassModel, scaling: Scaling | None = None, *, whole: bool = False) -> pd.DataFrame:
    """Return the points of every class; a customer's score is the base's points plus one row of every feature.

    Every feature's points are shifted so that its lowest class gets 0, and the base makes up for it; sums are offset + factor·u exactly but
    for `whole`.

    Parameters
    ----------
    model
        One party's half, or the joint model.
    scaling
        Points, odds and points to double the odds; default 600 at even odds, 20.
    whole
        Round every row to whole points; a sum is then off by up to half a point a row.

    Returns
    -------
    pandas.DataFrame
        Columns party, feature, class, points, contribution (to the logit), rows (training rows in the class) and share; the base first.

    Raises
    ------
    InputError
        Not a ClassModel, not a Scaling.
    """
    if not isinstance(model, ClassModel):
        raise InputError("model", "must be what class_model returns")
    scale = scaling or Scaling()
    if not isinstance(scale, Scaling):
        raise InputError("scaling", "must be a Scaling")
    least = {feature.name: float(feature.contributions.min()) for feature in model.features}
    base = scale.offset + scale.factor * (model.intercept + math.fsum(least.values()))
    rows: list[tuple[str, str, str, float, float, int, float]] = [("", "(base)", "", base, model.intercept, 0, 1.0)]
    for feature in model.features:
        total = sum(one.rows for one in feature.classes)
        for one in feature.classes:
            points = scale.factor * (one.contribution - least[feature.name])
            rows.append((feature.party, feature.name, one.text, points, one.contribution, one.rows, one.rows / total))
    table = pd.DataFrame(rows, columns=["party", "feature", "class", "points", "contribution", "rows", "share"])
    if whole:
        table["points"] = table["points"].round().astype(int)
    return table

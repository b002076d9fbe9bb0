"""What a reader of a scorecard should look at: features whose points and observed rates disagree beyond chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import combinations
from typing import Any

Data = Mapping[str, Any]

SIGN = "points go against the observed rates: the class with most points has a lower rate than the one with fewest"
SHAPE = "observed rates rise and fall along the classes; one column only rises or only falls: bin it as levels, or with other classes"


def feature_warnings(feature: Data) -> list[str]:
    """Return the warnings of a feature whose classes have rates with 95 % intervals, of customers kept out of training.

    Only where intervals do not overlap: of many features some disagree by chance.
    """
    seen = [one for one in feature["classes"] if one.get("test_rate") is not None]
    found = []
    if len(seen) > 1:
        lowest, highest = min(seen, key=lambda one: one["points"]), max(seen, key=lambda one: one["points"])
        if highest["points"] > lowest["points"] and _below(highest, lowest):
            found.append(SIGN)
    in_order = [feature["classes"][place] for place in feature["ordered"]]
    if _turns([one for one in in_order if one["test_rate"] is not None]):
        found.append(SHAPE)
    return found


def listed(parties: Sequence[Data], value: Callable[..., str]) -> str:
    """Return all warnings as a list, nothing where there are none; `value` shows a datum by its path."""
    items = []
    for i, party in enumerate(parties):
        for f, feature in enumerate(party["features"]):
            at = ("parties", i, "features", f)
            head = f"{value(*at, 'feature')} ({escape(party['role'])})"
            items += [f"<li>{head}: {value(*at, 'warnings', w)}</li>" for w in range(len(feature.get("warnings", ())))]
    return f"<h3>Features to look at</h3><ul>{''.join(items)}</ul>" if items else ""


def _turns(classes: Sequence[Data]) -> bool:
    """Whether a class lies clearly above, or clearly below, both some class before it and some class after it."""
    return any(
        (_below(first, middle) and _below(last, middle)) or (_below(middle, first) and _below(middle, last))
        for first, middle, last in combinations(classes, 3)
    )


def _below(one: Data, other: Data) -> bool:
    return bool(one["test_rate_high"] < other["test_rate_low"])

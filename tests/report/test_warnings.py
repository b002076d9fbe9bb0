"""Features to look at: only where observed rates disagree with the points beyond their intervals."""

from __future__ import annotations

from typing import Any

import pytest

from vflfast.learn.uncertainty import rate_interval
from vflfast.report.warnings import SHAPE, SIGN, feature_warnings, listed


def feature(points: list[float], rates: list[float | None], rows: int = 400, *, ordered: bool = True) -> dict[str, Any]:
    classes = []
    for point, rate in zip(points, rates, strict=True):
        seen = None if rate is None else rate_interval(round(rate * rows), rows)
        low, high = (None, None) if seen is None else (seen.low, seen.high)
        classes.append({"points": point, "test_rate": rate, "test_rate_low": low, "test_rate_high": high})
    return {"feature": "age", "classes": classes, "ordered": list(range(len(classes))) if ordered else []}


@pytest.mark.parametrize(
    ("points", "rates", "rows", "expected"),
    [
        ([-1, 0, 1], [0.1, 0.2, 0.3], 400, []),
        ([-1, 0, 1], [0.3, 0.2, 0.1], 400, [SIGN]),
        ([-1, 0, 1], [0.3, 0.2, 0.1], 20, []),  # chance alone does that
        ([-1, 0, 1], [0.1, 0.4, 0.2], 400, [SHAPE]),
        ([-1, 0, 1], [0.4, 0.1, 0.4], 400, [SHAPE]),
        ([-1, 0, 1], [0.4, 0.1, 0.2], 400, [SIGN, SHAPE]),
        ([-1, 0, 1, 2], [0.1, None, 0.2, 0.3], 400, []),
        ([0, 0, 0], [0.3, 0.2, 0.1], 400, []),
        ([1], [0.3], 400, []),
    ],
)
def test_only_what_is_beyond_chance(points: list[float], rates: list[float | None], rows: int, expected: list[str]) -> None:
    assert feature_warnings(feature(points, rates, rows)) == expected


def test_levels_have_no_order() -> None:
    assert feature_warnings(feature([-1, 0, 1], [0.1, 0.4, 0.2], ordered=False)) == []


def test_the_list_names_feature_and_party() -> None:
    one = feature([-1, 1], [0.3, 0.1]) | {"warnings": [SIGN]}
    shown = listed([{"role": "guest", "features": [one]}], lambda *path: f"[{path[-1]}]")
    assert shown == "<h3>Features to look at</h3><ul><li>[feature] (guest): [0]</li></ul>"
    assert listed([{"role": "guest", "features": [feature([0], [0.1])]}], lambda *_: "") == ""

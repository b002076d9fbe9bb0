"""A party's coefficients as rows of a table, with standard errors where the run had them (`inference`)."""

from __future__ import annotations

import math
from typing import Any

from ..learn.inference import json_number
from ..learn.uncertainty import Coefficient
from .model import SavedParty

INTERCEPT = "intercept"
SMALL_P = 0.05
LARGE_INFLATION = 10.0


def coefficients(party: SavedParty) -> list[dict[str, Any]]:
    """Return one row a column, the intercept first, with floats; of a run without standard errors, columns and values only.

    Returns
    -------
    list of dict
        column, value; error, z, p, low, high of the 95 % interval, inflation, and the strongest correlation with a column of the other
        party, whose number there is `partner`. NaN: a column that is constant. Infinite: not determined, because columns depend on each
        other.
    """
    names, told = party.binner.column_names, party.facts.get("inference")
    rows: list[dict[str, Any]] = [{"column": INTERCEPT, "value": party.intercept}]
    rows += [{"column": name, "value": weight} for name, weight in zip(names, party.weights.tolist(), strict=True)]
    if told is None:
        return rows
    for row, error in zip(rows, map(_number, [told["intercept_error"], *told["errors"]]), strict=True):
        one = Coefficient.of(row["value"], error)
        row |= {"error": one.error, "z": one.z, "p": one.p, "low": one.low, "high": one.high}
    for row, inflated, correlation, partner in zip(rows[1:], told["inflation"], told["correlation"], told["partners"], strict=True):
        row |= {"inflation": _number(inflated), "correlation": correlation, "partner": partner}
    return rows


def ready(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows for JSON: null for NaN, the text "inf" for what is infinite."""
    return [{name: json_number(value) if isinstance(value, float) else value for name, value in row.items()} for row in rows]


def outline(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return how many coefficients differ from 0 and what to look at, ready for JSON; None without standard errors.

    Returns
    -------
    dict
        columns (those that vary), significant (p below 0.05), inflated (variance inflation above 10), largest_inflation, undetermined.
    """
    if "error" not in rows[0]:
        return None
    told = [row for row in rows[1:] if not math.isnan(row["error"])]
    finite = [row["inflation"] for row in told if math.isfinite(row["inflation"])]
    return {
        "columns": len(told),
        "significant": sum(row["p"] < SMALL_P for row in told),
        "inflated": sum(row["inflation"] > LARGE_INFLATION for row in told),
        "largest_inflation": max(finite, default=None),
        "undetermined": sum(math.isinf(row["error"]) for row in told),
    }


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)

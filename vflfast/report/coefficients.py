"""The page's coefficients: every party's columns with their standard errors, where the run had them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from .tables import table

Data = Mapping[str, Any]
Value = Callable[..., str]

MOST = 201  # rows of a party; the embedded data has all
COLUMNS = {
    "column": "column", "value": "coefficient", "error": "standard error", "z": "z", "p": "p", "low": "from", "high": "to",
    "inflation": "VIF", "correlation": "correlation", "partner": "with the other side's column",
}  # fmt: skip
INFERRED = (
    "Standard errors are those of the penalised fit over both sides' columns; from and to are the ends of the 95 % interval. VIF is the "
    "variance inflation beside all other columns of both sides; above 10 a coefficient can hardly be told from others. The correlation is "
    "the strongest with a column of the other side, which has a number and no name here; inf: columns depend on each other."
)
NOT_INFERRED = "Without standard errors: the run had none. They are computed with inference = true in the settings."


def coefficients(parties: Sequence[Data], value: Value) -> str:
    """Return a table for each party; `value` shows a datum by its path. Nothing for reports of earlier versions."""
    parts = [_party(i, party, value) for i, party in enumerate(parties) if party.get("coefficients")]
    inferred = any(party.get("inference") for party in parties)
    return "".join([f'<p class="lead">{INFERRED if inferred else NOT_INFERRED}</p>', *parts]) if parts else ""


def _party(index: int, party: Data, value: Value) -> str:
    rows = party["coefficients"]
    told = [key for key in COLUMNS if any(key in row for row in rows)]
    cells = [
        [value("parties", index, "coefficients", place, key) if key in row else "" for key in told] for place, row in enumerate(rows[:MOST])
    ]
    more = len(rows) - MOST
    note = f"<p>{more:,} more are in the data at the end of this file.</p>" if more > 0 else ""
    shown = table([COLUMNS[key] for key in told], cells, numbers=1)
    return f"<details><summary>{_outline(index, party, value)}</summary>{shown}{note}</details>"


def _outline(index: int, party: Data, value: Value) -> str:
    if not party.get("inference"):
        return f"{escape(party['role'])}: {len(party['coefficients']) - 1:,} columns"
    of = {key: value("parties", index, "inference", key) for key in ("significant", "columns", "inflated", "undetermined")}
    return (
        f"{escape(party['role'])}: {of['significant']} of {of['columns']} coefficients differ from 0 (p below 0.05); columns with VIF "
        f"above 10: {of['inflated']}; not determined: {of['undetermined']}"
    )

"""Bins of tables of a few rows: classes of one row stay, which the default would merge."""

from __future__ import annotations

from typing import Any

from vflfast.binning.binner import Binner
from vflfast.crypto.coded import CodedMatrix


def fit(table: Any, **settings: Any) -> Binner:
    """Fit with the smallest class size unless told otherwise."""
    return Binner.fit(table, **{"min_class_size": 1} | settings)


def fit_transform(table: Any, **settings: Any) -> tuple[Binner, list[CodedMatrix]]:
    """Fit and code likewise."""
    return Binner.fit_transform(table, **{"min_class_size": 1} | settings)

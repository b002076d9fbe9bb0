"""The settings of reading a table, checked: which columns are what, and how their cells are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from .columns import KINDS, DateRule, date_rule, typed_column
from .files import ColumnSource
from .forms import SEPARATORS, Forms
from .id_forms import check_format

SPECIAL = " (special)"  # after the name of a column: the feature of its special values
SHOWN_NAMES = 10  # of a file's columns, where one is missing


@dataclass(frozen=True)
class Plan:
    """How a table is read: names, kinds, dates and forms, all checked."""

    id_column: str
    label_column: str | None
    kinds: dict[str, str]
    dates: DateRule
    id_format: str
    forms: Forms

    def features_of(self, name: str) -> list[str]:
        """Return the features that a column of the file gives: itself, and beside it its special values."""
        return [name, name + SPECIAL] if name in self.forms.special_values else [name]

    def column(self, name: str, source: ColumnSource) -> tuple[str, npt.NDArray[Any]]:
        """Read one feature; return its kind and its cells; DataError as `typed_column`, and for special values of no number."""
        whole = name.removesuffix(SPECIAL)
        special = self.forms.special_values.get(whole)
        if special is None:
            return typed_column(name, source.fetch(name), self.kinds.get(name), self.dates, self.forms)
        kind, cells = typed_column(whole, source.fetch(whole), self.kinds.get(whole, "numeric"), self.dates, self.forms)
        if kind != "numeric":
            raise DataError(whole, f"is {kind}; special_values are numbers")
        marked = np.isin(cells, special)
        if name == whole:
            return kind, np.where(marked, np.nan, cells)
        texts = np.full(cells.size, None, dtype=object)
        texts[marked] = [f"{value:g}" for value in cells[marked]]
        return "categorical", texts


def plan_of(
    id_column: object, label_column: object, kinds: object, date_format: object, observation_date: object, id_format: object,
    forms: Mapping[str, Any],
) -> Plan:
    """Return the plan of settings; InputError names the one that is wrong."""
    if not isinstance(id_column, str) or not id_column:
        raise InputError("id_column", "must be the name of a column")
    if label_column is not None and (not isinstance(label_column, str) or label_column in ("", id_column)):
        raise InputError("label_column", "must be the name of a column other than the id column")
    check_format(id_format)
    if not isinstance(kinds, (Mapping, type(None))):
        raise InputError("kinds", "must map column names to kinds")
    wrong = [name for name, kind in (kinds or {}).items() if kind not in KINDS]
    if wrong:
        raise InputError("kinds", f"column {wrong[0]!r} must be one of {', '.join(KINDS)}")
    written = Forms.of(forms)
    dates = date_rule(date_format, observation_date, written.time_zone)
    return Plan(id_column, label_column, dict(kinds or {}), dates, str(id_format), written)


def feature_names(origin: str, names: list[str], plan: Plan) -> list[str]:
    """Return the feature columns of a file; DataError or InputError for names that do not fit it."""
    twice = [name for name, seen in zip(names, pd.Series(names, dtype=object).duplicated(), strict=True) if seen]
    if twice:
        raise DataError(twice[0], "is the name of two columns; rename one")
    special = [name for name in (plan.id_column, plan.label_column) if name is not None]
    for name in special:
        if name not in names:
            raise DataError(name, f"no such column; there are {_some(names)}{_other_separator(names, plan.forms)}")
    _check_drop(names, special, plan)
    if plan.forms.sample_weight in special:
        raise InputError("sample_weight", f"{plan.forms.sample_weight!r} is the id or label column")
    features = [name for name in names if name not in special and name not in plan.forms.no_features]
    for setting, given in (("kinds", plan.kinds), ("special_values", plan.forms.special_values)):
        known = {one for name in features for one in plan.features_of(name)} if setting == "kinds" else set(features)
        unknown = [name for name in given if name not in known]
        if unknown:
            raise InputError(setting, f"{unknown[0]!r} is no feature column")
    if not features:
        raise DataError(origin, f"has no feature column{_other_separator(names, plan.forms)}")
    return features


def _other_separator(names: list[str], forms: Forms) -> str:
    """What a header of one name says about another separator."""
    if len(names) != 1:
        return ""
    best = max(SEPARATORS[1:4], key=names[0].count) if forms.separator == "," else ","
    return f"; the fields look as if they were separated by {best!r}: say separator = {json.dumps(best)}" if best in names[0] else ""


def _check_drop(names: list[str], special: list[str], plan: Plan) -> None:
    """Refuse columns to drop that are not there; a model, which knows the kind of every feature, reads tables without them too."""
    of_a_model = bool(plan.kinds) and set(names) - set(special) - set(plan.forms.no_features) <= set(plan.kinds)
    for name in plan.forms.drop:
        if name not in names and not of_a_model:
            raise InputError("drop", f"{name!r} is no column; there are {_some(names)}")
        if name in special:
            raise InputError("drop", f"{name!r} is the id or label column")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more

"""Binner: a table's features as one byte-coded integer matrix, with saved edges and levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crypto.coded import CodedMatrix
from ..errors import DataError, InputError
from ..params import BINNER_VERSION, MAX_CLASSES, MAX_LEVELS
from .rows import row_index
from .rules import RULES, CategoryRule, NumericRule, fit_category, fit_numeric
from .saved_rules import rules_from_dict
from .tables import Table


@dataclass(frozen=True)
class Binner:
    """The map from a party's features to class codes, fitted on its training rows ([0085], [0091]).

    Numbers and dates become ordinal columns (`NumericRule`), a category one 0/1 column per level (`CategoryRule`).
    Equal rules give equal codes, so a saved binner codes later customers as it coded the training rows.

    Attributes
    ----------
    rules
        One rule per feature, in the order of the coded matrix.
    """

    rules: tuple[NumericRule | CategoryRule, ...]

    @classmethod
    def fit(
        cls,
        table: Table,
        *,
        rows: npt.ArrayLike | None = None,
        numeric: str = "bins",
        max_levels: int = MAX_LEVELS,
        overrides: Mapping[str, str] | None = None,
    ) -> Binner:
        """Choose rules, edges and levels from the training rows.

        Parameters
        ----------
        table
            n rows.
        rows
            Training rows as a mask or positions; default: all.
        numeric
            "bins": the four rules of protocol §2; "five": five classes whatever the signs and zeros; "levels": up to 255
            integer levels.
        max_levels
            Levels of a category that get a column of their own, 1..255.
        overrides
            "five", "zero", "sign", "missing" or "levels" by name of a numeric or date feature.

        Raises
        ------
        InputError
            An unusable setting; `argument` is its name.
        DataError
            A feature that cannot be coded, or two columns of one name; `argument` is the feature.
        """
        _check_settings(table, numeric, max_levels, overrides)
        chosen = None if rows is None else row_index("rows", rows, table.n_rows)
        rules: list[NumericRule | CategoryRule] = []
        for name, kind in table.kinds.items():
            column = table.features[name]
            sample = column if chosen is None else column.iloc[chosen]
            if kind == "categorical":
                rules.append(fit_category(name, sample, max_levels))
            else:
                cells = sample.to_numpy(dtype=np.float64)
                rules.append(fit_numeric(name, kind, cells, default=numeric, override=(overrides or {}).get(name)))
        binner = cls(tuple(rules))
        binner._check_column_names()
        return binner

    def transform(self, table: Table, rows: npt.ArrayLike | None = None) -> CodedMatrix:
        """Code the table's rows by the saved rules, a column at a time.

        Parameters
        ----------
        table
            Its features by name, in any order.
        rows
            Rows to code, as a mask or positions, in that order; default: all.

        Returns
        -------
        CodedMatrix
            Rows × n_columns; its class counts do not depend on the rows. The class for what training never saw is
            the last one of its feature.

        Raises
        ------
        DataError
            A feature missing, unknown or of another kind; `argument` is the column.
        """
        if not isinstance(table, Table):
            raise InputError("table", "must be a Table")
        self._check_same_columns(table)
        chosen = None if rows is None else row_index("rows", rows, table.n_rows)
        codes = np.empty((len(self.rules), table.n_rows if chosen is None else chosen.size), dtype=np.uint8)
        for rule, out in zip(self.rules, codes, strict=True):
            column = table.features[rule.feature]
            rule.write_codes(column if chosen is None else column.iloc[chosen], out)
        return CodedMatrix(codes, *self._column_layout())

    @property
    def feature_names(self) -> list[str]:
        """Names of the features, in the order of the coded matrix."""
        return [rule.feature for rule in self.rules]

    @property
    def column_names(self) -> list[str]:
        """One name per model column, such as "age" or "job=admin."."""
        return [name for rule in self.rules for name in rule.column_names()]

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of every feature; give it to `read_table` so that later files are read as the training file was."""
        return {rule.feature: rule.kind for rule in self.rules}

    def describe(self) -> pd.DataFrame:
        """Return a row per feature: its kind, rule, edges, classes, training rows per class and share of missing cells."""
        return pd.DataFrame(
            {
                "feature": self.feature_names,
                "kind": [rule.kind for rule in self.rules],
                "rule": [rule.rule for rule in self.rules],
                "edges": [rule.edges if isinstance(rule, NumericRule) else () for rule in self.rules],
                "n_classes": [rule.n_classes for rule in self.rules],
                "rows_per_class": [rule.counts for rule in self.rules],
                "missing_share": [rule.n_missing / sum(rule.counts) for rule in self.rules],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the rules as JSON-ready values; floats survive a round trip through JSON bit for bit."""
        return {"version": BINNER_VERSION, "rules": [_json_ready(rule) for rule in self.rules]}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Binner:
        """Rebuild the binner that `to_dict` saved.

        Raises
        ------
        ModelError
            Another version, or a damaged entry; `argument` says where, such as "rules[2].edges".
        """
        return cls(rules_from_dict(saved))

    def __repr__(self) -> str:
        return f"Binner(n_features={len(self.rules)}, n_columns={len(self.column_names)})"

    def _column_layout(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return class counts, the feature of every column, and the table of column values."""
        class_counts = np.array([rule.n_classes for rule in self.rules], dtype=np.int64)
        blocks = [rule.column_values() for rule in self.rules]
        features = np.repeat(np.arange(len(blocks)), [block.shape[0] for block in blocks])
        width = int(class_counts.max())
        values = np.concatenate([np.pad(block, ((0, 0), (0, width - block.shape[1]))) for block in blocks])
        return class_counts, features, values

    def _check_same_columns(self, table: Table) -> None:
        absent = [name for name in self.kinds if name not in table.kinds]
        if absent:
            raise DataError(absent[0], "is missing from the table")
        for name, kind in table.kinds.items():
            if name not in self.kinds:
                raise DataError(name, "was not among the features in training")
            if kind != self.kinds[name]:
                raise DataError(name, f"is {kind}, in training it was {self.kinds[name]}; read the table with the binner's kinds")

    def _check_column_names(self) -> None:
        seen: set[str] = set()
        for rule in self.rules:
            names = rule.column_names()
            if len(set(names)) < len(names) or seen.intersection(names):
                raise DataError(rule.feature, "gives two model columns the same name; rename the feature or its levels")
            seen.update(names)


def _check_settings(table: object, numeric: object, max_levels: object, overrides: object) -> None:
    if not isinstance(table, Table):
        raise InputError("table", "must be a Table")
    if not table.kinds:
        raise DataError("table", "has no feature")
    if numeric not in ("bins", "five", "levels"):
        raise InputError("numeric", "must be bins, five or levels")
    if isinstance(max_levels, bool) or not isinstance(max_levels, int) or not 1 <= max_levels < MAX_CLASSES:
        raise InputError("max_levels", f"must be an integer, 1..{MAX_CLASSES - 1}")
    if not isinstance(overrides, (Mapping, type(None))):
        raise InputError("overrides", "must map feature names to rules")
    for name, rule in (overrides or {}).items():
        if table.kinds.get(name, "categorical") == "categorical":
            raise InputError("overrides", f"{name!r} is no numeric or date feature")
        if rule not in RULES:
            raise InputError("overrides", f"the rule of {name!r} must be one of {', '.join(RULES)}")


def _json_ready(rule: NumericRule | CategoryRule) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rule).items()}

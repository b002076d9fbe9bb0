"""Binner: a table's features as one byte-coded integer matrix, with saved edges and levels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crypto import backend, storage
from ..crypto.coded import CodedMatrix
from ..errors import DataError, InputError
from ..params import BINNER_VERSION, MAX_CLASSES, MAX_LEVELS, MIN_CLASS_SIZE
from ..tables.rows import row_index
from ..tables.table import OpenTable, Table
from .rules import ENCODINGS, RULES, CategoryRule, NumericRule, fit_category, fit_numeric
from .saved_rules import rules_from_dict
from .woe import LARGEST_WOE, weight_of_evidence

Rule = NumericRule | CategoryRule
Rows = npt.NDArray[np.int64] | None
T = TypeVar("T")

AHEAD_CELLS = 1 << 22  # cells read before the first of them are coded
SMALL_TABLE = 1 << 16  # cells; below, threads cost more than they save


@dataclass(frozen=True)
class Binner:
    """The map from a party's features to class codes, fitted on its training rows ([0085], [0091]).

    By default numbers and dates become ordinal columns (`NumericRule`), a category one 0/1 column per level
    (`CategoryRule`). Equal rules give equal codes, so a saved binner codes later customers as it coded the training rows.

    Attributes
    ----------
    rules
        One rule per feature, in the order of the coded matrix.
    """

    rules: tuple[Rule, ...]

    @classmethod
    def fit(
        cls,
        table: Table | OpenTable,
        *,
        rows: npt.ArrayLike | None = None,
        numeric: str = "bins",
        max_levels: int = MAX_LEVELS,
        overrides: Mapping[str, str] | None = None,
        min_class_size: int = MIN_CLASS_SIZE,
        encoding: str = "ordinal",
    ) -> Binner:
        """Choose rules, edges and levels from the training rows.

        Parameters
        ----------
        table
            n rows. With labels, every rule gets its information value, and under "woe" its WOE values.
        rows
            Training rows as a mask or positions; default: all.
        numeric
            "bins": the four rules of protocol §2; "five": five classes whatever the signs and zeros; "levels": up to 255
            integer levels.
        max_levels
            Levels of a category that get a class of their own, 1..255.
        overrides
            "five", "zero", "sign", "missing" or "levels" by name of a numeric or date feature.
        min_class_size
            Training rows that a class must have, from 1; smaller ones are merged with a neighbour, levels with the rest, and a rest
            that is too small with the smallest levels. Numbers of rule "levels" have no classes.
        encoding
            "ordinal"; "onehot": one 0/1 column per class; "woe": one column of weights of evidence per feature, 0 until
            `with_woe` where the table has no labels.

        Raises
        ------
        InputError
            An unusable setting; `argument` is its name.
        DataError
            A feature that cannot be coded, or two columns of one name; `argument` is the feature.
        """
        recipe = _recipe(table, numeric, max_levels, overrides, min_class_size, encoding)
        chosen, labels = _sample(table, rows)

        def fit_one(name: str, kind: str, cells: pd.Series[Any]) -> Rule:
            return recipe.fit(name, kind, cells, chosen, labels)[0]

        return cls._of(list(_each_column(table, fit_one)))

    @classmethod
    def fit_transform(
        cls,
        table: Table | OpenTable,
        rows: npt.ArrayLike | None = None,
        later: npt.ArrayLike | None = None,
        *,
        numeric: str = "bins",
        max_levels: int = MAX_LEVELS,
        overrides: Mapping[str, str] | None = None,
        min_class_size: int = MIN_CLASS_SIZE,
        encoding: str = "ordinal",
    ) -> tuple[Binner, list[CodedMatrix]]:
        """Return `fit` on the training `rows` and `transform` of them and of the `later` rows, reading every column once.

        Memory: the codes and a few columns.

        Parameters
        ----------
        later
            Rows to code besides, as a mask or positions; default: none.

        Raises
        ------
        InputError, DataError
            As `fit`.
        """
        recipe = _recipe(table, numeric, max_levels, overrides, min_class_size, encoding)
        chosen, labels = _sample(table, rows)
        others = [] if later is None else [row_index("later", later, table.n_rows)]
        parts = [_empty_codes(table, len(table.feature_names), part) for part in (chosen, *others)]

        def code(name: str, kind: str, cells: pd.Series[Any]) -> Rule:
            rule, codes = recipe.fit(name, kind, cells, chosen, labels)
            parts[0][positions[name]] = codes
            for part, index in zip(parts[1:], others, strict=True):
                rule.write_codes(cells.iloc[index], part[positions[name]])
            return rule

        positions = {name: k for k, name in enumerate(table.feature_names)}
        binner = cls._of(list(_each_column(table, code)))
        return binner, [CodedMatrix(part, *binner._column_layout()) for part in parts]

    def transform(self, table: Table | OpenTable, rows: npt.ArrayLike | None = None) -> CodedMatrix:
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
        if not isinstance(table, (Table, OpenTable)):
            raise InputError("table", "must be a Table or an OpenTable")
        self._check_same_columns(table)
        chosen = None if rows is None else row_index("rows", rows, table.n_rows)
        codes = _empty_codes(table, len(self.rules), chosen)
        places = {rule.feature: (rule, out) for rule, out in zip(self.rules, codes, strict=True)}

        def code(name: str, kind: str, cells: pd.Series[Any]) -> None:
            rule, out = places[name]
            if kind != rule.kind:
                raise DataError(name, f"is {kind}, in training it was {rule.kind}; read the table with the binner's kinds")
            rule.write_codes(_taken(cells, chosen), out)

        for _ in _each_column(table, code):
            pass
        return CodedMatrix(codes, *self._column_layout())

    def recode(self, matrix: CodedMatrix) -> CodedMatrix:
        """Return the same codes with this binner's columns: for a matrix that was coded before `with_woe`."""
        return CodedMatrix(matrix.codes, *self._column_layout())

    def with_woe(self, values: npt.ArrayLike) -> Binner:
        """Return the binner with the WOE integers of its features' classes, which were not known when it was fitted.

        Parameters
        ----------
        values
            Whole numbers, shape (n_features, ≥ largest class count), |value| ≤ 2^15; those beyond a feature's classes are ignored.

        Raises
        ------
        InputError
            Another shape or range, or a feature of another encoding.
        """
        array = np.asarray(values)
        width = max(rule.n_classes for rule in self.rules)
        if array.dtype.kind not in "iu" or array.ndim != 2 or len(array) != len(self.rules) or array.shape[1] < width:
            raise InputError("values", f"must be whole numbers of shape ({len(self.rules)}, {width})")
        if array.max() > LARGEST_WOE or array.min() < -LARGEST_WOE:
            raise InputError("values", f"must be from -{LARGEST_WOE} to {LARGEST_WOE}")
        if any(rule.encoding != "woe" for rule in self.rules):
            raise InputError("encoding", "must be woe for every feature")
        pairs = zip(self.rules, array.tolist(), strict=True)
        return Binner(tuple(replace(rule, woe=tuple(row[: rule.n_classes])) for rule, row in pairs))

    @property
    def feature_names(self) -> list[str]:
        """Names of the features, in the order of the coded matrix."""
        return [rule.feature for rule in self.rules]

    @property
    def column_names(self) -> list[str]:
        """One name per model column, such as "age" or "job=admin."."""
        return [name for rule in self.rules for name in rule.column_names()]

    @property
    def without_classes(self) -> list[str]:
        """Names of text features of which no level has enough training rows for a class: ids or free text, which say nothing here."""
        return [rule.feature for rule in self.rules if isinstance(rule, CategoryRule) and not rule.levels]

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

    def to_table(self) -> pd.DataFrame:
        """Return `describe` for a person to read: with what falls into each class, the encoding, and IV where labels are known."""
        table = self.describe()
        table["classes"] = [tuple(rule.class_texts()) for rule in self.rules]
        table["encoding"] = [rule.encoding for rule in self.rules]
        table["iv"] = pd.Series([rule.iv for rule in self.rules], dtype=np.float64)
        return table

    def to_records(self) -> list[dict[str, Any]]:
        """Return the rows of `to_table` ready for JSON; an unknown IV is None."""
        rows: list[dict[str, Any]] = self.to_table().to_dict("records")  # type: ignore[assignment]
        return [{**row, "iv": rule.iv, **{k: list(row[k]) for k in _LISTS}} for row, rule in zip(rows, self.rules, strict=True)]

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

    def _check_same_columns(self, table: Table | OpenTable) -> None:
        given, known = table.feature_names, self.kinds
        absent = [name for name in known if name not in set(given)]
        if absent:
            raise DataError(absent[0], "is missing from the table")
        unknown = [name for name in given if name not in known]
        if unknown:
            raise DataError(unknown[0], "was not among the features in training")

    @classmethod
    def _of(cls, rules: list[Rule]) -> Binner:
        binner = cls(tuple(rules))
        binner._check_column_names()
        return binner

    def _check_column_names(self) -> None:
        seen: set[str] = set()
        for rule in self.rules:
            names = rule.column_names()
            if len(set(names)) < len(names) or seen.intersection(names):
                raise DataError(rule.feature, "gives two model columns the same name; rename the feature or its levels")
            seen.update(names)


_LISTS = ("edges", "rows_per_class", "classes")


@dataclass(frozen=True)
class _Recipe:
    """How one feature after the other is fitted."""

    numeric: str
    max_levels: int
    overrides: Mapping[str, str]
    min_class_size: int
    encoding: str

    def fit(
        self, name: str, kind: str, cells: pd.Series[Any], rows: Rows, labels: npt.NDArray[np.int8] | None
    ) -> tuple[Rule, npt.NDArray[np.uint8]]:
        """Return the feature's rule and the codes of the training rows."""
        sample = _taken(cells, rows)
        rule: Rule
        if kind != "categorical":
            override = self.overrides.get(name)
            rule = fit_numeric(
                name, kind, sample.to_numpy(dtype=np.float64), default=self.numeric, override=override,
                min_class_size=self.min_class_size, encoding=self.encoding,
            )  # fmt: skip
        elif name in self.overrides:
            raise InputError("overrides", f"{name!r} is no numeric or date feature")
        else:
            rule = fit_category(name, sample, self.max_levels, self.min_class_size, self.encoding)
        codes = np.empty(len(sample), dtype=np.uint8)
        rule.write_codes(sample, codes)
        return (rule if labels is None else _with_evidence(rule, codes, labels)), codes


def _with_evidence(rule: Rule, codes: npt.NDArray[np.uint8], labels: npt.NDArray[np.int8]) -> Rule:
    woe, iv = weight_of_evidence(rule.counts, np.bincount(codes[labels > 0], minlength=rule.n_classes))
    return replace(rule, iv=iv, woe=tuple(woe.tolist()) if rule.encoding == "woe" else ())


def _sample(table: Table | OpenTable, rows: npt.ArrayLike | None) -> tuple[Rows, npt.NDArray[np.int8] | None]:
    chosen = None if rows is None else row_index("rows", rows, table.n_rows)
    return chosen, table.labels if table.labels is None or chosen is None else table.labels[chosen]


def _taken(cells: pd.Series[Any], rows: Rows) -> pd.Series[Any]:
    return cells if rows is None else cells.iloc[rows]


def _empty_codes(table: Table | OpenTable, n_features: int, rows: Rows) -> npt.NDArray[np.uint8]:
    return storage.empty((n_features, table.n_rows if rows is None else rows.size), np.uint8)


def _each_column(table: Table | OpenTable, work: Callable[[str, str, pd.Series[Any]], T]) -> Iterator[T]:
    """Yield work(name, kind, cells) in column order: this thread reads, others work a few columns behind it."""
    names = table.feature_names
    if len(names) * table.n_rows < SMALL_TABLE:
        yield from (work(name, *table.column(name)) for name in names)
        return
    ahead = min(8, max(1, AHEAD_CELLS // table.n_rows))
    with ThreadPoolExecutor(backend.threads()) as pool:
        running: deque[Future[T]] = deque()
        for name in names:
            running.append(pool.submit(work, name, *table.column(name)))
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _recipe(
    table: object, numeric: object, max_levels: object, overrides: object, min_class_size: object, encoding: object
) -> _Recipe:
    if not isinstance(table, (Table, OpenTable)):
        raise InputError("table", "must be a Table or an OpenTable")
    if not table.feature_names:
        raise DataError("table", "has no feature")
    if numeric not in ("bins", "five", "levels"):
        raise InputError("numeric", "must be bins, five or levels")
    if isinstance(max_levels, bool) or not isinstance(max_levels, int) or not 1 <= max_levels < MAX_CLASSES:
        raise InputError("max_levels", f"must be an integer, 1..{MAX_CLASSES - 1}")
    if isinstance(min_class_size, bool) or not isinstance(min_class_size, int) or min_class_size < 1:
        raise InputError("min_class_size", "must be an integer from 1")
    if encoding not in ENCODINGS:
        raise InputError("encoding", f"must be one of {', '.join(ENCODINGS)}")
    if not isinstance(overrides, (Mapping, type(None))):
        raise InputError("overrides", "must map feature names to rules")
    names = set(table.feature_names)
    for name, rule in (overrides or {}).items():
        if name not in names or (isinstance(table, Table) and table.kinds[name] == "categorical"):
            raise InputError("overrides", f"{name!r} is no numeric or date feature")
        if rule not in RULES:
            raise InputError("overrides", f"the rule of {name!r} must be one of {', '.join(RULES)}")
    return _Recipe(str(numeric), max_levels, dict(overrides or {}), min_class_size, str(encoding))


def _json_ready(rule: Rule) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rule).items()}

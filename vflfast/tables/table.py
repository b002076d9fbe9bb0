"""Table and OpenTable: a party's customers with typed features, from CSV, Parquet or a pandas DataFrame."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from .columns import KINDS, DateRule, date_rule, read_labels, typed_column
from .files import ColumnSource, open_columns
from .id_column import read_ids
from .id_forms import check_format
from .id_texts import Ids, IdTexts
from .rows import row_index

SHOWN_NAMES = 10  # of a file's columns, where one is missing


@dataclass(frozen=True, eq=False)
class Table:
    """Customers (rows) × typed features of one party.

    Attributes
    ----------
    ids
        shape (n_rows,), object: distinct texts.
    features
        n_rows rows; numeric and date columns float64 with NaN for missing, a date as days before the observation
        date ([0086]); categorical columns text with None for missing.
    kinds
        "numeric", "categorical" or "date" of every feature, in column order.
    labels
        shape (n_rows,), int8 in {-1, +1}, or None.

    Raises
    ------
    InputError, DataError
        Parts of the wrong type or length, or an id twice.
    """

    ids: Ids
    features: pd.DataFrame
    kinds: dict[str, str]
    labels: npt.NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        _check_ids(self.ids)
        _check_features(self.features, self.kinds, self.ids.size)
        if self.labels is not None:
            _check_labels(self.labels, self.ids.size)

    @property
    def n_rows(self) -> int:
        """Number of customers."""
        return int(self.ids.size)

    @property
    def feature_names(self) -> list[str]:
        """Names of the features, in column order."""
        return list(self.kinds)

    def column(self, name: str) -> tuple[str, pd.Series[Any]]:
        """Return (kind, cells) of one feature."""
        return self.kinds[name], self.features[name]

    def take(self, index: npt.ArrayLike) -> Table:
        """Return the rows that a boolean mask or distinct positions select, in that order.

        Raises
        ------
        InputError
            Positions outside the table or twice, a mask of another length, nothing selected.
        """
        rows = row_index("index", index, self.n_rows)
        features = self.features.iloc[rows].reset_index(drop=True)
        return Table(self.ids[rows], features, self.kinds, None if self.labels is None else self.labels[rows])

    def __repr__(self) -> str:
        return f"Table(n_rows={self.n_rows}, n_features={self.features.shape[1]}, labels={self.labels is not None})"


class OpenTable:
    """A party's file with its ids and labels read; features come from it one at a time, so it is never in memory whole.

    Attributes
    ----------
    ids, labels
        As of `Table`; ids of a file are `IdTexts` where a scratch folder is in use.
    feature_names
        In column order.
    """

    ids: Ids | IdTexts

    def __init__(self, origin: str, source: ColumnSource, plan: _Plan) -> None:
        with _named(origin):
            self.feature_names = _feature_names(origin, source.names, plan)
            self.ids = read_ids(plan.id_column, source, plan.id_format)
            self.labels = None if plan.label_column is None else read_labels(plan.label_column, source.in_pieces(plan.label_column))
        self._origin, self._source, self._plan = origin, source, plan

    @property
    def n_rows(self) -> int:
        """Number of customers."""
        return int(self.ids.size)

    def column(self, name: str) -> tuple[str, pd.Series[Any]]:
        """Read one feature; return its kind and its cells as in a `Table`.

        Raises
        ------
        InputError, DataError
            As `read_table`; `argument` is the column, or observation_date.
        """
        with _named(self._origin):
            kind, cells = typed_column(name, self._source.fetch(name), self._plan.kinds.get(name), self._plan.dates)
        return kind, pd.Series(cells, dtype=cells.dtype, copy=False)

    def load(self) -> Table:
        """Return the whole table, in memory."""
        kinds: dict[str, str] = {}
        columns: dict[str, pd.Series[Any]] = {}
        for name in self.feature_names:
            kinds[name], columns[name] = self.column(name)
        # copy=False: pandas would otherwise gather the number columns into a second copy of the table
        return Table(self.ids[:], pd.DataFrame(columns, copy=False), kinds, self.labels)

    def __repr__(self) -> str:
        return f"OpenTable(n_rows={self.n_rows}, n_features={len(self.feature_names)}, labels={self.labels is not None})"


def read_table(
    path: str | os.PathLike[str],
    *,
    id_column: str = "id",
    label_column: str | None = None,
    kinds: Mapping[str, str] | None = None,
    date_format: str = "%Y-%m-%d",
    observation_date: str | None = None,
    id_format: str = "text",
) -> Table:
    """Read a party's table from .csv, .csv.gz or .parquet ([0084]–[0086], [0088]).

    Ids keep their leading zeros. An empty cell is missing. Columns whose kind is not given are numeric if all cells
    are finite numbers, dates if all have the date format, else categorical. Rows are numbered from 1, the first row
    of data, in every message.

    Parameters
    ----------
    path
        The file. CSV: comma, UTF-8, one header line.
    id_column, label_column
        Names of the id column and of the label column, if there is one ({0, 1}, booleans or ±1).
    kinds
        "numeric", "categorical" or "date" by column name, where inference is not wanted.
    date_format
        strptime format of the date cells.
    observation_date
        ISO date that dates are counted back from; needed when there is a date column.
    id_format
        "text", "phone", "phone-e164" or "phone-e164:" and a country code (see `normalise`).

    Raises
    ------
    InputError
        An unusable setting; `argument` is its name.
    DataError
        A file, column, id, label or cell that cannot be read as declared; `argument` is the path or the column.
    """
    return open_table(
        path, id_column=id_column, label_column=label_column, kinds=kinds, date_format=date_format,
        observation_date=observation_date, id_format=id_format,
    ).load()  # fmt: skip


def open_table(
    path: str | os.PathLike[str],
    *,
    id_column: str = "id",
    label_column: str | None = None,
    kinds: Mapping[str, str] | None = None,
    date_format: str = "%Y-%m-%d",
    observation_date: str | None = None,
    id_format: str = "text",
) -> OpenTable:
    """Read the ids and labels of a file by the rules of `read_table`, and leave its features there.

    A feature's cells are checked when they are read. A CSV is read once from end to end, its cells wait in a temporary
    file; a Parquet file is read in groups of columns.

    Raises
    ------
    InputError, DataError
        As `read_table`.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError("path", "must be a path")
    plan = _plan(id_column, label_column, kinds, date_format, observation_date, id_format)
    as_text = {id_column, label_column} | {name for name, kind in plan.kinds.items() if kind != "numeric"}
    source = open_columns(Path(path), frozenset(name for name in as_text if name))
    return OpenTable(str(path), source, plan)


def table_from_frame(
    frame: pd.DataFrame,
    *,
    id_column: str = "id",
    label_column: str | None = None,
    kinds: Mapping[str, str] | None = None,
    date_format: str = "%Y-%m-%d",
    observation_date: str | None = None,
    id_format: str = "text",
) -> Table:
    """Make a Table from a pandas DataFrame by the rules of `read_table`.

    Numeric and boolean columns are numeric, datetime columns are dates, text is read as a CSV cell would be; ids may
    be text or integers. The frame is not changed.

    Parameters
    ----------
    frame
        n_rows rows.
    id_column, label_column, kinds, date_format, observation_date, id_format
        As of `read_table`.

    Raises
    ------
    InputError, DataError
        As `read_table`; `argument` is the setting or the column.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InputError("frame", "must be a pandas DataFrame")
    plan = _plan(id_column, label_column, kinds, date_format, observation_date, id_format)
    if not all(isinstance(name, str) and name for name in frame.columns):
        raise DataError("frame", "every column name must be text that is not empty")
    source = ColumnSource(list(frame.columns), lambda name: frame[name].reset_index(drop=True))
    return OpenTable("frame", source, plan).load()


@contextmanager
def _named(origin: str) -> Iterator[None]:
    """Put the file before an error about one of its columns."""
    try:
        yield
    except InputError as error:
        if error.argument != origin:
            error.place = origin
        raise


# --- how both read -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    id_column: str
    label_column: str | None
    kinds: dict[str, str]
    dates: DateRule
    id_format: str


def _plan(
    id_column: object, label_column: object, kinds: object, date_format: object, observation_date: object, id_format: object
) -> _Plan:
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
    return _Plan(id_column, label_column, dict(kinds or {}), date_rule(date_format, observation_date), str(id_format))


def _feature_names(origin: str, names: list[str], plan: _Plan) -> list[str]:
    twice = [name for name, seen in zip(names, pd.Series(names, dtype=object).duplicated(), strict=True) if seen]
    if twice:
        raise DataError(twice[0], "is the name of two columns; rename one")
    special = [name for name in (plan.id_column, plan.label_column) if name is not None]
    for name in special:
        if name not in names:
            raise DataError(name, f"no such column; there are {_some(names)}")
    features = [name for name in names if name not in special]
    unknown = [name for name in plan.kinds if name not in features]
    if unknown:
        raise InputError("kinds", f"{unknown[0]!r} is no feature column")
    if not features:
        raise DataError(origin, "has no feature column")
    return features


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


# --- checks of the parts -----------------------------------------------------------------------------------------


def _check_ids(ids: object) -> None:
    if not isinstance(ids, np.ndarray) or ids.dtype != object or ids.ndim != 1 or ids.size == 0:
        raise InputError("ids", "must be a one-dimensional object array of at least one text")
    if not all(isinstance(text, str) and text for text in ids):
        raise DataError("ids", "every id must be text that is not empty")
    if len(set(ids)) != ids.size:
        raise DataError("ids", "an id more than once")


def _check_features(features: object, kinds: object, n_rows: int) -> None:
    if not isinstance(features, pd.DataFrame):
        raise InputError("features", "must be a pandas DataFrame")
    if len(features) != n_rows:
        raise InputError("features", f"has {len(features)} rows for {n_rows} ids")
    if not isinstance(kinds, dict) or list(kinds) != list(features.columns):
        raise InputError("kinds", "must name every feature once, in column order")
    for (name, kind), dtype in zip(kinds.items(), features.dtypes, strict=True):
        if kind not in KINDS:
            raise InputError("kinds", f"column {name!r} must be one of {', '.join(KINDS)}")
        textual = pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype)
        if textual != (kind == "categorical") or not (textual or dtype == np.float64):
            raise DataError(str(name), f"a {kind} column cannot have dtype {dtype}")


def _check_labels(labels: object, n_rows: int) -> None:
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int8 or labels.shape != (n_rows,):
        raise InputError("labels", f"must be an int8 array of shape ({n_rows},)")
    if not np.isin(labels, (-1, 1)).all():
        raise DataError("labels", "must be -1 or +1")

"""Table and OpenTable: a party's customers with typed features, from CSV, Parquet or a pandas DataFrame."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from .columns import KINDS, typed_column
from .files import ColumnSource, open_columns
from .id_column import read_ids
from .id_texts import Ids, IdTexts
from .labels import read_labels
from .plan import Plan, feature_names, plan_of
from .rows import row_index, row_numbers
from .understanding import Lonely, lonely_values

log = logging.getLogger("vflfast")



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
    labels: npt.NDArray[np.int8] | None
    _rows: npt.NDArray[np.int64] | None

    def __init__(self, origin: str, source: ColumnSource, plan: Plan) -> None:
        with _named(origin):
            names = feature_names(origin, source.names, plan)
            self.feature_names = [one for name in names for one in plan.features_of(name)]
            self.ids = read_ids(plan.id_column, source, plan.id_format)
            self.labels, self._rows = None, None
            if plan.label_column is not None:
                self._keep_labelled(read_labels(plan.label_column, source.in_pieces(plan.label_column), plan.forms), plan.label_column)
        self._origin, self._source, self._plan = origin, source, plan

    def _keep_labelled(self, labels: npt.NDArray[np.int8], name: str) -> None:
        """Take the labels over; rows without one take no part."""
        self.labels = labels
        if not labels.all():
            self._rows = np.flatnonzero(labels)
            log.warning("%s: %d of %d rows have no label and are left out", name, labels.size - self._rows.size, labels.size)
            self.ids, self.labels = self.ids[:][self._rows], labels[self._rows]

    @property
    def n_rows(self) -> int:
        """Number of customers."""
        return int(self.ids.size)

    @property
    def id_column(self) -> str:
        """Name of the id column."""
        return self._plan.id_column

    @property
    def label_column(self) -> str | None:
        """Name of the label column, if there is one."""
        return self._plan.label_column

    @property
    def observation_date(self) -> datetime.datetime | None:
        """The day that dates are counted back from."""
        return self._plan.dates.observation_date

    def column(self, name: str) -> tuple[str, pd.Series[Any]]:
        """Read one feature; return its kind and its cells as in a `Table`.

        Raises
        ------
        InputError, DataError
            As `read_table`; `argument` is the column, or observation_date.
        """
        kind, cells = self.read(name)
        lonely = self.lonely_values(name, kind, cells)
        if lonely is not None:
            log.warning("%s: %s: %s", self._origin, name, lonely.asked)
        return kind, pd.Series(cells, dtype=cells.dtype, copy=False)

    def read(self, name: str) -> tuple[str, npt.NDArray[Any]]:
        """Read one feature as `column` does, without a word about its values."""
        with _named(self._origin):
            kind, cells = self._plan.column(name, self._source)
        return kind, cells if self._rows is None else cells[self._rows]

    def lonely_values(self, name: str, kind: str, cells: npt.NDArray[Any]) -> Lonely | None:
        """Return extreme values that may mean something of their own, which only a person knows; None where the person has spoken."""
        if kind != "numeric" or name in self._plan.kinds or name in self._plan.forms.special_values:
            return None
        known = cells[np.isfinite(cells)]
        return lonely_values(known) if known.size else None

    def sample_weights(self) -> npt.NDArray[np.float64] | None:
        """Return the rows' weights, shape (n_rows,), or None where no column is said to have them.

        Raises
        ------
        DataError
            No such column, or a cell that is no number above 0.
        """
        name = self._plan.forms.sample_weight
        if name is None:
            return None
        with _named(self._origin):
            if name not in self._source.names:
                raise DataError(name, "no such column; sample_weight names it")
            _, cells = typed_column(name, self._source.fetch(name), "numeric", self._plan.dates, self._plan.forms)
            weights: npt.NDArray[np.float64] = cells if self._rows is None else cells[self._rows]
            wrong = np.flatnonzero(~(weights > 0))
            if wrong.size:
                raise DataError(name, f"weights must be numbers above 0; leave rows out that count nothing, {row_numbers(wrong)}")
        return weights

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
    date_format: str | Sequence[str] = "%Y-%m-%d",
    observation_date: str | None = None,
    id_format: str = "text",
    **forms: Any,
) -> Table:
    """Read a party's table from .csv, .csv.gz, .parquet or .xlsx ([0084]–[0086], [0088]).

    Ids keep their leading zeros. An empty cell is missing. Columns whose kind is not given are numeric if all cells
    are finite numbers, dates if all have the date format, else categorical; one that is mostly numbers or dates is an
    error that names the setting which decides. Rows are numbered from 1, the first row
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
        strptime format of the date cells, or several; all cells of a column must have one of them.
    observation_date
        ISO date that dates are counted back from; needed when there is a date column.
    id_format
        "text", "digits", "phone", "phone-e164" or "phone-e164:" and a country code (see `normalise`).
    **forms
        How the file is written, by the names of `Forms`: ``encoding``, ``separator``, ``sheet``, ``decimal``, ``thousands``, ``units``,
        ``missing``, ``special_values``, ``drop``, ``bad_cells``, ``positive_label``, ``negative_label``, ``unlabelled``, ``time_zone``.

    Raises
    ------
    InputError
        An unusable setting; `argument` is its name.
    DataError
        A file, column, id, label or cell that cannot be read as declared; `argument` is the path or the column.
    """
    if label_column is not None and forms.get("sample_weight") is not None:
        raise InputError("sample_weight", "belongs to a job file; in Python give the weights to fit, and the column to drop")
    return open_table(
        path, id_column=id_column, label_column=label_column, kinds=kinds, date_format=date_format,
        observation_date=observation_date, id_format=id_format, **forms,
    ).load()  # fmt: skip


def open_table(
    path: str | os.PathLike[str],
    *,
    id_column: str = "id",
    label_column: str | None = None,
    kinds: Mapping[str, str] | None = None,
    date_format: str | Sequence[str] = "%Y-%m-%d",
    observation_date: str | None = None,
    id_format: str = "text",
    **forms: Any,
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
    plan = plan_of(id_column, label_column, kinds, date_format, observation_date, id_format, forms)
    as_text = {id_column, label_column} | {name for name, kind in plan.kinds.items() if kind != "numeric"}
    source = open_columns(Path(path), frozenset(name for name in as_text if name), plan.forms)
    return OpenTable(str(path), source, plan)


def table_from_frame(
    frame: Any,
    *,
    id_column: str = "id",
    label_column: str | None = None,
    kinds: Mapping[str, str] | None = None,
    date_format: str | Sequence[str] = "%Y-%m-%d",
    observation_date: str | None = None,
    id_format: str = "text",
    **forms: Any,
) -> Table:
    """Make a Table from a pandas DataFrame, or a table of polars or pyarrow, by the rules of `read_table`.

    Numeric and boolean columns are numeric, datetime columns are dates, text is read as a CSV cell would be; ids may
    be text or integers. The frame is not changed.

    Parameters
    ----------
    frame
        n_rows rows.
    id_column, label_column, kinds, date_format, observation_date, id_format
        As of `read_table`.
    **forms
        As of `read_table`, but for ``encoding`` and ``separator``.

    Raises
    ------
    InputError, DataError
        As `read_table`; `argument` is the setting or the column.
    """
    frame = _as_pandas(frame)
    plan = plan_of(id_column, label_column, kinds, date_format, observation_date, id_format, forms)
    if not all(isinstance(name, str) and (name or "" in plan.forms.drop) for name in frame.columns):
        raise DataError("frame", "every column name must be text that is not empty")
    source = ColumnSource(list(frame.columns), lambda name: frame[name].reset_index(drop=True))
    return OpenTable("frame", source, plan).load()


def _as_pandas(frame: object) -> pd.DataFrame:
    """A pandas DataFrame as it is, a table of polars or pyarrow as one; InputError for anything else."""
    if not isinstance(frame, pd.DataFrame) and hasattr(frame, "to_pandas"):
        frame = frame.to_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise InputError("frame", "must be a pandas DataFrame, or a table of polars or pyarrow")
    return frame


@contextmanager
def _named(origin: str) -> Iterator[None]:
    """Put the file before an error about one of its columns."""
    try:
        yield
    except InputError as error:
        if error.argument != origin:
            error.place = origin
        raise


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

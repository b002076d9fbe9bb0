"""How a table's columns are understood, before anything is trained: kind, missing cells, levels, ends, and what a person must decide."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from ..crypto import backend
from ..errors import DataError, InputError
from .columns import SECONDS_PER_DAY, Floats
from .table import OpenTable, open_table
from .understanding import FREE_TEXT_SHARE, is_word

MOSTLY = 0.99  # of the rows in one level
LEAST_CLASS = 10  # rows of a level that is no free text


@dataclass(frozen=True)
class ColumnReport:
    """What a column was understood as.

    Attributes
    ----------
    verdict
        number, date, category, id, label, free text, constant, empty; or "undecided": a person must say, and `problem` says how.
    missing
        Share of cells without a value.
    levels
        Distinct values.
    first, last
        The smallest and the largest number, or the first and the last day; of ids and labels none.
    problem
        What keeps the table from being read.
    warnings
        What looks odd and is read all the same.
    """

    name: str
    verdict: str
    missing: float | None = None
    levels: int | None = None
    first: str | None = None
    last: str | None = None
    problem: str | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TableReport:
    """All columns of a table, in its order; `problem` where not even they could be read."""

    path: str
    n_rows: int | None
    columns: tuple[ColumnReport, ...]
    problem: str | None = None

    @property
    def readable(self) -> bool:
        """Whether training would read the table."""
        return self.problem is None and all(column.problem is None for column in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {"path": self.path, "rows": self.n_rows, "problem": self.problem, "columns": [one.to_dict() for one in self.columns]}


def inspect_file(path: str | os.PathLike[str], reading: Mapping[str, Any]) -> TableReport:
    """Return how a file's columns are understood under the settings of its section.

    Parameters
    ----------
    path
        .csv, .csv.gz, .parquet or .xlsx.
    reading
        Settings as of `read_table`. Without ``id_column`` no column is the id.

    Raises
    ------
    InputError
        A setting that cannot be.
    """
    return inspect_opened(str(path), lambda: open_table(Path(path), **reading))


def inspect_opened(path: str, opened: Callable[[], OpenTable]) -> TableReport:
    """Return the report of a table that `opened` opens."""
    try:
        table = opened()
    except DataError as error:
        return TableReport(path, None, (), f"{error.argument}: {error.problem}")
    columns = [ColumnReport(table.id_column, "id", 0.0, table.n_rows)]
    if table.labels is not None and table.label_column is not None:
        share = float((table.labels > 0).mean())
        columns.append(ColumnReport(table.label_column, "label", 0.0, 2, warnings=_rare(share)))
    reading = Lock()  # of a table, one column at a time; they are looked at side by side
    with ThreadPoolExecutor(backend.threads()) as pool:
        columns.extend(pool.map(lambda name: _column(table, name, reading), table.feature_names))
    return TableReport(path, table.n_rows, tuple(columns))


def _rare(share: float) -> tuple[str, ...]:
    return (f"{share:.1%} are positive",)


def _column(table: OpenTable, name: str, reading: Lock) -> ColumnReport:
    try:
        with reading:
            kind, read = table.read(name)
    except DataError as error:
        return ColumnReport(name, "undecided", problem=error.problem)
    except InputError as error:
        return ColumnReport(name, "date", problem=f"{error.argument}: {error.problem}")
    cells = pd.Series(read, dtype=read.dtype, copy=False)
    missing = float(cells.isna().mean())
    if missing == 1.0:
        return ColumnReport(name, "empty", missing, 0, warnings=("says nothing",))
    if kind == "categorical":
        return _category(name, cells, missing)
    return _ordered(table, name, kind, read, missing)


def _category(name: str, cells: pd.Series[Any], missing: float) -> ColumnReport:
    counts = cells.value_counts()
    if len(counts) == 1:
        return ColumnReport(name, "constant", missing, 1, warnings=("one value in all rows says nothing",))
    if len(counts) > FREE_TEXT_SHARE * len(cells) or int(counts.iloc[0]) < LEAST_CLASS:
        why = f"free text or ids: {len(counts)} different texts in {len(cells)} rows; it is left out, or drop it by name"
        return ColumnReport(name, "free text", missing, len(counts), warnings=(why,))
    return ColumnReport(name, "category", missing, len(counts), warnings=tuple(_category_warnings(counts, len(cells))))


def _category_warnings(counts: pd.Series[Any], n_rows: int) -> list[str]:
    found = []
    folded = pd.Series(counts.index, dtype=object).str.strip().str.casefold()
    if folded.duplicated().any():
        found.append(f"{int(folded.duplicated().sum())} levels differ from others in case or outer spaces only")
    words = [level for level in counts.index if is_word(level)]
    if words:
        found.append(f"{', '.join(map(repr, words[:5]))} may mean no value: missing says so")
    if counts.iloc[0] > MOSTLY * n_rows:
        found.append(f"one level in {counts.iloc[0] / n_rows:.1%} of the rows")
    return found


def _ordered(table: OpenTable, name: str, kind: str, values: Floats, missing: float) -> ColumnReport:
    known = values[np.isfinite(values)]
    low, high, levels = float(known.min()), float(known.max()), len(pd.unique(known))
    if levels == 1:
        return ColumnReport(name, "constant", missing, 1, warnings=("one value in all rows says nothing",))
    if kind == "date" and table.observation_date is not None:  # a mart has days
        last_day = pd.Timestamp(table.observation_date)
        first, last = (str((last_day - pd.Timedelta(seconds=days * SECONDS_PER_DAY)).date()) for days in (high, low))
        return ColumnReport(name, "date", missing, levels, first, last)
    lonely = table.lonely_values(name, kind, values)
    notes = () if lonely is None else (f"{lonely.asked}: {lonely.setting(name)}",)
    return ColumnReport(name, "number", missing, levels, f"{low:g}", f"{high:g}", warnings=notes)


def starting_section(report: TableReport, reading: Mapping[str, Any]) -> str:
    """Return a section of a job file to start from: what is known, and what a person must decide as comments."""
    import tomli_w

    section: dict[str, Any] = {"file": report.path, **{key: value for key, value in reading.items() if key != "kinds"}}
    named = {"number": "numeric", "date": "date", "category": "categorical"}
    section["kinds"] = {one.name: named[one.verdict] for one in report.columns if one.verdict in named and one.problem is None}
    dropped = [one.name for one in report.columns if one.verdict in ("free text", "constant", "empty")]
    if dropped:
        section["drop"] = dropped
    notes = [f"# {one.name}: {one.problem}" for one in report.columns if one.problem is not None]
    return "\n".join([*notes, tomli_w.dumps({"guest": section})])


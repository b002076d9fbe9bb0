"""Run a selection: SQL over the bank's files and databases, through the embedded engine DuckDB ([0089], [0090]).

The engine reads the sources that the specification names and nothing else; it writes nothing but temporary files. A source with a date
shows the query its rows from before the observation date only; the rows that make the labels come from the window after it.
"""

from __future__ import annotations

import datetime
import os
import secrets
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, InputError
from .selection import NAME, LabelRule, Selection, Source
from .statement import check_condition, check_query, named, without_end
from .table import OpenTable, open_table
from .writing import written_whole

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 1 << 16
SHOWN_ROWS = 10
TEXTS, WHOLE = {"VARCHAR", "UUID", "ENUM"}, {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
                                             "UBIGINT", "UHUGEINT"}  # fmt: skip
# the engine's own guesses would leave out rows that begin with #, and those above a longer one, and read 03/04 as one of two days
CSV = (
    "header = true, skip = 0, delim = ',', quote = '\"', escape = '\"', comment = '', nullstr = '', "
    "dateformat = '%Y-%m-%d', timestampformat = '%Y-%m-%d %H:%M:%S', "
    "auto_type_candidates = ['BOOLEAN', 'BIGINT', 'DOUBLE', 'DATE', 'TIMESTAMP', 'VARCHAR']"
)
FIRST_YEAR = 1000  # a cell such as 25-01-31 is a day of the year 25 to the engine
REALS, DAYS = {"FLOAT", "DOUBLE", "DECIMAL"}, {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}


@dataclass(frozen=True)
class Selected:
    """What a selection found.

    Attributes
    ----------
    n_rows, n_positive
        Customers; those labelled 1, or None without a rule.
    features
        SQL type of every feature, in column order.
    held_back
        Rows of each dated source that the query did not see: from the observation date on, or without a date.
    """

    path: Path
    n_rows: int
    n_positive: int | None
    features: dict[str, str]
    held_back: dict[str, int]


def select(selection: Selection, path: str | os.PathLike[str]) -> Selected:
    """Run a selection into a Parquet file, one row a customer in the order of their ids, streamed; return what it found.

    Numbers become float64, booleans 0 and 1, dates ISO text; ids are text. With a label rule the last column is ``label``, 0 or 1.

    Raises
    ------
    InputError
        The engine is not installed, the query is no single SELECT over the sources, or `path` cannot be written.
    DataError
        A source, column, id or type that cannot be used; `argument` names it.
    """
    if not isinstance(path, (str, os.PathLike)) or Path(path).suffix != ".parquet":
        raise InputError("path", "must be a path that ends in .parquet")
    with tempfile.TemporaryDirectory(prefix="vflfast-") as spill, _engine(selection, Path(spill)) as engine, named(selection, "query"):
        check_query(engine, selection)
        for source in selection.sources.values():
            _make_view(engine, selection, source)
        held_back = {s.name: _count_late(engine, selection, s) for s in selection.sources.values() if s.date_column}
        result, positives = (f"t{secrets.token_hex(8)}" for _ in range(2))  # names that the query cannot know
        with named(selection, "query"):
            engine.execute(f"CREATE TEMP TABLE {result} AS ({without_end(selection.query)}\n)")
        types = {row[0]: str(row[1]) for row in engine.execute(f"DESCRIBE {result}").fetchall()}
        _check_columns(selection, types)
        _check_ids(engine, selection, result)
        if isinstance(selection.label, LabelRule):
            _find_positives(engine, selection, selection.label, types[selection.id_column], positives)
        n_positive = _write(engine, selection, types, result, positives, Path(path))
        n_rows = int(engine.execute(f"SELECT count(*) FROM {result}").fetchall()[0][0])
    features = {name: kind for name, kind in types.items() if name not in (selection.id_column, selection.label_column)}
    return Selected(Path(path), n_rows, n_positive, features, held_back)


def open_selected(selection: Selection, reading: Mapping[str, Any]) -> OpenTable:
    """Run a selection into a temporary file, and open that by `open_table`'s settings.

    The file has no name any more once it is open: whatever becomes of the process, nobody's customers stay behind.

    Raises
    ------
    InputError, DataError
        As `select` and `open_table`.
    """
    folder = tempfile.TemporaryDirectory(prefix="vflfast-")
    try:
        path = Path(folder.name) / "selected.parquet"
        select(selection, path)
        table = open_table(path, **reading)
    except BaseException:
        folder.cleanup()
        raise
    try:
        folder.cleanup()
    except PermissionError:  # where an open file keeps its name, it goes with the table
        weakref.finalize(table, folder.cleanup)
    return table


@contextmanager
def _engine(selection: Selection, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection that reaches the named sources only, and can be told nothing else."""
    try:
        import duckdb
        import pyarrow  # noqa: F401  (results come in its batches)
    except ImportError:
        raise InputError("select", "needs the packages duckdb and pyarrow: pip install 'vflfast[sql]'") from None
    try:
        engine = duckdb.connect(":memory:", config={
            "threads": 1,  # sums of floats depend on the order of the rows: the same table in every run
            "memory_limit": selection.memory_limit, "temp_directory": str(spill),
            "autoinstall_known_extensions": False, "autoload_known_extensions": False,  # nothing is fetched, no other code is loaded
        })  # fmt: skip
    except duckdb.Error:
        raise InputError("memory_limit", "must be a size such as 2GB") from None
    try:
        _set_time_zone(engine, selection)
        files = [str(source.path) for source in selection.sources.values() if source.table is None]
        for source in selection.sources.values():
            if source.table is not None:
                with named(selection, f"sources.{source.name}.database"):
                    engine.execute(f"ATTACH {_quoted(str(source.path))} AS {_database(source)} (READ_ONLY, TYPE duckdb)")
        engine.execute(f"SET allowed_paths = [{', '.join(map(_quoted, files))}]")
        engine.execute("SET preserve_insertion_order = false")  # rows are put in order of their ids at the end, in less memory
        engine.execute("SET enable_external_access = false")
        engine.execute("SET lock_configuration = true")
        yield engine
    finally:
        engine.close()


def _set_time_zone(engine: duckdb.DuckDBPyConnection, selection: Selection) -> None:
    """Let a time with a zone fall on the same day on every machine."""
    import duckdb

    try:
        engine.execute(f"SET TimeZone = {_quoted(selection.time_zone)}")
    except duckdb.Error:
        raise InputError("time_zone", "must be the name of a time zone such as Europe/Berlin") from None


def _make_view(engine: duckdb.DuckDBPyConnection, selection: Selection, source: Source) -> None:
    where = ""
    if source.date_column is not None:
        day = _day_of(source.date_column)
        where = f" WHERE {day} < DATE '{selection.observation_date}'"
    with named(selection, f"sources.{source.name}"):
        engine.execute(f"CREATE VIEW {_name(source.name)} AS SELECT * FROM {_rows_of(engine, selection, source)}{where}")
        engine.execute(f"SELECT * FROM {_name(source.name)} LIMIT 0")


def _rows_of(engine: duckdb.DuckDBPyConnection, selection: Selection, source: Source) -> str:
    """Return what the engine reads a source from; a CSV's id columns stay text, with their leading zeros."""
    if source.table is not None:
        return f"{_database(source)}.{_name(source.table)}"
    path = _quoted(str(source.path))
    if not source.is_csv:
        return f"read_parquet({path})"
    reader = f"{path}, {CSV}"
    columns = [row[0] for row in engine.execute(f"DESCRIBE SELECT * FROM read_csv({reader}, all_varchar = true)").fetchall()]
    ids = {selection.id_column} | ({selection.label.id_column} if isinstance(selection.label, LabelRule) else set())
    types = {name: "VARCHAR" for name in columns if name in ids} | source.types
    unknown = [name for name in types if name not in columns]
    if unknown:
        raise InputError(f"sources.{source.name}.types.{unknown[0]}", f"is no column of {source.path.name}")
    given = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in types.items())
    return f"read_csv({reader}{', types = {' + given + '}' if given else ''})"


def _count_late(engine: duckdb.DuckDBPyConnection, selection: Selection, source: Source) -> int:
    """Return how many rows the query does not see; a cell that is neither a date nor empty is an error."""
    column = source.date_column or ""
    rows, day = _rows_of(engine, selection, source), _day_of(column)
    with named(selection, f"sources.{source.name}.date_column"):
        _check_days(engine, f"sources.{source.name}.{column}", rows, column)
        late = engine.execute(f"SELECT count(*) FROM {rows} WHERE ({day} < DATE '{selection.observation_date}') IS NOT TRUE").fetchall()
    return int(late[0][0])


def _check_days(engine: duckdb.DuckDBPyConnection, argument: str, rows: str, column: str) -> None:
    """Refuse cells that are neither a date nor empty: their rows would fall out of every window unseen."""
    day, cell = _day_of(column), _name(column)
    wrong = f"{cell} IS NOT NULL AND ({day} IS NULL OR year({day}) < {FIRST_YEAR})"
    unreadable = engine.execute(f"SELECT count(*) FROM {rows} WHERE {wrong}").fetchall()[0][0]
    if unreadable:
        raise DataError(argument, f"{unreadable} cells are no dates such as 2026-01-31")


def _check_columns(selection: Selection, types: dict[str, str]) -> None:
    names = ", ".join(types)
    if selection.id_column not in types:
        raise DataError(selection.id_column, f"is no column of the query's result; there are {names}")
    if _base(types[selection.id_column]) not in TEXTS | WHOLE:
        raise DataError(selection.id_column, f"ids must be text or integers, not {types[selection.id_column]}; digits may be lost")
    if isinstance(selection.label, LabelRule) and NAME in types:
        raise DataError(NAME, "is a column of the query's result already; give it another name, or set label.column")
    if isinstance(selection.label, str) and selection.label not in types:
        raise DataError(selection.label, f"the label's column, is no column of the query's result; there are {names}")
    special = (selection.id_column, selection.label_column)
    features = {name: kind for name, kind in types.items() if name not in special}
    if not features:
        raise DataError("query", "its result has no feature column")
    for name, kind in features.items():
        if _base(kind) not in TEXTS | WHOLE | REALS | DAYS | {"BOOLEAN"}:
            raise DataError(name, f"has the type {kind}, which is no number, text, boolean or date; convert it in the query")
    unknown = [name for name in selection.kinds if name not in features]
    if unknown:
        raise InputError(f"kinds.{unknown[0]}", "is no feature of the query's result")


def _check_ids(engine: duckdb.DuckDBPyConnection, selection: Selection, result: str) -> None:
    """Refuse ids that are missing or not unique, by row numbers of the table in the order of ids; values stay out of messages."""
    column = _name(selection.id_column)
    if not engine.execute(f"SELECT count(*) FROM {result}").fetchall()[0][0]:
        raise DataError("query", "selects no customer")
    missing = engine.execute(f"SELECT count(*) FROM {result} WHERE {column} IS NULL OR CAST({column} AS VARCHAR) = ''").fetchall()[0][0]
    if missing:
        raise DataError(selection.id_column, f"{missing} rows of the query's result have no id")
    if not engine.execute(f"SELECT 1 FROM {result} GROUP BY {column} HAVING count(*) > 1 LIMIT 1").fetchall():
        return
    twice = engine.execute(
        f"SELECT first, n FROM (SELECT min(row) AS first, count(*) AS n FROM (SELECT {column} AS id, row_number() OVER "
        f"(ORDER BY CAST({column} AS VARCHAR)) AS row FROM {result}) GROUP BY id HAVING n > 1) ORDER BY first LIMIT {SHOWN_ROWS}"
    ).fetchall()
    rows = ", ".join(f"{first} to {first + n - 1}" for first, n in twice)
    raise DataError(selection.id_column, f"an id more than once, rows {rows} in the order of ids; group the query by customer")


def _find_positives(engine: duckdb.DuckDBPyConnection, selection: Selection, rule: LabelRule, id_type: str, table: str) -> None:
    """Collect the customers with a row of the rule in the window [observation date, + window_days)."""
    source, day = selection.sources[rule.source], _day_of(rule.date_column)
    begin = selection.observation_date or datetime.date.min
    try:
        end = begin + datetime.timedelta(days=rule.window_days)
    except OverflowError:
        raise InputError("label.window_days", "ends after the last date there is") from None
    check_condition(engine, rule)
    with named(selection, "label"):
        rows = _rows_of(engine, selection, source)
        _check_label_ids(rule, str(engine.execute(f"DESCRIBE SELECT {_name(rule.id_column)} FROM {rows}").fetchall()[0][1]), id_type)
        _check_days(engine, f"label.date_column, {rule.date_column}", rows, rule.date_column)
        engine.execute(
            f"CREATE TEMP TABLE {table} AS SELECT DISTINCT CAST({_name(rule.id_column)} AS VARCHAR) AS id "
            f"FROM {rows} WHERE {day} >= DATE '{begin}' AND {day} < DATE '{end}' AND ({rule.where}\n)"
        )


def _check_label_ids(rule: LabelRule, own: str, selected: str) -> None:
    """Refuse ids that cannot meet: 01234 as text is none of the integers, and every label would be 0."""
    if _base(own) not in TEXTS | WHOLE or (_base(own) in TEXTS) != (_base(selected) in TEXTS):
        where = f"{rule.id_column} of sources.{rule.source} is {own}, the query's id {selected}"
        raise DataError("label.id_column", f"{where}; both must be text, or both integers")


def _write(
    engine: duckdb.DuckDBPyConnection, selection: Selection, types: dict[str, str], result: str, positives: str, path: Path
) -> int | None:
    """Stream the table into its file; return the number of labels that are 1, None without a rule."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ruled, column = isinstance(selection.label, LabelRule), f"r.{_name(selection.id_column)}"
    columns = [_plain(f"r.{_name(name)}", kind, name == selection.id_column) + f" AS {_name(name)}" for name, kind in types.items()]
    joined = ""
    if ruled:
        columns.append(f"CAST(p.id IS NOT NULL AS TINYINT) AS {NAME}")
        joined = f" LEFT JOIN {positives} p ON p.id = CAST({column} AS VARCHAR)"
    n_positive = 0
    try:
        relation = engine.sql(f"SELECT {', '.join(columns)} FROM {result} r{joined} ORDER BY CAST({column} AS VARCHAR)")
        batches: Any = relation.to_arrow_reader(BATCH_ROWS)
        with written_whole(path, "wb") as stream, pq.ParquetWriter(stream, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                n_positive += pc.sum(batch.column(NAME)).as_py() or 0 if ruled else 0
    except (OSError, pa.ArrowException) as error:
        raise InputError(str(path), f"cannot be written: {getattr(error, 'strerror', None) or error}") from None
    return n_positive if ruled else None


def _plain(column: str, kind: str, is_id: bool) -> str:
    """Return the SQL of a column as `open_table` reads it."""
    base = _base(kind)
    if is_id or base in TEXTS:
        return f"CAST({column} AS VARCHAR)"
    if base == "BOOLEAN":
        return f"CAST({column} AS TINYINT)"
    if base in DAYS:
        return f"strftime({column}, '%Y-%m-%d')"
    return f"CAST({column} AS DOUBLE)"


def _base(kind: str) -> str:
    """DECIMAL(18,3) → DECIMAL; an array of numbers keeps its brackets."""
    return kind if kind.endswith("]") else kind.split("(")[0].strip()


def _day_of(column: str) -> str:
    return f"TRY_CAST({_name(column)} AS DATE)"


def _database(source: Source) -> str:
    return _name(f"database of {source.name}")


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

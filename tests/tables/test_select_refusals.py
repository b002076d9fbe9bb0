"""Selection by SQL: queries and specifications that are refused."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.selections import N, changed, run, spec

from vflfast.errors import VflError
from vflfast.tables.select import select
from vflfast.tables.selection import read_selection, selection_from_mapping

# --- what the query may not do -------------------------------------------------------------------------------------


REACHING = {
    "another file": ("SELECT * FROM 'bad.csv'", "reads bad.csv, which is no source; there are customers, transactions"),
    "a source's own file": ("SELECT * FROM read_parquet('transactions.parquet')", "calls read_parquet; name the file as a source"),
    "inside a query": ("SELECT phone, (SELECT max(amount) FROM read_csv('bad.csv')) AS x FROM customers", "calls read_csv"),
    "inside a with": ("WITH a AS (SELECT * FROM read_text('bad.csv')) SELECT * FROM a", "calls read_text"),
    "a folder": ("SELECT * FROM glob('*')", "calls glob"),
    "an attached database": ("SELECT * FROM core.main.accounts", "reads accounts, which is no source"),
    "the catalogue": ("SELECT * FROM information_schema.tables", "reads tables, which is no source"),
    "settings": ("SELECT * FROM duckdb_settings()", "calls duckdb_settings"),
    "two statements": ("SELECT phone, age FROM customers; SELECT 1", "must be one SELECT and nothing else"),
    "a change": ("DELETE FROM customers", "must be one SELECT and nothing else"),
    "a copy": ("COPY customers TO 'stolen.csv'", "must be one SELECT and nothing else"),
    "a setting": ("SET enable_external_access = true", "must be one SELECT and nothing else"),
    "an extension": ("INSTALL httpfs", "must be one SELECT and nothing else"),
    "a database": ("ATTACH 'core.duckdb'", "must be one SELECT and nothing else"),
    "tables": ("SHOW TABLES", "must be one SELECT and nothing else"),
    "nothing": (";", "must be one SELECT and nothing else"),
}


@pytest.mark.parametrize("name", REACHING)
def test_the_query_cannot_reach_around_the_sources(name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    query, told = REACHING[name]
    with pytest.raises(VflError) as caught:
        select(selection_from_mapping(changed("query", query), folder), tmp_path / "out.parquet")
    assert str(caught.value).startswith("query: ")
    assert told in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert not (folder / "stolen.csv").exists()


AROUND = """SELECT phone, count(*) AS n, (WITH "{path}" AS (SELECT 1 AS x) SELECT max(x) FROM "{path}") AS x
FROM "{path}" GROUP BY phone"""


def test_a_with_of_a_files_name_does_not_open_the_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that a WITH makes is known inside it only; outside, the engine would read the source's file with the rows held back."""
    query = AROUND.format(path=folder / "transactions.parquet")
    with pytest.raises(VflError, match=r"^query: reads .*transactions.parquet, which is no source"):
        run(changed("query", query), folder, tmp_path / "out.parquet")
    monkeypatch.setattr("vflfast.tables.select.check_query", lambda *_: None)  # the control: it is the check that refuses
    _, table = run(changed("query", query), folder, tmp_path / "out.parquet")
    assert table["n"].sum() == len(pd.read_parquet(folder / "transactions.parquet"))


def test_a_with_that_makes_a_table_is_fine(folder: Path, tmp_path: Path) -> None:
    query = "WITH old AS (SELECT phone, age FROM customers WHERE age > 60), Few AS (SELECT * FROM old) SELECT * FROM few"
    _, table = run(changed("query", query), folder, tmp_path / "out.parquet")
    assert 0 < len(table) < N


def test_another_kind_of_database_is_refused_and_nothing_is_fetched_for_it(folder: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (phone TEXT)")
        other.commit()
    data = changed("sources/customers", {"database": str(tmp_path / "other.db"), "table": "t"})
    with pytest.raises(VflError, match=r"^sources.customers.database: .*not a valid DuckDB database") as caught:
        run(data, folder, tmp_path / "out.parquet")
    assert "xtension" not in str(caught.value)


TELLING = {  # what the engine says of each of these holds a cell
    "conversion": "SELECT phone, (phone || 'x')::INTEGER AS a FROM customers",
    "overflow": "SELECT phone, 9223372036854775807 + phone::BIGINT AS a FROM customers",
    "function": "SELECT phone, strptime(phone, '%d.%m.%Y') AS a FROM customers",
    "pattern": "SELECT phone, regexp_matches('a', '(' || phone) AS a FROM customers",
    "on purpose": "SELECT phone, error(phone) AS a FROM customers",
}


@pytest.mark.parametrize("name", TELLING)
def test_errors_hold_no_cell(name: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(VflError, match=r"^query: a cell cannot be converted") as caught:
        run(changed("query", TELLING[name]), folder, tmp_path / "out.parquet")
    assert "130" not in str(caught.value)
    data = changed("label/where", TELLING[name].removeprefix("SELECT phone, ").removesuffix(" AS a FROM customers") + " IS NOT NULL")
    with pytest.raises(VflError, match=r"^label: a cell cannot be converted") as caught:
        run(data, folder, tmp_path / "out.parquet")
    assert "130" not in str(caught.value)


def test_the_engine_is_shut_in(folder: Path, tmp_path: Path) -> None:
    settings = {"enable_external_access": 0, "lock_configuration": 1, "autoload_known_extensions": 0, "autoinstall_known_extensions": 0}
    wanted = ", ".join(f"current_setting('{name}')::BOOLEAN AS {name}" for name in settings)
    _, table = run(changed("query", f"SELECT phone, {wanted} FROM customers"), folder, tmp_path / "out.parquet")
    assert table.iloc[0][list(settings)].to_dict() == settings


def test_control_the_engine_itself_refuses_what_the_check_would_miss(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the look at the query taken out, another file is still out of reach; only a source's own file is not."""
    monkeypatch.setattr("vflfast.tables.select.check_query", lambda *_: None)
    for query in (f"SELECT * FROM '{folder}/bad.csv'", f"SELECT * FROM read_text('{folder}/words.csv')"):
        with pytest.raises(VflError, match="disabled by configuration"):
            select(selection_from_mapping(changed("query", query), folder), tmp_path / "out.parquet")
    around = f"SELECT phone, count(*) AS n FROM read_parquet('{folder}/transactions.parquet') GROUP BY phone"
    select(selection_from_mapping(changed("query", around), folder), tmp_path / "out.parquet")


# --- bad specifications --------------------------------------------------------------------------------------------


BAD: list[tuple[str, Any, str]] = [
    ("query", ..., "query: is missing from the specification"),
    ("query", "", "query: must be text"),
    ("query", 3, "query: must be text"),
    ("query", "SELECT phone frm customers", "query: syntax error"),
    ("query", "SELECT phone,\n age\nFRM customers", 'query: syntax error at or near "customers", line 3 of the query'),
    ("query", "SELECT phone,\n agee\nFROM customers", 'query: Referenced column "agee" not found in FROM clause!, line 2 of the query'),
    ("query", "SELECT phone, agee FROM customers", 'query: Referenced column "agee" not found'),
    ("query", "SELECT phone FROM customers", "query: its result has no feature column"),
    ("query", "SELECT age FROM customers", "phone: is no column of the query's result; there are age"),
    ("query", "SELECT phone, age FROM customers WHERE age > 900", "query: selects no customer"),
    ("query", "SELECT phone, age FROM transactions JOIN customers USING (phone)", "phone: an id more than once, rows 1 to "),
    ("query", "SELECT nullif(phone, max(phone) OVER ()) AS phone, age FROM customers", "phone: 1 rows of the query's result have no id"),
    ("query", "SELECT age::DOUBLE AS phone, region FROM customers", "phone: ids must be text or integers, not DOUBLE; digits may be lost"),
    ("query", "SELECT phone, [1, 2] AS pair FROM customers", "pair: has the type INTEGER[], which is no number, text, boolean or date"),
    ("query", "SELECT phone, region::INTEGER AS r FROM customers", "customers.csv: line 2, column region: a cell cannot be converted"),
    ("query", "SELECT phone, age, 1 AS label FROM customers", "label: is a column of the query's result already"),
    ("queri", "SELECT 1", "queri: is unknown in the specification; there are id_column"),
    ("id_column", "", "id_column: must be text"),
    ("id_column", 7, "id_column: must be text"),
    ("observation_date", ..., "observation_date: is needed, because sources.transactions has a date_column"),
    ("observation_date", "2026-01-01", "observation_date: must be a date without quotes, such as 2026-01-01"),
    ("observation_date", datetime.datetime(2026, 1, 1, 12), "observation_date: must be a date without quotes"),
    ("sources", ..., "sources: must be one or more [sources.NAME] sections"),
    ("sources", {}, "sources: must be one or more [sources.NAME] sections"),
    ("sources", [1], "sources: must be one or more [sources.NAME] sections"),
    ("sources/customers", "customers.csv", "sources.customers: must be a section of settings"),
    ("sources/customers/file", ..., "sources.customers: must have either file or database"),
    ("sources/customers/file", "nowhere.csv", "sources.customers.file: no such file: nowhere.csv"),
    ("sources/customers/file", ".", "sources.customers.file: no such file"),
    ("sources/customers/file", "core.duckdb", "sources.customers.file: must end in .csv, .csv.gz, .parquet"),
    ("sources/customers/file", 5, "sources.customers.file: must be text"),
    ("sources/customers/file", "damaged.parquet", "sources.customers: "),
    ("sources/customers/file", "bad.csv", "bad.csv: is no CSV in UTF-8 with commas"),
    ("sources/customers/database", "core.duckdb", "sources.customers: must have either file or database"),
    ("sources/customers/path", "x", "path: is unknown in sources.customers; there are database"),
    ("sources/customers/table", "x", "sources.customers.table: belongs to a database"),
    ("sources/customers", {"database": "core.duckdb"}, "sources.customers.table: must name the table of the database"),
    ("sources/customers", {"database": "core.duckdb", "table": "nothing"}, "sources.customers: Table with name nothing does not exist"),
    ("sources/customers", {"database": "customers.csv", "table": "t"}, "sources.customers.database: "),
    ("sources/customers", {"file": "customers.csv", "types": {"agee": "INTEGER"}}, "sources.customers.types.agee: is no column"),
    ("sources/customers", {"file": "customers.csv", "types": ["age"]}, "sources.customers.types: must be a table"),
    ("sources/customers", {"file": "customers.csv", "types": {"region": "INTEGER"}}, "customers.csv: line 2, column region: a cell cannot"),
    ("sources/transactions/types", {"amount": "DOUBLE"}, "sources.transactions.types: belong to a CSV file"),
    ("sources/transactions/date_column", "amount", "sources.transactions"),
    ("sources/transactions/date_column", "when", "sources.transactions"),
    ("sources/two words", {"file": "customers.csv"}, "sources.two words: must be a name of letters"),
    ("sources/words", {"file": "words.csv", "date_column": "day"}, "sources.words.day: 1 cells are no dates such as 2026-01-31"),
    ("sources/again", {"file": "transactions.parquet"}, "sources.again.date_column: must be day: sources.transactions is the same table"),
    ("sources/again", {"file": "./transactions.parquet", "date_column": "other"}, "sources.transactions.date_column: must be other: sourc"),
    ("label", "vip", "label: must be a section of settings"),
    ("label/where", ..., "label.where: is missing from the rule"),
    ("label/where", "product = 'loan') OR (1 = 1", "label.where: must be one condition"),
    ("label/where", "product = 'loan' UNION SELECT 1", "label.where: must be one condition"),
    ("label/where", "amount > (SELECT 1)", "label.where: must be one condition"),
    ("label/where", "true; DROP TABLE customers", "label.where: must be one condition"),
    ("label/where", "kind = 'loan'", 'label: Referenced column "kind" not found'),
    ("label/where", "product", "label: a cell cannot be converted"),
    ("label/window_days", 0, "label.window_days: must be a whole number from 1 to"),
    ("label/window_days", -90, "label.window_days: must be a whole number from 1 to"),
    ("label/window_days", 1.5, "label.window_days: must be a whole number from 1 to"),
    ("label/window_days", True, "label.window_days: must be a whole number from 1 to"),
    ("label/source", "nobody", "label.source: is no source; there are customers, transactions"),
    ("label/source", "customers", "label.date_column: is needed, because sources.customers has none"),
    ("label/column", "vip", "label.column: is a label that exists already; leave out the rule, or the column"),
    ("label", {"column": "nothing"}, "nothing: the label's column, is no column of the query's result"),
    ("label", {"source": "customers", "where": "vip", "window_days": 9, "date_column": "opened"},
     "sources.customers.date_column: is needed"),
    ("label/weight", 1, "weight: is unknown in label; there are column"),
    ("kinds", {"age": "number"}, "kinds.age: must be one of numeric, categorical, date"),
    ("kinds", {"agee": "numeric"}, "kinds.agee: is no feature of the query's result"),
    ("kinds", "numeric", "kinds: must be a table"),
    ("memory_limit", "much", "memory_limit: must be a size such as 2GB"),
    ("memory_limit", 2, "memory_limit: must be text"),
    ("time_zone", "Atlantis/West", "time_zone: must be the name of a time zone such as Europe/Berlin"),
    ("time_zone", 8, "time_zone: must be text"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "told"), BAD, ids=lambda value: str(value)[:30])
def test_bad_specifications(path: str, value: Any, told: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(VflError) as caught:
        select(selection_from_mapping(changed(path, value), folder), tmp_path / "out.parquet")
    message = str(caught.value)
    assert message.startswith(told), message
    assert "013000" not in message  # no id, and no cell
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["out.csv", "out", 5, None])
def test_the_table_is_parquet(path: Any, folder: Path) -> None:
    with pytest.raises(VflError, match="path"):
        select(selection_from_mapping(spec(), folder), path)


def test_a_place_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(VflError, match="cannot be written: No such file or directory"):
        select(selection_from_mapping(spec(), folder), tmp_path / "nowhere" / "out.parquet")


@pytest.mark.parametrize("path", [5, None])
def test_a_specification_is_a_file(path: Any) -> None:
    with pytest.raises(VflError, match="path: must be a path"):
        read_selection(path)

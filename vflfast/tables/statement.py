"""What SQL a specification may hold, and what may be said of its errors: never a cell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, InputError
from .selection import LabelRule, Selection

if TYPE_CHECKING:
    import duckdb

PURE_TABLES = {"range", "generate_series", "unnest"}  # table functions that look at no file
CLAUSES = ("where_clause", "group_expressions", "having", "qualify", "modifiers")  # of a SELECT, and not of a condition
ONE_SELECT = "must be one SELECT and nothing else"
CSV_FAULTS = {"Could not convert": "a cell cannot be converted; see the source's types, and casts in the query",
              "Invalid unicode": "its text is not in UTF-8",
              "Expected Number of Columns": "not as many cells as in the header"}  # fmt: skip


def check_query(engine: duckdb.DuckDBPyConnection, selection: Selection) -> None:
    """Let one SELECT over the sources pass; it must not reach around the views that hold rows back.

    Raises
    ------
    InputError, DataError
        It is something else, or reads something else.
    """
    import duckdb

    with named(selection, "query"):
        statements = engine.extract_statements(selection.query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise InputError("query", ONE_SELECT)
    tree = _tree(engine, selection.query)
    if tree.get("error"):
        raise InputError("query", ONE_SELECT)
    nodes = list(_nodes(tree))
    own = {entry["key"] for node in nodes for entry in (node.get("cte_map") or {}).get("map", ())}
    # outside its WITH, the engine would take such a name for that of a file: one that may be a path opens none
    allowed = {name.lower() for name in (*selection.sources, *filter(str.isidentifier, own))}
    for node in nodes:
        qualified = node.get("schema_name") or node.get("catalog_name")
        if node.get("type") == "BASE_TABLE" and (qualified or node["table_name"].lower() not in allowed):
            raise InputError("query", f"reads {node['table_name']}, which is no source; there are {', '.join(selection.sources)}")
        if node.get("type") == "TABLE_FUNCTION" and node["function"].get("function_name", "").lower() not in PURE_TABLES:
            raise InputError("query", f"calls {node['function'].get('function_name')}; name the file as a source instead")
        if node.get("type") == "SHOW_REF":
            raise InputError("query", ONE_SELECT)


def without_end(query: str) -> str:
    """Return a query without the semicolons at its end and the comments after them."""
    import duckdb

    data = query.encode()  # the engine counts bytes
    end = len(data)
    for start, kind in reversed(duckdb.tokenize(query)):
        if kind != duckdb.token_type.comment and not data[start:end].lstrip().startswith(b";"):
            break
        end = start
    return data[:end].decode()


def check_condition(engine: duckdb.DuckDBPyConnection, rule: LabelRule) -> None:
    """Let one condition on the source's own columns pass; InputError for anything else."""
    parsed = [statement["node"] for statement in _tree(engine, f"SELECT {rule.where}").get("statements", ())]
    alone = len(parsed) == 1 and parsed[0]["type"] == "SELECT_NODE" and len(parsed[0]["select_list"]) == 1
    if not alone or parsed[0]["from_table"]["type"] != "EMPTY" or any(parsed[0].get(part) for part in CLAUSES) or any(
        node.get("class") == "SUBQUERY" for node in _nodes(parsed)
    ):  # fmt: skip
        raise InputError("label.where", "must be one condition on the source's own columns, such as product = 'loan'")


def _tree(engine: duckdb.DuckDBPyConnection, statement: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()[0][0])
    return found


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a statement's syntax tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


@contextmanager
def named(selection: Selection, argument: str) -> Iterator[None]:
    """Turn what the engine says into an error about `argument`, or about the line of a CSV file; no cells.

    Raises
    ------
    InputError, DataError
        In place of every error of the engine.
    """
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise InputError("memory_limit", f"{selection.memory_limit} is too little for this selection") from None
    except (
        duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException, duckdb.IOException,
    ) as error:  # said before a cell is read
        raise DataError(argument, _first_line(error) + _line_of_query(argument, error)) from None
    except duckdb.Error as error:
        _raise_of_csv(str(error))
        if argument.startswith("sources.") and isinstance(error, duckdb.InvalidInputException):
            raise DataError(argument, _first_line(error)) from None  # of a file's header or footer
        kind = type(error).__name__.removesuffix("Exception")
        problem = "a cell cannot be converted to its column's type, or is not what a function takes; TRY_CAST gives NULL for it"
        raise DataError(argument, f"{problem} ({kind})") from None


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "unusable").split(": ", 1)[-1]


def _line_of_query(argument: str, error: Exception) -> str:
    found = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
    return f", line {found[1]} of the query" if found and argument == "query" else ""


def _raise_of_csv(message: str) -> None:
    """Name file, line and column where the engine could not read a CSV; its message holds the line itself."""
    line = re.search(r"CSV Error on Line: (\d+)$", message, re.MULTILINE)
    file = re.search(r"^  file = (.*)$", message, re.MULTILINE)
    if line and file:
        column = re.search(r"^Error when converting column \"(.*?)\"\. ", message, re.MULTILINE)
        fault = next((said for words, said in CSV_FAULTS.items() if words in message), "cannot be read")
        raise DataError(Path(file[1]).name, f"line {line[1]}{f', column {column[1]}' if column else ''}: {fault}")
    sniffed = re.match(r"Invalid Input Error: Error when sniffing file \"(.*)\"", message)
    if sniffed:
        raise DataError(Path(sniffed[1]).name, "is no CSV in UTF-8 with commas; every row needs as many cells as the header")

"""Excel workbooks: cells as the same CSV would have them; what a spreadsheet loses is refused."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from vflfast.errors import DataError
from vflfast.tables.files import first_column
from vflfast.tables.forms import Forms
from vflfast.tables.inspect import inspect_file
from vflfast.tables.table import read_table

DAY = datetime.date(2026, 1, 31)
ROWS: list[list[Any]] = [
    ["id", "y", "age", "since", "branch", "active", "income"],
    ["007", 1, 41, DAY, "north", True, 1.5],
    ["008", 0, None, datetime.datetime(2025, 1, 31), None, False, 1e-3],
    ["009", 0, 30, None, 12, None, -2],
]


def write(path: Path, rows: list[list[Any]], *others: str, title: str = "customers") -> Path:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = title
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    for other in others:
        book.create_sheet(other).append(["x"])
    book.save(path)
    return path


def test_cells_are_those_of_the_same_csv(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "id,y,age,since,branch,active,income\n007,1,41,2026-01-31,north,True,1.5\n008,0,,2025-01-31,,False,0.001\n009,0,30,,12,,-2\n"
    )
    write(tmp_path / "t.xlsx", ROWS)
    reading = {"label_column": "y", "observation_date": "2026-02-01", "kinds": {"active": "categorical"}}
    left, right = (read_table(tmp_path / name, **reading) for name in ("t.csv", "t.xlsx"))  # type: ignore[arg-type]
    assert left.ids.tolist() == right.ids.tolist() == ["007", "008", "009"]
    assert left.labels is not None
    assert right.labels is not None
    assert left.labels.tolist() == right.labels.tolist()
    assert left.kinds == right.kinds
    assert left.features.equals(right.features)


def test_whole_numbers_are_ids_and_gaps_are_not(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.xlsx", [["id", "a"], [13800138000, 1], [7, 2]]))
    assert table.ids.tolist() == ["13800138000", "7"]
    with pytest.raises(DataError, match="ids must be"):
        read_table(write(tmp_path / "u.xlsx", [["id", "a"], [13800138000, 1], [None, 2]]))


def test_digits_that_excel_lost_are_refused_by_column_and_row(tmp_path: Path) -> None:
    path = write(tmp_path / "t.xlsx", [["id", "a"], [1, 1], [6222021234567890123, 2]])
    with pytest.raises(DataError, match="fifteen digits, which Excel rounds, in row 2") as caught:
        read_table(path)
    assert "id" in str(caught.value)


def test_an_error_cell_is_a_word_that_a_person_declares(tmp_path: Path) -> None:
    rows = [["id", "a"]] + [[f"c{k}", float(k)] for k in range(20)] + [["x", "#N/A"], ["z", "#N/A"]]
    path = write(tmp_path / "t.xlsx", rows)
    with pytest.raises(DataError, match="#N/A"):
        read_table(path)
    assert np.isnan(read_table(path, missing=["#N/A"]).features["a"].to_numpy()[-2:]).all()


def test_several_sheets_need_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "t.xlsx", ROWS, "old")
    for sheet in (None, "new"):
        with pytest.raises(DataError, match="say sheet, one of 'customers', 'old'"):
            read_table(path, sheet=sheet)
    assert read_table(path, sheet="customers", observation_date="2026-02-01").n_rows == 3
    assert first_column(path, Forms(sheet="old")) == "x"
    assert "has no feature column" in str(inspect_file(path, {"sheet": "old", "id_column": "x"}).problem)


def test_empty_rows_are_none_and_longer_ones_are_refused(tmp_path: Path) -> None:
    gaps = [["id", "a"], ["p", 1], [None, None], ["q", 2]]
    assert read_table(write(tmp_path / "t.xlsx", gaps)).ids.tolist() == ["p", "q"]
    with pytest.raises(DataError, match="more cells than the header has names, row 1"):
        read_table(write(tmp_path / "u.xlsx", [["id", "a"], ["p", 1, 5]]))


@pytest.mark.parametrize("content", [b"", b"id,a\n1,2\n", b"PK\x03\x04damaged", bytes(2000)])
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no Excel workbook"):
        read_table(path)


def test_every_cut_of_a_workbook_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "t.xlsx", ROWS).read_bytes()
    for size in range(0, len(whole), 97):
        (tmp_path / "u.xlsx").write_bytes(whole[:size])
        with pytest.raises(DataError, match="is no Excel workbook"):
            read_table(tmp_path / "u.xlsx")


def test_the_header_needs_a_name_for_every_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 2 has no name"):
        read_table(write(tmp_path / "t.xlsx", [["id", None, "a"], ["p", 1, 2]]))
    with pytest.raises(DataError, match="needs a header line"):
        read_table(write(tmp_path / "u.xlsx", []))

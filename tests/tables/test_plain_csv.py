"""CSV read in blocks by pyarrow: what the csv module and `float` give, cell by cell, and the same refusals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vflfast.errors import DataError
from vflfast.tables import files, plain_csv
from vflfast.tables.columns import parse_numbers
from vflfast.tables.files import open_columns

pytest.importorskip("pyarrow")

Content = dict[str, list[Any]] | str


def content(path: Path, text_columns: frozenset[str] = frozenset()) -> Content:
    """All cells of a file, NaN as text so that it equals itself, or the refusal."""
    try:
        source = open_columns(path, text_columns)
        return {name: [repr(cell) for cell in source.fetch(name)] for name in source.names}
    except DataError as error:
        return str(error)


def both(path: Path, block: int, text_columns: frozenset[str] = frozenset()) -> tuple[Content, Content]:
    """The content by blocks of so many characters, and by the csv module alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_CHARS", block)
        fast = content(path, text_columns)
        patch.setattr(files, "plain_columns", lambda *_: None)
        return fast, content(path, text_columns)


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.tuples(st.integers(0, 10**30), st.integers(-360, 330)).map(lambda pair: f"{pair[0]}e{pair[1]}"),
)
ODD = (
    ["", " ", "1 ", " 1", "+1", "-0", ".5", "5.", "1_0", "nan", "NaN", "nan(1)", "inf", "-Infinity", "1e999", "1e-999", "0x1p3", "1d5", "é",
     "１", "\t2", "\x0c3", "1,5", "1;5", "--1", "1e", "null", "NULL", "N/A", "#N/A", "true", "2020-01-01", "'1'", "\\", "\u20281"]
)  # fmt: skip
cells = st.one_of(numbers, numbers, numbers, st.sampled_from(ODD), st.text(st.characters(codec="utf-8"), max_size=3))
ends = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n", "\r", "\n \n"])


@given(
    rows=st.lists(st.tuples(cells, cells, ends), max_size=12), block=st.integers(1, 80),
    last=st.sampled_from(["", "1,2", "9,9\n", '"a","b"\n']),
)  # fmt: skip
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(rows=[('"a\nb"', "2", "\n")], block=5, last="")
@example(rows=[("1", "2", "\n"), ('"3"', '"4"', "\n"), ("5", "6", "\n")], block=6, last="")
@example(rows=[("1", "2", "\r"), ("3", "4", "\n"), ("5\x00", "6", "\r\r"), ("7", "8", "\n")], block=100, last="")
@example(rows=[("1", "2", "\r"), ("3", "4", "\n"), ("5\x00", "6", "\n")], block=5, last="")
@example(rows=[("1", "2", "\r\n")] * 6, block=7, last="")
def test_every_file_gives_the_same_cells_or_the_same_refusal(
    rows: list[tuple[str, str, str]], block: int, last: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(("a,b\n" + "".join(f"{x},{y}{end}" for x, y, end in rows) + last).encode())
    fast, slow = both(path, block)
    assert fast == slow
    fast, slow = both(path, block, frozenset({"a"}))
    assert fast == slow


@pytest.mark.parametrize("cell", ODD)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_one_odd_cell_among_numbers(cell: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(end.join(["a,b", "1,2", f"3,{cell}", "5,6", ""]).encode())
    fast, slow = both(path, 1000)
    assert fast == slow


@given(st.lists(numbers, min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_numbers_are_those_of_float_bit_for_bit(texts: list[str]) -> None:
    import pyarrow

    found = plain_csv.plain_numbers(pyarrow.array(texts))
    assert found is None or found.tobytes() == parse_numbers(texts).tobytes()  # type: ignore[union-attr]
    if all(math.isfinite(float(text)) for text in texts):
        assert found is not None


def test_plain_blocks_are_not_given_to_the_csv_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,a,b\n" + "".join(f"c{k},{k},\n" for k in range(100)))
    monkeypatch.setattr(files, "parse_numbers", lambda texts: pytest.fail("empty cells and numbers need no second look"))
    rows: list[int] = []
    plain = files._CsvReader._csv_columns

    def counted(reader: Any, lines: Any, n_read: int) -> Any:
        for columns in plain(reader, lines, n_read):
            rows.append(len(columns[0]))
            yield columns

    monkeypatch.setattr(files._CsvReader, "_csv_columns", counted)
    assert open_columns(path, frozenset({"id"})).fetch("a").tolist() == list(map(float, range(100)))
    assert rows == []
    monkeypatch.undo()
    monkeypatch.setattr(files._CsvReader, "_csv_columns", counted)
    path.write_text(path.read_text() + '"c100",100,\n')
    assert len(open_columns(path, frozenset({"id"})).fetch("id")) == 101
    assert rows == [101]


def test_without_pyarrow_files_are_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,a\nx,1.5\ny,\n")
    expected = content(path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert content(path) == expected == {"id": ["'x'", "'y'"], "a": ["1.5", "nan"]}
    assert plain_csv.plain_columns("x,1\n", 2) is None


def test_a_short_row_is_told_by_its_number_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,a\n" + "".join(f"c{k},{k}\n" for k in range(50)) + "alone\n")
    fast, slow = both(path, 40)
    assert fast == slow == f"{path}: row 51 has 1 cells, the header has 2"

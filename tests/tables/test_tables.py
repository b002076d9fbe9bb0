"""Tables: typed columns, ids as text, and every bad file or cell refused by name."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vflfast.errors import DataError, InputError
from vflfast.tables.table import Table, read_table, table_from_frame

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CANARY = "SECRETCELL"
PLAIN = "id,y,a,c\n007,1,1.5,x\n008,0,,y\n"


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


# --- what a good file gives --------------------------------------------------------------------------------------


def test_csv_gives_text_ids_typed_columns_and_labels(tmp_path: Path) -> None:
    text = "id,y,a,c,d\n007,1,1.5,x,2020-01-31\n7,0,,,\n0x1,1,-2e3,y,2020-02-01\n"
    table = read_table(write(tmp_path, text), label_column="y", observation_date="2020-02-01")
    assert table.ids.tolist() == ["007", "7", "0x1"]
    assert table.kinds == {"a": "numeric", "c": "categorical", "d": "date"}
    assert table.labels is not None
    assert table.labels.dtype == np.int8
    assert table.labels.tolist() == [1, -1, 1]
    np.testing.assert_array_equal(table.features["a"], [1.5, np.nan, -2000.0])
    np.testing.assert_array_equal(table.features["d"], [1.0, np.nan, 0.0])
    assert table.features["c"].tolist() == ["x", None, "y"]
    assert table.n_rows == 3


def test_parquet_equals_csv(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "id": ["001", "002", "003"],
            "n": [1.25, None, -3.0],
            "whole": pd.array([5, None, 7], dtype="Int64"),
            "c": pd.Categorical(["u", None, "v"]),
            "d": [datetime.date(2020, 1, 1), None, datetime.date(2019, 12, 31)],
            "t": pd.to_datetime(["2020-01-01", None, "2019-12-31"]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    one = read_table(tmp_path / "t.parquet", observation_date="2020-01-02", date_format="%Y-%m-%d")
    two = read_table(tmp_path / "t.csv", observation_date="2020-01-02")
    assert one.ids.tolist() == two.ids.tolist() == ["001", "002", "003"]
    assert one.kinds == two.kinds == {"n": "numeric", "whole": "numeric", "c": "categorical", "d": "date", "t": "date"}
    pd.testing.assert_frame_equal(one.features, two.features)


def test_parquet_dates_need_no_date_format(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"id": ["a"], "d": [datetime.date(2020, 1, 31)]}).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", date_format="%d/%m/%Y", observation_date="2020-02-03")
    assert table.kinds == {"d": "date"}
    assert table.features["d"].tolist() == [3.0]


def test_given_kinds_override_inference(tmp_path: Path) -> None:
    path = write(tmp_path, "id,agent,day\na,9,20200131\nb,010,20200130\n")
    with pytest.raises(DataError, match=r'leading zeros in row 2.*kinds = \{agent = "categorical"\}'):
        read_table(path)
    assert read_table(path, kinds={"agent": "numeric"}).kinds == {"agent": "numeric", "day": "numeric"}
    table = read_table(path, kinds={"agent": "categorical", "day": "date"}, date_format="%Y%m%d", observation_date="2020-02-01")
    assert table.features["agent"].tolist() == ["9", "010"]
    assert table.features["day"].tolist() == [1.0, 2.0]


def test_number_codes_as_categories_agree_between_float_integer_and_text() -> None:
    for codes in ([9.0, None, 240.0], pd.array([9, None, 240], dtype="Int64"), ["9", None, "240"], [decimal.Decimal(9), None, "240"]):
        table = table_from_frame(pd.DataFrame({"id": ["a", "b", "c"], "agent": codes}), kinds={"agent": "categorical"})
        assert table.features["agent"].tolist() == ["9", None, "240"]


def test_times_count_as_parts_of_a_day(tmp_path: Path) -> None:
    path = write(tmp_path, "id,t\na,2020-01-31 18:00\nb,1890-02-01 00:00\n")
    table = read_table(path, date_format="%Y-%m-%d %H:%M", observation_date="2020-02-01")
    assert table.features["t"].tolist() == [0.25, float((datetime.date(2020, 2, 1) - datetime.date(1890, 2, 1)).days)]


def test_text_that_python_would_take_for_numbers_stays_text(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "id,a,b,c\n1,1_000,１２,true\n2,2,3,false\n"))
    assert set(table.kinds.values()) == {"categorical"}
    assert table.features.iloc[0].tolist() == ["1_000", "１２", "true"]


@pytest.mark.parametrize("cells", [["0", "1"], ["-1", "1"], ["-1.0", "+1"], ["False", "true"], [0, 1], [-1, 1], [False, True], [0.0, 1.0]])
def test_label_codings(cells: list[Any]) -> None:
    table = table_from_frame(pd.DataFrame({"id": ["a", "b"], "y": cells, "x": [1, 2]}), label_column="y")
    assert table.labels is not None
    assert table.labels.tolist() == [-1, 1]


def test_integer_ids_become_text_and_phones_are_checked() -> None:
    table = table_from_frame(pd.DataFrame({"phone": [13800000000, 13800000001], "x": [1, 2]}), id_column="phone", id_format="phone")
    assert table.ids.tolist() == ["13800000000", "13800000001"]


def test_frame_is_not_changed_or_shared() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "x": [1.0, 2.0]}, index=[5, 9])
    table = table_from_frame(frame)
    frame.loc[5, "x"] = 99.0
    assert table.features["x"].tolist() == [1.0, 2.0]
    assert list(frame.columns) == ["id", "x"]


def test_take_orders_rows_alike() -> None:
    frame = pd.DataFrame({"id": list("abcd"), "y": [0, 1, 0, 1], "x": [1.0, 2.0, 3.0, 4.0], "c": ["p", None, "q", "r"]})
    table = table_from_frame(frame, label_column="y")
    taken = table.take(np.array([3, 1]))
    assert taken.ids.tolist() == ["d", "b"]
    assert taken.features["x"].tolist() == [4.0, 2.0]
    assert taken.labels is not None
    assert taken.labels.tolist() == [1, 1]
    assert table.take(np.array([False, True, False, True])).features["c"].tolist() == [None, "r"]


def test_repr_shows_no_cell(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, f"id,c\n{CANARY},{CANARY}\n"))
    assert repr(table) == "Table(n_rows=1, n_features=1, labels=False)"


@pytest.mark.parametrize("name", ["bank_marketing", "hotel_bookings", "fate_breast"])
@pytest.mark.parametrize("side", ["guest", "host"])
def test_public_sets_have_the_documented_rows_kinds_and_gaps(name: str, side: str) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip("the shared data sets are not beside the checkout")
    meta = json.loads((folder / "meta.json").read_text())
    kinds = {column["name"]: column["kind"] for column in meta[f"{side}_columns"]}
    missing = {column["name"]: column.get("missing", 0) for column in meta[f"{side}_columns"]}
    label = "y" if side == "guest" else None
    table = read_table(folder / f"{side}.csv.gz", label_column=label, kinds=kinds, observation_date=meta["observation_date"])
    assert table.n_rows == meta["rows"]
    assert table.kinds == kinds
    assert table.features.isna().sum().to_dict() == missing
    if table.labels is not None:
        assert int((table.labels == 1).sum()) == meta["positives"]


# --- bad files ---------------------------------------------------------------------------------------------------

BAD_FILES: list[tuple[str, dict[str, Any], str]] = [
    # text of the file, settings, the culprit ("<path>" = the file)
    ("", {}, "<path>"),
    ("\n", {}, "<path>"),
    ("id,a\n", {}, "id"),
    ("id,,a\n1,2,3\n", {}, "<path>"),
    ("id,a,a\n1,2,3\n", {}, "a"),
    ("id,id,a\n1,2,3\n", {}, "id"),
    ("id\n1\n", {}, "<path>"),
    ("id,y\n1,0\n2,1\n", {"label_column": "y"}, "<path>"),
    (f"id,a\n1,{CANARY},3\n", {}, "<path>"),
    ("id,a,b\n1,2,3\n2,3\n", {}, "<path>"),
    (f'id,a\n1,"{CANARY}\n', {}, "<path>"),
    (f'id,a\n1,"{CANARY}"x\n', {}, "<path>"),
    ("id;a\n1;2\n", {}, "id"),
    (PLAIN, {"id_column": "customer"}, "customer"),
    (PLAIN, {"label_column": "target"}, "target"),
    (PLAIN, {"kinds": {"nosuch": "numeric"}}, "kinds"),
    (PLAIN, {"kinds": {"id": "numeric"}}, "kinds"),
    (PLAIN, {"kinds": {"y": "numeric"}, "label_column": "y"}, "kinds"),
    (PLAIN, {"kinds": {"a": "float"}}, "kinds"),
    (PLAIN, {"kinds": {"a": None}}, "kinds"),
    (PLAIN, {"kinds": ["a"]}, "kinds"),
    (PLAIN, {"kinds": {"c": "numeric"}}, "c"),
    (PLAIN, {"kinds": {"c": "date"}, "observation_date": "2020-01-01"}, "c"),
    (PLAIN, {"id_format": "uuid"}, "id_format"),
    (PLAIN, {"id_format": None}, "id_format"),
    (PLAIN, {"id_column": ""}, "id_column"),
    (PLAIN, {"id_column": None}, "id_column"),
    (PLAIN, {"label_column": "id"}, "label_column"),
    (PLAIN, {"label_column": 3}, "label_column"),
    (PLAIN, {"date_format": "ISO8601"}, "date_format"),
    (PLAIN, {"date_format": None}, "date_format"),
    (PLAIN, {"date_format": "%Q"}, "date_format"),
    (PLAIN, {"date_format": "%G"}, "date_format"),
    (PLAIN, {"date_format": "%Y%z"}, "date_format"),
    (PLAIN, {"observation_date": "01.02.2020"}, "observation_date"),
    (PLAIN, {"observation_date": 20200101}, "observation_date"),
    (PLAIN, {"observation_date": "2020-01-01T00:00+08:00"}, "observation_date"),
    (PLAIN, {"id_format": "phone"}, "id"),
    ("id,a\n1,2020-01-01\n", {}, "observation_date"),
    ("id,a\n1,2020-01-01\n2,2020-01-03\n", {"observation_date": "2020-01-02"}, "a"),
    ("id,a\n1,2020-02-30\n", {"kinds": {"a": "date"}, "observation_date": "2020-03-02"}, "a"),
    ("id,a\n1,5\n2,inf\n", {}, "a"),
    ("id,a\n1,5\n2,-Infinity\n", {}, "a"),
    ("id,a\n1,5\n2,nan\n", {}, "a"),
    ("id,a\n1,5\n2,1e999\n", {}, "a"),
    ("id,a\n1,5\n2,NaN\n", {"kinds": {"a": "numeric"}}, "a"),
    (f"id,a\n{CANARY},5\n{CANARY},6\n", {}, "id"),
    ("id,a\n1,5\n,6\n", {}, "id"),
    (f"id,a\n1,5\n {CANARY},6\n", {}, "id"),
    (f"id,a\n1,5\n{CANARY}\x00,6\n", {}, "id"),
    ("id,a\ne\u0301,5\n\u00e9,6\n", {}, "id"),  # one customer in two Unicode forms
    ("id,y,a\n1,1,5\n2,,6\n3,0,6\n", {"label_column": "y"}, "y"),
    (f"id,y,a\n1,1,5\n2,{CANARY},6\n3,0,6\n", {"label_column": "y"}, "y"),
    ("id,y,a\n1,1,5\n2,2,6\n3,0,6\n", {"label_column": "y"}, "y"),
    ("id,y,a\n1,1,5\n2,-1,6\n3,0,6\n", {"label_column": "y"}, "y"),
    ("id,y,a\n1,0,5\n2,-1,6\n", {"label_column": "y"}, "y"),
    ("id,y,a\n1,1,5\n2,1,6\n", {"label_column": "y"}, "y"),
    ("id,y,a\n1,true,5\n2,-1,6\n", {"label_column": "y"}, "y"),
    ("id,y,a\n1,nan,5\n2,1,6\n3,0,6\n", {"label_column": "y"}, "y"),
    ("id,y,a\n1,yes,5\n2,no,6\n", {"label_column": "y"}, "y"),
]


@pytest.mark.parametrize(("text", "options", "culprit"), BAD_FILES)
def test_bad_file_is_refused_by_name(tmp_path: Path, text: str, options: dict[str, Any], culprit: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_table(path, **options)
    assert caught.value.argument == (str(path) if culprit == "<path>" else culprit)
    assert CANARY not in str(caught.value)


# --- bad frames --------------------------------------------------------------------------------------------------

IDS = ["a", "b"]
BAD_FRAMES: list[tuple[Any, dict[str, Any], str]] = [
    (None, {}, "frame"),
    ({"id": IDS, "x": [1, 2]}, {}, "frame"),
    (pd.DataFrame({"id": IDS, 3: [1, 2]}), {}, "frame"),
    (pd.DataFrame({"id": IDS, "": [1, 2]}), {}, "frame"),
    (pd.DataFrame({"id": IDS}), {}, "frame"),
    (pd.DataFrame([["a", 1, 2]], columns=["id", "x", "x"]), {}, "x"),
    (pd.DataFrame({"id": [1.0, 2.0], "x": [1, 2]}), {}, "id"),
    (pd.DataFrame({"id": [True, False], "x": [1, 2]}), {}, "id"),
    (pd.DataFrame({"id": ["a", 2.5], "x": [1, 2]}), {}, "id"),
    (pd.DataFrame({"id": ["a", None], "x": [1, 2]}), {}, "id"),
    (pd.DataFrame({"id": [b"a", b"b"], "x": [1, 2]}), {}, "id"),
    (pd.DataFrame({"id": [datetime.date(2020, 1, 1), "b"], "x": [1, 2]}), {}, "id"),
    (pd.DataFrame({"id": ["7", 7], "x": [1, 2]}), {}, "id"),
    (pd.DataFrame({"id": IDS, "x": [1.0, np.inf]}), {}, "x"),
    (pd.DataFrame({"id": IDS, "x": [1.0, -np.inf]}), {}, "x"),
    (pd.DataFrame({"id": IDS, "x": [1j, 2j]}), {}, "x"),
    (pd.DataFrame({"id": IDS, "x": [b"p", b"q"]}), {}, "x"),
    (pd.DataFrame({"id": IDS, "x": [[1], [2]]}), {}, "x"),
    (pd.DataFrame({"id": IDS, "x": pd.to_timedelta([1, 2], unit="D")}), {}, "x"),
    (pd.DataFrame({"id": IDS, "x": pd.to_datetime(["2020-01-01"] * 2).tz_localize("UTC")}), {"observation_date": "2021-01-01"}, "x"),
    (pd.DataFrame({"id": IDS, "x": pd.to_datetime(["2020-01-01"] * 2)}), {}, "observation_date"),
    (pd.DataFrame({"id": IDS, "x": pd.to_datetime(["2020-01-01"] * 2)}), {"kinds": {"x": "numeric"}}, "x"),
    (pd.DataFrame({"id": IDS, "x": pd.to_datetime(["2020-01-01"] * 2)}), {"kinds": {"x": "categorical"}}, "x"),
    (pd.DataFrame({"id": IDS, "x": [1.5, 2.5]}), {"kinds": {"x": "date"}, "observation_date": "2021-01-01"}, "x"),
    (pd.DataFrame({"id": IDS, "x": [1, 2], "y": [0.5, 1]}), {"label_column": "y"}, "y"),
    (pd.DataFrame({"id": IDS, "x": [1, 2], "y": [np.nan, 1]}), {"label_column": "y"}, "y"),
    (pd.DataFrame({"id": IDS, "x": [1, 2], "y": [None, True]}), {"label_column": "y"}, "y"),
    (pd.DataFrame({"id": IDS, "x": [1, 2], "y": [True, True]}), {"label_column": "y"}, "y"),
    (pd.DataFrame({"id": IDS, "x": [1, 2], "y": [[0], [1]]}), {"label_column": "y"}, "y"),
]


@pytest.mark.parametrize(("frame", "options", "culprit"), BAD_FRAMES)
def test_bad_frame_is_refused_by_name(frame: Any, options: dict[str, Any], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        table_from_frame(frame, **options)
    assert caught.value.argument == culprit


def test_row_numbers_are_the_first_ten() -> None:
    frame = pd.DataFrame({"id": ["u", *["same"] * 12, "v"], "x": range(14)})
    with pytest.raises(DataError, match=r"rows 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 \(and 2 more\)") as caught:
        table_from_frame(frame)
    assert "same" not in str(caught.value)


# --- bad parts of a Table ----------------------------------------------------------------------------------------


def parts(**change: Any) -> dict[str, Any]:
    good = {"ids": np.array(IDS, dtype=object), "features": pd.DataFrame({"x": [1.0, 2.0]}), "kinds": {"x": "numeric"}, "labels": None}
    return {**good, **change}


BAD_PARTS: list[tuple[dict[str, Any], str]] = [
    (parts(ids=IDS), "ids"),
    (parts(ids=np.array(IDS)), "ids"),
    (parts(ids=np.array([], dtype=object)), "ids"),
    (parts(ids=np.array(["a", 1], dtype=object)), "ids"),
    (parts(ids=np.array(["a", ""], dtype=object)), "ids"),
    (parts(ids=np.array(["a", "a"], dtype=object)), "ids"),
    (parts(features=np.ones((2, 1))), "features"),
    (parts(features=pd.DataFrame({"x": [1.0]})), "features"),
    (parts(kinds={}), "kinds"),
    (parts(kinds={"z": "numeric"}), "kinds"),
    (parts(kinds={"x": "other"}), "kinds"),
    (parts(kinds={"x": "categorical"}), "x"),
    (parts(features=pd.DataFrame({"x": [1, 2]})), "x"),
    (parts(features=pd.DataFrame({"x": ["p", "q"]})), "x"),
    (parts(labels=[1, -1]), "labels"),
    (parts(labels=np.array([1, -1])), "labels"),
    (parts(labels=np.array([1], dtype=np.int8)), "labels"),
    (parts(labels=np.array([1, 0], dtype=np.int8)), "labels"),
]


@pytest.mark.parametrize(("bad", "culprit"), BAD_PARTS)
def test_bad_table_parts_are_refused_by_name(bad: dict[str, Any], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        Table(**bad)
    assert caught.value.argument == culprit


@pytest.mark.parametrize("index", [[], [2], [-1], [0, 0], [0.0], [[0]], None, "01", [True], [False, False], np.array([None, 1])])
def test_bad_take_is_refused(index: Any) -> None:
    with pytest.raises(InputError) as caught:
        Table(**parts()).take(index)
    assert caught.value.argument == "index"


def test_missing_only_column_is_numeric(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "id,a,b\n1,,3\n2,,\n"))
    assert table.kinds == {"a": "numeric", "b": "numeric"}
    assert all(math.isnan(cell) for cell in table.features["a"])

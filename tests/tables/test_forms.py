"""Tables as people have them: what is declared is read right, what is not is refused with the setting that decides it."""

from __future__ import annotations

import gzip
import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vflfast.errors import DataError, InputError
from vflfast.tables.forms import Forms
from vflfast.tables.plan import SPECIAL
from vflfast.tables.table import Table, read_table, table_from_frame
from vflfast.tables.understanding import lonely_values

N = 40
AMOUNTS = [1234.5 + 1000 * k for k in range(N)]
DAYS = [f"{2010 + k % 9}-{1 + k % 12:02d}-{1 + k % 28:02d}" for k in range(N)]


def write(path: Path, columns: dict[str, list[Any]], *, separator: str = ",", encoding: str = "utf-8", quote: bool = True) -> Path:
    """A file with ids c0, c1, … and these columns."""
    rows = [["id", *columns], *([f"c{k}", *cells] for k, cells in enumerate(zip(*columns.values(), strict=True)))]
    text = "\n".join(separator.join(f'"{cell}"' if quote and separator in str(cell) else str(cell) for cell in row) for row in rows) + "\n"
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refusal(path: Path, **reading: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_table(path, **reading)
    return str(caught.value)


def dates(**more: Any) -> dict[str, Any]:
    return {"observation_date": "2020-01-01", **more}


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "cp1252"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_every_encoding_and_separator_reads_the_same_cells(separator: str, encoding: str, suffix: str, tmp_path: Path) -> None:
    names = ["职员", "工人"] if encoding not in ("cp1252",) else ["café", "naïve"]
    cells = {"job": [names[k % 2] for k in range(N)], "age": list(range(N))}
    path = write(tmp_path / f"t{suffix}", cells, separator=separator, encoding=encoding)
    table = read_table(path, encoding="utf-8" if encoding == "utf-8-sig" else encoding, separator=separator)
    assert table.features["job"].tolist() == cells["job"]
    assert table.features["age"].tolist() == [float(k) for k in range(N)]


@pytest.mark.parametrize(("encoding", "named"), [("gb18030", "gb18030"), ("utf-16", "utf-16")])
def test_another_encoding_is_refused_with_those_that_it_could_be(encoding: str, named: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"job": ["工人", "职员"] * (N // 2)}, encoding=encoding)
    assert f'encoding = "{named}"' in refusal(path)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_named(separator: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"a": [1] * N, "b": [2] * N}, separator=separator)
    assert "separator = " in refusal(path)


def test_an_index_column_is_named_and_can_be_dropped(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({"id": [f"c{k}" for k in range(5)], "age": range(5)}).to_csv(path)
    assert 'column 1 has no name in the header, and looks like the row numbers that pandas writes; drop = [""]' in refusal(path)
    assert read_table(path, drop=[""]).feature_names == ["age"]


def test_columns_are_dropped_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"a": [1] * N, "memo": [f"called {k}" for k in range(N)]})
    assert read_table(path, drop=["memo"]).feature_names == ["a"]
    with pytest.raises(InputError, match="drop: 'mem' is no column"):
        read_table(path, drop=["mem"])


# --- numbers -----------------------------------------------------------------------------------------------------

STYLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (lambda x: f"{x}", {}),
    "thousands": (lambda x: f"{x:,.1f}", {"thousands": ","}),
    "decimal comma": (lambda x: f"{x:.1f}".replace(".", ","), {"decimal": ","}),
    "both": (lambda x: f"{x:,.1f}".translate(str.maketrans(",.", ".,")), {"decimal": ",", "thousands": "."}),
    "spaces": (lambda x: f"{x:,.1f}".replace(",", " "), {"thousands": " "}),
    "currency": (lambda x: f"¥{x:.1f}", {"units": ["¥"]}),
    "percent": (lambda x: f"{x:.1f}%", {"units": ["%"]}),
    "words": (lambda x: f"{x:.1f} 元", {"units": ["元"]}),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("word", ["", "NULL", "n/a", "-", "不详"])
def test_numbers_are_read_right_or_refused_by_name(style: str, word: str, tmp_path: Path) -> None:
    """Eight forms and five words: with what is declared the numbers; without it a refusal that names what to declare."""
    form, declared = STYLES[style]
    cells = [word if k % 8 == 3 else form(x) for k, x in enumerate(AMOUNTS)]
    path = write(tmp_path / "t.csv", {"balance": cells})
    table = read_table(path, **declared, missing=[word] if word else None)
    expected = [np.nan if k % 8 == 3 else x for k, x in enumerate(AMOUNTS)]
    assert table.kinds == {"balance": "numeric"}
    np.testing.assert_array_equal(table.features["balance"].to_numpy(), expected)
    if not declared and not word:
        return
    told = refusal(path)
    assert "balance: " in told
    for name in declared or ["missing"]:
        assert f"{name} = " in told, told


def test_words_that_several_rows_share_are_shown_and_no_others(tmp_path: Path) -> None:
    cells: list[Any] = list(range(N))
    cells[3], cells[5], cells[7], cells[9] = "closed", "closed", "Mr Smith", "NULL"
    told = refusal(write(tmp_path / "t.csv", {"age": cells}))
    assert '4 of 40 cells are no numbers, in rows 4, 6, 8, 10: "closed", "NULL"' in told
    assert "Smith" not in told


def test_bad_cells_may_count_as_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cells: list[Any] = list(range(N))
    cells[3] = "x"
    path = write(tmp_path / "t.csv", {"age": cells})
    table = read_table(path, bad_cells="missing")
    assert table.features["age"].isna().tolist() == [k == 3 for k in range(N)]
    assert "age: 1 cells are no numbers and count as missing" in caplog.text
    assert read_table(path, kinds={"age": "categorical"}).kinds == {"age": "categorical"}


def test_missing_words_of_one_column_are_levels_of_another(tmp_path: Path) -> None:
    ages, pets = ["none" if k % 4 else k for k in range(N)], ["none" if k % 4 else "cat" for k in range(N)]
    path = write(tmp_path / "t.csv", {"age": ages, "pet": pets})
    table = read_table(path, missing={"age": ["none"]})
    assert (table.kinds["age"], table.features["age"].isna().sum()) == ("numeric", 30)
    assert set(table.features["pet"]) == {"none", "cat"}


def test_digits_with_leading_zeros_ask_for_their_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"postcode": [f"{k:05d}" for k in range(N)]})
    assert 'kinds = {postcode = "categorical"}' in refusal(path)
    assert read_table(path, kinds={"postcode": "categorical"}).features["postcode"][7] == "00007"
    assert read_table(path, kinds={"postcode": "numeric"}).features["postcode"][7] == 7.0


def test_special_values_are_missing_and_levels_of_a_feature_beside(tmp_path: Path) -> None:
    cells = [-9999 if k % 10 == 1 else -8888 if k % 10 == 2 else 20 + k for k in range(N)]
    path = write(tmp_path / "t.csv", {"age": cells, "pay": list(range(N))})
    table = read_table(path, special_values={"age": [-9999, -8888]})
    assert table.kinds == {"age": "numeric", "age" + SPECIAL: "categorical", "pay": "numeric"}
    assert table.features["age"].isna().sum() == 8
    assert table.features["age" + SPECIAL].value_counts().to_dict() == {"-9999": 4, "-8888": 4}
    with pytest.raises(InputError, match="special_values: 'wage' is no feature column"):
        read_table(path, special_values={"wage": [1]})


def test_extreme_values_far_from_all_others_are_asked_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cells = [-9999 if k % 10 == 1 else -8888 if k % 10 == 2 else 20 + k for k in range(N)]
    read_table(write(tmp_path / "t.csv", {"age": cells}))
    assert "age: 2 extreme values in 20.0% of the cells, far from all others" in caplog.text
    assert "9999" not in caplog.text  # no cell is logged; `inspect` shows them
    found = lonely_values(np.array(cells, dtype=np.float64))
    assert found is not None
    assert found.setting("age") == "special_values = {age = [-9999, -8888]}"


@pytest.mark.parametrize("values", [
    np.arange(100.0), np.r_[np.zeros(60), np.arange(40.0)], np.r_[np.arange(98.0), 1e6, 1e6],
    np.random.default_rng(0).lognormal(0, 3, 1000),
    np.ones(10), np.r_[np.zeros(50), np.ones(50)], np.r_[np.zeros(85), np.ones(15)],
])  # fmt: skip
def test_ordinary_numbers_are_not_asked_about(values: np.ndarray) -> None:
    assert lonely_values(values) is None


# --- dates -------------------------------------------------------------------------------------------------------

DATE_FORMS = [
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%d.%m.%Y", "%d-%b-%Y", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y-%m-%dT%H:%M:%S",
]  # fmt: skip
EXPECTED = (pd.Timestamp("2020-01-01") - pd.to_datetime(pd.Series(DAYS))).dt.days.astype(float).tolist()


@pytest.mark.parametrize(("form", "word"), list(itertools.product(DATE_FORMS, ["", "无", "0000-00-00"])))
def test_dates_are_read_right_or_refused_by_name(form: str, word: str, tmp_path: Path) -> None:
    texts = [pd.Timestamp(day).strftime(form) for day in DAYS]
    cells = [word if k % 8 == 3 else text for k, text in enumerate(texts)]
    path = write(tmp_path / "t.csv", {"since": cells})
    table = read_table(path, **dates(date_format=form, missing=[word] if word else None))
    assert table.kinds == {"since": "date"}
    np.testing.assert_array_equal(table.features["since"].to_numpy(), [np.nan if k % 8 == 3 else x for k, x in enumerate(EXPECTED)])
    if form != "%Y-%m-%d" or word:
        assert "since: " in refusal(path, **dates())
        assert f'date_format = "{form}"' in refusal(path, **dates())


def test_one_bad_date_is_an_error_with_its_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cells = [*DAYS[:7], "2019-02-30", *DAYS[8:]]
    path = write(tmp_path / "t.csv", {"since": cells})
    told = refusal(path, **dates())
    assert "39 of 40 cells are dates of the form %Y-%m-%d; 1 is none, in row 8" in told
    assert 'bad_cells = "missing"' in told
    assert "02-30" not in told
    table = read_table(path, **dates(bad_cells="missing", kinds={"since": "date"}))
    assert table.features["since"].isna().sum() == 1
    assert "since: 1 cells are no dates" in caplog.text


def test_several_formats_and_days_that_both_could_be(tmp_path: Path) -> None:
    columns = {"a": DAYS, "b": [pd.Timestamp(day).strftime("%d/%m/%Y") for day in DAYS]}
    path = write(tmp_path / "t.csv", columns)
    table = read_table(path, **dates(date_format=["%Y-%m-%d", "%d/%m/%Y"]))
    assert table.features["a"].tolist() == table.features["b"].tolist() == EXPECTED
    path = write(tmp_path / "u.csv", {"a": ["01/02/2019", "03/04/2019"] * 20})
    assert "both may fit" in refusal(path, **dates())
    assert "other days: name one" in refusal(path, **dates(date_format=["%d/%m/%Y", "%m/%d/%Y"]))


def test_times_with_a_zone_need_that_of_the_table(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"since": [f"{day}T23:00:00+08:00" for day in DAYS]})
    assert "time_zone" in refusal(path, **dates())
    here = read_table(path, **dates(time_zone="+08:00")).features["since"]
    assert here.tolist() == read_table(path, **dates(time_zone="Asia/Shanghai")).features["since"].tolist()
    assert here.tolist() == [x - 23 / 24 for x in EXPECTED]
    assert read_table(path, **dates(time_zone="+00:00")).features["since"].tolist() == [x - 15 / 24 for x in EXPECTED]


# --- ids and labels ----------------------------------------------------------------------------------------------


def test_ids_that_went_through_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,age\n" + "".join(f"{1000 + k}.0,{k}\n" for k in range(N)))
    assert 'id_format = "digits"' in refusal(path)
    assert read_table(path, id_format="digits").ids.tolist() == [str(1000 + k) for k in range(N)]
    path.write_text("id,age\n" + "".join(f"{k:08d},{k}\n" for k in range(1, N)))
    assert read_table(path, id_format="digits").ids[0] == "1"
    path.write_text("id,age\n1.38E+10,3\n1.39E+10,3\n")
    assert "spreadsheet" in refusal(path)
    assert "no digits" in refusal(path, id_format="digits")


def labelled(tmp_path: Path, cells: list[str], **reading: Any) -> Table:
    return read_table(write(tmp_path / "t.csv", {"y": cells, "age": list(range(len(cells)))}), label_column="y", **reading)


BAD, GOOD = {"positive_label": "bad"}, {"negative_label": "good"}


@pytest.mark.parametrize("given", [BAD, GOOD, BAD | GOOD])
def test_labels_in_words(given: dict[str, str], tmp_path: Path) -> None:
    cells = ["bad" if k % 3 == 0 else "good" for k in range(N)]
    labels = labelled(tmp_path, cells, **given).labels
    assert labels is not None
    assert labels.tolist() == [1 if k % 3 == 0 else -1 for k in range(N)]


def test_labels_that_are_not_what_was_declared(tmp_path: Path) -> None:
    cells = ["bad" if k % 3 == 0 else "good" for k in range(N)]
    for given, words in (
        ({}, '"good", "bad". Say which one is positive: positive_label'), ({"positive_label": "Bad"}, "no cell is 'Bad'"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=words):
            labelled(tmp_path, cells, **given)
    with pytest.raises(DataError, match=r"3 different values.*a label has two"):
        labelled(tmp_path, [*cells[:-2], "open", "open"], positive_label="bad")


def test_rows_without_a_label_are_left_out_on_demand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cells = ["" if k in (3, 17) else str(k % 2) for k in range(N)]
    with pytest.raises(DataError, match='no label in rows 4, 18; unlabelled = "leave out" leaves these 2 rows out'):
        labelled(tmp_path, cells)
    caplog.set_level(logging.WARNING)
    table = labelled(tmp_path, cells, unlabelled="leave out")
    kept = [k for k in range(N) if k not in (3, 17)]
    assert table.ids.tolist() == [f"c{k}" for k in kept]
    assert table.features["age"].tolist() == [float(k) for k in kept]
    assert table.labels is not None
    assert table.labels.tolist() == [1 if k % 2 else -1 for k in kept]
    assert "2 of 40 rows have no label and are left out" in caplog.text


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "words"), [
    ({"separator": "::"}, "separator: must be one of"), ({"decimal": ";"}, "decimal:"),
    ({"thousands": ".", "decimal": "."}, "thousands: must differ"),
    ({"encoding": "utf-99"}, "encoding: must be an encoding"), ({"encoding": "base64"}, "encoding:"),
    ({"missing": "NULL"}, "missing: must be a list"),
    ({"special_values": [1]}, "special_values: must be a table"), ({"special_values": {"age": [True]}}, "special_values:"),
    ({"drop": [1]}, "drop:"),
    ({"bad_cells": "skip"}, "bad_cells:"), ({"unlabelled": "drop"}, "unlabelled:"), ({"time_zone": "Mars/Olympus"}, "time_zone:"),
    ({"positive_label": "a", "negative_label": "a"}, "negative_label: must differ"), ({"words": []}, "words: is no setting of a table"),
    ({"positive_label": 1.5}, "positive_label: must be a text"),
])  # fmt: skip
def test_settings_that_cannot_be(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Forms.of(given)
    assert words in str(caught.value)


def test_a_data_frame_is_understood_in_the_same_way() -> None:
    frame = pd.DataFrame({"id": [f"c{k}" for k in range(N)], "age": ["NULL" if k % 8 == 3 else str(k) for k in range(N)]})
    with pytest.raises(DataError, match=r'missing = \["NULL"\]'):
        table_from_frame(frame)
    assert table_from_frame(frame, missing=["NULL"]).features["age"].isna().sum() == 5


def test_a_table_of_pyarrow_is_one_too() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    made = pyarrow.table({"id": ["a", "b", "c"], "age": [1, None, 3], "city": ["x", "y", None]})
    table = table_from_frame(made)
    assert table.kinds == {"age": "numeric", "city": "categorical"}
    assert table.features["age"].isna().tolist() == [False, True, False]
    with pytest.raises(InputError, match="polars or pyarrow"):
        table_from_frame({"id": ["a"]})


@pytest.mark.parametrize("cells", [["T1", "T2", "T3"], ["DE001", "DE002"], ["A-1", "B-2"], ["1st", "2nd", "3rd"], ["Q1 2019", "Q2 2019"]])
def test_names_with_digits_are_categories(cells: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"grade": [cells[k % len(cells)] for k in range(N)]})
    assert read_table(path).kinds == {"grade": "categorical"}

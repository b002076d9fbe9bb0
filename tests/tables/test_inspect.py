"""What `inspect` says of a table: the verdict on every column, in the words with which training would refuse it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest

from vflfast.errors import DataError
from vflfast.tables.inspect import ColumnReport, TableReport, inspect_file, starting_section
from vflfast.tables.table import read_table

N = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "bank.csv"
    pd.DataFrame({
        "phone": [f"c{k}" for k in range(N)], "bought": [k % 3 == 0 for k in range(N)], "age": [20 + k for k in range(N)],
        "asked": [-9999 if k % 6 == 0 else k for k in range(N)], "since": [f"201{k % 9}-03-0{1 + k % 9}" for k in range(N)],
        "job": [["clerk", "worker", "Clerk "][k % 3] for k in range(N)], "memo": [f"called on {k}" for k in range(N)],
        "country": ["CN"] * N, "nothing": [None] * N, "pay": ["NULL" if k % 5 == 0 else str(k) for k in range(N)],
        "postcode": [f"{k:06d}" for k in range(N)],
    }).to_csv(target, index=False)  # fmt: skip
    return target


READING = {"id_column": "phone", "label_column": "bought", "observation_date": "2020-01-01"}


def columns(report: TableReport) -> dict[str, ColumnReport]:
    return {one.name: one for one in report.columns}


def test_every_column_has_its_verdict(path: Path) -> None:
    report = inspect_file(path, READING)
    assert {one.name: one.verdict for one in report.columns} == {
        "phone": "id", "bought": "label", "age": "number", "asked": "number", "since": "date", "job": "category", "memo": "free text",
        "country": "constant", "nothing": "empty", "pay": "undecided", "postcode": "undecided",
    }  # fmt: skip
    found = columns(report)
    assert (found["age"].first, found["age"].last, found["age"].levels, found["age"].missing) == ("20", "79", 60, 0.0)
    assert (found["since"].first, found["since"].last) == ("2010-03-01", "2018-03-09")
    assert "special_values = {asked = [-9999]}" in found["asked"].warnings[0]
    assert "differ from others in case or outer spaces" in found["job"].warnings[0]
    assert "free text or ids" in found["memo"].warnings[0]
    assert (report.n_rows, report.readable) == (N, False)


def test_what_it_says_is_what_training_says(path: Path) -> None:
    found = columns(inspect_file(path, READING))
    with pytest.raises(DataError) as caught:
        read_table(path, **READING)
    assert caught.value.problem == found["pay"].problem
    settled = {**READING, "missing": ["NULL"], "kinds": {"postcode": "categorical"}}
    assert inspect_file(path, settled).readable
    assert read_table(path, **settled).kinds["pay"] == "numeric"  # type: ignore[arg-type]


def test_no_id_and_no_label_is_shown(path: Path) -> None:
    told = str(inspect_file(path, READING).to_dict())
    assert "c1" not in told
    assert "c59" not in told
    assert "True" not in told


def test_a_file_that_cannot_be_read_says_why(path: Path) -> None:
    path.write_text(path.read_text().replace(",", ";"))
    report = inspect_file(path, READING)
    assert report.problem is not None
    assert "separator = " in report.problem
    assert not report.readable


def test_a_section_to_start_from_reads_the_table(path: Path) -> None:
    settled = {**READING, "missing": ["NULL"]}
    text = starting_section(inspect_file(path, settled), settled)
    assert "# postcode: digits with leading zeros" in text
    section = tomllib.loads(text)["guest"]
    assert section["drop"] == ["memo", "country", "nothing"]
    section["kinds"]["postcode"] = "categorical"
    table = read_table(section.pop("file"), **section)
    assert table.feature_names == ["age", "asked", "since", "job", "pay", "postcode"]

"""Tables left in their files: the same features, bins and codes as read whole, one column in memory at a time."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vflfast.binning.binner import Binner
from vflfast.errors import DataError, InputError
from vflfast.tables import files
from vflfast.tables.table import OpenTable, open_table, read_table

NAN = np.nan
READING = {"label_column": "y", "observation_date": "2020-01-01"}


def frame(n_rows: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    gaps = rng.normal(size=n_rows).round(3)
    gaps[rng.random(n_rows) < 0.2] = NAN
    days = pd.Timestamp("2019-12-31") - pd.to_timedelta(rng.integers(0, 900, n_rows), unit="D")
    made: dict[str, Any] = {"a": rng.normal(size=n_rows), "id": [f"c{k:05d}" for k in range(n_rows)], "gaps": gaps}
    made |= {"job": rng.choice(["x, y", 'say "z"', "ü"], n_rows), "y": rng.integers(0, 2, n_rows), "when": days.strftime("%Y-%m-%d")}
    made |= {"sign": rng.integers(-1, 2, n_rows), "flag": (rng.random(n_rows) < 0.05).astype(int)}
    return pd.DataFrame(made)


def write(folder: Path, made: pd.DataFrame, suffix: str) -> Path:
    path = folder / f"t{suffix}"
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
        made.to_parquet(path, row_group_size=100)
    else:
        made.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("small", [True, False])
def test_codes_are_those_of_the_table_read_whole(suffix: str, small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if small:  # many chunks, a spilled file, groups of one column, threads
        monkeypatch.setattr(files, "CHUNK_CELLS", 100)
        monkeypatch.setattr(files, "SPOOL_BYTES", 1000)
        monkeypatch.setattr(files, "GROUP_CELLS", 1)
        monkeypatch.setattr("vflfast.binning.binner.SMALL_TABLE", 1)
    path = write(tmp_path, frame(), suffix)
    whole = read_table(path, **READING)
    rng = np.random.default_rng(5)
    train, test = np.split(rng.permutation(300), [200])
    for options in ({}, {"encoding": "onehot"}, {"encoding": "woe", "min_class_size": 20}, {"numeric": "levels"}):
        binner, parts = Binner.fit_transform(open_table(path, **READING), train, test, **options)
        assert binner == Binner.fit(whole, rows=train, **options)
        for part, rows in zip(parts, (train, test), strict=True):
            expected = binner.transform(whole, rows)
            np.testing.assert_array_equal(part.codes, expected.codes)
            np.testing.assert_array_equal(part.column_values, expected.column_values)
        again = open_table(path, **READING, kinds=binner.kinds)
        np.testing.assert_array_equal(binner.transform(again, test).codes, parts[1].codes)
        assert Binner.fit(again, rows=train, **options) == binner


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_open_table_can_be_read_in_any_order_and_again(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, frame(), suffix)
    opened, whole = open_table(path, **READING), read_table(path, **READING)
    assert isinstance(opened, OpenTable)
    assert opened.feature_names == whole.feature_names == ["a", "gaps", "job", "when", "sign", "flag"]
    for name in ["flag", "a", "job", "a", "when", "gaps"]:
        kind, cells = opened.column(name)
        assert kind == whole.kinds[name]
        pd.testing.assert_series_equal(cells, whole.features[name], check_names=False)
    np.testing.assert_array_equal(opened.ids, whole.ids)
    np.testing.assert_array_equal(opened.labels, whole.labels)
    pd.testing.assert_frame_equal(opened.load().features, whole.features)
    assert repr(opened) == "OpenTable(n_rows=300, n_features=6, labels=True)"


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=4)


@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_from_the_temporary_file(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    made = pd.DataFrame({"id": [str(k) for k in range(len(rows))], "p": [r[0] for r in rows], "q": [r[1] for r in rows]})
    made.to_csv(path, index=False)
    opened = open_table(path, kinds={"p": "categorical", "q": "categorical"})
    for name in "pq":
        assert [cell or "" for cell in opened.column(name)[1]] == made[name].tolist()


def test_a_column_that_turns_to_text_after_many_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK_CELLS", 4)
    path = tmp_path / "t.csv"
    path.write_text("id,a,b\n" + "".join(f"r{k},{'7' if k < 9 else 'seven'},{k}\n" for k in range(10)))
    opened = open_table(path)
    with pytest.raises(DataError, match="1 of 10 cells are no numbers, in row 10"):
        opened.column("a")
    assert opened._source.fetch("a").tolist() == ["7"] * 9 + ["seven"]
    assert opened.column("b")[1].tolist() == [float(k) for k in range(10)]


def test_few_columns_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, frame(), ".parquet")
    monkeypatch.setattr(files, "GROUP_CELLS", 2 * 300)
    seen = []
    plain = files._ParquetReader._read

    def counted(reader: Any, names: list[str]) -> dict[str, Any]:
        assert not reader._ahead
        seen.append(names)
        return plain(reader, names)

    monkeypatch.setattr(files._ParquetReader, "_read", counted)
    Binner.fit_transform(open_table(path, **READING))
    assert max(map(len, seen)) == 2
    assert len(seen) <= 6


# --- refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_bad_cell_is_named_when_its_column_is_read(suffix: str, tmp_path: Path) -> None:
    made = frame()
    made.loc[41, "gaps"] = np.inf
    opened = open_table(write(tmp_path, made, suffix), **READING)
    for attempt in (lambda: opened.column("gaps"), lambda: Binner.fit_transform(opened), opened.load):
        with pytest.raises(DataError, match="row 42") as caught:
            attempt()
        assert caught.value.argument == "gaps"
    assert opened.column("a")[0] == "numeric"


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"overrides": {"job": "five"}}, "overrides"),
        ({"overrides": {"nosuch": "five"}}, "overrides"),
        ({"overrides": {"id": "five"}}, "overrides"),
        ({"overrides": {"y": "zero"}}, "overrides"),
        ({"overrides": {"a": "six"}}, "overrides"),
        ({"rows": np.array([0, 300])}, "rows"),
        ({"rows": np.ones(299, dtype=bool)}, "rows"),
        ({"later": np.array([-1])}, "later"),
    ],
)
def test_bad_settings_are_refused_for_an_open_table_too(options: dict[str, Any], culprit: str, tmp_path: Path) -> None:
    opened = open_table(write(tmp_path, frame(), ".csv"), **READING)
    with pytest.raises(InputError) as caught:
        Binner.fit_transform(opened, **options)
    assert caught.value.argument == culprit


def test_a_later_file_must_have_the_same_columns(tmp_path: Path) -> None:
    binner = Binner.fit(read_table(write(tmp_path, frame(), ".csv"), **READING))
    (tmp_path / "u").mkdir()
    for change, culprit in (({"a": "b"}, "a"), ({}, "extra")):
        made = frame().rename(columns=change)
        if not change:
            made["extra"] = 1
        with pytest.raises(DataError) as caught:
            binner.transform(open_table(write(tmp_path / "u", made, ".csv"), **READING))
        assert caught.value.argument == culprit
    made = frame()
    made["a"] = "text"
    with pytest.raises(DataError, match="is categorical, in training it was numeric") as caught:
        binner.transform(open_table(write(tmp_path / "u", made, ".csv"), **READING))
    assert caught.value.argument == "a"


def test_open_table_refuses_what_read_table_refuses_of_ids_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text, culprit in (("id,y,a\n1,1,2\n1,0,3\n", "id"), ("id,y,a\n1,1,2\n2,1,3\n", "y"), ("id,y\n1,1\n2,0\n", str(path))):
        path.write_text(text)
        with pytest.raises(DataError) as caught:
            open_table(path, label_column="y")
        assert caught.value.argument == culprit
    with pytest.raises(InputError) as wrong:
        open_table(7)  # type: ignore[arg-type]
    assert wrong.value.argument == "path"
    with pytest.raises(DataError):
        open_table(tmp_path / "damaged.csv.gz")
    (tmp_path / "damaged.csv.gz").write_bytes(gzip.compress(b"id,a\n1,2\n")[:-6])
    with pytest.raises(DataError) as caught:
        open_table(tmp_path / "damaged.csv.gz")
    assert caught.value.argument == str(tmp_path / "damaged.csv.gz")

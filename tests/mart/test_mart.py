"""The mart: built from several classes, joined by customer, read for matched rows only, and what is refused; a job on a store."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from support.jobs import refused, sections, succeeded, write_job, write_tables

from vflfast.errors import DataError, InputError
from vflfast.jobs.jobfile import read_job
from vflfast.mart import store as mart_store
from vflfast.mart.store import build, open_store, verify
from vflfast.mart.table import MartTable, open_mart, rows_of
from vflfast.tables import seal

ANN, BOB, CAT, DAN = "13800000001", "13800000002", "13800000003", "13800000004"
READING = {"id_column": "phone", "id_format": "phone"}


def spec(folder: Path) -> dict[str, dict[str, Any]]:
    """Two classes: three customers and two, one of them in both."""
    one = {"phone": [ANN, BOB, CAT], "amount": [1.5, None, 3], "city": ["x", None, "y"], "since": ["2020-01-01", None, "2021-01-01"]}
    pd.DataFrame(one).to_csv(folder / "credit.csv", index=False)
    pd.DataFrame({"phone": [DAN, CAT], "amount": [8, 7], "flag": [1, 0]}).to_parquet(folder / "payments.parquet")
    return {
        "credit": {"file": folder / "credit.csv", "observation_date": "2022-01-01", **READING},
        "payments": {"file": folder / "payments.parquet", **READING},
    }


@pytest.fixture
def store(tmp_path: Path) -> Path:
    build(spec(tmp_path), tmp_path / "store")
    return tmp_path / "store"


def cells(table: MartTable) -> dict[str, Any]:
    return {name: [None if x != x else x for x in table.column(name)[1].tolist()] for name in table.feature_names}


def test_classes_are_joined_by_customer(store: Path) -> None:
    table = open_mart(store)
    assert table.ids.tolist() == [ANN, BOB, CAT, DAN]
    assert cells(table) == {
        "credit.amount": [1.5, None, 3.0, None], "city": ["x", None, "y", None], "since": [731.0, None, 365.0, None],
        "payments.amount": [None, None, 7.0, 8.0], "flag": [None, None, 0.0, 1.0],
    }  # fmt: skip
    assert {name: table.column(name)[0] for name in table.feature_names} == {
        "credit.amount": "numeric", "city": "categorical", "since": "date", "payments.amount": "numeric", "flag": "numeric"}  # fmt: skip


def test_wanted_rows_come_in_the_wanted_order(store: Path) -> None:
    some = open_mart(store).at(np.array([3, 0, 2]))
    assert some.ids.tolist() == [DAN, ANN, CAT]
    assert cells(some)["credit.amount"] == [None, 1.5, 3.0]
    assert cells(some)["payments.amount"] == [8.0, None, 7.0]
    whole = some.load()
    assert (whole.n_rows, whole.feature_names) == (3, some.feature_names)


def test_only_wanted_rows_are_read(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mart_store, "ROW_GROUP", 1)
    build(spec(store.parent), store)
    read = []
    read_row_group = pyarrow.parquet.ParquetFile.read_row_group

    def counted(file: Any, k: int, **given: Any) -> Any:
        read.append(k)
        return read_row_group(file, k, **given)

    table = open_mart(store)
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "read_row_group", counted)
    assert cells(table.at([2])) == {"credit.amount": [3.0], "city": ["y"], "since": [365.0], "payments.amount": [7.0], "flag": [0.0]}
    assert read == [2, 1]  # of each class the row of CAT alone
    assert cells(table.at([3])) == {"credit.amount": [None], "city": [None], "since": [None], "payments.amount": [8.0], "flag": [1.0]}
    assert read == [2, 1, 0]


def test_many_row_groups_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    people = [f"c{k:03d}" for k in range(200)]
    for name, n_rows in (("a", 150), ("b", 90)):
        frame = pd.DataFrame(rng.normal(size=(n_rows, 2)), columns=[f"{name}_x", f"{name}_y"])
        frame.insert(0, "id", rng.permutation(people)[:n_rows])
        frame.to_parquet(tmp_path / f"{name}.parquet")
    found = []
    for size in (7, 1000):
        monkeypatch.setattr(mart_store, "ROW_GROUP", size)
        build({name: {"file": tmp_path / f"{name}.parquet"} for name in "ab"}, tmp_path / "store")
        table = open_mart(tmp_path / "store")
        found.append((table.ids.tolist(), cells(table), cells(table.at([5, 100, 3]))))
    assert found[0] == found[1]
    expected = pd.merge(*(pd.read_parquet(tmp_path / f"{name}.parquet") for name in "ab"), on="id", how="outer").sort_values("id")
    assert found[0][0] == expected["id"].tolist()
    assert found[0][1] == {name: [None if x != x else x for x in expected[name]] for name in table.feature_names}


def test_rows_of_cuts_marts_only(store: Path) -> None:
    table, whole = open_mart(store), open_mart(store).load()
    rows = np.array([2, 0])
    (cut, places), (same, kept) = rows_of([table, whole], [rows, rows])
    assert (cut.ids.tolist(), places.tolist()) == ([CAT, ANN], [0, 1])
    assert same is whole
    assert kept is rows


def test_one_class(store: Path) -> None:
    table = open_mart(store, ["payments"])
    assert table.ids.tolist() == [CAT, DAN]
    assert table.feature_names == ["amount", "flag"]


def test_hidden_names_are_codes_and_kinds_stay(store: Path) -> None:
    table = open_mart(store, names="hidden")
    assert table.feature_names == ["f0001", "f0002", "f0003", "f0004", "f0005"]
    shown = open_mart(store)
    kinds = [table.column(name)[0] for name in table.feature_names]
    assert kinds == [shown.column(name)[0] for name in shown.feature_names]
    assert "categorical" in kinds
    city = table.column("f0002")[1]
    assert all(len(code) == 12 for code in city.dropna())
    assert not set(city.dropna()) & set(shown.column(shown.feature_names[1])[1].dropna())
    assert city.isna().tolist() == [False, True, False, True]
    assert city[0] != city[2]
    assert open_mart(store, ["payments"], "hidden").feature_names == ["f0004", "f0005"]


def test_a_rebuilt_store_keeps_numbers_and_codes(store: Path, tmp_path: Path) -> None:
    before = open_mart(store, names="hidden").column("f0002")[1]
    classes = spec(tmp_path)
    frame = pd.read_csv(tmp_path / "credit.csv", dtype={"phone": str})
    frame.insert(1, "new", 1.0)
    frame["city"] = ["a", "b", "x"]
    frame.drop(columns="amount").to_csv(tmp_path / "credit.csv", index=False)
    build(classes, store)
    table = open_mart(store, names="hidden")
    assert table.feature_names == ["f0006", "f0002", "f0003", "f0004", "f0005"]
    assert table.column("f0002")[1][2] == before[0]
    del classes["payments"]
    build(classes, store)
    frame.rename(columns={"new": "newer"}).to_csv(tmp_path / "credit.csv", index=False)
    build(classes, store)
    assert "f0007" in open_mart(store, names="hidden").feature_names  # 4, 5 and 6 are retired


def test_a_class_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mart_store, "PART_CELLS", 3)
    build(spec(tmp_path), tmp_path / "store")
    assert len(list((tmp_path / "store").glob("*.parquet"))) == 5
    assert cells(open_mart(tmp_path / "store"))["since"] == [731.0, None, 365.0, None]


def test_names_that_look_like_sql(tmp_path: Path) -> None:
    odd = 'a" FROM x; --'
    pd.DataFrame({"id": ["1", "2"], odd: [1, 2], "'": [3, 4]}).to_parquet(tmp_path / "t'.parquet")
    build({"c' \"d": {"file": tmp_path / "t'.parquet"}}, tmp_path / "it's")
    assert cells(open_mart(tmp_path / "it's")) == {odd: [1.0, 2.0], "'": [3.0, 4.0]}


def test_a_build_that_fails_leaves_the_old_store(store: Path, tmp_path: Path) -> None:
    classes = spec(tmp_path)
    (tmp_path / "payments.parquet").write_bytes(b"PAR1")
    before = (store / "mart.json").read_bytes()
    with pytest.raises(DataError, match=r"classes.payments: .*payments.parquet"):
        build(classes, store)
    assert (store / "mart.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["credit.csv", "payments.parquet", "store"]


# --- damage ------------------------------------------------------------------------------------------------------


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edited(path: Path, change: Callable[[dict[str, Any]], Any], *, sealed: bool = True) -> None:
    saved = json.loads(path.read_text())
    change(saved)
    if sealed:
        saved = seal.sealed({key: value for key, value in saved.items() if key != "digest"})
    path.write_text(json.dumps(saved))


CATALOGUES: dict[str, Callable[[Path], Any]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "no object": lambda path: path.write_text("[]"),
    "cut": lambda path: path.write_text(path.read_text()[:-20]),
    "edited": lambda path: edited(path, lambda saved: saved["classes"].update(credit=9), sealed=False),
    "version": lambda path: edited(path, lambda saved: saved.update(version=2)),
    "format": lambda path: edited(path, lambda saved: saved.update(format="x")),
    "no features": lambda path: edited(path, lambda saved: saved.pop("features")),
    "features of another shape": lambda path: edited(path, lambda saved: saved.update(features=[["a"]])),
    "a file elsewhere": lambda path: edited(path, lambda saved: saved["files"].update({"../x": [1, "0"]})),
    "a part that is no file": lambda path: edited(path, lambda saved: saved["features"][0].__setitem__(1, "../x")),
}


@pytest.mark.parametrize("damage", CATALOGUES)
def test_a_damaged_catalogue(damage: str, store: Path) -> None:
    CATALOGUES[damage](store / "mart.json")
    with pytest.raises(DataError):
        open_store(store)


def test_a_damaged_file(store: Path) -> None:
    flipped(next(store.glob("*.parquet")))
    with pytest.raises(DataError, match="SHA-256"):
        verify(open_store(store))
    with pytest.raises(DataError, match="SHA-256"):
        open_mart(store)
    assert "SHA-256" in refused("mart", "info", store)


def test_a_file_of_another_size(store: Path) -> None:
    file = next(store.glob("*.parquet"))
    file.write_bytes(file.read_bytes() + b"0")
    with pytest.raises(DataError, match="another size"):
        open_store(store)
    file.unlink()
    with pytest.raises(DataError, match="missing"):
        open_store(store)


def test_a_file_that_goes_away_while_it_is_read(store: Path) -> None:
    table = open_mart(store)
    next(store.glob("*.parquet")).write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read"):
        cells(table)


# --- bad input ---------------------------------------------------------------------------------------------------


def classes(**changes: Any) -> Callable[[Path], Any]:
    def call(folder: Path) -> Any:
        made = spec(folder)
        made["credit"] |= changes
        return build(made, folder / "new")

    return call


BAD: list[tuple[Callable[[Path], Any], str]] = [
    (lambda folder: build({}, folder / "new"), "classes"),
    (lambda folder: build([], folder / "new"), "classes"),  # type: ignore[arg-type]
    (lambda folder: build({"": {"file": "x"}}, folder / "new"), "classes"),
    (lambda folder: build({"a\n": {"file": "x"}}, folder / "new"), "classes"),
    (lambda folder: build({"a": None}, folder / "new"), "classes.a.file"),  # type: ignore[dict-item]
    (lambda folder: build({"a": {}}, folder / "new"), "classes.a.file"),
    (lambda folder: build(spec(folder), folder), "folder"),
    (classes(file="nowhere.csv"), "classes.credit: nowhere.csv"),
    (classes(label_column="city"), "classes.credit.label_column"),
    (classes(id_format="text"), "id_format"),
    (classes(id_column="nothing"), "classes.credit: nothing"),
    (classes(id_column="city"), "classes.credit: city"),
    (classes(observation_date="2020-06-01"), "classes.credit: since"),
    (classes(kinds={"city": "numeric"}), "classes.credit: city"),
    (lambda folder: open_store(folder / "nothing"), "nothing"),
    (lambda folder: open_store(None), "mart"),  # type: ignore[arg-type]
    (lambda folder: open_mart(folder / "store", ["nothing"]), "classes"),
    (lambda folder: open_mart(folder / "store", []), "classes"),
    (lambda folder: open_mart(folder / "store", "credit"), "classes"),
    (lambda folder: open_mart(folder / "store", 3), "classes"),  # type: ignore[arg-type]
    (lambda folder: open_mart(folder / "store", names="secret"), "names"),
]


@pytest.mark.parametrize(("call", "culprit"), BAD)
def test_bad_input_is_refused_by_name(call: Callable[[Path], Any], culprit: str, store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        call(tmp_path)
    assert caught.value.argument.removeprefix(f"{tmp_path}/") in (culprit, str(tmp_path) if culprit == "folder" else culprit)
    assert ANN not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_the_stores_own_column(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["1"], "customer id": [1]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="the store's own id column"):
        build({"t": {"file": tmp_path / "t.csv"}}, tmp_path / "store")


@pytest.mark.parametrize("call", ["build", "open"])
def test_a_package_that_is_missing(call: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spec(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"pip install 'vflfast\[parquet\]'"):
        build(made, tmp_path / "new") if call == "build" else open_mart(store)


# --- command line and jobs ---------------------------------------------------------------------------------------


def test_build_and_info(tmp_path: Path) -> None:
    spec(tmp_path)
    (tmp_path / "spec.toml").write_text(
        '[classes.credit]\nfile = "credit.csv"\nid_column = "phone"\nid_format = "phone"\nobservation_date = 2022-01-01\n'
        '[classes.payments]\nfile = "payments.parquet"\nid_column = "phone"\nid_format = "phone"\n'
    )
    shown = json.loads(succeeded("mart", "build", tmp_path / "spec.toml", "--out", tmp_path / "store", "--json").stdout)
    assert shown["classes"]["credit"] == {"rows": 3, "columns": 3, "kinds": {"numeric": 1, "categorical": 1, "date": 1}}
    assert json.loads(succeeded("mart", "info", tmp_path / "store", "--json").stdout) == shown
    text = succeeded("mart", "info", tmp_path / "store").stdout
    assert "payments: 2 customers × 2 columns (2 numeric)" in text
    assert refused("mart", "build", tmp_path / "credit.csv", tmp_path / "sub" / "credit.csv", "--out", tmp_path / "x").count("credit")
    (tmp_path / "bad.toml").write_text("[classes")
    assert "no TOML" in refused("mart", "build", tmp_path / "bad.toml", "--out", tmp_path / "x")
    (tmp_path / "bad.toml").write_text("[settings]\n")
    assert "[classes.NAME]" in refused("mart", "build", tmp_path / "bad.toml", "--out", tmp_path / "x")


def mart_job(folder: Path, **host: Any) -> Path:
    """The tables of `write_tables`, the host's split into two classes; ids matched by ECDH."""
    write_tables(folder)
    table = pd.read_csv(folder / "host1.csv", dtype=str)
    files = [folder / "first.csv", folder / "second.csv"]
    table.iloc[:, :4].to_csv(files[0], index=False)
    table.iloc[:-20, [0, 4, 5]].to_csv(files[1], index=False)
    reading = ["--id-column", "customer", "--observation-date", "2026-01-01"]
    succeeded("mart", "build", *files, "--out", folder / "store", *reading)
    made = sections(folder, ids={"method": "ecdh"})
    made["hosts"] = [{"mart": "store", "organisation": "partner", **host}]
    return write_job(folder, made)


@pytest.mark.parametrize("names", ["shown", "hidden"])
def test_a_job_on_a_mart(names: str, tmp_path: Path) -> None:
    path = mart_job(tmp_path, names=names)
    summary = json.loads(succeeded("train", path, "--models", tmp_path / "models", "--verify", "--json").stdout)["summary"]
    assert (summary["match"]["matched"], summary["match"]["method"]) == (240, "ecdh")
    saved = json.loads((tmp_path / "models" / "host1.json").read_text())
    expected = {"shown": "host1_amount", "hidden": "f0001"}[names]
    assert saved["columns"][0].startswith(expected)
    assert names == "shown" or "host1_" not in json.dumps(saved)
    scored = json.loads(succeeded("score", path, "--models", tmp_path / "models", "--json").stdout)
    assert len(scored["columns"]["label"]) == 240


def test_the_weights_of_the_joined_table(tmp_path: Path) -> None:
    """A store of one class gives what the file gives, bit for bit."""
    write_tables(tmp_path)
    succeeded("mart", "build", tmp_path / "host1.csv", "--out", tmp_path / "store", "--id-column", "customer",
              "--observation-date", "2026-01-01")  # fmt: skip
    made = sections(tmp_path)
    hashes = []
    for k, host in enumerate((made["hosts"][0], {"mart": "store", "classes": ["host1"]})):
        path = write_job(tmp_path, made | {"hosts": [host]}, f"job{k}.toml")
        hashes.append(json.loads(succeeded("train", path, "--models", tmp_path / "m", "--json").stdout)["summary"]["weight_hash"])
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("host", "culprit"),
    [
        ({"mart": "store", "file": "x.csv"}, "host1.file"),
        ({"mart": "store", "id_column": "customer"}, "host1.id_column"),
        ({"mart": "store", "names": "secret"}, "host1.names"),
        ({"mart": 3}, "host1.mart"),
        ({"mart": ""}, "host1.mart"),
        ({"file": "host1.csv", "names": "hidden"}, "host1.names"),
        ({"file": "host1.csv", "classes": ["a"]}, "host1.classes"),
    ],
)
def test_bad_host_sections(host: dict[str, Any], culprit: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_job(write_job(tmp_path, sections(tmp_path) | {"hosts": [host]}))
    assert caught.value.argument == culprit


def test_a_guest_has_no_mart(tmp_path: Path) -> None:
    made = sections(tmp_path)
    made["guest"] = {"mart": "store", "label_column": "bought"}
    with pytest.raises(InputError, match=r"guest\.mart"):
        read_job(write_job(tmp_path, made))


def test_ids_stay_text_in_the_store(store: Path) -> None:
    for file in store.glob("*.parquet"):
        assert str(pyarrow.parquet.read_schema(file).field("customer id").type) == "string"

"""Ids read by passes: the same ids, reports and refusals as with all of them in memory."""

from __future__ import annotations

import logging
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import sections, write_tables
from support.passes import passes_of

from vflfast.errors import DataError, InputError
from vflfast.jobs import job as jobs
from vflfast.jobs.jobfile import job_from_mapping
from vflfast.jobs.matched import in_test_part
from vflfast.jobs.progress import StageClock
from vflfast.mart.store import build
from vflfast.mart.table import open_mart
from vflfast.matching.match import match_parties
from vflfast.tables import files
from vflfast.tables.id_forms import normalise
from vflfast.tables.id_texts import IdTexts
from vflfast.tables.table import open_table

KEY = bytes(range(16))
# --- reading -------------------------------------------------------------------------------------------------------


MANY = [f"c{k:03d}" for k in range(40)]


def changed(**cells: Any) -> list[Any]:
    made: list[Any] = list(MANY)
    for place, cell in cells.items():
        made[int(place[1:])] = cell
    return made


COLUMNS: dict[str, list[Any]] = {
    "good": MANY, "one": MANY[:1], "composed": changed(r3="e\u0301", r9="x y"), "twice": changed(r9="c007"),
    "twice once composed": changed(r2="e\u0301", r30="\u00e9"), "often": ["a", "b"] * 20, "missing": changed(r0="", r39=""),
    "outer space": changed(r2=" a", r20="b\t", r38=" c"), "missing after malformed": changed(r1=" a", r30=""), "none": [],
    "twice and malformed": changed(r1="c002", r30=" a"), "all malformed": [f" {k}" for k in range(1100)],
}  # fmt: skip
PARQUET: dict[str, Any] = {
    "whole numbers": list(range(40)), "numbers with gaps": [1, None, *range(5, 30)], "halves": [0.5] * 30, "booleans": [True, False] * 20,
    "booleans with gaps": [True] * 20 + [None], "bytes": [b"x"] * 3, "nothing": [None] * 20, "null after text": [*MANY, None],
    "days": list(pd.date_range("2020-01-01", periods=30)),
}  # fmt: skip


def read(path: Path, **reading: Any) -> Any:
    """The ids and labels of a file, or what is wrong with it."""
    try:
        table = open_table(path, **reading)
    except InputError as error:
        return type(error), str(error), error.argument
    return list(table.ids), None if table.labels is None else table.labels.tolist()


def same_by_passes(path: Path, scratch: Path, caplog: pytest.LogCaptureFixture, **reading: Any) -> Any:
    """Read a file in memory and by passes, which must agree in what they find, refuse and log."""
    scratch.mkdir()
    outcomes = []
    for size in (None, 1, 7, 8, 40, 1000):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "vflfast"):
            if size is None:
                outcomes.append((read(path, **reading), caplog.messages[:]))
            else:
                with passes_of(size, scratch):
                    outcomes.append((read(path, **reading), caplog.messages[:]))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    return outcomes[0][0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_is_read_or_refused_as_in_memory(case: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"id": COLUMNS[case], "x": np.arange(float(len(COLUMNS[case])))})
    path = tmp_path / f"t{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path, row_group_size=16)
    found = same_by_passes(path, tmp_path / "scratch", caplog)
    assert (found[0] == normalise(COLUMNS[case]).tolist()) if case in ("good", "one", "composed") else issubclass(found[0], DataError)


@pytest.mark.parametrize("case", PARQUET)
def test_a_column_of_another_type(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.parquet"
    cells: Any = pd.array(PARQUET[case], dtype="Int64") if case == "numbers with gaps" else PARQUET[case]
    pd.DataFrame({"id": cells, "x": 1.0}).to_parquet(path, row_group_size=16)
    found = same_by_passes(path, tmp_path / "scratch", caplog)
    assert found[0] == [str(k) for k in range(40)] if case == "whole numbers" else issubclass(found[0], DataError)


LABELS: dict[str, list[Any]] = {
    "0/1": [0, 1] * 20, "words": ["true", "False"] * 20, "signs": [-1, 1] * 20, "one class": [1] * 40, "mixed": [0, 1] * 19 + [-1, 1],
    "words and numbers": ["true"] * 20 + ["1"] * 20, "missing": [0, 1] * 19 + [None, 1], "other": [0, 1] * 19 + [2, 1],
    "text": ["yes", "no"] * 20, "halves": [0.5, 1] * 20,
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("case", LABELS)
def test_labels_are_read_or_refused_as_in_memory(case: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"id": MANY, "y": LABELS[case], "x": 1.0})
    path = tmp_path / f"t{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path, row_group_size=16)
    found = same_by_passes(path, tmp_path / "scratch", caplog, label_column="y")
    if case in ("0/1", "words", "signs"):
        assert found[1] == [1 if str(cell).lower() in ("1", "true") else -1 for cell in LABELS[case]]
    else:
        assert issubclass(found[0], DataError)


def test_a_damaged_column_is_refused_by_passes(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"id": [str(k) for k in range(500)], "x": np.arange(500.0)}).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(900) + whole[904:])
    with passes_of(7, tmp_path), pytest.raises(DataError) as caught:
        open_table(path)
    assert caught.value.argument in (str(path), "id")


@pytest.mark.parametrize("method", ["ecdh", "hmac"])
def test_a_job_is_prepared_with_the_same_bits(method: str, tmp_path: Path) -> None:
    write_tables(tmp_path)
    made = sections(tmp_path) | ({"ids": {"method": "ecdh"}} if method == "ecdh" else {})
    job = job_from_mapping(made, tmp_path)
    expected = jobs.prepare(job, StageClock())
    with passes_of(50, tmp_path):
        found = jobs.prepare(job, StageClock())
    assert {**found.match, "seconds": 0} == {**expected.match, "seconds": 0}
    assert found.binners == expected.binners
    for one, other in zip(found.inputs, expected.inputs, strict=True):
        assert one.commitment == other.commitment
        np.testing.assert_array_equal(one.matrix.codes, other.matrix.codes)
    np.testing.assert_array_equal(found.inputs[0].labels, expected.inputs[0].labels)
    assert found.test is not None
    assert expected.test is not None
    assert found.test.commitment == expected.test.commitment
    np.testing.assert_array_equal(found.test.labels, expected.test.labels)


def test_an_open_table_is_loaded_with_its_ids(tmp_path: Path) -> None:
    pd.DataFrame({"id": MANY, "x": 1.0}).to_csv(tmp_path / "t.csv", index=False)
    with passes_of(7, tmp_path):
        table = open_table(tmp_path / "t.csv")
        assert isinstance(table.ids, IdTexts)
        assert table.load().ids.tolist() == MANY
    assert not isinstance(open_table(tmp_path / "t.csv").ids, IdTexts)


def test_a_mart_has_the_same_customers_and_cells(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name, own in (("credit", MANY[:30]), ("web", MANY[:9:-1])):
        pd.DataFrame({"id": own, name: np.arange(float(len(own)))}).to_parquet(tmp_path / f"{name}.parquet")
    build({name: {"file": tmp_path / f"{name}.parquet"} for name in ("credit", "web")}, tmp_path / "store")
    rows = np.random.default_rng(0).permutation(40)[:23]
    plain, outcomes = open_mart(tmp_path / "store"), []
    with passes_of(7, tmp_path):
        far = open_mart(tmp_path / "store")
        assert isinstance(far.ids, IdTexts)
        assert isinstance(far.at(rows).ids, IdTexts)
        for mart in (plain, far):
            views = [mart, mart.at(rows)]
            outcomes.append([(list(view.ids), [view.column(name)[1].tolist() for name in view.feature_names]) for view in views])
    assert repr(outcomes[0]) == repr(outcomes[1])  # NaN is not equal to itself
    assert outcomes[0][0][0] == MANY


# --- memory --------------------------------------------------------------------------------------------------------


ROW_BYTES = 4  # that one more row may add: its label and a mark; an id as text takes about 60, its token 32
PASS = 500
BOUND_MB = 550  # of five million ids: a chunk of a CSV, a pass of ids, and the arrays below 64 MB


def traced(folder: Path, n_rows: int, scratch: Path | None, size: int = PASS) -> int:
    """The most bytes of memory, mapped arrays left out, that opening and matching tables of n and n / 2 rows takes."""
    for name, own in (("guest", range(n_rows)), ("host", range(n_rows // 4, n_rows // 4 + n_rows // 2))):
        lines = (f"{13_000_000_000 + (k * 7919) % n_rows},{k % 2},{k % 10}\n" for k in own)
        (folder / f"{name}.csv").write_text("id,y,x\n" + "".join(lines))
    with passes_of(size, scratch):
        tracemalloc.start()
        try:
            tables = [open_table(folder / f"{name}.csv", id_format="phone", label_column="y") for name in ("guest", "host")]
            positions, _, _ = match_parties([table.ids for table in tables], method="hmac", key=KEY)
            in_test_part(tables[0].ids, positions[0], 0.3)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_memory_hardly_grows_with_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SPOOL_BYTES", 1000)
    few, many = 3_000, 12_000
    traced(tmp_path, PASS, tmp_path)  # what is loaded at the first use is not counted
    least = traced(tmp_path, few, tmp_path)
    assert traced(tmp_path, many, tmp_path) - least < ROW_BYTES * 1.5 * (many - few)
    for control in (traced(tmp_path, many, None), traced(tmp_path, many, tmp_path, many)):  # the bound tells: in memory; in one pass
        assert control - least > 60 * 1.5 * (many - few)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_five_million_ids_within_a_bound(tmp_path: Path) -> None:
    """Each match in a process of its own, whose memory is looked at from inside; what is no page of a file counts."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
    from bench_matching import run

    inside, outside = run(4_000_000, 1_000_000), run(4_000_000, 1_000_000, scratch=tmp_path)
    assert outside["result"] == inside["result"]
    assert outside["scratch MB"] > 128
    assert outside["anonymous MB"] < BOUND_MB < 0.8 * inside["anonymous MB"]

"""Ids by passes: the same rows, order, commitment, reports and refusals as with all of them in memory, whatever a pass takes."""

from __future__ import annotations

import hmac
import logging
import re
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.jobs import sections, write_tables
from support.passes import is_mapped, passes_of

from vflfast.errors import DataError, InputError, ProtocolError
from vflfast.jobs import job as jobs
from vflfast.jobs.jobfile import job_from_mapping
from vflfast.jobs.progress import StageClock
from vflfast.mart.store import build
from vflfast.mart.table import open_mart
from vflfast.matching.ids import commitment, match, protect
from vflfast.matching.intersect import HostIntersection
from vflfast.matching.match import match_parties
from vflfast.protocol import inline, matching
from vflfast.protocol.matching import matching_link
from vflfast.tables import files
from vflfast.tables.id_forms import normalise
from vflfast.tables.id_texts import IdTexts, id_rows, passes
from vflfast.tables.table import open_table

KEY, SESSION = bytes(range(16)), bytes(range(32))
SIZES = [0, 1, 6, 7, 8, 14, 15]  # about one and two passes of seven
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def object_array(texts: list[str]) -> Any:
    made = np.empty(len(texts), dtype=object)
    made[:] = texts
    return made


def id_texts(texts: list[str]) -> IdTexts:
    return IdTexts(passes(object_array(texts)))


# --- ids that are not in memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ids", SIZES)
def test_texts_are_indexed_as_an_array(n_ids: int, tmp_path: Path) -> None:
    texts = [("é" * (k % 4)) + f"张{k}" for k in range(n_ids)]
    plain, rng = object_array(texts), np.random.default_rng(n_ids)
    with passes_of(7, tmp_path):
        made = id_texts(texts)
        assert (len(made), made.size, repr(made)) == (n_ids, n_ids, f"IdTexts(n={n_ids})")
        assert list(made) == texts
        assert is_mapped(made._data) == is_mapped(made._ends) == (n_ids > 0)
        indexes: list[Any] = [slice(None), slice(2, 5), slice(5, 2), slice(-3, None), slice(None, None, 2), slice(None, None, -1)]
        indexes += [rng.permutation(n_ids), rng.permutation(n_ids)[:3], rng.random(n_ids) < 0.5, np.empty(0, dtype=np.int64)]
        for index in indexes:
            found = made[index]
            assert found.dtype == object
            assert found.tolist() == plain[index].tolist()
        for row in range(-n_ids, n_ids):
            assert made[row] == made[np.int64(row)] == texts[row]
        with pytest.raises(IndexError):
            made[n_ids]
        order = rng.permutation(n_ids)
        assert list(id_rows(made, order)) == id_rows(plain, order).tolist() == [texts[row] for row in order]
        assert isinstance(id_rows(made, order), IdTexts)


@pytest.mark.parametrize("method", ["hmac", "hash", "sm3"])
@pytest.mark.parametrize("n_ids", SIZES[1:])
def test_tokens_do_not_depend_on_passes(n_ids: int, method: str, tmp_path: Path) -> None:
    texts = [f"é{k}" for k in range(n_ids)]
    key = KEY if method == "hmac" else None
    expected = protect(texts, method=method, key=key)
    if key:
        assert [row.tobytes() for row in expected] == [hmac.digest(key, text.encode(), "sha256") for text in texts]
    with passes_of(7, tmp_path):
        for given_ids in (texts, object_array(texts), id_texts(texts)):
            made = protect(given_ids, method=method, key=key)
            assert is_mapped(made)
            np.testing.assert_array_equal(made, expected)
            assert commitment(made) == commitment(expected)


def test_rows_run_on_over_passes(tmp_path: Path) -> None:
    with passes_of(2, tmp_path), pytest.raises(DataError, match="not valid Unicode in row 5"):
        protect(["a", "b", "c", "d", "\ud800"], key=KEY)


# --- matching ------------------------------------------------------------------------------------------------------

names = st.lists(st.integers(0, 40).map(str), min_size=1, max_size=25, unique=True)
twice = st.lists(st.integers(0, 20).map(str), min_size=1, max_size=40)


def by_hand(parties: list[list[str]]) -> Any:
    """What `match` is to give: positions and report, or the error's argument and rows."""
    tokens = [[hmac.digest(KEY, text.encode(), "sha256") for text in own] for own in parties]
    for party, own in enumerate(tokens):
        rows = [row + 1 for row, token in enumerate(own) if own.count(token) > 1]
        if rows:
            more = f" (and {len(rows) - 10} more)" if len(rows) > 10 else ""
            return f"tokens[{party}]: the same id in rows {', '.join(map(str, rows[:10]))}{more}"
    common = sorted(set.intersection(*map(set, tokens)))
    if not common:
        return "tokens: the parties have no id in common; check the id format and the key"
    sizes = [len(own) for own in parties]
    report = {"rows": sizes, "matched": len(common), "share": [len(common) / size for size in sizes]}
    return [[own.index(token) for token in common] for own in tokens], report


@given(parties=st.lists(names | twice, min_size=2, max_size=4), size=st.integers(1, 12), scratch=st.booleans())
@quick
def test_matching_is_that_by_hand(parties: list[list[str]], size: int, scratch: bool, tmp_path: Path) -> None:
    with passes_of(size, tmp_path if scratch else None):
        tokens, expected = [protect(own, key=KEY) for own in parties], by_hand(parties)
        if isinstance(expected, str):
            with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
                match(*tokens)
            return
        found = match(*tokens)
    assert ([rows.tolist() for rows in found.positions], found.report) == expected
    assert all(rows.dtype == np.int64 and is_mapped(rows) == scratch for rows in found.positions)


@pytest.mark.parametrize("method", ["ecdh", "hmac", "hash", "sm3"])
@pytest.mark.parametrize(("n_guest", "n_host"), [(1, 1), (6, 7), (7, 7), (8, 7), (7, 15), (40, 23)])
def test_parties_match_as_in_memory(method: str, n_guest: int, n_host: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(n_guest)
    sets = [[f"é{k}" for k in rng.permutation(n)] for n in (n_guest, n_host, n_host + 3)]
    options: dict[str, Any] = {"method": method, "key": KEY if method == "hmac" else None, "session": SESSION}
    positions, tokens, report = match_parties([normalise(own) for own in sets], **options)
    with passes_of(7, tmp_path):
        far = match_parties([id_texts(own) for own in sets], **options)
        assert is_mapped(far[1])
        assert all(map(is_mapped, far[0]))
    assert [rows.tolist() for rows in far[0]] == [rows.tolist() for rows in positions]
    assert commitment(far[1]) == commitment(tokens)
    assert {**far[2], "seconds": 0} == {**report, "seconds": 0}


@pytest.mark.parametrize("method", ["ecdh", "hmac"])
def test_no_id_in_common_and_too_many(method: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"method": method, "key": KEY if method == "hmac" else None, "session": SESSION}
    with passes_of(3, tmp_path):
        own = [id_texts([f"{party}{k}" for k in range(8)]) for party in "ab"]
        with pytest.raises(DataError, match="no id in common"):
            match_parties(own, **options)
        with pytest.raises(InputError, match="guest ids: 8 ids, at most 7"):
            match_parties(own, **options, max_ids=7)


def programs(sets: dict[str, list[str]], method: str, of: Callable[[list[str]], Any]) -> dict[str, Any]:
    links = {name: matching_link(name, tuple(peer for peer in sets if peer != name)) for name in sets}
    sides = {True: (matching.intersect_at_guest, matching.match_at_guest), False: (matching.intersect_at_host, matching.match_at_host)}
    if method == "ecdh":
        return {name: sides[name == "guest"][0](links[name], of(own), "{}") for name, own in sets.items()}
    return {name: sides[name == "guest"][1](links[name], protect(of(own), key=KEY), "hmac") for name, own in sets.items()}


@pytest.mark.parametrize("method", ["ecdh", "hmac"])
def test_programs_send_and_find_the_same(method: str, tmp_path: Path) -> None:
    sets = {"guest": [f"{k}" for k in range(30)], "host1": [f"{k}" for k in range(40, 9, -1)], "host2": [f"{k}" for k in range(5, 25)]}
    expected = inline.drive(programs(sets, method, normalise))
    with passes_of(4, tmp_path):
        found = inline.drive(programs(sets, method, id_texts))
    for name, one in found.items():
        assert is_mapped(one.positions)
        assert one.positions.tolist() == expected[name].positions.tolist()
        assert (one.commitment, one.report) == (expected[name].commitment, expected[name].report)


@pytest.mark.parametrize("size", [4, 1000])
def test_a_host_sends_its_tokens_in_an_order_that_tells_nothing_of_its_rows(size: int, tmp_path: Path) -> None:
    tokens = protect([f"{k}" for k in range(30)], key=KEY)
    sent: list[bytes] = []

    async def guest(link: Any) -> None:
        sent.append((await link.receive("host1", matching.HostTokens)).tokens)
        await link.send("host1", matching.CommonTokens(sent[0][:32]))

    with passes_of(size, tmp_path):
        inline.drive({"guest": guest(matching_link("guest", ("host1",))),
                      "host1": matching.match_at_host(matching_link("host1", ("guest",)), tokens, "hmac")})  # fmt: skip
    assert sent == [b"".join(sorted(row.tobytes() for row in tokens))]


def test_tokens_twice_are_refused_over_passes(tmp_path: Path) -> None:
    tokens = protect([f"{k}" for k in range(9)], key=KEY)

    async def host(link: Any) -> None:
        await link.send("guest", matching.HostTokens("hmac", np.concatenate([tokens, tokens[:1]]).tobytes()))
        await link.receive("guest", matching.CommonTokens)

    with passes_of(4, tmp_path), pytest.raises(DataError, match=r"tokens\[1\]: the same id in rows 1, 10"):
        inline.drive({"guest": matching.match_at_guest(matching_link("guest", ("host1",)), tokens, "hmac"),
                      "host1": host(matching_link("host1", ("guest",)))})  # fmt: skip


def test_a_point_is_told_by_its_place_in_all_passes(tmp_path: Path) -> None:
    with passes_of(4, tmp_path):
        own = HostIntersection(id_texts([f"{k}" for k in range(9)]), SESSION)._own
        points = np.concatenate([own._points, np.full((1, 32), 255, np.uint8)])
        with pytest.raises(ProtocolError, match="p, s: number 10 is no point"):
            own.multiply(own.scalar(), points, "p", "s")
        with pytest.raises(ProtocolError, match="p, s: number 10 is no point"):
            own.check(points, "p", "s")


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
            jobs._in_test(tables[0].ids, positions[0], 0.3)
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

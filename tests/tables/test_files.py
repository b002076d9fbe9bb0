"""Files: CSV in chunks, numbers read exactly, damaged and unknown files refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.errors import DataError, InputError
from vflfast.tables import files
from vflfast.tables.files import open_columns
from vflfast.tables.table import read_table

PLAIN = "id,y,a,c\n007,1,1.5,x\n008,0,,y\n"


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_gzip_byte_order_mark_crlf_quotes_and_blank_lines(tmp_path: Path) -> None:
    plain = read_table(write(tmp_path, "id,a,c\n1,2,p\n3,4,\n"))
    odd = tmp_path / "T.CSV.GZ"
    odd.write_bytes(gzip.compress('\ufeffid,a,c\r\n"1",2,"p"\r\n\r\n3,4,""\r\n\r\n'.encode()))
    same = read_table(odd)
    assert same.ids.tolist() == plain.ids.tolist()
    pd.testing.assert_frame_equal(same.features, plain.features)


def test_a_column_that_turns_to_text_in_a_later_chunk_keeps_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "id,a,b\n" + "".join(f"r{k},{k:03d},{k}\n" for k in range(10)) + "last,x,5.5\n")
    whole = open_columns(path, frozenset())
    monkeypatch.setattr(files, "CHUNK_CELLS", 6)  # two rows at a time
    parts = open_columns(path, frozenset())
    assert parts.fetch("a").tolist() == [f"{k:03d}" for k in range(10)] + ["x"]
    for name in ("a", "b"):
        pd.testing.assert_series_equal(parts.fetch(name), whole.fetch(name))


def test_row_numbers_run_on_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK_CELLS", 4)
    with pytest.raises(DataError, match="row 6 has 1 cells, the header has 2"):
        read_table(write(tmp_path, "id,a\n" + "".join(f"{k},1\n" for k in range(5)) + "9\n"))
    with pytest.raises(DataError, match="row 5") as caught:
        read_table(write(tmp_path, "id,a\n" + "".join(f"{k},{'inf' if k == 4 else 1}\n" for k in range(9))))
    assert caught.value.argument == "a"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_csv_numbers_are_read_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = write(tmp_path_factory.mktemp("n"), "id,x\n" + "".join(f"{k},{v!r}\n" for k, v in enumerate(values)))
    assert read_table(path).features["x"].tolist() == values


@pytest.mark.parametrize("name", ["t.txt", "t.csv.bz2", "t", "t.xls"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, PLAIN, name)
    with pytest.raises(DataError, match="must end in") as caught:
        read_table(path)
    assert caught.value.argument == str(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"id,a\n1,\xff\xfe\n"),
        ("t.csv.gz", b"id,a\n1,2\n"),
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)[:-9]),
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)[:12] + b"\xff" * 30),
        ("t.parquet", PLAIN.encode()),
        ("t.parquet", b""),
        ("t.parquet", b"PAR1" + bytes(20) + b"PAR1"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.argument == str(path)


def test_missing_file_directory_and_wrong_type(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="no such file"):
            read_table(path)
    with pytest.raises(InputError) as caught:
        read_table(None)  # type: ignore[arg-type]
    assert caught.value.argument == "path"


def test_truncated_parquet_column_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    pd.DataFrame({"id": [str(k) for k in range(500)], "x": np.arange(500.0)}).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(900) + whole[904:])  # pages overwritten, footer intact
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.argument in (str(path), "id", "x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_for_the_cells_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_spool", lambda: open("/dev/full", "wb", buffering=0))  # noqa: SIM115  (gone with the reader)
    path = write(tmp_path, PLAIN)
    with pytest.raises(DataError, match="do not fit in the folder for temporary files: No space left") as caught:
        read_table(path)
    assert caught.value.argument == str(path)

"""Files that people's data are in: whole or not at all, for their owner alone, whatever the umask and whatever stood there before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs import sections, succeeded, write_job, write_tables

from vflfast.tables.writing import written_whole


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("old")
    path.chmod(0o644)
    (tmp_path / "labels.csv.new").write_text("left by an interrupted write")
    (tmp_path / "labels.csv.new").chmod(0o666)
    with written_whole(path) as stream:
        stream.write("é")
    assert path.read_text(encoding="utf-8") == "é"
    assert mode(path) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["labels.csv"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text("old")

    def broken_off() -> None:
        with written_whole(path) as stream:
            stream.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


def test_a_link_in_the_drafts_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "x.new").symlink_to(tmp_path / "elsewhere")
    with written_whole(tmp_path / "x", "wb") as stream:
        stream.write(b"ours")
    assert (tmp_path / "elsewhere").read_text() == "theirs"
    assert (tmp_path / "x").read_bytes() == b"ours"


def test_what_the_commands_write_is_the_owners(tmp_path: Path) -> None:
    write_tables(tmp_path)
    job = write_job(tmp_path, sections(tmp_path))
    models = tmp_path / "models"
    before = os.umask(0o000)
    try:
        succeeded("train", job, "--models", models)
        succeeded("score", job, "--models", models, "--out", tmp_path / "labels.csv")
        succeeded("report", "--model", models / "guest.json", "--out", tmp_path / "report.html")
        succeeded("reasons", "--model", models / "guest.json", "--table", tmp_path / "guest.csv", "--label-column", "bought",
                  "--out", tmp_path / "reasons.csv")  # fmt: skip
    finally:
        os.umask(before)
    for path in (*models.glob("*.json"), tmp_path / "labels.csv", tmp_path / "report.html", tmp_path / "reasons.csv"):
        assert mode(path) == 0o600, path.name

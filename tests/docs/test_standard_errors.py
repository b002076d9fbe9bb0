"""docs/standard-errors.md: its snippets run, in its order, and its rules of writing hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bank_tables import write_tables
from support.pages import Page, read

PAGE = "standard-errors.md"
JOB = """
[guest]
file = "bank.csv"
id_column = "phone"
label_column = "bought"
observation_date = "2026-01-01"

[[hosts]]
file = "partner.csv"
id_column = "phone"
observation_date = "2026-01-01"

[settings]
key_bits = 512
test_key = true
"""


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(tmp_path)
    (tmp_path / "job.toml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    page = Page(PAGE, tmp_path)
    page.run()
    assert "features left; the model has" in page.printed
    assert (tmp_path / "models" / "guest.json").exists()


def test_lines_are_short() -> None:
    lines = [line for line in read(PAGE).splitlines() if not line.startswith("|")]
    assert max(map(len, lines)) <= 125

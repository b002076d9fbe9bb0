"""A run with its page, for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.jobs import sections, succeeded, write_job, write_tables
from support.report_pages import Seen, read


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained job with its page, the JSON it printed, and its models."""
    made = tmp_path_factory.mktemp("report")
    write_tables(made)
    data = sections(made)
    data["settings"] |= {"inference": True}
    job = write_job(made, data)
    printed = succeeded("train", job, "--models", made / "models", "--report", made / "run.html", "--json")
    (made / "run.json").write_text(printed.stdout)
    succeeded("report", made / "run.json", "--out", made / "again.html")
    succeeded("report", "--model", made / "models" / "guest.json", "--out", made / "guest.html")
    return made


@pytest.fixture(scope="package")
def run(folder: Path) -> Seen:
    return read(folder / "run.html")

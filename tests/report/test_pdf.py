"""Reports as PDF: printed where a browser is, and a clear refusal where none is."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from support.jobs import refused, succeeded

from vflfast.errors import InputError
from vflfast.report import pdf

INSTALLED = any(map(shutil.which, pdf.BROWSERS))


@pytest.mark.skipif(not INSTALLED, reason="needs a browser")
def test_a_report_is_printed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    succeeded("report", folder / "run.json", "--out", out, "--format", "pdf")
    printed = out.read_bytes()
    assert printed.startswith(b"%PDF-")
    assert len(printed) > 50_000
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]


def test_without_a_browser_it_says_so(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf.shutil, "which", lambda _: None)
    assert "chromium" in refused("report", folder / "run.json", "--out", tmp_path / "r.pdf", "--format", "pdf")
    assert not (tmp_path / "r.pdf").exists()


@pytest.mark.parametrize("script", ["exit 1", "exit 0"])
def test_a_browser_that_prints_nothing(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(pdf.shutil, "which", lambda name: str(program) if name == "chromium" else None)
    with pytest.raises(InputError, match="did not print" if script == "exit 1" else "printed nothing"):
        pdf.write_pdf(tmp_path / "page.html", tmp_path / "out.pdf")

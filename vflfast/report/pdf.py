"""A report as PDF, printed by a browser without a window where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import InputError
from ..tables.writing import written_whole

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
SECONDS = 120


def browser() -> str:
    """Return the program of a browser that prints; InputError where none of `BROWSERS` is on the path."""
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        raise InputError("format", f"pdf is printed by a browser, and none of {', '.join(BROWSERS)} is installed; print the HTML page")
    return found


def write_pdf(page: Path, out: Path) -> None:
    """Print an HTML file to `out`.

    Raises
    ------
    InputError
        No browser, or it did not print.
    """
    program = browser()
    with tempfile.TemporaryDirectory(prefix="vflfast-print-") as folder:
        printed = Path(folder) / "report.pdf"
        command = [
            program, "--headless=new", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={folder}/profile",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # it refuses to start as root with one; the page has no scripts
            f"--print-to-pdf={printed}", page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)  # noqa: S603  (a browser's name, and own files)
        except (subprocess.SubprocessError, OSError) as error:
            raise InputError("format", f"pdf: {Path(program).name} did not print: {type(error).__name__}") from None
        if not printed.exists():
            raise InputError("format", f"pdf: {Path(program).name} printed nothing")
        with written_whole(out, "wb") as stream:
            stream.write(printed.read_bytes())

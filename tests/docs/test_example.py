"""docs/example.ipynb runs from top to bottom and prints what it shows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from support.pages import DOCS

SECONDS_A_CELL = 300


def printed(notebook: Any) -> list[str]:
    """What every code cell printed; pictures are left out."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(output.text for output in cell.outputs if output.output_type == "stream") for cell in cells]


def test_the_notebook_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))  # nothing in the user's own folders
    shown = nbformat.read(DOCS / "example.ipynb", as_version=4)
    ran = copy.deepcopy(shown)
    for cell in ran.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(ran, timeout=SECONDS_A_CELL, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert printed(ran) == printed(shown)
    assert sum(bool(text) for text in printed(shown)) >= 5
    outputs = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


def test_the_notebook_names_no_machine() -> None:
    text = (DOCS / "example.ipynb").read_text(encoding="utf-8")
    assert not any(f"/{name}/" in text.replace("image/png", "") for name in ("work", "home", "root", "tmp"))

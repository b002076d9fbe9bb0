"""The site: every page is in a menu, links between files of the repository become links between pages; `make site` builds it strictly."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
MADE = {"index.md", "changelog.md", "contributing.md", "reporting.md", "core.md", "reference/python.md", "reference/command-line.md",
        "reference/errors.md", "examples.md"}  # fmt: skip
MADE |= {f"examples-{path.parent.name}.md" for path in ROOT.glob("examples/*/README.md")}


def test_every_page_is_in_the_menu_once() -> None:
    menu = re.findall(r"^ +- [^:]+: ([\w/-]+\.md)$", CONFIG, re.MULTILINE)
    assert len(menu) == len(set(menu))
    assert set(menu) == {path.name for path in (ROOT / "docs").glob("*.md")} | MADE


def test_ci_builds_it_and_warnings_are_errors() -> None:
    assert "make site" in (ROOT / ".ci" / "run").read_text()
    assert "mkdocs build --strict" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("index.md", "[a](docs/arrays.md) [b](docs/manual.md#settings)", "[a](arrays.md) [b](manual.md#settings)"),
        ("index.md", "[c](CHANGELOG.md)", "[c](changelog.md)"),
        ("arrays.md", "[a](elgamal.md) ![p](picture.svg) [r](../README.md)", "[a](elgamal.md) ![p](picture.svg) [r](index.md)"),
        ("examples.md", "[a](two_csv_files) [b](../docs/arrays.md)", "[a](examples-two_csv_files.md) [b](arrays.md)"),
        ("performance.md", "[core](../csrc/README.md)", "[core](core.md)"),
        ("contributing.md", "[m](Makefile), [h](https://example.org/x)", "[m], [h](https://example.org/x)"),
    ],
)
def test_links(page: str, text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs", reason="the site needs mkdocs: make site")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    pages = importlib.import_module("site_pages")
    assert pages.on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=page))) == expected


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the site needs mkdocs-material: make site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    assert ran.returncode == 0, ran.stderr
    for name in ("index.html", "reference/python/index.html", "reference/command-line/index.html", "search/search_index.json"):
        assert (tmp_path / "site" / name).stat().st_size > 1000

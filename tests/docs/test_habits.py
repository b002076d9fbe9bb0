"""The files that tell others how to take part are there, say the same as the project, and are readable as what they are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import vflfast

ROOT = Path(__file__).parents[2]


def test_the_hooks_do_what_make_lint_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert lint
    wanted = [line.strip().replace("$(VENV)", ".venv") for line in lint[1].splitlines()]
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks == wanted


def test_one_version_everywhere() -> None:
    assert f"version: {vflfast.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert vflfast.__version__ in (ROOT / "CHANGELOG.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "vflfast.__version__"}


@pytest.mark.parametrize("name", ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_links_lead_somewhere_and_lines_are_short(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert all(len(line) <= 160 for line in text.splitlines())
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("https://") or (ROOT / name).parent.joinpath(target).exists(), target


def test_the_tests_of_others_run_what_ours_do() -> None:
    text = (ROOT / ".github/workflows/tests.yml").read_text()
    assert "bash .ci/run" in text
    for version in ("3.11", "3.12", "3.13", "3.14"):
        assert f'"{version}"' in text

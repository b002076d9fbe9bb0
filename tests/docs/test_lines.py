"""Lines of Markdown can be read beside each other: none above 160 characters, but in tables, code and generated lists of code."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pages import ROOT

MOST = 160
CODE_IN_A_LINE = {"docs/assurance-mutation.md", "docs/assurance.md"}  # generated: a span of code is not broken
PAGES = [path for pattern in ("*.md", "docs/*.md", "csrc/*.md", "examples/**/*.md") for path in sorted(ROOT.glob(pattern))]


def long_lines(path: Path) -> list[int]:
    """Numbers of the lines that are too long."""
    found, code = [], False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            code = not code
        elif len(line) > MOST and not code and not line.lstrip().startswith("|"):
            found.append(number)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_short(path: Path) -> None:
    if str(path.relative_to(ROOT)) in CODE_IN_A_LINE:
        assert all("`" in path.read_text(encoding="utf-8").splitlines()[number - 1] for number in long_lines(path))
    else:
        assert long_lines(path) == []


def test_a_long_line_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{'word ' * 40}\n\n| {'cell ' * 40}|\n\n```python\n{'x' * 200}\n```\n{'y' * 161}\n")
    assert long_lines(page) == [3, 10]

"""The README is short, and what it says is so: its snippets run, its commands are there, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bank_tables import write_tables
from support.jobs import succeeded

import vflfast

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_LINES, LONGEST = 150, 120


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_is_read_in_a_minute() -> None:
    lines = README.splitlines()
    assert len(lines) <= MOST_LINES
    assert [line for line in lines if len(line) > LONGEST] == []
    first_screen = README[: README.index("## What is promised")]
    assert len(first_screen.splitlines()) < 85
    assert "semi-honest, non-colluding" in README
    assert len(re.findall(r"^\| \*\*", README, re.MULTILINE)) == 4  # the numbers


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    languages = re.findall(r"^```(\w+)$", README, re.MULTILINE)
    assert len(languages) == README.count("```") / 2
    assert (len(blocks("python")), len(blocks("sh")), len(blocks("toml"))) == (2, 1, 1)


def test_the_training_snippet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    source = blocks("python")[0]
    assert source.count("verify=True") == 1
    small = source.replace("verify=True", "verify=True, settings=vflfast.Settings(key_bits=512, test_key=True, max_iter=2)")
    names: dict[str, Any] = {}
    exec(compile(small, "README.md", "exec"), names)
    assert 0.5 < float(capsys.readouterr().out) < 1
    assert vflfast.load_model("models").weight_hash == names["model"].weight_hash


def test_the_array_snippet(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[1], "README.md", "exec"), {})
    expected = np.array([[0.25, 2.0]]) @ (np.array([[0.5, -1.25], [3.0, 2.0]]) * 0.5 + 1)
    assert capsys.readouterr().out.strip() == str(expected)


def test_the_job_file_and_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the README, in one folder, with a small key and two rounds."""
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    monkeypatch.chdir(tmp_path)
    text = blocks("toml")[0] + "\n[settings]\nkey_bits = 512\ntest_key = true\nmax_iter = 2\n"
    write_tables(tmp_path)
    (tmp_path / "job.toml").write_text(text)
    (tmp_path / "new").mkdir()
    write_tables(tmp_path / "new", labels=False)
    (tmp_path / "new_customers.toml").write_text(text.replace('label_column = "bought"\n', "").replace('file = "', 'file = "new/'))
    for command in blocks("sh")[0].splitlines():
        words = shlex.split(command)
        assert words[0] == "vflfast"
        succeeded(*words[1:])
    assert (tmp_path / "labels.csv").read_text().startswith("id,label\n")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^    make (\w+)", README, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_links_lead_somewhere() -> None:
    found = re.findall(r"\]\(([^)]+)\)", README)
    assert len(found) > 20
    for target in found:
        name, _, anchor = target.partition("#")
        assert (ROOT / name).exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {Path(target.partition("#")[0]).name for target in found}  # every page can be found from here


def test_the_figures_are_the_kept_ones() -> None:
    """The speeds are those of the table that `make docs` writes."""
    manual = (ROOT / "docs" / "manual.md").read_text(encoding="utf-8")
    for library, times in re.findall(r"(phe|fate-utils|sf-heu) (\d+)", README[README.index("**speed**") :].splitlines()[0]):
        row = next(line for line in manual.splitlines() if line.startswith(f"| {library}"))
        assert row.rstrip(" |").split("|")[-1].strip() == times


def test_it_is_the_packages_description_and_names_no_machine() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["readme"] == "README.md"
    assert not re.search(r"/(work|home|root|tmp|usr)/", README)

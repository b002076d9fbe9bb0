"""Every folder of examples/ runs: the commands of its README, in their order, on a copy of it."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.pages import ROOT, blocks

EXAMPLES = ROOT / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__")
NEEDS = {"sql_and_duckdb": ("duckdb",), "three_processes": ("grpc", "cryptography"), "scikit_learn_pipeline": ("sklearn",)}
LEAVES = {
    "two_csv_files": ("labels.csv", "models/guest.json"), "sql_and_duckdb": ("bank.parquet", "models/host1.json"),
    "three_processes": ("run",),
}  # fmt: skip
PRINTS = {
    "two_csv_files": "std. error", "sql_and_duckdb": "the partner adds", "three_processes": "kept out of training",
    "encrypted_arrays": "elgamal [[6000.5, 6351.0, 8100.5], [400.5, -250.5, 299.5]]",
    "scikit_learn_pipeline": "AUC on customers that it has not seen: 0.",
}  # fmt: skip


def commands(folder: str) -> list[list[str]]:
    """Every command line of the README's shell blocks."""
    text = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
    return [shlex.split(line) for language, block in blocks(text) if language == "sh" for line in block.splitlines()]


LONG = {"sql_and_duckdb", "scikit_learn_pipeline"}  # what they show has tests of its own in every run


@pytest.mark.parametrize("folder", [pytest.param(one, marks=[pytest.mark.slow] if one in LONG else []) for one in FOLDERS])
def test_it_runs(folder: str, tmp_path: Path) -> None:
    for package in NEEDS.get(folder, ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    here = tmp_path / folder
    shutil.copytree(EXAMPLES / folder, here, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    printed = ""
    for words in commands(folder):
        program = [sys.executable] if words[0] == "python" else [sys.executable, "-m", "vflfast"]
        assert words[0] in ("python", "vflfast")
        ran = subprocess.run(
            [*program, *words[1:]], cwd=here, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, f"{' '.join(words)}: {ran.stderr[-2000:]}"
        printed += ran.stdout
    assert PRINTS[folder] in printed
    assert all((here / left).exists() for left in LEAVES.get(folder, ()))


def test_the_list_names_every_folder() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\(\1\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == FOLDERS
    assert len(FOLDERS) == 5

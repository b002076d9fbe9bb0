"""Lines and branches of csrc/ that the tests of the core reach, by gcov: builds with and without GMP.

`python tests/assurance/native_coverage.py [--missing]` prints a table, and what is not reached. Branches of exceptions that any call may
throw are not counted: they are the compiler's. Of the IFMA kernel lines are counted, where the processor can run it, and no branches: its
templates are inlined some hundred times, and every copy counts its constant conditions as branches of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pybind11

from vflfast.crypto import backend

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "crypto/test_backend.py", "crypto/test_toy.py", "crypto/test_coded.py", "crypto/test_blocks.py", "crypto/test_factors.py",
    "crypto/paillier/test_paillier.py", "crypto/paillier/test_randomness.py",
    "crypto/paillier/test_opening.py", "crypto/paillier/test_pool.py",
)  # fmt: skip
# Without their branches, and only where a processor can run them.
IFMA_FILES = ("pair_ifma.cpp", "ifma_products.h", "curve_ifma.cpp", "field_ifma.h")
HAS_IFMA = "ifma" in backend.available()
FUZZ_SECONDS = "10"
LINES, BRANCHES = 0.95, 0.85
Lines = dict[str, dict[int, int]]
Branches = dict[str, dict[tuple[int, int], int]]


def run(command: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])} …: {(done.stdout + done.stderr)[-3000:]}")


def build(folder: Path, gmp: bool) -> None:
    """The package with its core built for gcov, objects beside it."""
    shutil.copytree(ROOT / "vflfast", folder / "vflfast", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    flags = ["-std=c++17", "-O0", "--coverage", "-fPIC", "-pthread", "-fvisibility=hidden", *(["-DVFL_HAVE_GMP=1"] if gmp else [])]
    headers = [f"-I{path}" for path in (ROOT / "csrc", pybind11.get_include(), sysconfig.get_paths()["include"])]
    compiler, objects = os.environ.get("CXX", "g++"), []
    for source in sorted((ROOT / "csrc").rglob("*.cpp")):
        objects.append(str(folder / f"{source.parent.name}-{source.stem}.o"))
        run([compiler, *flags, *headers, "-c", str(source), "-o", objects[-1]], folder)
    name = folder / "vflfast" / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    run([compiler, "--coverage", "-shared", "-pthread", *objects, *(["-lgmp"] if gmp else []), "-o", str(name)], folder)


def test(folder: Path) -> None:
    quiet = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "VFLFAST_BACKEND": "auto" if HAS_IFMA else "portable"}
    where = f"import vflfast._core as c; assert c.__file__.startswith({str(folder)!r}), c.__file__"
    run([sys.executable, "-c", where], folder, **quiet)
    tests = [str(ROOT / "tests" / name) for name in TESTS]
    options = ["-q", "-x", "--examples", "20", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", str(ROOT / "pyproject.toml")]
    run([sys.executable, "-m", "pytest", *options, *tests], folder, **quiet)
    run([sys.executable, str(Path(__file__).with_name("core_fuzz.py")), FUZZ_SECONDS, "0"], folder, **quiet)


def collect(folder: Path, lines: Lines, branches: Branches) -> None:
    """Add what gcov says of every object."""
    for notes in sorted(folder.glob("*.gcno")):
        command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(notes)]
        made = subprocess.run(command, cwd=folder, capture_output=True, check=True)
        for text in made.stdout.splitlines():
            for file in json.loads(text)["files"] if text.strip() else []:
                path = Path(file["file"])
                name = path.relative_to(ROOT / "csrc").as_posix() if ROOT / "csrc" in path.parents else ""
                if name and (HAS_IFMA or path.name not in IFMA_FILES):
                    add(file["lines"], lines[name], {} if path.name in IFMA_FILES else branches[name])


def add(found: list[dict[str, Any]], lines: dict[int, int], branches: dict[tuple[int, int], int]) -> None:
    for line in found:
        number = line["line_number"]
        lines[number] = lines.get(number, 0) + line["count"]
        for k, branch in enumerate(line["branches"]):
            if not branch["throw"]:
                branches[number, k] = branches.get((number, k), 0) + branch["count"]


def share(counts: list[int]) -> float:
    return sum(count > 0 for count in counts) / max(1, len(counts))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--missing", action="store_true", help="print what is not reached")
    given = parser.parse_args()
    lines: Lines = defaultdict(dict)
    branches: Branches = defaultdict(dict)
    for gmp in (True, False):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            build(folder, gmp)
            test(folder)
            collect(folder, lines, branches)
    print("| file | lines | reached | branches | reached |\n|---|---|---|---|---|")
    for name in sorted(lines):
        of_lines, of_branches = list(lines[name].values()), list(branches[name].values())
        print(f"| `{name}` | {len(of_lines)} | {share(of_lines):.1%} | {len(of_branches)} | {share(of_branches):.1%} |")
        if given.missing:
            print("  lines", [n for n, count in sorted(lines[name].items()) if not count])
            print("  branches", [n for n, count in sorted(branches[name].items()) if not count])
    total_lines = share([count for one in lines.values() for count in one.values()])
    total_branches = share([count for one in branches.values() for count in one.values()])
    without = "" if HAS_IFMA else f"; without {IFMA_FILES[0]}"
    print(f"\n{total_lines:.1%} of lines (bar {LINES:.0%}), {total_branches:.1%} of branches (bar {BRANCHES:.0%}){without}.")
    sys.exit(total_lines < LINES or total_branches < BRANCHES)


if __name__ == "__main__":
    main()

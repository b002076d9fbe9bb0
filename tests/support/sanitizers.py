"""The package built under a sanitizer, and Python run with its runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX", "g++")
RUNTIMES = {"address,undefined": "libasan.so", "thread": "libtsan.so"}


@cache
def runtime(kind: str) -> str:
    """What is loaded first: the sanitizer, and the C++ library, whose exceptions it wants to see thrown."""
    found = []
    for library in (RUNTIMES[kind], "libstdc++.so"):
        name = subprocess.run([COMPILER, f"-print-file-name={library}"], check=True, capture_output=True, text=True).stdout.strip()
        if not Path(name).is_absolute():
            pytest.skip(f"the compiler has no runtime for {kind}")
        found.append(str(Path(name).resolve()))
    return " ".join(found)


def under(kind: str, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with the sanitizer's runtime; thread needs a fixed layout of memory."""
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime(kind),
        "PYTHONPATH": str(folder),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",  # the interpreter keeps what it has until it ends
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:exitcode=66:die_after_fork=0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    return subprocess.run([*fixed, sys.executable, *command], env=environment, capture_output=True, text=True, cwd=folder)


def build(kind: str, folder: Path, source: Path, *, verify: bool = True) -> Path:
    """Install the package with its core built under a sanitizer into `folder`; `verify`: its proved ranges are checked too."""
    runtime(kind)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):  # a copy: objects of one kind must not serve another build
        shutil.copy(ROOT / name, source)
    for name in ("csrc", "vflfast"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    environment = {**os.environ, "VFLFAST_SANITIZE": kind, "VFL_VERIFY": str(int(verify)), "VFLFAST_REQUIRE_NATIVE": "1"}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(source)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return folder

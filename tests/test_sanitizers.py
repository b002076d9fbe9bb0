"""The core under sanitizers: no undefined behaviour, no byte outside its array, no data race, with the proved ranges checked.

Builds the package once a kind into a temporary folder; slow, part of the campaigns.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPILER = os.environ.get("CXX", "g++")
RUNTIMES = {"address,undefined": "libasan.so", "thread": "libtsan.so"}
TESTS = ("test_backend.py", "test_toy.py", "test_coded.py", "test_paillier.py", "test_opening.py", "test_pool.py")
# A byte behind an array; two threads that count without a lock.
FAULTS = {
    "address,undefined": "extern \"C\" int fault() { volatile char* a = new char[8]; volatile int i = 8; int r = a[i]; delete[] a;"
    " return r; }",
    "thread": "#include <thread>\nint n; extern \"C\" int fault() { auto f = [] { for (int i = 0; i < 100000; ++i) n = n + 1; };"
    " std::thread a(f), b(f); a.join(); b.join(); return n; }",
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which(COMPILER), reason="needs Linux and a C++ compiler"),
]


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


@pytest.fixture(scope="module", params=RUNTIMES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build(request.param, tmp_path_factory.mktemp("sanitized"), tmp_path_factory.mktemp("source"))


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


def test_the_core_runs_clean(built: tuple[str, Path]) -> None:
    kind, folder = built
    tests = [str(ROOT / "tests" / name) for name in TESTS]
    where = "import vflfast._core as c, sys; sys.exit(0 if c.__file__.startswith(sys.argv[1]) else 3)"
    assert under(kind, ["-c", where, str(folder)], folder).returncode == 0, "another build of the core was loaded"
    done = under(kind, ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), *tests], folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("kind", RUNTIMES)
def test_control_a_planted_fault_is_found(kind: str, tmp_path: Path) -> None:
    runtime(kind)
    (tmp_path / "fault.cpp").write_text(FAULTS[kind])
    flags = [f"-fsanitize={kind}", "-shared", "-fPIC", "-O1", "-pthread", "-fno-omit-frame-pointer"]
    subprocess.run([COMPILER, *flags, "fault.cpp", "-o", "fault.so"], check=True, cwd=tmp_path)
    done = under(kind, ["-c", "import ctypes; ctypes.CDLL('./fault.so').fault()"], tmp_path)
    assert done.returncode != 0
    assert "Sanitizer" in done.stderr or "runtime error" in done.stderr  # either of two may be the first to see it

"""The core under sanitizers: no undefined behaviour, no byte outside its array, no data race, with the proved ranges checked.

Builds the package once a kind into a temporary folder; slow, part of the campaigns.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.sanitizers import COMPILER, ROOT, RUNTIMES, build, runtime, under

TESTS = (
    "crypto/test_backend.py", "crypto/test_toy.py", "crypto/test_coded.py",
    "crypto/paillier/test_paillier.py", "crypto/paillier/test_randomness.py",
    "crypto/paillier/test_opening.py", "crypto/paillier/test_pool.py",
)  # fmt: skip
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






@pytest.fixture(scope="module", params=RUNTIMES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build(request.param, tmp_path_factory.mktemp("sanitized"), tmp_path_factory.mktemp("source"))




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

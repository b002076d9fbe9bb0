"""B7: each allocation of the core fails in turn. The call ends in MemoryError, nothing is kept, and the next call is right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from assurance.figures import Figure

pytest.importorskip("vflfast._core", reason="this build has no native core")
HERE = Path(__file__).parent
COMPILER = shutil.which("c++") or shutil.which("g++")
LEAST_OPERATIONS = 24


@pytest.mark.skipif(sys.platform != "linux" or not COMPILER, reason="needs LD_PRELOAD and a C++ compiler")
def test_every_allocation_may_fail(tmp_path: Path, figure: Figure) -> None:
    shim = tmp_path / "alloc.so"
    subprocess.run([str(COMPILER), "-O1", "-std=c++17", "-shared", "-fPIC", "-o", shim, HERE / "alloc.cpp"], check=True)
    child = [sys.executable, str(HERE / "alloc_child.py"), str(shim)]
    done = subprocess.run(child, env=os.environ | {"LD_PRELOAD": str(shim)}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *report, (_, _, kept_on_purpose, _) = json.loads(done.stdout)
    assert len(report) >= LEAST_OPERATIONS
    assert kept_on_purpose > 0
    for what, failed, kept, recovered in report:
        assert failed > 0, what
        assert kept <= 0, what
        assert recovered, what
    figure("B7", "failed allocations", sum(failed for _, failed, _, _ in report))
    figure("B7", "allocations kept", sum(max(kept, 0) for _, _, kept, _ in report))

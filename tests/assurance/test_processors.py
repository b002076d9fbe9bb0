"""A9: the same weights, losses, scores and thresholds on every processor, by processes that take this one for another.

OpenBLAS chooses its kernel by a variable, numpy leaves out what it is told, numba compiles for any processor, the C library hides its
variants. The control is numpy's own Cholesky factor, which has other bits under other kernels.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from assurance.figures import Figure
from support.processors import CHOLESKY, KERNELS, ROOT, TWIN, machines, run

MACHINES = machines()
SMALL = ("1500", "12", "40", "3", "7")  # rows, columns of guest and host, rounds, settings
PATENT = ("66274", "239", "3180", "4", "2")
OTHER_NUMPY = "numpy==2.1.3"


@pytest.fixture(scope="module")
def small() -> str:
    return run(TWIN, {}, *SMALL)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_twin_has_the_same_bits(machine: str, small: str, figure: Figure) -> None:
    assert run(TWIN, MACHINES[machine], *SMALL) == small
    figure("A9", "machines", 1)


def test_the_twin_has_the_same_bits_without_the_compiler() -> None:
    tiny = ("60", "3", "4", "2", "1")  # loops that nobody compiles
    assert run(TWIN, {"NUMBA_DISABLE_JIT": "1"}, *tiny) == run(TWIN, {}, *tiny)


def test_the_control_has_other_bits_under_other_kernels(figure: Figure) -> None:
    seen = {run(CHOLESKY, {"OPENBLAS_CORETYPE": kernel}) for kernel in KERNELS}
    if len(seen) == 1:
        pytest.skip("this numpy's BLAS has one kernel for this machine")
    figure("A9", "factors of the control", len(seen))


@pytest.mark.slow
@pytest.mark.parametrize("machine", [name for name in MACHINES if name != "one thread"])
def test_the_twin_at_the_patents_width(machine: str, figure: Figure, tmp_path_factory: pytest.TempPathFactory) -> None:
    known = tmp_path_factory.getbasetemp() / "patent-width"
    if not known.exists():
        known.write_text(run(TWIN, {}, *PATENT))
    assert run(TWIN, MACHINES[machine], *PATENT) == known.read_text()
    figure("A9", "machines at the patent's width", 1)


@pytest.mark.slow
def test_another_numpy_has_the_same_bits(small: str, tmp_path: Path, figure: Figure) -> None:
    """In an environment of its own, with everything else of this one."""
    made = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), OTHER_NUMPY],
                          capture_output=True, text=True, check=False)  # fmt: skip
    if made.returncode:
        pytest.skip("the other numpy cannot be had here")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    version = run("import numpy; print(numpy.__version__)", {"PYTHONPATH": paths}).strip()
    assert version == OTHER_NUMPY.split("==")[1]
    assert run(TWIN, {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}, *SMALL) == small
    figure("A9", "versions of numpy", 2)


RESUME = """
import sys
from pathlib import Path
from vflfast.net.journal import FileJournal
from vflfast.protocol.settings import Settings
sys.path.insert(0, "tests")
from support.runs import parties, settings, train

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
journals = {name: FileJournal(folder / name, name) for name in ("arbiter", "guest", "host1")}
if rounds:
    guest, commit = journals["guest"], journals["guest"].commit
    def stop(checkpoint):
        commit(checkpoint)
        if checkpoint.round == rounds:
            raise SystemExit(0)
    guest.commit = stop
print(train(parties(240, (4, 6)), settings(max_iter=6), journals=journals).weight_hash)
"""


@pytest.mark.parametrize("second", KERNELS)
def test_a_run_goes_on_under_another_kernel(second: str, tmp_path: Path, figure: Figure) -> None:
    whole = run(RESUME, {"OPENBLAS_CORETYPE": "HASWELL"}, str(tmp_path / "whole"), "0")
    run(RESUME, {"OPENBLAS_CORETYPE": "HASWELL"}, str(tmp_path / "cut"), "3")
    assert run(RESUME, {"OPENBLAS_CORETYPE": second, "NUMBA_CPU_NAME": "generic"}, str(tmp_path / "cut"), "0") == whole
    figure("A9", "runs that went on elsewhere", 1)

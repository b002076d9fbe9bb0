"""Runs in processes that take this machine for another: kernels of BLAS, dispatch of numpy, numba's target, variants of the C library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from numpy._core._multiarray_umath import __cpu_features__  # numpy has no public way to ask

import vflfast

ROOT = Path(vflfast.__file__).parents[1]
NEEDS = {"SANDYBRIDGE": "AVX", "HASWELL": "AVX2", "SKYLAKEX": "AVX512F"}  # what each kernel of BLAS asks of the processor
KERNELS = tuple(kernel for kernel, feature in NEEDS.items() if __cpu_features__.get(feature))


def numpy_features(least: str) -> str:
    """The names that numpy takes in NPY_DISABLE_CPU_FEATURES: its dispatched features of this machine from `least` on."""
    script = "from numpy._core import _multiarray_umath as m; print(*[f for f in m.__cpu_dispatch__ if m.__cpu_features__.get(f)])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    start = next((i for i, name in enumerate(found) if name.startswith(least)), len(found))
    return " ".join(found[start:])


def machines() -> dict[str, dict[str, str]]:
    """By name, the variables that make a process another machine; one that this processor cannot be is left out by `run`."""
    no_avx512 = numpy_features("X86_V4") or numpy_features("AVX512")
    no_avx2 = numpy_features("X86_V3") or numpy_features("AVX2")
    return {
        "as it is": {},
        **{f"BLAS as on {kernel}": {"OPENBLAS_CORETYPE": kernel} for kernel in KERNELS},
        "numpy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": no_avx512},
        "numpy without AVX2": {"NPY_DISABLE_CPU_FEATURES": no_avx2},
        "numba for any processor": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        "one thread": {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        "C library without AVX2 and FMA": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX2_Usable,-FMA_Usable"},
    }


def run(script: str, variables: dict[str, str], *arguments: str) -> str:
    """What a script prints in a process with these variables."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, (variables, done.stderr[-2000:])
    return done.stdout


TWIN = """
import hashlib, sys
import numpy as np
from vflfast.crypto.coded import CodedMatrix
from vflfast.learn.logistic import sigmoid
from vflfast.learn.penalty import held_out
from vflfast.learn.scoring import Norm, calibrate, combine
from vflfast.protocol.block import PartyInputs, joint_hash
from vflfast.protocol.settings import Settings
from vflfast.protocol.twin import train_twin

rows, guest, host, rounds = map(int, sys.argv[1:5])
rng = np.random.default_rng(17)
common = rng.integers(0, 3, (1, rows))
codes = [(rng.integers(0, 3, (count, rows)) + common).astype(np.uint8) for count in (guest, host)]
signal = codes[0][:9].sum(axis=0) * 0.3 + codes[1][:9].sum(axis=0) * 0.4 + rng.integers(-4, 5, rows)
labels = np.where(signal > np.sort(signal)[rows * 2 // 3], 1, -1).astype(np.int8)
matrices = [CodedMatrix(part, [5] * len(part)) for part in codes]
seen = hashlib.sha256()
new = {"residual": "logistic", "solver": "lbfgs", "stop": "move"}
cut = [matrices[0], *(CodedMatrix(part, [5] * len(part)) for part in np.array_split(codes[1], 2))]
runs = [({}, matrices), (new, matrices), ({"solver": "gd", "momentum": 0.5}, matrices), ({"host_woe": True}, matrices),
        ({"norm": "zscore", "profile": "patent"}, matrices), (new, cut), ({**new, "alpha": "search", "max_leverage": 1.0}, matrices)]
for changes, tables in runs[: int(sys.argv[5])]:
    settings = Settings(max_iter=rounds, **changes)
    marks = held_out(range(rows), labels) if settings.searches else None
    inputs = [PartyInputs(matrix, bytes(32), name, *((labels,) if name == "guest" else ()), held_out=marks if name == "guest" else None)
              for matrix, name in zip(tables, ("guest", "host1", "host2"))]
    blocks = train_twin(inputs[0], inputs[1:], settings)
    seen.update(joint_hash([block.hashes[-1] for block in blocks]).encode())
    seen.update(repr([block.losses for block in blocks]).encode())
    norms = [Norm.fit(sigmoid(block.predictor), settings.norm, settings.epsilon) for block in blocks]
    scores = combine([norm.apply(sigmoid(block.predictor)) for norm, block in zip(norms, blocks)], [1.0, 1.3, 1.1][: len(blocks)])
    seen.update(scores.tobytes() + repr(calibrate(scores, by="quota", value=0.2)).encode())
print(seen.hexdigest())
"""

CHOLESKY = """
import hashlib
import numpy as np
root = np.random.default_rng(1).normal(size=(300, 320))
print(hashlib.sha256(np.linalg.cholesky(root @ root.T).tobytes()).hexdigest())
"""

"""The facts of the machine that explain a figure: processor, clock under load, backend, threads, versions."""

from __future__ import annotations

import os
import platform
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import gmpy2
import numba
import numpy as np

import vflfast
from vflfast.crypto import backend as be

FULL = os.environ.get("VFLFAST_BENCH_FULL", "") not in ("", "0")  # the sizes of the task instead of small ones
CHAIN = 1_000_000
CYCLES_PER_STEP = 4  # a multiplication (3) and an exclusive or (1) that wait for each other


@numba.njit(cache=True)
def _dependent_chain(x: int, factor: int, steps: int) -> int:
    for _ in range(steps):
        x = (x * factor) ^ factor
    return x


@lru_cache(maxsize=1)
def clock_ghz() -> float:
    """The clock of the core under load, from a chain of instructions of known latency (x86-64)."""
    _dependent_chain(3, 5, 10)
    times = []
    for _ in range(100):  # short pieces: some of them run undisturbed
        start = time.perf_counter()
        _dependent_chain(3, 5, CHAIN)
        times.append(time.perf_counter() - start)
    return CYCLES_PER_STEP * CHAIN / min(times) / 1e9


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def facts() -> dict[str, Any]:
    """The machine and what computes on it now."""
    backend = be.current()
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "clock_ghz": round(clock_ghz(), 2),
        "backend": backend.name,
        "backend_reason": backend.reason,
        "threads": be.threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "gmpy2": f"{gmpy2.version()} on {gmpy2.mp_version()}",
        "vflfast": vflfast.__version__,
    }

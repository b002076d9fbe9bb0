"""Runs in a process of its own, with alloc.cpp's operator new in front: every operation of the core while its k-th allocation fails.

Prints a JSON list of [operation, failures, kept, recovered]: how many calls ended in MemoryError, how many allocations nobody freed after
them, and whether the operation gave the right result afterwards. The last entry is the control: it keeps something on purpose.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.crypto.paillier.public import PublicKey

P = 92182819389432873402564669719188009182104278287108377161916220106735871848627
Q = 94470372559683736749498060197853054059604842534265408683886548358876904436027
COUNT = 40
# pybind11 notes every new object in a table whose growth must not throw: a failure there ends the process, and is not the core's
NODE_BYTES = 72
MAKES_OBJECTS = ("table", "key", "decrypt")
shim = ctypes.CDLL(sys.argv[1])
shim.vfl_fail_at.argtypes = [ctypes.c_long, ctypes.c_size_t]
for name in ("vfl_calls", "vfl_live"):
    getattr(shim, name).restype = ctypes.c_long


def operations(kernel: str) -> dict[str, Callable[[], Any]]:
    """Each returns what it computes as plain integers; all inputs are fixed."""
    backend = be.select(kernel)
    assert isinstance(backend, be.NativeBackend)
    context, private = backend.public(P * Q), PrivateKey(P, Q, test_sizes=True)
    values = np.arange(COUNT)
    cipher = private.public.encrypt(values)
    vector, wire = cipher.vector, cipher.limbs
    plain, alphas = lm.from_ints(range(COUNT), context.limbs), lm.from_ints([3**k for k in range(COUNT)], 2)
    base = context.fixed_base(7, 128, 4)
    codes = np.random.default_rng(0).integers(0, 3, (6, COUNT), dtype=np.uint8)

    def ints(result: Any) -> list[int]:
        return lm.to_ints(context.store(result))

    return {
        "load": lambda: ints(context.load(wire)),
        "multiply": lambda: ints(context.multiply(vector, vector)),
        "add plain": lambda: ints(context.add_plain(vector, plain)),
        "power": lambda: ints(context.power(vector, alphas)),
        "invert": lambda: ints(context.invert(vector)),
        "product": lambda: ints(context.product(vector)),
        "pack": lambda: ints(context.pack(vector, 5, 16)),
        "table": lambda: ints(context.fixed_base(7, 128, 4).encrypt(None, None, alphas)),
        "encrypt": lambda: ints(base.encrypt(vector, plain, alphas)),
        "coded product": lambda: ints(CodedMatrix(codes, np.full(6, 3)).product(cipher)[0].vector),
        "key": lambda: PublicKey(P * Q, test_sizes=True).n,
        "decrypt": lambda: backend.private(P, Q).decrypt(wire).tolist(),
    }


def kept_by(failures: Callable[[], None]) -> int:
    gc.collect()
    before = shim.vfl_live()
    failures()
    gc.collect()
    return int(shim.vfl_live() - before)


def calls_of(operation: Callable[[], Any], least: int) -> int:
    shim.vfl_fail_at(0, least)
    before = shim.vfl_calls()
    operation()
    return int(shim.vfl_calls() - before)


def fail_each(operation: Callable[[], Any], expected: Any, count: int, least: int) -> int:
    """How many calls failed; every other outcome than MemoryError or the right result ends the process."""
    failed = 0
    for k in range(1, count + 1):
        shim.vfl_fail_at(k, least)
        try:
            result = operation()
        except MemoryError:
            failed += 1
        else:
            assert result == expected  # a thread that could not be started: fewer did the work
        finally:
            shim.vfl_fail_at(0, 0)
    return failed


def row(what: str, operation: Callable[[], Any], least: int) -> list[Any]:
    expected = operation()
    n_calls = calls_of(operation, least)
    fail_each(operation, expected, 1, least)  # what a first failure sets up for good is not kept by the next
    failed: list[int] = []
    kept = kept_by(lambda: failed.append(fail_each(operation, expected, n_calls, least)))
    return [what, failed[0], kept, operation() == expected]


def main() -> None:
    report = []
    for name, threads in ((kernel, count) for kernel in be.available() if kernel != "gmpy2" for count in (1, 3)):
        with be.use(name), be.use_threads(threads):
            for what, operation in operations(name).items():
                report.append(row(f"{name}, {threads} threads: {what}", operation, NODE_BYTES + 1 if what in MAKES_OBJECTS else 0))
    held: list[Any] = []
    kept = kept_by(lambda: held.append(be.current().public(P * Q)))
    print(json.dumps([*report, ["control", 0, kept, True]]))


main()

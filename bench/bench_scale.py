"""How a round grows with rows and columns, what `plan` says of it, what a cluster costs beside threads, and the memory of a long table.

    python bench/bench_scale.py curves curves.json
    python bench/bench_scale.py cluster 20000 500
    python bench/bench_scale.py memory 100000 100 --scratch folder
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from machine import facts

from vflfast.crypto import backend as be
from vflfast.crypto import calibration, engine, storage
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey, generate_keypair
from vflfast.crypto.paillier.public import PublicKey
from vflfast.jobs import progress
from vflfast.jobs.progress import StageClock
from vflfast.plan.predict import predict
from vflfast.plan.shape import flat_shape
from vflfast.protocol import inline
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.settings import Settings
from vflfast.scale.resources import Resources

KEY_BITS, CLASSES, GUEST_COLUMNS = 2048, 5, 10
ROWS, COLUMNS = (100, 300, 1000, 3000, 10_000), (10, 30, 100, 300, 1000)  # two decades each
MIDDLE = (2000, 50)  # rows while columns grow, columns while rows grow


@lru_cache(maxsize=2)
def key(key_bits: int = KEY_BITS) -> PrivateKey:
    """One key for all runs of this process."""
    return generate_keypair(key_bits, test_sizes=True)


def codes(n_rows: int, n_columns: int, seed: int) -> CodedMatrix:
    """Five equal classes in every column; made a column at a time, so that they may be larger than memory."""
    rng = np.random.default_rng(seed)
    made = storage.empty((n_columns, n_rows), np.uint8)
    for row in made:
        row[:] = rng.integers(0, CLASSES, n_rows, dtype=np.uint8)
    return CodedMatrix(made, np.full(n_columns, CLASSES))


def train(n_rows: int, n_columns: int, rounds: int, resources: Resources | None = None, key_bits: int = KEY_BITS) -> dict[str, Any]:
    """Seconds of the least later round (one makes tables, the last settles the threshold), by clock and `plan`; the weights' hash."""
    settings = Settings(simulation=True, key_bits=key_bits, test_key=key_bits < KEY_BITS, max_iter=rounds)
    with (resources or Resources()).in_use():
        guest, host = codes(n_rows, GUEST_COLUMNS, 0), codes(n_rows, n_columns, 1)
        labels = np.where(host.codes[0] + guest.codes[0] > CLASSES - 1, 1, -1).astype(np.int8)
        digest, clock = hashlib.sha256(b"rows").digest(), StageClock()
        before = calibration.measure(key_bits)
        result = inline.train(
            PartyInputs(guest, digest, "bank", labels), [PartyInputs(host, digest, "partner")], settings,
            ArbiterInputs("arbiter", key(key_bits)), observer=clock,
        )  # fmt: skip
        rates = [before, calibration.measure(key_bits)]  # other work on the machine comes and goes
    shape = flat_shape(n_rows, (GUEST_COLUMNS, n_columns), settings, CLASSES)
    predicted = statistics.mean(predict(shape, rate, rounds=max(rounds, 2)).round_seconds for rate in rates)
    return {
        "rows": n_rows, "columns": n_columns, "seconds": min(clock.round_seconds[1:] or clock.round_seconds),
        "predicted": predicted, "stages": dict(clock.seconds), "weight_hash": result.weight_hash,
    }  # fmt: skip


@contextmanager
def processor_time() -> Iterator[None]:
    """Let clocks and rates count this process's seconds of one thread: other work on the machine then hardly shows."""
    clock = SimpleNamespace(perf_counter=time.process_time, monotonic=time.process_time)
    with pytest.MonkeyPatch.context() as patch, be.use_threads(1):
        for module in (calibration, progress, be):
            patch.setattr(module, "time", clock)
        yield


def curves(key_bits: int) -> dict[str, Any]:
    """One round at every size of the two curves, in processor seconds of one thread."""
    sizes = [(MIDDLE[0], n_columns) for n_columns in COLUMNS] + [(n_rows, MIDDLE[1]) for n_rows in ROWS]
    with processor_time():
        train(100, 20, 2, None, key_bits)  # compiled code and libraries
        points = [told(train(*size, 4 if size[0] < 2000 else 3, None, key_bits)) for size in sizes]
    kept = ("rows", "columns", "seconds", "predicted")
    return {"machine": facts(), "key_bits": key_bits, "points": [{name: point[name] for name in kept} for point in points]}


def told(point: dict[str, Any]) -> dict[str, Any]:
    """The point, said on the way."""
    print(point["rows"], point["columns"], f"{point['seconds']:.2f} s, predicted {point['predicted']:.2f}", file=sys.stderr, flush=True)
    return point


def products(n_rows: int, n_columns: int, times: int = 3) -> dict[str, Any]:
    """Seconds of encryption and of one product, on threads and over as many workers, in turn."""
    public, g = PublicKey(key().public.n), np.random.default_rng(2).integers(-(1 << 27), 1 << 27, n_rows)
    matrix = codes(n_rows, n_columns, 1)
    found: dict[str, list[float]] = {f"{what} {where}": [] for what in ("encrypt", "product") for where in ("threads", "workers")}
    threads = be.threads()
    with ExitStack() as stack:
        cluster = Resources(workers=threads)
        stack.enter_context(cluster.in_use())
        shared = engine.current()
        for attempt in range(times + 1):  # the first sends the shards and makes the tables
            for where, chosen in (("threads", None), ("workers", shared)):
                with engine.use(chosen):
                    start = time.perf_counter()
                    vector = public.encrypt(g)
                    between = time.perf_counter()
                    matrix.class_sums(vector)
                    if attempt:
                        found[f"encrypt {where}"].append(between - start)
                        found[f"product {where}"].append(time.perf_counter() - between)
    return {"rows": n_rows, "columns": n_columns, "threads": threads} | {name: min(seconds) for name, seconds in found.items()}


def memory(n_rows: int, n_columns: int, rounds: int, scratch: Path | None, key_bits: int) -> dict[str, Any]:
    """One run, and the peak of this process: all of it, and what is no page of a file."""
    found = train(n_rows, n_columns, rounds, Resources(scratch=scratch), key_bits)
    status = {line.split(":")[0]: line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.endswith("kB")}
    vector = n_rows * key_bits // 4
    return found | {"peak_bytes": int(status["VmHWM"]) * 1024, "vector_bytes": vector, "codes_bytes": n_rows * n_columns}


@pytest.mark.parametrize("size", [(300, 30), (1000, 300), (3000, 30)])
def test_a_round_by_size(size: tuple[int, int], measure: Any) -> None:
    found = measure(lambda: train(*size, 2), items=size[0] * size[1], unit="cell", rounds=1)
    measure.extra_info |= {name: round(found[name], 3) for name in ("seconds", "predicted")}


def test_a_product_over_workers_beside_threads(measure: Any) -> None:
    pytest.importorskip("distributed")
    found = measure(lambda: products(2000, 200, 1), items=400_000, unit="cell", rounds=1)
    measure.extra_info |= found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["curves", "cluster", "memory"])
    parser.add_argument("sizes", nargs="+", help="a file for curves; rows and columns else")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--key-bits", type=int, default=KEY_BITS, help="of curves and memory; a shorter one takes less time")
    given = parser.parse_args()
    if given.what == "curves":
        Path(given.sizes[0]).write_text(json.dumps(curves(given.key_bits), indent=1) + "\n", encoding="utf-8")
        return
    n_rows, n_columns = map(int, given.sizes)
    if given.what == "cluster":
        print(json.dumps(products(n_rows, n_columns)))
    else:
        with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
            print(json.dumps(memory(n_rows, n_columns, given.rounds, Path(folder) if given.scratch else None, given.key_bits)))


if __name__ == "__main__":
    main()

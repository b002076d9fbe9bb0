"""The same work on vflfast and on the libraries its users could take instead: one core, same key size, answers checked.

``make bench-peers`` installs the peers into an environment of their own. A peer that is not installed is skipped. Shortcuts that a
peer takes are in its `note` and stand in the table: they make it faster than the same work would be.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machine import facts
from peers import COUNT, KEY_BITS, OWN, PEERS, SMALL, Peer

CELL_ROWS, CELL_COLUMNS = 1024, 40  # of the product, for peers that pay per cell
OWN_ROWS, OWN_COLUMNS = 66_274, 3_000  # of vflfast's: the size of the task
RNG = np.random.default_rng(1)
NUMBERS = RNG.integers(-(2**28), 2**28, COUNT)
FACTORS = RNG.integers(1, 2**24, COUNT)
MATRIX = RNG.integers(-(2**23), 2**23, (8, COUNT))
PRODUCT = "Zᵀ[[g]], per cell"
OPERATIONS = ("encrypt", "decrypt", "add", "add in 2-D", "multiply by 24 bits", PRODUCT, "24-bit matrix, per cell", "to bytes and back")
RESULTS: dict[tuple[str, str], float] = {}
NOTES: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def one_core(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    os.environ["VFLFAST_THREADS"] = "1"
    yield
    os.sched_setaffinity(0, before)
    del os.environ["VFLFAST_THREADS"]
    print("\n" + table())
    if file := request.config.getoption("--keep-peers"):
        Path(file).write_text(json.dumps(kept(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", PEERS)
def test_peer(name: str) -> None:
    """Time one library on all operations and check its answers."""
    try:
        peer = PEERS[name]()
    except ImportError as error:
        pytest.skip(f"not installed: {error.name}")
    NOTES[name] = peer.note
    small = name in SMALL
    numbers = NUMBERS % 1000 if small else NUMBERS
    factors = FACTORS % 1000 if small else FACTORS
    seconds, ciphertexts = best(lambda: peer.encrypt(numbers))
    RESULTS[name, "encrypt"] = seconds / COUNT
    seconds, opened = best(lambda: peer.decrypt(ciphertexts))
    RESULTS[name, "decrypt"] = seconds / COUNT
    check(peer, opened, numbers.tolist())
    repeat = 64 if name in OWN else 1  # long enough to time
    long = peer.encrypt(np.tile(numbers, repeat))
    seconds, summed = best(lambda: peer.add(long, long))
    RESULTS[name, "add"] = seconds / (COUNT * repeat)
    check(peer, peer.decrypt(summed)[:COUNT], (2 * numbers).tolist())
    seconds, scaled = best(lambda: peer.multiply(ciphertexts, factors))
    RESULTS[name, "multiply by 24 bits"] = seconds / COUNT
    if not small:  # its discrete logarithms would take a table of the products' size
        check(peer, peer.decrypt(scaled), (numbers.astype(object) * factors).tolist())
    time_product(name, peer, small)
    time_shapes(name, peer, ciphertexts, numbers)
    matrix = MATRIX % 1000 if small else MATRIX
    seconds, made = best(lambda: peer.matrix(matrix, ciphertexts))
    RESULTS[name, OPERATIONS[6]] = seconds / matrix.size
    if name != "sf-heu EC-ElGamal":  # sums beyond its table
        check(peer, peer.decrypt(made), (matrix.astype(object) @ numbers).tolist())
    seconds, again = best(lambda: peer.through_bytes(ciphertexts))
    RESULTS[name, OPERATIONS[7]] = seconds / COUNT
    check(peer, peer.decrypt(again), numbers.tolist())


def check(peer: Peer, opened: list[Any], expected: list[int]) -> None:
    """Compare answers: exactly, but for libraries that are approximate by nature."""
    if peer.tolerance:
        assert np.abs(np.array(opened) - np.array(expected, dtype=np.float64)).max() <= peer.tolerance * max(map(abs, expected))
    else:
        assert opened == expected


def time_shapes(name: str, peer: Peer, ciphertexts: Any, numbers: Any) -> None:
    """A square plus a square, for libraries that have two dimensions."""
    if (square := peer.square(ciphertexts)) is None:
        return
    seconds, summed = best(lambda: peer.add(square, square) if name != "phe" else square + square)
    RESULTS[name, "add in 2-D"] = seconds / COUNT
    assert peer.decrypt(peer.flat(summed)) == (2 * numbers).tolist()


def time_product(name: str, peer: Peer, small: bool) -> None:
    """Zᵀ[[g]] with five-class features."""
    fast = name in OWN
    n_rows, n_columns = (OWN_ROWS, OWN_COLUMNS) if fast else (CELL_ROWS, CELL_COLUMNS)
    codes = np.random.default_rng(2).integers(0, 5, (n_columns, n_rows), dtype=np.uint8)
    residual = np.random.default_rng(3).integers(-3 if small else -(2**20), 3 if small else 2**20, n_rows)
    ciphertexts = peer.encrypt(residual)
    seconds, columns = best(lambda: peer.product(codes, ciphertexts), 1)
    RESULTS[name, PRODUCT] = seconds / (n_rows * n_columns)
    check(peer, peer.decrypt(columns), (codes.astype(np.int64) @ residual).tolist())


def best(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Return the least seconds of several runs, and the last answer."""
    least, answer = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        answer = work()
        least = min(least, time.perf_counter() - start)
    return least, answer


def kept() -> dict[str, Any]:
    """The run as a file: microseconds of every library and operation, what it ran on, shortcuts."""
    here = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
    done = [name for name in PEERS if (name, OPERATIONS[-1]) in RESULTS]
    return {
        "peers": {
            name: {operation: round(RESULTS[name, operation] * 1e6, 4) for operation in OPERATIONS if (name, operation) in RESULTS}
            for name in done
        },
        "notes": {name: NOTES[name] for name in done},
        "versions": {name: metadata.version(name) for name in ("phe", "fate-utils", "sf-heu", "tenseal", "gmpy2") if installed(name)},
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "commit": (commit or "unknown") + " and changes" * bool(changed),
        "machine": facts(),
    }


def installed(name: str) -> bool:
    """Whether a distribution is there."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def table() -> str:
    """Return microseconds and, behind them, how many times vflfast is faster."""
    lines = [f"{KEY_BITS}-bit keys, one core; microseconds (times vflfast)", f"{'':<26}" + "".join(f"{o:>24}" for o in OPERATIONS)]
    for name in PEERS:
        if (name, OPERATIONS[-1]) not in RESULTS:
            continue
        cells = []
        for operation in OPERATIONS:
            if (name, operation) not in RESULTS:
                cells.append("-")
                continue
            own = RESULTS[name, operation]
            ratio = own / RESULTS.get(("vflfast", operation), own)
            cells.append(f"{own * 1e6:>14.3f} ({ratio:>6.1f})")
        lines.append(f"{name:<26}" + "".join(f"{cell:>24}" for cell in cells))
    lines += [f"  {name}: {note}" for name, note in NOTES.items() if note]
    return "\n".join(lines)

"""Two parties' tables opened and matched: time, memory, and disk where a scratch folder takes what is large.

    python bench/bench_matching.py 5000000 1000000
    python bench/bench_matching.py 5000000 1000000 --scratch folder

Four fifths of the smaller table's customers are in both. The tables have an id, a label and a number; they are made by one process
and matched by another, whose seconds of the processor are told, and its memory in two parts: anonymous, which has to be there, and all,
pages of files included, which the system takes back where it needs them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from machine import FULL, facts

from vflfast.crypto import storage
from vflfast.matching.match import match_parties
from vflfast.tables.table import open_table

OVERLAP, SESSION, KEY = 0.8, bytes(range(32)), bytes(range(16))
ROWS_AT_A_TIME, WATCH_SECONDS = 50_000, 0.05  # looking takes seconds of the processor too
SETTINGS = {"id_column": "phone", "id_format": "phone", "label_column": "y"}


def write_tables(folder: Path, n_guest: int, n_host: int) -> None:
    """guest.csv and host.csv: every number of eleven digits is somebody's, in an order that tells nothing."""
    n_common = round(OVERLAP * min(n_guest, n_host))
    numbers = np.random.default_rng(0).permutation(n_guest + n_host - n_common)
    for name, own in (("guest", numbers[:n_guest]), ("host", numbers[n_guest - n_common :][::-1])):
        with (folder / f"{name}.csv").open("w", encoding="utf-8") as file:
            file.write("phone,y,x\n")
            for first in range(0, len(own), ROWS_AT_A_TIME):
                rows = own[first : first + ROWS_AT_A_TIME].tolist()
                file.writelines(f"{13_000_000_000 + k},{k % 2},{k % 1000 / 8}\n" for k in rows)


@contextmanager
def watched(scratch: Path | None) -> Iterator[dict[str, int]]:
    """Note the most anonymous memory of this process, and the most that it maps from the folder, by looking again and again."""
    peaks, ended = {"anonymous": 0, "disk": 0}, threading.Event()

    def look() -> None:
        while not ended.wait(WATCH_SECONDS):
            peaks["anonymous"] = max(peaks["anonymous"], memory("RssAnon"))
            if scratch is not None:
                lines = Path("/proc/self/maps").read_text().splitlines()
                mapped = (line.split()[0].split("-") for line in lines if str(scratch) in line)
                peaks["disk"] = max(peaks["disk"], sum(int(end, 16) - int(start, 16) for start, end in mapped))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def memory(which: str) -> int:
    """Bytes of this process: VmHWM, the peak of all, or RssAnon, what is no page of a file, now."""
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").open() if line.startswith(which))


def measure(folder: Path, method: str, scratch: Path | None) -> dict[str, Any]:
    """Open and match both tables; what it took beyond the libraries, and a hash of the result."""
    before = memory("RssAnon")
    with watched(scratch) as peaks, storage.use_scratch(scratch):
        marks = [time.process_time()]
        tables = [open_table(folder / f"{name}.csv", **SETTINGS) for name in ("guest", "host")]
        marks.append(time.process_time())
        key = KEY if method == "hmac" else None
        positions, tokens, report = match_parties(
            [table.ids for table in tables], method=method, key=key, max_ids=1 << 31, session=SESSION
        )
        marks.append(time.process_time())
    digest = hashlib.sha256(tokens.tobytes() + b"".join(rows.tobytes() for rows in positions)).hexdigest()
    n_rows = sum(report["rows"])
    return {
        "matched": report["matched"], "open seconds": marks[1] - marks[0], "match seconds": marks[2] - marks[1],
        "anonymous MB": (peaks["anonymous"] - before) / 1e6, "anonymous bytes a customer": (peaks["anonymous"] - before) / n_rows,
        "peak MB with pages of files": memory("VmHWM") / 1e6, "scratch MB": peaks["disk"] / 1e6, "result": digest,
    }  # fmt: skip


def run(n_guest: int, n_host: int, method: str = "hmac", scratch: Path | None = None) -> dict[str, Any]:
    """Make the tables, match them in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-matching-", dir=scratch) as temporary:
        folder = Path(temporary)
        write_tables(folder, n_guest, n_host)
        command = [sys.executable, __file__, "0", "0", "--folder", str(folder), "--method", method]
        done = subprocess.run(
            [*command, *(["--scratch", str(scratch)] if scratch else [])], stdout=subprocess.PIPE, text=True, check=True
        )
        return dict(json.loads(done.stdout))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_matching_in_and_out_of_memory(tmp_path: Path) -> None:
    sizes = (5_000_000, 1_000_000) if FULL else (50_000, 10_000)
    inside, outside = run(*sizes), run(*sizes, scratch=tmp_path)
    assert outside["result"] == inside["result"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("guest", type=int, help="customers of the guest")
    parser.add_argument("host", type=int, help="customers of the host")
    parser.add_argument("--method", default="hmac")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--folder", type=Path, help="used by itself")
    given = parser.parse_args()
    if given.folder is not None:
        print(json.dumps(measure(given.folder, given.method, given.scratch)))
        return
    for name, value in facts().items():
        print(f"{name}: {value}")
    for name, figure in run(given.guest, given.host, given.method, given.scratch).items():
        print(f"{name}: {figure if isinstance(figure, str) else format(figure, ',.1f')}")


if __name__ == "__main__":
    main()

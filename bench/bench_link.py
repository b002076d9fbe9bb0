"""Seconds a round over a slow line: three parties in network namespaces of this machine, with and without row packing.

``python bench/bench_link.py [--rows N] [--mbit 100] [--delay 50]`` needs Linux, root and ``ip`` (iproute2); the delay is one way, in
milliseconds, on every line. Under pytest a small run is done where these are there. Every run must end with the weights of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from machine import facts
from slow_line import network

from vflfast.net.certs import write_certificates
from vflfast.plan.apart import TURNS

ROLES = ("guest", "host1", "arbiter")
PORT = 7001
ROUNDS = 5  # timed from the end of the first: no setup in it


def write_parties(folder: Path, addresses: dict[str, str], n_rows: int, columns: tuple[int, int]) -> None:
    """Five-class tables of the same customers, certificates, and one settings file a party."""
    rng = np.random.default_rng(0)
    ids = [f"{13_000_000_000 + i:011d}" for i in range(n_rows)]
    guest, host = (pd.DataFrame(rng.integers(1, 6, (n_rows, n)), columns=[f"{side}{j}" for j in range(n)])
                   for side, n in zip("gh", columns, strict=True))  # fmt: skip
    score = guest.sum(axis=1) + host.sum(axis=1) + rng.normal(0, 3, n_rows)
    guest["label"] = (score > score.quantile(0.8)).astype(int)
    for name, frame in (("guest", guest), ("host1", host)):
        frame.insert(0, "phone", ids)
        frame.to_csv(folder / f"{name}.csv", index=False)
    write_certificates(folder / "certificates", ROLES)
    for role in ROLES:
        (folder / f"{role}.toml").write_text(settings_file(role, addresses))


def settings_file(role: str, addresses: dict[str, str]) -> str:
    own = {
        "guest": 'file = "guest.csv"\nid_column = "phone"\nlabel_column = "label"',
        "host1": 'file = "host1.csv"\nid_column = "phone"',
        "arbiter": "",
    }
    heads = {"guest": "[guest]", "host1": "[[hosts]]", "arbiter": "[arbiter]"}
    parts = [f'{heads[r]}\naddress = "{addresses[r]}"\norganisation = "{r}"\n{own[r] if r == role else ""}' for r in ROLES]
    return "\n\n".join([*parts, '[ids]\nmethod = "ecdh"', '[network]\ncertificates = "certificates"', "[settings]\ntol = 0.0\n"])


def run(folder: Path, packing: int, key_bits: int) -> tuple[float, dict[str, Any]]:
    """Train once; return the seconds of a round by the guest's lines about them, and what all say at the end."""
    for name in ("journal", "models"):
        shutil.rmtree(folder / name, ignore_errors=True)
    change = [f"row_packing={packing}", f"test_key={str(key_bits < 2048).lower()}"]
    options = ["--json", "--max-iter", str(ROUNDS), "--key-bits", str(key_bits), *(word for c in change for word in ("--set", c))]
    processes: dict[str, subprocess.Popen[str]] = {}
    for role in ROLES:
        party = [sys.executable, "-m", "vflfast", "party", "--role", role, "--config", f"{role}.toml", *options]
        command = ["ip", "netns", "exec", f"vfl-{role}", *party]
        processes[role] = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ends: dict[int, float] = {}
    for line in processes["guest"].stderr or ():
        if found := re.match(r"round (\d+) ", line):
            ends.setdefault(int(found[1]), time.perf_counter())  # the first word of a round is the end of the one before
    said = {role: process.communicate(timeout=3600) for role, process in processes.items()}
    failed = {role: said[role][1][-500:] for role, process in processes.items() if process.returncode}
    if failed:
        raise RuntimeError(f"a party ended with an error: {failed}")
    seconds = (ends[ROUNDS] - ends[2]) / (ROUNDS - 2)
    return seconds, {role: json.loads(output) for role, (output, _) in said.items()}


def measure(
    n_rows: int, columns: tuple[int, int], mbit: float, delay: float, packings: Sequence[int], key_bits: int = 2048
) -> list[dict[str, float]]:
    """Seconds a round for every packing, beside the time that the bytes alone take in one direction."""
    rows, hashes = [], set()
    with network(ROLES, mbit * 1e6, delay / 1e3) as hosts, tempfile.TemporaryDirectory() as name:
        write_parties(Path(name), {role: f"{host}:{PORT}" for role, host in hosts.items()}, n_rows, columns)
        for packing in packings:
            seconds, said = run(Path(name), packing, key_bits)
            vector = -(-n_rows // packing) * key_bits / 4
            rows.append({
                "row_packing": packing,
                "seconds_a_round": seconds,
                "transfer_bound": 8 * vector / mbit / 1e6 + TURNS * delay / 1e3,
                "vector_mb": vector / 1e6,
            })  # fmt: skip
            hashes.add((said["guest"]["weight_hash"], said["host1"]["weight_hash"]))
    assert len(hashes) == 1, "row packing changed the weights"
    return rows


def possible() -> bool:
    """Whether this process may make network namespaces."""
    return sys.platform == "linux" and os.geteuid() == 0 and bool(shutil.which("ip"))


@pytest.mark.skipif(not possible(), reason="needs Linux, root and iproute2")
def test_rounds_over_a_shaped_line(benchmark: Any) -> None:
    rows = benchmark.pedantic(lambda: measure(400, (3, 5), 10.0, 5.0, (1, 2), key_bits=1024), rounds=1)
    assert [row["row_packing"] for row in rows] == [1, 2]
    benchmark.extra_info.update({"rows": rows, **facts()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, nargs=2, default=(10, 40), metavar=("GUEST", "HOST"))
    parser.add_argument("--mbit", type=float, default=100.0)
    parser.add_argument("--delay", type=float, default=50.0, help="milliseconds, one way")
    parser.add_argument("--packings", type=int, nargs="+", default=(1, 2, 4))
    given = parser.parse_args()
    if not possible():
        raise SystemExit("needs Linux, root and ip (iproute2)")
    print(", ".join(f"{name} {value}" for name, value in facts().items()))
    print(f"{given.rows:,} x {given.columns[0]} + {given.columns[1]} columns, 2048 bits, {given.mbit:g} Mbit/s, {given.delay:g} ms one way")
    for row in measure(given.rows, tuple(given.columns), given.mbit, given.delay, given.packings):
        print(f"row_packing {row['row_packing']:.0f}: {row['seconds_a_round']:7.2f} s a round; {row['vector_mb']:.1f} MB each way, "
              f"transfer alone {row['transfer_bound']:.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()

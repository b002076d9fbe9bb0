"""A mart of a million customers in three feature classes: its build, and a guest's 66,274 ids matched against it, cells and codes read.

``python bench/bench_mart.py [--customers N] [--columns N] [--guest N]`` prints the figures; under pytest a fiftieth of the size
runs, and the whole with ``VFLFAST_BENCH_FULL=1``. Build and match have a process each, so that each peak is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from machine import FULL, facts

from vflfast.binning.binner import Binner
from vflfast.mart.store import build
from vflfast.mart.table import open_mart, rows_of
from vflfast.matching.match import match_parties
from vflfast.tables.id_forms import normalise

N_CUSTOMERS, N_COLUMNS, N_GUEST, OVERLAP = 1_000_000, 300, 66_274, 0.6
CLASSES = {"credit": 1.0, "payments": 0.8, "web": 0.6}  # share of the customers that each class knows
STRANGERS = 2_000_000_000  # ids of the guest from here on are nobody's at the mart
ROWS_AT_A_TIME = 50_000
MEMORY_FOR_CELLS = 250  # MB
PRIME = 1_000_003


def memory(which: str) -> int:
    """Bytes of this process alone: VmHWM, the peak, or VmRSS, now; ru_maxrss would start with the parent's."""
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").open() if line.startswith(which))


def forget_peak() -> None:
    """Let the peak begin anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def phone(customer: int) -> str:
    return f"1{customer:010d}"


def cells(customers: npt.NDArray[np.int64], column: int) -> npt.NDArray[np.float64]:
    """The cells of a column, from the customers' numbers alone."""
    return ((customers * 7919 + column * 104_729) % PRIME) / 8


def members(name: str, n_customers: int) -> npt.NDArray[np.int64]:
    """A class's customers in an order of its own."""
    rng = np.random.default_rng([len(name), n_customers])
    return rng.permutation(n_customers)[: round(CLASSES[name] * n_customers)]


def write_classes(folder: Path, n_customers: int, n_columns: int) -> None:
    """One Parquet file per class, in pieces."""
    for number, name in enumerate(CLASSES):
        own, writer = members(name, n_customers), None
        for first in range(0, own.size, ROWS_AT_A_TIME):
            rows = own[first : first + ROWS_AT_A_TIME]
            columns: dict[str, Any] = {"phone": [phone(customer) for customer in rows.tolist()]}
            columns |= {f"{name}_{k}": cells(rows, number + len(CLASSES) * k) for k in range(n_columns // len(CLASSES))}
            table = pyarrow.table(columns)
            writer = writer or pyarrow.parquet.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()


def guest_customers(n_customers: int, n_guest: int) -> tuple[npt.NDArray[np.int64], int]:
    rng = np.random.default_rng(0)
    n_common = round(OVERLAP * n_guest)
    known = rng.choice(n_customers, n_common, replace=False)
    return rng.permutation(np.concatenate([known, STRANGERS + np.arange(n_guest - n_common)])), n_common


def run_build(folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    reading = {"id_column": "phone", "id_format": "phone"}
    store = build({name: {"file": folder / f"{name}.parquet", **reading} for name in CLASSES}, folder / "store")
    return {"build seconds": time.perf_counter() - start, "store MB": store.to_dict()["bytes"] / 1e6}


def run_match(folder: Path, n_customers: int, n_guest: int, method: str) -> dict[str, float]:
    customers, n_common = guest_customers(n_customers, n_guest)
    guest_ids = normalise([phone(customer) for customer in customers.tolist()], "phone")
    marks = [time.perf_counter()]
    mart = open_mart(folder / "store")
    marks.append(time.perf_counter())
    positions, _, report = match_parties([guest_ids, mart.ids], method=method, key=bytes(32) if method == "hmac" else None)
    peak_of_ids = memory("VmHWM")
    marks.append(time.perf_counter())
    ((view, rows),) = rows_of([mart], positions[1:])
    del mart
    forget_peak()
    before = memory("VmRSS")
    binner, (coded,) = Binner.fit_transform(view, rows)
    marks.append(time.perf_counter())
    rise = memory("VmHWM") - before
    matched = customers[positions[0]]
    assert report["matched"] == n_common == coded.n_rows
    assert set(matched.tolist()) == {customer for customer in customers.tolist() if customer < STRANGERS}
    assert view.ids[rows].tolist() == guest_ids[positions[0]].tolist()
    digest = check_cells(view, matched, n_customers)
    seconds = dict(zip(("open seconds", "match seconds", "read and bin seconds"), np.diff(marks).tolist(), strict=True))
    return {"matched": n_common, "columns": len(binner.rules), **seconds, "peak MB of ids": peak_of_ids / 1e6,
            "MB more for cells and codes": rise / 1e6, "codes MB": coded.codes.nbytes / 1e6, "cells checked": digest}  # fmt: skip


def check_cells(view: Any, matched: npt.NDArray[np.int64], n_customers: int) -> int:
    """First and last column of every class hold the customer's own cells, and nothing where the class lacks the customer."""
    checked = 0
    for number, name in enumerate(CLASSES):
        known = np.isin(matched, members(name, n_customers))
        own = [column for column in view.feature_names if column.startswith(f"{name}_")]
        for column in (own[0], own[-1]):
            expected = np.where(known, cells(matched, number + len(CLASSES) * int(column.split("_")[1])), np.nan)
            np.testing.assert_array_equal(view.column(column)[1].to_numpy(), expected)
            checked += expected.size
    return checked


def alone(*arguments: object) -> dict[str, float]:
    """Run a part of this file in a process of its own; its figures."""
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def run(n_customers: int, n_columns: int, n_guest: int, method: str = "ecdh") -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-mart-") as temporary:
        folder = Path(temporary)
        write_classes(folder, n_customers, n_columns)
        built = alone("--part", "build", "--folder", folder)
        for name in CLASSES:
            (folder / f"{name}.parquet").unlink()
        sizes = ("--customers", n_customers, "--guest", n_guest, "--ids", method)
        return built | alone("--part", "match", "--folder", folder, *sizes)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_the_patents_guest_against_a_mart_of_several_classes() -> None:
    found = run(*((N_CUSTOMERS, N_COLUMNS, N_GUEST) if FULL else (N_CUSTOMERS // 50, 30, N_GUEST // 50)))
    assert found["MB more for cells and codes"] < MEMORY_FOR_CELLS  # of the mart's 1.9 GB, were it read whole


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=N_CUSTOMERS)
    parser.add_argument("--columns", type=int, default=N_COLUMNS, help="of all classes together")
    parser.add_argument("--guest", type=int, default=N_GUEST)
    parser.add_argument("--ids", default="ecdh")
    parser.add_argument("--part", choices=["build", "match"], help="used by itself")
    parser.add_argument("--folder", type=Path, help="used by itself")
    given = parser.parse_args()
    if given.part == "build":
        print(json.dumps(run_build(given.folder) | {"build peak MB": memory("VmHWM") / 1e6}))
    elif given.part == "match":
        print(json.dumps(run_match(given.folder, given.customers, given.guest, given.ids)))
    else:
        for name, value in facts().items():
            print(f"{name}: {value}")
        print(f"mart of {given.customers:,} customers × {given.columns:,} columns in {len(CLASSES)} classes, guest of {given.guest:,} ids")
        for name, figure in run(given.customers, given.columns, given.guest, given.ids).items():
            print(f"{name}: {figure:,.1f}")

"""From raw floats in a file to codes: seconds a cell, peak memory of a process that does nothing else, and the same codes as read whole.

The small sizes take seconds; ``VFLFAST_BENCH_FULL=1`` runs 66,274 × 3,000 (bar: 20 s on two cores, codes + 600 MB) and two
million rows.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from machine import FULL

from vflfast.binning.binner import Binner
from vflfast.tables.table import read_table

MEMORY_ABOVE_CODES = 600e6  # bytes
SIZES = {"wide": (66_274, 3_000) if FULL else (20_000, 150), "long": (2_000_000, 30) if FULL else (200_000, 15)}
CSV_SIZES = {"wide": (66_274, 600) if FULL else (5_000, 60), "long": (2_000_000, 10) if FULL else (50_000, 6)}

ALONE = """
import hashlib, json, sys, time
from vflfast.binning.binner import Binner
from vflfast.tables.table import open_table
start = time.perf_counter()
binner, (coded,) = Binner.fit_transform(open_table(sys.argv[1]))
seconds = time.perf_counter() - start
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
rules = json.dumps(binner.to_dict(), sort_keys=True).encode()
print(json.dumps({"seconds": seconds, "peak": peak, "codes": coded.codes.nbytes,
                  "digest": hashlib.sha256(coded.codes.tobytes() + rules).hexdigest()}))
"""


def columns(rng: np.random.Generator, n_rows: int, n_columns: int) -> dict[str, np.ndarray]:
    """Amounts, some with gaps, some with many zeros, as float64."""
    made = {}
    for k in range(n_columns):
        cells = rng.normal(size=n_rows).round(4)
        if k % 4 == 1:
            cells[rng.random(n_rows) < 0.1] = np.nan
        if k % 4 == 2:
            cells[rng.random(n_rows) < 0.92] = 0.0
        made[f"f{k}"] = cells
    return made


def write(path: Path, n_rows: int, n_columns: int) -> None:
    rng = np.random.default_rng(0)
    writer = None
    for first in range(0, n_rows, 16_384):
        rows = np.arange(first, min(n_rows, first + 16_384))
        frame = pd.DataFrame({"id": [f"c{row}" for row in rows], **columns(rng, rows.size, n_columns)})
        if path.suffix == ".csv":
            frame.to_csv(path, index=False, mode="a" if first else "w", header=not first)
            continue
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def run(path: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", ALONE, str(path)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("shape", ["wide", "long"])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_codes_from_a_file_all_cores(shape: str, suffix: str, tmp_path: Path, measure: Any) -> None:
    n_rows, n_columns = (SIZES if suffix == ".parquet" else CSV_SIZES)[shape]
    path = tmp_path / f"table{suffix}"
    write(path, n_rows, n_columns)
    found = measure(lambda: run(path), items=n_rows * n_columns, unit="cell", rounds=1)
    whole = read_table(path)
    binner = Binner.fit(whole)
    rules = json.dumps(binner.to_dict(), sort_keys=True).encode()
    assert found["digest"] == hashlib.sha256(binner.transform(whole).codes.tobytes() + rules).hexdigest()
    assert found["peak"] <= found["codes"] + MEMORY_ABOVE_CODES
    measure.extra_info |= {"rows": n_rows, "columns": n_columns, "seconds_in_process": round(found["seconds"], 2)}
    measure.extra_info |= {"peak_mb": round(found["peak"] / 1e6), "codes_mb": round(found["codes"] / 1e6)}

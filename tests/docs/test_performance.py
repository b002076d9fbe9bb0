"""The performance page and the manual's figures are what the kept runs say."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import pytest
from support.pages import ROOT

sys.path.insert(0, str(ROOT / "bench"))

import write_page


def a_run(us: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A pytest-benchmark file with encryptions per backend."""
    facts = dict.fromkeys(write_page.MACHINE, "2") | {"processor": "Acme (R) 9", "threads": 1}
    benchmarks = [
        {"name": f"test_encrypt[{backend}-half]", "param": f"{backend}-half", "params": {"backend": backend, "alpha": "half"},
         "extra_info": {**facts, "backend": backend, "unit": "encryption", "us_per_encryption": time}}
        for backend, time in us.items()
    ]  # fmt: skip
    other = {"name": "test_told", "param": None, "params": None, "extra_info": {}}  # a benchmark that notes no figure
    run = {"benchmarks": [*benchmarks, other], "datetime": "2026-01-02T03", "commit_info": {"id": "abcdef0123", "dirty": False}}
    return {**run, **changes}


def test_the_pages_are_up_to_date() -> None:
    for name, page in write_page.pages(write_page.kept_runs()).items():
        assert (ROOT / name).read_text(encoding="utf-8") == page, "run: make docs"


def test_a_kept_run_is_small_and_names_no_machine_but_its_processor() -> None:
    for path in write_page.RESULTS.glob("*.json"):
        assert path.stat().st_size < 100_000
        kept = json.loads(path.read_text(encoding="utf-8"))
        what = {"peers", "notes", "versions"} if "peers" in kept else {"figures"}
        assert set(kept) == {"date", "commit", "remark", "machine", *what}
        assert set(kept["machine"]) == set(write_page.MACHINE)
        assert path.name == write_page.file_name(kept)


def heading_and_table(text: str) -> tuple[str, list[str]]:
    """The heading as one line, and the lines of the table."""
    heading, table = text.split("\n\n")
    return " ".join(heading.split()), table.splitlines()


def test_a_run_becomes_a_row() -> None:
    kept = write_page.keep(a_run({"ifma": 43.2, "portable": 303.0, "gmpy2": 4200.0}))
    assert write_page.file_name(kept) == "ifma-acme-r-9.json"
    heading, lines = heading_and_table(write_page.part([kept], "short"))
    assert "abcdef0:" in heading
    assert lines[0].endswith("| ifma | portable | gmpy2 | ifma against gmpy2 |")
    assert lines[2:] == ["| encrypt, fixed base, half | 2048 | encryption | 43.2 µs | 303 µs | 4.20 ms | 97.2 |"]


def test_a_remark_and_uncommitted_changes_are_told() -> None:
    kept = write_page.keep(a_run({"gmpy2": 1.0}, commit_info={"id": "abcdef0123", "dirty": True}), "A busy machine.")
    heading, lines = heading_and_table(write_page.part([kept], "whole"))
    assert heading.endswith(" A busy machine.")
    assert "abcdef0 and changes" in heading
    assert lines[2].endswith("| 1.00 µs |  |")  # nothing to compare with


def test_the_short_table_leaves_rows_out() -> None:
    kept = write_page.keep(a_run({"portable": 1.0}))
    other = copy.deepcopy(kept["figures"][0]) | {"parameters": "full"}
    kept["figures"].append(other)
    assert len(write_page.part([kept], "whole").splitlines()) == 1 + len(write_page.part([kept], "short").splitlines())


def test_kernels_stand_beside_their_bound() -> None:
    run = a_run({"ifma": 43.2})
    info = {**run["benchmarks"][0]["extra_info"], "unit": "product", "us_per_product": 0.55, "times_bound": 1.034}
    run["benchmarks"].insert(0, {"name": "test_kernel[mul-2048]", "param": "mul-2048", "params": {"bits": 2048}, "extra_info": info})
    _, lines = heading_and_table(write_page.part([write_page.keep(run)], "short"))
    assert lines[0].endswith("| ifma | ifma against gmpy2 | times the bound |")
    assert lines[2:] == [
        "| kernel, pair × pair | 2048 | product | 0.55 µs |  | 1.03 |", "| encrypt, fixed base, half | 2048 | encryption | 43.2 µs |  |  |",
    ]  # fmt: skip


def test_peers_are_multiples_of_vflfast() -> None:
    machine = dict.fromkeys(write_page.MACHINE, "2") | {"processor": "Acme 9", "threads": 1}
    times = {"vflfast": {"encrypt": 40.0, "add": 0.7}, "other": {"encrypt": 9000.0, "add": 0.035}}
    run = {"peers": times, "notes": {"vflfast": "", "other": "a shortcut"}, "versions": {"other": "1.2"}, "machine": machine,
           "date": "2026-01-02", "commit": "abcdef0"}  # fmt: skip
    kept = write_page.keep(run, "Quiet.")
    assert write_page.file_name(kept) == "peers-acme-9.json"
    lines = write_page.part([kept], "short").splitlines()
    assert lines[0].endswith("gmpy2 2. Quiet.")
    assert "(other 1.2;" in lines[2]
    assert lines[4:] == [
        "| | encrypt | add |", "|---|---:|---:|", "| vflfast | 40.0 µs | 0.70 µs |", "| other (a shortcut) | 225 | 0.05 |",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("us", "text"), [(0.0123, "0.012 µs"), (0.345, "0.34 µs"), (99.94, "99.9 µs"), (1000.0, "1.00 ms"), (2.5e6, "2.50 s"), (123e6, "123 s")]
)
def test_durations(us: float, text: str) -> None:
    assert write_page.duration(us) == text

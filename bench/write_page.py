"""Keep a run of the benchmarks and write it up: docs/performance.md and the figures of the manual.

``make bench PYTEST_FLAGS=--benchmark-json=run.json`` measures, and ``make bench-peers PYTEST_FLAGS=--keep-peers=run.json`` other libraries.
``python bench/write_page.py run.json`` keeps what matters of either in bench/results, one file a machine and backend, and writes the pages;
without a file it only writes them. A second argument is a remark.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PAGES = {"docs/performance.md": "whole", "docs/manual.md": "short"}
LINE = 118  # characters of a line of text
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
MACHINE = ("processor", "cores", "clock_ghz", "python", "numpy", "gmpy2", "vflfast")
NATIVE, YARDSTICK = ("ifma", "portable"), "gmpy2"

WORDS = {
    "kernel": "kernel",
    "pair_times_pair": "ciphertext × ciphertext modulo n², pairs",
    "gmp_multiply_and_reduce": "the same by gmpy2 alone, in a loop",
    "product_of_all_rows": "product of many ciphertexts",
    "import_and_export": "limbs in and out of the core's form",
    "batch_inversion": "inverses, many at a time",
    "encrypt": "encrypt, fixed base",
    "rerandomize": "fresh randomness for a ciphertext",
    "decrypt_core": "decrypt, the arithmetic alone",
    "decrypt": "decrypt, blinded and fault checked",
    "add": "add two vectors",
    "parse": "check a received ciphertext",
    "encrypt_on_all_cores": "encrypt, all cores",
    "dense_features": "Zᵀ[[g]]",
    "sparse_features": "Zᵀ[[g]], columns that are mostly zero",
    "five_classes_on_all_cores": "Zᵀ[[g]], five classes, all cores",
    "codes_from_a_file_all_cores": "codes from a file, all cores",
    "training": "a training round of three parties in one process",
}
KERNELS = {
    "mul": "pair × pair",
    "sqr": "pair squared",
    "mul_residue": "pair × residue",
    "mul_factor": "pair × factor of known quotient",
    "mul_factor_broadcast": "pair × the same factor in all lanes",
    "redc_mul": "residue × residue modulo n",
}
SHORT = (
    "kernel[mul-2048]", "kernel[sqr-2048]", "kernel[mul_residue-2048]", "kernel[mul_factor_broadcast-2048]",
    "pair_times_pair[2048]", "encrypt[half]", "decrypt", "add[vector]", "dense_features[five]", "dense_features[two]",
)  # fmt: skip


def keep(run: dict[str, Any], remark: str = "") -> dict[str, Any]:
    """Return what matters of a pytest-benchmark file, or of one of bench_peers.py: machine, commit, figures, a remark on circumstances."""
    if "peers" in run:
        machine = {name: run["machine"][name] for name in MACHINE}
        return {**run, "machine": machine, "remark": remark}
    found = [_figure(one) for one in run["benchmarks"] if "unit" in one["extra_info"]]
    figures = [figure for figure in found if figure["name"] in WORDS]  # others have pages of their own
    facts = run["benchmarks"][0]["extra_info"]
    commit = run["commit_info"]["id"][:7] + (" and changes" if run["commit_info"]["dirty"] else "")
    machine = {name: facts[name] for name in MACHINE}
    return {"date": run["datetime"][:10], "commit": commit, "remark": remark, "machine": machine, "figures": figures}


def file_name(kept: dict[str, Any]) -> str:
    """Return the name of a kept run: its best backend and its processor."""
    backends = {figure["backend"] for figure in kept.get("figures", ())}
    best = "peers" if "peers" in kept else next(name for name in (*NATIVE, YARDSTICK) if name in backends)
    return f"{best}-{re.sub(r'[^a-z0-9]+', '-', kept['machine']['processor'].lower()).strip('-')}.json"


def _figure(one: dict[str, Any]) -> dict[str, Any]:
    """A benchmark as {name, parameters without the backend, backend, threads, key_bits, unit, us}."""
    info, params = one["extra_info"], dict(one["params"] or {})
    params.pop("backend", None)
    name = one["name"].split("[")[0].removeprefix("test_")
    inside = one["param"].split("-") if one.get("param") else []
    others = [word for word in inside if word not in (*NATIVE, YARDSTICK)]
    share = {"times_bound": info["times_bound"]} if "times_bound" in info else {}
    return {
        "name": name, "parameters": "-".join(others), **share, "backend": YARDSTICK if name.startswith("gmp_") else info["backend"],
        "key_bits": params.get("bits", 2048), "unit": info["unit"], "us": info[f"us_per_{info['unit']}"],
    }  # fmt: skip


# --- tables ------------------------------------------------------------------------------------------------------


def part(kept: Sequence[dict[str, Any]], size: str) -> str:
    """Return the tables of the kept runs: all figures, or the few of the manual."""
    return "\n\n".join(f"{_heading(run)}\n\n{_peers(run) if 'peers' in run else _table(run['figures'], size)}" for run in kept)


def _peers(run: dict[str, Any]) -> str:
    """The same work on other libraries, as multiples of vflfast's own time, which stands in the first row."""
    own = run["peers"]["vflfast"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    lines = [f"The same work on other libraries ({versions}; 2048-bit keys, one core, one run), as multiples of vflfast's time:", ""]
    lines += [f"| | {' | '.join(own)} |", f"|---|{'---:|' * len(own)}"]
    lines.append(f"| vflfast | {' | '.join(duration(us) for us in own.values())} |")
    for name, times in run["peers"].items():
        if name != "vflfast":
            note = f" ({run['notes'][name]})".replace("|", r"\|") if run["notes"][name] else ""
            lines.append(f"| {name}{note} | {' | '.join(ratio(times[one] / own[one]) for one in own)} |")
    return "\n".join(lines)


def ratio(times: float) -> str:
    """Return a ratio with two or three digits."""
    return f"{times:.0f}" if times >= 99.5 else f"{times:.1f}" if times >= 0.1 else f"{times:.2f}"


def _heading(run: dict[str, Any]) -> str:
    m = run["machine"]
    text = (
        f"Measured on {run['date']} at commit {run['commit']}: {m['processor']}, {m['cores']} cores, {m['clock_ghz']} GHz, "
        f"Python {m['python']}, numpy {m['numpy']}, gmpy2 {m['gmpy2']}."
        + " Median; one thread unless the name says all cores." * ("figures" in run)
        + f" {run['remark']}" * bool(run["remark"])
    )
    return fill(text, LINE, break_long_words=False, break_on_hyphens=False)


def _table(figures: list[dict[str, Any]], size: str) -> str:
    columns = [name for name in (*NATIVE, YARDSTICK) if any(figure["backend"] == name for figure in figures)]
    bounds = {(figure["name"], figure["parameters"]): figure["times_bound"] for figure in figures if "times_bound" in figure}
    rows: dict[tuple[str, str, int, str], dict[str, float]] = {}
    for figure in figures:
        row = rows.setdefault((figure["name"], figure["parameters"], figure["key_bits"], figure["unit"]), {})
        row[figure["backend"]] = figure["us"]
    heads = [*columns, f"{columns[0]} against gmpy2", *["times the bound"] * bool(bounds)]
    lines = [f"| operation | key | for one | {' | '.join(heads)} |", "|---|---:|---|" + "---:|" * len(heads)]
    for (name, parameters, bits, unit), times in rows.items():
        label, key = name + (f"[{parameters}]" if parameters else ""), (name, parameters)
        if size == "short" and label not in SHORT:
            continue
        if name == "kernel":
            parameters = KERNELS[parameters.removesuffix(f"-{bits}")]
        words = WORDS.get(name, name.replace("_", " ")) + (f", {parameters}" if parameters and parameters != str(bits) else "")
        cells = [duration(times[column]) if column in times else "" for column in columns]
        against = f"{times[YARDSTICK] / times[columns[0]]:.1f}" if {YARDSTICK, columns[0]} <= set(times) and columns[0] != YARDSTICK else ""
        cells += [against, *[f"{bounds[key]:.2f}" if key in bounds else ""] * bool(bounds)]
        lines.append(f"| {words} | {bits} | {unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def duration(us: float) -> str:
    """Return microseconds with two or three digits and the unit that suits."""
    size, unit = next((size, unit) for size, unit in ((1e6, "s"), (1e3, "ms"), (0.0, "µs")) if us >= size)
    value = us / size if size else us
    places = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:.{places}f} {unit}"


# --- pages -------------------------------------------------------------------------------------------------------


def kept_runs(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return every kept run, by file name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def pages(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the pages with the tables of `runs` between their marks; ValueError if a page has none."""
    made = {}
    for name, size in PAGES.items():
        page = (ROOT / name).read_text(encoding="utf-8")
        if page.count(BEGIN) != 1 or page.count(END) != 1:
            raise ValueError(f"{name} needs one {BEGIN} and one {END}")
        made[name] = f"{page[: page.index(BEGIN)]}{BEGIN}\n\n{part(runs, size)}\n\n{page[page.index(END) :]}"
    return made


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kept_run = keep(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), " ".join(sys.argv[2:]))
        (RESULTS / file_name(kept_run)).write_text(json.dumps(kept_run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for page_name, page_text in pages(kept_runs()).items():
        (ROOT / page_name).write_text(page_text, encoding="utf-8")

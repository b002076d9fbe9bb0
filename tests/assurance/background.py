"""The two campaigns that take longer than a day's work: simulator seeds (B3) and fuzzing (C3), in pieces whose results are kept.

In the folder tests: `python -m assurance.background seeds|fuzz [--until COUNT] [--keep FOLDER]`. Each goes on where its file ends, adds
a line for each piece (commit, range or executions, minutes, how it ended), and stops at the first fault. `make assure` counts the lines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from assurance.figures import commit

KEPT = Path(__file__).parent / "kept"
SEEDS_A_PIECE = 500
SECONDS_OF_A_PIECE = 20
WANTED = {"seeds": 100_000, "fuzz": 10**8}


def pieces(file: Path) -> list[dict[str, Any]]:
    """What earlier runs kept, a JSON object a line."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def keep(file: Path, piece: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(piece) + "\n")


def run_seeds(file: Path, until: int) -> None:
    from support.campaign import EVERYTHING, check

    first = max((piece["first"] + piece["seeds"] for piece in pieces(file)), default=0)
    while first < until:
        began = time.monotonic()
        count = min(SEEDS_A_PIECE, until - first)
        ends = Counter(check(seed, EVERYTHING, "patent" if seed % 5 == 0 else "hardened") for seed in range(first, first + count))
        minutes = round((time.monotonic() - began) / 60, 2)
        keep(file, {"commit": commit(), "first": first, "seeds": count, "finished": ends["finished"], "minutes": minutes})
        first += count


def run_fuzz(file: Path, until: int) -> None:
    done = sum(sum(piece["executions"].values()) for piece in pieces(file))
    while done < until:
        piece = fuzz_each()
        keep(file, piece)
        done += sum(piece["executions"].values())


def fuzz_each() -> dict[str, Any]:
    """Every decoder for some seconds, with inputs that earlier pieces found worth keeping."""
    from assurance.test_fuzz import DECODERS

    executions: dict[str, int] = {}
    began = time.monotonic()
    for name in DECODERS:
        corpus = Path(tempfile.gettempdir()) / "vflfast-corpus" / name.replace(" ", "-")
        corpus.mkdir(parents=True, exist_ok=True)
        report = corpus.with_suffix(".json")
        arguments = ["--decoder", name, "--seconds", str(SECONDS_OF_A_PIECE), "--report", str(report), "--corpus", str(corpus)]
        environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "VFLFAST_THREADS": "1"}
        subprocess.run([sys.executable, "-m", "assurance.fuzz", *arguments], env=environment, capture_output=True, check=True)
        executions[name] = sum(json.loads(report.read_text(encoding="utf-8")).values())
    return {"commit": commit(), "executions": executions, "minutes": round((time.monotonic() - began) / 60, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("campaign", choices=tuple(WANTED))
    parser.add_argument("--until", type=int)
    parser.add_argument("--keep", type=Path, default=KEPT)
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    run = run_seeds if given.campaign == "seeds" else run_fuzz
    run(given.keep / f"{given.campaign}.jsonl", given.until or WANTED[given.campaign])


if __name__ == "__main__":
    main()

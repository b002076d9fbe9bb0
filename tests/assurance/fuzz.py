"""Fuzzes decoders under coverage guidance (atheris, libFuzzer), in a process of its own that ends with the first fault.

In the folder tests, `NUMBA_DISABLE_JIT=1 python -m assurance.fuzz [--decoder NAME] [--seconds S] [--corpus FOLDER] [--report FILE]`
writes a JSON object of executions by decoder to the file, and leaves what it found worth keeping in the folder. Without a name the first
byte of an input says whose it is. The input that ends it is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import atheris
import numpy  # noqa: F401  (heavy packages before the instrumentation: their branches are not ours)
import pandas  # noqa: F401
import pyarrow.csv  # noqa: F401
import tomli_w

with atheris.instrument_imports(include=["vflfast", "assurance.planted"]):
    import assurance.decoding as deco
    import assurance.file_decoders as files
    import assurance.planted as planted
    import assurance.wire_decoders as wire

DECODERS: dict[str, deco.Decoder] = {**wire.DECODERS, **files.DECODERS}
SECONDS_OF_ONE = 5  # longer is a hang
MEMORY_MB = 1024  # of the whole process, the libraries included
LONGEST = 4096  # bytes
REPORT_EVERY = 500  # executions; libFuzzer ends the process without a word to Python
LIKELY: list[Any] = [
    None, True, False, 0, 1, -1, 2, 255, 256, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 0.5, 1e308, -1e308,
    1e-320, float("inf"), float("-inf"), float("nan"), "", "\0", "a" * 300, "é", "\ud800", "../x", "/", "0", "-1", "\x1b[31m",
    "a\nb", [], [[]], {}, [0] * 300, [None], {"": None}, {"a": {}}, "guest", "host1", "arbiter", "mart", "2026-01-01", "balanced", "hmac",
]  # fmt: skip


# --- mutation of documents -----------------------------------------------------------------------------------------


def changed(value: Any, rng: random.Random) -> Any:
    """A document with one node changed: replaced, taken away, repeated, or moved elsewhere."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        made = value.copy()
        place = rng.choice(list(made) if isinstance(made, dict) else range(len(made)))
        kind = rng.random()
        if kind < 0.08:
            del made[place]
        elif kind < 0.16 and isinstance(made, list):
            made.insert(place, made[place])
        elif kind < 0.2 and isinstance(made, dict):
            made[rng.choice(["extra", *made])] = made[place]
        else:
            made[place] = changed(made[place], rng)
        return made
    if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.4:
        return rng.choice([value + 1, value - 1, -value, float(value) if abs(value) < 1e300 else value, str(value)])
    if isinstance(value, str) and value and rng.random() < 0.3:
        k = rng.randrange(len(value))
        return value[:k] + rng.choice(["", "0", "\0", "é", value]) + value[k + 1 :]
    return rng.choice(LIKELY) if rng.random() < 0.9 else nested(rng.choice([3, 100, 400]))


def nested(depth: int) -> Any:
    made: Any = []
    for _ in range(depth):
        made = [made]
    return made


def mutated(form: str, data: bytes, most: int, rng: random.Random) -> bytes | None:
    """One to three changes of a document; None where it is none, or bytes are better changed."""
    if form == "bytes" or rng.random() < 0.3:
        return None
    try:
        document = json.loads(data) if form == "json" else tomllib.loads(data.decode())
        for _ in range(rng.randrange(1, 4)):
            document = changed(document, rng)
        made = json.dumps(document).encode() if form == "json" else tomli_w.dumps(document).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return made if len(made) <= most else None


# --- the run -------------------------------------------------------------------------------------------------------


class Run:
    """Some decoders under the fuzzer; the first byte of an input chooses where there are several."""

    def __init__(self, decoders: dict[str, deco.Decoder], corpus: Path, report: Path) -> None:
        self.decoders, self.names, self.report = decoders, list(decoders), report
        self.executions: Counter[str] = Counter()
        for k, decoder in enumerate(decoders.values()):
            for j, example in enumerate(decoder.examples()):
                (corpus / f"example-{k}-{j}").write_bytes(self.head(k) + example)

    def head(self, k: int) -> bytes:
        return bytes([k]) if len(self.names) > 1 else b""

    def split(self, data: bytes) -> tuple[str, bytes]:
        if len(self.names) == 1:
            return self.names[0], data
        return self.names[data[0] % len(self.names) if data else 0], data[1:]

    def one(self, data: bytes) -> None:
        name, rest = self.split(data)
        self.executions[name] += 1
        if not self.executions.total() % REPORT_EVERY:
            self.report.write_text(json.dumps(self.executions))
        try:
            deco.attempt(self.decoders[name], rest)
        except BaseException:
            print(f"{name}: {rest!r}", file=sys.stderr)
            raise

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        name, rest = self.split(data)
        made = mutated(self.decoders[name].form, rest, most - 1, random.Random(seed))
        if made is None:
            return atheris.Mutate(data, most)
        return self.head(data[0] % len(self.names) if data else 0) + made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decoder", choices=[*DECODERS, *planted.DECODERS])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--report", type=Path, default=Path(os.devnull))
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    corpus = given.corpus or scratch
    corpus.mkdir(parents=True, exist_ok=True)
    run = Run({given.decoder: {**DECODERS, **planted.DECODERS}[given.decoder]} if given.decoder else DECODERS, corpus, given.report)
    limits = [f"-max_total_time={given.seconds}", f"-timeout={SECONDS_OF_ONE}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={LONGEST}"]
    atheris.Setup([sys.argv[0], *limits, "-len_control=0", f"-artifact_prefix={scratch}/", str(corpus)], run.one, custom_mutator=run.mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

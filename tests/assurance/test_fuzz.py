"""C3: every decoder fuzzed, and the core: a value or a typed error, within seconds and bounded memory, whatever the bytes or arrays.

Per change all decoders share one run of a minute; the campaign gives each a run of its own, and the core one under sanitizers.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from assurance import core_fuzz, file_decoders, wire_decoders
from assurance.decoding import Decoder, attempt
from assurance.figures import Figure
from support.sanitizers import build, under

from vflfast.crypto import backend as be

TESTS = Path(__file__).resolve().parents[1]
DECODERS = {**wire_decoders.DECODERS, **file_decoders.DECODERS}
needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel here")
needs_core = pytest.mark.skipif(importlib.util.find_spec("vflfast._core") is None, reason="this build has no native core")
QUICK_SECONDS = 30


def fuzz(folder: Path, seconds: float, decoder: str | None = None) -> subprocess.CompletedProcess[str]:
    named = [] if decoder is None else ["--decoder", decoder]
    limits = ["--seconds", str(max(1, int(seconds))), "--report", str(folder / "report.json")]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "VFLFAST_THREADS": "1", "TMPDIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "assurance.fuzz", *named, *limits], cwd=TESTS, env=environment, capture_output=True, text=True,
        errors="replace", timeout=seconds + 180, check=False,
    )  # fmt: skip


def executions(folder: Path) -> dict[str, int]:
    made: dict[str, int] = json.loads((folder / "report.json").read_text())
    return made


@pytest.mark.parametrize("name", DECODERS)
def test_examples_are_accepted(name: str) -> None:
    """A decoder that refuses everything would never be found at fault."""
    examples = DECODERS[name].examples()
    assert examples
    assert all(attempt(DECODERS[name], example) for example in examples)


LONG = "a" * 300
# decoder, what an example is changed to: each once ended in another error than a typed one, or in one that could not be printed
FOUND: list[tuple[str, dict[str, Any]]] = [
    ("status", {"party": "\ud800"}),
    ("status", {"extra": ["\ud800"], "problem": "\udfff"}),
    ("journals", {"version": "\ud800"}),
    ("journals", {"role": "host1", "round": float("inf")}),
    ("journals", {"number": [3], "version": 2}),
    ("journals", {"number": 2**64, "run": None}),
    ("saved norms", {"epsilon": 10**400}),
    ("saved norms", {"epsilon": -(10**400)}),
    ("mart's catalogue", {"last_number": float("inf")}),
    ("mart's catalogue", {"files": {LONG: [4, "0" * 64], "a.parquet": [4, "0" * 64]}}),
]


@pytest.mark.parametrize(("name", "changes"), FOUND)
def test_what_fuzzing_found_stays_mended(name: str, changes: dict[str, Any]) -> None:
    decoder = DECODERS[name]
    example = json.loads(decoder.examples()[0])
    assert not attempt(decoder, json.dumps(example | changes).encode())


def test_measured_rates_beyond_floats_count_as_none() -> None:
    saved = json.loads(DECODERS["measured rates"].examples()[0])
    saved["rates"] |= {"insert_far": 10**400, "collapse": 10**300}
    assert attempt(DECODERS["measured rates"], json.dumps(saved).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 5000, b"\xff"])
def test_a_journal_whose_checksum_is_right_and_whose_content_is_none(content: bytes) -> None:
    assert not attempt(DECODERS["journals"], content)


def test_a_specification_of_a_file_that_no_disk_can_hold() -> None:
    assert not attempt(DECODERS["specifications"], file_decoders.SPECIFICATION.replace(b"people.csv", LONG.encode() + b".csv"))


@needs_atheris
def test_all_decoders_in_short(tmp_path: Path, figure: Figure) -> None:
    done = fuzz(tmp_path, QUICK_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    made = executions(tmp_path)
    assert made.keys() == DECODERS.keys()
    figure("C3", "decoders", len(made))
    figure("C3", "executions", sum(made.values()))
    figure("C3", "minutes in all", QUICK_SECONDS / 60)


@pytest.mark.slow
@needs_atheris
def test_each_decoder(fuzz_seconds: float, tmp_path: Path, figure: Figure) -> None:
    for name in DECODERS:
        done = fuzz(tmp_path, fuzz_seconds / len(DECODERS), name)
        assert done.returncode == 0, (name, done.stderr[-3000:])
        figure("C3", "executions", executions(tmp_path)[name])
    figure("C3", "minutes in all", fuzz_seconds / 60)


@needs_atheris
@pytest.mark.parametrize(("fault", "said"), [
    ("planted: bytes", "planted: bytes: b'VFL!"), ("planted: field", "planted: field: b'{"), ("planted: hang", "libFuzzer: timeout"),
])  # fmt: skip
def test_a_planted_fault_is_found(fault: str, said: str, tmp_path: Path) -> None:
    done = fuzz(tmp_path, 60, fault)
    assert done.returncode != 0
    assert said in done.stderr, done.stderr[-3000:]


@pytest.mark.parametrize("error", ["\ud800", "a" * 5000])
def test_an_error_that_cannot_be_shown_is_a_fault(error: str) -> None:
    from vflfast.errors import VflError

    class RawError(VflError):
        def __str__(self) -> str:
            return error

    def decode(data: bytes) -> None:
        raise RawError

    with pytest.raises((UnicodeEncodeError, AssertionError)):
        attempt(Decoder(decode, list), b"x")


# --- the core --------------------------------------------------------------------------------------------------------


def core_figures(done: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert len(report["accepted"]) >= 17, "an entry that accepts nothing"
    return sum(report["calls"].values()), sum(report["accepted"].values())


@needs_core
def test_the_core_in_short(figure: Figure) -> None:
    command = [sys.executable, str(Path(__file__).with_name("core_fuzz.py")), "3", "0"]
    calls, accepted = core_figures(subprocess.run(command, capture_output=True, text=True, timeout=120, check=False))
    assert 0.2 * calls < accepted < 0.95 * calls
    figure("C3", "calls of the core", calls)


@pytest.mark.slow
@needs_core
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_the_core_under_sanitizers(fuzz_seconds: float, tmp_path: Path, figure: Figure) -> None:
    """Without the checks of proved ranges: numbers out of their range are part of what is tried."""
    folder, source = tmp_path / "sanitized", tmp_path / "source"
    source.mkdir()
    build("address,undefined", folder, source, verify=False)
    script = str(Path(__file__).with_name("core_fuzz.py"))
    calls, _ = core_figures(under("address,undefined", [script, str(fuzz_seconds), "1"], folder))
    figure("C3", "calls of the core under sanitizers", calls)
    figure("C3", "minutes in all", fuzz_seconds / 60)


def factors_of(rows: Any) -> Any:
    """An array of the shape of their factors."""
    return np.ones((len(rows), 3, rows.shape[2]), dtype=np.uint64)


@needs_core
def test_unaligned_arrays_are_copied_or_refused() -> None:
    entry = core_fuzz.Entries(be.select("portable"), core_fuzz.P)  # type: ignore[arg-type]
    row = np.ones((1, 2, entry.digits), dtype=np.uint64)
    shifted = np.frombuffer(b"\0" + row.tobytes(), dtype=np.uint8)[1:].view(np.uint64).reshape(row.shape)
    assert not shifted.flags.aligned
    np.testing.assert_array_equal(entry.modulus.export_rows(shifted, 1), entry.modulus.export_rows(row, 1))
    times = np.frombuffer(bytearray(17), dtype=np.uint8)[1:].view(np.uint64)
    with pytest.raises(ValueError, match="aligned"):
        entry.modulus.class_sums(row, factors_of(row), [([2], np.zeros(1, dtype=np.uint16), None, -1)], 1, 1, times)


@needs_core
@pytest.mark.parametrize(("name", "arguments"), [
    ("chain", (2**63, 1)), ("pack", (2**31, 64, 1)), ("pack", (1, 2**30, 1)), ("class_sums", ([([2], [0], None, -1)], 2**40, 1)),
    ("class_sums", ([([65536] * 4, [0], None, -1)], 1, 1)), ("class_sums", ([([-1, -1], [0], None, -1)], 1, 1)),
])  # fmt: skip
def test_the_core_refuses_what_would_take_for_ever(name: str, arguments: tuple[Any, ...]) -> None:
    entry = core_fuzz.Entries(be.select("portable"), core_fuzz.P)  # type: ignore[arg-type]
    rows = np.ones((1, 2, entry.digits), dtype=np.uint64)
    operands = (rows, factors_of(rows)) if name == "class_sums" else (rows,)
    with pytest.raises(ValueError, match=r"\w"):  # no TypeError: the arguments are of the right types
        getattr(entry.modulus, name)(*operands, *arguments)

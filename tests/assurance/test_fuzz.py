"""C3: every decoder fuzzed, and the core: a value or a typed error, within seconds and bounded memory, whatever the bytes or arrays.

Per change all decoders share one short run; the campaign gives each a run of its own, and the core one under sanitizers.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from assurance import file_decoders, wire_decoders
from assurance.decoding import Decoder, attempt
from assurance.figures import Figure
from test_sanitizers import build, under

TESTS = Path(__file__).resolve().parents[1]
DECODERS = {**wire_decoders.DECODERS, **file_decoders.DECODERS}
needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel here")
needs_core = pytest.mark.skipif(importlib.util.find_spec("vflfast._core") is None, reason="this build has no native core")
QUICK_SECONDS = 6


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


@needs_atheris
def test_all_decoders_in_short(tmp_path: Path, figure: Figure) -> None:
    done = fuzz(tmp_path, QUICK_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    made = executions(tmp_path)
    assert made.keys() == DECODERS.keys()
    figure("C3", "decoders", len(made))
    figure("C3", "executions", sum(made.values()))


@pytest.mark.slow
@needs_atheris
def test_each_decoder(campaign_seconds: float, tmp_path: Path, figure: Figure) -> None:
    for name in DECODERS:
        done = fuzz(tmp_path, campaign_seconds / len(DECODERS), name)
        assert done.returncode == 0, (name, done.stderr[-3000:])
        figure("C3", "executions", executions(tmp_path)[name])


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
def test_the_core_under_sanitizers(campaign_seconds: float, tmp_path: Path, figure: Figure) -> None:
    """Without the checks of proved ranges: numbers out of their range are part of what is tried."""
    folder, source = tmp_path / "sanitized", tmp_path / "source"
    source.mkdir()
    build("address,undefined", folder, source, verify=False)
    script = str(Path(__file__).with_name("core_fuzz.py"))
    calls, _ = core_figures(under("address,undefined", [script, str(campaign_seconds), "1"], folder))
    figure("C3", "calls of the core under sanitizers", calls)

"""The launcher's processes: started again after a signal a few times, never after an error, ended for certain."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vflfast.errors import InputError
from vflfast.jobs import launch
from vflfast.jobs.leash import Leash

Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def process(lines: Lines) -> Iterator[Any]:
    """A party that says a line and waits."""
    code = "import sys, time; print('ready', file=sys.stderr, flush=True); print('{}', flush=True); time.sleep(60)"
    made = launch._Process("guest", [sys.executable, "-c", code], lambda role, line: lines.append((role, line)), Leash())
    made.start()
    yield made
    made.stop()


def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def killed(process: Any, number: int) -> None:
    process.process.send_signal(number)
    process.process.wait(30)


def test_one_that_ends_by_a_signal_is_started_again_a_few_times(process: Any, lines: Lines) -> None:
    for restart in range(1, launch.MAX_RESTARTS + 1):
        assert process.ended() is None
        killed(process, signal.SIGKILL)
        assert process.ended() is None
        assert (process.restarts, process.process.poll()) == (restart, None)
        assert lines.count(("guest", "ended by SIGKILL; started again")) == restart
    killed(process, signal.SIGSEGV)
    assert process.ended() == -signal.SIGSEGV


@pytest.mark.parametrize("code", [0, 1, 3])
def test_one_that_ends_by_itself_is_not(code: int, lines: Lines) -> None:
    command = [sys.executable, "-c", f"import sys; sys.exit({code})"]
    made = launch._Process("guest", command, lambda role, line: lines.append((role, line)), Leash())
    made.start()
    made.process.wait(30)
    assert (made.ended(), made.restarts, lines) == (code, 0, [])


def test_what_it_says_is_shown_and_what_it_prints_is_kept(process: Any, lines: Lines) -> None:
    until(lambda: process.output and lines)
    assert (lines, process.last_line, process.output) == ([("guest", "ready")], "ready", ["{}\n"])


def test_one_that_does_not_end_when_asked_is_killed(process: Any, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: lines)
    os.kill(process.process.pid, signal.SIGSTOP)  # a stopped process takes no request to end
    os.waitid(os.P_PID, process.process.pid, os.WSTOPPED)
    real = process.process.wait
    monkeypatch.setattr(process.process, "wait", lambda timeout=None: real(0.2 if timeout else None))
    process.stop()
    assert process.process.returncode == -signal.SIGKILL


def test_hmac_without_a_key_of_the_jobs_own_gets_one_that_all_read(tmp_path: Path) -> None:
    first, second = (launch._ids({"method": "hmac"}, tmp_path / "job", tmp_path) for _ in range(2))
    assert first == second == {"method": "hmac", "key_file": str(tmp_path / "ids.key")}
    assert len((tmp_path / "ids.key").read_bytes()) == 32
    assert (tmp_path / "ids.key").stat().st_mode & 0o777 == 0o600
    own = launch._ids({"method": "hmac", "key_file": "own.key"}, tmp_path / "job", tmp_path)
    assert own["key_file"] == str(tmp_path / "job" / "own.key")
    assert launch._ids({}, tmp_path, tmp_path) == {}


def test_without_tomli_w_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch._toml({"guest": {"file": "a"}}).strip() == '[guest]\nfile = "a"'
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    with pytest.raises(InputError, match=r"vflfast\[net\]"):
        launch._toml({})

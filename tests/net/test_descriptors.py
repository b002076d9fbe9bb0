"""Files of journal and ledger are opened although all descriptors are taken: from the reserve, or when one comes free."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vflfast.net import descriptors
from vflfast.net.descriptors import IN_RESERVE, with_descriptor

TAKE_ALL = """
import os, resource, sys, threading, time
from pathlib import Path
from support.simulator import MemoryJournal
from vflfast.net.journal import FileJournal
from vflfast.net import descriptors
from vflfast.protocol.resume import Checkpoint
if sys.argv[2] == "control":
    descriptors.PATIENCE = -1.0
    descriptors.IN_RESERVE = 0
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
journal = FileJournal(sys.argv[1], "guest")
journal.commit(Checkpoint(bytes(32), b"", 1, False, {}))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
def free():
    time.sleep(0.5)
    for descriptor in held[:8]:
        os.close(descriptor)
if sys.argv[2] == "later":
    descriptors._reserve.give_up = lambda: False
    threading.Thread(target=free).start()
for number in range(2, 6):
    journal.commit(Checkpoint(bytes(32), b"", number, False, {}))
print("committed", journal.held()[0].round)
"""


@pytest.mark.parametrize(("case", "ends"), [("reserve", True), ("later", True), ("control", False)])
def test_a_commit_when_all_descriptors_are_taken(case: str, ends: bool, tmp_path: Path) -> None:
    """The control has neither reserve nor patience, and loses the commit."""
    tests = Path(__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", TAKE_ALL, str(tmp_path), case], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(tests)},
    )  # fmt: skip
    assert ("committed 5" in ran.stdout) is ends, ran.stderr
    assert ("Too many open files" in ran.stderr) is not ends


def test_other_errors_are_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        with_descriptor((tmp_path / "none").read_bytes)


def test_in_the_end_the_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(descriptors, "PATIENCE", 0.2)
    with pytest.raises(OSError, match="Too many open files"):
        with_descriptor(none_left)


def test_the_reserve_is_filled_and_given_up() -> None:
    reserve = descriptors.Reserve()
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    threads = [threading.Thread(target=reserve.fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reserve.give_up() for _ in range(IN_RESERVE + 1)] == [True] * IN_RESERVE + [False]
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before

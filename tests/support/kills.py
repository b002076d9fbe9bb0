"""Processes of `vflfast launch` that are killed at a chosen point: a sitecustomize.py that every Python process of the run imports.

VFL_KILL is "role point marker": the party of that role ends by SIGKILL at that point, once; `marker` is the file that says it did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import vflfast

ROOT = str(Path(vflfast.__file__).parents[1])
POINTS = ("last commit", "before save", "after save", "after mark", "after the others ended")

HOOK = '''
import os, signal, sys
words = getattr(sys, "orig_argv", [])
role, point, marker = (os.environ.get("VFL_KILL", "||").split("|") + ["", ""])[:3]
if "party" in words and role in words and not os.path.exists(marker):
    from vflfast.net import board, journal, runner

    def die(at):
        if at == point and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    commit, mark, attempt = journal.FileJournal.commit, journal.FileJournal.mark_finished, runner.Runner._attempt
    tell, leave = board.Board.tell, runner.Runner._linger

    def commit_and_die(self, checkpoint):
        commit(self, checkpoint)
        if checkpoint.stopped:
            die("last commit")

    def attempt_and_die(self, number):
        result = attempt(self, number)
        die("before save")
        return result

    def mark_and_die(self, *outcome):
        die("after save")
        mark(self, *outcome)
        die("after mark")

    def linger_and_die(self, **options):
        leave(self, **options)
        die("after the others ended")

    journal.FileJournal.commit, journal.FileJournal.mark_finished = commit_and_die, mark_and_die
    runner.Runner._attempt, runner.Runner._linger = attempt_and_die, linger_and_die
'''


def environment(folder: Path, kill: str = "") -> dict[str, str]:
    """For a launcher whose parties may be killed; `kill` is role|point|marker."""
    hooks = folder / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(HOOK)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(hooks), ROOT]), "VFL_KILL": kill}


def start(job: Path, folder: Path, variables: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """`vflfast launch` without TLS, which is another test's matter."""
    command = [sys.executable, "-m", "vflfast", "launch", str(job), "--folder", str(folder), "--plaintext", "--json", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables, start_new_session=True)


def parties(folder: Path) -> dict[str, int]:
    """Role → process id of the parties of a run in this folder that live."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        for role in ("guest", "host1", "arbiter"):
            if str(folder / f"{role}.toml").encode() in command:
                found[role] = int(entry.name)
    return found


def none_left(folder: Path, seconds: float = 10.0) -> bool:
    """Whether all parties of a run end within the time."""
    end = time.monotonic() + seconds
    while parties(folder):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def ended(process: subprocess.Popen[str], timeout: float = 120.0) -> dict[str, Any]:
    """What a launcher printed; it must end well."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err[-3000:]
    return dict(json.loads(out))

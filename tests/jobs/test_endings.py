"""B1 between the last commit and the exit, and launchers that are killed: exit 0, the same session and hash, nobody left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from assurance.figures import Figure
from support import kills
from support.jobs import SETTINGS, refused, sections, succeeded, write_job, write_tables

from vflfast.jobs.leash import VARIABLE, Leash

ROLES = ("guest", "host1", "arbiter")
RANDOM_KILLS = 200
EVERY_CHANGE = {("guest", "after mark"), ("host1", "last commit"), ("arbiter", "after the others ended")}
CASES = [
    pytest.param(role, point, marks=[] if (role, point) in EVERY_CHANGE else [pytest.mark.slow]) for role in ROLES for point in kills.POINTS
]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    write_tables(folder)
    return write_job(folder, sections(folder, run={}, settings={**SETTINGS, "max_iter": 4}))


@pytest.fixture(scope="module")
def weights(job: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    models = tmp_path_factory.mktemp("models")
    return str(json.loads(succeeded("train", job, "--models", models, "--json").stdout)["summary"]["weight_hash"])


def sessions(folder: Path) -> set[str]:
    return {json.loads((folder / "models" / f"{role}.json").read_text())["session"] for role in ROLES}


@pytest.mark.parametrize(("role", "point"), CASES)
def test_a_party_killed_at_its_end_leaves_a_completed_run(
    role: str, point: str, job: Path, weights: str, tmp_path: Path, figure: Figure
) -> None:
    marker, folder = tmp_path / "killed", tmp_path / "run"
    summary = kills.ended(kills.start(job, folder, kills.environment(tmp_path, f"{role}|{point}|{marker}")))
    assert marker.exists()
    assert summary["weight_hash"] == weights
    assert summary["restarts"] == {**dict.fromkeys(ROLES, 0), role: 1}
    assert len(sessions(folder)) == 1
    assert kills.none_left(folder)
    figure("B1", "killed at the end", 1)


@pytest.mark.parametrize("role", [ROLES[0], *(pytest.param(role, marks=pytest.mark.slow) for role in ROLES[1:])])
def test_a_party_that_is_started_again_says_again_what_it_said(role: str, job: Path, weights: str, tmp_path: Path) -> None:
    """Alone, after all have left: no peer is needed, nothing is trained."""
    folder = tmp_path / "run"
    kills.ended(kills.start(job, folder, kills.environment(tmp_path)))
    before = (folder / "models" / f"{role}.json").read_bytes()
    begun = time.monotonic()
    (line,) = succeeded("party", "--role", role, "--config", config(folder, role), "--json").stdout.splitlines()
    assert time.monotonic() - begun < 60
    assert json.loads(line)["role"] == role
    assert (folder / "models" / f"{role}.json").read_bytes() == before


def config(folder: Path, role: str) -> Path:
    return folder / f"{role}.toml"


def test_a_finished_run_that_is_resumed_says_what_it_was(job: Path, weights: str, tmp_path: Path) -> None:
    folder, variables = tmp_path / "run", kills.environment(tmp_path)
    first = kills.ended(kills.start(job, folder, variables))
    known = sessions(folder)
    again = kills.ended(kills.start(job, folder, variables, "--resume"))
    assert again["weight_hash"] == first["weight_hash"] == weights
    assert sessions(folder) == known
    anew = kills.ended(kills.start(job, folder, variables))
    assert anew["weight_hash"] == weights
    assert sessions(folder) != known


def test_another_training_needs_a_word(job: Path, tmp_path: Path) -> None:
    """--anew takes away the journal of a run that ended, and of no other."""
    folder, variables = tmp_path / "run", kills.environment(tmp_path)
    kills.ended(kills.start(job, folder, variables))
    journal = folder / "journal" / "guest"
    mark = journal / "finished"
    assert mark.exists()
    mark.unlink()
    assert "unfinished" in refused("party", "--role", "guest", "--config", config(folder, "guest"), "--anew")
    assert (journal / "checkpoint").exists()


def test_a_model_that_is_gone_is_made_again(job: Path, weights: str, tmp_path: Path) -> None:
    folder, variables = tmp_path / "run", kills.environment(tmp_path)
    kills.ended(kills.start(job, folder, variables))
    known = sessions(folder)
    (folder / "models" / "host1.json").unlink()
    assert kills.ended(kills.start(job, folder, variables, "--resume"))["weight_hash"] == weights
    assert sessions(folder) == known


# --- the launcher -----------------------------------------------------------------------------------------------------


def wait_for(folder: Path, round_: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if json.loads((folder / "journal" / "guest" / "checkpoint").read_bytes().partition(b"\n")[2])["round"] >= round_:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.005)
    raise AssertionError("no such round")


@pytest.mark.parametrize("round_", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_parties_end_with_their_launcher_and_the_run_goes_on(round_: int, job: Path, weights: str, tmp_path: Path, figure: Figure) -> None:
    folder, variables = tmp_path / "run", kills.environment(tmp_path)
    launcher = kills.start(job, folder, variables)
    wait_for(folder, round_)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.communicate(timeout=30)
    summary = kills.ended(kills.start(job, folder, variables, "--resume"))
    assert summary["weight_hash"] == weights
    assert kills.none_left(folder)
    figure("B13", "launchers killed", 1)


def test_nobody_is_left_when_the_launcher_is_killed_and_not_started_again(job: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    launcher = kills.start(job, folder, kills.environment(tmp_path))
    wait_for(folder, 1)
    assert set(kills.parties(folder)) == set(ROLES)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.communicate(timeout=30)
    assert kills.none_left(folder)


CHILD = "import sys, time; from vflfast.jobs.leash import end_with_starter; end_with_starter(); print('up', flush=True); time.sleep(60)"
STARTER = (
    "import subprocess, sys, time; from vflfast.jobs.leash import Leash; l = Leash(); "
    "p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE, text=True, pass_fds=l.descriptors, "
    "env=l.environment); p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_starter_however_that_ends(number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": kills.ROOT}
    starter = subprocess.Popen([sys.executable, "-c", STARTER, CHILD], stdout=subprocess.PIPE, text=True, env=environment)
    assert starter.stdout is not None
    child = int(starter.stdout.readline())
    starter.send_signal(number)
    starter.wait(30)
    end = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_without_a_leash_lives_on() -> None:
    """The control: what the launcher did before."""
    environment = {**os.environ, "PYTHONPATH": kills.ROOT}
    loose = STARTER.replace("env=l.environment", f"env={{k: v for k, v in l.environment.items() if k != '{VARIABLE}'}}")
    starter = subprocess.Popen([sys.executable, "-c", loose, CHILD], stdout=subprocess.PIPE, text=True, env=environment)
    assert starter.stdout is not None
    child = int(starter.stdout.readline())
    starter.kill()
    starter.wait(30)
    time.sleep(1.0)
    os.kill(child, 0)
    os.kill(child, signal.SIGKILL)


def test_a_leash_is_let_go() -> None:
    leash = Leash()
    (descriptor,) = leash.descriptors
    assert leash.environment[VARIABLE] == str(descriptor)
    leash.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


@pytest.mark.slow
def test_random_kills_of_launch(job: Path, weights: str, tmp_path: Path, figure: Figure) -> None:
    """Anybody, the launcher included, at any moment; --resume until it ends."""
    rng = random.Random(2027)
    for case in range(RANDOM_KILLS):
        folder = tmp_path / str(case)
        process = kills.start(job, folder, kills.environment(tmp_path))
        time.sleep(rng.uniform(0.5, 6.0))
        victims = {"launcher": process.pid, **kills.parties(folder)}
        os.kill(victims[rng.choice(sorted(victims))], signal.SIGKILL)
        process.communicate(timeout=120)
        for _ in range(3):
            resume = ["--resume"] if (folder / "journal").exists() else []
            process = kills.start(job, folder, kills.environment(tmp_path), *resume)
            out, _ = process.communicate(timeout=120)
            if process.returncode == 0:
                break
        assert json.loads(out)["weight_hash"] == weights, case
        assert kills.none_left(folder)
        figure("B13", "random kills of launch", 1)

"""Ctrl-C: one line that says how to go on, exit code 130, and the run that goes on ends with the hash of one that was never stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.jobs import SETTINGS, refused, sections, succeeded, vflfast, write_job, write_tables

import vflfast as package

ROOT = str(Path(package.__file__).parents[1])
LONG = {**SETTINGS, "max_iter": 40, "tol": 0.0}
DEADLINE = 120.0


def job(folder: Path, **changes: Any) -> Path:
    write_tables(folder)
    return write_job(folder, sections(folder, settings=LONG, **changes))


def interrupted(arguments: list[str], sign: Path, number: int = signal.SIGINT) -> str:
    """Run the command line, stop it once `sign` is there, and return what it said on stderr after the lines of its rounds."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-m", "vflfast", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    end = time.monotonic() + DEADLINE
    while not sign.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    said = [line for line in err.splitlines() if line.startswith("vflfast: ")]
    assert len(said) == 1
    assert err.splitlines()[-1] == said[0]
    return said[0]


@pytest.mark.parametrize(("number", "ids"), [
    (signal.SIGINT, {"method": "ecdh"}), pytest.param(signal.SIGTERM, {"method": "hmac"}, marks=pytest.mark.slow),
])  # fmt: skip
def test_training_goes_on_to_the_same_weights(tmp_path: Path, number: int, ids: dict[str, str]) -> None:
    file, models = job(tmp_path, ids=ids), tmp_path / "models"
    whole = json.loads(succeeded("train", file, "--models", tmp_path / "whole", "--json").stdout)["summary"]
    said = interrupted(["train", str(file), "--models", str(models)], models / "journal" / "guest" / "checkpoint.previous", number)
    assert said == f"vflfast: stopped; go on with: vflfast train {file} --models {models} --resume, and the same settings"
    assert "--resume" in refused("train", file, "--models", models)
    summary = json.loads(succeeded("train", file, "--models", models, "--resume", "--verify", "--json").stdout)["summary"]
    assert (summary["weight_hash"], summary["losses"]) == (whole["weight_hash"], whole["losses"])
    assert summary["verified_rounds"] == LONG["max_iter"]
    first, after = summary["evaluation"]["rounds"]["first"], summary["evaluation"]["rounds"]["scores"]["joint"]["auc"]
    assert 1 < first <= LONG["max_iter"]  # rounds before the stop were not done again, so nobody knows their AUC
    assert after == whole["evaluation"]["rounds"]["scores"]["joint"]["auc"][first - 1 :]
    assert sorted(path.name for path in models.iterdir()) == ["arbiter.json", "guest.json", "host1.json"]


def test_launched_parties_go_on_to_the_same_weights(tmp_path: Path) -> None:
    file, folder = job(tmp_path, run={}), tmp_path / "run"
    whole = json.loads(succeeded("train", file, "--models", tmp_path / "whole", "--json").stdout)["summary"]
    said = interrupted(["launch", str(file), "--folder", str(folder), "--plaintext"], folder / "journal" / "guest" / "checkpoint.previous")
    assert said == f"vflfast: stopped; go on with: vflfast launch {file} --folder {folder} --resume, and the same settings"
    summary = json.loads(succeeded("launch", file, "--folder", folder, "--plaintext", "--resume", "--json").stdout)
    assert summary["weight_hash"] == whole["weight_hash"]


def test_what_cannot_go_on_stops_in_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vflfast.crypto.paillier.keys.generate_primes", interrupt)
    result = vflfast("keygen", "--out", tmp_path / "key")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "vflfast: stopped\n")


def test_after_the_models_are_saved_there_is_nothing_to_go_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    write_tables(tmp_path)
    file = write_job(tmp_path, sections(tmp_path))
    monkeypatch.setattr("vflfast.jobs.evaluation.evaluate", interrupt)
    result = vflfast("train", file, "--models", tmp_path / "models")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1] == "vflfast: stopped; the models are saved"
    monkeypatch.undo()
    succeeded("train", file, "--models", tmp_path / "models")  # no unfinished run stands in the way

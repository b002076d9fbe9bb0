"""Customers kept out of training: the same in one process and in three, evaluated by the guest from what the settings open to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.jobs import refused, sections, succeeded, write_job, write_tables

from vflfast.errors import InputError
from vflfast.jobs.party import read_party
from vflfast.jobs.programs import EVALUATE, SCORE

OUTPUTS = {"labels": False, "probability": True}


def job(folder: Path, **settings: Any) -> Path:
    write_tables(folder)
    made = sections(folder)
    made["settings"] |= settings
    return write_job(folder, made)


def launched(path: Path, folder: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "vflfast", "launch", str(path), "--folder", str(folder), "--json", *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    summary: dict[str, Any] = json.loads(ran.stdout)
    return summary


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A job, what one process made of it, and what three did."""
    folder = tmp_path_factory.mktemp("kept-out")
    path = job(folder)
    inline = json.loads(succeeded("train", path, "--models", folder / "inline", "--json").stdout)["summary"]
    return path, inline, launched(path, folder / "run")


def test_the_split_and_the_weights_are_those_of_one_process(trained: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    _, inline, apart = trained
    assert apart["weight_hash"] == inline["weight_hash"]
    assert apart["training_rows"] == inline["training_rows"] < inline["match"]["matched"]


@pytest.mark.parametrize("output", [pytest.param("labels", marks=pytest.mark.slow), "probability"])
def test_the_guest_finds_what_a_simulation_finds(output: str, trained: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    path, inline, _ = trained
    found = launched(path, path.parent / "run", "--evaluate", "--output", output)["evaluation"]
    expected = inline["evaluation"]
    assert (found["rows"], found["positive_share"]) == (expected["rows"], expected["positive_share"])
    assert found["flagged"] == expected["flagged"]
    assert found["scores"]["guest alone"] == expected["scores"]["guest alone"]
    assert ("joint" in found["scores"]) == ("partner" in found) == OUTPUTS[output]
    if OUTPUTS[output]:
        assert found["scores"]["joint"]["auc"] == expected["scores"]["joint"]["auc"]
        assert found["probabilities"]["joint"]["log_loss"] == pytest.approx(expected["probabilities"]["joint"]["log_loss"], abs=1e-6)
        assert found["partner"]["auc_gain"] == pytest.approx(expected["partner"]["auc_gain"])


def test_what_is_shown_to_people(trained: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    path, inline, _ = trained
    command = [sys.executable, "-m", "vflfast", "launch", str(path), "--folder", str(path.parent / "run"), "--evaluate"]
    ran = subprocess.run([*command, "--output", "probability"], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.startswith(f"on {inline['evaluation']['rows']} customers kept out of training")
    assert "the partner adds " in ran.stdout
    assert " flagged, " in ran.stdout


def test_new_customers_are_scored_all_of_them(trained: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    path, inline, _ = trained
    scored = launched(path, path.parent / "run", "--score")
    assert scored["customers"] == inline["match"]["matched"]


def test_refusals(tmp_path: Path) -> None:
    path = job(tmp_path)
    assert "one of them" in refused("launch", path, "--folder", tmp_path / "run", "--score", "--evaluate")
    assert "--resume" in refused("launch", path, "--folder", tmp_path / "run", "--evaluate", "--resume")
    for share in (-0.1, 1.0, "a", True):
        with pytest.raises(InputError) as caught:
            read_party(fed(tmp_path, test_share=share), "guest")
        assert caught.value.argument == "test_share"
    with pytest.raises(InputError, match="keeps no customers out"):
        read_party(fed(tmp_path), "guest", task=EVALUATE)
    assert read_party(fed(tmp_path, test_share=0.2), "host1", task=EVALUATE).scores
    assert read_party(fed(tmp_path), "host1", task=SCORE).scores


def fed(folder: Path, **settings: Any) -> Path:
    import tomli_w

    made = sections(folder, run={})
    for place, name in enumerate(("guest", "arbiter")):
        made[name]["address"] = f"127.0.0.1:{7000 + place}"
    made["hosts"][0]["address"] = "127.0.0.1:7005"
    data = {name: made[name] for name in ("guest", "hosts", "arbiter")}
    path = folder / "fed.toml"
    path.write_text(tomli_w.dumps({**data, "settings": made["settings"] | settings, "network": {"plaintext": True}}))
    return path

"""What the commands between machines print for people, and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.jobs import refused, succeeded

import vflfast.jobs.launch
import vflfast.jobs.party
from vflfast.jobs.programs import PartyResult
from vflfast.protocol.settings import Settings

TRAINED = {"training_rows": 1240, "columns": {"guest": 3, "host1": 4}, "rounds": 7, "seconds": 1.25, "models": ["a.json", "b.json"],
           "weight_hash": "ff00"}  # fmt: skip
SCORED = {"customers": 1240, "flagged_share": 0.25, "seconds": 1.25, "labels": {"guest": "labels/guest.csv"}}


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def start(job_file: Path, folder: Path, given: dict[str, Any], show: Any, **options: Any) -> dict[str, Any]:
        show("guest", "a line of the guest's")
        return SCORED if options["task"] == "score" else TRAINED

    monkeypatch.setattr(vflfast.jobs.launch, "launch", start)
    return tmp_path / "job.toml"


def test_launch_tells_what_was_trained(launched: Path) -> None:
    result = succeeded("launch", launched)
    assert result.stdout.splitlines() == [
        "matched and trained on 1,240 rows × 3 + 4 columns; 7 rounds, 1.2 s", "models: a.json, b.json", "weight hash ff00"]  # fmt: skip
    assert result.stderr == "guest   | a line of the guest's\n"


def test_launch_tells_what_was_scored(launched: Path) -> None:
    lines = succeeded("launch", launched, "--score").stdout.splitlines()
    assert lines == ["1,240 customers matched and scored, 25.0% flagged, 1.2 s", "labels: labels/guest.csv"]


@pytest.mark.parametrize(("options", "expected"), [([], TRAINED), (["--score"], SCORED)])
def test_launch_for_programs(launched: Path, options: list[str], expected: dict[str, Any]) -> None:
    assert json.loads(succeeded("launch", launched, "--json", *options).stdout) == expected


def test_scoring_settings_belong_to_scoring(launched: Path) -> None:
    assert "belongs to --score" in refused("launch", launched, "--output", "scores")


GUEST, ARBITER = "guest: 3 rounds; model: m.json\nhash of the own weights ab\n", "arbiter: 3 rounds; model: a.json\n"


@pytest.mark.parametrize(("options", "result", "out", "err"), [
    ([], PartyResult("guest", Path("m.json"), {"rounds": 3, "weight_hash": "ab"}), GUEST, ""),
    ([], PartyResult("arbiter", Path("a.json"), {"rounds": 3}), ARBITER, ""),
    (["--score"], PartyResult("arbiter", None, {"customers": 5}), "",
     "arbiter: 5 customers scored; what came of it is at the recipients\n"),
    (["--json"], PartyResult("guest", Path("m.json"), {"rounds": 3}), '{"role": "guest", "model": "m.json", "rounds": 3}\n', ""),
    (["--score", "--json"], PartyResult("arbiter", None, {"customers": 5}), '{"role": "arbiter", "customers": 5}\n', ""),
])  # fmt: skip
def test_a_party_tells_what_it_has(
    options: list[str], result: PartyResult, out: str, err: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vflfast.jobs.party, "read_party", lambda *_, **__: SimpleNamespace(settings=Settings()))
    monkeypatch.setattr(vflfast.jobs.party, "run_party", lambda own, progress: result)
    shown = succeeded("party", "--role", result.role, "--config", "fed.toml", *options)
    assert shown.stdout == out
    assert shown.stderr.endswith(err)

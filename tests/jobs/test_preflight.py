"""`vflfast check` and `status`: every check fails where its cause is there, says whose and why, and passes otherwise."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import parties as party_folders
from support.jobs import vflfast, write_tables
from support.network import run_all

from vflfast.jobs import preflight
from vflfast.jobs.party import credentials, read_party
from vflfast.jobs.preflight import Finding
from vflfast.net.board import FINISHED, RUNNING, Board, Status
from vflfast.net.certs import write_certificates
from vflfast.net.connection import connected
from vflfast.params import MAX_CLOCK_DIFFERENCE
from vflfast.protocol.settings import Settings

ROLES = party_folders.ROLES


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder)
    return folder


@pytest.fixture
def home(source: Path, tmp_path: Path) -> Path:
    agreed = {"key_bits": 512, "test_key": True, "max_iter": 2, "simulation": True}
    return party_folders.set_up(tmp_path / "run", source, settings=agreed)


def findings(home: Path, role: str, wait: float = 0.0) -> dict[str, Finding]:
    return {found.name: found for found in preflight.check(read_party(home / role / "fed.toml", role), wait)}


def test_all_is_well_when_all_check_at_the_same_time(home: Path) -> None:
    results = run_all({role: lambda role=role: findings(home, role, 20.0) for role in ROLES})
    for role, found in results.items():
        assert all(finding.good for finding in found.values()), (role, found)
        assert set(found) == {"certificate", "key", "table", "journal", "models", *ROLES} - {role}


# --- the own part --------------------------------------------------------------------------------------------------


def expiring(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.rmtree(home / "arbiter" / "certificates")
    write_certificates(home / "arbiter" / "certificates", ROLES, days=3)
    return "certificate: arbiter: its certificate ends in "


def no_certificate(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.rmtree(home / "arbiter" / "certificates")
    return "certificate: "


def other_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = home / "arbiter" / "fed.toml"
    path.write_text(path.read_text().replace("key_bits = 512", "key_bits = 640"))
    return "key: key_file: its key has 512 bits, 640 are agreed"


def full_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    return f"journal: {home / 'arbiter' / 'journal' / 'arbiter'}: has 10 MB free, needs 268"


def no_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (home / "arbiter" / "journal").write_text("in the way")
    return "journal: "


@pytest.mark.parametrize("break_it", [expiring, no_certificate, other_key, full_disk, no_folder])
def test_what_is_wrong_here_is_found(break_it: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = break_it(home, monkeypatch)
    bad = [f"{name}: {found.text}" for name, found in findings(home, "arbiter").items() if not found.good and name not in ROLES]
    assert any(text.startswith(told) for text in bad), bad


def test_a_table_that_is_not_there(home: Path) -> None:
    assert findings(home, "guest")["table"].good
    (home / "guest" / "guest.csv").unlink()
    found = findings(home, "guest")["table"]
    assert not found.good
    assert found.text.endswith("guest.csv: is no file")


# --- the peers -----------------------------------------------------------------------------------------------------


def board_with(**changes: Any) -> Board:
    board = Board("guest", ("host1",), 1 << 20, Settings().to_json())
    status = {"role": "host1", "state": RUNNING, "clock": time.time(), "settings": Settings().to_json(), **changes}
    board.statuses["host1"] = Status(**status)
    return board


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"clock": time.time() - 4000}, "host1: its clock is "),
        ({"clock": time.time() + 4000}, f"at most {MAX_CLOCK_DIFFERENCE:.0f} s"),
        ({"version": "0.0.1"}, "host1: runs version 0.0.1, this is "),
        ({"settings": Settings(max_iter=7).to_json()}, "host1: settings differ: max_iter: 30 here, 7 there"),
    ],
)
def test_what_is_wrong_with_a_peer(changes: dict[str, Any], told: str) -> None:
    found = preflight._tried("host1", lambda: preflight._peer(board_with(**changes), "host1"))
    assert not found.good
    assert told in found.text
    assert preflight._tried("host1", lambda: preflight._peer(board_with(), "host1")).good  # the control


def test_peers_that_are_not_there(home: Path) -> None:
    found = findings(home, "guest", 0.5)
    for peer in ("host1", "arbiter"):
        assert not found[peer].good
        assert f"{peer}: is not reached (" in found[peer].text
    result = vflfast("check", "--role", "guest", "--config", home / "guest" / "fed.toml", "--wait", "0.2", "--json")
    assert result.exit_code == 1
    told = {entry["name"]: entry["good"] for entry in json.loads(result.stdout)}
    assert told == {"certificate": True, "key": True, "table": True, "journal": True, "models": True, "host1": False, "arbiter": False}


# --- status --------------------------------------------------------------------------------------------------------


@pytest.fixture
def host_stands(home: Path) -> Iterator[Board]:
    """The host's service, as a party that runs has it."""
    party = read_party(home / "host1" / "fed.toml", "host1")
    with connected(party.config, credentials(party.config), party.settings.to_json(), "train") as (board, _):
        yield board


def test_status_tells_who_runs_who_has_ended_and_who_is_not_there(home: Path, host_stands: Board) -> None:
    host_stands.tell(state=RUNNING, round=3, stage="bucket")
    asked = ("status", "--role", "guest", "--config", home / "guest" / "fed.toml")
    shown = vflfast(*asked)
    assert shown.exit_code == 1  # not all are reached
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert lines["host1"].startswith("train running")
    assert "round 3  bucket" in lines["host1"]
    assert lines["arbiter"].startswith("not reached: ")
    host_stands.tell(state=FINISHED, stage="")
    found = json.loads(vflfast(*asked, "--json").stdout)
    assert found["host1"]["state"] == FINISHED
    assert set(found["arbiter"]) == {"error"}
    host_stands.tell_failure("guest", "Predictor", "sent 3 ciphertexts, 4 are due", 3)
    assert "guest, Predictor: sent 3 ciphertexts, 4 are due" in vflfast(*asked).stdout


def test_asking_leaves_nothing_behind(home: Path, host_stands: Board) -> None:
    before = threading.active_count()
    vflfast("status", "--role", "guest", "--config", home / "guest" / "fed.toml")
    assert threading.active_count() <= before + 1
    assert host_stands.statuses == {}

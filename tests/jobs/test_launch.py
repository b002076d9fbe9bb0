"""Three and four processes with mutual TLS: the weights of the inline run, whatever is killed; and nothing secret is said."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from support.jobs import refused, sections, succeeded, villages, write_job, write_tables

from vflfast.jobs import launch as launch_module
from vflfast.jobs.party import read_party
from vflfast.net.budget import FileBudget
from vflfast.net.config import net_config


def job(folder: Path, n_hosts: int = 1, **settings: Any) -> Path:
    write_tables(folder, n_hosts)
    made = sections(folder, n_hosts, run={})
    made["settings"] |= settings
    return write_job(folder, made)


def inline_hash(path: Path) -> str:
    shown = json.loads(succeeded("train", path, "--models", path.parent / "inline", "--json").stdout)
    return str(shown["summary"]["weight_hash"])


def start(path: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vflfast", "launch", str(path), "--folder", str(folder), "--json", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def launched(path: Path, folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    process = start(path, folder, *options)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary, err


LOGISTIC = {"residual": "logistic", "solver": "lbfgs", "stop": "move"}
SEARCH = {**LOGISTIC, "alpha": "search", "max_leverage": 1.0}


@pytest.mark.parametrize(("n_hosts", "changes"), [(1, {}), (2, {"profile": "patent"}), (1, LOGISTIC), (2, LOGISTIC), (1, SEARCH)])
def test_processes_give_the_weights_of_the_inline_run_and_tell_nothing(n_hosts: int, changes: dict[str, Any], tmp_path: Path) -> None:
    path = job(tmp_path, n_hosts, **changes)
    summary, err = launched(path, tmp_path / "run")
    assert summary["weight_hash"] == inline_hash(path)
    assert summary["training_rows"] == 240
    journals = [file for file in (tmp_path / "run" / "journal").rglob("*") if file.is_file()]
    assert len(journals) > n_hosts + 2
    for canary in ("customer-0-", "smith", "000102030405060708", "PRIVATE KEY"):
        assert canary not in err + json.dumps(summary)
        assert not any(canary.encode() in file.read_bytes() for file in journals)
    seen_by_the_arbiter = (tmp_path / "run" / "arbiter.toml").read_text()
    assert "guest.csv" not in seen_by_the_arbiter
    assert "ids.key" not in seen_by_the_arbiter
    assert not list((tmp_path / "run").rglob("ca.key"))


def test_rows_that_are_set_apart_end_a_launch_by_name_and_are_mended_on_demand(tmp_path: Path) -> None:
    """The party that measures refuses, all others are told, nothing hangs; with fix_leverage the run is the inline one."""
    path = villages(tmp_path)
    process = start(path, tmp_path / "refused")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "max_leverage: the columns of host1 set 2 rows apart" in err
    assert "city (class of 1)" in err
    path = villages(tmp_path, fix_leverage=True)
    summary, err = launched(path, tmp_path / "mended")
    assert summary["weight_hash"] == inline_hash(path)
    assert "fix_leverage leaves 3 of 11 columns out: city=town, city=village a, city=village b" in err


def test_matchings_are_counted_at_the_party_that_keeps_a_ledger(tmp_path: Path) -> None:
    write_tables(tmp_path)
    made = sections(tmp_path, run={})
    made["hosts"][0]["ledger"] = "ledger"
    launched(write_job(tmp_path, made), tmp_path / "run")
    (one,) = FileBudget(tmp_path / "ledger").read()["matchings"]
    assert (one["peers"], one["matched"]) == (["guest"], 240)
    assert 250 in one["rows"]


def party_processes(folder: Path) -> dict[str, int]:
    """Role → process id of the parties that were launched in a folder."""
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


def wait_for_round(folder: Path, role: str, round_: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if json.loads((folder / "journal" / role / "checkpoint").read_bytes().partition(b"\n")[2])["round"] >= round_:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.005)
    raise AssertionError("no such round")


@pytest.mark.slow
@pytest.mark.parametrize("victims", [("guest",), ("host1",), ("arbiter",), ("guest", "arbiter")])
def test_a_killed_party_comes_back_and_the_weights_are_the_same(victims: tuple[str, ...], tmp_path: Path) -> None:
    path = job(tmp_path, max_iter=12)
    folder = tmp_path / "run"
    process = start(path, folder)
    wait_for_round(folder, "guest", 3)
    found = party_processes(folder)
    for role in victims:
        os.kill(found[role], signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["weight_hash"] == inline_hash(path)
    assert all(summary["restarts"][role] == 1 for role in victims)


@pytest.mark.slow
def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    path = job(tmp_path, max_iter=12)
    folder = tmp_path / "run"
    process = start(path, folder)
    wait_for_round(folder, "guest", 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err
    assert party_processes(folder) == {}
    assert "--resume" in refused("launch", path, "--folder", folder)
    summary, _ = launched(path, folder, "--resume")
    assert summary["weight_hash"] == inline_hash(path)


def test_what_launch_refuses(tmp_path: Path) -> None:
    path = job(tmp_path)
    made = sections(tmp_path, run={})
    made["guest"]["id_column"] = "nothing"
    process = start(write_job(tmp_path, made, "bad.toml"), tmp_path / "run")
    line = process.communicate(timeout=60)[1].splitlines()[-1]
    assert process.returncode == 1
    assert "guest" in line  # whoever ends first: the others are told
    assert "no such column" in line
    assert path.exists()


def test_an_error_in_the_middle_of_a_round_is_told_by_all(tmp_path: Path) -> None:
    """The first predictors are zeros; the second ones are above the bound, at guest and host."""
    path = job(tmp_path, init="zeros", predictor_bound=0.001, max_iter=3)
    process = start(path, tmp_path / "run")
    lines = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 1
    said = {line.split("|")[0].strip(): line.partition("vflfast: ")[2] for line in lines if "| vflfast: " in line}
    assert set(said) == {"guest", "host1", "arbiter"}
    for text in said.values():
        assert re.match(r"(guest, round 2, residual|host1, round 2, encrypt): linear predictor: ", text)
    assert "linear predictor" in lines[-1]


# --- fed.toml ----------------------------------------------------------------------------------------------------------


def fed(tmp_path: Path, **changes: Any) -> Path:
    write_tables(tmp_path)
    made = sections(tmp_path, run={})
    del made["run"]
    for number, party in enumerate((made["guest"], made["hosts"][0], made["arbiter"])):
        party["address"] = f"127.0.0.1:{7001 + number}"
    made["network"] = {"plaintext": True}
    made |= changes
    path = tmp_path / "fed.toml"
    path.write_text(tomli_w.dumps(made), encoding="utf-8")
    return path


def test_a_party_reads_only_its_own_part(tmp_path: Path) -> None:
    path = fed(tmp_path)
    own = read_party(path, "host")
    assert own.config.role == "host1"
    assert own.config.peers == ("guest", "arbiter")
    assert own.part.plan is not None
    assert own.part.plan.name == "host1"
    assert not own.settings.simulation
    assert read_party(path, "arbiter").part.plan is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": {"plaintext": 1}}, "plaintext"),
        ({"network": {"plaintext": True, "peer_timeout": "long"}}, "peer_timeout"),
        ({"network": {"plaintext": True, "peer_timeout": 0}}, "peer_timeout"),
        ({"network": {"port": 3}}, "port"),
        ({"network": {"journal": ""}}, "journal"),
        ({"ids": {"method": "hmac"}}, "ids.key_file"),
        ({"run": {"test_share": 0.1}}, "run"),
        ({"arbiter": {"address": "nowhere"}}, "host:port"),
        ({"arbiter": {"address": "127.0.0.1:70000"}}, "host:port"),
        ({"arbiter": {"address": "127.0.0.1:7001"}}, "the same"),
        ({"arbiter": {"address": "10.0.0.1:7003"}}, "loopback"),
        ({"arbiter": {}}, "arbiter.address"),
    ],
)
def test_bad_settings(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in refused("party", "--role", "guest", "--config", fed(tmp_path, **changes))


def test_unknown_roles(tmp_path: Path) -> None:
    path = fed(tmp_path)
    for role in ("host2", "mallory", ""):
        assert "role" in refused("party", "--role", role, "--config", path)
    data: dict[str, Any] = {name: {"address": f"127.0.0.1:{port}"} for name, port in (("guest", 1), ("arbiter", 2))}
    data["hosts"] = [{"address": "127.0.0.1:3"}, {"address": "127.0.0.1:4"}]
    with pytest.raises(ValueError, match="which host"):
        net_config(data, tmp_path, "host")


def test_what_a_job_names_is_found_beside_it(tmp_path: Path) -> None:
    """A party's file lies in the run's folder; what the job names by relative paths is beside the job."""
    section = {"select": "spec.toml", "file": "bank.csv", "mart": "store", "key_file": "a.key", "ledger": "ledger", "id_column": "phone"}
    made = launch_module._with_whole_paths(section, tmp_path)
    assert made == {**{name: str(tmp_path / value) for name, value in section.items()}, "id_column": "phone"}

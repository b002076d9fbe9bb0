"""A party by the name of mart: the host's program on a store, the same messages and weights, and its own name wherever it is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from support import parties as party_folders
from support.jobs import SETTINGS, refused, sections, succeeded, vflfast, write_job, write_tables
from support.network import run_all
from support.runs import listen, parties, private_key, settings, training_programs

from vflfast.errors import InputError, VflError
from vflfast.jobs import jobfile
from vflfast.jobs.party import read_party, run_party
from vflfast.mart import store as marts
from vflfast.net.config import net_config
from vflfast.protocol import arbiter, guest, host, inline
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.block import joint_hash
from vflfast.protocol.link import Link
from vflfast.tables.toml import read_toml

ROLES = ("guest", "mart", "arbiter")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mart")
    write_tables(folder)
    marts.build({"all": {"file": folder / "host1.csv", "id_column": "customer", "observation_date": "2026-01-01"}}, folder / "store")
    return folder


def test_processes_with_a_mart_give_the_weights_of_a_host_on_its_store(home: Path, tmp_path: Path) -> None:
    folder = party_folders.set_up(tmp_path, home, roles=ROLES, settings={**SETTINGS, "simulation": True})
    ended = party_folders.run(folder, {role: ["--json"] for role in ROLES})
    assert {role: one.returncode for role, one in ended.items()} == dict.fromkeys(ROLES, 0), [one.stderr for one in ended.values()]
    said = {role: json.loads(one.stdout) for role, one in ended.items()}
    job = write_job(home, sections(home, run={}, hosts=[{"mart": "store", "organisation": "partner 1"}]))
    shown = json.loads(succeeded("train", job, "--models", home / "models", "--json").stdout)["summary"]
    assert joint_hash([said["guest"]["weight_hash"], said["mart"]["weight_hash"]]) == shown["weight_hash"]
    assert said["guest"]["match"]["parties"] == ["guest", "mart"]
    assert json.loads((folder / "mart" / "models" / "mart.json").read_text())["role"] == "mart"


def of_mart() -> dict[str, inline.Program]:
    """Programs as `runs.training_programs` has them, the host's by the name of mart."""
    made, agreed = parties(16, (2, 3)), settings()
    return {
        "arbiter": arbiter.train(Link("arbiter", ("guest", "mart")), ArbiterInputs("arbiter", private_key()), agreed),
        "guest": guest.train(Link("guest", ("mart", "arbiter")), made.guest, agreed),
        "mart": host.train(Link("mart", ("guest", "arbiter")), made.hosts[0], agreed),
    }


def shapes(heard: list[tuple[ms.Message, ms.Envelope, bytes]], name: str) -> list[tuple[Any, ...]]:
    """Kind, size, round and ends of every message, `name` being a host's."""
    return [(type(m), len(data), e.round, e.sender.replace(name, "host"), e.recipient.replace(name, "host")) for m, e, data in heard]


def test_every_message_is_that_of_a_host() -> None:
    results, heard = listen(training_programs(parties(16, (2, 3)), settings()))
    with_mart, heard_of_mart = listen(of_mart())
    assert shapes(heard, "host1") == shapes(heard_of_mart, "mart")
    assert len(heard) > 20
    assert with_mart["mart"].hashes == results["host1"].hashes
    assert with_mart["guest"].hashes == results["guest"].hashes


def test_the_mart_is_named_in_errors(home: Path, tmp_path: Path) -> None:
    folder = party_folders.set_up(tmp_path, home, roles=ROLES, plaintext=True)
    next((folder / "mart" / "store").glob("*.parquet")).write_bytes(b"x")
    for role in ROLES:  # a party that fails before its peers are there waits five heartbeats for them, to tell them why
        fed = folder / role / "fed.toml"
        fed.write_text(fed.read_text().replace("heartbeat = 0.2", "heartbeat = 1.0"))

    def one(role: str) -> Any:
        return run_party(read_party(folder / role / "fed.toml", role), lambda *_: None)

    for result in run_all({role: lambda role=role: one(role) for role in ROLES}).values():
        assert isinstance(result, VflError)
        assert str(result).startswith("mart, round 0, read tables: ")


def test_what_a_mart_needs(home: Path, tmp_path: Path) -> None:
    folder = party_folders.set_up(tmp_path, home, roles=ROLES, plaintext=True)
    path = folder / "mart" / "fed.toml"
    data = read_toml(path)
    data["mart"] = {"file": "store", "address": data["mart"]["address"]}
    (path.parent / "file.toml").write_text(tomli_w.dumps(data))
    assert "mart.mart: must name the store" in refused("party", "--role", "mart", "--config", path.parent / "file.toml")
    assert "role: host1 has no address" in refused("party", "--role", "host", "--config", path)
    shutil.rmtree(folder / "mart" / "store")
    found = json.loads(vflfast("check", "--role", "mart", "--config", path, "--wait", 0.1, "--json").stdout)
    assert [finding["name"] for finding in found if not finding["good"]][:1] == ["table"]
    data = {"guest": {"address": "127.0.0.1:1"}, "arbiter": {"address": "127.0.0.1:2"}}
    with pytest.raises(InputError, match="hosts"):
        net_config(data, tmp_path, "guest")


# --- the part of one party ---------------------------------------------------------------------------------------------


def test_a_mart_besides_hosts() -> None:
    data = {"guest": {}, "hosts": [{}, {"file": "h.csv"}], "mart": {"mart": "store", "classes": ["all"]}}
    data["settings"] = {"scoring": "combined", "powers": [1, 1, 1, 1]}
    part = jobfile.part_from_mapping(data, "mart", Path("there"))
    assert part.plan is not None
    assert (part.plan.name, part.plan.file, part.plan.mart) == ("mart", Path("there/store"), {"classes": ["all"]})
    second = jobfile.part_from_mapping(data, "host2", Path("there")).plan
    assert second is not None
    assert (second.name, second.file) == ("host2", Path("there/h.csv"))


@pytest.mark.parametrize(
    ("changes", "role", "culprit"),
    [
        ({"guest": {"file": "g.csv", "label_colum": "y"}}, "guest", "label_colum"),
        ({"guest": {}}, "guest", "guest.file"),
        ({}, "host2", "role"),
        ({"settings": {"scoring": "combined", "powers": [1, 1, 1]}}, "arbiter", "powers"),
        ({"arbiter": {"file": "a.csv"}}, "arbiter", "file"),
        ({"run": {"test_share": 0.1}}, "guest", "run"),
        ({"ids": {"method": "rot13"}}, "guest", "ids.method"),
    ],
)
def test_a_part_that_is_wrong(changes: dict[str, Any], role: str, culprit: str) -> None:
    data = {"guest": {"file": "g.csv", "address": "127.0.0.1:1"}, "hosts": [{}], "network": {}} | changes
    with pytest.raises(InputError) as caught:
        jobfile.part_from_mapping(data, role, Path("there"))
    assert caught.value.argument == culprit


@pytest.mark.parametrize("section", ["guest", "hosts", "arbiter"])
def test_what_others_wrote_of_themselves_is_not_read(section: str) -> None:
    data: dict[str, Any] = {"guest": {"file": "g.csv"}, "hosts": [{"file": "h.csv"}], "arbiter": {}}
    role = "guest" if section != "guest" else "arbiter"
    data[section] = [{"unknown": 1}] if section == "hosts" else {"unknown": 1}
    assert jobfile.part_from_mapping(data, role, Path("there")).arbiter == "arbiter"

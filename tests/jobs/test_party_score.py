"""Scoring between processes with mutual TLS: the labels of the inline run, at the recipients and nowhere else; and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from support import parties as party_folders
from support.jobs import refused, sections, succeeded, vflfast, write_job, write_tables
from support.network import run_all

from vflfast.errors import VflError
from vflfast.jobs.party import read_party, run_party
from vflfast.tables.toml import read_toml

ROLES = party_folders.ROLES
SIMULATED = {"key_bits": 512, "test_key": True, "max_iter": 2, "simulation": True}
ASKED = {"hardened": ["--output", "probability"], "patent": []}


def quiet(party: str, round_: int, stage: str) -> None:
    pass


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of both profiles, trained on one set of customers, and tables of another."""
    folder = tmp_path_factory.mktemp("scoring")
    write_tables(folder)
    job = write_job(folder, sections(folder, run={}))
    for profile in ("hardened", "patent"):
        succeeded("train", job, "--models", folder / profile, "--profile", profile)
    succeeded("train", job, "--models", folder / "again")
    write_tables(folder / "new", seed=1, labels=False)
    return folder


def changes(profile: str = "hardened", method: str = "hmac") -> dict[str, Any]:
    """Sections of a job that scores customers without labels."""
    data = {"settings": {**SIMULATED, "profile": profile}, "guest": {"file": "guest.csv", "organisation": "bank", "id_column": "customer"}}
    return {**data, **({"ids": {"method": "ecdh"}} if method == "ecdh" else {})}


def inline(home: Path, models: Path, profile: str, **more: Any) -> bytes:
    """The CSV of `vflfast score`."""
    job = write_job(home / "new", sections(home / "new", run={}, **changes(profile, **more)), f"{profile}.toml")
    succeeded("score", job, "--models", models, "--out", home / "new" / "inline.csv", *ASKED[profile])
    return (home / "new" / "inline.csv").read_bytes()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("profile", "method"), [("patent", "hmac"), pytest.param("hardened", "ecdh", marks=pytest.mark.slow)])
def test_processes_give_the_labels_of_the_inline_run(profile: str, method: str, home: Path, tmp_path: Path) -> None:
    folder = party_folders.set_up(tmp_path, home / "new", models=home / profile, **changes(profile, method))
    before = files(folder)
    options: dict[str, list[object]] = {role: ["--score", *ASKED[profile]] for role in ROLES}
    options["guest"] += ["--out", folder / "guest" / "labels.csv"]
    ended = party_folders.run(folder, options)
    assert {role: one.returncode for role, one in ended.items()} == dict.fromkeys(ROLES, 0), [one.stderr for one in ended.values()]
    expected = inline(home, home / profile, profile, method=method)
    assert (folder / "guest" / "labels.csv").read_bytes() == expected
    journals = {f"{role}/journal/{role}.score/{name}" for role in ROLES for name in ("attempt", "lock")}
    assert files(folder) - before == journals | {"guest/labels.csv"}
    rows = [row[:2] for row in csv.reader(expected.decode().splitlines())]
    assert len(rows) == 241
    if profile == "patent":  # the host is a recipient too, and gave no file: standard output
        assert list(csv.reader(ended["host1"].stdout.splitlines())) == rows
    else:
        assert ended["host1"].stdout == ""
    assert ended["arbiter"].stdout == ended["guest"].stdout == ""
    assert "customer-" not in "".join(one.stderr for one in ended.values()) + ended["arbiter"].stdout


def test_launch_trains_and_scores(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "run"
    succeeded("launch", home / "job.toml", "--folder", target)
    data = sections(home / "new", run={"test_share": 0.3}, **changes(method="ecdh"))  # a share that scoring has no use for
    job = write_job(home / "new", data, "launch.toml")
    shown = json.loads(succeeded("launch", job, "--folder", target, "--score", *ASKED["hardened"], "--json").stdout)
    assert (target / "labels" / "guest.csv").read_bytes() == inline(home, target / "models", "hardened", method="ecdh")
    assert shown["labels"] == {"guest": str(target / "labels" / "guest.csv")}
    assert shown["customers"] == 240
    assert "customer-" not in json.dumps(shown)
    assert "--resume" in refused("launch", job, "--folder", target, "--score", "--resume")


# --- refused -------------------------------------------------------------------------------------------------------------


def edit(folder: Path, role: str, section: str, **values: Any) -> None:
    path = folder / role / "fed.toml"
    data = read_toml(path)
    data[section] |= values
    path.write_text(tomli_w.dumps(data), encoding="utf-8")


def take_model(folder: Path, role: str, source: Path) -> None:
    (folder / role / "models" / f"{role}.json").write_bytes(source.read_bytes())


def other_customers(folder: Path, home: Path) -> None:
    (folder / "host1" / "host1.csv").write_bytes((home / "host1.csv").read_bytes())


CASES: dict[str, tuple[Callable[[Path, Path], object], str, str, str]] = {
    "model missing": (lambda folder, home: (folder / "host1/models/host1.json").unlink(), "host1", "read model", "cannot be read"),
    "model of another role": (
        lambda folder, home: take_model(folder, "guest", home / "hardened/host1.json"), "guest", "read model", "role: must be guest",
    ),
    "arbiter without a model": (lambda folder, home: (folder / "arbiter/models/arbiter.json").unlink(), "arbiter", "read model", "read"),
    "model of another run": (
        lambda folder, home: take_model(folder, "arbiter", home / "again/arbiter.json"), "arbiter", "Hello", "another training run",
    ),
    "other settings": (lambda folder, home: edit(folder, "guest", "settings", tol=0.5), "", "Hello", "tol: "),
    "nobody in common": (other_customers, "guest", "match ids", "no id in common"),
    "column missing": (
        lambda folder, home: (folder / "guest/guest.csv").write_text("customer\ncustomer-1-0000\n"), "guest", "read tables", "guest_amount",
    ),
}  # fmt: skip


def outcomes(folder: Path, tasks: dict[str, str]) -> dict[str, Any]:
    """Run the parties in threads of this process."""

    def one(role: str) -> Any:
        return run_party(read_party(folder / role / "fed.toml", role, task=tasks[role]), quiet)

    return run_all({role: lambda role=role: one(role) for role in tasks})


@pytest.mark.parametrize("case", CASES)
def test_every_party_is_told_what_is_wrong_where(case: str, home: Path, tmp_path: Path) -> None:
    spoil, party, step, words = CASES[case]
    ecdh = changes(method="ecdh" if case in ("other settings", "nobody in common") else "hmac")
    folder = party_folders.set_up(tmp_path, home / "new", models=home / "hardened", plaintext=True, **ecdh)
    spoil(folder, home)
    results = outcomes(folder, dict.fromkeys(ROLES, "score"))
    for result in results.values():
        assert isinstance(result, VflError)
        said = str(result)
        assert f", round 0, {step}: " in said
        assert words in said
        assert said.startswith(party) or case == "model of another run"  # each holds the others' models to be the other ones
        assert "customer-" not in said


def test_one_that_trains_is_no_party_of_a_scoring_run(home: Path, tmp_path: Path) -> None:
    folder = party_folders.set_up(tmp_path, home / "new", models=home / "hardened", plaintext=True, **changes())
    results = outcomes(folder, {"guest": "score", "host1": "score", "arbiter": "train"})
    for result in results.values():
        assert isinstance(result, VflError)
        assert ", round 0, Hello: is there to " in str(result)
    assert not list(tmp_path.rglob("arbiter/journal/arbiter/checkpoint"))


def test_options_without_their_use(home: Path, tmp_path: Path) -> None:
    folder = party_folders.set_up(tmp_path, home / "new", models=home / "hardened", plaintext=True, **changes())
    of = {role: ["party", "--role", role, "--config", folder / role / "fed.toml"] for role in ROLES}
    assert "host1 gets no labels" in refused(*of["host1"], "--score", "--out", tmp_path / "x.csv")
    assert "arbiter gets no labels" in refused(*of["arbiter"], "--score", "--profile", "patent", "--out", tmp_path / "x.csv")
    assert "No such file" in refused(*of["guest"], "--score", "--out", tmp_path / "nowhere" / "x.csv")
    assert "--score" in refused(*of["guest"], "--output", "probability")
    assert "label_column" in refused(*of["guest"])  # training needs labels
    checked = [vflfast("check", *of[role][1:], "--score", "--wait", 0.1, "--json").stdout for role in ROLES]
    assert all({"name": "model", "good": True, "text": f"of {role}"} in json.loads(out) for role, out in zip(ROLES, checked, strict=True))
    take_model(folder, "guest", home / "hardened" / "host1.json")
    assert '"good": false, "text": "' + str(folder) in vflfast("check", *of["guest"][1:], "--score", "--wait", 0.1, "--json").stdout
    assert vflfast("launch", home / "job.toml", "--folder", tmp_path / "empty", "--output", "probability").exit_code == 2

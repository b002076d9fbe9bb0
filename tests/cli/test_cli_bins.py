"""The match and the bins, as a table and as JSON; encodings and the least class size of a job file, from bins to scores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.jobs import refused, sections, succeeded, write_job, write_tables

from vflfast.binning.binner import Binner
from vflfast.params import MIN_WOE_CLASS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bins")
    write_tables(path)
    return path


def job(folder: Path, *, guest: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **agreed: Any) -> Path:
    made = sections(folder)
    made["guest"] |= guest or {}
    made["hosts"][0] |= host or {}
    made["settings"] |= agreed
    return write_job(folder, made)


def test_json(folder: Path) -> None:
    found = json.loads(succeeded("bins", job(folder), "--json").stdout)
    assert found["match"]["matched"] == 240
    assert found["match"]["parties"] == ["guest", "host1"]
    assert list(found["bins"]) == ["guest", "host1"]
    for name, rows in found["bins"].items():
        assert [row["feature"] for row in rows] == [f"{name}_{part}" for part in ("amount", "level", "flag", "trade", "since")]
        for row in rows:
            assert sum(row["rows_per_class"]) == found["training_rows"]
            assert len(row["classes"]) == len(row["rows_per_class"]) == row["n_classes"]
            assert (row["iv"] is None) == (name != "guest")
    assert [row["rule"] for row in found["bins"]["guest"]] == ["five", "five", "zero", "categories", "five"]
    assert found["bins"]["guest"][0]["missing_share"] > 0


def test_table(folder: Path) -> None:
    shown = succeeded("bins", job(folder)).stdout
    assert shown.startswith("matched 240 customers of guest 250, host1 250 (hmac)\n")
    assert "guest: 5 features, 7 columns" in shown
    assert "host1: 5 features, 7 columns" in shown
    assert "guest baker: " in shown
    assert "missing later: 0" in shown


def test_one_party(folder: Path) -> None:
    assert list(json.loads(succeeded("bins", job(folder), "--party", "host1", "--json").stdout)["bins"]) == ["host1"]
    shown = succeeded("bins", job(folder), "--party", "guest").stdout
    assert "guest: 5" in shown
    assert "host1: 5" not in shown


def test_a_level_in_square_brackets_is_no_markup(tmp_path: Path) -> None:
    def change(table: Any, _: Any) -> None:
        table.iloc[:, 4] = "[bold]x[/nosuch]"

    write_tables(tmp_path, change=change)
    assert "[bold]x[/nosuch]: " in succeeded("bins", job(tmp_path)).stdout


@pytest.mark.parametrize(("guest", "host"), [("ordinal", "onehot"), ("onehot", "ordinal"), ("woe", "ordinal")])
def test_encodings_of_each_side_alone(guest: str, host: str, folder: Path, tmp_path: Path) -> None:
    sides = {"guest": {"encoding": guest}, "host": {"encoding": host, "min_class_size": 30}}
    made = job(folder, **sides, allow_wide=True)  # up to 20 columns for 171 rows
    found = json.loads(succeeded("train", made, "--models", tmp_path, "--json").stdout)["summary"]
    assert found["verified_rounds"] == 2 or found["verified_rounds"] is None
    for name, encoding in (("guest", guest), ("host1", host)):
        binner = Binner.from_dict(json.loads((tmp_path / f"{name}.json").read_text())["binner"])
        assert {rule.encoding for rule in binner.rules} == {encoding}
        assert len(binner.column_names) == found["columns"][name]
    assert min(n for rule in binner.rules for n in rule.counts if n) >= 30


def test_evidence_for_the_host_from_training_to_scores(folder: Path, tmp_path: Path) -> None:
    made = job(folder, guest={"encoding": "woe"}, host_woe=True)
    found = json.loads(succeeded("train", made, "--models", tmp_path, "--verify", "--json").stdout)["summary"]
    assert found["verified_rounds"] == 2
    ledger = {entry["what"]: entry["party"] for entry in found["leak_ledger"]}
    assert ledger["WOE values of own classes"] == "host1"
    assert ledger["rows and positives per class of host1"] == "guest"
    binner = Binner.from_dict(json.loads((tmp_path / "host1.json").read_text())["binner"])
    assert binner.column_names == [f"host1_{part}" for part in ("amount", "level", "flag", "trade", "since")]
    assert min(n for rule in binner.rules for n in rule.counts if n) >= MIN_WOE_CLASS
    assert any(rule.woe != (0,) * rule.n_classes for rule in binner.rules)
    assert found["evaluation"]["scores"]["host1 alone"]["auc"] > 0.6  # on test rows that were coded before the values were known
    scored = succeeded("score", made, "--models", tmp_path).stdout
    assert len(scored.splitlines()) == 241


BAD: list[tuple[dict[str, Any], str]] = [
    ({"guest": {"min_class_size": 0}}, "min_class_size"),
    ({"guest": {"min_class_size": "5"}}, "min_class_size"),
    ({"guest": {"min_class_size": True}}, "min_class_size"),
    ({"guest": {"encoding": "hash"}}, "encoding"),
    ({"guest": {"encoding": 3}}, "encoding"),
    ({"guest": {"encoding": "woe", "numeric": "levels"}}, "encoding"),
    ({"guest": {"min_class_size": 5, "numeric": "levels"}}, "min_class_size"),
    ({"host": {"encoding": "woe"}}, "host1.encoding"),
    ({"host": {"encoding": "onehot"}, "host_woe": True}, "host1.encoding"),
    ({"host": {"encoding": "ordinal"}, "host_woe": True}, "host1.encoding"),
    ({"host": {"min_class_size": 49}, "host_woe": True}, "host1.min_class_size"),
    ({"host": {"min_class_size": "many"}, "host_woe": True}, "host1.min_class_size"),
    ({"host": {"min_class_size": True}, "host_woe": True}, "host1.min_class_size"),
    ({"host": {"numeric": "levels"}, "host_woe": True}, "min_class_size"),
    ({"host_woe": "yes"}, "host_woe"),
    ({"host_woe": 1}, "host_woe"),
    ({"guest": {"encodings": "woe"}}, "encodings"),
]


@pytest.mark.parametrize(("changes", "culprit"), BAD)
def test_unusable_settings_are_refused_by_name(changes: dict[str, Any], culprit: str, folder: Path, tmp_path: Path) -> None:
    made = job(folder, **changes)
    for command in (("bins", made), ("train", made, "--models", tmp_path)):
        assert refused(*command).startswith(f"vflfast: {culprit}: ")


def test_an_unknown_party_is_refused(folder: Path) -> None:
    assert refused("bins", job(folder), "--party", "host2") == "vflfast: --party: must be one of guest, host1"


def test_a_runs_summary_holds_the_same_match_and_bins(folder: Path, tmp_path: Path) -> None:
    path = job(folder)
    shown = json.loads(succeeded("bins", path, "--json").stdout)
    summary = json.loads(succeeded("train", path, "--models", tmp_path, "--json").stdout)["summary"]
    assert summary["bins"] == shown["bins"]
    assert {name: summary["match"][name] for name in ("parties", "rows", "matched", "share", "method")} == {
        name: shown["match"][name] for name in ("parties", "rows", "matched", "share", "method")
    }
    feature = summary["bins"]["guest"][0]
    assert set(feature) == {
        "feature", "kind", "rule", "edges", "n_classes", "rows_per_class", "missing_share", "classes", "encoding", "iv",
    }  # fmt: skip
    assert feature["iv"] > 0
    assert {row["iv"] for row in summary["bins"]["host1"]} == {None}


def test_train_says_which_penalties_were_tried(folder: Path, tmp_path: Path) -> None:
    given = ("--set", "alpha=search", "--set", "residual=logistic", "--set", "solver=lbfgs", "--set", "max_leverage=1.0")
    done = succeeded("train", job(folder), "--models", tmp_path, *given)
    found = re.search(r"^alpha (\S+), by the log loss of a fifth held out \((.*)\)$", done.stdout, re.MULTILINE)
    assert found
    tried = {alpha: float(loss) for alpha, loss in (one.split(": ") for one in found[2].split(", "))}
    assert found[1] == min(tried, key=tried.__getitem__)


# --- inspect -----------------------------------------------------------------------------------------------------


def test_inspect_shows_a_job_and_a_table(folder: Path, tmp_path: Path) -> None:
    shown = succeeded("inspect", job(folder)).stdout
    assert "guest: guest.csv" in shown
    assert "host1: host1.csv" in shown
    one = json.loads(succeeded("inspect", job(folder), "--party", "host1", "--json").stdout)
    assert list(one) == ["host1"]
    options = ("--label", "bought", "--write", tmp_path / "section.toml", "--json")
    table = json.loads(succeeded("inspect", folder / "guest.csv", *options).stdout)
    verdicts = {column["name"]: column["verdict"] for column in table["guest.csv"]["columns"]}
    assert "number" in verdicts.values()
    assert "[guest" in (tmp_path / "section.toml").read_text()


def test_inspect_says_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text("id;age\n" + "".join(f"c{k};{k}\n" for k in range(30)))
    assert "separator = " in succeeded("inspect", path).stdout
    assert "number" in succeeded("inspect", path, "--set", "separator=;").stdout
    assert "a table" in refused("inspect", job(folder), "--id", "phone")

"""vflfast ledger: what peers were told over all runs, and limits raised on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.jobs import refused, sections, succeeded, vflfast, write_job, write_tables

from vflfast.errors import JournalError
from vflfast.jobs.ledger import ledger_folder
from vflfast.net.budget import FileBudget
from vflfast.tables.id_forms import normalise


def job(folder: Path, **host: Any) -> Path:
    """A job whose parties keep ledgers, so that the same columns are known again; settings of the host's section change its columns."""
    write_tables(folder)
    made = sections(folder, run={})
    made["guest"]["ledger"] = "ledger"
    made["hosts"][0] |= {"ledger": "ledger of host1", **host}
    return write_job(folder, made)


def train(folder: Path, **host: Any) -> Any:
    return vflfast("train", job(folder, **host), "--models", folder / "models")


def told(folder: Path) -> dict[str, Any]:
    (one,) = json.loads(succeeded("ledger", folder / "ledger", "--json").stdout)["told"]
    return dict(one)


def test_runs_are_counted_and_the_same_columns_once(tmp_path: Path) -> None:
    for _ in range(2):
        assert train(tmp_path).exit_code == 0
    one = told(tmp_path)
    assert (one["peer"], one["target"], one["customers"]) == ("partner 1", "bought", 240)
    assert len(one["entries"]) == 1
    assert len(one["entries"][0]["runs"]) == 2
    shown = succeeded("ledger", tmp_path / "ledger").stdout
    assert f"partner 1: {one['equations']:.0f} equations about bought of 240 customers" in shown
    assert "2 runs" in shown


def test_other_bins_above_the_limit_are_refused_until_it_is_raised(tmp_path: Path) -> None:
    assert train(tmp_path).exit_code == 0
    again = train(tmp_path, numeric="five", encoding="onehot")
    assert again.exit_code == 1
    assert "partner 1: with this run it would have been told" in again.stderr
    reason = ["--reason", "agreed on 3 May"]
    shown = succeeded("ledger", tmp_path / "ledger", "--peer", "partner 1", "--limit", "0.9", *reason).stdout
    assert "limit for partner 1, all: 90.0%" in shown
    assert "agreed on 3 May" in shown
    assert train(tmp_path, numeric="five", encoding="onehot").exit_code == 0
    assert len(told(tmp_path)["entries"]) == 2


def test_the_advice_of_the_refusal_works(tmp_path: Path) -> None:
    assert train(tmp_path).exit_code == 0
    advice = train(tmp_path, numeric="five", encoding="onehot").stderr
    limit = advice.split("--limit ")[1].split()[0]
    succeeded("ledger", tmp_path / "ledger", "--peer", "partner 1", "--limit", limit, "--reason", "because")
    assert train(tmp_path, numeric="five", encoding="onehot").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "FOLDER"),
        (["ledger", "--role", "guest"], "FOLDER"),
        (["nowhere"], "FOLDER"),
        (["--role", "guest"], "--role"),
        (["--role", "nobody"], "role"),
        (["ledger", "--peer", "partner 1"], "--limit"),
        (["ledger", "--limit", "0.5"], "--peer"),
        (["ledger", "--peer", "partner 1", "--limit", "0.5"], "--reason"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "ledger").mkdir()
    assert named in refused("ledger", *arguments)


def test_an_empty_account_says_so(tmp_path: Path) -> None:
    assert "nothing was told" in succeeded("ledger", tmp_path).stdout


def test_how_often_a_round_may_be_opened(tmp_path: Path) -> None:
    from vflfast.net.budget import FileBudget

    succeeded("ledger", tmp_path, "--repeats", "5")
    assert FileBudget(tmp_path).read()["repeats"] == 5


def test_the_peers_rows_and_the_sessions_of_customers_are_shown(tmp_path: Path) -> None:
    made = job(tmp_path)
    assert vflfast("train", made, "--models", tmp_path / "models").exit_code == 0
    entry = told(tmp_path)["entries"][0]
    assert len(entry["rows"]) == 4
    shown = succeeded("ledger", tmp_path / "ledger").stdout
    assert f"of one row at most {entry['rows'][0]:.2f} by its own word, rows above 0.2, 0.5, 0.9: " in shown
    account = FileBudget(tmp_path / "ledger of host1", "features", normalise(["a", "b"]))
    account.count_scoring()
    account.count_scoring()
    shown = succeeded("ledger", tmp_path / "ledger of host1").stdout
    assert "2 customers were scored, one of them in 2 sessions; limit 12" in shown
    assert "--reason" in refused("ledger", tmp_path / "ledger of host1", "--scorings", "13")
    shown = succeeded("ledger", tmp_path / "ledger of host1", "--scorings", "13", "--reason", "agreed", "--json").stdout
    assert json.loads(shown)["scored"] == {"customers": 2, "most": 2, "limit": 13}


def test_matchings_are_counted_with_their_sizes(tmp_path: Path) -> None:
    """A peer that asks about a few people, again and again, is seen at the party that is asked."""
    account = FileBudget(tmp_path, "features")
    for rows, matched in (((250, 250), 240), ((250, 3), 2), ((250, 250), 240)):
        account.count_matching(["guest"], rows, matched)
    assert "ids were matched 3 times" in succeeded("ledger", tmp_path).stdout
    assert "the smallest set had 3 ids, 2 of them in common" in succeeded("ledger", tmp_path).stdout
    assert [one["matched"] for one in json.loads(succeeded("ledger", tmp_path, "--json").stdout)["matchings"]] == [240, 2, 240]


def test_damaged_counts_of_sessions_are_refused(tmp_path: Path) -> None:
    account = FileBudget(tmp_path, "features", normalise(["a", "b"]))
    account.count_scoring()
    kept = (tmp_path / "scorings").read_bytes()
    for damaged in (b"", kept[:-8], kept[:-1] + bytes([kept[-1] ^ 1])):
        (tmp_path / "scorings").write_bytes(damaged)
        with pytest.raises(JournalError, match="scorings: is damaged"):
            account.count_scoring()


def test_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ledger_folder("guest") == tmp_path / "vflfast" / "ledger" / "guest"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert ledger_folder("host1") == Path.home() / ".local" / "state" / "vflfast" / "ledger" / "host1"
    ledger_folder("guest")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "vflfast" / "ledger" / "guest").mkdir(parents=True)
    assert "nothing was told" in succeeded("ledger", "--role", "guest").stdout


def test_a_simulation_keeps_none_unless_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_tables(tmp_path)
    made = sections(tmp_path, run={})
    made["settings"] = {**made["settings"], "simulation": True}
    succeeded("train", write_job(tmp_path, made), "--models", tmp_path / "models")
    assert not (tmp_path / "state").exists()

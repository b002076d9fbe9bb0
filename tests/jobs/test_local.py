"""Matching, training and scoring of tables by the names of the top level."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.jobs import in_test_part, sections, succeeded, write_job, write_tables

import vflfast
from vflfast.errors import DataError, InputError, ModelError
from vflfast.jobs.local import host_binning

AGREED = vflfast.Settings(key_bits=512, test_key=True, max_iter=2)
READING = {"id_column": "customer", "observation_date": "2026-01-01"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("tables")
    write_tables(target, n_hosts=2)
    return target


def tables(folder: Path, n_hosts: int = 1) -> list[vflfast.Table]:
    guest = vflfast.read_table(folder / "guest.csv", label_column="bought", **READING)
    return [guest, *(vflfast.read_table(folder / f"host{k + 1}.csv", **READING) for k in range(n_hosts))]


@pytest.fixture(scope="module")
def matched(folder: Path) -> vflfast.MatchedTables:
    return vflfast.match_ids(*tables(folder))


@pytest.fixture(scope="module")
def model(matched: vflfast.MatchedTables) -> vflfast.TrainedModel:
    return vflfast.train(matched, settings=AGREED, verify=True)


# --- matching ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ecdh", "hmac", "hash"])
def test_matched_tables_have_the_same_customers_in_one_order(folder: Path, method: str) -> None:
    matched = vflfast.match_ids(*tables(folder, 2), method=method)
    assert matched.n_rows == 240
    for table in matched.tables:
        assert table.ids.tolist() == matched.tables[0].ids.tolist()
    assert matched.report["matched"] == 240
    assert matched.tables[0].labels is not None


def test_a_shared_key_gives_the_same_order(folder: Path) -> None:
    orders = [vflfast.match_ids(*tables(folder), method="hmac", key=b"k" * 16).tables[0].ids.tolist() for _ in range(2)]
    assert orders[0] == orders[1]


def test_the_split_is_that_of_a_job_file(matched: vflfast.MatchedTables) -> None:
    train, test = matched.split(0.3)
    assert train.n_rows + test.n_rows == matched.n_rows
    assert in_test_part(test.tables[0].ids).all()
    assert not in_test_part(train.tables[0].ids).any()
    assert len({train.commitment, test.commitment, matched.commitment}) == 3
    assert train.tables[1].ids.tolist() == train.tables[0].ids.tolist()


@pytest.mark.parametrize("share", [0, 1, 1.5, "0.3", True, None, 1e-9])
def test_a_split_that_is_none_is_refused(matched: vflfast.MatchedTables, share: Any) -> None:
    with pytest.raises(InputError) as caught:
        matched.split(share)
    assert caught.value.argument == "test_share"


# --- training ----------------------------------------------------------------------------------------------------


def test_the_command_line_trains_the_same_weights(folder: Path, tmp_path: Path) -> None:
    job = write_job(folder, sections(folder, run={}))
    succeeded("train", job, "--models", tmp_path / "models")
    key = bytes(range(32))  # of `sections`
    own = vflfast.train(vflfast.match_ids(*tables(folder), method="hmac", key=key), settings=AGREED)
    theirs = vflfast.load_model(tmp_path / "models")
    assert own.weight_hash == theirs.weight_hash
    assert own.n_iter == theirs.n_iter == 2
    assert own.threshold == pytest.approx(theirs.threshold, abs=1e-9)
    assert {name: series.index.tolist() for name, series in own.coef_.items()} == {
        name: party.binner.column_names for name, party in theirs.parties.items()
    }


def test_tables_are_matched_where_they_are_not(folder: Path) -> None:
    model = vflfast.train(*tables(folder, 2), settings=AGREED)
    assert list(model.parties) == ["guest", "host1", "host2"]


def test_every_round_is_compared_with_the_twin(model: vflfast.TrainedModel) -> None:
    assert model.verified_rounds == model.n_iter == 2
    assert f"n_iter=2, columns={{'guest': {len(model.coef_['guest'])}" in repr(model)


def test_binning_is_that_of_the_binner(matched: vflfast.MatchedTables) -> None:
    binning = {"encoding": "onehot", "overrides": {"host1_amount": "sign"}}
    own = vflfast.train(matched, settings=AGREED, binning=binning)
    fitted = [
        vflfast.Binner.fit(table, encoding="onehot", overrides={} if k == 0 else {"host1_amount": "sign"})
        for k, table in enumerate(matched.tables)
    ]
    assert vflfast.train(matched, settings=AGREED, binners=fitted).weight_hash == own.weight_hash
    assert own.parties["host1"].binner.column_names == fitted[1].column_names


def test_woe_of_the_hosts(matched: vflfast.MatchedTables) -> None:
    agreed = vflfast.Settings(key_bits=512, test_key=True, max_iter=1, host_woe=True)
    assert host_binning({"min_class_size": 70}, agreed) == {"min_class_size": 70, "encoding": "woe"}
    binner = vflfast.train(matched, settings=agreed).parties["host1"].binner
    assert len(binner.column_names) == len(binner.feature_names)


def test_the_observer_hears_every_stage(matched: vflfast.MatchedTables) -> None:
    heard: list[tuple[str, int, str]] = []
    vflfast.train(matched, settings=AGREED, observer=lambda *said: heard.append(said))
    assert {("guest", 2, "update"), ("host1", 1, "encrypt"), ("arbiter", 1, "decrypt")} <= set(heard)


# --- scoring -----------------------------------------------------------------------------------------------------


def test_scores_are_those_of_the_command_line(folder: Path, model: vflfast.TrainedModel, tmp_path: Path) -> None:
    paths = model.save(tmp_path / "models")
    assert [path.name for path in paths] == ["guest.json", "host1.json", "arbiter.json"]
    job = write_job(folder, sections(folder, run={}), "score.toml")
    out = tmp_path / "labels.csv"
    succeeded("score", job, "--models", tmp_path / "models", "--output", "probability", "--out", out)
    theirs = pd.read_csv(out, index_col="id")
    own = vflfast.score(vflfast.load_model(tmp_path / "models"), *tables(folder), output="probability")
    assert own.columns.tolist() == ["label", "joint_probability"]
    pd.testing.assert_frame_equal(own.sort_index(), theirs.sort_index())


def test_labels_alone_by_default(matched: vflfast.MatchedTables, model: vflfast.TrainedModel) -> None:
    labels = vflfast.score(model, matched)
    assert labels.columns.tolist() == ["label"]
    assert labels.index.tolist() == matched.tables[0].ids.tolist()
    assert set(labels["label"]) == {-1, 1}


# --- what is wrong -----------------------------------------------------------------------------------------------


def test_wrong_tables_are_named(folder: Path, matched: vflfast.MatchedTables, model: vflfast.TrainedModel) -> None:
    guest, host = tables(folder)
    unlabelled = vflfast.Table(guest.ids, guest.features, guest.kinds, None)
    other = vflfast.table_from_frame(pd.DataFrame({"customer": ["nobody"], "x": [1.0]}), id_column="customer")
    cases: list[tuple[Any, str]] = [
        (lambda: vflfast.match_ids(guest), "hosts"),
        (lambda: vflfast.match_ids(guest, pd.DataFrame()), "host1"),
        (lambda: vflfast.match_ids("bank.csv", host), "guest"),  # type: ignore[arg-type]
        (lambda: vflfast.match_ids(guest, host, method="md5"), "ids.method"),
        (lambda: vflfast.match_ids(guest, host, max_ids=10), "guest ids"),
        (lambda: vflfast.train(unlabelled, host), "guest"),
        (lambda: vflfast.train(guest, guest), "host1"),
        (lambda: vflfast.train(matched, host), "hosts"),
        (lambda: vflfast.train(matched, binning={"bins": 5}), "binning"),
        (lambda: vflfast.train(matched, binning={"overrides": {"nobody": "five"}}), "binning"),
        (lambda: vflfast.train(matched, binning={}, binners=[]), "binning"),
        (lambda: vflfast.train(matched, binners=[]), "binners"),
        (lambda: vflfast.score(model, *tables(folder, 2)), "hosts"),
        (lambda: vflfast.score(model, matched, output="all"), "output"),
    ]
    for call, named in cases:
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.argument == named
    with pytest.raises(DataError):
        vflfast.match_ids(guest, other)
    with pytest.raises(DataError, match="host1_amount"):
        vflfast.score(model, guest, vflfast.Table(host.ids, host.features.drop(columns="host1_amount"), {
            name: kind for name, kind in host.kinds.items() if name != "host1_amount"}, None))  # fmt: skip


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        vflfast.load_model(tmp_path)


# --- types -------------------------------------------------------------------------------------------------------

SCRIPT = '''
import numpy as np
import pandas as pd

import vflfast
from vflfast.handover import Scaling, class_model, scorecard

bank = vflfast.read_table("bank.csv", id_column="phone", label_column="bought")
partner = vflfast.table_from_frame(pd.DataFrame(), id_column="phone")
matched: vflfast.MatchedTables = vflfast.match_ids(bank, partner)
train, test = matched.split(0.3)
model: vflfast.TrainedModel = vflfast.train(train, settings=vflfast.Settings(), verify=True)
frame: pd.DataFrame = vflfast.score(model, test, output="scores")
auc: float = vflfast.metrics.roc_auc(np.ones(3), frame["score"])
card: pd.DataFrame = scorecard(class_model(model.parties["guest"]), Scaling(600, 0.1, 20))
wrong: int = vflfast.match_ids(bank, partner)
'''


@pytest.mark.slow
def test_a_users_script_has_types(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(tmp_path / "cache"), "script.py"]
    environment = {"MYPYPATH": str(Path(vflfast.__file__).parents[1]), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("script.py")]
    found = [line for line in lines if "import-untyped" not in line and "note" not in line]
    assert len(found) == 1, done.stdout
    assert 'variable has type "int"' in found[0]

"""Jobs: files read strictly, everything fitted on training rows only, labels from reloaded models, memory."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import SETTINGS, in_test_part, sections, write_job, write_tables

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import DataError, InputError, LeakageGuardError, ModelError, VflError
from vflfast.jobs import job as jobs
from vflfast.jobs import jobfile
from vflfast.jobs.evaluation import evaluate
from vflfast.jobs.progress import StageClock
from vflfast.learn.logistic import sigmoid
from vflfast.protocol.block import PartyInputs


@pytest.fixture(scope="module")
def trained(folder: Path) -> jobs.TrainedJob:
    return jobs.train(job(folder), StageClock(), verify=True)


def job(folder: Path, n_hosts: int = 1, **changes: Any) -> jobfile.Job:
    return jobfile.job_from_mapping(sections(folder, n_hosts, **changes), folder)


# --- what is fitted, on what -------------------------------------------------------------------------------------


def without_session(party: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in party.items() if name not in ("session", "digest", "scale")}


def scramble_test_rows(table: pd.DataFrame, is_test: np.ndarray) -> None:
    """Give the test rows other labels, far amounts, missing cells, unknown trades and other dates."""
    for name in table.columns:
        if name == "bought":
            table.loc[is_test, name] = 1 - table.loc[is_test, name]
        elif name.endswith("_amount"):
            table.loc[is_test, name] = 1e6
        elif name.endswith("_level"):
            table.loc[is_test, name] = np.nan
        elif name.endswith("_trade"):
            table.loc[is_test, name] = "spy"
        elif name.endswith("_since"):
            table.loc[is_test, name] = "1999-09-09"


@pytest.mark.parametrize(("n_hosts", "profile"), [(1, "patent"), (2, "hardened")])
@pytest.mark.parametrize("threshold", ["quota", "ks"])
def test_rows_kept_out_of_training_influence_nothing(tmp_path: Path, n_hosts: int, profile: str, threshold: str) -> None:
    results = []
    for name, change in (("plain", None), ("scrambled", scramble_test_rows)):
        write_tables(tmp_path / name, n_hosts, change=change)
        settings = {**SETTINGS, "threshold": threshold, "profile": profile}
        results.append(jobs.train(job(tmp_path / name, n_hosts, settings=settings), StageClock(), verify=True))
    plain, scrambled = results
    assert plain.test is not None
    assert scrambled.test is not None
    assert (plain.test.labels == -scrambled.test.labels).all()  # the change arrived
    assert plain.result.verified_rounds == scrambled.result.verified_rounds == 2
    assert plain.result.weight_hash == scrambled.result.weight_hash
    for ours, theirs in zip(plain.parties, scrambled.parties, strict=True):
        assert without_session(ours.to_dict()) == without_session(theirs.to_dict())
    mine, others = plain.result.arbiter, scrambled.result.arbiter
    assert (mine.powers, mine.flagged_share) == (others.powers, others.flagged_share)
    assert plain.result.threshold == pytest.approx(scrambled.result.threshold, abs=1e-9)


def test_rows_of_training_do_influence(tmp_path: Path) -> None:
    """The control of the test above: the same change to the other rows is seen in every party's model."""
    parties = []
    for name, change in (("plain", None), ("scrambled", lambda table, is_test: scramble_test_rows(table, ~is_test & (table.index < 99)))):
        write_tables(tmp_path / name, change=change)
        parties.append(jobs.train(job(tmp_path / name), StageClock()).parties)
    for ours, theirs in zip(*parties, strict=True):
        assert ours.binner.rules != theirs.binner.rules
        assert not np.array_equal(ours.weights, theirs.weights)


def test_the_split_is_the_documented_one(folder: Path, trained: jobs.TrainedJob) -> None:
    ids = [set(pd.read_csv(folder / name)["customer"]) for name in ("guest.csv", "host1.csv")]
    common = sorted(ids[0] & ids[1])
    assert trained.test is not None
    assert len(trained.test.labels) == in_test_part(common).sum()
    assert trained.n_train == len(common) - in_test_part(common).sum()
    assert trained.match["matched"] == len(common) == 240
    assert trained.match["rows"] == [250, 250]


def test_no_test_part_no_evaluation(folder: Path) -> None:
    trained = jobs.train(job(folder, run={}), StageClock())
    assert trained.test is None
    assert trained.n_train == 240
    assert evaluate(trained, job(folder), StageClock()) == {}


def test_evaluation_looks_at_every_side_and_at_both_together(folder: Path, trained: jobs.TrainedJob) -> None:
    shown = evaluate(trained, job(folder), StageClock())
    assert list(shown["scores"]) == ["guest alone", "host1 alone", "joint"]
    by_f = job(folder, settings={**SETTINGS, "scoring": "combined"})
    with_f = evaluate(jobs.train(by_f, StageClock()), by_f, StageClock())["scores"]
    assert list(with_f) == ["guest alone", "host1 alone", "combined F", "joint"]
    assert shown["rows"] == len(trained.test.labels)  # type: ignore[union-attr]
    assert shown["scores"]["joint"]["auc"] > max(shown["scores"][f"{party} alone"]["auc"] for party in ("guest", "host1"))


def test_evaluation_needs_a_simulation(folder: Path, trained: jobs.TrainedJob) -> None:
    real = job(folder, settings={**SETTINGS, "simulation": False}, run={})
    with pytest.raises(LeakageGuardError, match="simulation"):
        evaluate(trained, real, StageClock())


def test_the_same_organisation_twice_is_refused_unless_simulated(folder: Path) -> None:
    data = sections(folder, run={})
    data["settings"]["simulation"] = False
    data["arbiter"]["organisation"] = data["guest"]["organisation"]
    with pytest.raises(VflError, match="same organisation as the arbiter"):
        jobs.train(jobfile.job_from_mapping(data, folder), StageClock())


# --- scoring -----------------------------------------------------------------------------------------------------


def labels_by_customer(folder: Path, models: Path, **changes: Any) -> tuple[dict[str, int], dict[str, float]]:
    data = sections(folder, **changes)
    patent = data["settings"].get("profile") == "patent"
    read = jobfile.job_from_mapping(data, folder, {"output": "scores" if patent else "probability"})
    table, result, _, _ = jobs.score(read, models, read.settings, StageClock())
    scores = result.scores if patent else result.joint_probability
    assert scores is not None
    ids = table.ids.tolist()
    return dict(zip(ids, result.labels.tolist(), strict=True)), dict(zip(ids, scores.tolist(), strict=True))


@pytest.mark.parametrize("profile", ["patent", "hardened"])
def test_reloaded_models_give_the_labels_and_scores_of_training(folder: Path, tmp_path: Path, profile: str) -> None:
    """Trained on all rows with scores opened to the guest: scoring the same rows from disk repeats them."""
    everything = {"run": {}, "settings": {**SETTINGS, "threshold": "ks", "profile": profile}}
    trained = jobs.train(job(folder, **everything), StageClock())
    models = tmp_path / "models"
    jobs.save_models(trained, models)
    labels, scores = labels_by_customer(folder, models, **everything)
    guest = trained.result.guest
    assert guest.train_labels is not None
    assert guest.train_scores is not None
    # the fixed id key gives both runs the same order of rows
    assert list(labels.values()) == guest.train_labels.tolist()
    opened = guest.train_scores if guest.scale is None else sigmoid(guest.scale.predictors(guest.train_scores))
    assert list(scores.values()) == opened.tolist()
    assert -1 < sum(labels.values()) / len(labels) < 1  # both labels occur


@pytest.mark.parametrize("profile", ["patent", "hardened"])
def test_scores_do_not_depend_on_the_session_nor_on_the_order_of_the_files(folder: Path, tmp_path: Path, profile: str) -> None:
    settings = {**SETTINGS, "profile": profile}
    jobs.save_models(jobs.train(job(folder, settings=settings), StageClock()), tmp_path / "models")
    first = labels_by_customer(folder, tmp_path / "models", settings=settings)
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    for name in ("guest.csv", "host1.csv"):
        table = pd.read_csv(folder / name, dtype=str)
        table.sample(frac=1, random_state=3).to_csv(shuffled / name, index=False)
    # and another id key: another order of the rows
    second = labels_by_customer(shuffled, tmp_path / "models", settings=settings, ids={})
    assert list(first[0]) != list(second[0])
    assert first[0] == second[0]
    assert first[1] == second[1]


def test_scoring_new_customers_without_a_label_column(trained: jobs.TrainedJob, tmp_path: Path) -> None:
    jobs.save_models(trained, tmp_path / "models")
    write_tables(tmp_path / "new", seed=1, labels=False)
    data = sections(tmp_path / "new")
    del data["guest"]["label_column"]
    read = jobfile.job_from_mapping(data, tmp_path / "new")
    table, result, match, _ = jobs.score(read, tmp_path / "models", read.settings, StageClock())
    assert match["matched"] == len(result.labels) == table.n_rows == 240
    assert table.labels is None
    assert set(result.labels.tolist()) == {-1, 1}
    assert (result.scores, result.joint_probability) == (None, None)  # not asked for


def test_a_table_read_otherwise_than_in_training_is_refused(trained: jobs.TrainedJob, tmp_path: Path) -> None:
    jobs.save_models(trained, tmp_path / "models")
    write_tables(tmp_path / "new", seed=1)
    data = sections(tmp_path / "new")
    del data["guest"]["label_column"]  # but the column is there: no feature of the model
    read = jobfile.job_from_mapping(data, tmp_path / "new")
    with pytest.raises(DataError) as caught:
        jobs.score(read, tmp_path / "models", read.settings, StageClock())
    assert caught.value.argument == "bought"


def test_models_of_different_sessions_are_refused(folder: Path, trained: jobs.TrainedJob, tmp_path: Path) -> None:
    jobs.save_models(trained, tmp_path / "one")
    jobs.save_models(jobs.train(job(folder), StageClock()), tmp_path / "two")
    for name in ("guest", "host1", "arbiter"):
        mixed = tmp_path / f"mixed {name}"
        mixed.mkdir()
        for role in ("guest", "host1", "arbiter"):
            source = tmp_path / ("two" if role == name else "one")
            (mixed / f"{role}.json").write_bytes((source / f"{role}.json").read_bytes())
        with pytest.raises(ModelError) as caught:
            labels_by_customer(folder, mixed)
        assert caught.value.argument == "session"


def test_a_model_in_another_partys_place_is_refused(folder: Path, trained: jobs.TrainedJob, tmp_path: Path) -> None:
    jobs.save_models(trained, tmp_path)
    (tmp_path / "guest.json").write_bytes((tmp_path / "host1.json").read_bytes())
    with pytest.raises(ModelError) as caught:
        labels_by_customer(folder, tmp_path)
    assert caught.value.argument == "role"


def test_a_model_for_more_parties_than_the_job_names_is_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, 2)
    jobs.save_models(jobs.train(job(tmp_path, 2), StageClock()), tmp_path / "models")
    read = job(tmp_path, 1)
    with pytest.raises(InputError) as caught:
        jobs.score(read, tmp_path / "models", read.settings, StageClock())
    assert caught.value.argument == "model"


# --- memory (more in test_memory.py) --------------------------------------------------------------------------------


def test_the_codes_of_all_rows_are_gone_when_training_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    real = jobs.inline.train

    def count(guest: PartyInputs, hosts: list[PartyInputs], *rest: Any, **options: Any) -> Any:
        gc.collect()
        alive.extend(matrix.n_rows for matrix in gc.get_objects() if type(matrix) is CodedMatrix)
        return real(guest, hosts, *rest, **options)

    monkeypatch.setattr(jobs.inline, "train", count)
    trained = jobs.train(job(folder), StageClock())
    assert trained.n_train in alive
    assert 250 not in alive  # the whole file's


def test_an_account_number_is_left_out_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of 240 values none has ten customers: all are one class, and its column says nothing about anybody."""

    def with_account(table: Any, _: Any) -> None:
        table["account"] = [f"DE{k:05d}" for k in range(len(table))]

    write_tables(tmp_path, change=with_account)
    ready = jobs.prepare(jobfile.read_job(write_job(tmp_path, sections(tmp_path))), StageClock())
    assert "guest: account is left out: none of its values has enough customers for a class" in caplog.text
    assert "host1: account is left out" in caplog.text
    assert [binner.without_classes for binner in ready.binners] == [["account"], ["account"]]

"""Jobs: files read strictly, everything fitted on training rows only, labels from reloaded models, memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import SETTINGS, in_test_part, sections, write_job, write_tables

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import DataError, InputError, InvalidKeyError, LeakageGuardError, ModelError, VflError
from vflfast.jobs import job as jobs
from vflfast.jobs import jobfile
from vflfast.jobs.progress import StageClock
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.settings import Settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("job")
    write_tables(target)
    return target


@pytest.fixture(scope="module")
def trained(folder: Path) -> jobs.TrainedJob:
    return jobs.train(job(folder), StageClock(), verify=True)


def job(folder: Path, n_hosts: int = 1, **changes: Any) -> jobfile.Job:
    return jobfile.job_from_mapping(sections(folder, n_hosts, **changes), folder)


# --- job files ---------------------------------------------------------------------------------------------------


def test_a_job_file_says_the_same_as_its_mapping(folder: Path) -> None:
    data = sections(folder)
    read = jobfile.read_job(write_job(folder, data))
    assert read == jobfile.job_from_mapping(data, folder)
    assert read.guest.file == folder / "guest.csv"
    assert read.guest.organisation == "bank"
    assert read.guest.reading == {"id_column": "customer", "label_column": "bought", "observation_date": "2026-01-01"}
    assert read.id_key == bytes(range(32))
    assert read.key_file == folder / "arbiter.key"
    assert read.settings == Settings(simulation=True, **SETTINGS)


def test_changes_win_over_the_settings_section(folder: Path) -> None:
    read = jobfile.read_job(write_job(folder, sections(folder)), {"max_iter": 7, "tol": 0.25})
    assert (read.settings.max_iter, read.settings.tol, read.settings.key_bits) == (7, 0.25, 512)


def test_what_a_short_job_file_leaves_open(tmp_path: Path) -> None:
    path = write_job(tmp_path, {"guest": {"file": "g.csv"}, "hosts": [{"file": "a.csv"}, {"file": "b.csv"}]})
    first = jobfile.read_job(path)
    assert [host.name for host in first.hosts] == ["host1", "host2"]
    assert first.settings == Settings(simulation=True)
    assert (first.test_share, first.key_file, first.id_method, first.id_key) == (0.0, None, "ecdh", None)


def test_hmac_without_a_key_file_gets_a_fresh_key(folder: Path) -> None:
    path = write_job(folder, sections(folder, ids={"method": "hmac"}), "hmac.toml")
    first, second = jobfile.read_job(path), jobfile.read_job(path)
    assert first.id_key is second.id_key is None  # a fresh one at every match


def test_a_toml_date_is_an_observation_date(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('[guest]\nfile = "g.csv"\nobservation_date = 2026-01-01\n[[hosts]]\nfile = "h.csv"\nobservation_date = 2026-01-01\n')
    assert jobfile.read_job(path).guest.reading == {"observation_date": "2026-01-01"}


Change = Callable[[dict[str, Any]], None]


def changed(section: str, **values: Any) -> Change:
    """Set names of a section; ... takes a name away."""

    def change(data: dict[str, Any]) -> None:
        target = data["hosts"][0] if section == "host" else data[section]
        for name, value in values.items():
            if value is ...:
                del target[name]
            else:
                target[name] = value

    return change


def replaced(**values: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is ...:
                del data[name]
            else:
                data[name] = value

    return change


BAD_JOBS: list[tuple[str, Change]] = [
    # sections
    ("guests", replaced(guests={})),
    ("guest", replaced(guest=...)),
    ("hosts", replaced(hosts=...)),
    ("hosts", replaced(hosts=[])),
    ("hosts", replaced(hosts={"file": "host1.csv"})),
    ("guest", replaced(guest=[{"file": "guest.csv"}])),
    ("host1", replaced(hosts=["host1.csv"])),
    ("settings", replaced(settings=5)),
    ("ids", replaced(ids="hmac")),
    ("run", replaced(run=[1])),
    ("arbiter", replaced(arbiter="notary")),
    # names
    ("fil", changed("guest", fil="guest.csv")),
    ("weights", changed("host", weights=[1])),
    ("salt", changed("ids", salt="x")),
    ("seed", changed("run", seed=1)),
    ("key", changed("arbiter", key="x")),
    ("max_itr", changed("settings", max_itr=5)),
    # values
    ("guest.file", changed("guest", file=...)),
    ("guest.file", changed("guest", file=5)),
    ("host1.file", changed("host", file=["host1.csv"])),
    ("host1.label_column", changed("host", label_column="host1_flag")),
    ("guest.organisation", changed("guest", organisation=5)),
    ("host1.organisation", changed("host", organisation="")),
    ("arbiter.organisation", changed("arbiter", organisation=["notary"])),
    ("arbiter.key_file", changed("arbiter", key_file=5)),
    ("ids.method", changed("ids", method="plain")),
    ("ids.method", changed("ids", method=["hmac"])),
    ("ids.max_ids", changed("ids", max_ids=0)),
    ("ids.max_ids", changed("ids", max_ids=True)),
    ("ids.max_ids", changed("ids", max_ids="many")),
    ("ids.key_file", replaced(ids={"key_file": "ids.key"})),
    ("ids.key_file", changed("ids", key_file=5)),
    ("ids.key_file", changed("ids", key_file="nowhere.key")),
    ("ids.key_file", changed("ids", key_file="a\0b")),
    ("ids.key_file", changed("ids", key_file="short.key")),
    ("ids.key_file", changed("ids", method="hash")),
    ("test_share", changed("run", test_share=1.0)),
    ("test_share", changed("run", test_share=-0.1)),
    ("test_share", changed("run", test_share="0.3")),
    ("test_share", changed("run", test_share=True)),
    ("test_share", changed("run", test_share=float("nan"))),
    ("test_share", changed("settings", simulation=False)),
    # settings
    ("profile", changed("settings", profile="open")),
    ("key_bits", changed("settings", key_bits=1000, test_key=False)),
    ("key_bits", changed("settings", key_bits="2048")),
    ("test_key", changed("settings", test_key=1)),
    ("max_iter", changed("settings", max_iter=0)),
    ("max_iter", changed("settings", max_iter=2.5)),
    ("n_iter_no_change", changed("settings", n_iter_no_change=0)),
    ("tol", changed("settings", tol=-1.0)),
    ("tol", changed("settings", tol=float("inf"))),
    ("alpha", changed("settings", alpha=-0.5)),
    ("alpha", changed("settings", alpha=10**400)),
    ("solver", changed("settings", solver="lbfgs")),
    ("step", changed("settings", step=0.1)),
    ("step", changed("settings", solver="gd", step=0.0)),
    ("momentum", changed("settings", solver="gd", momentum=1.0)),
    ("frac_bits", changed("settings", frac_bits=64)),
    ("predictor_bound", changed("settings", predictor_bound=0.0)),
    ("n_batches", changed("settings", n_batches=0)),
    ("norm", changed("settings", norm="none")),
    ("epsilon", changed("settings", norm="rank", epsilon=0.1)),
    ("threshold", changed("settings", threshold="best")),
    ("threshold_value", changed("settings", threshold="precision")),
    ("powers", changed("settings", powers=[1.0])),
    ("powers", changed("settings", powers=[1.0, -1.0])),
    ("powers", changed("settings", powers=[1.0, 1.0, 1.0])),
    ("output", changed("settings", output="all")),
]


@pytest.mark.parametrize(("argument", "change"), BAD_JOBS, ids=[f"{k}-{argument}" for k, (argument, _) in enumerate(BAD_JOBS)])
def test_bad_jobs_are_refused_before_any_work(folder: Path, argument: str, change: Change) -> None:
    data = sections(folder)
    (folder / "short.key").write_bytes(b"too short")
    change(data)
    with pytest.raises(InputError) as caught:
        jobfile.job_from_mapping(data, folder)
    assert caught.value.argument == argument


BAD_RUNS: list[tuple[str, type[VflError], Change]] = [
    ("label_column", InputError, changed("guest", label_column=...)),
    ("label_column", InputError, changed("guest", label_column=5)),
    ("sold", DataError, changed("guest", label_column="sold")),
    ("guest_trade", DataError, changed("guest", label_column="guest_trade")),
    ("id_column", InputError, changed("guest", id_column=5)),
    ("phone", DataError, changed("host", id_column="phone")),
    ("id_format", InputError, changed("guest", id_format="email")),
    ("customer", DataError, changed("guest", id_format="phone")),
    ("kinds", InputError, changed("host", kinds={"host1_amount": "number"})),
    ("kinds", InputError, changed("host", kinds={"host1_amount": ["numeric"]})),
    ("kinds", InputError, changed("host", kinds={"age": "numeric"})),
    ("kinds", InputError, changed("host", kinds="numeric")),
    ("host1_trade", DataError, changed("host", kinds={"host1_trade": "numeric"})),
    ("date_format", InputError, changed("guest", date_format="day")),
    ("observation_date", InputError, changed("guest", observation_date="yesterday")),
    ("observation_date", InputError, changed("guest", observation_date=...)),
    ("numeric", InputError, changed("guest", numeric="deciles")),
    ("max_levels", InputError, changed("guest", max_levels=0)),
    ("max_levels", InputError, changed("guest", max_levels=2.5)),
    ("overrides", InputError, changed("guest", overrides={"guest_trade": "five"})),
    ("overrides", InputError, changed("guest", overrides={"guest_amount": ["five"]})),
    ("overrides", InputError, changed("guest", overrides=["guest_amount"])),
    ("path", InvalidKeyError, changed("arbiter", key_file="nowhere.key")),
    ("key_bits", InputError, changed("settings", key_bits=1024)),
    ("q", InvalidKeyError, changed("settings", key_bits=2048, test_key=False)),  # the file holds a test key
    ("tokens", DataError, changed("host", file="other.csv")),
]


@pytest.mark.parametrize(("argument", "kind", "change"), BAD_RUNS, ids=[f"{k}-{case[0]}" for k, case in enumerate(BAD_RUNS)])
def test_bad_tables_and_keys_are_refused(folder: Path, argument: str, kind: type[VflError], change: Change) -> None:
    data = sections(folder)
    pd.DataFrame({"customer": ["nobody"], "host1_amount": [1.0]}).to_csv(folder / "other.csv", index=False)
    change(data)
    with pytest.raises(kind) as caught:
        jobs.train(jobfile.job_from_mapping(data, folder), StageClock())
    assert caught.value.argument == argument


@pytest.mark.parametrize("name", ["guest.csv", "nothing.csv", "guest.txt", "a\0.csv"])
def test_a_table_that_is_none_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    data = sections(folder)
    data["guest"]["file"] = str(tmp_path / name)
    (tmp_path / "guest.csv").write_bytes(b"\xff\xfe not a table")
    (tmp_path / "guest.txt").write_text("customer\n1\n")
    with pytest.raises(DataError) as caught:
        jobs.train(jobfile.job_from_mapping(data, folder), StageClock())
    assert caught.value.argument == str(tmp_path / name)


NO_TOML = [
    b"[guest\n", b"guest = \xff\n", b"[guest]\nfile = 1\nfile = 2\n", b"x = " + b"[" * 100_000, b"x = " + b"9" * 9_999,
]  # fmt: skip


@pytest.mark.parametrize("content", NO_TOML, ids=range(len(NO_TOML)))
def test_what_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        jobfile.read_job(path)
    assert caught.value.argument == str(path)


# --- what is fitted, on what -------------------------------------------------------------------------------------


def without_session(party: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in party.items() if name not in ("session", "digest")}


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
    assert mine.threshold == others.threshold


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
    assert jobs.evaluate(trained, job(folder), StageClock()) == {}


def test_evaluation_looks_at_every_side_and_at_both_together(folder: Path, trained: jobs.TrainedJob) -> None:
    shown = jobs.evaluate(trained, job(folder), StageClock())
    assert set(shown["scores"]) == {"guest alone", "host1 alone", "combined F", "joint"}
    assert shown["rows"] == len(trained.test.labels)  # type: ignore[union-attr]
    assert shown["scores"]["joint"]["auc"] > max(shown["scores"][f"{party} alone"]["auc"] for party in ("guest", "host1"))


def test_evaluation_needs_a_simulation(folder: Path, trained: jobs.TrainedJob) -> None:
    real = job(folder, settings={**SETTINGS, "simulation": False}, run={})
    with pytest.raises(LeakageGuardError, match="simulation"):
        jobs.evaluate(trained, real, StageClock())


def test_the_same_organisation_twice_is_refused_unless_simulated(folder: Path) -> None:
    data = sections(folder, run={})
    data["settings"]["simulation"] = False
    data["arbiter"]["organisation"] = data["guest"]["organisation"]
    with pytest.raises(VflError, match="same organisation as the arbiter"):
        jobs.train(jobfile.job_from_mapping(data, folder), StageClock())


# --- scoring -----------------------------------------------------------------------------------------------------


def labels_by_customer(folder: Path, models: Path, **changes: Any) -> tuple[dict[str, int], dict[str, float]]:
    data = sections(folder, **changes)
    read = jobfile.job_from_mapping(data, folder, {"output": "scores"})
    table, result, _, _ = jobs.score(read, models, read.settings, StageClock())
    assert result.scores is not None
    ids = table.ids.tolist()
    return dict(zip(ids, result.labels.tolist(), strict=True)), dict(zip(ids, result.scores.tolist(), strict=True))


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
    assert list(scores.values()) == guest.train_scores.tolist()
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

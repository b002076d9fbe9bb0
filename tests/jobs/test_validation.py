"""Cross-validation: folds that share out every customer, figures that are those of single runs, and what an evaluation says of them."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.jobs import refused, sections, succeeded, write_job, write_tables

from vflfast.errors import InputError, LeakageGuardError
from vflfast.jobs import evaluation, job, jobfile, validation
from vflfast.jobs.matched import in_test_part
from vflfast.jobs.progress import StageClock
from vflfast.learn import metrics

FOLDS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("validation")
    write_tables(made)
    write_job(made, sections(made))
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    return validation.validate(jobfile.read_job(folder / "job.toml"), FOLDS, StageClock())


def test_every_customer_is_in_one_fold(found: dict[str, Any], folder: Path) -> None:
    matched = job.prepare(jobfile.read_job(folder / "job.toml"), StageClock()).match["matched"]
    assert sum(row["rows"] for row in found["folds"]) == matched
    assert all(row["rows"] + row["training_rows"] == matched for row in found["folds"])
    ids = np.array([f"customer-{i}" for i in range(5000)])
    for folds in (2, 3, 7, 50):
        parts = [in_test_part(ids, np.arange(5000), 1 / folds, i / folds) for i in range(folds)]
        assert (np.sum(parts, axis=0) == 1).all()
        assert all(abs(part.mean() - 1 / folds) < 0.05 for part in parts)
    assert (in_test_part(ids, np.arange(5000), 0.3) == in_test_part(ids, np.arange(5000), 0.3, 0.0)).all()


def test_a_fold_is_a_run_of_its_own_with_the_bits_of_the_twin(found: dict[str, Any], folder: Path) -> None:
    plan = dataclasses.replace(jobfile.read_job(folder / "job.toml"), test_share=1 / FOLDS, test_start=1 / FOLDS)
    alone = job.train(plan, StageClock(), verify=True)
    assert alone.result.verified_rounds == alone.result.guest.n_iter
    assert found["folds"][1]["weight_hash"] == alone.result.weight_hash
    shown = evaluation.evaluate(alone, plan, StageClock())
    assert found["folds"][1]["scores"]["joint"]["auc"] == shown["scores"]["joint"]["auc"]
    assert len({row["weight_hash"] for row in found["folds"]}) == FOLDS


def test_means_and_spreads(found: dict[str, Any]) -> None:
    for score in ("guest alone", "host1 alone", "joint"):
        for figure in ("auc", "ks", "log_loss"):
            values = [row["scores"][score][figure] for row in found["folds"]]
            assert found["mean"][score][figure] == pytest.approx(statistics.fmean(values))
            assert found["spread"][score][figure] == pytest.approx(np.std(values, ddof=1))
    gains = [row["scores"]["joint"]["auc"] - row["scores"]["guest alone"]["auc"] for row in found["folds"]]
    assert found["partner"]["auc_gain"] == gains
    assert found["partner"]["mean"] == pytest.approx(statistics.fmean(gains))


def test_the_command(folder: Path, found: dict[str, Any]) -> None:
    printed = json.loads(succeeded("validate", folder / "job.toml", "--folds", FOLDS, "--json").stdout)
    assert [row["weight_hash"] for row in printed["folds"]] == [row["weight_hash"] for row in found["folds"]]
    shown = succeeded("validate", folder / "job.toml", "--folds", "2", "--set", "max_iter=2").stdout.splitlines()
    assert [line.split()[0] for line in shown[:5]] == ["fold", "1", "2", "mean", "spread"]
    assert shown[5].startswith("the partner adds ")
    assert not (folder / "models").exists()


def test_refusals(folder: Path) -> None:
    plan = jobfile.read_job(folder / "job.toml")
    for folds in (1, 0, 51, True, 2.0):
        with pytest.raises(InputError) as caught:
            validation.validate(plan, folds, StageClock())  # type: ignore[arg-type]
        assert caught.value.argument == "folds"
    assert "one class only" in refused("validate", folder / "job.toml", "--folds", "50")
    earnest = dataclasses.replace(plan, settings=plan.settings.changed(simulation=False))
    with pytest.raises(LeakageGuardError):
        validation.validate(earnest, 3, StageClock())


# --- what an evaluation says --------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(8)
CHANCE = RNG.uniform(0.02, 0.6, 4000)
LABELS = np.where(RNG.random(4000) < CHANCE, 1, -1).astype(np.int8)


def test_the_partners_gain_is_shown_where_it_is_there() -> None:
    noise = RNG.normal(size=4000)
    better = evaluation.partner_gain(LABELS, CHANCE, CHANCE + noise)
    assert better is not None
    assert better["shown"]
    assert better["auc_gain"] == pytest.approx(metrics.roc_auc(LABELS, CHANCE) - metrics.roc_auc(LABELS, CHANCE + noise))
    assert better["ks_gain"] == pytest.approx(metrics.ks(LABELS, CHANCE) - metrics.ks(LABELS, CHANCE + noise))
    worse = evaluation.partner_gain(LABELS, CHANCE + noise, CHANCE)
    assert worse is not None
    assert not worse["shown"]
    assert worse["high"] < 0
    assert evaluation.partner_gain(np.array([1, -1, -1]), np.arange(3.0), np.arange(3.0)) is None


def test_calibration_is_seen_and_its_absence_too() -> None:
    assert evaluation.calibrated(LABELS, CHANCE)["within"] >= 8
    assert evaluation.calibrated(LABELS, CHANCE / 2)["within"] <= 2
    assert evaluation.calibrated(LABELS[:4], CHANCE[:4])["groups"] == 4


def test_whom_a_threshold_flags() -> None:
    given = np.where(CHANCE > 0.4, 1, -1).astype(np.int8)
    found = evaluation.flagged(LABELS, given)
    hits = int(((given > 0) & (LABELS > 0)).sum())
    assert (found["rows"], found["positives"]) == ((given > 0).sum(), hits)
    assert found["precision"] == pytest.approx(hits / (given > 0).sum())
    assert found["recall"] == pytest.approx(hits / (LABELS > 0).sum())
    assert found["precision_low"] < found["precision"] < found["precision_high"]  # type: ignore[operator]
    nobody = evaluation.flagged(LABELS, -np.ones(4000, dtype=np.int8))
    assert (nobody["rows"], nobody["precision"], nobody["recall"]) == (0, None, 0.0)


def test_stability_of_features_and_score(folder: Path) -> None:
    plan = dataclasses.replace(jobfile.read_job(folder / "job.toml"), test_share=0.4)
    trained = job.train(plan, StageClock())
    found = evaluation.evaluate(trained, plan, StageClock())["stability"]
    n_features = sum(len(party.binner.rules) for party in trained.parties)
    assert found["stable"] + found["shifted"] + found["drifted"] == n_features
    assert [row["psi"] for row in found["features"]] == sorted((row["psi"] for row in found["features"]), reverse=True)
    assert trained.train_scores is not None
    assert len(trained.train_scores) == trained.n_train
    assert found["score_psi"] >= 0

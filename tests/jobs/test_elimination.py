"""Backward elimination: the steps are those of the same rules in plaintext, refits start warm, and what is left scores on its own."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import refused, sections, succeeded, write_job, write_tables

from vflfast.errors import InputError, LeakageGuardError
from vflfast.jobs import elimination, jobfile
from vflfast.jobs.elimination import Rules, eliminate
from vflfast.jobs.job import prepare
from vflfast.jobs.jobfile import Job
from vflfast.jobs.progress import StageClock

ALPHA = 0.01
TIGHT = {"alpha": ALPHA, "max_iter": 30, "tol": 1e-4, "max_leverage": 1.0, "allow_wide": True}  # 160 rows


def with_copies(table: pd.DataFrame, _: Any) -> None:
    """Nearly a copy of a column on either side, a column of noise, and one of which nine cells in ten are missing."""
    rng = np.random.default_rng(len(table.columns))
    prefix = "guest" if "bought" in table else "host1"
    table[f"{prefix}_copy"] = table[f"{prefix}_amount"].fillna(0) + rng.normal(size=len(table))
    table[f"{prefix}_noise"] = rng.normal(size=len(table)).round(2)
    table[f"{prefix}_rare"] = np.where(rng.random(len(table)) < 0.1, rng.normal(size=len(table)).round(2), np.nan)


def job_in(folder: Path, **settings: Any) -> Path:
    write_tables(folder, change=with_copies)
    made = sections(folder)
    made["settings"] |= TIGHT | settings
    return write_job(folder, made)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return jobfile.read_job(job_in(tmp_path_factory.mktemp("elimination")), {})


# --- the same rules in plaintext ---------------------------------------------------------------------------------


class Plain:
    """Joined columns in the clear: a penalised fit by Newton's method, its sandwich, and every feature's numbers."""

    def __init__(self, job: Job) -> None:
        ready = prepare(job, StageClock())
        self.labels = ready.inputs[0].labels
        self.columns: dict[tuple[str, str], np.ndarray] = {}
        for name, binner, inputs in zip(("guest", "host1"), ready.binners, ready.inputs, strict=True):
            matrix = inputs.matrix
            for place, rule in enumerate(binner.rules):
                own = np.flatnonzero(matrix.column_features == place)
                table = np.stack([matrix.column_values[j][matrix.codes[place]] for j in own], axis=1).astype(float)
                self.columns[name, rule.feature] = table[:, table.std(axis=0) > 0]

    def numbers(self) -> dict[tuple[str, str], dict[str, float]]:
        """By feature: the smallest p, the largest inflation, the largest correlation with the other side."""
        features = [one for one, table in self.columns.items() if table.shape[1]]
        x = np.hstack([self.columns[one] for one in features])
        owner = np.repeat(np.arange(len(features)), [self.columns[one].shape[1] for one in features])
        side = np.array([features[k][0] for k in owner])
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        design = np.hstack([np.ones((len(x), 1)), x])
        penalty = ALPHA * len(x) * np.diag([0.0, *[1.0] * x.shape[1]])
        y, beta = (np.asarray(self.labels) > 0).astype(float), np.zeros(design.shape[1])
        for _ in range(30):
            p = 1 / (1 + np.exp(-design @ beta))
            information = (design.T * (p * (1 - p))) @ design
            beta += np.linalg.solve(information + penalty, design.T @ (y - p) - penalty @ beta)
        inverse = np.linalg.inv(information + penalty)
        z = (beta / np.sqrt((inverse @ information @ inverse).diagonal()))[1:]
        correlated = np.corrcoef(x.T)
        found = {}
        for place, one in enumerate(features):
            own, others = np.flatnonzero(owner == place), owner != place
            inflated = []
            for column in own:
                fitted = np.linalg.lstsq(x[:, others], x[:, column], rcond=None)[0]
                inflated.append(1 / np.var(x[:, column] - x[:, others] @ fitted))
            across = np.abs(correlated[np.ix_(own, side != one[0])])
            smallest = min(math.erfc(abs(float(value)) / math.sqrt(2)) for value in z[own])
            found[one] = {"p": smallest, "inflation": max(inflated), "correlation": float(across.max())}
        return found

    def steps(self, rules: Rules) -> list[tuple[str, str, str]]:
        taken = []
        while True:
            told = self.numbers()
            by = {key: max(told, key=lambda one: told[one][key]) for key in ("inflation", "p")}
            pairs = [one for one in told if told[one]["correlation"] > (rules.max_correlation or 1)]
            top = max((told[one]["correlation"] for one in pairs), default=0.0)
            tied = [one for one in pairs if math.isclose(told[one]["correlation"], top, rel_tol=1e-6)]
            pair = max(tied, key=lambda one: told[one]["p"], default=None)
            if rules.max_inflation is not None and told[by["inflation"]]["inflation"] > rules.max_inflation:
                worst, rule = by["inflation"], "max_inflation"
            elif pair is not None:
                worst, rule = pair, "max_correlation"
            elif rules.max_p is not None and told[by["p"]]["p"] > rules.max_p:
                worst, rule = by["p"], "max_p"
            else:
                return taken
            taken.append((*worst, rule))
            del self.columns[worst]


SLOW = pytest.mark.slow
RULES = [
    Rules(max_inflation=5.0), Rules(max_correlation=0.15), pytest.param(Rules(max_p=0.05, max_inflation=5.0), marks=SLOW),
    pytest.param(Rules(max_correlation=0.12, max_p=0.2), marks=SLOW),
]  # fmt: skip


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_the_steps_are_those_of_the_rules_in_plaintext(rules: Rules, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """And each refit starts from the weights before, which saves rounds."""
    rounds = []
    train = elimination.train_prepared

    def counted(ready: Any, *args: Any, **options: Any) -> Any:
        trained = train(ready, *args, **options)
        rounds.append((trained.result.guest.n_iter, [one.start is not None for one in ready.inputs]))
        return trained

    monkeypatch.setattr(elimination, "train_prepared", counted)
    trained, steps = eliminate(job, rules, StageClock())
    assert [started for _, started in rounds] == [[False, False], *[[True, True]] * len(steps)]
    assert min(n for n, _ in rounds[1:]) < rounds[0][0]
    assert [(step.party, step.feature, step.rule) for step in steps] == Plain(job).steps(rules)
    assert steps
    kept = {(party.role, rule.feature) for party in trained.parties for rule in party.binner.rules}
    assert not kept & {(step.party, step.feature) for step in steps}
    assert all(step.value > step.limit for step in steps)


# --- rules before the first fit ----------------------------------------------------------------------------------


def test_missing_cells_and_information_values_need_no_fit(job: Job) -> None:
    trained, steps = eliminate(job, Rules(max_missing=0.5), StageClock())
    assert [(step.party, step.feature, step.fits) for step in steps] == [("guest", "guest_rare", 0), ("host1", "host1_rare", 0)]
    assert trained.result.guest.inference is None  # nothing asked for standard errors
    _, steps = eliminate(job, Rules(min_iv=0.1), StageClock())
    assert {step.party for step in steps} == {"guest"}
    assert "guest_noise" in {step.feature for step in steps}
    assert "guest_amount" not in {step.feature for step in steps}


# --- afterwards --------------------------------------------------------------------------------------------------


def test_the_model_that_is_left_scores_on_its_own(tmp_path: Path) -> None:
    path = job_in(tmp_path)
    shown = succeeded("eliminate", path, "--models", tmp_path / "fewer", "--max-missing", "0.5", "--max-inflation", "5", "--json").stdout
    summary = json.loads(shown)["summary"]
    assert {step["rule"] for step in summary["elimination"]} == {"max_missing", "max_inflation"}
    left = {step["feature"] for step in summary["elimination"]}
    succeeded("score", path, "--models", tmp_path / "fewer", "--out", tmp_path / "labels.csv")
    rows = json.loads(succeeded("coefficients", tmp_path / "fewer" / "guest.json", "--json").stdout)["coefficients"]
    assert not left & {row["column"] for row in rows}
    text = succeeded("eliminate", path, "--models", tmp_path / "fewer", "--max-missing", "0.5", "--report", tmp_path / "r.html").output
    assert "2 features left; the model has" in text
    assert 'id="section-elimination"' in (tmp_path / "r.html").read_text()


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_p", 1.5), ("max_p", -0.1), ("max_inflation", 0.5), ("max_missing", "all"), ("min_iv", True), ("max_correlation", 2)],
)
def test_rules_outside_their_range(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        Rules(**{name: value})
    assert caught.value.argument == name


def test_no_rule_at_all_and_nothing_left(job: Job, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        Rules()
    with pytest.raises(InputError, match="without a feature"):
        eliminate(job, Rules(min_iv=100.0), StageClock())
    assert "at least one" in refused("eliminate", job_in(tmp_path), "--models", tmp_path / "m")


def test_refits_of_separate_organisations_are_not_in_one_place(job: Job) -> None:
    apart = dataclasses.replace(job, settings=dataclasses.replace(job.settings, simulation=False))
    with pytest.raises(LeakageGuardError, match="simulation"):
        eliminate(apart, Rules(max_p=0.05), StageClock())

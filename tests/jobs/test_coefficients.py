"""Coefficient tables: the same of one process and of three, as rows, as JSON, by the command line and from Python."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.jobs import refused, sections, succeeded, write_job, write_tables

import vflfast
from vflfast.jobs.coefficients import coefficients, outline, ready
from vflfast.jobs.model import SavedParty, read_json

HEADS = ["column", "value", "error", "z", "p", "low", "high"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job with standard errors, trained in one process and in three."""
    made = tmp_path_factory.mktemp("coefficients")
    write_tables(made)
    data = sections(made)
    data["settings"] |= {"inference": True}
    job = write_job(made, data)
    succeeded("train", job, "--models", made / "models", "--verify")
    ran = subprocess.run(
        [sys.executable, "-m", "vflfast", "launch", str(job), "--folder", str(made / "run")], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return made


def party(folder: Path, role: str) -> SavedParty:
    return SavedParty.from_dict(read_json(folder / f"{role}.json"))


@pytest.mark.parametrize("role", ["guest", "host1"])
def test_three_processes_find_the_same(folder: Path, role: str) -> None:
    apart = next((folder / "run").rglob(f"{role}.json"))
    here, there = party(folder / "models", role), party(apart.parent, role)
    assert here.facts["inference"] == there.facts["inference"]
    assert ready(coefficients(here)) == ready(coefficients(there))


def test_rows_of_both_sides(folder: Path) -> None:
    for role, intercept in (("guest", True), ("host1", False)):
        saved = party(folder / "models", role)
        rows = coefficients(saved)
        assert [row["column"] for row in rows] == ["intercept", *saved.binner.column_names]
        assert [list(row)[:7] for row in rows] == [HEADS] * len(rows)
        assert math.isnan(rows[0]["error"]) != intercept
        told = [(row, weight) for row, weight in zip(rows[1:], saved.weights, strict=True) if not math.isnan(row["error"])]
        assert len(told) >= len(saved.weights) - 1  # a rare flag has one class left
        for row, weight in told:
            assert row["value"] == weight
            assert row["z"] == pytest.approx(weight / row["error"])
            assert 0 < row["p"] <= 1
            assert (row["low"] + row["high"]) / 2 == pytest.approx(weight)
            assert row["inflation"] >= 1
            assert abs(row["correlation"]) <= 1
        shown = outline(rows)
        assert shown is not None
        assert shown["columns"] == len(told)
        assert shown["significant"] == sum(row["p"] < 0.05 for row, _ in told) > 0
        assert json.loads(json.dumps(ready(rows)))[0]["error"] == (rows[0]["error"] if intercept else None)


def test_the_command(folder: Path) -> None:
    path = folder / "models" / "host1.json"
    shown = succeeded("coefficients", path).output
    assert "std. error" in shown
    assert "VIF" in shown
    assert "host1_amount" in shown
    rows = json.loads(succeeded("coefficients", path, "--json").output)["coefficients"]
    assert rows == ready(coefficients(party(folder / "models", "host1")))
    assert "no such" in str(refused("coefficients", folder / "absent.json")).lower()


def test_a_run_without_says_how_to_have_them(folder: Path, tmp_path: Path) -> None:
    write_tables(tmp_path)
    job = write_job(tmp_path, sections(tmp_path))
    succeeded("train", job, "--models", tmp_path / "models", "--max-iter", "1")
    rows = coefficients(party(tmp_path / "models", "guest"))
    assert outline(rows) is None
    assert {tuple(row) for row in rows} == {("column", "value")}
    assert "--set inference=true" in succeeded("coefficients", tmp_path / "models" / "guest.json").output


def test_from_python(folder: Path) -> None:
    tables = [
        vflfast.read_table(folder / f"{name}.csv", id_column="customer", observation_date="2026-01-01", **more)
        for name, more in (("guest", {"label_column": "bought"}), ("host1", {}))
    ]
    settings = vflfast.Settings(key_bits=512, test_key=True, inference=True, max_iter=3)
    model = vflfast.train(*tables, settings=settings, verify=True)
    for name, table in model.coefficients.items():
        assert table.index[0] == "intercept"
        np.testing.assert_array_equal(table["value"].iloc[1:], model.coef_[name])
        assert (table["error"].iloc[1:].dropna() > 0).all()
    without: Any = vflfast.train(*tables, settings=vflfast.Settings(key_bits=512, test_key=True, max_iter=1))
    assert list(without.coefficients["guest"].columns) == ["value"]

"""A store whose names are hidden is coded as one whose names are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from support.jobs import succeeded, write_job

from vflfast.mart.store import build
from vflfast.samples.bank import write_bank


def test_a_model_over_hidden_names_is_the_one_over_shown_names(tmp_path: Path) -> None:
    """The tutorial's partner in a store of two classes: the same AUC, whichever names the host sees."""
    bank, partner = write_bank(tmp_path, n_rows=700)
    columns = pd.read_csv(partner, dtype=str)
    names = [name for name in columns.columns if name != "phone"]
    for group, own in (("first", names[::2]), ("second", names[1::2])):
        columns[["phone", *own]].to_csv(tmp_path / f"{group}.csv", index=False)
    settings = {"id_column": "phone", "observation_date": "2026-01-01"}
    build({group: {"file": str(tmp_path / f"{group}.csv"), **settings} for group in ("first", "second")}, tmp_path / "store")
    found = {}
    for shown in ("shown", "hidden"):
        job = {
            "guest": {"file": bank.name, "label_column": "bought", **settings},
            "hosts": [{"mart": "store", "names": shown}], "ids": {"method": "hash"}, "run": {"test_share": 0.3},
            "settings": {"key_bits": 512, "test_key": True, "max_iter": 4, "max_leverage": 1.0, "allow_wide": True},
        }  # fmt: skip
        path = write_job(tmp_path, job, f"{shown}.toml")
        summary = json.loads(succeeded("train", path, "--models", tmp_path / shown, "--json").stdout)["summary"]
        found[shown] = summary["evaluation"]["scores"]["joint"]["auc"], len(summary["bins"]["host1"]), summary["columns"]
    assert found["hidden"][1:] == found["shown"][1:]
    assert found["hidden"][0] == pytest.approx(found["shown"][0], abs=1e-9)

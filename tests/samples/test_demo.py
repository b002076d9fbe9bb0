"""The demo, end to end with real encryption: one partner and two, both profiles, every backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.jobs import SMALL_KEY, in_test_part, succeeded

from vflfast import cli
from vflfast.cli import run
from vflfast.crypto import backend
from vflfast.errors import InputError
from vflfast.jobs.progress import StageClock
from vflfast.samples import demo as demos
from vflfast.samples.synthetic import write_demo

SHORT = ["demo", "--preset", "small", *SMALL_KEY, "--max-iter", "2", "--json"]
Summary = dict[str, Any]

_shown: dict[tuple[int, str], Summary] = {}


@pytest.fixture(params=[(1, "hardened"), (1, "patent"), (2, "hardened"), (2, "patent")], ids=lambda case: f"{case[0]} {case[1]}")
def shown(request: pytest.FixtureRequest) -> tuple[Summary, int, str]:
    n_hosts, profile = request.param
    return summary_of(n_hosts, profile), n_hosts, profile


def summary_of(n_hosts: int, profile: str) -> Summary:
    """What the demo shows; run once."""
    if (n_hosts, profile) not in _shown:
        result = succeeded(*SHORT, "--hosts", n_hosts, "--profile", profile)
        assert result.stdout.count("\n") == 1
        _shown[n_hosts, profile] = json.loads(result.stdout)["summary"]
    return _shown[n_hosts, profile]


def names(n_hosts: int) -> list[str]:
    return ["guest", *(f"host{k + 1}" for k in range(n_hosts))]


def test_the_match_report(shown: tuple[Summary, int, str]) -> None:
    summary, n_hosts, _ = shown
    match = summary["match"]
    assert match["parties"] == names(n_hosts)
    assert match["rows"] == [8000] * (1 + n_hosts)
    assert match["matched"] <= 7760
    assert match["matched"] >= 7400
    assert match["share"] == [match["matched"] / 8000] * (1 + n_hosts)
    assert summary["training_rows"] + summary["evaluation"]["rows"] == match["matched"]
    assert 0.65 < summary["training_rows"] / match["matched"] < 0.75


def test_rounds_losses_and_the_twin(shown: tuple[Summary, int, str]) -> None:
    summary, n_hosts, _ = shown
    assert summary["rounds"] == summary["verified_rounds"] == 2
    assert not summary["stopped_by_rule"]
    assert list(summary["losses"]) == names(n_hosts)
    assert all(len(losses) == 2 and min(losses) > 0 for losses in summary["losses"].values())
    assert summary["losses"]["guest"][1] < 0.45  # below log 2 and the base rate's entropy
    assert len(bytes.fromhex(summary["weight_hash"])) == 32


def test_sides_alone_and_together(shown: tuple[Summary, int, str]) -> None:
    summary, n_hosts, profile = shown
    scores = summary["evaluation"]["scores"]
    by_f = ["combined F"] if profile == "patent" else []
    assert list(scores) == [*(f"{name} alone" for name in names(n_hosts)), *by_f, "joint"]
    for name in names(n_hosts):
        assert 0.55 < scores[f"{name} alone"]["auc"] < scores["joint"]["auc"] - 0.02
        assert 0.1 < scores[f"{name} alone"]["ks"] < scores["joint"]["ks"]
    assert scores["joint"]["auc"] > 0.8
    assert not by_f or scores["combined F"]["auc"] > 0.8
    assert 0.1 < summary["evaluation"]["flagged_share"] < 0.2  # the default quota: the base rate, 15 %
    assert abs(summary["flagged_share_in_training"] - 0.15) < 0.02


def test_traffic_adds_up(shown: tuple[Summary, int, str]) -> None:
    summary, n_hosts, profile = shown
    messages = summary["bytes_by_message"]
    assert summary["bytes"] == sum(messages.values())
    forward = summary["training_rows"] * 128 * summary["rounds"]  # a 512-bit key's ciphertext has 128 bytes
    hosts = names(n_hosts)[1:]
    for host, following in zip(hosts, [*hosts[1:], "guest"], strict=True):
        assert forward < messages[f"guest → {host}: Residual"] < forward + 1000
        to = "guest" if profile == "patent" else following  # the logistic residual's columns pass through all hosts
        columns = messages[f"{host} → {to}: Predictor"] / forward
        assert 1 <= columns < 1.01 if profile == "patent" else 2 <= columns < 24
        labels = [f"guest → {host}: TrainingLabels", f"arbiter → {host}: ScoreLabels"]
        assert [key in messages for key in labels] == [profile == "patent"] * 2


def test_seconds_by_stage_add_up(shown: tuple[Summary, int, str]) -> None:
    summary = shown[0]
    stages = summary["seconds_by_stage"]
    core = {"encrypt", "rerandomize", "bucket", "collapse", "combine", "decrypt"}
    assert core | {"read tables", "match ids", "bin", "plaintext twin"} <= set(stages)
    assert sum(stages.values()) == pytest.approx(summary["seconds"], rel=1e-9)
    assert list(stages.values()) == sorted(stages.values(), reverse=True)
    assert min(stages.values()) >= 0


def test_the_leak_ledger(shown: tuple[Summary, int, str]) -> None:
    summary, n_hosts, profile = shown
    entries = {(entry["party"], entry["what"]): entry for entry in summary["leak_ledger"]}
    for name in names(n_hosts):
        sums = entries[name, "opened gradient sums"]
        assert sums["equations"] == summary["rounds"] * (summary["columns"][name] + 1)
        assert sums["unknowns"] == summary["training_rows"]
    for host in names(n_hosts)[1:]:
        assert ((host, "training labels, sent by the guest") in entries) == (profile == "patent")


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    summary = summary_of(2, "hardened")
    run.print_summary(summary)
    printed = capsys.readouterr().out
    shown = [
        f"matched {summary['match']['matched']:,} customers of guest 8,000, host1 8,000, host2 8,000 (ecdh)",
        f"trained on {summary['training_rows']:,} rows",
        "2 rounds, stopped at max_iter",
        *(f"{name} {losses[-1]:.6f}" for name, losses in summary["losses"].items()),
        "verified: every weight of 2 rounds equals the plaintext twin's",
        *(f"  {name:<14}{row['auc']:>8.4f}{row['ks']:>8.4f}" for name, row in summary["evaluation"]["scores"].items()),
        f"{summary['seconds']:.1f} s in all, {summary['bytes'] / 1e6:.1f} MB between the parties",
        f"weight hash {summary['weight_hash']}",
        f"opened gradient sums: {2 * (summary['columns']['host2'] + 1):,} / {summary['training_rows']:,}",
    ]
    for text in shown:
        assert text in printed
    slowest = next(iter(summary["seconds_by_stage"]))
    assert f"  {slowest:<18}" in printed


def test_the_same_weights_on_every_backend() -> None:
    """The choice by the environment, each in a process of its own; ids are matched under a fresh key in each."""
    command = [sys.executable, "-m", "vflfast", *SHORT, "--no-verify", "--ids", "hmac"]
    root = str(Path(cli.__file__).parents[2])
    runs = {}
    for name in backend.available():
        environment = {**os.environ, "VFLFAST_BACKEND": name, "PYTHONPATH": root}
        if name != backend.current().name:
            runs[name] = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    expected = summary_of(1, "hardened")
    for name, process in runs.items():
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        summary = json.loads(stdout)["summary"]
        assert summary["weight_hash"] == expected["weight_hash"], name
        assert summary["verified_rounds"] is None
        assert {k: v["auc"] for k, v in summary["evaluation"]["scores"].items()} == {
            k: v["auc"] for k, v in expected["evaluation"]["scores"].items()
        }
    assert {*runs, backend.current().name} >= {"gmpy2"}


def test_tables_and_models_stay_in_the_folder(tmp_path: Path) -> None:
    short = [*SMALL_KEY, "--max-iter", "1", "--shape", "five", "--ids", "hmac", "--no-verify"]
    result = succeeded("demo", *short, "--folder", tmp_path / "case")
    assert sorted(path.name for path in (tmp_path / "case" / "models").iterdir()) == ["arbiter.json", "guest.json", "host1.json"]
    assert (tmp_path / "case" / "guest.csv").exists()
    assert str(tmp_path / "case" / "models" / "guest.json") in result.stdout
    assert "verified" not in result.stdout


def test_the_patents_size(tmp_path: Path) -> None:
    """66,274 customers to train on, 65 and 3,000 raw columns [0089]: the ids alone are written here."""
    size = demos.PRESETS["patent"]
    assert (size.guest_columns, size.host_columns) == (65, 3000)
    files = write_demo(tmp_path, n_rows=size.n_rows, guest_columns=1, host_columns=1)
    read = [pd.read_parquet if path.suffix == ".parquet" else pd.read_csv for path in (files.guest, files.hosts[0])]
    ids = [set(reader(path)["phone"].astype(str)) for reader, path in zip(read, (files.guest, files.hosts[0]), strict=True)]
    assert (~in_test_part(ids[0] & ids[1], size.test_share)).sum() == 66_274


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        demos.write_tables(tmp_path, "huge", 1, StageClock())
    assert caught.value.argument == "preset"


# --- without the native core ---------------------------------------------------------------------------------------


def test_the_usual_preset_follows_the_arithmetic() -> None:
    assert {name: _preset_with(name) for name in backend.available()} == {
        name: "tiny" if name == "gmpy2" else "small" for name in backend.available()
    }


def _preset_with(name: str) -> str:
    with backend.use(name):
        return demos.usual_preset()


def test_slow_arithmetic_is_said_and_the_demo_shrinks() -> None:
    with backend.use("gmpy2"):
        told = succeeded("demo", *SMALL_KEY, "--json")
        summary = json.loads(told.stdout)["summary"]
        assert summary["match"]["rows"] == [400, 400]
        assert summary["rounds"] == demos.FEW_ROUNDS
        assert "400 customers and five rounds" in told.stderr
        asked = succeeded("demo", "--preset", "tiny", *SMALL_KEY, "--max-iter", "2", "--json")
        assert "slow arithmetic" not in asked.stderr  # who names a preset knows
        assert json.loads(asked.stdout)["summary"]["rounds"] == 2
        assert "C++ compiler" in succeeded("info").stdout

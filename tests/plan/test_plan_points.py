"""Predictions of runs on ElGamal: exact where a run can be counted, monotonic where it can only be timed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.jobs import sections, succeeded, write_job, write_tables

from vflfast.crypto import backend as be
from vflfast.crypto import calibration_curve
from vflfast.crypto.calibration_curve import PointRates
from vflfast.plan.apart import Link
from vflfast.plan.predict import Prediction, predict, rates_of
from vflfast.plan.shape import flat_shape
from vflfast.protocol.settings import Settings

MICROS = {
    "table_entry": 0.0, "encrypt_bit": 0.12, "load": 15.0, "store": 5.0, "add_plain": 3.0, "multiply": 0.6, "logarithm": 0.0,
    "insert_near": 0.3, "insert_far": 0.4, "collapse": 1.0, "decrypt": 75.0, "digest": 0.001, "flop": 1e-5, "verify": 25.0,
    "giant_step": 0.2,
}  # fmt: skip
RATES = PointRates(kernel="portable", key_bits=256, threads=2, lanes=1, **MICROS)
SETTINGS = Settings(simulation=True, scheme="elgamal")
SHORT = {"Hello", "KeyAnnouncement", "RowCommitment", "OrderSeed", "Quota", "ThresholdChoice", "TrainingLabels", "MaskSeed", "HalfRange",
         "InnerProducts", "ScaleSeed"}  # fmt: skip


def guess(n_rows: int = 5000, columns: tuple[int, ...] = (20, 160), **options: Any) -> Prediction:
    return predict(flat_shape(n_rows, columns, options.pop("settings", SETTINGS)), options.pop("rates", RATES), **options)


@pytest.mark.parametrize("host_woe", ["false", pytest.param("true", marks=pytest.mark.slow)])
def test_traffic_is_that_of_the_run(tmp_path: Path, host_woe: str) -> None:
    write_tables(tmp_path, n_hosts=2)
    made = sections(tmp_path, n_hosts=2, settings={"max_iter": 2})
    del made["arbiter"]["key_file"]
    file = write_job(tmp_path, made)
    ran = succeeded("train", file, "--models", tmp_path / "m", "--scheme", "elgamal", "--set", f"host_woe={host_woe}", "--json")
    summary = json.loads(ran.stdout)["summary"]
    expected, actual = summary["plan"]["bytes_by_message"], summary["bytes_by_message"]
    by_scale = {name for name in expected if name.endswith("Predictor")}  # as many columns as u″ needs
    assert {name: actual[name] for name in expected.keys() - by_scale} == {name: expected[name] for name in expected.keys() - by_scale}
    assert all(0.3 < actual[name] / expected[name] < 3 for name in by_scale)
    assert {name.split(": ")[1] for name in actual} - {name.split(": ")[1] for name in expected} <= SHORT
    stages = {row["what"]: row for row in summary["plan"]["compared_stages"]}
    for stage in ("key", "encrypt", "check ciphertexts", "bucket", "collapse", "combine", "pack and mask", "decrypt", "unmask", "update"):
        assert stages[stage]["predicted"] > 0, stage
        assert stages[stage]["actual"] > 0, stage


def test_every_rate_counts() -> None:
    whole = guess(n_rows=200_000, columns=(60, 600))
    small = guess(n_rows=300)
    for name in MICROS.keys() - {"table_entry", "logarithm", "store"}:  # stored as part of an encryption
        dearer = dataclasses.replace(RATES, **{name: 10 * MICROS[name]})
        more = guess(n_rows=200_000, columns=(60, 600), rates=dearer).seconds + guess(n_rows=300, rates=dearer).seconds
        assert more > whole.seconds + small.seconds, name


@pytest.mark.parametrize(
    "larger", [{"n_rows": 10_000}, {"columns": (100, 160)}, {"columns": (20, 400)}, {"columns": (20, 160, 160)}, {"rounds": 30}]
)
def test_more_work_takes_more(larger: dict[str, Any]) -> None:
    small, large = guess(), guess(**larger)
    assert large.seconds > small.seconds
    assert large.bytes > small.bytes
    assert large.memory_bytes >= small.memory_bytes


def test_openings_by_hand() -> None:
    """Taylor, one column and the sum for the guest, 1,000 rows: two points there, two and a proof of two back."""
    found = guess(1000, (1, 1), settings=SETTINGS.changed(residual="taylor", scoring="combined", solver="block-newton"), rounds=1)
    sizes = found.bytes_by_message
    assert sizes["guest → arbiter: MaskedGradient"] == 136 + 2 * 32
    assert sizes["arbiter → guest: OpenedGradient"] == 136 + 4 * 32
    assert sizes["guest → host1: Residual"] == 136 + 1000 * 64
    assert found.row_packings == guess(link=Link(1e6, 0.01)).row_packings == []


def test_larger_sums_take_longer_to_open() -> None:
    one, two = (guess(n_rows=100_000, columns=columns).seconds_by_stage["unmask"] for columns in ((20, 160), (20, 80, 80)))
    assert two > one  # ten binary places more for the second host


def test_the_rates_are_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = rates_of(SETTINGS)
    assert isinstance(first, PointRates)
    assert all(value > 0 for name, value in dataclasses.asdict(first).items() if name not in ("kernel", "table_entry", "logarithm"))
    assert (first.kernel, first.key_bits, first.threads) == (be.current().name, 256, be.threads())
    monkeypatch.setattr(calibration_curve, "insertion", lambda: first.insert_near)
    assert rates_of(SETTINGS) == first
    assert len(list((tmp_path / "vflfast").iterdir())) == 1
    with be.use("gmpy2"):
        assert rates_of(SETTINGS).decrypt > 5 * first.decrypt


def test_a_plan_from_sizes() -> None:
    sizes = ["plan", "--rows", "5000", "--guest-columns", "20", "--host-columns", "160", "--scheme", "elgamal"]
    shown = succeeded(*sizes, "--workers", "2", "--link", "100Mbit/50ms").stdout
    assert "ElGamal over ristretto255" in shown
    assert "row_packing" not in shown
    found = json.loads(succeeded(*sizes, "--json").stdout)
    assert found["bytes"] < json.loads(succeeded(*sizes[:-2], "--json").stdout)["bytes"] / 4

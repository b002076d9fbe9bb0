"""Measured rates: kept, read again, never trusted blindly; and what the block planner does with them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import gmpy2
import numpy as np
import pytest

from vflfast.crypto import backend as be
from vflfast.crypto import blocks, calibration
from vflfast.crypto.blocks import BlockCosts, costs_for, expected_work, make_plan, use_costs
from vflfast.crypto.calibration import Rates

KEY_BITS = 512


def rates(**changes: Any) -> Rates:
    """Made-up rates of the kernel in use."""
    measured = {field.name: 1.0 for field in dataclasses.fields(Rates)}
    known = {"kernel": be.current().name, "key_bits": KEY_BITS, "threads": be.threads(), "lanes": be.current().lanes}
    return Rates(**{**measured, **known, **changes})  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vflfast"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the measurements, which take no time."""
    calls: list[int] = []

    def measure(key_bits: int) -> Rates:
        calls.append(key_bits)
        return rates(key_bits=key_bits, multiply=1.0 + len(calls))

    monkeypatch.setattr(calibration, "measure", measure)
    monkeypatch.setattr(calibration, "_insertion", lambda key_bits: 1.0)
    return calls


# --- the measurement -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", be.available())
def test_every_rate_is_measured(name: str) -> None:
    with be.use(name):
        found = calibration.measure(256)
    assert (found.kernel, found.key_bits, found.threads) == (name, 256, be.threads())
    costs = dataclasses.asdict(found)
    untabled = {"table_entry", "logarithm"} if name == "gmpy2" else set()
    for rate, value in costs.items():
        if isinstance(value, float):
            assert (value == 0) == (rate in untabled), rate
    assert found.decrypt > found.multiply  # an exponentiation is more than a product


@pytest.mark.parametrize("key_bits", [256, 1000, *calibration.PRIMES_BELOW])
def test_the_fixed_modulus(key_bits: int) -> None:
    p, q = calibration._primes(key_bits)
    assert gmpy2.is_prime(p)
    assert gmpy2.is_prime(q)
    assert p != q
    assert (p * q).bit_length() == key_bits


def test_patterns_reach_all_buckets() -> None:
    for buckets in (1024, 4096):
        assert len(np.unique(calibration._patterns(16 * buckets, buckets, 1))) == buckets


# --- the cache -----------------------------------------------------------------------------------------------------------


def test_measured_once_for_each_kernel_key_and_thread_count(cache: Path, measured: list[int]) -> None:
    first = calibration.rates(KEY_BITS)
    assert calibration.rates(KEY_BITS) == first
    assert measured == [512]
    assert calibration.rates(1024).key_bits == 1024
    with be.use_threads(be.threads() + 1):
        calibration.rates(KEY_BITS)
    assert measured == [512, 1024, 512]
    assert len(list(cache.iterdir())) == 3


def test_another_version_measures_again(cache: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    calibration.rates(KEY_BITS)
    monkeypatch.setattr(calibration, "__version__", "another")
    calibration.rates(KEY_BITS)
    monkeypatch.setattr(calibration, "_processor", lambda: "another")
    calibration.rates(KEY_BITS)
    assert measured == [512, 512, 512]


@pytest.mark.parametrize(("now", "again"), [(1.0, False), (1.2, False), (0.83, False), (1.25, True), (0.8, True), (40.0, True)])
def test_rates_of_a_machine_that_was_faster_or_slower_are_measured_again(
    now: float, again: bool, cache: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration.rates(KEY_BITS)
    monkeypatch.setattr(calibration, "_insertion", lambda key_bits: now)
    calibration.rates(KEY_BITS)
    assert measured == ([512, 512] if again else [512])


def test_the_insertion_that_is_compared_is_the_one_that_is_kept() -> None:
    kept, now = calibration.measure(256).insert_near, calibration._insertion(256)
    assert 0.1 < now / kept < 10


def _changed(path: Path, **values: object) -> None:
    saved = json.loads(path.read_text())
    saved["rates"].update(values)
    path.write_text(json.dumps(saved))


DAMAGE = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text(path.read_text()[:100]),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "a list": lambda path: path.write_text("[]"),
    "no rates": lambda path: path.write_text(json.dumps({"machine": json.loads(path.read_text())["machine"]})),
    "a rate missing": lambda path: path.write_text(path.read_text().replace('"decrypt"', '"decrypted"')),
    "infinite": lambda path: _changed(path, multiply=float("inf")),
    "not a number": lambda path: _changed(path, multiply=float("nan")),
    "negative": lambda path: _changed(path, multiply=-1.0),
    "zero": lambda path: _changed(path, insert_near=0.0),
    "text": lambda path: _changed(path, multiply="1"),
    "true": lambda path: _changed(path, multiply=True),
    "another kernel": lambda path: _changed(path, kernel="another"),
    "another machine": lambda path: path.write_text(path.read_text().replace('"processor": "', '"processor": "x')),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_counts_as_none(cache: Path, measured: list[int], damage: str) -> None:
    calibration.rates(KEY_BITS)
    (path,) = cache.iterdir()
    DAMAGE[damage](path)
    assert calibration.rates(KEY_BITS).multiply == 3.0
    assert calibration.rates(KEY_BITS).multiply == 3.0  # kept again
    assert measured == [512, 512]
    assert [one.name for one in cache.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written(tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert calibration.rates(KEY_BITS).multiply == 2.0
    assert calibration.rates(KEY_BITS).multiply == 3.0


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("", "relative/path"):  # the XDG rule: a relative path is ignored
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert calibration.cache_folder() == tmp_path / ".cache" / "vflfast"
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert calibration.cache_folder() == Path("/somewhere/vflfast")


# --- the planner's use of it -----------------------------------------------------------------------------------------------


def test_ratios() -> None:
    costs = rates(insert_near=2.0, insert_far=2.2, collapse=6.0).block_costs()
    assert costs == BlockCosts(collapse=3.0, clear=0.02, far=1.1)
    wild = rates(insert_near=1.0, insert_far=0.1, collapse=100.0).block_costs()
    assert (wild.collapse, wild.far) == (5.0, 1.0)


def test_fixed_costs_unless_measured_ones_are_in_use() -> None:
    before = costs_for(1), costs_for(8)
    assert [cost.far for cost in before] == [1.0, 1.06]
    with use_costs(BlockCosts(5.0, 0.5, 2.0)):
        assert costs_for(1) == costs_for(8) == BlockCosts(5.0, 0.5, 2.0)
    assert (costs_for(1), costs_for(8)) == before


def test_dear_collapse_makes_smaller_tensors() -> None:
    rng = np.random.default_rng(0)
    counts = np.full(60, 5)
    codes = rng.integers(0, 5, (60, 4000)).astype(np.uint8)
    shares = np.full(60, 0.2)
    sizes = []
    for collapse in (1.0, 7.0):
        with use_costs(BlockCosts(collapse, 0.5, 1.0)):
            plan = make_plan(codes, counts, shares)
            sizes.append(max(int(np.prod(block.class_counts)) for block in plan.blocks))
            assert expected_work(counts, shares, 4000, 1).n_blocks == len(plan.blocks)
    assert sizes[0] > sizes[1]


def test_expected_work() -> None:
    work = expected_work(np.array([4, 4]), np.array([0.25, 0.25]), 1000, 1)
    assert (work.n_blocks, work.near, work.far) == (1, 1000.0, 0.0)
    assert work.used == pytest.approx(16)
    assert work.buckets == pytest.approx(16)
    assert blocks.BlockWork(1, 10.0, 5.0, 4.0, 8.0).cost(BlockCosts(2.0, 0.5, 3.0)) == 10 + 15 + 8 + 4

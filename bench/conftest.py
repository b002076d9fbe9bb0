"""What every benchmark needs: keys, backends, and the facts of the machine beside each figure.

Figures of one core are taken with one thread. ``--full`` (or ``VFLFAST_BENCH_FULL=1``) runs the sizes of the task (66,274 × 3,000)
instead of small ones; ``--benchmark-json=FILE`` writes every figure with the facts of the machine.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import pytest
from machine import facts
from pytest_benchmark.fixture import BenchmarkFixture

from vflfast.crypto import backend as be
from vflfast.crypto.paillier.private import PrivateKey

KEY_FILE = Path(__file__).resolve().parents[1] / "tests" / "vectors" / "test_key_2048.json"
BACKENDS = ("ifma", "portable")
YARDSTICK = "gmpy2"


@dataclass(frozen=True)
class Figure:
    """Microseconds an item of one benchmark, by its name and parameters."""

    name: str
    us: float
    unit: str
    extra: dict[str, Any]

    @property
    def of_bound(self) -> float:
        """Times the arithmetic bound, where the benchmark measured one."""
        return float(self.extra.get("times_bound", 0.0))

    def __str__(self) -> str:
        return f"{self.name:62} {self.us:14,.4f} us a {self.unit:11} {1e6 / self.us:14,.0f} a second"


FIGURES = pytest.StashKey[list[Figure]]()


class Measure:
    """Times a call, and notes the time of one item and the facts of the machine in the benchmark's extra_info."""

    def __init__(self, benchmark: BenchmarkFixture, name: str, figures: list[Figure]) -> None:
        self.benchmark, self.name, self.figures = benchmark, name, figures
        self.extra_info: dict[str, Any] = benchmark.extra_info

    def __call__(self, call: Callable[[], Any], *, items: int, unit: str, rounds: int = 3) -> Any:
        """Return what the call returned, for the benchmark to check."""
        result = self.benchmark.pedantic(call, rounds=rounds, warmup_rounds=min(1, rounds - 1))
        seconds = statistics.median(self.benchmark.stats.stats.data)
        us, rate = round(1e6 * seconds / items, 4), round(items / seconds, 1)
        self.extra_info.update(facts())
        self.extra_info.update({"items": items, "unit": unit, f"us_per_{unit}": us, "per_second": rate})
        self.figures.append(Figure(self.name, 1e6 * seconds / items, unit, self.extra_info))
        return result


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-peers", metavar="FILE", help="bench_peers.py: write the table of libraries to a file, for write_page.py")
    parser.addoption("--full", action="store_true", help="benchmarks at the sizes of the task (66,274 × 3,000): a quarter of an hour")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []
    machine.FULL |= bool(config.getoption("--full"))  # the modules of benchmarks, which read it, are imported later


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The figures in the units of the bars, after the table of times."""
    if config.stash[FIGURES]:
        terminalreporter.section("figures (median; one thread unless the name says all cores)")
        for figure in config.stash[FIGURES]:
            terminalreporter.write_line(str(figure))
        shares = [f"{f.name:62} {f.of_bound:10.2f}" for f in config.stash[FIGURES] if f.of_bound]
        if shares:
            terminalreporter.section("time of a kernel over that of its multiply-adds at the rate of this core in this run")
            for share in shares:
                terminalreporter.write_line(share)
        rows = ratios(config.stash[FIGURES])
        if rows:
            terminalreporter.section("ratios of this run (times as fast as the same work on gmpy2)")
            for row in rows:
                terminalreporter.write_line(row)
        terminalreporter.write_line(", ".join(f"{name} {value}" for name, value in facts().items()))


@pytest.fixture
def measure(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Measure:
    return Measure(benchmark, request.node.name.removeprefix("test_"), request.config.stash[FIGURES])


def ratios(figures: list[Figure]) -> list[str]:
    """Every backend's figure against that of gmpy2 with the same parameters."""
    by_name = {figure.name: figure for figure in figures}
    rows = []
    for figure in figures:
        base = by_name.get(re.sub(rf"\b({'|'.join(BACKENDS)})\b", YARDSTICK, figure.name))
        if base is not None and base is not figure:
            rows.append(f"{figure.name:62} {base.us / figure.us:10.2f}")
    return rows


@pytest.fixture(params=be.available())
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each backend of the machine, one thread."""
    with be.use(request.param), be.use_threads(1):
        yield request.param


@pytest.fixture(scope="session")
def primes() -> tuple[int, int]:
    """The fixed 2048-bit key of the tests."""
    key = json.loads(KEY_FILE.read_text())
    return int(key["p"], 16), int(key["q"], 16)


@pytest.fixture(scope="session")
def key_of(primes: tuple[int, int]) -> Callable[[], PrivateKey]:
    """The 2048-bit key on the backend in use."""
    made: dict[str, PrivateKey] = {}

    def key() -> PrivateKey:
        name = be.current().name
        if name not in made:
            made[name] = PrivateKey(*primes)
        return made[name]

    return key

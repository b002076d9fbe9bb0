"""The long campaigns: fresh seeds until the time is up. `--budget` sets the seconds of all of them together; a failure names its seed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from assurance.figures import Figure
from support.campaign import EVERYTHING, CrashAt, check, expected, hashes, messages_of_a_clean_run, programs
from support.moduli import SIZES
from support.overflows import overflow_case
from support.samples import Sample, compare

pytestmark = pytest.mark.slow
VICTIMS = ("guest", "host1", "host2", "arbiter")


def seeds(seconds: float) -> Iterator[int]:
    """0, 1, 2, …: at least one, and no new one after `seconds`."""
    end, seed = time.monotonic() + seconds, 0
    while seed == 0 or time.monotonic() < end:
        yield seed
        seed += 1


def test_every_backend_equals_python_integers(campaign_seconds: float, figure: Figure) -> None:
    cases = 0
    for seed in seeds(campaign_seconds):
        rng = random.Random(f"differential {seed}")
        bits = rng.choice((128, 192, 256, 512, 1024, 2048, rng.randrange(128, 1026, 2)))
        n = rng.getrandbits(bits) | 1 | 1 << bits - 1
        cases += compare(n, [Sample(n, count, rng) for count in SIZES], (rng.choice((1, 2, 3, 8)),))
    figure("A2", "cases", cases)


def test_two_crashes_in_one_round(campaign_seconds: float, figure: Figure) -> None:
    steps, n_cases = messages_of_a_clean_run(), 0
    for seed in seeds(campaign_seconds):
        rng = random.Random(f"two crashes {seed}")
        first = rng.randrange(steps)
        one, other = rng.sample(VICTIMS, 2)
        simulation = CrashAt(programs(), {first: (one,), first + rng.randrange(1, 4): (other,)})
        assert simulation.run() == "finished", seed
        assert hashes(simulation) == expected("hardened"), seed
        n_cases += 1
    figure("B2", "cases", n_cases)


def test_all_faults_at_once(campaign_seconds: float, figure: Figure) -> None:
    ends = [check(1_000_000 + seed, EVERYTHING) for seed in seeds(campaign_seconds)]
    assert ends.count("finished") >= 0.95 * len(ends)
    figure("B3", "seeds", len(ends))


def test_every_overflow_is_caught(campaign_seconds: float, figure: Figure) -> None:
    n_cases = 0
    for seed in seeds(campaign_seconds):
        rng = random.Random(f"overflow {seed}")
        for _ in range(100):
            assert overflow_case(rng) in ("width", "check"), seed
        n_cases += 100
    figure("C8", "overflows", n_cases)

"""Training over a network that loses, repeats, reorders, damages and delays, between processes that crash: the fault-free weights, or a
typed error, and never a hang (assurance B1 to B3).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from assurance.figures import Figure
from support.campaign import EVERYTHING, N_ROUNDS, CrashAt, check, expected, hashes, messages_of_a_clean_run, programs
from support.simulator import Faults, MemoryJournal, Simulation


def test_without_faults_it_is_the_inline_run() -> None:
    simulation = Simulation(programs(), Faults(), 0)
    assert simulation.run() == "finished"
    assert hashes(simulation) == expected("hardened")
    assert all(party.box.attempt == 1 for party in simulation.parties.values())




@pytest.mark.parametrize("fault", ["drop", "duplicate", "delay", "lose_answer", "pause"])
@pytest.mark.parametrize("seed", range(3))
def test_one_kind_of_fault_never_ends_a_run(fault: str, seed: int) -> None:
    assert check(seed, Faults(**{fault: 0.3 if fault != "pause" else 0.1})) == "finished"


@pytest.mark.parametrize("seed", range(4))
def test_damaged_messages_begin_a_new_attempt(seed: int) -> None:
    simulation = Simulation(programs(), Faults(corrupt=0.03), seed)
    assert simulation.run() == "finished"
    assert hashes(simulation) == expected("hardened")


@pytest.mark.parametrize("seed", range(25))
def test_all_faults_together(seed: int) -> None:
    assert check(seed, EVERYTHING, "patent" if seed % 5 == 0 else "hardened") == "finished"


@pytest.mark.slow
def test_a_thousand_seeds_of_all_faults(figure: Figure) -> None:
    ends = [check(seed, EVERYTHING) for seed in range(1000)]
    assert ends.count("finished") >= 950
    figure("B3", "seeds", len(ends))


def crash_points() -> Iterator[tuple[str, str, int]]:
    yield from itertools.product(("arbiter", "guest", "host1"), ("before", "after"), range(1, N_ROUNDS + 1))


@pytest.mark.parametrize(("name", "when", "round_"), list(crash_points()))
def test_a_crash_around_the_durable_write_changes_nothing(name: str, when: str, round_: int) -> None:
    simulation = Simulation(programs(), Faults(), 0)
    simulation.parties[name].journal.crash = when, round_
    assert simulation.run() == "finished"
    assert simulation.parties[name].crashes == 1
    assert hashes(simulation) == expected("hardened")




@pytest.mark.parametrize("name", ["arbiter", "guest", "host1"])
def test_a_crash_at_any_step_changes_nothing(name: str) -> None:
    for step in range(messages_of_a_clean_run()):
        simulation = CrashAt(programs(), {step: (name,)})
        assert simulation.run() == "finished", step
        assert hashes(simulation) == expected("hardened"), step


TOGETHER = [("guest", "host1"), ("guest", "arbiter"), ("host1", "host2"), ("guest", "host1", "host2", "arbiter")]


@pytest.mark.parametrize("names", TOGETHER, ids=str)
def test_several_crashes_in_one_round_change_nothing(names: tuple[str, ...], figure: Figure) -> None:
    steps = range(0, messages_of_a_clean_run(), 3)
    for step in steps:
        simulation = CrashAt(programs(), {step + i: (name,) for i, name in enumerate(names)})
        assert simulation.run() == "finished", step
        assert hashes(simulation) == expected("hardened"), step
    figure("B2", "cases", len(steps))




def test_at_most_one_round_is_repeated() -> None:
    """Every party's rounds, over all attempts, number at most one more than in a run without faults for each crash."""
    commits: list[tuple[str, int]] = []
    simulation = Simulation(programs(), Faults(), 0)
    for name, party in simulation.parties.items():
        original = party.journal.commit

        def commit(checkpoint: Any, name: str = name, original: Any = original) -> None:
            commits.append((name, checkpoint.round))
            original(checkpoint)

        party.journal.commit = commit  # type: ignore[method-assign]
    simulation.parties["guest"].journal.crash = "before", 2
    assert simulation.run() == "finished"
    assert all([r for n, r in commits if n == name].count(round_) <= 2 for name in simulation.parties for round_ in range(1, N_ROUNDS + 1))
    assert sum(1 for _, r in commits if r != 2) == 4 * (N_ROUNDS - 1)


def test_control_a_journal_that_keeps_one_generation_cannot_always_go_on() -> None:
    class Forgetful(MemoryJournal):
        def commit(self, checkpoint: Any) -> None:
            super().commit(checkpoint)
            self.generations = self.generations[:1]

    simulation = Simulation(programs(), Faults(), 0)
    for party in simulation.parties.values():
        party.journal = Forgetful()
        party.begin(party.journal.next_attempt())
    simulation.parties["host1"].journal.crash = "before", 2
    assert simulation.run() == "failed"

"""Training in the simulator: its parties, the weights expected of it, one seed, one crash."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from support import runs
from support.simulator import Faults, MakeProgram, Simulation

from vflfast.errors import VflError
from vflfast.protocol import arbiter, guest, host
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.link import Link
from vflfast.protocol.settings import Settings

N_ROUNDS = 3
EVERYTHING = Faults(drop=0.1, duplicate=0.1, delay=0.2, corrupt=0.004, lose_answer=0.1, pause=0.01, crash=0.01)


@lru_cache(maxsize=1)
def made() -> runs.Parties:
    return runs.parties(n_rows=24, columns=(2, 2, 1))


@lru_cache(maxsize=1)
def private() -> Any:
    return runs.private_key()


def agreed(**changes: Any) -> Settings:
    return runs.settings(max_iter=N_ROUNDS, **changes)


@lru_cache(maxsize=4)
def expected(profile: str) -> list[list[str]]:
    """The hashes of a run without faults, by party."""
    result = runs.train(made(), agreed(profile=profile))
    return [m.hashes for m in (result.guest, *result.hosts)]


def programs(profile: str = "hardened") -> dict[str, MakeProgram]:
    inputs, settings, key = made(), agreed(profile=profile), private()
    names = ("guest", *(f"host{i + 1}" for i in range(len(inputs.hosts))), "arbiter")

    def link(name: str, attempt: int) -> Link:
        return Link(name, tuple(n for n in names if n != name), None, attempt)

    made_by: dict[str, MakeProgram] = {
        "arbiter": lambda a, j: arbiter.train(link("arbiter", a), ArbiterInputs("arbiter", key), settings, j),
        "guest": lambda a, j: guest.train(link("guest", a), inputs.guest, settings, j),
    }
    for i, one in enumerate(inputs.hosts):
        name = f"host{i + 1}"
        made_by[name] = lambda a, j, name=name, one=one: host.train(link(name, a), one, settings, j)  # type: ignore[misc]
    return made_by


def hashes(simulation: Simulation) -> list[list[str]]:
    return [simulation.parties[name].result.hashes for name in ("guest", "host1", "host2")]


def check(seed: int, faults: Faults, profile: str = "hardened") -> str:
    """One seed: the fault-free weights, or a typed error; return how it ended."""
    simulation = Simulation(programs(profile), faults, seed)
    end = simulation.run()
    assert end != "hang", f"seed {seed}"
    if end == "failed":
        assert any(isinstance(party.error, VflError) for party in simulation.parties.values())
    else:
        assert hashes(simulation) == expected(profile), f"seed {seed}"
    return end


def messages_of_a_clean_run() -> int:
    simulation = Simulation(programs(), Faults(), 0)
    simulation.run()
    return simulation.now


class CrashAt(Simulation):
    """Crashes named parties at given steps."""

    def __init__(self, made_programs: dict[str, MakeProgram], crashes: dict[int, tuple[str, ...]]) -> None:
        super().__init__(made_programs, Faults(), 0)
        self.plan = crashes

    def _deliver(self) -> None:
        for name in self.plan.get(self.now, ()):
            self.crash(self.parties[name])
        super()._deliver()

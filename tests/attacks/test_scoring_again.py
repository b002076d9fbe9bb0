"""A guest that scores the same customers again and again with halves of its choice: each label tells a bit of the host's half."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import Parties, parties, scoring_inputs, settings, train
from support.runs import private_key as key

from vflfast.errors import LeakageGuardError
from vflfast.learn.logistic import sigmoid
from vflfast.net.budget import FileBudget
from vflfast.params import MAX_SCORINGS
from vflfast.protocol import arbiter, guest, host, inline
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.budget import Budget, NoBudget
from vflfast.protocol.guest import ScoringInputs
from vflfast.tables.id_forms import normalise

ROWS = 40
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def trained() -> tuple[Parties, Any, Floats]:
    """A model, and the host's normalised halves, which the guest is after."""
    made = parties(ROWS, (2, 3))
    result = train(made, settings())
    own = scoring_inputs(made.hosts[0], result.hosts[0])
    return made, result, own.norm.apply(sigmoid(own.predictor()))


@dataclasses.dataclass(frozen=True)
class Chosen(ScoringInputs):
    """Scoring inputs whose normalised scores are what the guest likes."""

    wanted: Floats = dataclasses.field(default_factory=lambda: np.zeros(ROWS))

    def predictor(self) -> Floats:
        low, high = self.norm.statistics
        probability = np.clip(float(low) + self.wanted * (float(high) - float(low)), 1e-15, 1 - 1e-15)
        return np.log(probability / (1 - probability))


def session(made: Parties, result: Any, wanted: Floats, budget: Budget) -> npt.NDArray[np.int8]:
    """One scoring session; the labels that the guest gets."""
    agreed, links = settings(), inline.make_links(1)
    mine, theirs = scoring_inputs(made.guest, result.guest), scoring_inputs(made.hosts[0], result.hosts[0])
    bid = Chosen(**{field.name: getattr(mine, field.name) for field in dataclasses.fields(mine)}, wanted=wanted)
    theirs = dataclasses.replace(theirs, matrix_inputs=dataclasses.replace(theirs.matrix_inputs, budget=budget))
    ended = inline.drive({
        "arbiter": arbiter.score(links["arbiter"], ArbiterInputs("arbiter", key()), result.arbiter, agreed),
        "guest": guest.score(links["guest"], bid, agreed),
        "host1": host.score(links["host1"], theirs, agreed),
    })
    assert ended["guest"].threshold is None  # τ stays with the arbiter
    return np.asarray(ended["guest"].labels)


def bisect(made: Parties, result: Any, sessions: int, budget: Budget) -> Floats:
    """2τ − Q of every customer, by halving the guest's own score."""
    low, high = np.zeros(ROWS), np.ones(ROWS)
    for _ in range(sessions):
        middle = (low + high) / 2
        flagged = session(made, result, middle, budget) > 0
        low, high = np.where(flagged, low, middle), np.where(flagged, middle, high)
    return (low + high) / 2


def error(found: Floats, truth: Floats) -> float:
    """Largest error of the differences between customers whose line lies inside the guest's range."""
    inside = (found > 0.01) & (found < 0.99)
    assert inside.sum() > 5
    shift = found[inside] + truth[inside]
    return float(np.ptp(shift))


def test_the_control_reads_the_hosts_half_in_thirty_sessions(trained: tuple[Parties, Any, Floats]) -> None:
    made, result, truth = trained
    assert error(bisect(made, result, 30, NoBudget()), truth) < 1e-7


def test_the_host_counts_sessions_a_customer(trained: tuple[Parties, Any, Floats], tmp_path: Path) -> None:
    made, result, truth = trained
    ids = normalise([f"c{k}" for k in range(ROWS)])
    found = bisect(made, result, MAX_SCORINGS, FileBudget(tmp_path, "features", ids))
    assert error(found, truth) > 2.0 ** -(MAX_SCORINGS + 2)
    with pytest.raises(LeakageGuardError, match=r"score: 40 of these customers were scored 12 times already.*--scorings 13"):
        session(made, result, found, FileBudget(tmp_path, "features", ids))
    others = normalise([f"d{k}" for k in range(ROWS)])
    session(made, result, found, FileBudget(tmp_path, "features", others))  # customers who were not scored yet
    account = FileBudget(tmp_path)
    assert account.scored() == {"customers": 2 * ROWS, "most": MAX_SCORINGS, "limit": MAX_SCORINGS}
    account.allow_scorings(13, "agreed")
    session(made, result, found, FileBudget(tmp_path, "features", ids))

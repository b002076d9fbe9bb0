"""Verdicts and shares that are not taken at their word: an arbiter that stops or goes on against the votes, a sender that normalises its
scores as it likes. Each lie is refused by name; with the check taken out it is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.runs import Parties, parties, private_key, refused, replace, run, scoring_programs, settings, train, training_programs

from vflfast.errors import ProtocolError
from vflfast.protocol import arbiter, scores, transcripts
from vflfast.protocol import messages as ms
from vflfast.protocol.scores import SCORE_BOUND, UNIT

SMALL = parties(16, (2, 3))


@pytest.mark.parametrize("recipient", ["guest", "host1"])
@pytest.mark.parametrize(("occurrence", "stop", "said"), [(1, 1, "did not vote"), (2, 1, "did not vote"), (3, 0, "max_iter")])
def test_a_verdict_against_the_own_vote_is_refused(recipient: str, occurrence: int, stop: int, said: str) -> None:
    lie = replace(ms.Verdict, recipient=recipient, occurrence=occurrence, stop=stop)
    error = refused({"arbiter": lie}, agreed=settings(max_iter=3))
    assert (error.party, error.step) == ("arbiter", "Verdict")
    assert said in error.problem


def test_an_honest_verdict_is_believed() -> None:
    assert train(SMALL, settings(max_iter=3)).guest.n_iter == 3
    stopped = train(SMALL, settings(max_iter=60, tol=10.0, n_iter_no_change=1))  # both flags are set in round 1
    assert stopped.guest.n_iter < 60


LINES: dict[str, dict[str, float]] = {
    "another center": {"center": 1.0}, "another scale": {"scale": 2 * UNIT}, "stretched": {"scale": 1.0}, "a lower end": {"low": -5 * UNIT},
    "a higher end": {"high": 2 * UNIT}, "a narrow line": {"low": 0.4 * UNIT, "high": 0.6 * UNIT},
}  # fmt: skip
SENDER_NORMALISES = [("hardened", "minmax"), ("hardened", "rank"), ("hardened", "zscore"), ("patent", "rank"), ("patent", "none")]


@pytest.mark.parametrize(("profile", "norm"), SENDER_NORMALISES)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("party", ["guest", "host1"])
def test_a_line_of_the_senders_own_is_refused(party: str, line: str, profile: str, norm: str) -> None:
    error = refused({party: replace(ms.ScoreShare, **LINES[line])}, agreed=settings(profile=profile, norm=norm))
    assert (error.party, error.step) == (party, "ScoreShare")
    assert "center, scale, low, high" in error.problem


def forged(count: int, value: float) -> Callable[[Any], Any]:
    """Scores that are as they should be in everything but their size."""
    numbers = [round(value * UNIT)] + [0] * (count - 1)
    return lambda _: private_key().public.pack_to_holder(numbers, SCORE_BOUND).limbs


@pytest.mark.parametrize(("norm", "value"), [("minmax", 1.5), ("minmax", -0.1), ("rank", 200.0), ("zscore", 257.0)])
@pytest.mark.parametrize("party", ["guest", "host1"])
def test_scores_outside_the_line_are_refused(party: str, norm: str, value: float) -> None:
    agreed = settings(norm=norm)
    error = refused({party: replace(ms.ScoreShare, ciphertexts=forged(16, value))}, agreed=agreed)
    assert (error.party, error.step) == (party, "ScoreShare")
    assert "outside" in error.problem


def test_the_same_in_scoring() -> None:
    trained = train(SMALL, settings())
    for lie in (replace(ms.ScoreShare, scale=2 * UNIT), replace(ms.ScoreShare, ciphertexts=forged(16, 3.0))):
        with pytest.raises(ProtocolError) as caught:
            run(scoring_programs(SMALL, trained, settings()), {"host1": lie})
        assert (caught.value.party, caught.value.step) == ("host1", "ScoreShare")


def test_the_patents_line_is_the_senders_statistics() -> None:
    """[0148]: minmax and z-score travel with their statistics in the clear."""
    for norm in ("minmax", "zscore"):
        assert train(SMALL, settings(profile="patent", norm=norm)).arbiter.n_iter == 2
        assert scores.agreed_line("patent", norm) is None


def test_without_the_checks_both_lies_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a host alone decides who is flagged."""
    monkeypatch.setattr(arbiter, "_check_inside", lambda *_: None)
    monkeypatch.setattr(arbiter, "_check_line", lambda *_: None)
    monkeypatch.setattr(transcripts, "compare", lambda *_: None)  # the lie is told on the way
    made = Parties(SMALL.guest, SMALL.hosts)
    lie = replace(ms.ScoreShare, ciphertexts=forged(16, 200.0), high=200.0 * UNIT)
    combined: list[np.ndarray] = []
    monkeypatch.setattr(arbiter, "combine", lambda norms, powers: combined.append(np.array(norms)) or np.sum(norms, axis=0))
    run(training_programs(made, settings()), {"host1": lie})
    assert combined[0].max() > 100

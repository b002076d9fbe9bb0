"""Scores that the arbiter tries to lay beside customers: by their place, by their rank, by their value.

The arbiter opens both parties' scores. It is given more than it has: the list of customers in the agreed order, and (for the ranks)
what one would expect of each. In the hardened profile the rows come in an order that only guest and host know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import Parties, listen, parties, private_key, scoring_programs, settings, train

from vflfast.learn.logistic import linear_predictor, sigmoid
from vflfast.protocol import guest, host
from vflfast.protocol import messages as ms
from vflfast.protocol.scores import SCORE_BOUND, UNIT

Floats = npt.NDArray[np.float64]
N_ROWS = 400
AGREED = settings(predictor_bound=64.0)


@pytest.fixture(scope="module")
def made() -> Parties:
    return parties(N_ROWS, (12, 12), seed=3)


@pytest.fixture(scope="module")
def trained(made: Parties) -> Any:
    return train(made, AGREED)


def opened(share: ms.ScoreShare) -> Floats:
    """What the arbiter has of a party's scores."""
    private = private_key()
    vector = private.public.parse(share.ciphertexts, frac_bits=0, bound=private.public.n // 2 - 1)
    return np.array(private.read_packed(vector, share.n_rows, SCORE_BOUND)) / UNIT


def arbiter_view(made: Parties, trained: Any, agreed: Any = AGREED) -> dict[str, Floats]:
    """The scores of one scoring session, by party, as the arbiter opens them."""
    _, heard = listen(scoring_programs(made, trained, agreed))
    return {e.sender: opened(m) for m, e, _ in heard if isinstance(m, ms.ScoreShare)}


def truth(made: Parties, trained: Any) -> Floats:
    """P of every customer, in the agreed order."""
    return sigmoid(linear_predictor(made.guest.matrix, trained.guest.weights, trained.guest.intercept))


def linked(seen: Floats, true: Floats) -> float:
    """Share of the customers whose score stands at their own place: P is one of many, and the order of P is that of its image."""
    return float((np.argsort(np.argsort(seen)) == np.argsort(np.argsort(true))).mean())


@pytest.fixture
def agreed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken control: the rows as they are."""
    for party in (guest, host):
        monkeypatch.setattr(party, "secret_order", lambda _, n_rows: np.arange(n_rows))


def test_places_tell_nothing(made: Parties, trained: Any) -> None:
    seen = arbiter_view(made, trained)["guest"]
    assert linked(seen, truth(made, trained)) < 0.03  # by chance one row in 400
    assert abs(np.corrcoef(seen, truth(made, trained))[0, 1]) < 0.25


@pytest.mark.usefixtures("agreed_order")
def test_the_control_links_everybody_by_place(made: Parties, trained: Any) -> None:
    seen = arbiter_view(made, trained)["guest"]
    assert linked(seen, truth(made, trained)) > 0.95  # equal scores may change places
    assert np.corrcoef(seen, truth(made, trained))[0, 1] > 0.999


def test_places_of_two_sessions_are_not_the_same(made: Parties, trained: Any) -> None:
    first, second = (arbiter_view(made, trained)["host1"] for _ in range(2))
    assert (first == second).mean() < 0.05


@pytest.mark.usefixtures("agreed_order")
def test_the_control_links_places_of_two_sessions(made: Parties, trained: Any) -> None:
    first, second = (arbiter_view(made, trained)["host1"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_hardened_score_is_no_probability(made: Parties, trained: Any) -> None:
    """The arbiter has an image of P whose line it does not know; the patent's profile gives it P."""
    probabilities = np.sort(truth(made, trained))
    assert np.abs(np.sort(arbiter_view(made, trained)["guest"]) - probabilities).max() > 1e-3
    bare = settings(predictor_bound=64.0, profile="patent")
    patent = train(made, bare)
    np.testing.assert_allclose(np.sort(arbiter_view(made, patent, bare)["guest"]), np.sort(truth(made, patent)), atol=1e-9)


def test_what_remains_a_pair_of_scores_is_known_again(made: Parties, trained: Any) -> None:
    """The same customers, scored twice: the arbiter, who combines P and Q, can tell which rows of two sessions are one customer."""
    first, second = ({tuple(pair) for pair in np.stack(list(arbiter_view(made, trained).values()), axis=1)} for _ in range(2))
    assert first == second
    assert len(first) > 0.9 * N_ROWS

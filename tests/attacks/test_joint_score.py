"""What the arbiter reads of a scoring session: both parties' normalised scores where labels come from F, and from the joint score only a
secret affine image of the sum.

The arbiter is given more than it has: the secret order, and what one would compare with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import Parties, listen, parties, private_key, scoring_programs, settings, train

from vflfast.learn.logistic import linear_predictor, sigmoid
from vflfast.learn.scoring import Norm
from vflfast.protocol import guest, host, joint
from vflfast.protocol import messages as ms
from vflfast.protocol.scores import SCORE_BOUND

Floats = npt.NDArray[np.float64]
N_ROWS = 300
COMBINED, JOINT = settings(), settings(scoring="joint")


@pytest.fixture(scope="module")
def made() -> Parties:
    return parties(N_ROWS, (6, 6, 6), seed=5)


@pytest.fixture(autouse=True)
def known_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given to the arbiter: which row is whose."""
    for party in (guest, host):
        monkeypatch.setattr(party, "secret_order", lambda _, n_rows: np.arange(n_rows))


def opened(message: ms.ScoreShare | ms.JointShare) -> list[int]:
    private, bound = private_key(), SCORE_BOUND if isinstance(message, ms.ScoreShare) else joint.MASKED_BOUND
    vector = private.public.parse(message.ciphertexts, frac_bits=0, bound=private.public.n // 2 - 1)
    return private.read_packed(vector, message.n_rows, bound)


def view(made: Parties, trained: Any, agreed: Any) -> dict[str, list[int]]:
    """Every party's numbers in one scoring session, as the arbiter opens them."""
    _, heard = listen(scoring_programs(made, trained, agreed))
    return {e.sender: opened(m) for m, e, _ in heard if isinstance(m, ms.ScoreShare | ms.JointShare)}


def halves(made: Parties, trained: Any) -> dict[str, Floats]:
    models = zip((made.guest, *made.hosts), (trained.guest, *trained.hosts), strict=True)
    return {m.name: linear_predictor(i.matrix, m.weights, m.intercept) for i, m in models}


def explained(seen: Any, true: Floats) -> float:
    """Share of a truth's variance that the best line through what was seen explains."""
    return float(np.corrcoef(np.array(seen, dtype=float), true)[0, 1] ** 2)


def two(made: Parties) -> Parties:
    return Parties(made.guest, made.hosts[:1])


def test_the_control_has_both_parties_normalised_scores(made: Parties) -> None:
    """What labels by F show the arbiter."""
    trained = train(two(made), COMBINED)
    seen = view(two(made), trained, COMBINED)
    for model in (trained.guest, *trained.hosts):
        half = halves(two(made), trained)[model.name]
        assert model.norm is not None
        np.testing.assert_allclose(np.array(seen[model.name]) / 2.0**40, Norm.from_dict(model.norm).apply(sigmoid(half)), atol=1e-11)


@pytest.mark.parametrize("n_hosts", [1, 2])
def test_parts_of_the_joint_score_tell_nothing(n_hosts: int, made: Parties) -> None:
    parties_ = Parties(made.guest, made.hosts[:n_hosts])
    trained = train(parties_, JOINT)
    seen, true = view(parties_, trained, JOINT), halves(parties_, trained)
    assert seen.keys() == true.keys()
    for name in seen:
        assert explained(seen[name], true[name]) < 0.05
        assert 0.4 < np.mean(np.array(seen[name], dtype=float) < 0) < 0.6
    if n_hosts == 2:  # nor two of three
        assert explained([a + b for a, b in zip(seen["guest"], seen["host1"], strict=True)], true["guest"] + true["host1"]) < 0.05


@pytest.mark.parametrize("n_hosts", [1, 2])
def test_what_remains_the_sum_in_secret_units(n_hosts: int, made: Parties) -> None:
    parties_ = Parties(made.guest, made.hosts[:n_hosts])
    trained = train(parties_, JOINT)
    seen, true = view(parties_, trained, JOINT), halves(parties_, trained)
    scores, u = joint.total(list(seen.values())), np.sum(list(true.values()), axis=0)
    assert explained(scores, u) > 1 - 1e-9
    np.testing.assert_array_equal(np.argsort(scores, kind="stable"), np.argsort(np.round(u, 9), kind="stable"))
    assert explained(scores, true["guest"]) < 0.9
    again = train(parties_, JOINT)
    other = joint.total(list(view(parties_, again, JOINT).values()))
    slopes = [np.polyfit(u, values, 1) for values in (scores, other)]
    assert slopes[0][0] > 0 < slopes[1][0]
    assert not np.allclose(slopes[0], slopes[1], rtol=1e-3)  # another run, another scale and shift


def test_the_scale_is_no_common_divisor(made: Parties) -> None:
    """Were scores whole multiples of the scale, a few differences would give it away."""
    trained = train(two(made), JOINT)
    scores = joint.total(list(view(two(made), trained, JOINT).values())).astype(np.int64)
    assert np.gcd.reduce(np.diff(scores)) < 100


def test_without_masks_each_half_is_read(made: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same reader."""
    monkeypatch.setattr(joint, "_mask", lambda seed, count: np.zeros(count, dtype=np.uint64))
    trained = train(two(made), JOINT)
    seen, true = view(two(made), trained, JOINT), halves(two(made), trained)
    for name in seen:
        assert explained(seen[name], true[name]) > 0.999


def test_masks_are_of_one_session(made: Parties) -> None:
    trained = train(two(made), JOINT)
    first, second = (view(two(made), trained, JOINT) for _ in range(2))
    assert first["guest"] != second["guest"]
    moved = [a - b for a, b in zip(first["guest"], second["guest"], strict=True)]
    assert len(set(moved)) > 0.9 * N_ROWS
    np.testing.assert_array_equal(joint.total(list(first.values())), joint.total(list(second.values())))  # τ stays what it is

"""Inline runs: what a whole training run and a whole scoring run give."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.runs import Parties, parties, run, score, scoring_programs, settings, train, training_programs

from vflfast.crypto import limbs as lm
from vflfast.errors import BoundError, InputError
from vflfast.learn.logistic import linear_predictor, sigmoid
from vflfast.learn.metrics import roc_auc
from vflfast.learn.scoring import Norm, classify, combine, powers_from_auc
from vflfast.protocol import inline
from vflfast.protocol import messages as ms

SIZE = lm.limb_count(512)
SMALL = parties(16, (2, 3))


@pytest.fixture(scope="module")
def hundred() -> Parties:
    return parties(100, (3, 4, 2))


def test_max_iter_ends_a_run_that_has_not_converged(hundred: Parties) -> None:
    result = train(Parties(hundred.guest, hundred.hosts[:1]), settings(tol=0.0, max_iter=2))
    assert (result.guest.n_iter, result.guest.stopped) == (2, False)


def test_the_order_in_which_parties_are_driven_does_not_matter(hundred: Parties) -> None:
    hashes = []
    for order in (("guest", "host1", "arbiter"), ("arbiter", "host1", "guest"), ("host1", "arbiter", "guest")):
        programs = training_programs(Parties(hundred.guest, hundred.hosts[:1]), settings())
        results = inline.drive({name: programs[name] for name in order})
        hashes.append((results["guest"].hashes, results["host1"].hashes))
    assert hashes[0] == hashes[1] == hashes[2]


def test_rounds_lower_the_loss_and_the_model_ranks(hundred: Parties) -> None:
    result = train(hundred, settings(init="zeros", max_iter=6), verify=True)
    assert result.guest.losses[-1] < result.guest.losses[0] < np.log(2) + 0.01
    models = (result.guest, *result.hosts)
    inputs = (hundred.guest, *hundred.hosts)
    joint = sum(linear_predictor(i.matrix, m.weights, m.intercept) for i, m in zip(inputs, models, strict=True))
    own = linear_predictor(hundred.guest.matrix, result.guest.weights, result.guest.intercept)
    assert roc_auc(hundred.labels, joint) > 0.9 > roc_auc(hundred.labels, own)


def test_traffic_is_what_the_messages_weigh(hundred: Parties) -> None:
    result = train(Parties(hundred.guest, hundred.hosts[:1]), settings())
    row = 2 * SIZE * 8
    overhead = ms.HEADER.size + ms.DIGEST_BYTES + 16
    assert result.traffic.n_bytes["host1 → guest: Predictor"] == 2 * (100 * row + overhead)
    assert result.traffic.n_bytes["guest → host1: Residual"] == 2 * (100 * row + overhead)
    assert result.traffic.n_messages["guest → arbiter: Vote"] == 2
    assert result.traffic.total_bytes == sum(result.traffic.n_bytes.values())


# --- scoring -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["hardened", "patent"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "rank"},
        {"norm": "zscore"},
        {"epsilon": 0.05},
        {"threshold": 0.3},
        {"threshold": "ks"},
        {"threshold": "precision", "threshold_value": 0.6},
        {"threshold_value": 0.25},
        {"powers": (0.5, 1.5)},
    ],
    ids=str,
)
def test_scoring_the_training_rows_gives_the_training_labels(profile: str, changes: dict[str, Any], hundred: Parties) -> None:
    made = Parties(hundred.guest, hundred.hosts[:1])
    agreed = settings(profile=profile, **changes)
    trained = train(made, agreed)
    result = score(made, trained, dataclasses.replace(agreed, output="scores"))
    assert trained.guest.train_labels is not None
    np.testing.assert_array_equal(result.labels, trained.guest.train_labels)
    assert 0.0 < trained.arbiter.flagged_share < 1.0
    assert trained.arbiter.flagged_share == (result.labels > 0).mean()
    assert result.threshold == trained.arbiter.threshold
    np.testing.assert_array_equal(result.labels, classify(result.scores, result.threshold))
    np.testing.assert_allclose(result.scores, plain_scores(made, trained), atol=2e-6)


def plain_scores(made: Parties, trained: inline.TrainingResult) -> np.ndarray:
    """F of the training rows, in the clear."""
    norms = []
    for inputs, model in zip((made.guest, *made.hosts), (trained.guest, *trained.hosts), strict=True):
        assert model.norm is not None
        probability = sigmoid(linear_predictor(inputs.matrix, model.weights, model.intercept))
        norms.append(Norm.from_dict(model.norm).apply(probability))
    return combine(norms, list(trained.arbiter.powers))


def test_the_quota_is_kept_and_its_default_is_the_base_rate(hundred: Parties) -> None:
    base_rate = (hundred.labels > 0).mean()
    assert 0.9 * base_rate <= train(hundred, settings()).arbiter.flagged_share <= base_rate
    assert 0.05 <= train(hundred, settings(threshold_value=0.1)).arbiter.flagged_share <= 0.1


def test_the_precision_is_reached(hundred: Parties) -> None:
    trained = train(hundred, settings(threshold="precision", threshold_value=0.8))
    flagged = trained.guest.train_labels > 0
    assert (hundred.labels[flagged] > 0).mean() >= 0.8


def test_ks_takes_the_widest_gap(hundred: Parties) -> None:
    trained = train(hundred, settings(threshold="ks"))
    scores, positive = trained.guest.train_scores, hundred.labels > 0
    assert scores is not None

    def gap(threshold: float) -> float:
        return float((scores[positive] > threshold).mean() - (scores[~positive] > threshold).mean())

    assert gap(trained.arbiter.threshold) == pytest.approx(max(gap(float(t)) for t in scores))


def test_a_given_threshold_is_used_as_it_is(hundred: Parties) -> None:
    assert train(hundred, settings(threshold=0.05)).arbiter.threshold == 0.05


def test_no_norm_at_all_is_for_the_patent(hundred: Parties) -> None:
    agreed = settings(profile="patent", norm="none", threshold=0.5)
    trained = train(hundred, agreed)
    np.testing.assert_array_equal(score(hundred, trained, agreed).labels, trained.guest.train_labels)
    with pytest.raises(InputError) as caught:
        settings(norm="none")
    assert caught.value.argument == "norm"


def test_patent_and_hardened_give_the_same_labels_for_the_same_powers(hundred: Parties) -> None:
    """From zeros, and after the same number of rounds, both profiles hold the same weights; the profile changes no label."""
    same = {"powers": (0.7, 1.3), "init": "zeros", "tol": 0.0}
    made = Parties(hundred.guest, hundred.hosts[:1])
    patent, hardened = (train(made, settings(profile=profile, **same)) for profile in ("patent", "hardened"))
    assert patent.weight_hash == hardened.weight_hash
    np.testing.assert_array_equal(patent.guest.train_labels, hardened.guest.train_labels)
    for trained, profile in ((patent, "hardened"), (hardened, "patent")):
        labels = score(made, trained, settings(profile=profile, **same)).labels
        np.testing.assert_array_equal(labels, patent.guest.train_labels)


def test_powers_follow_the_auc_in_the_patent_and_are_equal_otherwise(hundred: Parties) -> None:
    made = Parties(hundred.guest, hundred.hosts[:1])
    assert train(made, settings()).arbiter.powers == (1.0, 1.0)
    assert train(made, settings(powers=(3.0, 1.0))).arbiter.powers == (3.0, 1.0)
    trained = train(made, settings(profile="patent"))
    models = zip((made.guest, *made.hosts), (trained.guest, *trained.hosts), strict=True)
    auc = [roc_auc(made.labels, linear_predictor(i.matrix, m.weights, m.intercept)) for i, m in models]
    assert trained.arbiter.powers == pytest.approx(tuple(powers_from_auc(auc)), rel=1e-9)


@pytest.mark.parametrize("profile", ["hardened", "patent"])
def test_only_the_patent_gives_the_host_labels(profile: str, hundred: Parties) -> None:
    agreed = settings(profile=profile)
    trained = train(hundred, agreed)
    results = run(scoring_programs(hundred, trained, agreed))
    for name, model in (("host1", trained.hosts[0]), ("host2", trained.hosts[1])):
        if profile == "patent":
            np.testing.assert_array_equal(results[name], results["guest"].labels)
            np.testing.assert_array_equal(model.train_labels, results["guest"].labels)
        else:
            assert results[name] is None
            assert model.train_labels is None


@pytest.mark.parametrize("scoring", ["joint", "combined"])
@pytest.mark.parametrize("n_hosts", [1, 2])
def test_the_joint_probability_is_the_sigmoid_of_the_plain_sum(n_hosts: int, scoring: str, hundred: Parties) -> None:
    made = Parties(hundred.guest, hundred.hosts[:n_hosts])
    trained = train(made, settings(scoring=scoring))
    result = score(made, trained, settings(scoring=scoring, output="probability"))
    models = zip((made.guest, *made.hosts), (trained.guest, *trained.hosts), strict=True)
    predictor = sum(linear_predictor(i.matrix, m.weights, m.intercept) for i, m in models)
    assert result.joint_probability is not None
    np.testing.assert_allclose(result.joint_probability, sigmoid(predictor), atol=(1 + n_hosts) * 2.0**-34 / 4 + 1e-15)
    assert roc_auc(made.labels, result.joint_probability) > roc_auc(made.labels, result.own_probability)
    assert result.scores is None


def test_nothing_more_is_opened_than_the_settings_say(hundred: Parties) -> None:
    trained = train(hundred, settings())
    result = score(hundred, trained, settings())
    assert result.scores is None
    assert result.joint_probability is None


def test_one_customer_can_be_scored(hundred: Parties) -> None:
    trained = train(hundred, settings())
    whole = score(hundred, trained, settings()).labels
    for row in (0, 57, 99):
        index = np.array([row])
        inputs = [dataclasses.replace(i, matrix=i.matrix.take_rows(index)) for i in (hundred.guest, *hundred.hosts)]
        assert score(Parties(inputs[0], inputs[1:]), trained, settings()).labels == whole[row]


# --- what the caller got wrong ---------------------------------------------------------------------------------------


def test_a_guest_without_labels_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        run(training_programs(Parties(dataclasses.replace(SMALL.guest, labels=None), SMALL.hosts), settings()))
    assert caught.value.argument == "labels"


def test_a_run_needs_a_host() -> None:
    with pytest.raises(InputError) as caught:
        inline.train(SMALL.guest, [], settings())
    assert caught.value.argument == "hosts"


def test_a_predictor_above_the_bound_is_not_sent() -> None:
    with pytest.raises(BoundError) as caught:
        run(training_programs(SMALL, settings(predictor_bound=1e-3)))
    assert caught.value.argument == "linear predictor"


def test_a_model_of_other_parties_is_refused(hundred: Parties) -> None:
    trained = train(Parties(hundred.guest, hundred.hosts[:1]), settings())
    three = train(hundred, settings())
    mixed = dataclasses.replace(three, arbiter=dataclasses.replace(trained.arbiter, session=three.arbiter.session))
    with pytest.raises(InputError) as caught:
        score(hundred, mixed, settings())
    assert caught.value.argument == "model"


@pytest.mark.parametrize("powers", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0, 4.0)])
def test_as_many_powers_as_parties(powers: tuple[float, ...]) -> None:
    with pytest.raises(InputError) as caught:
        run(training_programs(SMALL, settings(powers=powers)))
    assert caught.value.argument == "powers"

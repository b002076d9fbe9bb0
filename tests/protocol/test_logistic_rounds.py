"""The logistic residual and L-BFGS in the protocol: the twin's bits, logistic regression's weights, and everything that is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.opened import dense
from support.runs import Parties, listen, parties, replace, run, settings, train, training_programs
from support.simulator import Crash, MemoryJournal

from vflfast.crypto import backend as be
from vflfast.errors import BoundError, InputError, ProtocolError
from vflfast.learn.residual import RESIDUAL_BITS, tables
from vflfast.protocol import messages as ms
from vflfast.protocol.block import Block, PartyInputs
from vflfast.protocol.columns import plain_products
from vflfast.protocol.exchange import SCALE_BITS, WIDTH_BITS, real_numbers, whole_numbers
from vflfast.protocol.multiplied import RoundWeights
from vflfast.protocol.twin import train_twin

NEW: dict[str, Any] = {"residual": "logistic", "solver": "lbfgs", "stop": "move", "max_iter": 30}
N = 300


def agreed(**changes: Any) -> Any:
    return settings(**{**NEW, **changes})


def optimum(made: Parties, alpha: float) -> np.ndarray:
    """Linear predictors of penalised logistic regression on standardised columns, by Newton's method in plain numbers."""
    columns = np.hstack([dense(one.matrix) for one in (made.guest, *made.hosts)])
    x = np.column_stack([(columns - columns.mean(axis=0)) / columns.std(axis=0), np.ones(len(columns))])
    penalty = np.diag([*[alpha] * columns.shape[1], 0.0])
    theta, y = np.zeros(x.shape[1]), (made.labels > 0).astype(float)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ theta))
        hessian = x.T @ (x * (p * (1 - p))[:, None]) / len(x) + penalty
        theta = theta - np.linalg.solve(hessian, x.T @ (p - y) / len(x) + penalty @ theta)
    return np.asarray(x @ theta)


def predictors(made: Parties, result: Any) -> np.ndarray:
    halves = [dense(one.matrix) @ model.weights + model.intercept
              for one, model in zip((made.guest, *made.hosts), (result.guest, *result.hosts), strict=True)]  # fmt: skip
    return np.asarray(np.sum(halves, axis=0))


# --- what comes out ----------------------------------------------------------------------------------------------


def test_it_is_logistic_regression() -> None:
    made = parties(N, (3, 5))
    result = train(made, agreed(alpha=0.02, tol=1e-4), verify=True)
    assert result.guest.stopped
    off = predictors(made, result) - optimum(made, 0.02)
    assert np.sqrt((off**2).mean()) < 0.01
    taylor = train(made, settings(alpha=0.02, max_iter=40, tol=1e-9))
    assert np.sqrt(((predictors(made, taylor) - optimum(made, 0.02)) ** 2).mean()) > 0.1  # the control: another model


@pytest.mark.parametrize("columns", [(3, 2, 3), pytest.param((2, 2, 2, 2), marks=pytest.mark.slow)])
def test_it_is_logistic_regression_with_several_hosts_too(columns: tuple[int, ...]) -> None:
    made = parties(N, columns)
    result = train(made, agreed(alpha=0.02, tol=1e-4), verify=True)
    assert result.verified_rounds == result.guest.n_iter
    assert np.sqrt(((predictors(made, result) - optimum(made, 0.02)) ** 2).mean()) < 0.02


def test_it_needs_fewer_rounds() -> None:
    made = parties(N, (3, 5))
    new, old = train(made, agreed()), train(made, settings(max_iter=50))
    assert new.guest.n_iter <= 10
    assert old.guest.n_iter >= 16


@pytest.mark.parametrize("columns", [(3, 4), (3, 4, 2), (2, 2, 2, 2)])
def test_lbfgs_with_the_taylor_residual_and_several_hosts(columns: tuple[int, ...]) -> None:
    made = parties(N, columns)
    result = train(made, agreed(residual="taylor"), verify=True)
    assert (result.verified_rounds, result.guest.stopped) == (result.guest.n_iter, True)
    assert result.guest.n_iter <= 10


@pytest.mark.parametrize("changes", [
    {}, {"solver": "block-newton", "max_iter": 4}, {"solver": "gd", "step": 0.5, "max_iter": 3}, {"stop": "loss", "max_iter": 3},
    {"init": "zeros"}, {"profile": "patent", "max_iter": 4}, {"host_woe": True, "max_iter": 3}, {"alpha": 0.3},
    {"solver": "block-newton", "n_batches": 2, "max_iter": 4}, {"max_weight": 5, "weight_unit": 2, "max_iter": 4},
], ids=str)  # fmt: skip
def test_encrypted_rounds_are_the_twins_bit_by_bit(changes: dict[str, Any]) -> None:
    made = parties(N, (3, 5), classes=3)
    if "max_weight" in changes:
        weights = np.where(made.labels > 0, 5, 2).astype(np.int64)
        made = Parties(dataclasses.replace(made.guest, row_weights=weights), made.hosts)
    result = train(made, agreed(**changes), verify=True)
    assert result.verified_rounds == result.guest.n_iter >= 3


@pytest.mark.parametrize("name", ["portable", "gmpy2"])
def test_every_backend_has_the_same_bits(name: str) -> None:
    made, here = parties(60, (2, 3)), train(parties(60, (2, 3)), agreed(max_iter=3)).weight_hash
    with be.use(name):
        assert train(made, agreed(max_iter=3)).weight_hash == here


def test_a_crash_at_any_point_changes_no_bit() -> None:
    made = parties(N, (3, 5))
    expected = train(made, agreed()).weight_hash
    for party, place in (("host1", ("before", 2)), ("guest", ("after", 2)), ("host1", ("after", 3)), ("arbiter", ("before", 3))):
        journals = {name: MemoryJournal() for name in ("arbiter", "guest", "host1")}
        journals[party].crash = place
        with pytest.raises(Crash):
            run(training_programs(made, agreed(), journals))
        journals[party].crash = None
        results = run(training_programs(made, agreed(), journals))
        assert (results["guest"].hashes[-1], results["host1"].hashes[-1]) == last_hashes(made), (party, place)
    assert expected == train(made, agreed()).weight_hash


def last_hashes(made: Parties) -> tuple[str, str]:
    result = train(made, agreed())
    return result.guest.hashes[-1], result.hosts[0].hashes[-1]


# --- hard cases --------------------------------------------------------------------------------------------------


def losses(made: Parties, blocks: list[Block]) -> float:
    u = blocks[0].predictor + blocks[1].predictor
    return float(np.log1p(np.exp(-made.labels * u)).mean())


def hard(case: str) -> Parties:
    rng = np.random.default_rng(7)
    made = parties(600, (3, 4), seed=5)
    labels, host = made.labels, made.hosts[0]
    if case == "copied columns":
        host = dataclasses.replace(host, matrix=made.guest.matrix)
    elif case == "rare":
        labels = np.where(np.arange(600) < 4, 1, -1).astype(np.int8)
    elif case == "separable":
        labels = np.where(made.guest.matrix.codes[0] > 2, 1, -1).astype(np.int8)
    elif case == "noise":
        labels = np.where(rng.random(600) < 0.5, 1, -1).astype(np.int8)
    return Parties(dataclasses.replace(made.guest, labels=labels), [host])


@pytest.mark.parametrize("case", ["copied columns", "rare", "separable", "noise"])
@pytest.mark.parametrize("alpha", [None, 1e-3])
def test_hard_cases_end_no_worse_than_they_begin(case: str, alpha: float | None) -> None:
    made = hard(case)
    blocks = train_twin(made.guest, made.hosts, agreed(alpha=alpha))
    begin = train_twin(made.guest, made.hosts, agreed(alpha=alpha), n_rounds=0)
    assert all(np.isfinite(block.theta).all() for block in blocks)
    assert losses(made, blocks) <= losses(made, begin)


def test_a_residual_that_cannot_be_trusted_is_refused_with_the_way_on() -> None:
    """Separable labels without a penalty: the halves grow until the tables end."""
    rng = np.random.default_rng(1)
    made = parties(400, (2, 3))
    labels = np.where(made.hosts[0].matrix.codes[0] > 2, 1, -1).astype(np.int8)
    made = Parties(dataclasses.replace(made.guest, labels=labels), made.hosts)
    del rng
    with pytest.raises(BoundError, match="alpha: a host's half has a standard deviation above 4"):
        train_twin(made.guest, made.hosts, agreed(alpha=1e-6, tol=0.0, max_iter=400))


# --- refusals ----------------------------------------------------------------------------------------------------


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(InputError, match="row_packing must be 1"):
        agreed(row_packing=2)
    with pytest.raises(InputError, match="n_batches must be 1"):
        agreed(n_batches=2)
    with pytest.raises(InputError, match="belongs to solver gd"):
        agreed(step=0.1)


def tampered(change: Any, party: str = "host1") -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(parties(60, (2, 3)), agreed(max_iter=2)), {party: change})
    return caught.value


@pytest.mark.parametrize("fields", [{"scale": 0.9}, {"scale": float("nan")}, {"scale": 8.0}, {"centre": 0.123}, {"centre": float("inf")}])
@pytest.mark.parametrize("party", ["guest", "host1"])
def test_a_range_that_is_none_is_refused(party: str, fields: dict[str, float]) -> None:
    error = tampered(replace(ms.HalfRange, **fields), party)
    assert (error.party, error.step) == (party, "HalfRange")


@pytest.mark.parametrize("change", [lambda v: v[1:].copy(), lambda v: np.concatenate([v, v]), lambda v: v[:, :4].copy()])
@pytest.mark.parametrize("party", ["guest", "host1"])
def test_inner_products_of_another_count_are_refused(party: str, change: Any) -> None:
    error = tampered(replace(ms.InnerProducts, values=change), party)
    assert (error.party, error.step) == (party, "InnerProducts")


def test_a_mask_seed_of_another_size_is_refused() -> None:
    assert tampered(replace(ms.MaskSeed, seed=b"short"), "guest").step == "MaskSeed"


@pytest.mark.parametrize("party", ["guest", "host1", "host2"])
def test_a_range_that_is_none_is_refused_by_every_other_party(party: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(parties(60, (2, 3, 2)), agreed(max_iter=2)), {party: replace(ms.HalfRange, scale=0.3)})
    assert (caught.value.party, caught.value.step) == (party, "HalfRange")


@pytest.mark.parametrize("party", ["host1", "host2"])
def test_another_number_of_columns_in_the_chain_is_refused(party: str) -> None:
    """By the next host, and by the guest."""
    cut = replace(ms.Predictor, ciphertexts=lambda rows: rows[1:].copy())
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(parties(60, (2, 3, 2)), agreed(max_iter=2)), {party: cut})
    assert (caught.value.party, caught.value.step) == (party, "Predictor")


@pytest.mark.parametrize("count", [0, 59, 61, 600])
def test_another_number_of_columns_is_refused(count: int) -> None:
    """In round 1 the half of the host is 0, and ten columns of 60 rows are not due."""
    error = tampered(replace(ms.Predictor, ciphertexts=lambda rows: np.resize(rows, (count, rows.shape[1]))))
    assert (error.party, error.step) == ("host1", "Predictor")


# --- what the messages tell --------------------------------------------------------------------------------------


def test_columns_are_encrypted_and_the_residual_is_the_sum() -> None:
    made = parties(60, (2, 3))
    _, heard = listen(training_programs(made, agreed(max_iter=2)))
    sent = [m for m, _, _ in heard if isinstance(m, ms.Predictor)]
    assert len(sent[0].ciphertexts) == 60  # the half of the host is 0 yet
    every = [tuple(row) for m in sent for row in m.ciphertexts.tolist()]
    assert len(set(every)) == len(every)


def test_the_plain_residual_is_near_the_sigmoid_less_the_label() -> None:
    rng = np.random.default_rng(1)
    a, b, y = rng.normal(-1, 1, 500), rng.normal(0, 0.5, 500), np.where(rng.random(500) < 0.3, 1, -1).astype(np.int8)
    found = plain_products(a, b, y, RoundWeights()).residual / 2.0**RESIDUAL_BITS
    expected = 1 / (1 + np.exp(-(a + b))) - (y > 0)
    np.testing.assert_allclose(found, expected, atol=6e-3)
    assert np.abs(found - (1 / (1 + np.exp(-(a + b))) - (y < 0))).min() > 0.1
    assert tables((-1.0, 1.0), (0.0, 0.5)).phi.shape[0] == 4


def test_of_three_parties_none_is_sent_anothers_numbers() -> None:
    """Masked numbers of one exchange say nothing alone: the same run with other seeds sends others, and the sums are the same."""
    made = parties(N, (2, 3, 2))
    seen = []
    for _ in range(2):
        result, heard = listen(training_programs(made, agreed(residual="taylor", max_iter=2)))
        lane = [m for m, e, _ in heard if isinstance(m, ms.InnerProducts) and (e.sender, e.recipient) == ("host1", "host2")]
        seen.append(([m.values.tolist() for m in lane], result["guest"].hashes))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] == seen[1][1]


def test_sums_are_exact_and_correctly_rounded() -> None:
    numbers = [1.0, -1e-30, 2.0**-200, -3.75, 1e60, 0.0, -(2.0**-256)]
    assert real_numbers(whole_numbers(numbers)) == numbers
    tenth = whole_numbers([0.1])[0]
    assert real_numbers([(3 * tenth) % (1 << WIDTH_BITS)]) == [0.30000000000000004]
    with pytest.raises(InputError, match="larger penalty"):
        whole_numbers([2.0 ** (WIDTH_BITS - SCALE_BITS)])


def test_a_host_alone_knows_its_inputs() -> None:
    """Nothing of the new messages needs labels at the host."""
    made = parties(60, (2, 3))
    assert isinstance(made.hosts[0], PartyInputs)
    assert made.hosts[0].labels is None
    assert train(made, agreed(max_iter=2)).hosts[0].losses[0] > 0

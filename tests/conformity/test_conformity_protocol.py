"""The patent's paragraphs on model, gradient, updates, stop rule and scoring: runs in profile `patent` against formulas in plain numbers,
each with a broken neighbour beside it that must not fit.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.opened import UNIT, dense
from support.runs import Parties, listen, parties, private_key, score, settings, training_programs

from vflfast.crypto import limbs as lm
from vflfast.learn.logistic import cross_entropy, taylor_loss
from vflfast.learn.stopping import StopRule
from vflfast.params import DEFAULT_N_ITER_NO_CHANGE, DEFAULT_TOL
from vflfast.protocol import inline, steps
from vflfast.protocol import messages as ms
from vflfast.protocol.block import Block
from vflfast.protocol.scores import SCORE_BOUND
from vflfast.protocol.scores import UNIT as SCORE_UNIT
from vflfast.protocol.session import secret_order

N, ROUNDS, STEP, ALPHA = 120, 4, 0.3, 0.01
AGREED = settings(profile="patent", solver="gd", step=STEP, alpha=ALPHA, init="zeros", max_iter=ROUNDS, tol=0.0)
Floats = npt.NDArray[np.float64]


@dataclass
class Run:
    """A run in profile patent, all of it in the clear.

    Attributes
    ----------
    heard
        Every message with its envelope.
    weights
        By party, what it had after each round: (weights, intercept), the first before round 1.
    opened
        By party and round, (Xᵀ4g, Σ4g) as integers.
    """

    made: Parties
    results: dict[str, Any]
    heard: list[tuple[ms.Message, ms.Envelope]]
    weights: dict[str, list[tuple[Floats, float]]]
    opened: dict[str, list[tuple[list[int], int]]]

    def sent(self, kind: type[ms.Message], sender: str | None = None) -> list[Any]:
        return [message for message, envelope in self.heard if isinstance(message, kind) and sender in (None, envelope.sender)]

    def read(self, kind: Any, sender: str) -> list[Floats]:
        """Decrypted vectors of a message in fixed point, one a round."""
        return [numbers(message.ciphertexts) / UNIT for message in self.sent(kind, sender)]

    def half(self, party: str, round_: int) -> Floats:
        """The party's u before a round, from its weights and plain columns."""
        weights, intercept = self.weights[party][round_]
        inputs = self.made.guest if party == "guest" else self.made.hosts[0]
        return np.asarray(dense(inputs.matrix) @ weights + intercept)


def numbers(limbs: Any) -> Floats:
    """Signed plaintexts of ciphertexts."""
    public = private_key().public
    vector = public.parse(limbs, frac_bits=0, bound=1 << 200)
    return np.array([float(v) for v in private_key().decrypt(vector)])


def made_run(agreed: Any, made: Parties) -> Run:
    weights: dict[str, list[tuple[Floats, float]]] = {"guest": [], "host1": []}
    opened: dict[str, list[tuple[list[int], int]]] = {"guest": [], "host1": []}
    name = {id(made.guest.matrix): "guest", id(made.hosts[0].matrix): "host1"}
    real_update, real_init = Block.update, Block.__init__

    def update(self: Block, gradient: list[int], residual: int, n_rows: int) -> None:
        opened[name[id(self.matrix)]].append((gradient, residual))
        real_update(self, gradient, residual, n_rows)
        weights[name[id(self.matrix)]].append(self.coefficients())

    def init(self: Block, *given: Any, **more: Any) -> None:
        real_init(self, *given, **more)
        weights[name[id(self.matrix)]].append(self.coefficients())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Block, "update", update)
        patch.setattr(Block, "__init__", init)
        results, heard = listen(training_programs(made, agreed))
    return Run(made, results, [(message, envelope) for message, envelope, _ in heard], weights, opened)


@pytest.fixture(scope="module")
def run() -> Run:
    return made_run(AGREED, parties(N, (2, 3)))


def fits(found: Any, expected: Any, off: float = 2.0**-22) -> bool:
    """Equal but for rounding to fixed point."""
    return bool(np.allclose(np.asarray(found, dtype=float), np.asarray(expected, dtype=float), rtol=1e-9, atol=off))


def standardised(columns: Floats) -> tuple[Floats, Floats]:  # (Z − μ)/s and s
    return (columns - columns.mean(axis=0)) / columns.std(axis=0), columns.std(axis=0)


# --- T: labels and model -----------------------------------------------------------------------------------------


def test_0079_0080_labels_go_to_the_host_as_they_are(run: Run) -> None:
    (message,) = run.sent(ms.TrainingLabels, "guest")
    flags = np.frombuffer(message.labels, dtype=np.uint8)
    np.testing.assert_array_equal(np.where(flags == 1, 1, -1), run.made.labels)
    assert (np.where(flags == 0, 1, -1) != run.made.labels).all()  # broken: the other coding
    hardened = made_run(settings(max_iter=1), run.made)
    assert hardened.sent(ms.TrainingLabels) == []


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_0066_0067_each_side_starts_from_a_model_of_its_own(party: str) -> None:
    """Half of the minimiser of its own penalised Taylor loss, on its own columns and the labels."""
    run = made_run(dataclasses.replace(AGREED, init="local", max_iter=1), parties(N, (2, 3)))
    inputs = run.made.guest if party == "guest" else run.made.hosts[0]
    columns, deviation = standardised(dense(inputs.matrix))
    hessian = columns.T @ columns / N / 4 + ALPHA * np.eye(columns.shape[1])
    minimum = np.linalg.solve(hessian, columns.T @ run.made.labels / N / 2) / deviation
    assert fits(run.weights[party][0][0], minimum / 2, 1e-9)
    assert not fits(run.weights[party][0][0], minimum, 1e-9)
    if party == "guest":  # only it has the model's intercept, 2·mean(y) on centred columns
        centre = dense(inputs.matrix).mean(axis=0) @ (minimum / 2)
        assert fits(run.weights[party][0][1] + centre, 2 * run.made.labels.mean(), 1e-9)


def test_0074_to_0076_the_model_is_one_logistic_regression_over_both_sides(run: Run) -> None:
    """p = σ(w′x + w″z + b), as the joint score opens it."""
    trained = inline_result(run)
    opened = score(run.made, trained, dataclasses.replace(AGREED, output="probability")).joint_probability
    joint = run.half("guest", ROUNDS) + run.half("host1", ROUNDS)
    assert fits(opened, 1 / (1 + np.exp(-joint)))
    assert not fits(opened, 1 / (1 + np.exp(joint)))
    assert not fits(opened, 1 / (1 + np.exp(-run.half("guest", ROUNDS))))


def inline_result(run: Run) -> Any:
    return inline.TrainingResult(run.results["guest"], [run.results["host1"]], run.results["arbiter"], inline.Traffic(), None)


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_0077_0078_0124_0129_each_side_looks_at_the_logistic_loss_of_its_own_half(party: str, run: Run) -> None:
    """Mean of log(1 + e^(−y·u)); in this profile the host has the labels for it."""
    halves = [run.half(party, t + 1) for t in range(ROUNDS)]
    y = run.made.labels
    assert fits(run.results[party].losses, [np.log1p(np.exp(-y * u)).mean() for u in halves], 1e-9)
    assert not fits(run.results[party].losses, [np.log1p(np.exp(y * u)).mean() for u in halves], 1e-6)
    joint = [run.half("guest", t + 1) + run.half("host1", t + 1) for t in range(ROUNDS)]
    assert not fits(run.results[party].losses, [np.log1p(np.exp(-y * u)).mean() for u in joint], 1e-6)


# --- P: the encrypted gradient -----------------------------------------------------------------------------------


def test_0100_0101_the_host_sends_its_half_encrypted(run: Run) -> None:
    found = run.read(ms.Predictor, "host1")
    assert fits(found, [run.half("host1", t) for t in range(ROUNDS)])
    assert not fits(found, [run.half("host1", t + 1) for t in range(ROUNDS)])
    ciphertexts = [tuple(row) for message in run.sent(ms.Predictor) for row in message.ciphertexts.tolist()]
    assert len(set(ciphertexts)) == len(ciphertexts)  # zeros of round 1 too


def test_0102_0103_0109_to_0113_the_guest_returns_the_encrypted_residual(run: Run) -> None:
    """4g = u″ + u′ − 2y ([0033], [0116]); the bracket that [0112] prints loses the labels, because y² = 1."""
    found = run.read(ms.Residual, "guest")
    both = [run.half("guest", t) + run.half("host1", t) for t in range(ROUNDS)]
    assert fits(found, [u - 2.0 * run.made.labels for u in both])
    assert not fits(found, [u - 2.0 * run.made.labels**2 for u in both])
    assert not fits(found, [u + 2.0 * run.made.labels for u in both])


def test_0103_the_hosts_own_ciphertext_cannot_be_divided_out(run: Run) -> None:
    """What [[w′X]] stands for: fresh randomness. Without it the quotient of the two vectors would be (1 + (u′ − 2y)·n) itself."""
    n = private_key().public.n
    sent, returned = run.sent(ms.Predictor, "host1")[1], run.sent(ms.Residual, "guest")[1]
    pairs = zip(lm.to_ints(sent.ciphertexts), lm.to_ints(returned.ciphertexts), strict=True)
    quotients = [pow(a, -1, n * n) * b % (n * n) for a, b in pairs]
    plain = np.rint((run.half("guest", 1) - 2.0 * run.made.labels) * UNIT).astype(int).tolist()
    assert not any(quotient == (1 + (value % n) * n) % (n * n) for quotient, value in zip(quotients, plain, strict=True))
    assert fits(numbers(lm.from_ints(quotients, sent.ciphertexts.shape[1])), plain, 2)  # the key holder could, nobody else


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_0104_0105_0107_sums_are_opened_under_masks_that_are_taken_off(party: str, run: Run) -> None:
    inputs = run.made.guest if party == "guest" else run.made.hosts[0]
    for t, (gradient, total) in enumerate(run.opened[party]):
        four_g = np.rint(run.read(ms.Residual, "guest")[t] * UNIT).astype(np.int64)
        assert gradient == (dense(inputs.matrix).astype(np.int64).T @ four_g).tolist()
        assert total == int(four_g.sum())
        assert gradient != (dense(inputs.matrix).astype(np.int64).T @ -four_g).tolist()
    seen = [value for message in run.sent(ms.OpenedGradient) for value in message.plaintexts.ravel().tolist()]
    assert len(set(seen)) > 0.99 * len(seen)  # masks are never the same


def test_0106_the_arbiter_decrypts_for_each_its_own(run: Run) -> None:
    for party in ("guest", "host1"):
        asked = [m for m, e in run.heard if isinstance(m, ms.MaskedGradient) and e.sender == party]
        told = [m for m, e in run.heard if isinstance(m, ms.OpenedGradient) and e.recipient == party]
        assert len(asked) == len(told) == ROUNDS
        for request, answer in zip(asked, told, strict=True):
            opened = private_key().answer(private_key().public.parse_request(request.ciphertexts))
            assert lm.to_ints(answer.plaintexts) == lm.to_ints(opened)


def test_0114_0133_the_gradient_is_that_of_the_loss_expanded_to_second_order(run: Run) -> None:
    """∂/∂w of log 2 − y·u/2 + u²/8 by differences; that of the logistic loss itself is another."""
    y, columns = run.made.labels, dense(run.made.hosts[0].matrix)
    u = run.half("guest", 2) + run.half("host1", 2)
    gradient = np.array(run.opened["host1"][2][0], dtype=float) / UNIT / 4 / N
    eps = 1e-4
    numeric, exact = [], []
    for column in columns.T:
        numeric.append((taylor_loss(u + eps * column, y) - taylor_loss(u - eps * column, y)) / (2 * eps))
        exact.append((cross_entropy(u + eps * column, y) - cross_entropy(u - eps * column, y)) / (2 * eps))
    assert fits(gradient, numeric, 1e-6)
    assert not fits(gradient, exact, 1e-6)
    series = math.log(2) - y * u / 2 + u**2 / 8
    assert fits(taylor_loss(u, y), series.mean(), 1e-12)


# --- U: updates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_0108_0115_to_0120_each_side_steps_against_its_own_gradient(party: str, run: Run) -> None:
    """w ← w − η·(Xᵀg/n + λw), on standardised columns."""
    inputs = run.made.guest if party == "guest" else run.made.hosts[0]
    columns, deviation = standardised(dense(inputs.matrix))
    y = run.made.labels
    for t in range(ROUNDS):
        g = (run.half("guest", t) + run.half("host1", t)) / 4 - y / 2
        theta = run.weights[party][t][0] * deviation
        slope = columns.T @ g / N
        found = run.weights[party][t + 1][0]
        assert fits(found, (theta - STEP * (slope + ALPHA * theta)) / deviation, 1e-7)
        assert not fits(found, (theta + STEP * (slope + ALPHA * theta)) / deviation, 1e-7)
        assert not fits(found, (theta - STEP * (columns.T @ (g + y / 2) / N + ALPHA * theta)) / deviation, 1e-7)  # labels lost


def test_0119_only_the_guest_has_an_intercept(run: Run) -> None:
    """b ← b − 4·mean(g) on centred columns; what a host calls its intercept is its columns' centre alone."""
    columns = {"guest": dense(run.made.guest.matrix), "host1": dense(run.made.hosts[0].matrix)}
    for t in range(ROUNDS + 1):
        weights, intercept = run.weights["host1"][t]
        assert fits(intercept, -columns["host1"].mean(axis=0) @ weights, 1e-9)
    free = [run.weights["guest"][t][1] + columns["guest"].mean(axis=0) @ run.weights["guest"][t][0] for t in range(ROUNDS + 1)]
    for t, (before, after) in enumerate(pairwise(free)):
        g = (run.half("guest", t) + run.half("host1", t)) / 4 - run.made.labels / 2
        assert fits(after - before, -4 * g.mean(), 1e-6)


# --- S: the stop rule --------------------------------------------------------------------------------------------


def test_0121_to_0128_0130_the_flag_says_that_the_loss_has_stood_still() -> None:
    """|Loss_t − Loss_(t−1)| ≤ tol in so many rounds in a row; one change begins the count anew."""
    losses = [0.7, 0.6, 0.599, 0.598, 0.5, 0.4995, 0.499, 0.4985, 0.498]
    rule = StopRule(tol=0.002, n_iter_no_change=3)
    still = [False, *(abs(b - a) <= 0.002 for a, b in pairwise(losses))]
    expected = [all(still[t - 2 : t + 1]) and t >= 2 for t in range(len(losses))]
    assert [rule.observe(loss) for loss in losses] == expected
    assert expected.count(True) == 2
    assert [sum(still[: t + 1]) >= 3 for t in range(len(losses))] != expected  # broken: in all, not in a row


def test_0131_0132_flags_travel_encrypted_to_the_arbiter_alone(run: Run) -> None:
    votes = [(m, e) for m, e in run.heard if isinstance(m, ms.Vote)]
    assert {e.recipient for _, e in votes} == {"arbiter"}
    assert all(numbers(m.ciphertexts).tolist() == [0.0] for m, _ in votes)
    assert len({tuple(m.ciphertexts[0].tolist()) for m, _ in votes}) == len(votes) == 2 * ROUNDS


@pytest.mark.parametrize("patience", [1, 2])
def test_0134_0135_the_run_stops_when_all_sides_say_so(patience: int) -> None:
    """STOP is the AND of the flags, in the round in which the last side's loss has stood still."""
    agreed = settings(profile="patent", init="zeros", max_iter=40, tol=0.002, n_iter_no_change=patience)
    run = made_run(agreed, parties(N, (2, 3)))
    flags: dict[str, list[bool]] = {}
    for party in ("guest", "host1"):
        rule = StopRule(0.002, patience)
        flags[party] = [rule.observe(loss) for loss in run.results[party].losses]
    both = [all(pair) for pair in zip(*flags.values(), strict=True)]
    assert [bool(v.stop) for v, e in run.heard if isinstance(v, ms.Verdict) and e.recipient == "guest"] == both
    assert both.index(True) == len(both) - 1
    sent = {p: [numbers(m.ciphertexts)[0] for m, e in run.heard if isinstance(m, ms.Vote) and e.sender == p] for p in flags}
    assert sent == {party: [float(flag) for flag in found] for party, found in flags.items()}


def test_0136_to_0144_the_models_of_the_last_round_are_kept_each_by_its_own_side(run: Run) -> None:
    for party in ("guest", "host1"):
        np.testing.assert_array_equal(run.results[party].weights, run.weights[party][-1][0])
        assert run.results[party].n_iter == ROUNDS
    width = {"guest": 2, "host1": 3}
    assert {party: len(run.results[party].weights) for party in width} == width
    assert not hasattr(run.results["arbiter"], "weights")


def test_0145_to_0147_tolerance_and_patience_are_the_texts() -> None:
    assert (DEFAULT_TOL, DEFAULT_N_ITER_NO_CHANGE) == (0.005, 15)
    agreed = settings(profile="patent", max_iter=60)
    assert (agreed.tol, agreed.n_iter_no_change) == (0.005, 15)
    run = made_run(agreed, parties(N, (2, 3)))
    assert run.results["guest"].n_iter >= 16  # 15 rounds in a row after the first
    last = run.results["guest"].losses[-16:]
    assert max(abs(b - a) for a, b in pairwise(last)) <= 0.005


# --- C: scoring --------------------------------------------------------------------------------------------------


def shares(run: Run) -> dict[str, Floats]:
    (seed,) = [m.seed for m, _ in run.heard if isinstance(m, ms.OrderSeed)]
    order, found = secret_order(seed, N), {}
    for message, envelope in run.heard:
        if isinstance(message, ms.ScoreShare):
            request = private_key().public.parse_request(message.ciphertexts)
            values = np.empty(N)
            values[order] = private_key().read_packed(request, N, SCORE_BOUND)
            found[envelope.sender] = values / SCORE_UNIT
    return found


def test_0148_both_sides_send_their_probabilities_encrypted(run: Run) -> None:
    """P = σ(u′) and Q = σ(u″)."""
    for party, found in shares(run).items():
        u = run.half(party, ROUNDS)
        assert fits(found, 1 / (1 + np.exp(-u)), 1e-9)
        assert not fits(found, u, 1e-3)


def norm(p: Floats) -> Floats:
    return (p - p.min()) / (p.max() - p.min())


def auc(y: Any, p: Floats) -> float:
    """By its definition: pairs in the right order, equal ones half."""
    difference = p[y > 0][:, None] - p[y < 0][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def combined(run: Run) -> Floats:
    """F = (α·Norm(P) + β·Norm(Q))/2, α and β by the sides' separating power."""
    p, q = (1 / (1 + np.exp(-run.half(party, ROUNDS))) for party in ("guest", "host1"))
    power = [auc(run.made.labels, p) - 0.5, auc(run.made.labels, q) - 0.5]
    alpha, beta = (2 * one / sum(power) for one in power)
    return np.asarray((alpha * norm(p) + beta * norm(q)) / 2)


def test_0149_to_0151_0153_to_0158_the_combined_score(run: Run) -> None:
    trained = inline_result(run)
    opened = score(run.made, trained, dataclasses.replace(AGREED, output="scores")).scores
    assert fits(opened, combined(run), 1e-9)
    p, q = (1 / (1 + np.exp(-run.half(party, ROUNDS))) for party in ("guest", "host1"))
    assert not fits(opened, (norm(p) + norm(q)) / 2, 1e-4)  # broken: without α and β
    assert not fits(opened, (p + q) / 2, 1e-3)  # broken: without Norm
    assert sum(run.results["arbiter"].powers) == pytest.approx(2.0)


def test_0154_epsilon_smooths_the_denominator_of_norm() -> None:
    agreed = dataclasses.replace(AGREED, epsilon=0.01, max_iter=1, powers=(1.0, 1.0))
    run = made_run(agreed, parties(N, (2, 3)))
    p, q = (1 / (1 + np.exp(-run.half(party, 1))) for party in ("guest", "host1"))
    smooth = [(one - one.min()) / (one.max() - one.min() + 0.01) for one in (p, q)]
    opened = score(run.made, inline_result(run), dataclasses.replace(agreed, output="scores")).scores
    assert fits(opened, sum(smooth) / 2, 1e-9)
    assert not fits(opened, (norm(p) + norm(q)) / 2, 1e-4)


@pytest.mark.parametrize("tau", [0.01, 0.05, 0.5])
def test_0152_0159_labels_are_positive_above_the_threshold_and_go_to_both_sides(tau: float, run: Run) -> None:
    agreed = dataclasses.replace(AGREED, threshold=tau)
    found = made_run(agreed, run.made)
    expected = np.where(combined(found) > tau, 1, -1)
    np.testing.assert_array_equal(found.results["guest"].train_labels, expected)
    np.testing.assert_array_equal(found.results["host1"].train_labels, expected)
    assert {e.recipient for m, e in found.heard if isinstance(m, ms.ScoreLabels)} == {"guest", "host1"}


# --- Y: the parts of the system ----------------------------------------------------------------------------------


def test_0161_to_0175_local_end_participating_end_and_arbiter_are_programs_that_meet_in_messages_alone(run: Run) -> None:
    """Each is a program of its own; what passes between them is the table of messages, and no more."""
    assert set(run.results) == {"guest", "host1", "arbiter"}
    kinds = {(e.sender, e.recipient, type(m)) for m, e in run.heard}
    assert {(a, b) for a, b, _ in kinds} == {(a, b) for a in run.results for b in run.results if a != b}
    known = {kind for states in steps.TABLE.values() for follow in states.values() for kind in follow}
    assert {kind for _, _, kind in kinds} <= known

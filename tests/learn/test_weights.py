"""Weights of rows: exact sums, the optimum they stand for, rounds that converge to it for any weights, encrypted as in the clear."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import refused, sections, succeeded, write_job, write_tables
from support.runs import Parties, parties, settings, train

from vflfast import VerticalFrame, VerticalLogisticRegression
from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import BoundError, InputError
from vflfast.learn import solver
from vflfast.learn.logistic import cross_entropy, gram
from vflfast.learn.scaling import Scaling
from vflfast.learn.solver import taylor_optimum
from vflfast.learn.weights import RowWeights, check_row_weights, class_weights, combined_weights, in_units, natural_unit
from vflfast.params import MAX_WEIGHT, WEIGHT_UNIT
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.resume import inputs_digest
from vflfast.protocol.settings import Settings
from vflfast.protocol.twin import train_twin

Floats = np.ndarray


def integers(matrix: CodedMatrix) -> Floats:
    """Z as integers, shape (n_rows, n_columns)."""
    return matrix.column_values[np.arange(matrix.n_columns)[:, None], matrix.codes[matrix.column_features]].T


def weighted(made: Parties, weights: Any) -> Parties:
    return Parties(dataclasses.replace(made.guest, row_weights=np.asarray(weights, dtype=np.int64)), made.hosts)


def random_weights(n_rows: int, most: int, seed: int = 5) -> Floats:
    weights = np.random.default_rng(seed).integers(1, most + 1, n_rows)
    weights[0] = most
    return weights


def dense_optimum(matrices: list[CodedMatrix], y: Floats, weights: Floats, alpha: float) -> Floats:
    """The minimiser of Σ w_i·(log 2 − y·u/2 + u²/8)/n + α·Σ(s_j·w_j)²/2, by the normal equations: weights, then the intercept."""
    z = np.hstack([integers(matrix) for matrix in matrices]).astype(float)
    n = len(y)
    x = np.hstack([z, np.ones((n, 1))])
    penalty = alpha * np.append(z.var(axis=0), 0.0)
    return np.linalg.solve((x.T * weights) @ x / (4 * n) + np.diag(penalty), x.T @ (weights * y) / (2 * n))


def of_blocks(blocks: list[Any]) -> Floats:
    """All weights, and the sum of the intercepts."""
    pairs = [block.coefficients() for block in blocks]
    return np.append(np.concatenate([weights for weights, _ in pairs]), sum(intercept for _, intercept in pairs))


# --- sums --------------------------------------------------------------------------------------------------------


def test_the_weighted_gram_matrix_is_exact() -> None:
    matrix = parties(300).hosts[0].matrix
    z = integers(matrix).astype(object)
    for most in (3, MAX_WEIGHT):
        a = random_weights(300, most)
        assert gram(matrix, a).tolist() == ((z.T * a.astype(object)) @ z).tolist()


def test_scaling_centres_by_the_weighted_mean_and_keeps_the_plain_deviation() -> None:
    matrix, a = parties(300).hosts[0].matrix, random_weights(300, 9)
    z = integers(matrix).astype(float)
    scaling = Scaling(matrix, a, 2)
    np.testing.assert_allclose(scaling.mean, np.average(z, axis=0, weights=a), rtol=1e-15)
    np.testing.assert_allclose(scaling.scale, z.std(axis=0), rtol=1e-14)
    x = (z - scaling.mean) / scaling.scale
    np.testing.assert_allclose(scaling.correlations(matrix), (x.T * a) @ x / a.sum(), atol=1e-13)
    g = np.random.default_rng(1).integers(-1000, 1000, 300) * a
    expected = x.T @ g / (4 * 2**8 * 300 * 2)
    np.testing.assert_allclose(scaling.gradient((z.T @ g).astype(int).tolist(), int(g.sum()), 8, 300), expected, atol=1e-13)


def test_the_weighted_loss_is_that_of_repeated_rows() -> None:
    y, a = np.array([1, -1, 1]), np.array([1, 4, 2])
    u = np.array([0.3, -2.0, 5.0])
    assert cross_entropy(u, y, a) == pytest.approx(cross_entropy(np.repeat(u, a), np.repeat(y, a)), rel=1e-15)


# --- weights of classes ------------------------------------------------------------------------------------------


def test_class_weights_are_those_of_scikit_learn() -> None:
    compute = pytest.importorskip("sklearn.utils.class_weight", reason="compared with scikit-learn").compute_sample_weight
    y = np.array([1] * 7 + [-1] * 30)
    for weight in ("balanced", {1: 5, -1: 2}, {1: 2.5, -1: 1}):
        assert class_weights(y, weight).tolist() == compute(weight, y).tolist()
    assert class_weights(y, {1: 3}).tolist() == compute({1: 3, -1: 1}, y).tolist()
    assert set(class_weights(y, None)) == {1.0}


def test_weights_in_units() -> None:
    whole, parts = np.array([1.0, 5.0]), np.array([0.5, 1.0, 3.3, 0.001])
    assert (natural_unit(whole), natural_unit(parts)) == (1, WEIGHT_UNIT)
    assert in_units(whole, 1).tolist() == [1, 5]
    assert in_units(parts, 64).tolist() == [32, 64, 211, 1]
    assert combined_weights(np.array([1, -1], dtype=np.int8), {1: 2}, [3, 4]).tolist() == [6.0, 4.0]
    with pytest.raises(InputError, match="above 1024"):
        in_units(np.array([1024.1, 1.0]), 64)


@pytest.mark.parametrize("wrong", ["even", {2: 1.0}, {1: 0}, {1: -1}, {1: float("nan")}, {1: "x"}, 3, [1, 2]])
def test_wrong_class_weights(wrong: Any) -> None:
    with pytest.raises(InputError) as caught:
        class_weights(np.array([1, -1]), wrong)
    assert caught.value.argument == "class_weight"


@pytest.mark.parametrize("wrong", [[0, 1, 1], [1, 1, 6], [-1, 1, 1], [1, 1], [1.5, 1.0, 1.0], None, [True, True, True], [[1], [1], [1]]])
def test_wrong_row_weights(wrong: Any) -> None:
    with pytest.raises(InputError) as caught:
        check_row_weights(wrong if wrong is None else np.array(wrong), 3, 5)
    assert caught.value.argument == "row_weights"


# --- training ----------------------------------------------------------------------------------------------------


def test_the_optimum_is_that_of_the_normal_equations() -> None:
    made = parties(200)
    a = random_weights(200, 7)
    matrices = [made.guest.matrix, made.hosts[0].matrix]
    weights, intercept = taylor_optimum(matrices, made.labels, 0.01, RowWeights(7, 2, a))
    expected = dense_optimum(matrices, made.labels, a / 2, 0.01)
    np.testing.assert_allclose(np.append(np.concatenate(weights), intercept), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("profile", ["hardened", "patent"])
@pytest.mark.parametrize("columns", [(3, 4), (2, 3, 3)])
@pytest.mark.parametrize("method", ["block-newton", "gd"])
def test_the_rounds_converge_to_it(columns: tuple[int, ...], method: str, profile: str) -> None:
    made = parties(150, columns)
    a = np.where(made.labels > 0, 20, 3)
    agreed = settings(solver=method, max_weight=20, weight_unit=4, alpha=0.01, max_iter=600, frac_bits=36, profile=profile)
    found = of_blocks(train_twin(weighted(made, a).guest, made.hosts, agreed, n_rounds=600))
    expected = dense_optimum([made.guest.matrix, *(host.matrix for host in made.hosts)], made.labels, a / 4, 0.01)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def worst_case() -> tuple[PartyInputs, list[PartyInputs]]:
    """Every party has the same columns, and nearly all weight is on the few rows where they are large."""
    rng = np.random.default_rng(3)
    rare = rng.random(400) < 0.02
    codes = np.where(rare, 4, rng.integers(0, 2, (2, 400))).astype(np.uint8)
    labels = np.where(rng.random(400) < 0.3, 1, -1).astype(np.int8)
    matrix = CodedMatrix(codes, np.full(2, 5))
    guest = PartyInputs(matrix, bytes(32), "bank", labels, row_weights=np.where(rare, 60, 1))
    return guest, [PartyInputs(matrix, bytes(32), name) for name in ("a", "b")]


def objectives(method: str, rounds: tuple[int, ...]) -> list[float]:
    """Σ a·(log 2 − y·u/2 + u²/8)/n + α·|θ|²/2 of the worst case, above its minimum, after each number of rounds."""
    guest, hosts = worst_case()
    agreed = settings(solver=method, max_weight=60, alpha=0.001, frac_bits=36, init="zeros")
    assert guest.labels is not None
    assert guest.row_weights is not None
    z = np.hstack([integers(guest.matrix).astype(float)] * 3)

    def value(w: Floats) -> float:
        u = z @ w[:-1] + w[-1]
        return float((guest.row_weights * (u * u / 8 - guest.labels * u / 2)).mean() + 0.0005 * (z.var(axis=0) * w[:-1] ** 2).sum())

    least = value(dense_optimum([guest.matrix] * 3, guest.labels, guest.row_weights, 0.001))
    return [value(of_blocks(train_twin(guest, hosts, agreed, n_rounds=n))) - least for n in rounds]


@pytest.mark.parametrize("method", ["block-newton", "gd"])
def test_the_worst_weights_and_correlations_do_not_diverge(method: str) -> None:
    """The error falls in the Hessian's norm round after round, whatever the weights: what weights.py derives."""
    above = objectives(method, (1, 2, 3, 5, 10, 40, 200))
    assert all(later < earlier for earlier, later in pairwise(above))
    assert 0 <= above[-1] < 0.05 * above[0]


def test_without_the_bound_on_the_hosts_hessian_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = solver.BlockSolver._curvature
    monkeypatch.setattr(solver.BlockSolver, "_curvature", lambda self, unknown: exact(self, 0.0))
    with pytest.raises(BoundError):  # the predictors leave every bound
        objectives("block-newton", (40,))


@pytest.mark.parametrize(("n_hosts", "changes"), [
    (1, {}), (2, {"profile": "patent"}), (1, {"solver": "gd", "momentum": 0.3, "init": "zeros"}), (1, {"max_weight": MAX_WEIGHT}),
])  # fmt: skip
def test_encrypted_weights_are_the_twins_bit_for_bit(n_hosts: int, changes: dict[str, Any]) -> None:
    made = parties(60, (3,) + (4,) * n_hosts)
    agreed = settings(**{"max_iter": 3, "max_weight": 11, "weight_unit": 2, **changes})
    result = train(weighted(made, random_weights(60, agreed.max_weight)), agreed, verify=True)
    assert result.verified_rounds == 3
    assert result.weight_hash != train(made, settings(**{"max_iter": 3, **changes, "max_weight": 1})).weight_hash


def test_equal_weights_are_no_weights() -> None:
    """All rows at weight 1, whatever the unit: the same optimum, though the host, who cannot know, goes there more slowly."""
    made = parties(120)
    plain = settings(alpha=0.01, max_iter=400, frac_bits=36)
    agreed = dataclasses.replace(plain, max_weight=8, weight_unit=4)
    np.testing.assert_allclose(
        of_blocks(train_twin(made.guest, made.hosts, agreed, n_rounds=400)),
        of_blocks(train_twin(made.guest, made.hosts, plain, n_rounds=400)), atol=1e-6,
    )  # fmt: skip


def test_a_weight_above_the_agreed_is_refused() -> None:
    made = parties(30)
    for agreed in (settings(), settings(max_weight=4)):
        with pytest.raises(InputError, match="max_weight"):
            train(weighted(made, random_weights(30, 5)), agreed)


def test_weights_belong_to_the_checkpoints() -> None:
    made = parties(30)
    one, other = (weighted(made, random_weights(30, 5, seed)).guest for seed in (1, 2))
    assert len({inputs_digest(inputs, settings(max_weight=5)) for inputs in (made.guest, one, other)}) == 3


@pytest.mark.parametrize(("changes", "name"), [
    ({"max_weight": 0}, "max_weight"), ({"max_weight": MAX_WEIGHT + 1}, "max_weight"), ({"weight_unit": 2}, "weight_unit"),
    ({"max_weight": 4, "weight_unit": 5}, "weight_unit"), ({"max_weight": 2, "n_batches": 2}, "n_batches"),
    ({"max_weight": 2, "row_packing": 2}, "row_packing"), ({"max_weight": MAX_WEIGHT, "frac_bits": 40}, "max_weight"),
])  # fmt: skip
def test_settings_that_do_not_go_together(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(**changes)
    assert caught.value.argument == name


# --- the estimator and the job file ------------------------------------------------------------------------------


def tables(n_rows: int = 900, seed: int = 2) -> tuple[VerticalFrame, pd.Series]:
    rng = np.random.default_rng(seed)
    parts = [pd.DataFrame(rng.normal(size=(n_rows, count)), columns=[f"c{k}" for k in range(count)]) for count in (3, 4)]
    u = parts[0].sum(axis=1) + parts[1].sum(axis=1) + rng.logistic(size=n_rows)
    return VerticalFrame(*parts), pd.Series((u > u.quantile(0.9)).astype(int))


def fitted(**options: Any) -> VerticalLogisticRegression:
    X, y = tables()
    fit = {name: options.pop(name) for name in ("sample_weight",) if name in options}
    return VerticalLogisticRegression(alpha=0.01, encrypted=False, max_iter=150, tol=0.0, **options).fit(X, y, **fit)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 6}])
def test_class_weights_of_the_estimator_reach_the_weighted_optimum(class_weight: Any) -> None:
    model = fitted(class_weight=class_weight, settings=Settings(residual="taylor", solver="block-newton"))
    X, y = tables()
    matrices = [model.parties_[name].binner.transform(table) for name, table in read(model, X).items()]
    labels = np.where(y.to_numpy() == 1, 1, -1)
    weights = class_weights(labels, class_weight if isinstance(class_weight, str) else {-1: 1, 1: 6})
    expected = dense_optimum(matrices, labels, weights, 0.01)
    found = np.append(np.concatenate([model.coef_[name].to_numpy() for name in model.parties_]), sum(model.intercept_.values()))
    np.testing.assert_allclose(found, expected, atol=0.02)  # "balanced" is kept to 1/64
    plain = dense_optimum(matrices, labels, np.ones(len(labels)), 0.01)
    assert np.abs(found - plain).max() > 0.5  # it is another model than without


def read(model: VerticalLogisticRegression, X: VerticalFrame) -> dict[str, Any]:
    from vflfast.estimator.frame import feature_table

    return {name: feature_table(part, name, {}) for name, part in X.parts.items()}


def test_balanced_weights_bring_the_scores_of_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="compared with scikit-learn")
    model = fitted(class_weight="balanced")
    X, y = tables()
    z = np.hstack([integers(model.parties_[n].binner.transform(t)) for n, t in read(model, X).items()]).astype(float)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    theirs = linear.LogisticRegression(C=1 / (0.01 * len(y)), class_weight="balanced").fit(z, y).decision_function(z)
    ours = model.decision_function(X, side="joint").to_numpy()
    assert np.sqrt(((ours - theirs) ** 2).mean()) < 0.05
    without = fitted().decision_function(X, side="joint").to_numpy()
    assert (without > 0).mean() < 0.5 * (ours > 0).mean()  # balanced: as many are above ½ as rows of both classes weigh the same


def test_sample_weights_multiply_class_weights() -> None:
    y = tables()[1].to_numpy()
    by_class = fitted(class_weight={1: 6})
    by_row = fitted(sample_weight=np.where(y == 1, 6, 1))
    both = fitted(class_weight={1: 3}, sample_weight=np.where(y == 1, 2, 1))
    for other in (by_row, both):
        assert all((by_class.coef_[name] == other.coef_[name]).all() for name in by_class.coef_)


@pytest.mark.parametrize("options", [
    {"class_weight": "even"}, {"class_weight": {7: 1}}, {"class_weight": {1: 2000.5}}, {"sample_weight": [1, 2]},
    {"sample_weight": [0] * 900}, {"sample_weight": [0.5] * 900},
])  # fmt: skip
def test_the_estimator_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        fitted(**options)


def test_a_job_with_class_weights(tmp_path: Path) -> None:
    write_tables(tmp_path)

    def job(class_weight: Any, **agreed: Any) -> Path:
        data = sections(tmp_path)
        data["guest"]["class_weight"] = class_weight
        data["settings"] |= agreed
        return write_job(tmp_path, data)

    succeeded("train", job({"0": 1, "1": 3}, max_weight=3), "--models", tmp_path / "m", "--verify")
    succeeded("train", job("balanced", max_weight=96, weight_unit=64), "--models", tmp_path / "m", "--verify")
    assert "max_weight" in refused("train", job({"1": 3}, max_weight=2), "--models", tmp_path / "m")
    assert "class_weight" in refused("train", job({"yes": 3}, max_weight=3), "--models", tmp_path / "m")
    data = sections(tmp_path)
    data["hosts"][0]["class_weight"] = "balanced"
    assert "class_weight" in refused("train", write_job(tmp_path, data), "--models", tmp_path / "m")

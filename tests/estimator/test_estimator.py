"""The estimator keeps scikit-learn's manners, and is the protocol: encrypted, twin and saved models give the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.estimators import estimator
from support.jobs import sections, succeeded, vflfast, write_job, write_tables
from support.trials import GUEST, HOST, N_ROWS, SECOND, X, Y, plain

from vflfast import InputError, VerticalFrame, VerticalLogisticRegression, VflError
from vflfast.errors import DataError, ModelError
from vflfast.estimator.frame import feature_table
from vflfast.learn import metrics
from vflfast.learn.logistic import sigmoid


@pytest.fixture(scope="module")
def fitted() -> VerticalLogisticRegression:
    return plain().fit(X[:160], Y, X[160:], Y)


# --- VerticalFrame -----------------------------------------------------------------------------------------------


def test_the_frame_aligns_by_customer() -> None:
    frame = VerticalFrame(GUEST.iloc[10:], {"shop": HOST.drop(index="c050"), "phone": SECOND})
    assert len(frame) == N_ROWS - 11
    assert frame.index.tolist() == [name for name in GUEST.index[10:] if name != "c050"]
    assert frame.n_dropped == {"guest": 1, "shop": 10, "phone": 11}
    assert frame.hosts == ("shop", "phone")
    assert frame.shape == (N_ROWS - 11, 5)
    for name, whole in (("guest", GUEST), ("shop", HOST), ("phone", SECOND)):
        pd.testing.assert_frame_equal(frame.parts[name], whole.loc[frame.index])


def test_the_frame_takes_an_id_column() -> None:
    frame = VerticalFrame(GUEST.reset_index(names="phone"), HOST.reset_index(names="phone"), on="phone")
    pd.testing.assert_frame_equal(frame.parts["host1"], X.parts["host1"], check_names=False)


@pytest.mark.parametrize("rows", [slice(3, 9), [5, 2, 7], np.arange(N_ROWS) % 7 == 0, pd.Series([1, 0]).to_numpy(), np.array([-1])])
def test_rows_of_a_frame(rows: Any) -> None:
    taken = X[rows]
    assert taken.index.tolist() == GUEST.index[rows].tolist()
    assert all(part.index.equals(taken.index) for part in taken.parts.values())
    assert X.take(rows).index.equals(taken.index)


@pytest.mark.parametrize("rows", [N_ROWS, "a", [], [1, 1], None, (0, 1), slice(0, 0), [1.5], np.zeros(N_ROWS, bool)])
def test_rows_that_are_none_are_refused(rows: Any) -> None:
    with pytest.raises(InputError, match="rows"):
        X[rows]


@pytest.mark.parametrize(
    ("guest", "host", "on", "named"),
    [
        (None, HOST, None, "guest"), (GUEST, None, None, "host1"), (GUEST, {}, None, "host"), (GUEST, {"guest": HOST}, None, "host"),
        (GUEST, {3: HOST}, None, "host"), (GUEST, {"a": HOST, "b": 3}, None, "b"), (GUEST, HOST, "nothing", "nothing"),
        (GUEST, HOST.set_axis(range(N_ROWS)), None, "host"), (pd.concat([GUEST, GUEST[:1]]), HOST, None, "guest"),
        (GUEST.set_axis([None, *GUEST.index[1:]]), HOST, None, "guest"), (GUEST[[]], HOST, None, "guest"),
        (GUEST.set_axis(["a", "a"], axis=1), HOST, None, "guest"), (GUEST, {"combined": HOST}, None, "host"),
    ],
)  # fmt: skip
def test_a_frame_of_something_else_is_refused(guest: Any, host: Any, on: Any, named: str) -> None:
    with pytest.raises(InputError) as caught:
        VerticalFrame(guest, host, on=on)
    assert caught.value.argument == named
    assert "c000" not in str(caught.value)


def test_a_feature_may_have_any_name() -> None:
    table = feature_table(pd.DataFrame({"row": [1, 2], "label": [3, 4], "row_": [5, 6]}), "guest", {}, [0, 1])
    assert list(table.kinds) == ["row", "label", "row_"]
    assert table.labels is not None
    assert table.labels.tolist() == [-1, 1]


# --- the same numbers --------------------------------------------------------------------------------------------


def test_the_encrypted_fit_is_the_twin_bit_for_bit(fitted: VerticalLogisticRegression) -> None:
    encrypted = estimator(max_iter=3, verify=True).fit(X[:160], Y, X[160:], Y)
    assert encrypted.verified_rounds_ == 3
    assert encrypted.intercept_ == fitted.intercept_
    assert encrypted.loss_curve_ == fitted.loss_curve_
    for name, weights in fitted.coef_.items():
        assert weights.tolist() == encrypted.coef_[name].tolist()
    pd.testing.assert_frame_equal(encrypted.validation_curve_, fitted.validation_curve_)
    assert encrypted.thresholds_ == pytest.approx(fitted.thresholds_, abs=1e-9)
    assert encrypted.arbiter_.powers == fitted.arbiter_.powers
    assert encrypted.arbiter_.flagged_share == fitted.arbiter_.flagged_share


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": "patent"}, {"solver": "gd", "momentum": 0.5}, {"encoding": "onehot"}, {"threshold": "ks"},
        {"threshold": "ks", "norm": "zscore", "scoring": "combined"}, {"threshold": 0.4}, {"residual": "taylor"},
        {"solver": "block-newton"}, {"host_woe": True, "encoding": "woe"}, {"n_batches": 2}, {"profile": "patent", "powers": (1.0, 3.0)},
    ],
)  # fmt: skip
def test_every_setting_reaches_both(changes: dict[str, Any]) -> None:
    encrypted, twin = (plain(**changes, encrypted=flag, max_iter=2).fit(X, Y) for flag in (True, False))
    for name, weights in twin.coef_.items():
        assert weights.tolist() == encrypted.coef_[name].tolist()
        assert weights.any()
    assert encrypted.thresholds_ == pytest.approx(twin.thresholds_, abs=1e-9)
    assert encrypted.arbiter_.powers == pytest.approx(twin.arbiter_.powers)
    np.testing.assert_array_equal(encrypted.decision_function(X), twin.decision_function(X))


def test_several_hosts() -> None:
    frame = VerticalFrame(GUEST, {"shop": HOST, "phone": SECOND})
    model = plain().fit(frame, Y)
    assert list(model.coef_) == ["guest", "shop", "phone"]
    assert [party.role for party in model.parties_.values()] == ["guest", "host1", "host2"]
    single = [model.decision_function(frame, side=side) for side in ("guest", "shop", "phone")]
    np.testing.assert_allclose(model.decision_function(frame), sum(single))
    np.testing.assert_allclose(model.decision_function(frame, side="host"), single[1] + single[2])
    assert metrics.roc_auc(2 * Y - 1, model.decision_function(frame)) > metrics.roc_auc(2 * Y - 1, plain().fit(X, Y).decision_function(X))


# --- what fit leaves ---------------------------------------------------------------------------------------------


def test_what_fit_leaves(fitted: VerticalLogisticRegression) -> None:
    assert fitted.n_iter_ == 3
    assert fitted.classes_.tolist() == [0, 1]
    assert fitted.coef_["guest"].index.tolist() == fitted.parties_["guest"].binner.column_names
    assert fitted.feature_names_in_.tolist() == ["guest__age", "guest__trade", "host1__spend", "host1__shop"] == X.feature_names
    assert fitted.n_features_in_ == 4
    assert {name: len(curve) for name, curve in fitted.loss_curve_.items()} == {"guest": 3, "host1": 3}
    assert fitted.verified_rounds_ is None


def test_the_validation_curve_ends_with_the_model(fitted: VerticalLogisticRegression) -> None:
    curve, signs = fitted.validation_curve_, 2 * Y[160:] - 1
    assert curve is not None
    assert curve.index.tolist() == [1, 2, 3]
    assert curve["auc"].iloc[-1] == metrics.roc_auc(signs, fitted.decision_function(X[160:]))
    assert curve["ks"].iloc[-1] == metrics.ks(signs, fitted.decision_function(X[160:]))
    shorter = plain(max_iter=2).fit(X[:160], Y, X[160:], Y).validation_curve_
    pd.testing.assert_frame_equal(curve.iloc[:2], shorter)


@pytest.mark.parametrize("labels", [Y, Y.astype(bool), 2 * Y - 1, Y.sample(frac=1, random_state=3), Y.to_numpy(), Y.tolist()])
def test_labels_come_in_any_coding(labels: Any) -> None:
    model = plain().fit(X, labels)
    assert model.coef_["guest"].tolist() == plain().fit(X, Y).coef_["guest"].tolist()
    given = set(labels.tolist() if hasattr(labels, "tolist") else labels)
    assert set(model.predict(X).tolist()) == given
    assert model.classes_.tolist() == sorted(given)


def test_the_index_is_kept(fitted: VerticalLogisticRegression) -> None:
    held = X[160:]
    for values in (fitted.decision_function(held), fitted.predict_proba(held), fitted.predict(held), fitted.combined_score(held)):
        assert values.index.equals(held.index)
    chances = fitted.predict_proba(held)
    assert chances.columns.tolist() == [0, 1]
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    np.testing.assert_allclose(chances[1], sigmoid(fitted.decision_function(held)))


def test_arrays_on_request(fitted: VerticalLogisticRegression) -> None:
    other = plain(as_frame=False).fit(X[:160], Y)
    for name in ("decision_function", "predict_proba", "predict", "combined_score"):
        values = getattr(other, name)(X)
        assert isinstance(values, np.ndarray)
        np.testing.assert_array_equal(values, getattr(fitted, name)(X))


def test_one_sides_frame_will_do(fitted: VerticalLogisticRegression) -> None:
    for side, part in (("guest", GUEST), ("host1", HOST), ("host", HOST)):
        alone = fitted.decision_function(part, side=side)
        assert alone.index.equals(part.index)
        pd.testing.assert_series_equal(alone.loc[X.index], fitted.decision_function(X, side=side))


def test_predict_is_the_threshold_of_its_side(fitted: VerticalLogisticRegression) -> None:
    for side in ("joint", "guest", "host"):
        expected = (fitted.predict_proba(X, side=side)[1] > fitted.thresholds_[side]).astype(int)
        assert fitted.predict(X, side=side).tolist() == expected.tolist()
    combined = fitted.predict(X, side="combined")
    assert combined.tolist() == (fitted.combined_score(X) > fitted.thresholds_["combined"]).astype(int).tolist()
    assert fitted.score(X, Y) == (fitted.predict(X) == Y).mean()
    train = X[:160]
    assert fitted.predict(train).mean() == pytest.approx(Y[:160].mean(), abs=0.02)  # the quota is the base rate


def test_calibration(fitted: VerticalLogisticRegression) -> None:
    model = plain().fit(X[:160], Y)
    held = X[160:]
    assert model.calibrate(held, Y, by="quota", value=0.25) == model.thresholds_["joint"]
    assert model.predict(held).mean() == 0.25
    model.calibrate(held, Y, by="precision", value=0.9)
    assert Y[160:][model.predict(held) == 1].mean() >= 0.9
    model.calibrate(held, Y, by="ks", side="combined")
    flags, signs = model.predict(held, side="combined"), Y[160:]
    assert flags[signs == 1].mean() - flags[signs == 0].mean() == pytest.approx(metrics.ks(2 * signs - 1, model.combined_score(held)))
    with pytest.raises(InputError, match="value"):
        model.calibrate(held, Y, by="quota", value=2)


def test_a_threshold_that_no_side_reaches() -> None:
    """A precision of 1 is there for all together, not for the noise of one side alone."""
    noise = HOST.assign(spend=np.random.default_rng(0).integers(0, 2, N_ROWS), shop="x")
    model = plain(threshold="precision", threshold_value=0.95).fit(VerticalFrame(GUEST.assign(age=Y + 0.0), noise), Y)
    assert np.isnan(model.thresholds_["host"])
    with pytest.raises(ModelError, match="calibrate"):
        model.predict(VerticalFrame(GUEST, noise), side="host")


# --- going on ----------------------------------------------------------------------------------------------------


def test_partial_fits_are_the_rounds_of_one_fit() -> None:
    """Round by round from the last weights; only float rounding of weights ↔ standardised weights lies between.

    With block-Newton, whose step needs no memory of earlier ones.
    """
    model = plain(solver="block-newton")
    for rounds in (1, 2, 1):
        model.partial_fit(X, Y, n_rounds=rounds)
    whole = plain(solver="block-newton", max_iter=4).fit(X, Y)
    assert model.n_iter_ == 4
    for name, weights in whole.coef_.items():
        np.testing.assert_allclose(model.coef_[name], weights, rtol=1e-6)
        np.testing.assert_allclose(model.loss_curve_[name], whole.loss_curve_[name], rtol=1e-6)
    np.testing.assert_allclose(model.decision_function(X), whole.decision_function(X), atol=1e-6)


def test_warm_start_keeps_bins_and_weights(fitted: VerticalLogisticRegression) -> None:
    model = plain(warm_start=True, max_iter=2).fit(X, Y)
    before, bins = model.loss_curve_["guest"], model.parties_["guest"].binner
    model.fit(X[:200], Y)
    assert model.n_iter_ == 4
    assert model.loss_curve_["guest"][:2] == before
    assert model.parties_["guest"].binner == bins
    cold = plain(max_iter=2).fit(X, Y).fit(X[:200], Y)
    assert cold.n_iter_ == 2
    assert cold.parties_["guest"].binner != bins


def test_a_warm_encrypted_fit_is_the_twin() -> None:
    models = [plain(warm_start=True, max_iter=1, encrypted=flag, verify=flag).fit(X[:160], Y).fit(X, Y) for flag in (True, False)]
    assert models[0].intercept_ == models[1].intercept_
    assert models[0].coef_["host1"].tolist() == models[1].coef_["host1"].tolist()
    assert models[0].verified_rounds_ == 1


def test_going_on_with_other_parties_is_refused() -> None:
    model = plain(warm_start=True).fit(X, Y)
    with pytest.raises(InputError, match="shop"):
        model.fit(VerticalFrame(GUEST, {"shop": HOST}), Y)
    with pytest.raises(DataError, match="trade"):
        model.fit(VerticalFrame(GUEST[["age"]], HOST), Y)


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "labels", "named"),
    [
        (GUEST, Y, "X"), (None, Y, "X"), (X, None, "y"), (X, Y.to_frame(), "y"), (X, Y[:-1], "y"), (X, Y.to_numpy()[:-1], "y"),
        (X, "01", "y"), (X, pd.concat([Y, Y[:1]]), "y"), (X, Y * 0, "y"), (X, Y + 1, "y"), (X, Y.astype(float).where(Y > 0), "y"),
        (X, 3, "y"),
        (VerticalFrame(GUEST.assign(age="x").assign(age=lambda f: f["age"].astype(object).mask(f["trade"] == "a", 1j)), HOST), Y, "age"),
    ],
)  # fmt: skip
def test_bad_data_is_refused_in_fit(frame: Any, labels: Any, named: str) -> None:
    with pytest.raises(VflError) as caught:
        plain().fit(frame, labels)
    assert isinstance(caught.value, InputError)
    assert caught.value.argument == named


def test_bad_validation_data_is_refused() -> None:
    for held, labels, named in ((X, None, "y_val"), (None, Y, "X_val"), (GUEST, Y, "X_val"), (X, Y[:-1], "y_val"),
                                (VerticalFrame(GUEST, {"shop": HOST}), Y, "X_val")):  # fmt: skip
        with pytest.raises(InputError) as caught:
            plain().fit(X, Y, held, labels)
        assert caught.value.argument == named


def test_bad_requests_are_refused(fitted: VerticalLogisticRegression) -> None:
    for name in ("decision_function", "predict_proba", "predict", "combined_score"):
        with pytest.raises(ModelError, match="not fitted"):
            getattr(plain(), name)(X)
        with pytest.raises(InputError, match="X"):
            getattr(fitted, name)(GUEST)
    for side in ("left", "host2", None, ["guest"], "arbiter"):
        with pytest.raises(InputError, match="side"):
            fitted.decision_function(X, side=side)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="host1"):
        fitted.decision_function(VerticalFrame(GUEST, {"shop": HOST}))
    with pytest.raises(DataError, match="age"):
        fitted.decision_function(GUEST[["trade"]], side="guest")
    with pytest.raises(DataError, match="extra"):
        fitted.decision_function(GUEST.assign(extra=1), side="guest")
    with pytest.raises(InputError, match="X"):
        fitted.score(GUEST, Y)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not fitted"):
        plain().save("nowhere")


# --- files -------------------------------------------------------------------------------------------------------


def test_save_and_load(fitted: VerticalLogisticRegression, tmp_path: Path) -> None:
    paths = fitted.save(tmp_path / "models")
    assert sorted(path.name for path in paths) == ["arbiter.json", "estimator.json", "guest.json", "host1.json"]
    loaded = VerticalLogisticRegression.load(tmp_path / "models")
    assert loaded.get_params() == fitted.get_params()
    for name in ("classes_", "n_iter_", "loss_curve_", "intercept_", "thresholds_", "n_features_in_"):
        assert np.all(getattr(loaded, name) == getattr(fitted, name)), name
    pd.testing.assert_frame_equal(loaded.validation_curve_, fitted.validation_curve_)
    for name in ("decision_function", "predict_proba", "predict", "combined_score"):
        assert getattr(loaded, name)(X).equals(getattr(fitted, name)(X))
    loaded.set_params(warm_start=True).fit(X, Y)
    assert loaded.n_iter_ == 6


def test_names_of_hosts_and_powers_are_saved(tmp_path: Path) -> None:
    frame = VerticalFrame(GUEST, {"shop": HOST, "phone": SECOND})
    model = plain(scoring="combined", powers=(1.0, 2.0, 1.0), overrides={"age": "five"}).fit(frame, Y.astype(bool))
    model.save(tmp_path)
    loaded = VerticalLogisticRegression.load(tmp_path)
    assert loaded.get_params() == model.get_params()
    assert loaded.predict(frame).equals(model.predict(frame))
    assert loaded.validation_curve_ is None


def test_models_of_the_command_line_can_be_loaded_and_the_other_way_round(tmp_path: Path) -> None:
    write_tables(tmp_path)
    job = write_job(tmp_path, sections(tmp_path))
    succeeded("train", job, "--models", tmp_path / "models")
    loaded = VerticalLogisticRegression.load(tmp_path / "models")
    frames = [pd.read_csv(tmp_path / f"{name}.csv") for name in ("guest", "host1")]
    frame = VerticalFrame(frames[0].drop(columns="bought"), frames[1], on="customer")
    chances = loaded.predict_proba(frame)[1]
    succeeded("score", job, "--models", tmp_path / "models", "--output", "probability", "--out", tmp_path / "labels.csv")
    scored = pd.read_csv(tmp_path / "labels.csv", index_col="id").loc[chances.index]
    np.testing.assert_allclose(scored["joint_probability"], chances, atol=1e-6)
    assert scored["label"].tolist() == loaded.predict(frame).tolist()
    with pytest.raises(ModelError, match="calibrate"):
        loaded.predict(frame, side="combined")
    loaded.save(tmp_path / "again")
    assert vflfast("score", job, "--models", tmp_path / "again", "--out", tmp_path / "again.csv").exit_code == 0


def damage(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"session": "0" * 64}, {"params": {"alpha": -1}}, {"params": {"beta": 1}}, {"params": 3}, {"parties": ["guest"]}, {"classes": [0]},
        {"parties": ["a", "b"]}, {"thresholds": []}, {"thresholds": {"joint": "x"}}, {"loss_curve": {}}, {"n_iter": None},
        {"validation_curve": {"auc": [1]}}, {"more": 1}, {"n_iter": "many"},
    ],
)  # fmt: skip
def test_a_damaged_estimator_file_is_refused(changes: dict[str, Any], fitted: VerticalLogisticRegression, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    damage(tmp_path / "estimator.json", **changes)
    with pytest.raises(ModelError):
        VerticalLogisticRegression.load(tmp_path)


def test_files_that_are_not_there_or_do_not_belong_together(fitted: VerticalLogisticRegression, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        VerticalLogisticRegression.load(tmp_path)
    fitted.save(tmp_path)
    plain().fit(X, Y).save(tmp_path / "other")
    (tmp_path / "host1.json").write_text((tmp_path / "other/host1.json").read_text())
    with pytest.raises(ModelError, match="different training runs"):
        VerticalLogisticRegression.load(tmp_path)
    damage(tmp_path / "guest.json", intercept=0.5)
    with pytest.raises(ModelError, match="weight_hash"):
        VerticalLogisticRegression.load(tmp_path)

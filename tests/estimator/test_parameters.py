"""The estimator's parameters: scikit-learn's tools, the settings among them, values out of range."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from support.estimators import estimator
from support.trials import N_ROWS, X, Y, plain

from vflfast import InputError, Settings, VerticalLogisticRegression
from vflfast.estimator.parameters import DEFAULTS, SHARED
from vflfast.learn import metrics


@pytest.fixture(scope="module")
def fitted() -> VerticalLogisticRegression:
    return plain().fit(X[:160], Y, X[160:], Y)


# --- scikit-learn ------------------------------------------------------------------------------------------------


def test_parameters_by_name() -> None:
    model = plain(alpha=0.5)
    params = model.get_params(deep=False)
    assert params["alpha"] == 0.5
    assert set(params) == set(inspect.signature(VerticalLogisticRegression.__init__).parameters) - {"self"}
    assert model.set_params(alpha=0.1, encoding="woe") is model
    assert model.get_params(deep=False) == {**params, "alpha": 0.1, "encoding": "woe"}
    with pytest.raises(InputError, match="beta"):
        model.set_params(alpha=9.0, beta=1)
    assert model.alpha == 0.1
    shown = VerticalLogisticRegression(alpha=2.0, settings=Settings(key_bits=3072))
    assert repr(shown) == "VerticalLogisticRegression(alpha=2.0, settings=Settings(key_bits=3072))"


def test_there_are_few_enough_to_read() -> None:
    assert len(VerticalLogisticRegression().get_params()) <= 20


def test_parameters_are_kept_as_given() -> None:
    """`__init__` checks nothing."""
    odd = VerticalLogisticRegression(alpha="much", max_iter=-3, settings=7)  # type: ignore[arg-type]
    assert (odd.alpha, odd.max_iter, odd.settings) == ("much", -3, 7)


def test_what_is_a_setting_too_has_its_default() -> None:
    params = VerticalLogisticRegression().get_params()
    assert {name: params[name] for name in SHARED} == {name: DEFAULTS[name] for name in SHARED}
    assert VerticalLogisticRegression().protocol_settings() == Settings(simulation=True)


# --- settings ----------------------------------------------------------------------------------------------------


def test_fields_of_the_settings_are_parameters() -> None:
    model = plain(scoring="combined", norm="rank")
    params = model.get_params()
    assert params["settings__norm"] == "rank"
    assert {name for name in params if "__" in name} == {f"settings__{field.name}" for field in dataclasses.fields(Settings)}
    before = model.settings
    model.set_params(settings__norm="zscore", settings__momentum=0.5, settings__solver="gd")
    assert model.settings == before.changed(norm="zscore", momentum=0.5, solver="gd")  # type: ignore[union-attr]
    assert (before.stop, model.settings.stop) == ("move", "loss")  # type: ignore[union-attr]
    assert before.norm == "rank"  # type: ignore[union-attr]
    model.set_params(settings=Settings(key_bits=3072), settings__profile="patent", settings__norm="rank")
    assert model.settings == Settings(key_bits=3072, profile="patent", norm="rank")
    assert model.settings.residual == "taylor"


def test_without_settings_their_fields_can_be_set() -> None:
    model = VerticalLogisticRegression().set_params(settings__key_bits=3072)
    assert model.settings == Settings(key_bits=3072)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"settings__beta": 1}, "settings__beta"), ({"alpha__x": 1}, "alpha"), ({"settings__norm": "l2"}, "norm"),
        ({"other__x": 1}, "other__x"),
    ],
)  # fmt: skip
def test_a_field_that_there_is_not_is_refused(params: dict[str, Any], named: str) -> None:
    model = plain()
    before = model.get_params()
    with pytest.raises(InputError) as caught:
        model.set_params(**params)
    assert caught.value.argument == named
    assert model.get_params() == before


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.5), ("tol", 1e-3), ("n_iter_no_change", 2), ("max_iter", 7), ("threshold", "ks")])
def test_a_parameter_may_be_given_in_the_settings_instead(name: str, value: Any) -> None:
    here = VerticalLogisticRegression(**{name: value})
    there = VerticalLogisticRegression(settings=Settings(**{name: value}))
    both = VerticalLogisticRegression(**{name: value}, settings=Settings(**{name: value}))
    assert getattr(here.protocol_settings(), name) == value
    assert here.protocol_settings() == there.protocol_settings() == both.protocol_settings()


def test_two_values_for_one_setting_are_refused() -> None:
    with pytest.raises(InputError, match=r"0\.5 here and 0\.1 in settings\.alpha") as caught:
        VerticalLogisticRegression(alpha=0.5, settings=Settings(alpha=0.1)).fit(X, Y)
    assert caught.value.argument == "alpha"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(output="probability"), "settings.output"), (Settings(max_iter=9), "max_iter"),
        (Settings(max_weight=3), "settings.max_weight"), ({"alpha": 1.0}, "settings"), ("hardened", "settings"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_a_trial_cannot_use_are_refused(settings: Any, named: str) -> None:
    with pytest.raises(InputError) as caught:
        VerticalLogisticRegression(settings=settings, max_iter=3 if named == "max_iter" else None).fit(X, Y)
    assert caught.value.argument == named


# --- scikit-learn ------------------------------------------------------------------------------------------------


def test_scikit_learn_clones_it(fitted: VerticalLogisticRegression) -> None:
    from sklearn.base import clone, is_classifier
    from sklearn.utils.validation import check_is_fitted

    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "coef_")
    assert is_classifier(copy)
    check_is_fitted(fitted)
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(copy)


@pytest.mark.parametrize(("scoring", "as_frame"), [(None, True), ("roc_auc", True), ("f1", True), ("neg_log_loss", False)])
def test_cross_validation(scoring: str | None, as_frame: bool) -> None:
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(3)
    scores = cross_val_score(plain(as_frame=as_frame), X, Y, cv=folds, scoring=scoring, error_score="raise")
    expected = []
    for train, test in folds.split(X, Y):
        model = plain().fit(X[train], Y.iloc[train])
        expected.append(metrics.roc_auc(2 * Y.iloc[test] - 1, model.decision_function(X[test])))
    assert len(scores) == 3
    assert scoring != "roc_auc" or scores.tolist() == pytest.approx(expected)
    assert all(score > 0.6 for score in scores) or scoring == "neg_log_loss"


def test_grid_search_and_calibration() -> None:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import GridSearchCV

    grid = {"alpha": [0.01, 50.0], "numeric": ["bins", "five"]}
    search = GridSearchCV(plain(), grid, cv=2, scoring="roc_auc", error_score="raise").fit(X, Y)
    assert search.best_params_["alpha"] == 0.01
    assert search.best_estimator_.n_iter_ == 3
    inner = {"settings__alpha": [0.01, 50.0], "settings__norm": ["rank"]}
    search = GridSearchCV(plain(scoring="combined"), inner, cv=2, scoring="roc_auc", error_score="raise").fit(X, Y)
    assert search.best_params_["settings__alpha"] == 0.01
    assert search.best_estimator_.protocol_settings().norm == "rank"
    calibrated = CalibratedClassifierCV(plain(as_frame=False), cv=2).fit(X, Y.to_numpy())
    assert calibrated.predict_proba(X).shape == (N_ROWS, 2)


# --- bad input ---------------------------------------------------------------------------------------------------

BAD_PARAMETERS: list[tuple[str, Any]] = [
    ("max_iter", 0), ("max_iter", True), ("tol", -1.0), ("alpha", "much"), ("alpha", float("nan")), ("solver", "adam"), ("key_bits", 1000),
    ("step", 0.1), ("norm", "l2"), ("threshold", "f1"), ("threshold_value", 2.0), ("powers", [1.0]), ("numeric", "ten"), ("max_levels", 0),
    ("kinds", ["age"]), ("kinds", {"nobody": "numeric"}), ("kinds", {"age": "text"}), ("overrides", {"nobody": "five"}),
    ("overrides", {"age": "ten"}), ("overrides", 3), ("date_format", "day"), ("observation_date", "soon"), ("as_frame", "yes"),
    ("warm_start", None), ("encrypted", 1), ("verify", "no"), ("encoding", "hash"), ("min_class_size", 0), ("init", None),
    ("momentum", 1.0), ("n_batches", 0), ("frac_bits", 99), ("epsilon", -1.0), ("predictor_bound", 0.0), ("profile", "open"),
    ("n_iter_no_change", 0),
    ("host_woe", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS, ids=[f"{name}-{value}" for name, value in BAD_PARAMETERS])
def test_a_bad_parameter_is_refused(name: str, value: Any) -> None:
    """A parameter in `fit`, a setting already where it is given."""
    with pytest.raises(InputError) as caught:
        estimator(**{"encrypted": False, "test_key": name != "key_bits", name: value}).fit(X, Y)
    assert caught.value.argument == name

"""Settings: every unusable value is refused by the name of its setting; what parties exchange compares exactly."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any

import numpy as np
import pytest

from vflfast.errors import InputError
from vflfast.params import DEFAULT_MAX_ITER, DEFAULT_MOVING_ITER, DEFAULT_N_ITER_NO_CHANGE, DEFAULT_TOL, KEY_BITS, MAX_WEIGHT
from vflfast.protocol.settings import NORMS, OUTPUTS, PROFILES, SCORINGS, SOLVERS, THRESHOLDS, Settings

NOT_A_CHOICE: list[Any] = [None, "", "other", 1, True, ["hardened"], b"labels"]
NOT_A_FLAG: list[Any] = [None, 0, 1, "true", np.True_, []]
NOT_WHOLE: list[Any] = [None, "3", 3.0, True, False, math.nan, [1], np.array([1])]
NOT_REAL: list[Any] = [None, "0.5", True, math.nan, math.inf, -math.inf, [1.0], 1j, np.array([1.0, 2.0])]

COMBINED: dict[str, Any] = {"scoring": "combined"}

BAD: list[tuple[str, Any, dict[str, Any]]] = [
    *((name, value, COMBINED) for name in ("profile", "init", "norm", "output", "privacy") for value in NOT_A_CHOICE),
    *((name, value, {}) for name in ("solver", "residual", "stop", "scoring") for value in NOT_A_CHOICE[1:]),  # None: by the profile
    *((name, value, {}) for name in ("test_key", "host_woe", "simulation", "allow_wide", "inference") for value in NOT_A_FLAG),
    *((name, value, {}) for name in ("key_bits", "n_iter_no_change") for value in NOT_WHOLE),
    *((name, value, {}) for name in ("max_iter", "frac_bits") for value in NOT_WHOLE[1:]),
    *(("scheme", value, {}) for value in ("rsa", "", None, 1)),
    *((name, value, {}) for name in ("n_batches", "row_packing", "max_weight", "weight_unit") for value in NOT_WHOLE),
    *((name, value, {}) for name in ("predictor_bound", "tol", "opening_noise", "test_share") for value in NOT_REAL),
    *(("momentum", value, {"solver": "gd"}) for value in NOT_REAL),
    *(("epsilon", value, COMBINED) for value in NOT_REAL),
    *(("opening_noise", value, {}) for value in (-0.1, 16.1)),
    *(("test_share", value, {}) for value in (-0.1, 1.0)),
    ("opening_noise", 0.1, {"row_packing": 2}),
    ("residual", "logistic", {"row_packing": 2}),
    ("solver", "lbfgs", {"n_batches": 2}),
    ("step", 0.1, {"solver": "lbfgs"}),
    *(("max_leverage", value, {}) for value in NOT_REAL[1:]),
    *(("max_leverage", value, {}) for value in (0, 0.0, -0.1, 1.1)),
    *((name, value, {"solver": "gd"}) for name in ("step", "alpha") for value in NOT_REAL[1:]),
    *(("key_bits", value, {}) for value in (0, -2048, 512, 1024, 2047, 2049, 4097, 8192, 2**40)),
    *(("key_bits", value, {"test_key": True}) for value in (0, 1, 64, 127, -512)),
    *(("frac_bits", value, {}) for value in (0, 7, 41, -24, 2**40)),
    *((name, value, {}) for name in ("n_iter_no_change", "max_iter", "n_batches") for value in (0, -1, 2**31 + 1, 2**63)),
    *(("row_packing", value, {}) for value in (0, -1, 5, 2**63)),
    *(("predictor_bound", value, {}) for value in (0, 0.0, -16.0, 1024.5, 1e300)),
    *(("tol", value, {}) for value in (-1e-9, -1)),
    *(("momentum", value, {"solver": "gd"}) for value in (-0.1, 1, 1.0, 2.5)),
    *(("epsilon", value, COMBINED) for value in (-1e-9, -1)),
    *(("epsilon", 0.1, {"norm": norm, **COMBINED}) for norm in ("rank", "zscore")),
    ("epsilon", 0.1, {"norm": "none", "profile": "patent"}),
    *(("step", value, {"solver": "gd"}) for value in (0, 0.0, -1.0)),
    ("step", 0.1, {}),
    ("momentum", 0.1, {}),
    *(("alpha", value, {}) for value in (-1e-9, -1)),
    ("norm", "none", COMBINED),
    ("norm", "rank", {}),
    ("epsilon", 0.1, {}),
    ("powers", (1.0, 2.0), {}),
    ("output", "scores", {}),
    *(("threshold", value, {}) for value in (0, 0.0, 1.0, 1, -0.5, 7.0)),
    *(("max_weight", value, {}) for value in (0, -1, MAX_WEIGHT + 1)),
    ("max_weight", 65, {"predictor_bound": 1024, "frac_bits": 40}),
    *(("weight_unit", value, {"max_weight": 9}) for value in (0, -1, 10)),
    ("weight_unit", 2, {}),
    *((name, 2, {"max_weight": 2}) for name in ("n_batches", "row_packing")),
    *((name, 10**400, COMBINED) for name in ("tol", "epsilon", "threshold", "predictor_bound")),
    ("tol", int(sys.float_info.max) + 1, {}),
    *(("threshold", value, {}) for value in ("", "auc", "QUOTA", None, True, math.nan, math.inf, [0.5])),
    *(("threshold_value", value, {}) for value in (0, 0.0, -0.1, 1.1, math.nan, "0.1", True, [0.1])),
    ("threshold_value", None, {"threshold": "precision"}),
    *(("powers", value, COMBINED) for value in ((), (1.0,), [1.0, 1.0], 1.0, "11", (1.0, 0.0), (1.0, -1.0), (1.0, math.nan))),
    ("powers", (1.0, math.inf), COMBINED),
    *(("powers", value, COMBINED) for value in ((1.0, None), (1.0, "1"), (1.0, True), np.array([1.0, 1.0]))),
]


@pytest.mark.parametrize(("name", "value", "others"), BAD, ids=lambda v: str(v)[:20])
def test_a_bad_value_is_refused_by_name(name: str, value: Any, others: dict[str, Any]) -> None:
    Settings(**({"threshold_value": 0.5} | others if others.get("threshold") == "precision" else others))  # the control: without it, fine
    with pytest.raises(InputError) as caught:
        Settings(**(others | {name: value}))
    assert caught.value.argument == name


def test_there_are_enough_bad_values_and_every_setting_has_one() -> None:
    assert len(BAD) >= 150
    assert {name for name, _, _ in BAD} == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(
    "good",
    [
        *({"key_bits": bits} for bits in KEY_BITS),
        {"key_bits": 128, "test_key": True},
        {"frac_bits": 8},
        {"frac_bits": 40},
        {"predictor_bound": 1024},
        {"predictor_bound": 1e-9},
        {"tol": 0},
        {"tol": sys.float_info.max},
        {"threshold": -sys.float_info.max, **COMBINED},
        *({"threshold": share} for share in (sys.float_info.min, 0.5, 1 - 2**-53)),
        *({name: value} for name in ("n_iter_no_change", "max_iter", "n_batches") for value in (1, 1 << 31)),
        {"key_bits": 1 << 31, "test_key": True},
        *({"row_packing": rows} for rows in (1, 4)),
        {"n_batches": 2, "row_packing": 2},
        {"max_weight": MAX_WEIGHT},
        {"max_weight": 64, "predictor_bound": 1024, "frac_bits": 40},  # 2^56
        {"max_weight": 9, "weight_unit": 9},
        {"max_weight": 2, "weight_unit": 1},
        {"alpha": 0},
        {"solver": "gd", "momentum": 0.999, "step": 1e-9},
        {"epsilon": 0.01, **COMBINED},
        {"threshold": -3, **COMBINED},
        {"threshold": 0.05},
        {"threshold_value": 1},
        {"powers": (1, 2), **COMBINED},
        {"powers": (0.5, 1.0, 1.5), "profile": "patent"},
        {"norm": "none", "profile": "patent"},
        *({"max_leverage": limit} for limit in (1e-9, 1, 1.0)),
        {"max_leverage": 0.1, "row_packing": 2, "n_batches": 3},
        {"privacy": "strict"},
        *({"opening_noise": c} for c in (0, 1e-9, 16)),
        *({"norm": norm, **COMBINED} for norm in NORMS if norm != "none"),
        *({"threshold": by, "threshold_value": 0.5} for by in THRESHOLDS),
        *({"solver": solver} for solver in SOLVERS),
        *({"output": output, **COMBINED} for output in OUTPUTS),
        *({"output": output} for output in OUTPUTS if output != "scores"),
        *({"scoring": scoring, "profile": profile} for scoring in SCORINGS for profile in PROFILES),
        *({"profile": profile} for profile in PROFILES),
    ],
    ids=str,
)
def test_the_edges_of_what_is_allowed(good: dict[str, Any]) -> None:
    made = Settings(**good)
    assert all(getattr(made, name) == value for name, value in good.items())
    assert Settings.from_mapping(json.loads(made.to_json())) == made
    assert made.differences(made.to_json()) == []


def test_the_defaults_are_the_safe_ones() -> None:
    """Protocol §3 to §5 and [0145]."""
    made = Settings()
    assert (made.profile, made.solver, made.init, made.n_batches, made.norm) == ("hardened", "lbfgs", "local", 1, "minmax")
    assert (made.tol, made.n_iter_no_change, made.max_iter) == (DEFAULT_TOL, DEFAULT_N_ITER_NO_CHANGE, DEFAULT_MOVING_ITER)
    assert (DEFAULT_TOL, DEFAULT_N_ITER_NO_CHANGE, DEFAULT_MOVING_ITER, DEFAULT_MAX_ITER) == (0.005, 15, 30, 50)
    assert (made.momentum, made.epsilon, made.row_packing, made.max_weight, made.weight_unit) == (0.0, 0.0, 1, 1, 1)
    assert (made.step, made.alpha, made.powers, made.threshold, made.threshold_value) == (None, None, None, "quota", None)
    assert made.host_woe is False
    assert (made.privacy, made.max_leverage, made.leverage_limit, made.allow_wide) == ("standard", None, 0.2, False)
    assert made.opening_noise == 0.0
    assert (made.residual, made.stop, made.scoring) == ("logistic", "move", "joint")
    assert (made.key_bits, made.test_key, made.simulation, made.output) == (2048, False, False, "labels")


PATENT = ("taylor", "block-newton", "loss", DEFAULT_MAX_ITER, "combined")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("logistic", "lbfgs", "move", DEFAULT_MOVING_ITER, "joint")),
        ({"profile": "patent"}, PATENT),
        ({"row_packing": 2}, ("taylor", "lbfgs", "move", DEFAULT_MOVING_ITER, "joint")),
        ({"n_batches": 2}, ("logistic", "block-newton", "loss", DEFAULT_MAX_ITER, "joint")),
        ({"solver": "block-newton"}, ("logistic", "block-newton", "loss", DEFAULT_MAX_ITER, "joint")),
        ({"stop": "loss"}, ("logistic", "lbfgs", "loss", DEFAULT_MAX_ITER, "joint")),
        ({"profile": "patent", "solver": "lbfgs", "scoring": "joint"}, ("taylor", "lbfgs", "move", DEFAULT_MOVING_ITER, "joint")),
    ],
    ids=str,
)
def test_what_follows_from_the_profile(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    made = Settings(**given)
    assert tuple(getattr(made, name) for name in FOLLOWING) == expected
    assert made.followed == {*FOLLOWING, "frac_bits"} - set(given)
    assert repr(made) == f"Settings({', '.join(f'{name}={value!r}' for name, value in sorted(given.items(), key=in_order))})"
    assert Settings.from_mapping(json.loads(made.to_json())) == made


FOLLOWING = ("residual", "solver", "stop", "max_iter", "scoring")


def in_order(item: tuple[str, Any]) -> int:
    return [field.name for field in dataclasses.fields(Settings)].index(item[0])


def test_rows_have_weights_where_one_may_be_above_1() -> None:
    assert [Settings(max_weight=largest).weighted for largest in (1, 2, 9)] == [False, True, True]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().profile = "patent"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["batch_size", "Profile", "", "random_state"])
def test_an_unknown_setting_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings.from_mapping({name: 1, "tol": 0.1})
    assert caught.value.argument == name
    assert "n_batches" in caught.value.problem


def test_a_mapping_may_hold_powers_as_a_list() -> None:
    assert Settings.from_mapping({"powers": [1.0, 2.0], **COMBINED}).powers == (1.0, 2.0)
    with pytest.raises(InputError) as caught:
        Settings.from_mapping({"powers": ["1", 2.0], **COMBINED})
    assert caught.value.argument == "powers"


CHANGES: list[dict[str, Any]] = [
    {"profile": "patent"}, {"key_bits": 3072}, {"test_key": True}, {"frac_bits": 20}, {"predictor_bound": 8.0}, {"solver": "gd"},
    {"step": 0.1, "solver": "gd"}, {"momentum": 0.5, "solver": "gd"}, {"alpha": 0.01}, {"init": "zeros"}, {"tol": 0.004},
    {"n_iter_no_change": 20}, {"max_iter": 49}, {"n_batches": 2}, {"norm": "rank"}, {"epsilon": 1e-12}, {"powers": (1.0, 1.0)},
    {"threshold": 0.05}, {"threshold_value": 0.1}, {"output": "probability"}, {"host_woe": True}, {"simulation": True},
    {"inference": True, "residual": "logistic"},
    {"row_packing": 2}, {"max_weight": 9}, {"weight_unit": 2, "max_weight": 9}, {"max_leverage": 0.1},
    {"privacy": "strict"}, {"allow_wide": True}, {"opening_noise": 0.1}, {"test_share": 0.2},
    {"scheme": "elgamal", "frac_bits": 24},
    {"residual": "logistic"}, {"stop": "move"}, {"solver": "lbfgs"}, {"scoring": "joint", "norm": "minmax"},
]  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_every_difference_is_named_and_nothing_else(changes: dict[str, Any]) -> None:
    plain = {"residual": "taylor", "solver": "block-newton", "stop": "loss", "max_iter": 50, **COMBINED}
    mine, theirs = Settings(**plain), Settings(**plain | changes)
    changes = {name: value for name, value in changes.items() if value != getattr(mine, name)}
    for here, there in ((mine, theirs), (theirs, mine)):
        differences = here.differences(there.to_json())
        assert [text.split(":")[0] for text in differences] == sorted(changes)
    name = next(iter(changes))
    assert repr(changes[name]) in " ".join(mine.differences(theirs.to_json())) or name == "powers"


def test_every_setting_is_compared() -> None:
    assert {name for changes in CHANGES for name in changes} == {field.name for field in dataclasses.fields(Settings)}


def test_a_setting_that_only_one_side_knows_is_a_difference() -> None:
    text = json.loads(Settings().to_json())
    assert Settings().differences(json.dumps(text | {"compression": True})) == ["compression: None here, True there"]
    del text["tol"]
    assert Settings().differences(json.dumps(text)) == ["tol: 0.005 here, None there"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"x"', "\0", "[" * 200_000, '{"a":' * 200_000, "9" * 10_000])
def test_unreadable_settings_are_a_difference_not_a_crash(text: str) -> None:
    assert Settings().differences(text) == ["the other party's settings are not readable"]


def test_the_text_of_equal_settings_is_equal() -> None:
    assert Settings(tol=0.1, alpha=0.5).to_json() == Settings(alpha=0.5, tol=0.1).to_json()
    assert json.loads(Settings(alpha=0.1).to_json())["alpha"] == 0.1


def test_the_text_names_settings_in_alphabetical_order_without_spaces() -> None:
    """It is hashed: the order in which the class lists them does not matter."""
    text = Settings(powers=(1.0, 2.0), **COMBINED).to_json()
    assert [*json.loads(text)] == sorted(field.name for field in dataclasses.fields(Settings))
    assert " " not in text

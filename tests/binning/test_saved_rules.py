"""Saved rules: every damaged entry is refused by its place."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from support.bins import fit
from support.tables import table

from vflfast.binning.binner import Binner
from vflfast.errors import ModelError

NAN = math.nan
GOOD = {"x": [1.0, 2.0, 3.0], "job": ["a", "b", "b"]}


def saved() -> dict[str, Any]:
    whole = table({"d": "date"}, **GOOD, d=[0.5, 0.25, NAN], flat=[1.0, 1.0, NAN])
    kept: dict[str, Any] = json.loads(json.dumps(fit(whole, overrides={"d": "levels"}).to_dict()))
    return kept


DAMAGES: list[tuple[int | None, str, Any, str]] = [
    # rule, entry, its damaged value, the place named
    (None, "version", 1, "version"),
    (None, "version", 3, "version"),
    (None, "version", True, "version"),
    (None, "version", "1", "version"),
    (None, "rules", [], "rules"),
    (None, "rules", None, "rules"),
    (None, "rules", [None], "rules[0]"),
    (None, "extra", 1, "binner"),
    (0, "feature", "", "rules[0].feature"),
    (0, "feature", 5, "rules[0].feature"),
    (0, "feature", "job", "rules"),
    (0, "kind", "categorical", "rules[0].kind"),
    (0, "rule", "six", "rules[0].rule"),
    (0, "rule", "categories", "rules[0]"),
    (0, "rule", "zero", "rules[0].edges"),
    (0, "rule", None, "rules[0].rule"),
    (0, "edges", [2.0, 1.0], "rules[0].edges"),
    (0, "edges", [1.0, 1.0], "rules[0].edges"),
    (0, "edges", [1.0, NAN], "rules[0].edges"),
    (0, "edges", [1.0, math.inf], "rules[0].edges"),
    (0, "edges", ["1", "2"], "rules[0].edges"),
    (0, "edges", None, "rules[0].edges"),
    (0, "edges", [float(k) for k in range(254)], "rules[0].edges"),
    (0, "edges", [1.0], "rules[0].counts"),
    (0, "n_steps", 3, "rules[0].n_steps"),
    (0, "has_missing", 1, "rules[0].has_missing"),
    (0, "fallback", 4, "rules[0].fallback"),
    (0, "fallback", -1, "rules[0].fallback"),
    (0, "counts", [1, 1, 1], "rules[0].counts"),
    (0, "counts", [1, 1, 1, -1], "rules[0].counts"),
    (0, "counts", [0, 0, 0, 0], "rules[0].counts"),
    (0, "counts", "1111", "rules[0].counts"),
    (0, "n_missing", 4, "rules[0].n_missing"),
    (0, "n_missing", 0.5, "rules[0].n_missing"),
    (0, "extra", 1, "rules[0]"),
    (1, "levels", [], "rules[1].levels"),
    (1, "levels", ["a", "a"], "rules[1].levels"),
    (1, "levels", ["a", 3], "rules[1].levels"),
    (1, "levels", "ab", "rules[1].levels"),
    (1, "levels", [str(k) for k in range(256)], "rules[1].levels"),
    (1, "levels", ["a", "b", "c"], "rules[1].counts"),
    (1, "has_rest", True, "rules[1].has_rest"),
    (1, "has_rest", 0, "rules[1].has_rest"),
    (1, "kind", "numeric", "rules[1].kind"),
    (2, "edges", [0.25], "rules[2].edges"),
    (2, "edges", [-1.7e308, 1.7e308], "rules[2].edges"),
    (2, "n_steps", 0, "rules[2].n_steps"),
    (2, "n_steps", 255, "rules[2].n_steps"),
    (2, "n_steps", True, "rules[2].n_steps"),
    (3, "has_missing", False, "rules[3].has_missing"),
    (0, "encoding", "hash", "rules[0].encoding"),
    (0, "encoding", None, "rules[0].encoding"),
    (0, "encoding", "woe", "rules[0].woe"),
    (0, "woe", [1], "rules[0].woe"),
    (0, "woe", None, "rules[0].woe"),
    (0, "iv", -0.1, "rules[0].iv"),
    (0, "iv", NAN, "rules[0].iv"),
    (0, "iv", 1, "rules[0].iv"),
    (0, "groups", None, "rules[0].groups"),
    (0, "groups", [0, 1, 2], "rules[0].groups"),
    (0, "groups", [0, 1, 3, 3], "rules[0].groups"),
    (0, "groups", [0, 1, 2, 1 << 60], "rules[0].groups"),
    (0, "groups", [0, 1, 1, 1], "rules[0].groups"),
    (0, "groups", [0, 0, 1, 2], "rules[0].counts"),
    (1, "encoding", "woe", "rules[1].woe"),
    (2, "encoding", "onehot", "rules[2].encoding"),
    (2, "groups", [0] * 256, "rules[2].groups"),
]


@pytest.mark.parametrize(("rule", "entry", "value", "place"), DAMAGES)
def test_damaged_binner_is_refused_by_place(rule: int | None, entry: str, value: Any, place: str) -> None:
    kept = saved()
    Binner.from_dict(kept)
    (kept if rule is None else kept["rules"][rule])[entry] = value
    with pytest.raises(ModelError) as caught:
        Binner.from_dict(kept)
    assert caught.value.argument == place


@pytest.mark.parametrize("kept", [None, [], "binner", {}, {"version": 1}])
def test_what_is_no_binner_is_refused(kept: Any) -> None:
    with pytest.raises(ModelError) as caught:
        Binner.from_dict(kept)
    assert caught.value.argument == "binner"

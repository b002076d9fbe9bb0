"""Minimum class size: small classes join neighbours, deterministically, and what is saved says so."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import table

from vflfast.binning.binner import Binner
from vflfast.binning.merging import kept_levels, merge_neighbours, merge_ranks
from vflfast.binning.rules import CategoryRule, NumericRule
from vflfast.errors import InputError

NAN = math.nan
counts = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("sizes", "least", "groups"),
    [
        ([5, 5, 5], 5, [0, 1, 2]),
        ([9, 1, 5], 2, [0, 1, 1]),  # the smaller neighbour
        ([5, 1, 5], 2, [0, 0, 1]),  # the first of two of one size
        ([1, 9], 2, [0, 0]),
        ([9, 1], 2, [0, 0]),
        ([1, 1, 9, 9], 2, [0, 0, 1, 2]),  # two small ones are enough together
        ([3, 3, 3], 100, [0, 0, 0]),
        ([0, 7, 0], 1, [0, 0, 0]),
    ],
)
def test_the_smallest_class_joins_its_smaller_neighbour(sizes: list[int], least: int, groups: list[int]) -> None:
    assert merge_neighbours(sizes, least) == groups


@given(counts, st.integers(1, 60))
@settings(deadline=None)
def test_merged_classes_are_runs_of_the_least_size(sizes: list[int], least: int) -> None:
    groups = merge_neighbours(sizes, least)
    steps = np.diff(groups)
    assert groups[0] == 0
    assert set(steps.tolist()) <= {0, 1}
    merged = np.bincount(groups, weights=sizes)
    assert len(merged) == 1 or merged.min() >= least
    assert sum(sizes) == merged.sum()


@pytest.mark.parametrize(
    ("sizes", "n_missing", "has_missing", "groups"),
    [
        ([9, 9], 9, True, ()),
        ([9, 9], 0, False, ()),
        ([9, 9], 0, True, ()),  # a class of missing cells that no training row has
        ([8, 9], 2, True, (1, 0, 1)),  # too few missing: to the largest group
        ([3], 9, True, (0, 0)),
        ([3, 9], 9, True, (0, 1, 1)),
        ([3, 9], 0, False, (0, 0, 1)),
    ],
)
def test_missing_cells_have_no_neighbour(sizes: list[int], n_missing: int, has_missing: bool, groups: tuple[int, ...]) -> None:
    assert merge_ranks(sizes, n_missing, has_missing, 5) == groups


@pytest.mark.parametrize(
    ("sizes", "rest", "kept"), [([9, 8, 5], 0, 3), ([9, 8, 4], 0, 1), ([9, 8, 5], 1, 2), ([9, 4, 4], 0, 1), ([4, 4], 0, 0), ([4], 3, 0)]
)
def test_levels_join_the_rest_until_it_is_large_enough(sizes: list[int], rest: int, kept: int) -> None:
    assert kept_levels(sizes, rest, 5) == kept


# --- whole features ----------------------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.integers(-4, 4).map(float), st.just(NAN), st.floats(-2, 2)), min_size=1, max_size=60),
    st.integers(1, 20),
    st.sampled_from([None, "five", "zero", "sign", "missing"]),
    st.sampled_from(["ordinal", "onehot", "woe"]),
)
@settings(max_examples=200, deadline=None)
def test_no_training_class_is_below_the_minimum(cells: list[float], least: int, override: str | None, encoding: str) -> None:
    whole = table(x=cells)
    overrides = {"x": override} if override else None
    binner, (coded,) = Binner.fit_transform(whole, overrides=overrides, min_class_size=least, encoding=encoding)
    rule = binner.rules[0]
    found = np.bincount(coded.codes[0], minlength=rule.n_classes)
    assert tuple(found.tolist()) == rule.counts
    if least > 1:
        used = found[found > 0]
        assert used.size == 1 or used.min() >= least
    assert len(rule.class_texts()) == rule.n_classes == len(set(rule.class_texts()))
    assert coded.n_columns == len(binner.column_names)
    if encoding != "woe":  # values that nobody gave yet cannot be saved
        again = Binner.from_dict(json.loads(json.dumps(binner.to_dict())))
        assert again == binner
        np.testing.assert_array_equal(again.transform(whole).codes, coded.codes)


@given(st.lists(st.sampled_from("aabbbcde"), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_no_level_is_below_the_minimum(cells: list[str], least: int, max_levels: int) -> None:
    binner, (coded,) = Binner.fit_transform(table(x=cells), max_levels=max_levels, min_class_size=least)
    rule = binner.rules[0]
    assert isinstance(rule, CategoryRule)
    used = [count for count in rule.counts if count]
    assert len(used) == 1 or min(used) >= least or least == 1
    assert np.bincount(coded.codes[0], minlength=rule.n_classes).tolist() == list(rule.counts)
    assert Binner.from_dict(json.loads(json.dumps(binner.to_dict()))) == binner


def test_merged_five_classes_have_fewer_edges() -> None:
    rule = Binner.fit(table(x=[1.0, 2.0, 3.0, 4.0, 5.0]), min_class_size=2).rules[0]
    assert isinstance(rule, NumericRule)
    assert rule.edges == (2.0,)
    assert rule.groups == ()
    assert rule.counts == (2, 3, 0)
    assert rule.class_texts() == ["up to 2", "above 2", "missing later"]


def test_merged_signs_say_what_is_together() -> None:
    binner, (coded,) = Binner.fit_transform(table(x=[-1.0, 0.0, 0.0, 3.0, 3.0, 3.0, 4.0]), min_class_size=2)
    assert binner.rules[0].class_texts() == ["below 0 or 0", "above 0", "missing later"]
    assert coded.codes.tolist() == [[0, 0, 0, 1, 1, 1, 1]]
    later = binner.transform(table(x=[-5.0, 0.0, 7.0, NAN]))
    assert later.codes.tolist() == [[0, 0, 1, 2]]
    assert later.column_values[0, 2] == 1  # missing later: the value of the most frequent class


def test_few_missing_cells_share_the_class_of_the_largest_group() -> None:
    binner, (coded,) = Binner.fit_transform(table(x=[NAN, 0.0, 0.0, 0.0, 5.0, 5.0]), min_class_size=2)
    assert binner.rules[0].class_texts() == ["missing or 0", "not 0"]
    assert coded.codes.tolist() == [[0, 0, 0, 0, 1, 1]]
    assert coded.column_values.tolist() == [[0, 1]]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"min_class_size": 0}, "min_class_size"),
    ({"min_class_size": -1}, "min_class_size"),
    ({"min_class_size": True}, "min_class_size"),
    ({"min_class_size": 5.0}, "min_class_size"),
    ({"min_class_size": "5"}, "min_class_size"),
    ({"min_class_size": None}, "min_class_size"),
    ({"numeric": "levels", "min_class_size": 2}, "min_class_size"),
    ({"overrides": {"x": "levels"}, "min_class_size": 2}, "min_class_size"),
    ({"encoding": "none"}, "encoding"),
    ({"encoding": None}, "encoding"),
    ({"encoding": True}, "encoding"),
    ({"numeric": "levels", "encoding": "onehot"}, "encoding"),
    ({"overrides": {"x": "levels"}, "encoding": "woe"}, "encoding"),
    ({"later": [0, 0]}, "later"),
    ({"later": [9]}, "later"),
    ({"later": []}, "later"),
    ({"rows": [0.5]}, "rows"),
]


@pytest.mark.parametrize(("changes", "culprit"), BAD)
def test_unusable_settings_are_refused(changes: dict[str, Any], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        Binner.fit_transform(table(x=[1.0, 2.0, 3.0]), **changes)
    assert caught.value.argument == culprit

"""Encodings: weights of evidence and information values against their definition, one-hot classes, what a saved binner keeps."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bins import fit, fit_transform
from support.tables import dense, table

from vflfast.binning.binner import Binner
from vflfast.binning.woe import LARGEST_WOE, weight_of_evidence
from vflfast.errors import InputError
from vflfast.tables.table import Table

NAN = math.nan
classes = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8).filter(lambda found: any(map(sum, found)))


def labelled(flags: list[int], **columns: Any) -> Table:
    return dataclasses.replace(table(**columns), labels=np.array([1 if flag else -1 for flag in flags], dtype=np.int8))


@given(classes)
@settings(max_examples=200, deadline=None)
def test_the_values_are_those_of_the_definition(found: list[tuple[int, int]]) -> None:
    p, q = (np.array(part) for part in zip(*found, strict=True))
    woe, iv = weight_of_evidence(p + q, p)
    used = p + q > 0
    a = (p + 0.5) / (p.sum() + used.sum() / 2)
    b = (q + 0.5) / (q.sum() + used.sum() / 2)
    exact = np.where(used, np.log(a / b), 0)
    assert np.abs(woe / 1024 - exact).max() <= 0.5 / 1024 + 1e-9
    assert iv == pytest.approx(((a - b) * exact).sum(), abs=1e-9)
    assert iv >= 0


def test_more_positives_more_evidence_and_none_where_shares_agree() -> None:
    woe, iv = weight_of_evidence([100, 100, 100], [10, 50, 90])
    assert woe.tolist() == sorted(woe.tolist())
    assert woe[1] == 0
    assert woe[0] == -woe[2] == round(1024 * math.log(10.5 / 90.5))
    assert iv > 1
    assert weight_of_evidence([40, 80], [10, 20])[0].tolist() == [round(1024 * math.log(10.5 * 91 / (30.5 * 31))), -5]


def test_the_largest_classes_stay_within_the_bound() -> None:
    most = (1 << 31) - 1
    woe, _ = weight_of_evidence([most, most], [0, most])
    assert -LARGEST_WOE < woe[0] < woe[1] < LARGEST_WOE


@pytest.mark.parametrize(
    ("rows", "positives", "culprit"),
    [
        ([], [], "rows"), (None, [1], "rows"), ([1.5], [1], "rows"), ([[1]], [1], "rows"), ([True], [1], "rows"), ([-1], [1], "rows"),
        ([1 << 31], [1], "rows"), (["1"], [1], "rows"), ([3], [4], "positives"), ([3], [-1], "positives"), ([3, 3], [1], "positives"),
        ([3], [NAN], "positives"), ([3], None, "positives"),
    ],
)  # fmt: skip
def test_other_numbers_are_refused(rows: Any, positives: Any, culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        weight_of_evidence(rows, positives)
    assert caught.value.argument == culprit


# --- in a binner -------------------------------------------------------------------------------------------------


def test_a_guest_codes_by_its_own_labels() -> None:
    whole = labelled([1, 1, 0, 0, 0, 1], x=[0.0, 3.0, 0.0, 0.0, 0.0, 3.0], job=["a", "a", "b", "b", "c", "c"])
    binner, (coded,) = fit_transform(whole, encoding="woe", max_levels=2)
    x, job = binner.rules
    assert binner.column_names == ["x", "job"]
    assert x.woe[:2] == tuple(weight_of_evidence([4, 2], [1, 2])[0].tolist())
    assert x.iv == weight_of_evidence([4, 2], [1, 2])[1]
    assert job.woe == tuple(weight_of_evidence([2, 2, 2], [2, 0, 1])[0].tolist())
    assert dense(coded)[:, 0].tolist() == [x.woe[0], x.woe[1], x.woe[0], x.woe[0], x.woe[0], x.woe[1]]
    later = dense(binner.transform(table(x=[NAN, 3.0], job=["z", "a"])))
    assert later.tolist() == [[x.woe[0], job.woe[2]], [x.woe[1], job.woe[0]]]  # missing later: as the most frequent class


def test_evidence_comes_from_training_rows_only() -> None:
    whole = labelled([1, 0, 1, 0, 0, 0], x=[0.0, 0.0, 3.0, 3.0, 3.0, 3.0])
    rows = np.array([0, 1, 2, 3])
    assert fit(whole, rows=rows, encoding="woe") == fit(whole.take(rows), encoding="woe")
    assert fit(whole, rows=rows, encoding="woe") != fit(whole, encoding="woe")


def test_labels_give_iv_whatever_the_encoding_and_no_other_change() -> None:
    columns = {"x": [0.0, 3.0, 0.0, 0.0], "job": ["a", "b", "b", "a"]}
    with_labels, without = fit(labelled([1, 0, 0, 1], **columns)), fit(table(**columns))
    assert [rule.iv for rule in without.rules] == [None, None]
    assert all(rule.iv is not None and rule.iv > 0 for rule in with_labels.rules)
    assert [dataclasses.replace(rule, iv=None) for rule in with_labels.rules] == list(without.rules)


def test_one_hot_classes() -> None:
    whole = table(x=[NAN, 1.0, 2.0, 2.0], y=[0.0, 0.0, 5.0, 0.0], job=["a", "b", "a", "a"])
    binner, (coded,) = fit_transform(whole, overrides={"x": "five"}, encoding="onehot")
    assert binner.column_names == ["x=missing", "x=up to 1", "x=above 1", "y=0", "y=not 0", "job=a", "job=b"]
    matrix = dense(coded)
    assert matrix.tolist() == [[1, 0, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 0, 1], [0, 0, 1, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1, 0]]
    later = dense(binner.transform(table(x=[9.0], y=[NAN], job=["z"])))
    assert later.tolist() == [[0, 0, 1, 1, 0, 0, 0]]  # y missing later: as the most frequent class


@pytest.mark.parametrize("encoding", ["ordinal", "onehot", "woe"])
def test_every_encoding_survives_json(encoding: str) -> None:
    whole = labelled([1, 0, 1, 0, 0], x=[NAN, 0.1, 0.2, 0.3, 4.0], y=[0.0, 0.0, 0.0, 0.0, 1.0], job=["a", "b", "b", "c", "c"])
    binner = fit(whole, encoding=encoding, min_class_size=2)
    again = Binner.from_dict(json.loads(json.dumps(binner.to_dict(), allow_nan=False)))
    assert again == binner
    np.testing.assert_array_equal(dense(again.transform(whole)), dense(binner.transform(whole)))


def test_values_that_come_later() -> None:
    whole = table(x=[0.0, 3.0, 0.0], job=["a", "b", "a"])
    binner, (coded,) = fit_transform(whole, encoding="woe")
    assert not dense(coded).any()
    known = binner.with_woe([[-5, 7, 0], [9, -2, 0]])
    assert dense(known.recode(coded)).tolist() == [[-5, 9], [7, -2], [-5, 9]]
    assert dense(known.transform(table(x=[NAN], job=["z"]))).tolist() == [[-5, 0]]


@pytest.mark.parametrize(
    ("encoding", "values", "culprit"),
    [
        ("woe", [[1, 2, 3]], "values"), ("woe", [[1, 2], [1, 2]], "values"), ("woe", [[0.5] * 3] * 2, "values"), ("woe", None, "values"),
        ("woe", [[LARGEST_WOE + 1] * 3] * 2, "values"), ("woe", [[-LARGEST_WOE - 1] * 3] * 2, "values"),
        ("ordinal", [[1] * 3] * 2, "encoding"),
    ],
)  # fmt: skip
def test_other_values_are_refused(encoding: str, values: Any, culprit: str) -> None:
    binner = fit(table(x=[0.0, 3.0, 0.0], job=["a", "b", "a"]), encoding=encoding)
    with pytest.raises(InputError) as caught:
        binner.with_woe(values)
    assert caught.value.argument == culprit


# --- the table for people ----------------------------------------------------------------------------------------


def test_the_table_says_what_falls_where() -> None:
    whole = labelled([1, 0, 0, 1], x=[NAN, 0.0, 0.0, 3.0], job=["a", "a", "b", "b"])
    shown = fit(whole).to_table()
    assert shown["classes"].tolist() == [("missing", "0", "not 0"), ("a", "b", "(rest)")]
    assert shown["rows_per_class"].tolist() == [(1, 2, 1), (2, 2, 0)]
    assert shown["missing_share"].tolist() == [0.25, 0.0]
    assert shown["encoding"].tolist() == ["ordinal", "ordinal"]
    assert shown["iv"].iloc[0] == weight_of_evidence([1, 2, 1], [1, 0, 1])[1]


def test_the_records_are_json() -> None:
    records = fit(table(x=[NAN, 0.0, 2.5, 3.0])).to_records()
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert records[0]["iv"] is None
    assert records[0]["classes"] == ["missing", "up to 0", "(0, 2.5]", "above 2.5"]


def test_levels_are_described_by_their_values() -> None:
    rule = fit(table(x=[1.0, 3.0, 2.0]), numeric="levels").rules[0]
    assert rule.class_texts() == ["about 1", "about 2", "about 3", "missing later"]
    assert pd.isna(fit(table(x=[1.0, 3.0, 2.0])).to_table()["iv"].iloc[0])

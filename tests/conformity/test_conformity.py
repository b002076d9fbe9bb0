"""The patent's paragraphs on features, [0084] to [0086] and [0091], one test each, and the property behind them: no −∞ in arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bins import fit, fit_transform
from support.tables import dense, table

from vflfast.binning.rules import NumericRule
from vflfast.crypto.codec import encode
from vflfast.errors import DataError, InputError
from vflfast.tables.table import read_table, table_from_frame

NAN, INF = np.nan, np.inf


def read(folder: Path, text: str, **options: str) -> pd.DataFrame:
    (folder / "t.csv").write_text(text)
    return read_table(folder / "t.csv", **options).features


def rule_of(cells: list[float]) -> NumericRule:
    rule = fit(table(x=cells)).rules[0]
    assert isinstance(rule, NumericRule)
    return rule


# --- [0084]: positive samples +1, negative samples −1 ---------------------------------------------------------------


@pytest.mark.parametrize("coding", [("0", "1"), ("-1", "1"), ("false", "true"), ("0", "1.0"), ("False", "True")])
def test_0084_positive_is_plus_one_negative_is_minus_one(coding: tuple[str, str], tmp_path: Path) -> None:
    negative, positive = coding
    (tmp_path / "t.csv").write_text(f"id,y,x\n1,{positive},0\n2,{negative},0\n3,{negative},0\n")
    labels = read_table(tmp_path / "t.csv", label_column="y").labels
    assert labels is not None
    assert labels.dtype == np.int8
    assert labels.tolist() == [1, -1, -1]


@pytest.mark.parametrize("coding", [("0", "2"), ("no", "yes"), ("0", ""), ("1", "1"), ("-1", "0")])
def test_0084_other_labels_are_refused(coding: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"id,y,x\n1,{coding[0]},0\n2,{coding[1]},0\n3,1,0\n")
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv", label_column="y")
    assert caught.value.argument == "y"


# --- [0085]: missing values are −∞, which is a marker ----------------------------------------------------------------


def test_0085_missing_is_the_lowest_class_of_its_own() -> None:
    cells = [NAN, -5.0, 0.0, 1.0, 2.0, 9.0]
    binner, (coded,) = fit_transform(table(x=cells))
    codes = coded.codes[0]
    assert codes[0] == 0
    assert (codes[1:] > 0).all()
    assert (np.diff(codes.astype(int)) >= 0).all()  # below every finite value, as −∞ would be
    assert binner.rules[0].class_texts()[0] == "missing"


def test_0085_minus_infinity_itself_is_the_same_class() -> None:
    marked, missing = ([value, 1.0, 2.0, 2.0, 3.0] for value in (-INF, NAN))
    one, other = (fit_transform(table(x=cells)) for cells in (marked, missing))
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1][0].codes, other[1][0].codes)


def test_0085_an_infinite_cell_of_a_file_is_refused_not_misread(tmp_path: Path) -> None:
    for cell in ("inf", "-inf", "nan", "1e999"):
        with pytest.raises(DataError, match="row 2"):
            read(tmp_path, f"id,x\n1,2\n2,{cell}\n")
    with pytest.raises(DataError, match="row 2"):
        table_from_frame(pd.DataFrame({"id": ["1", "2"], "x": [1.0, -INF]}))


# --- [0086]: dates are days before the observation date -------------------------------------------------------------


def test_0086_dates_are_days_before_the_observation_date(tmp_path: Path) -> None:
    found = read(tmp_path, "id,d\n1,2020-12-31\n2,2020-01-01\n3,\n4,2021-01-01\n", observation_date="2021-01-01")
    assert found["d"].tolist()[:2] == [1.0, 366.0]  # 2020 was a leap year
    assert np.isnan(found["d"][2])
    assert found["d"][3] == 0.0


def test_0086_a_date_after_the_observation_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1") as caught:
        read(tmp_path, "id,d\n1,2021-01-02\n", observation_date="2021-01-01")
    assert caught.value.argument == "d"


def test_0086_dates_are_binned_like_numbers() -> None:
    days = [float(k) for k in range(10)]
    dates = fit(table({"x": "date"}, x=days)).rules[0]
    assert (dates.rule, dates.edges) == ("five", rule_of(days).edges)  # type: ignore[union-attr]


# --- [0091]: the four rules -----------------------------------------------------------------------------------------


def test_0091_continuous_features_have_five_classes_of_equal_frequency() -> None:
    rule = rule_of(np.random.default_rng(0).normal(size=1000).tolist())
    assert rule.rule == "five"
    assert rule.counts[:5] == (200, 200, 200, 200, 200)


def test_0091_zero_and_non_zero() -> None:
    rule = rule_of([0.0] * 90 + [float(k) for k in range(1, 11)])
    assert (rule.rule, rule.counts[:2]) == ("zero", (90, 10))
    assert rule_of([0.0] * 89 + [float(k) for k in range(1, 12)]).rule == "five"
    assert rule_of([0.0, 7.0, 7.0]).rule == "zero"


def test_0091_negative_zero_positive() -> None:
    rule = rule_of([-2.0] * 50 + [0.0] * 5 + [3.0] * 45)
    assert (rule.rule, rule.counts[:3]) == ("sign", (50, 5, 45))
    assert rule_of([-2.0] * 50 + [0.0] * 4 + [3.0] * 46).rule == "five"


def test_0091_missing_and_present() -> None:
    for cells in ([NAN, 4.0, 4.0], [NAN, NAN], [4.0, 4.0]):
        rule = rule_of(cells)
        assert (rule.rule, rule.n_classes) == ("missing", 2)
        assert rule.counts == (sum(np.isnan(cells)), sum(~np.isnan(cells)))


# --- the property: −∞ and NaN never reach arithmetic ----------------------------------------------------------------

any_cell = st.one_of(st.floats(), st.sampled_from([NAN, INF, -INF, 0.0, -0.0, 1.7e308, -1.7e308, 5e-324]), st.integers(-2, 2).map(float))


@given(
    st.lists(any_cell, min_size=1, max_size=40),
    st.lists(any_cell, min_size=1, max_size=10),
    st.sampled_from([{}, {"numeric": "five"}, {"numeric": "levels"}, {"encoding": "onehot"}, {"min_class_size": 3}]),
    st.sampled_from([None, "five", "zero", "sign", "missing"]),
)
@settings(max_examples=300, deadline=None)
def test_no_cell_that_is_not_finite_reaches_the_codec(
    train: list[float], later: list[float], options: dict[str, Any], override: str | None
) -> None:
    overrides = {"x": override} if override and options.get("numeric") != "levels" else None
    finite = [cell for cell in train if np.isfinite(cell)]
    if options.get("numeric") == "levels" and finite and max(finite) / 2 - min(finite) / 2 > 8e307:
        return  # a range that float64 does not hold is refused
    binner = fit(table(x=train), overrides=overrides, **options)
    for cells in (train, later):
        matrix = dense(binner.transform(table(x=cells)))
        assert matrix.dtype == np.int64
        assert matrix.shape[0] == len(cells)
        assert np.isfinite(encode(matrix.ravel(), 0, 256.0)).all()
        missing = ~np.isfinite(cells)
        assert len({tuple(row) for row in matrix[missing]}) <= 1  # all that are not finite are one class


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_the_codec_itself_refuses_what_is_not_finite(values: list[float]) -> None:
    if np.isfinite(values).all():
        return
    with pytest.raises(InputError) as caught:
        encode(values, 8, 1000.0, "values")
    assert caught.value.argument == "values"

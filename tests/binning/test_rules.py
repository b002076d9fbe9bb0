"""Rules: precedence, boundaries and codes of the four binning rules, levels, categories."""

from __future__ import annotations

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
from vflfast.binning.rules import RULES, CategoryRule, NumericRule, choose_rule, five_edges
from vflfast.errors import DataError
from vflfast.tables.table import Table

NAN = math.nan


def fitted(cells: list[float], **options: Any) -> NumericRule:
    rule = fit(table(x=cells), **options).rules[0]
    assert isinstance(rule, NumericRule)
    return rule


def codes_of(cells: list[float], later: list[float] | None = None, **options: Any) -> list[int]:
    binner = fit(table(x=cells), **options)
    return binner.transform(table(x=cells if later is None else later)).codes[0].tolist()


# --- precedence of the rules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ([NAN, NAN], "missing"),
        ([NAN, 7.0], "missing"),
        ([7.0, 7.0], "missing"),
        ([0.0, -0.0], "missing"),
        ([0.0, 4.0], "zero"),
        ([0.0, -4.0, NAN], "zero"),
        ([3.0, 4.0], "five"),
        ([0.0] * 90 + [1.0] * 5 + [2.0] * 5, "zero"),  # exactly 90 %
        ([0.0] * 89 + [1.0] * 6 + [2.0] * 5, "five"),
        ([0.0] * 90 + [-1.0] * 5 + [-2.0] * 5, "zero"),
        ([0.0] * 90 + [-1.0] * 5 + [2.0] * 5, "sign"),  # two signs
        ([0.0] * 5 + [-1.0] * 50 + [2.0] * 45, "sign"),  # exactly 5 %
        ([0.0] * 4 + [-1.0] * 50 + [2.0] * 46, "five"),
        ([-1.0, 1.0, 2.0], "five"),
        ([0.0, 1.0, 2.0], "five"),
        ([0.0] * 9 + [1.0, 2.0] + [NAN] * 50, "five"),  # shares are of the finite cells: 9/11
        ([0.0] * 18 + [1.0, 2.0] + [NAN] * 500, "zero"),  # 18/20
    ],
)
def test_precedence(cells: list[float], rule: str) -> None:
    assert fitted(cells).rule == rule


@pytest.mark.parametrize("n", [10, 20, 30, 70, 110, 1000, 66270])
def test_share_boundaries_hold_at_every_size(n: int) -> None:
    zeros = n * 9 // 10
    tail = np.linspace(1.0, 2.0, n - zeros) if n > 10 else np.array([1.0])
    at = np.concatenate([np.zeros(zeros), tail])
    assert choose_rule(at, "bins") == "zero"
    assert choose_rule(at, "five") == "five"
    if n > 10:
        assert choose_rule(np.concatenate([np.zeros(zeros - 1), [0.5], tail]), "bins") == "five"


# --- codes of each rule ------------------------------------------------------------------------------------------


def test_five_classes_of_equal_frequency() -> None:
    cells = [float(k) for k in range(1, 101)]
    rule = fitted(cells)
    assert rule.edges == (20.0, 40.0, 60.0, 80.0)
    assert rule.counts == (20, 20, 20, 20, 20, 0)
    assert rule.n_classes == 6
    assert codes_of(cells, [-1e300, 20.0, np.nextafter(20.0, 21.0), 80.0, 80.5, 1e300]) == [0, 0, 1, 3, 4, 4]


def test_few_distinct_values_keep_their_ranks() -> None:
    rare = [1.0] * 96 + [2.0, 3.0, 4.0, 5.0]
    assert fitted(rare).edges == (1.0, 2.0, 3.0, 4.0)
    assert codes_of(rare, [1.0, 2.0, 3.0, 4.0, 5.0]) == [0, 1, 2, 3, 4]


def test_six_distinct_values_are_cut_and_ties_merged() -> None:
    cells = [1.0] * 70 + [2.0] * 26 + [3.0, 4.0, 5.0, 6.0]
    assert fitted(cells).edges == (1.0, 2.0)  # 20, 40, 60 % are all 1
    assert fitted(cells).counts == (70, 26, 4, 0)


def test_an_edge_at_the_largest_value_is_dropped() -> None:
    cells = [1.0, 2.0, 3.0, 4.0, 5.0] + [9.0] * 15
    rule = fitted(cells)
    assert rule.edges == (4.0,)
    assert rule.counts == (4, 16, 0)


def test_missing_is_class_zero_and_shifts_the_others() -> None:
    cells = [NAN] + [float(k) for k in range(1, 101)]
    rule = fitted(cells)
    assert rule.has_missing
    assert rule.n_classes == 6
    assert codes_of(cells, [NAN, 1.0, 50.0, 100.0]) == [0, 1, 3, 5]
    coded = fit(table(x=cells)).transform(table(x=[NAN, 1.0, 100.0]))
    assert dense(coded).tolist() == [[0], [1], [5]]


@pytest.mark.parametrize("marker", [NAN, math.inf, -math.inf])
def test_cells_that_are_not_finite_are_missing(marker: float) -> None:
    cells = [marker] + [float(k) for k in range(1, 11)]
    assert fitted(cells) == fitted([NAN, *cells[1:]])
    assert codes_of(cells, [marker, -math.inf, 1.0]) == [0, 0, 1]


def test_missing_that_training_never_saw_weighs_as_the_most_frequent_class() -> None:
    cells = [1.0] * 3 + [2.0] * 5 + [3.0] * 2
    coded = fit(table(x=cells)).transform(table(x=[1.0, 2.0, 3.0, NAN]))
    assert coded.codes[0].tolist() == [0, 1, 2, 3]
    assert dense(coded)[:, 0].tolist() == [0, 1, 2, 1]
    assert coded.class_counts.tolist() == fit(table(x=cells)).transform(table(x=cells)).class_counts.tolist() == [4]


def test_zero_rule_codes() -> None:
    assert codes_of([0.0] * 9 + [5.0], [0.0, -0.0, 3.0, -3.0]) == [0, 0, 1, 1]
    assert codes_of([0.0] * 9 + [5.0, NAN], [NAN, 0.0, 5.0]) == [0, 1, 2]


def test_sign_rule_codes() -> None:
    cells = [-2.0, 0.0, 3.0]
    assert codes_of(cells, [-1e-300, -0.0, 1e-300, NAN]) == [0, 1, 2, 3]
    assert codes_of([*cells, NAN], [-9.0, 0.0, 9.0, NAN]) == [1, 2, 3, 0]


def test_missing_present_rule_codes() -> None:
    for cells in ([NAN, NAN], [7.0, 7.0], [NAN, 7.0]):
        coded = fit(table(x=cells)).transform(table(x=[NAN, 7.0, -1.0]))
        assert coded.codes[0].tolist() == [0, 1, 1]
        assert dense(coded)[:, 0].tolist() == [0, 1, 1]
        assert coded.class_counts.tolist() == [2]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("five", [0, 1, 2, 3]), ("zero", [1, 0, 1, 1]), ("sign", [0, 1, 2, 2]), ("missing", [1, 1, 1, 1]), ("levels", [0, 3, 4, 6])],
)
def test_overrides(rule: str, expected: list[int]) -> None:
    cells = [-3.0, 0.0, 1.0, 3.0]
    assert codes_of(cells, overrides={"x": rule}) == expected
    assert fitted(cells, overrides={"x": rule}).rule == rule


@pytest.mark.parametrize("rule", ["five", "zero", "sign", "missing", "levels"])
@pytest.mark.parametrize("cells", [[NAN, NAN], [2.0, 2.0], [0.0, NAN]])
def test_overrides_on_degenerate_columns_still_code_every_cell(rule: str, cells: list[float]) -> None:
    binner = fit(table(x=cells), overrides={"x": rule})
    coded = binner.transform(table(x=[NAN, 0.0, -1e308, 1e308, math.inf]))
    assert coded.codes.max() < binner.rules[0].n_classes
    assert np.abs(dense(coded)).max() <= binner.rules[0].n_classes


floats = st.one_of(st.floats(width=32), st.integers(-3, 3).map(float), st.just(NAN))


@given(st.lists(floats, min_size=1, max_size=60), st.lists(floats, min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_five_rule_by_its_definition(cells: list[float], later: list[float]) -> None:
    finite = sorted(cell for cell in cells if math.isfinite(cell))
    n = len(finite)
    if len(set(finite)) <= 5:
        edges = sorted(set(finite))[:-1]
    else:
        edges = sorted({finite[math.ceil(n * cut / 5) - 1] for cut in (1, 2, 3, 4)} - {finite[-1]})
    shift = n < len(cells)
    unseen = 0 if shift else len(edges) + 1
    expected = [sum(edge < cell for edge in edges) + shift if math.isfinite(cell) else unseen for cell in later]
    assert codes_of(cells, later, overrides={"x": "five"}) == expected
    assert five_edges(np.array(finite)).tolist() == edges


@given(st.lists(floats, min_size=1, max_size=60), st.sampled_from(["bins", "five", "levels"]))
@settings(max_examples=200, deadline=None)
def test_codes_rise_with_the_value_and_counts_are_those_of_the_rows(cells: list[float], numeric: str) -> None:
    rule = fitted(cells, numeric=numeric)
    codes = np.array(codes_of(cells, numeric=numeric))
    assert np.bincount(codes, minlength=rule.n_classes).tolist() == list(rule.counts)
    finite = np.isfinite(cells)
    ordered = codes[finite][np.argsort(np.array(cells)[finite], kind="stable")]
    if rule.rule != "zero":
        assert (np.diff(ordered) >= 0).all()
    assert rule.n_missing == (~finite).sum()


# --- levels ------------------------------------------------------------------------------------------------------


def test_levels_are_affine_and_held_to_the_training_range() -> None:
    cells = [0.0, 0.25, 0.5, 1.0]
    assert codes_of(cells, numeric="levels") == [0, 64, 127, 254]  # 63.5 rounds to even
    assert codes_of(cells, [-5.0, 2.0, 1e308], numeric="levels") == [0, 254, 254]
    assert fitted(cells, numeric="levels").n_classes == 256


def test_few_whole_numbers_are_kept_exactly() -> None:
    assert codes_of([18.0, 20.0, 95.0], numeric="levels") == [0, 2, 77]
    assert fitted([0.0, 254.0], numeric="levels").n_steps == 254
    assert fitted([0.0, 255.0], numeric="levels").n_steps == 254
    assert codes_of([0.0, 128.0, 255.0], numeric="levels") == [0, 127, 254]


def test_missing_level_weighs_as_the_median_level() -> None:
    cells = [NAN, 10.0, 10.0, 12.0, 15.0, 20.0]  # levels 0 0 2 5 10
    coded = fit(table(x=cells), numeric="levels").transform(table(x=[*cells, 11.0]))
    assert coded.codes[0].tolist() == [0, 1, 1, 3, 6, 11, 2]
    assert dense(coded)[:, 0].tolist() == [2, 0, 0, 2, 5, 10, 1]
    whole = fit(table(x=cells[1:]), numeric="levels").transform(table(x=[10.0, NAN]))
    assert whole.codes[0].tolist() == [0, 11]
    assert dense(whole)[:, 0].tolist() == [0, 2]


def test_wide_levels_with_missing_use_every_byte() -> None:
    cells = [NAN, 0.0, 0.3, 1.0]
    coded = fit(table(x=cells), numeric="levels").transform(table(x=cells))
    assert coded.class_counts.tolist() == [256]
    assert coded.codes[0].tolist() == [0, 1, 77, 255]


def test_levels_of_the_largest_and_smallest_ranges() -> None:
    assert codes_of([5e-324, 1e-323, 1.5e-323], numeric="levels") == [0, 127, 254]
    with pytest.raises(DataError) as caught:
        fit(table(x=[-1e308, 1e308]), numeric="levels")
    assert caught.value.argument == "x"


# --- categories --------------------------------------------------------------------------------------------------


def test_levels_by_frequency_then_text_and_missing_is_a_level() -> None:
    cells = ["b", "a", "c", "c", None, None, "d"]
    binner = fit(table(job=cells))
    assert binner.column_names == ["job=(missing)", "job=c", "job=a", "job=b", "job=d"]
    coded = binner.transform(table(job=[None, "c", "a", "b", "d", "new", NAN]))
    assert dense(coded).tolist() == [*np.eye(5, dtype=int).tolist(), [0] * 5, [1, 0, 0, 0, 0]]
    assert coded.class_counts.tolist() == [6]


def test_missing_comes_before_empty_text() -> None:
    assert fit(table(job=["", None])).column_names == ["job=(missing)", "job="]


def test_rare_levels_share_one_column_with_unseen_ones() -> None:
    cells = ["a"] * 3 + ["b"] * 2 + ["c", "d", None]
    binner = fit(table(job=cells), max_levels=2)
    assert binner.column_names == ["job=a", "job=b", "job=(rest)"]
    assert dense(binner.transform(table(job=["a", "b", "c", None, "new"]))).tolist() == [[1, 0, 0], [0, 1, 0], *[[0, 0, 1]] * 3]
    assert binner.rules[0].counts == (3, 2, 3)
    assert binner.describe()["missing_share"].tolist() == [1 / 8]


@pytest.mark.parametrize(("n_levels", "n_columns"), [(49, 49), (50, 50), (51, 51), (80, 51)])
def test_fifty_levels_by_default(n_levels: int, n_columns: int) -> None:
    binner = fit(table(job=[f"v{k:02d}" for k in range(n_levels)]))
    assert len(binner.column_names) == n_columns
    assert ("job=(rest)" in binner.column_names) == (n_levels > 50)


def test_the_most_levels_that_fit_a_byte() -> None:
    cells = [f"v{k:03d}" for k in range(300)]
    coded = fit(table(job=cells), max_levels=255).transform(table(job=cells))
    assert coded.class_counts.tolist() == [256]
    assert coded.n_columns == 256


def test_levels_come_from_the_training_rows_only() -> None:
    binner = fit(table(job=["a", "b", "z"]), rows=np.array([0, 1]))
    assert binner.column_names == ["job=a", "job=b"]
    assert binner.rules[0].n_missing == 0


# --- classes in words --------------------------------------------------------------------------------------------


RULE: dict[str, Any] = {"feature": "f", "kind": "numeric", "n_steps": 0, "fallback": 0, "counts": (), "n_missing": 0}


@pytest.mark.parametrize(
    ("rule", "edges", "has_missing", "texts"),
    [
        ("five", (1.0, 2.5), False, ["up to 1", "(1, 2.5]", "above 2.5", "missing later"]),
        ("five", (1.0,), True, ["missing", "up to 1", "above 1"]),
        ("five", (), False, ["any number", "missing later"]),
        ("zero", (), True, ["missing", "0", "not 0"]),
        ("sign", (), False, ["below 0", "0", "above 0", "missing later"]),
        ("missing", (), True, ["missing", "present"]),
    ],
)
def test_what_falls_into_a_class(rule: str, edges: tuple[float, ...], has_missing: bool, texts: list[str]) -> None:
    made = NumericRule(rule=rule, edges=edges, has_missing=has_missing, **RULE)
    assert made.class_texts() == texts
    assert len(texts) == made.n_classes


def test_what_falls_into_levels_and_categories() -> None:
    levels = NumericRule("f", "numeric", "levels", (10.0, 14.0), 2, False, 0, (), 0)
    assert levels.class_texts() == ["about 10", "about 12", "about 14", "missing later"]
    assert CategoryRule("f", ("a", None), True, (), 0).class_texts() == ["a", "(missing)", "(rest)"]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_codes_what_it_says_and_comes_back_from_a_file(rule: str) -> None:
    """A name among the rules is a rule of its own: its texts, ranks and saved form."""
    values = np.repeat(np.arange(-2.0, 5.0), 6)
    fitted, codes = fit_transform(
        Table(np.arange(len(values)).astype(str).astype(object), pd.DataFrame({"x": values}), {"x": "numeric"}), overrides={"x": rule}
    )
    (made,) = fitted.rules
    assert isinstance(made, NumericRule)
    assert made.rule == rule
    assert len(made.class_texts()) == made.n_classes
    seen = {text for number, text in enumerate(made.class_texts()) if number in set(codes[0].codes[0].tolist())}
    assert len(seen) == {"five": 5, "zero": 2, "sign": 3, "missing": 1, "levels": 7}[rule]
    assert Binner.from_dict(fitted.to_dict()).rules == fitted.rules

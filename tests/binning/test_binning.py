"""Binner: whole tables coded, saved and restored exactly; settings and tables refused by name."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bins import fit
from support.tables import table

from vflfast.binning.binner import Binner
from vflfast.binning.rules import fit_numeric
from vflfast.errors import InputError
from vflfast.tables.table import Table, read_table, table_from_frame

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NAN = math.nan
floats = st.one_of(st.floats(width=32), st.integers(-3, 3).map(float), st.just(NAN))


# --- whole tables ------------------------------------------------------------------------------------------------


def mixed() -> Table:
    rng = np.random.default_rng(3)
    amount = rng.normal(size=200)
    gaps = np.where(rng.random(200) < 0.2, NAN, amount)
    job = rng.choice(["p", "q", "r"], 200).tolist()
    return table({"d": "date"}, amount=amount.tolist(), job=job, gaps=gaps.tolist(), d=rng.integers(0, 900, 200).astype(float).tolist())


def test_rows_select_the_training_rows() -> None:
    whole = mixed()
    index = np.arange(0, 200, 3)
    mask = np.zeros(200, dtype=bool)
    mask[index] = True
    binner = fit(whole, rows=index)
    assert binner == fit(whole, rows=mask) == fit(whole.take(index))
    assert binner != fit(whole)


def test_column_order_of_a_later_table_does_not_matter() -> None:
    whole = mixed()
    names = whole.features.columns[::-1].tolist()
    turned = Table(whole.ids, whole.features[names], {name: whole.kinds[name] for name in names})
    binner = fit(whole)
    np.testing.assert_array_equal(binner.transform(whole).codes, binner.transform(turned).codes)


def test_layout_of_the_coded_matrix() -> None:
    binner = fit(mixed())
    coded = binner.transform(mixed())
    assert binner.feature_names == ["amount", "job", "gaps", "d"]
    assert binner.kinds == {"amount": "numeric", "job": "categorical", "gaps": "numeric", "d": "date"}
    assert len(binner.column_names) == coded.n_columns == 6
    assert coded.column_features.tolist() == [0, 1, 1, 1, 2, 3]
    assert coded.codes.dtype == np.uint8
    assert coded.codes.shape == (4, 200)


@pytest.mark.parametrize("numeric", ["bins", "five", "levels"])
def test_saved_and_restored_binner_is_the_same(numeric: str) -> None:
    whole = mixed()
    binner = fit(whole, numeric=numeric, max_levels=2)
    again = Binner.from_dict(json.loads(json.dumps(binner.to_dict())))
    assert again == binner
    np.testing.assert_array_equal(again.transform(whole).codes, binner.transform(whole).codes)
    np.testing.assert_array_equal(again.transform(whole).column_values, binner.transform(whole).column_values)


@given(st.lists(floats, min_size=1, max_size=30), st.sampled_from(["bins", "five", "levels"]))
@settings(max_examples=100, deadline=None)
def test_every_fitted_rule_survives_json(cells: list[float], numeric: str) -> None:
    binner = fit(table(x=cells), numeric=numeric)
    assert Binner.from_dict(json.loads(json.dumps(binner.to_dict(), allow_nan=False))) == binner


def test_describe() -> None:
    described = fit(table(x=[NAN, 0.0, 0.0, 3.0], job=["a", "a", "b", "b"])).describe()
    assert described.columns.tolist() == ["feature", "kind", "rule", "edges", "n_classes", "rows_per_class", "missing_share"]
    assert described.iloc[0].tolist() == ["x", "numeric", "zero", (), 3, (1, 2, 1), 0.25]
    assert described.iloc[1].tolist() == ["job", "categorical", "categories", (), 3, (2, 2, 0), 0.0]


def test_repr_shows_no_cell() -> None:
    binner = fit(table(job=["SECRETCELL", "b"]))
    assert repr(binner) == "Binner(n_features=1, n_columns=2)"
    assert "SECRETCELL" not in repr(binner.rules)


def in_test_part(whole: Table) -> npt.NDArray[np.bool_]:
    """The data's fixed split, by id alone."""
    hashed = [hashlib.sha256(f"vflfast-split-v1:{text}".encode()).hexdigest()[:8] for text in whole.ids]
    return np.array([int(digits, 16) / 2**32 < 0.30 for digits in hashed])


@pytest.mark.parametrize(
    ("name", "guest", "host"),
    # hotel_bookings: the data's README counts 174 without the rest columns of country, agent and company
    [("bank_marketing", 27, 11), ("hotel_bookings", 28, 177), ("fate_breast", 10, 20), ("womens_clothing", 35, None)],
)
def test_encoded_columns_of_the_public_sets(name: str, guest: int, host: int | None) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip("the shared data sets are not beside the checkout")
    meta = json.loads((folder / "meta.json").read_text())
    for side, n_columns in (("guest", guest), ("host", host)):
        if n_columns is not None:
            kinds = {column["name"]: column["kind"] for column in meta[f"{side}_columns"]}
            options = {"label_column": "y"} if side == "guest" else {}
            whole = read_table(folder / f"{side}.csv.gz", kinds=kinds, observation_date=meta["observation_date"], **options)
            binner = fit(whole, rows=~in_test_part(whole))
            coded = binner.transform(whole)
            assert coded.shape == (meta["rows"], n_columns)
            assert len(binner.column_names) == n_columns


# --- bad input ---------------------------------------------------------------------------------------------------

GOOD = {"x": [1.0, 2.0, 3.0], "job": ["a", "b", "b"]}
BAD_FITS: list[tuple[Callable[[], Any], str]] = [
    (lambda: fit(None), "table"),  # type: ignore[arg-type]
    (lambda: fit(pd.DataFrame(GOOD)), "table"),  # type: ignore[arg-type]
    (lambda: fit(Table(np.array(["a"], dtype=object), pd.DataFrame(index=[0]), {})), "table"),
    (lambda: fit(table(**GOOD), numeric="woe"), "numeric"),
    (lambda: fit(table(**GOOD), numeric=None), "numeric"),  # type: ignore[arg-type]
    (lambda: fit(table(**GOOD), max_levels=0), "max_levels"),
    (lambda: fit(table(**GOOD), max_levels=256), "max_levels"),
    (lambda: fit(table(**GOOD), max_levels=True), "max_levels"),
    (lambda: fit(table(**GOOD), max_levels=5.0), "max_levels"),  # type: ignore[arg-type]
    (lambda: fit(table(**GOOD), overrides={"nosuch": "five"}), "overrides"),
    (lambda: fit(table(**GOOD), overrides={"job": "missing"}), "overrides"),
    (lambda: fit(table(**GOOD), overrides={"x": "six"}), "overrides"),
    (lambda: fit(table(**GOOD), overrides={"x": None}), "overrides"),  # type: ignore[dict-item]
    (lambda: fit(table(**GOOD), overrides="five"), "overrides"),  # type: ignore[arg-type]
    (lambda: fit(table(**GOOD), rows=[]), "rows"),
    (lambda: fit(table(**GOOD), rows=[3]), "rows"),
    (lambda: fit(table(**GOOD), rows=[-1]), "rows"),
    (lambda: fit(table(**GOOD), rows=[1, 1]), "rows"),
    (lambda: fit(table(**GOOD), rows=[0.5]), "rows"),
    (lambda: fit(table(**GOOD), rows=[True, False]), "rows"),
    (lambda: fit(table(**GOOD), rows=[False] * 3), "rows"),
    (lambda: fit(table(**GOOD), rows=[[0, 1]]), "rows"),
    (lambda: fit(table(job=["a", 3, None])), "job"),
    (lambda: fit(table(job=["(missing)", None])), "job"),
    (lambda: fit_numeric("x", "numeric", np.array([-1e308, 1e308]), default="bins", override="levels"), "x"),
    (lambda: fit(table({"a=b": "categorical", "a": "categorical"}, **{"a=b": ["c"], "a": ["b=c"]})), "a"),
    (lambda: fit(table(**GOOD)).transform(GOOD), "table"),  # type: ignore[arg-type]
    (lambda: fit(table(**GOOD)).transform(table(x=[1.0])), "job"),
    (lambda: fit(table(**GOOD)).transform(table(x=[1.0], job=["a"], more=[1.0])), "more"),
    (lambda: fit(table(**GOOD)).transform(table(x=["1"], job=["a"])), "x"),
    (lambda: fit(table(**GOOD)).transform(table({"x": "date"}, x=[1.0], job=["a"])), "x"),
    (lambda: fit(table(**GOOD)).transform(table({"job": "categorical"}, x=[1.0], job=[7])), "job"),
]


@pytest.mark.parametrize(("call", "culprit"), BAD_FITS)
def test_bad_input_is_refused_by_name(call: Callable[[], Any], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.argument == culprit


def test_coding_some_rows_is_coding_all_and_taking_those() -> None:
    texts = [["x", "y", None][i % 3] for i in range(40)]
    whole = table_from_frame(pd.DataFrame({"id": [f"c{i}" for i in range(40)], "a": np.arange(40) % 7 - 3.0, "b": texts}))
    binner = fit(whole)
    rows = np.array([39, 3, 4, 0])
    expected = binner.transform(whole).take_rows(rows)
    coded = binner.transform(whole, rows)
    assert (coded.codes == expected.codes).all()
    assert (coded.class_counts == expected.class_counts).all()
    for bad in ([40], [1, 1], [0.5]):
        with pytest.raises(InputError, match="rows"):
            binner.transform(whole, bad)

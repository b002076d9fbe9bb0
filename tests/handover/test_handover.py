"""A model in other formats gives the same scores, in an evaluator that is not ours; points, reasons and drift are what they say."""

from __future__ import annotations

import json
import math
import shutil
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from support.estimators import estimator
from support.fitted import BOUGHT, FRAME, GUEST, HOST, N_ROWS, N_TRAIN, SMALL, TOLERANCE, Floats, expected, fitted, raw, read_as, sides

from vflfast import VerticalFrame, VerticalLogisticRegression
from vflfast.errors import DataError, InputError, ModelError
from vflfast.handover.classes import Interval, class_model
from vflfast.handover.onnx import to_onnx
from vflfast.handover.pipeline import ClassCoder, sklearn_pipeline
from vflfast.handover.pmml import to_pmml
from vflfast.handover.reasons import reason_codes

# --- classes -----------------------------------------------------------------------------------------------------


def test_the_classes_cover_every_rule(trained: VerticalLogisticRegression) -> None:
    rules = {rule.rule for party in trained.parties_.values() for rule in party.binner.rules}
    assert rules == {"five", "zero", "sign", "missing", "levels", "categories"}
    assert {rule.has_missing for rule in trained.parties_["guest"].binner.rules if rule.kind == "numeric"} == {True, False}


def inside(interval: Interval, x: float) -> bool:
    above = x > interval.low or (interval.low_closed and x == interval.low)
    below = x < interval.high or (interval.high_closed and x == interval.high)
    return above and below


def test_intervals_are_the_binner_at_every_border(variant: VerticalLogisticRegression) -> None:
    """Just below, at and just above every border, every number falls into one class only: the one that the binner gives it."""
    for party in variant.parties_.values():
        for k, feature in enumerate(class_model(party).features):
            if feature.kind == "categorical":
                continue
            ends = {e for one in feature.classes for i in one.intervals for e in (i.low, i.high) if math.isfinite(e)}
            cells = np.array([x for e in ends for x in (np.nextafter(e, -np.inf), e, np.nextafter(e, np.inf))] + [-1e300, 0.0, 1e300])
            codes = np.empty(len(cells), dtype=np.uint8)
            party.binner.rules[k].write_codes(pd.Series(cells), codes)
            found = [[one.code for one in feature.classes for i in one.intervals if inside(i, x)] for x in cells.tolist()]
            assert found == [[code] for code in codes.tolist()], feature.name


def test_the_contributions_add_up_to_the_logit(variant: VerticalLogisticRegression) -> None:
    for _, parties, _ in sides(variant)[:2]:
        party = parties[0]
        model = class_model(party)
        table = read_as(party, FRAME.parts[party.role])
        codes = party.binner.transform(table).codes
        total = model.intercept + sum(f.contributions[c] for f, c in zip(model.features, codes, strict=True))
        np.testing.assert_allclose(total, expected(variant, party.role), rtol=0, atol=TOLERANCE)


def test_a_class_says_what_its_rule_says(trained: VerticalLogisticRegression) -> None:
    for party in trained.parties_.values():
        for rule, feature in zip(party.binner.rules, class_model(party).features, strict=True):
            assert [one.text for one in feature.classes] == rule.class_texts(), feature.name


def test_names_that_two_parties_have_get_the_party_in_front(trained: VerticalLogisticRegression) -> None:
    names = [feature.name for feature in class_model(*trained.parties_.values()).features]
    assert "guest.both" in names
    assert "host1.both" in names
    assert "both" not in names
    assert "both" in [feature.name for feature in class_model(trained.parties_["guest"]).features]


def test_models_that_do_not_belong_together_are_refused(trained: VerticalLogisticRegression) -> None:
    guest, host = trained.parties_.values()
    with pytest.raises(ModelError, match="session"):
        class_model(guest, fitted(max_iter=1).parties_["host1"])
    with pytest.raises(ModelError, match="role"):
        class_model(host, host)
    for wrong in ((), (guest, None), ("guest",)):
        with pytest.raises(InputError, match="parties"):
            class_model(*wrong)  # type: ignore[arg-type]


# --- formats, each in its own evaluator --------------------------------------------------------------------------


def test_scikit_learn_gives_the_same_scores(variant: VerticalLogisticRegression) -> None:
    from sklearn.base import clone

    for side, parties, _ in sides(variant):
        pipeline = sklearn_pipeline(*parties)
        cells = FRAME.parts[side] if side != "joint" else pd.concat(
            [FRAME.parts[p].rename(columns={"both": f"{p}.both"}) for p in ("guest", "host1")], axis=1)  # fmt: skip
        shuffled = cells[cells.columns[::-1]].assign(extra=1)
        np.testing.assert_allclose(pipeline.decision_function(shuffled), expected(variant, side), rtol=0, atol=TOLERANCE)
        chances = variant.predict_proba(FRAME, side=side).to_numpy()
        np.testing.assert_allclose(pipeline.predict_proba(cells), chances, rtol=0, atol=TOLERANCE)
        assert set(pipeline.predict(cells)) == {-1, 1}
        assert len(pipeline[:-1].get_feature_names_out()) == pipeline[-1].n_features_in_
        assert isinstance(clone(pipeline)[0], ClassCoder)


def test_the_pipeline_refuses_what_it_cannot_read(trained: VerticalLogisticRegression) -> None:
    pipeline = sklearn_pipeline(trained.parties_["guest"])
    with pytest.raises(InputError, match="DataFrame"):
        pipeline.decision_function(np.zeros((3, 8)))
    with pytest.raises(DataError, match="calls: is missing"):
        pipeline.decision_function(GUEST.drop(columns="calls"))
    with pytest.raises(DataError, match="amount"):
        pipeline.decision_function(GUEST.astype({"amount": object}).assign(amount="many"))


def onnx_scores(model: Any, cells: pd.DataFrame) -> tuple[Floats, Floats]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {}
    for one in session.get_inputs():
        column = cells[one.name]
        text = one.type == "tensor(string)"
        values = column.astype(object).where(column.notna(), "").to_numpy() if text else column.to_numpy(dtype=np.float64)
        feed[one.name] = values[:, None]
    logit, probability = session.run(None, feed)
    return logit[:, 0], probability[:, 0]


def test_onnx_gives_the_same_scores(variant: VerticalLogisticRegression) -> None:
    for side, parties, cells in sides(variant):
        logit, probability = onnx_scores(to_onnx(class_model(*parties)), cells)
        assert logit.dtype == np.float64
        np.testing.assert_allclose(logit, expected(variant, side), rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(probability, variant.predict_proba(FRAME, side=side).iloc[:, 1], rtol=0, atol=TOLERANCE)


def test_onnx_names_do_not_clash(trained: VerticalLogisticRegression) -> None:
    """The host has a feature that is called like an output."""
    made = to_onnx(class_model(trained.parties_["host1"]))
    assert "logit" in [one.name for one in made.graph.input]
    assert [one.name for one in made.graph.output] == ["logit_", "probability"]


def pmml_outputs(text: str, cells: pd.DataFrame) -> pd.DataFrame:
    """What PMML4S makes of the cells; as JSON, because a DataFrame would reach it with ten digits only."""
    from pypmml import Model

    records = cells.astype(object).where(cells.notna(), None)
    given = json.dumps({"columns": list(cells.columns), "data": records.to_numpy().tolist()})
    found = json.loads(Model.fromString(text).predict(given))
    return pd.DataFrame(found["data"], columns=found["columns"])


@pytest.mark.skipif(shutil.which("java") is None, reason="the PMML evaluator runs on Java")
def test_pmml_gives_the_same_scores(variant: VerticalLogisticRegression) -> None:
    for side, parties, cells in sides(variant):
        found = pmml_outputs(to_pmml(class_model(*parties)), cells)
        logit = "logit" if side == "guest" else "logit_"  # the host has a feature of that name
        np.testing.assert_allclose(found[logit], expected(variant, side), rtol=0, atol=TOLERANCE)
        chances = variant.predict_proba(FRAME, side=side).iloc[:, 1]
        np.testing.assert_allclose(found["probability"], chances, rtol=0, atol=TOLERANCE)


@pytest.mark.skipif(shutil.which("java") is None, reason="the PMML evaluator runs on Java")
def test_pmml_gives_the_same_reasons(trained: VerticalLogisticRegression) -> None:
    party = trained.parties_["guest"]
    found = pmml_outputs(to_pmml(class_model(party)), raw("guest").iloc[:50])
    table = read_as(party, GUEST.iloc[:50])
    ours = reason_codes(party, table, top=1, index=range(50)).set_index("id")["feature"]
    assert len(ours) > 40  # a customer below every mean has no reason, and PMML names one all the same
    assert found["reason_1"].loc[ours.index].tolist() == ours.tolist()


def test_pmml_is_well_formed_and_names_every_feature(trained: VerticalLogisticRegression) -> None:
    model = class_model(*trained.parties_.values())
    root = ET.fromstring(to_pmml(model))
    space = "{http://www.dmg.org/PMML-4_4}"
    assert [field.get("name") for field in root.iter(f"{space}DataField")] == [feature.name for feature in model.features]
    card = root.find(f"{space}Scorecard")
    assert card is not None
    assert float(card.get("initialScore", "nan")) == model.intercept


def test_pmml_refuses_what_xml_cannot_hold() -> None:
    odd = GUEST.assign(trade=np.where(np.arange(N_ROWS) % 2, "a\x01b", "c"))
    model = estimator(**SMALL).fit(VerticalFrame(odd, HOST)[:N_TRAIN], BOUGHT)
    with pytest.raises(InputError, match="XML") as caught:
        to_pmml(class_model(model.parties_["guest"]))
    assert "a\x01b" not in str(caught.value)


@pytest.mark.parametrize(("module", "make", "extra"), [("onnx", "onnx", "onnx"), ("sklearn.pipeline", "sklearn", "sklearn")])
def test_a_missing_package_is_named(
    module: str, make: str, extra: str, trained: VerticalLogisticRegression, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    party = trained.parties_["guest"]
    with pytest.raises(InputError, match=rf"vflfast\[{extra}\]"):
        to_onnx(class_model(party)) if make == "onnx" else sklearn_pipeline(party)

"""A model in other formats gives the same scores, in an evaluator that is not ours; points, reasons and drift are what they say."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from support.jobs import refused, succeeded

from vflfast import VerticalFrame, VerticalLogisticRegression
from vflfast.errors import DataError, InputError, ModelError
from vflfast.handover.classes import Interval, class_model
from vflfast.handover.drift import drift
from vflfast.handover.onnx import to_onnx
from vflfast.handover.pipeline import ClassCoder, sklearn_pipeline
from vflfast.handover.pmml import to_pmml
from vflfast.handover.reasons import reason_codes
from vflfast.handover.scorecard import Scaling, scorecard
from vflfast.jobs.model import SavedParty
from vflfast.learn.stability import population_stability, verdict
from vflfast.tables.table import Table, table_from_frame

TOLERANCE = 1e-9
N_ROWS, N_TRAIN = 900, 600
SMALL = {"key_bits": 512, "test_key": True, "max_iter": 3, "encrypted": False, "observation_date": "2026-01-01"}

Floats = npt.NDArray[np.float64]


def tables(n_rows: int = N_ROWS, seed: int = 4) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Every binning rule, with and without missing cells; the last third has cells that training never saw."""
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=(2, n_rows))
    index = pd.Index([f"c{k}" for k in range(n_rows)], name="customer")
    later = np.arange(n_rows) >= N_TRAIN

    def gaps(values: Any, share: float) -> Any:
        return pd.Series(values, index=index).mask(rng.random(n_rows) < share)

    trades = rng.choice(["smith", "ba'ker", "<m>"], n_rows)
    guest = pd.DataFrame(
        {
            "amount": gaps(trait[0], 0.1),
            "whole amount": pd.Series(trait[0].round(1), index=index).mask(later & (rng.random(n_rows) < 0.2)),
            "balance": np.where(rng.random(n_rows) < 0.3, 0.0, trait[0]),
            "calls": np.where(rng.random(n_rows) < 0.93, 0.0, rng.integers(1, 9, n_rows)),
            "second card": gaps(np.ones(n_rows), 0.4),
            "trade <&> \"craft\"": gaps(np.where(later & (rng.random(n_rows) < 0.3), "new & odd", trades), 0.1),
            "since": pd.to_datetime("2025-12-31") - pd.to_timedelta(rng.integers(0, 900, n_rows), unit="D"),
            "both": rng.normal(size=n_rows),
        },
        index=index,
    )
    host = pd.DataFrame(
        {
            "grid": gaps(trait[1] * 3 + 0.1, 0.05),
            "steps": rng.integers(0, 30, n_rows),
            "shop": np.where(later & (rng.random(n_rows) < 0.3), None, rng.choice(["x", "y", "z"], n_rows, p=[0.6, 0.3, 0.1])),
            "both": trait[1],
            "logit": rng.normal(size=n_rows),
        },
        index=index,
    )
    bought = pd.Series((trait.sum(axis=0) + rng.normal(size=n_rows) > 0.3).astype(int), index=index)
    return guest, host, bought


GUEST, HOST, BOUGHT = tables()
FRAME = VerticalFrame(GUEST, HOST)


def fitted(**changes: Any) -> VerticalLogisticRegression:
    settings = {"overrides": {"grid": "levels", "steps": "levels"}, "max_levels": 2, **SMALL, **changes}
    return VerticalLogisticRegression(**settings).fit(FRAME[:N_TRAIN], BOUGHT)


@pytest.fixture(scope="module")
def trained() -> VerticalLogisticRegression:
    return fitted()


VARIANTS = {
    "ordinal": {},
    "one-hot, merged": {"encoding": "onehot", "min_class_size": 90, "overrides": None},
    "woe at both": {"encoding": "woe", "host_woe": True, "min_class_size": 60, "overrides": None},
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> VerticalLogisticRegression:
    return fitted(**VARIANTS[request.param])


def raw(party: str, prefix: bool = False) -> pd.DataFrame:
    """A party's cells as an evaluator gets them: dates as days before the observation date."""
    part = FRAME.parts[party].copy()
    if "since" in part:
        part["since"] = (pd.Timestamp("2026-01-01") - part["since"]).dt.total_seconds() / 86_400
    return part.rename(columns={"both": f"{party}.both"}) if prefix else part


def expected(model: VerticalLogisticRegression, side: str) -> Floats:
    return model.decision_function(FRAME, side=side).to_numpy()


def sides(model: VerticalLogisticRegression) -> list[tuple[str, tuple[SavedParty, ...], pd.DataFrame]]:
    """(side, models, cells) of each half and of the joint model."""
    parties = model.parties_
    joint = pd.concat([raw("guest", prefix=True), raw("host1", prefix=True)], axis=1)
    return [
        ("guest", (parties["guest"],), raw("guest")),
        ("host1", (parties["host1"],), raw("host1")),
        ("joint", tuple(parties.values()), joint),
    ]


def read_as(party: SavedParty, frame: pd.DataFrame) -> Table:
    return table_from_frame(frame.reset_index(), id_column="customer", kinds=party.binner.kinds, observation_date="2026-01-01")


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
    model = VerticalLogisticRegression(**SMALL).fit(VerticalFrame(odd, HOST)[:N_TRAIN], BOUGHT)
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


# --- scorecard, reasons, drift -----------------------------------------------------------------------------------


def test_the_points_of_a_customer_add_up(trained: VerticalLogisticRegression) -> None:
    scale = Scaling(base_points=500, base_odds=0.05, pdo=30)
    for _, parties, _ in sides(trained)[:2]:
        party = parties[0]
        table = scorecard(class_model(party), scale)
        points = {name: rows["points"].to_numpy() for name, rows in table.groupby("feature", sort=False)}
        read = read_as(party, FRAME.parts[party.role])
        codes = party.binner.transform(read).codes
        total = points.pop("(base)")[0] + sum(p[c] for p, c in zip(points.values(), codes, strict=True))
        logit = expected(trained, party.role)
        np.testing.assert_allclose(total, 500 + 30 / math.log(2) * (logit - math.log(0.05)), rtol=0, atol=TOLERANCE)
        assert all(p.min() == 0 for p in points.values())


def test_whole_points_are_whole_and_shares_add_up(trained: VerticalLogisticRegression) -> None:
    exact, whole = (scorecard(class_model(trained.parties_["guest"]), whole=w) for w in (False, True))
    assert whole["points"].dtype.kind == "i"
    assert (whole["points"] - exact["points"]).abs().max() <= 0.5
    shares = whole[whole["feature"] != "(base)"].groupby("feature")["share"].sum()
    np.testing.assert_allclose(shares, 1.0)


@pytest.mark.parametrize(
    "wrong", [{"pdo": 0}, {"pdo": -1.0}, {"base_odds": 0.0}, {"base_points": math.nan}, {"pdo": True}, {"base_odds": "1"}]
)
def test_a_scaling_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Scaling(**wrong)


def test_a_scorecard_of_something_else_is_refused(trained: VerticalLogisticRegression) -> None:
    with pytest.raises(InputError, match="model"):
        scorecard(trained.parties_["guest"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="scaling"):
        scorecard(class_model(trained.parties_["guest"]), {"pdo": 20})  # type: ignore[arg-type]


def guest_table(frame: pd.DataFrame) -> Any:
    return table_from_frame(frame.reset_index(), id_column="customer", observation_date="2026-01-01")


def test_all_effects_and_the_mean_make_the_logit(trained: VerticalLogisticRegression) -> None:
    """Σ effects + Σ means + intercept = u; without a limit every effect that is not 0 is a reason."""
    party = trained.parties_["guest"]
    found = reason_codes(party, guest_table(GUEST), top=99, direction="both")
    mean = class_model(party).intercept + sum(feature.mean for feature in class_model(party).features)
    total = mean + found.groupby("id", sort=False)["effect"].sum()
    np.testing.assert_allclose(total.loc[GUEST.index], expected(trained, "guest"), rtol=0, atol=TOLERANCE)
    assert mean == pytest.approx(expected(trained, "guest")[:N_TRAIN].mean())


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_reasons_are_ranked(direction: str, trained: VerticalLogisticRegression) -> None:
    found = reason_codes(trained.parties_["guest"], guest_table(GUEST.iloc[:40]), top=2, direction=direction)
    assert set(found["rank"]) == {1, 2}
    assert (found.groupby("id").size() <= 2).all()
    strength = {"up": found["effect"], "down": -found["effect"], "both": found["effect"].abs()}[direction]
    assert (strength > 0).all()
    everything = reason_codes(trained.parties_["guest"], guest_table(GUEST.iloc[:40]), top=99, direction=direction)
    first = found[found["rank"] == 1].set_index("id")["effect"].abs()
    largest = everything.groupby("id")["effect"].agg(lambda e: e.abs().max())
    assert (first == largest.loc[first.index]).all()


def test_a_reason_says_the_class(trained: VerticalLogisticRegression) -> None:
    found = reason_codes(trained.parties_["guest"], guest_table(GUEST.iloc[:40]), top=99, direction="both", index=range(40))
    cards = found[found["feature"] == "second card"].set_index("id")["class"]
    present = GUEST["second card"].iloc[:40].notna().to_numpy()
    assert (cards == np.where(present[cards.index], "present", "missing")).all()


def test_reasons_refuse_bad_settings(trained: VerticalLogisticRegression) -> None:
    party, table = trained.parties_["guest"], guest_table(GUEST.iloc[:4])
    for wrong, name in (({"top": 0}, "top"), ({"direction": "left"}, "direction"), ({"index": [1]}, "index"), ({"top": 1.5}, "top")):
        with pytest.raises(InputError, match=name):
            reason_codes(party, table, **wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="calls"):
        reason_codes(party, guest_table(GUEST.iloc[:4].drop(columns="calls")))


def test_the_training_rows_have_not_drifted(variant: VerticalLogisticRegression) -> None:
    found = drift(variant.parties_["guest"], guest_table(GUEST.iloc[:N_TRAIN]))
    assert (found["psi"] == 0).all()
    assert set(found["verdict"]) == {"stable"}


def test_drift_finds_the_feature_that_moved(trained: VerticalLogisticRegression) -> None:
    moved = GUEST.iloc[:N_TRAIN].assign(amount=GUEST["amount"] + 2, calls=np.nan)
    found = drift(trained.parties_["guest"], guest_table(moved)).set_index("feature")
    assert found.index[0] == "calls"
    assert found.loc["amount", "verdict"] == found.loc["calls", "verdict"] == "drifted"
    assert set(found["verdict"].drop(["amount", "calls"])) == {"stable"}
    assert found.loc["balance", "by_chance"] == pytest.approx(2 * (1 / N_TRAIN + 1 / N_TRAIN))  # three classes; none is missing
    assert (found.loc["calls", "missing_before"], found.loc["calls", "missing_now"]) == (0.0, 1.0)


def test_by_chance_is_what_chance_does() -> None:
    """Two samples of one distribution: the mean of many indices is near (classes − 1)·(1/n + 1/m)."""
    rng = np.random.default_rng(0)
    share = np.array([0.1, 0.2, 0.3, 0.4])
    found = [population_stability(rng.multinomial(500, share), rng.multinomial(300, share)) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(3 * (1 / 500 + 1 / 300), rel=0.06)


def test_population_stability_by_hand() -> None:
    assert population_stability([50, 50], [50, 50]) == 0.0
    assert population_stability([50, 50], [25, 75]) == pytest.approx(-0.25 * math.log(0.5) + 0.25 * math.log(1.5))
    assert population_stability([10, 0, 90], [10, 0, 90]) == 0.0
    assert population_stability([100, 0], [90, 10]) == pytest.approx(-0.1 * math.log(0.9) + (0.1 - 0.005) * math.log(0.1 / 0.005))
    assert [verdict(x) for x in (0.0, 0.0999, 0.1, 0.2499, 0.25, 9.0)] == ["stable", "stable", "shifted", "shifted", "drifted", "drifted"]


@pytest.mark.parametrize("wrong", [None, [], [0, 0], [-1, 2], [1.5, 2], [1, 2, 3], "12", [[1, 2]]])
def test_counts_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="actual"):
        population_stability([1, 2], wrong)


def test_drift_of_something_else_is_refused(trained: VerticalLogisticRegression) -> None:
    with pytest.raises(InputError, match="party"):
        drift(trained, guest_table(GUEST))  # type: ignore[arg-type]


# --- command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(trained: VerticalLogisticRegression, tmp_path: Path) -> Path:
    trained.save(tmp_path / "models")
    GUEST.reset_index().rename(columns={"customer": "id"}).assign(bought=BOUGHT.to_numpy()).to_csv(tmp_path / "bank.csv", index=False)
    return tmp_path


def test_export_writes_what_the_library_makes(saved: Path, trained: VerticalLogisticRegression) -> None:
    guest, host = saved / "models/guest.json", saved / "models/host1.json"
    succeeded("export", "--model", guest, "--format", "pmml", "--out", saved / "g.pmml")
    assert (saved / "g.pmml").read_text(encoding="utf-8") == to_pmml(class_model(trained.parties_["guest"]))
    succeeded("export", "--model", guest, "--model", host, "--merge", "--format", "onnx", "--out", saved / "j.onnx")
    assert (saved / "j.onnx").read_bytes() == to_onnx(class_model(*trained.parties_.values())).SerializeToString()
    succeeded("export", "--model", host, "--format", "scorecard", "--out", saved / "h.csv", "--pdo", 40, "--whole")
    table = pd.read_csv(saved / "h.csv", keep_default_na=False)
    assert table["points"].tolist() == scorecard(class_model(trained.parties_["host1"]), Scaling(pdo=40), whole=True)["points"].tolist()
    succeeded("export", "--model", host, "--format", "scorecard", "--out", saved / "h.json")
    assert len(pd.read_json(saved / "h.json")) == len(table)


def test_drift_and_reasons_on_a_file(saved: Path) -> None:
    shown = succeeded("drift", "--model", saved / "models/guest.json", "--table", saved / "bank.csv", "--label-column", "bought",
                      "--out", saved / "drift.csv", "--json")  # fmt: skip
    assert '"psi"' in shown.stdout
    assert len(pd.read_csv(saved / "drift.csv")) == GUEST.shape[1]
    shown = succeeded("drift", "--model", saved / "models/guest.json", "--table", saved / "bank.csv", "--label-column", "bought")
    assert "stable" in shown.stdout.splitlines()[-1]
    succeeded("reasons", "--model", saved / "models/guest.json", "--table", saved / "bank.csv", "--label-column", "bought", "--top", 1,
              "--out", saved / "reasons.csv")  # fmt: skip
    assert pd.read_csv(saved / "reasons.csv")["id"].is_unique


def test_the_command_line_refuses(saved: Path) -> None:
    guest, host = saved / "models/guest.json", saved / "models/host1.json"
    out = ("--out", saved / "x.csv")
    assert "--merge" in refused("export", "--model", guest, "--model", host, "--format", "pmml", *out)
    assert "--merge" in refused("export", "--model", guest, "--merge", "--format", "pmml", *out)
    assert "is missing" in refused("export", "--model", saved / "models/arbiter.json", "--format", "pmml", *out)
    assert ".csv or .json" in refused("export", "--model", guest, "--format", "scorecard", "--out", saved / "x.txt")
    assert "pdo" in refused("export", "--model", guest, "--format", "scorecard", *out, "--pdo", 0)
    assert "cannot be read" in refused("drift", "--model", saved / "none.json", "--table", saved / "bank.csv")
    assert "bought" in refused("drift", "--model", guest, "--table", saved / "bank.csv")
    assert "top" in refused("reasons", "--model", guest, "--table", saved / "bank.csv", "--label-column", "bought", "--top", 0, *out)

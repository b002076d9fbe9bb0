"""Points, reasons and drift are what they say; the commands that hand a model over."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.fitted import BOUGHT, FRAME, GUEST, N_TRAIN, TOLERANCE, expected, read_as, sides
from support.jobs import refused, succeeded

from vflfast import VerticalLogisticRegression
from vflfast.errors import DataError, InputError
from vflfast.handover.classes import class_model
from vflfast.handover.drifts import drift
from vflfast.handover.onnx import to_onnx
from vflfast.handover.pmml import to_pmml
from vflfast.handover.reasons import reason_codes
from vflfast.handover.scorecards import Scaling, scorecard
from vflfast.learn.stability import population_stability, verdict
from vflfast.tables.table import table_from_frame

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

"""What a reader of the model asks first: three answers, counts and intervals, and pages of earlier summaries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.report_pages import Seen

from vflfast.report import data, page

pytest.importorskip("matplotlib", reason="the report needs matplotlib")


def test_the_first_screen_answers_three_questions(run: Seen, folder: Path) -> None:
    evaluation, text = run.data["summary"]["evaluation"], (folder / "run.html").read_text()
    first = text[text.index("<main>") : text.index('id="section-performance"')]
    partner, flagged = evaluation["partner"], evaluation["flagged"]
    assert re.findall(r'<p class="verdict">([^<]*)</p>', first) == [
        "Yes" if partner["shown"] else "Not shown" if partner["high"] > 0 else "No",
        {0: "Yes", 1: "Yes", 2: "Roughly", 3: "Roughly"}.get(evaluation["calibrated"]["groups"] - evaluation["calibrated"]["within"], "No"),
        f"{flagged['rows']:,} of {evaluation['rows']:,} customers",
    ]
    for path in ("partner/auc_gain", "partner/p_value", "scores/joint/auc_low", "calibrated/within", "flagged/precision", "flagged/recall"):
        assert f'data-path="/summary/evaluation/{path}"' in first
    assert [row["positives"] for row in evaluation["curves"]["joint"]["gains"]] == pytest.approx(
        [run.data["summary"]["evaluation"]["curves"]["joint"]["gains"][i]["rate"] * row["rows"]
         for i, row in enumerate(evaluation["curves"]["joint"]["gains"])]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "verdicts"),
    [
        ({"partner": {"shown": False, "high": 0.01}}, ["Not shown"]),
        ({"partner": {"shown": False, "high": -0.01}}, ["No"]),
        ({"partner": None}, ["Not measured"]),
        ({"calibrated": {"groups": 10, "within": 3}}, ["No"]),
        ({"calibrated": {"groups": 10, "within": 7}}, ["Roughly"]),
        ({"flagged": {"rows": 0}}, ["Nobody"]),
    ],
)
def test_answers_follow_the_figures(changes: dict[str, Any], verdicts: list[str], folder: Path) -> None:
    summary = json.loads((folder / "run.json").read_text())["summary"]
    for name, change in changes.items():
        summary["evaluation"][name] = None if change is None else {**summary["evaluation"][name], **change}
    text = page.render(data.summary_report(summary))
    assert set(verdicts) <= set(re.findall(r'<p class="verdict">([^<]*)</p>', text))


def test_coefficients_are_shown_with_their_errors(run: Seen, folder: Path) -> None:
    text = (folder / "run.html").read_text()
    shown = text[text.index('id="section-coefficients"') : text.index('id="section-reason-codes"')]
    assert "Standard errors are those of the penalised fit" in shown
    for index, party in enumerate(run.data["parties"]):
        assert 0 < party["inference"]["columns"] <= party["n_columns"]
        assert f'data-path="/parties/{index}/inference/significant"' in shown
        for key in ("error", "p", "inflation", "partner"):
            assert f'data-path="/parties/{index}/coefficients/1/{key}"' in shown
    alone = (folder / "guest.html").read_text()
    assert 'data-path="/parties/0/coefficients/1/error"' in alone
    assert "second moments of unnamed columns" in text


def test_without_standard_errors_the_page_says_so(run: Seen) -> None:
    plain = json.loads(json.dumps(run.data))
    for party in plain["parties"]:
        party["inference"] = None
        party["coefficients"] = [{"column": row["column"], "value": row["value"]} for row in party["coefficients"]]
    assert "the run had none" in page.render(plain)
    for party in plain["parties"]:
        del party["coefficients"]
    assert 'id="section-coefficients"' not in page.render(plain)


def test_a_summary_of_an_earlier_version_has_its_page(folder: Path) -> None:
    summary = json.loads((folder / "run.json").read_text())["summary"]
    for name in ("partner", "calibrated", "flagged", "stability"):
        del summary["evaluation"][name]
    for score in summary["evaluation"]["scores"].values():
        for name in ("auc_low", "auc_high", "gini"):
            del score[name]
    for curves in summary["evaluation"]["curves"].values():
        for row in curves["gains"]:
            del row["rows"], row["positives"], row["rate"], row["cumulative_lift"]
        for row in curves["calibration"]:
            del row["rate_low"], row["rate_high"], row["positives"]
    text = page.render(data.summary_report(summary))
    assert "<h2 id=\"section-performance\">" in text
    assert "section-stability" not in text


def test_classes_tell_the_rates_of_the_customers_kept_out(run: Seen) -> None:
    evaluation = run.data["summary"]["evaluation"]
    for party in run.data["parties"]:
        for feature in party["features"]:
            assert sum(row["test_rows"] for row in feature["classes"]) == evaluation["rows"]
            assert sum(row["test_positives"] for row in feature["classes"]) == round(evaluation["rows"] * evaluation["positive_share"])
            for row in feature["classes"]:
                if row["test_rows"]:
                    assert row["test_rate"] == pytest.approx(row["test_positives"] / row["test_rows"])
                    assert row["test_rate_low"] <= row["test_rate"] <= row["test_rate_high"]
                else:
                    assert row["test_rate"] is None

"""The first screen of a report: does the partner pay, can the probability be trusted, whom does the threshold flag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

Data = Mapping[str, Any]
Value = Callable[..., str]
AT = ("summary", "evaluation")
FEW_GROUPS_OFF = 1  # of ten, one outside a 95 % interval is what chance alone gives in two runs of five


def opening(report: Data, value: Value) -> str:
    """Return three answers as HTML; `value` shows a datum with its place. Nothing for a run that kept no customers out."""
    evaluation = report["summary"]["evaluation"]
    if not evaluation or "partner" not in evaluation:  # reports of earlier versions have less
        return '<p class="lead">No customers were kept out of training (<code>test_share</code>): nothing was measured.</p>'
    answers = (
        ("Does the partner add anything?", *_partner(evaluation, value)),
        ("Is the probability calibrated?", *_calibrated(evaluation, value)),
        ("Whom does the threshold flag?", *_flagged(evaluation, value)),
    )
    cards = "".join(
        f'<div class="answer"><h3>{escape(question)}</h3><p class="verdict">{escape(verdict)}</p><p>{text}</p></div>'
        for question, verdict, text in answers
    )
    rows = f"{value(*AT, 'rows')} customers kept out of training, {_percent(value, *AT, 'positive_share')} of them positive"
    return f'<p class="lead">Measured on {rows}. Intervals are of 95 %.</p><div class="answers">{cards}</div>'


def _partner(evaluation: Data, value: Value) -> tuple[str, str]:
    """The joint score against the guest's own."""
    partner = evaluation["partner"]
    if partner is None:
        return "Not measured", "Too few customers of one class were kept out."
    at = (*AT, "partner")
    alone = next(name for name in evaluation["scores"] if name.endswith("alone"))
    verdict = "Yes" if partner["shown"] else "Not shown" if partner["high"] > 0 else "No"
    text = (
        f"AUC {value(*AT, 'scores', 'joint', 'auc')} together ({value(*AT, 'scores', 'joint', 'auc_low')} to "
        f"{value(*AT, 'scores', 'joint', 'auc_high')}), {value(*AT, 'scores', alone, 'auc')} for the {escape(alone)}. "
        f"The difference is {value(*at, 'auc_gain')} ({value(*at, 'low')} to {value(*at, 'high')}, p {value(*at, 'p_value')}, DeLong's "
        f"test). KS changes by {value(*at, 'ks_gain')}, lift in the first tenth by {value(*at, 'lift_10_gain')}."
    )
    return verdict, text


def _calibrated(evaluation: Data, value: Value) -> tuple[str, str]:
    """Predicted against observed, by groups."""
    found = evaluation["calibrated"]
    off = found["groups"] - found["within"]
    verdict = "Yes" if off <= FEW_GROUPS_OFF else "Roughly" if off <= found["groups"] // 3 else "No"
    at = (*AT, "calibrated")
    text = (
        f"In {value(*at, 'within')} of {value(*at, 'groups')} groups of customers with rising predictions the mean prediction is within "
        f"the interval of the observed rate. Mean prediction {_percent(value, *at, 'mean_probability')}, observed "
        f"{_percent(value, *AT, 'positive_share')}; expected calibration error {value(*AT, 'probabilities', 'joint', 'calibration_error')}."
    )
    return verdict, text


def _flagged(evaluation: Data, value: Value) -> tuple[str, str]:
    """What the threshold does to the customers kept out."""
    found, at = evaluation["flagged"], (*AT, "flagged")
    if not found["rows"]:
        return "Nobody", f"No customer's score is above τ = {value('summary', 'threshold')}."
    text = (
        f"τ = {value('summary', 'threshold')} flags {value(*at, 'rows')} customers, {_percent(value, *AT, 'flagged_share')}. "
        f"{_percent(value, *at, 'precision')} of them are positive ({_percent(value, *at, 'precision_low')} to "
        f"{_percent(value, *at, 'precision_high')}), against {_percent(value, *AT, 'positive_share')} of all; they are "
        f"{_percent(value, *at, 'recall')} of all positives."
    )
    return f"{found['rows']:,} of {evaluation['rows']:,} customers", text


def _percent(value: Value, *path: object) -> str:
    return value(*path, percent=True)

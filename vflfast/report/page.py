"""The page: one HTML file without scripts, fonts or images of its own, readable offline, in light and dark, and on paper."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..tables.writing import written_whole
from .charts import Chart, require
from .coefficients import coefficients
from .figures import party_figures, run_figures
from .opening import opening
from .tables import table
from .warnings import listed

Data = Mapping[str, Any]

P_VALUES, SMALLEST_P = ("p", "p_value"), 0.001
SHOWN_FEATURES = 25  # of a scorecard; the embedded data has all

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1b; --soft: #595959; --line: #d0d0d0; --panel: #f6f6f4; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --ink: #ececec; --soft: #b0b0b0; --line: #45484d; --panel: #1f2226; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 80rem; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
a { color: inherit; } nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; list-style: none; }
p.lead { color: var(--soft); }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem; }
.answer { padding: .75rem 1rem; background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; break-inside: avoid; }
.answer h3 { margin: 0; font-size: 1rem; font-weight: 400; color: var(--soft); } .answer p { margin: .4rem 0 0; }
.answer p.verdict { font-size: 1.5rem; font-weight: 600; line-height: 1.2; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .75rem; background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; min-width: 0; }
figcaption { font-weight: 600; } figcaption p { font-weight: 400; color: var(--soft); margin: .2rem 0 .5rem; font-size: .9rem; }
svg.chart { display: block; width: 100%; height: auto; color: var(--ink); }
.tables { display: flex; flex-wrap: wrap; gap: 0 2.5rem; } .tables > * { min-width: 0; max-width: 100%; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
th { font-weight: 600; } td.long { overflow-wrap: anywhere; } td.n, th.n { text-align: right; } td.n { white-space: nowrap; }
details > summary { cursor: pointer; } :focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
@media print {
  :root { --page: #fff; --ink: #000; --soft: #333; --line: #bbb; --panel: #fff; }
  body { max-width: none; font-size: 10pt; } nav { display: none; } figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .charts { grid-template-columns: 1fr 1fr; } figure details { display: none; } section > details > summary { list-style: none; }
  section > details::details-content { content-visibility: visible; block-size: auto; }
}
"""

WHO_SEES = (
    ("guest", "its columns, the labels, its weights",
     "which customers are common; its own gradient sums of every round; the threshold and the final labels"),
    ("host", "its columns, its weights", "which customers are common; its own gradient sums of every round"),
    ("arbiter", "the private key", "numbers under masks; the rounds' votes; the combined scores in a secret order, without ids"),
)  # fmt: skip
SEPARATION = {"auc": "AUC", "auc_low": "from", "auc_high": "to", "gini": "Gini", "ks": "KS", "lift_10": "lift at 10 %"}
CLASS = {
    "label": "class", "rows": "training rows", "points": "points", "test_rows": "rows kept out", "test_positives": "positives",
    "test_rate": "rate", "test_rate_low": "from", "test_rate_high": "to",
}  # fmt: skip
COUNTS = {"rows": "rows", "positives": "positives"}
GAINS = {**COUNTS, "rate": "rate", "lift": "lift", "captured": "captured", "cumulative_lift": "cumulative lift"}
CALIBRATION = {**COUNTS, "mean_score": "mean prediction", "rate": "observed rate", "rate_low": "from", "rate_high": "to"}
PROBABILITIES = {"log_loss": "log loss", "brier_score": "Brier score", "calibration_error": "calibration error"}
LEDGER = {
    "party": "party", "what": "was given", "equations": "equations", "unknowns": "unknowns", "share": "equations / unknowns",
    "largest": "of one row at most", "above_fifth": "rows above 0.2", "above_half": "above 0.5", "above_nine_tenths": "above 0.9",
}  # fmt: skip
ARBITER_INFERS = "second moments of unnamed columns of both sides, for the standard errors"
PATENT_SEES = "in this profile also the training labels [0080] and the final labels [0152]"


def render(report: Data) -> str:
    """Return the page of a report's data.

    Raises
    ------
    InputError
        No data of a report, or matplotlib is not installed.
    """
    if report.get("format") != "vflfast report" or report.get("kind") not in ("run", "party"):
        raise InputError("report", "must be what run_report, summary_report or model_report gave")
    page = _Page(report)
    body = page.run() if report["kind"] == "run" else page.party()
    title = "Joint model: report of a simulation" if report["kind"] == "run" else f"Model of the {report['party']['role']}"
    data = json.dumps(report).replace("<", "\\u003c")
    links = "".join(f'<li><a href="#{_anchor(name)}">{escape(name)}</a></li>' for name in page.sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # says to the browser what holds anyway: nothing is loaded from anywhere
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n'
        f'<body>\n<header><h1>{escape(title)}</h1>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>{body}</main>\n'
        f'<script type="application/json" id="report-data">{data}</script>\n</body>\n</html>\n'
    )


def check_target(path: str | Path) -> None:
    """Refuse what would fail when the run is over.

    Raises
    ------
    InputError
        matplotlib is not installed, or there is no such folder.
    """
    require()
    if not Path(path).parent.is_dir():
        raise InputError("report", f"there is no folder {Path(path).parent}")


def write(path: str | Path, report: Data) -> None:
    """Write the page whole or not at all, for its owner to read."""
    text = render(report)
    with written_whole(path) as stream:
        stream.write(text)


class _Page:
    """Sections of a page; every number in a table says where it stands in the data."""

    def __init__(self, report: Data) -> None:
        self.report = report
        self.sections: list[str] = []

    def run(self) -> str:
        """All of a simulation: what a reader of the model asks first, how it was made at the end."""
        charts = {chart.name: chart for chart in run_figures(self.report)}
        return "".join([
            self.section("Summary", opening(self.report, self.value)),
            self.section("Performance", self.evaluation() + _figures(charts, "separation", "roc", "ks", "gains", "lift") + self.gains()),
            self.section("Calibration", _figures(charts, "calibration", "distribution") + self.calibration()),
            self.section("Stability", self.stability()),
            self.section("Features", self.scorecards()),
            self.section("Coefficients", coefficients(self.report["parties"], self.value)),
            self.section("Elimination", self.elimination()),
            self.section("Reason codes", self.samples()),
            self.section("Data", _figures(charts, "match", "bins")),
            self.section("Training", self.run_facts() + _figures(charts, "losses", "loss-kept-out", "auc-by-round")),
            self.section("Who sees what", self.who_sees() + self.ledger("/summary/leak_ledger")),
            self.section("Time and traffic", _figures(charts, "timeline", "stages", "messages")),
            self.section("Predicted and actual cost", self.compared() + _figures(charts, "prediction")),
            self.section("Settings", self.settings("/summary/settings")),
        ])  # fmt: skip

    def party(self) -> str:
        """One party's own side."""
        charts = {chart.name: chart for chart in party_figures(self.report)}
        facts = [("role", "/party/role"), ("session", "/party/session"), ("rounds", "/party/rounds"),
                 ("stopped by the rule", "/party/stopped_by_rule"), ("L2 penalty α", "/party/alpha")]  # fmt: skip
        return "".join([
            self.section("Model", self.facts(facts)),
            self.section("What this party was given", self.ledger("/party/leak_ledger")),
            self.section("Training", _figures(charts, "losses", "bins")),
            self.section("Features", self.scorecards()),
            self.section("Coefficients", coefficients(self.report["parties"], self.value)),
            self.section("Settings", self.settings("/party/settings")),
        ])  # fmt: skip

    def section(self, name: str, body: str) -> str:
        """A section, if there is anything in it."""
        if not body:
            return ""
        self.sections.append(name)
        return f'<section aria-labelledby="{_anchor(name)}"><h2 id="{_anchor(name)}">{escape(name)}</h2>{body}</section>\n'

    def value(self, *path: object, percent: bool = False) -> str:
        """A datum with its JSON pointer (RFC 6901), so that page and data can be compared; a share as a percentage where asked for."""
        found: Any = self.report
        for step in path:
            found = found[step]
        pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
        text = as_percent(found) if percent else as_p(found) if path[-1] in P_VALUES else shown(found)
        return f'<data value="{escape(json.dumps(found))}" data-path="{escape(pointer)}">{escape(text)}</data>'

    def facts(self, pairs: Sequence[tuple[str, str]]) -> str:
        """Names and values as a table of two columns."""
        cell = '<td class="long">'
        rows = "".join(f'<tr><th scope="row">{escape(name)}</th>{cell}{self.value(*_steps(path))}</td></tr>' for name, path in pairs)
        return f'<div class="scroll"><table>{rows}</table></div>'

    def run_facts(self) -> str:
        """The run in a few lines."""
        summary = self.report["summary"]
        pairs = [
            ("customers in common", "/summary/match/matched"), ("training rows", "/summary/training_rows"),
            *((f"columns of {party}", f"/summary/columns/{party}") for party in summary["columns"]),
            ("rounds", "/summary/rounds"), ("stopped by the rule", "/summary/stopped_by_rule"), ("threshold τ", "/summary/threshold"),
            ("flagged in training", "/summary/flagged_share_in_training"), ("seconds", "/summary/seconds"), ("bytes", "/summary/bytes"),
            ("rounds equal to the plaintext twin", "/summary/verified_rounds"), ("weight hash", "/summary/weight_hash"),
        ]  # fmt: skip
        lead = '<p class="lead">A simulation: all parties ran in one place, so this page may show them all. In a real run nobody can.</p>'
        return lead + self.facts(pairs)

    def who_sees(self) -> str:
        """Each role's own things and what it learns."""
        settings = self.report["summary"]["settings"]
        more = {
            "host": PATENT_SEES if settings.get("profile") == "patent" else "",
            "arbiter": ARBITER_INFERS if settings.get("inference") else "",
        }
        rows = [(role, own, f"{learns}; {more[role]}" if more.get(role) else learns) for role, own, learns in WHO_SEES]
        return table(("role", "has", "learns"), [[escape(cell) for cell in row] for row in rows])

    def ledger(self, path: str) -> str:
        """Equations given to each party against unknowns."""
        steps = _steps(path)
        entries = self._at(steps)
        rows = [[self.value(*steps, i, key) for key in LEDGER] for i in range(len(entries))]
        return f"<h3>Leak ledger</h3>{table(tuple(LEDGER.values()), rows, numbers=2)}"

    def evaluation(self) -> str:
        """Figures of the customers kept out of training."""
        evaluation = self.report["summary"]["evaluation"]
        if not evaluation:
            return ""
        where = ("summary", "evaluation")
        pairs = [(name.replace("_", " "), f"/summary/evaluation/{name}") for name in ("rows", "positive_share", "flagged_share")]
        rows = [
            [escape(name), *(self.value(*where, "scores", name, key) for key in SEPARATION if key in told)]
            for name, told in evaluation["scores"].items()
        ]
        known = [text for key, text in SEPARATION.items() if all(key in told for told in evaluation["scores"].values())]
        separation = table(("score", *known), rows, numbers=1)
        told = evaluation.get("probabilities", {})  # none in reports of earlier versions
        rows = [[escape(name), *(self.value(*where, "probabilities", name, key) for key in PROBABILITIES)] for name in told]
        truth = table(("probability", *PROBABILITIES.values()), rows, numbers=1) if rows else ""
        return f'<div class="tables">{self.facts(pairs)}{separation}{truth}</div>'

    def gains(self) -> str:
        """The joint score's gains table with its counts."""
        return self._by_tenth("gains", GAINS, "Gains table of the joint score, best tenth first")

    def calibration(self) -> str:
        """Predicted and observed by tenth."""
        return self._by_tenth("calibration", CALIBRATION, "Joint probability, lowest tenth first")

    def _by_tenth(self, name: str, columns: Mapping[str, str], head: str) -> str:
        curves = self.report["summary"]["evaluation"].get("curves", {}) if self.report["summary"]["evaluation"] else {}
        if "joint" not in curves or not all(key in curves["joint"][name][0] for key in columns):  # in reports of earlier versions
            return ""
        at = ("summary", "evaluation", "curves", "joint", name)
        rows = [[str(i + 1), *(self.value(*at, i, key) for key in columns)] for i in range(len(curves["joint"][name]))]
        return f"<h3>{escape(head)}</h3>{table(('tenth', *columns.values()), rows, numbers=1)}"

    def stability(self) -> str:
        """How far the customers kept out are from those of training."""
        found = (self.report["summary"]["evaluation"] or {}).get("stability")
        if not found:
            return ""
        at = ("summary", "evaluation", "stability")
        keys = ("party", "feature", "psi", "verdict")
        rows = [[self.value(*at, "features", i, key) for key in keys] for i in range(len(found["features"]))]
        lead = (
            '<p class="lead">Population stability index from the training rows to those kept out; below 0.1 a distribution is stable, '
            "from 0.25 on it has drifted.</p>"
        )
        pairs = [("joint score", "score_psi"), ("its verdict", "score_verdict")]
        pairs += [(f"{verdict} features", verdict) for verdict in ("stable", "shifted", "drifted")]
        facts = self.facts([(text, "/" + "/".join((*at, key))) for text, key in pairs])
        return f'{lead}<div class="tables">{facts}{table(keys, rows, numbers=2)}</div>'

    def scorecards(self) -> str:
        """Every party's features by what their classes add to the linear predictor."""
        text = "".join(self.scorecard(i, party) for i, party in enumerate(self.report["parties"]))
        lead = (
            '<p class="lead">Points are what a class adds to the log odds; features with the widest spread come first. Rates are of the '
            "customers kept out of training, with 95 % intervals: they should rise with the points.</p>"
        )
        return text and lead + listed(self.report["parties"], self.value) + text

    def scorecard(self, index: int, party: Data) -> str:
        """One party's table."""
        rows = []
        for f, feature in enumerate(party["features"][:SHOWN_FEATURES]):
            at = ("parties", index, "features", f)
            for c, row in enumerate(feature["classes"]):
                if row["rows"]:
                    first = [self.value(*at, "feature"), self.value(*at, "rule")]
                    rows.append([*first, *(self.value(*at, "classes", c, key) for key in CLASS if key in row)])
        more = len(party["features"]) - SHOWN_FEATURES
        note = f"<p>{more:,} more features are in the data at the end of this file.</p>" if more > 0 else ""
        first_class = party["features"][0]["classes"][0] if party["features"] else {}
        rendered = table(("feature", "rule", *(text for key, text in CLASS.items() if key in first_class)), rows, numbers=3)
        head = f"{escape(party['role'])}: {len(party['features']):,} features, {party['n_columns']:,} columns, intercept"
        return f"<details><summary>{head} {self.value('parties', index, 'intercept')}</summary>{rendered}{note}</details>"

    def elimination(self) -> str:
        """Which features left the model, in their order, and why."""
        steps = self.report["summary"].get("elimination")
        if not steps:
            return ""
        at, keys = ("summary", "elimination"), ("fits", "party", "feature", "rule", "value", "limit")
        rows = [[self.value(*at, i, key) for key in keys] for i in range(len(steps))]
        lead = '<p class="lead">Features that left by the rules, after how many fits, with what broke the rule and its limit.</p>'
        return lead + table(keys, rows, numbers=4)

    def samples(self) -> str:
        """Why a few customers got their scores."""
        parts = []
        for i, sample in enumerate(self.report["samples"]):
            at = ("samples", i)
            keys = ("party", "feature", "class", "effect")
            rows = [[self.value(*at, "reasons", r, key) for key in keys] for r in range(len(sample["reasons"]))]
            rendered = table(("party", "feature", "class", "effect on the log odds"), rows, numbers=3)
            head = f"{escape(sample['customer'].capitalize())}: {self.value(*at, 'joint_probability')}"
            parts.append(f"<div><h3>{head}</h3>{rendered}</div>")
        return f'<div class="tables">{"".join(parts)}</div>' if parts else ""

    def compared(self) -> str:
        """Prediction and truth side by side."""
        plan = self.report["summary"].get("plan")
        if not plan:
            return ""
        keys = ("what", "predicted", "actual", "ratio")
        rows = [[self.value("summary", "plan", "compared", i, key) for key in keys] for i in range(len(plan["compared"]))]
        return table(("figure", "predicted", "actual", "predicted / actual"), rows, numbers=1)

    def settings(self, path: str) -> str:
        """All agreed settings."""
        return self.facts([(name, f"{path}/{name}") for name in self._at(_steps(path))])

    def _at(self, steps: Sequence[str]) -> Any:
        found: Any = self.report
        for step in steps:
            found = found[step]
        return found


def shown(value: object) -> str:
    """Return a datum as people read it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def as_p(value: float | str | None) -> str:
    """Return a p value as people read it."""
    return "< 0.001" if isinstance(value, float) and value < SMALLEST_P else shown(value)


def as_percent(value: float | None) -> str:
    """Return a share as people read it."""
    return shown(value) if value is None else f"{100 * value:.3g} %"


def _figures(charts: Mapping[str, Chart], *names: str) -> str:
    found = [_figure(charts[name]) for name in names if name in charts]
    return f'<div class="charts">{"".join(found)}</div>' if found else ""


def _figure(chart: Chart) -> str:
    rows = [[escape(shown(cell)) for cell in row] for row in chart.rows]
    rendered = table(chart.headers, rows, numbers=1)
    return (
        f'<figure id="figure-{chart.name}"><figcaption>{escape(chart.title)}<p>{escape(chart.description)}</p></figcaption>{chart.svg}'
        f"<details><summary>Numbers of this chart</summary>{rendered}</details></figure>"
    )


def _steps(path: str) -> list[str]:
    return path.strip("/").split("/")


def _anchor(name: str) -> str:
    return "section-" + name.lower().replace(" ", "-")

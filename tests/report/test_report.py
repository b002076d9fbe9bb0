"""The report: what stands in it, what must not, and how a real browser shows it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.jobs import refused
from support.report_pages import Seen, at, read

from vflfast.binning.rules import NumericRule
from vflfast.errors import InputError, LeakageGuardError
from vflfast.jobs.model import SavedParty, read_json
from vflfast.report import charts, data, figures, page

pytest.importorskip("matplotlib", reason="the report needs matplotlib")

RUN_CHARTS = {
    "match", "bins", "losses", "loss-kept-out", "auc-by-round", "separation", "roc", "ks", "gains", "lift", "calibration", "distribution",
    "timeline", "stages", "messages", "prediction",
}  # fmt: skip
# --- the page of a trial -----------------------------------------------------------------------------------------------


def test_every_chart_is_there_with_its_alternatives(run: Seen) -> None:
    assert set(run.figures) == RUN_CHARTS
    for name, figure in run.figures.items():
        assert figure["role"] == "img", name
        assert len(figure["title"]) > 2, name
        assert len(figure["desc"]) > 20, name
        assert figure["cells"] > 1, name


def test_every_section_is_there(run: Seen) -> None:
    assert run.headings == [
        "Summary", "Performance", "Calibration", "Stability", "Features", "Coefficients", "Reason codes", "Data", "Training",
        "Who sees what", "Time and traffic", "Predicted and actual cost", "Settings",
    ]  # fmt: skip


def test_the_curve_by_round_ends_at_the_figures_of_the_evaluation(run: Seen) -> None:
    evaluation = run.data["summary"]["evaluation"]
    by_round, scores = evaluation["rounds"], evaluation["scores"]
    assert by_round["first"] == 1
    for name, side in (("guest", "guest alone"), ("host1", "host1 alone"), ("joint", "joint")):
        for key in ("auc", "ks"):
            assert len(by_round["scores"][name][key]) == run.data["summary"]["rounds"]
            assert by_round["scores"][name][key][-1] == pytest.approx(scores[side][key], abs=1e-12)
    assert run.figures["auc-by-round"]["cells"] == run.data["summary"]["rounds"] * 7
    assert f"{scores['joint']['auc']:.4f}" in run.figures["auc-by-round"]["desc"]


def test_a_run_that_went_on_says_which_rounds_it_knows(folder: Path) -> None:
    summary = json.loads((folder / "run.json").read_text())["summary"]
    summary["evaluation"]["rounds"]["first"] = 7
    chart = next(one for one in figures.run_figures(data.summary_report(summary)) if one.name == "auc-by-round")
    assert [row[0] for row in chart.rows] == [7, 8]
    assert "rounds before 7" in chart.description


def test_values_on_the_page_are_those_of_the_data(run: Seen, folder: Path) -> None:
    printed = json.loads((folder / "run.json").read_text())["summary"]
    assert run.data["summary"] == printed
    assert len(run.values) > 100
    for pointer, value, text in run.values:
        expected = at(run.data, pointer)
        assert json.loads(value) == expected, pointer
        ways = [page.shown(expected), *([page.as_percent(expected), page.as_p(expected)] if isinstance(expected, float) else [])]
        assert text in ways, pointer
    pointers = {pointer for pointer, _, _ in run.values}
    for score in printed["evaluation"]["scores"]:
        assert f"/summary/evaluation/scores/{score}/auc" in pointers
    assert {f"/summary/settings/{name}" for name in printed["settings"]} <= pointers
    assert {"/summary/threshold", "/summary/seconds", "/summary/bytes", "/summary/weight_hash"} <= pointers


def test_nothing_is_loaded_from_anywhere(folder: Path) -> None:
    for name in ("run.html", "guest.html"):
        seen = read(folder / name)
        text = (folder / name).read_text()
        assert seen.loads == ["data:,"]  # an icon, so that no browser asks for one
        assert set(seen.anchors) <= {"#" + one for one in seen.ids}
        assert len(set(seen.ids)) == len(seen.ids)
        assert "http" not in re.sub(r"http-equiv", "", text)
        assert not re.search(r"@import|@font-face|url\((?!#)", text)
        assert all(target in seen.ids for target in re.findall(r"url\(#([^)]+)\)", text))


def test_the_drawings_take_the_pages_colours(folder: Path) -> None:
    text = (folder / "run.html").read_text()
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert charts.INK not in text
    assert charts.GRID not in text
    assert "currentColor" in text
    for drawing in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        assert "viewBox" in drawing[:200]
        assert not re.search(r"<svg[^>]*\b(width|height)=", drawing)


def test_no_customer_is_named(folder: Path) -> None:
    text = (folder / "run.html").read_text()
    assert "customer-0-" not in text


def test_the_page_of_the_printed_json(run: Seen, folder: Path) -> None:
    again = read(folder / "again.html")
    assert again.data["summary"] == run.data["summary"]
    kept = {"label", "rows", "points"}  # rates are known where the customers kept out are
    assert again.data["parties"] == [
        {**party, "features": [
            {name: value for name, value in feature.items() if name != "warnings"}
            | {"classes": [{name: row[name] for name in row.keys() & kept} for row in feature["classes"]]}
            for feature in party["features"]
        ]}
        for party in run.data["parties"]
    ]  # fmt: skip
    assert set(again.figures) == RUN_CHARTS


# --- one party's own page ------------------------------------------------------------------------------------------------


def test_a_partys_page_shows_its_side_only(folder: Path) -> None:
    seen, text = read(folder / "guest.html"), (folder / "guest.html").read_text()
    assert set(seen.figures) == {"losses", "bins"}
    assert seen.data["party"]["role"] == "guest"
    assert [party["role"] for party in seen.data["parties"]] == ["guest"]
    assert "guest_amount" in text
    assert "host1" not in text
    for pointer, value, shown in seen.values:
        assert json.loads(value) == at(seen.data, pointer)
        assert shown == (page.as_p if pointer.endswith("/p") else page.shown)(at(seen.data, pointer))


def test_only_a_simulation_has_all_sides_in_one_page(folder: Path) -> None:
    summary = json.loads((folder / "run.json").read_text())["summary"]
    summary["settings"]["simulation"] = False
    with pytest.raises(LeakageGuardError, match="simulation"):
        data.summary_report(summary)


# --- scorecard and reason codes ------------------------------------------------------------------------------------------


def test_points_are_weight_times_value(folder: Path, run: Seen) -> None:
    for party, shown in zip(("guest", "host1"), run.data["parties"], strict=True):
        saved = SavedParty.from_dict(read_json(folder / "models" / f"{party}.json"))
        weights = dict(zip(saved.binner.column_names, saved.weights.tolist(), strict=True))
        assert shown["intercept"] == saved.intercept
        features = {feature["feature"]: feature for feature in shown["features"]}
        assert set(features) == set(saved.binner.feature_names)
        for rule in saved.binner.rules:
            points = [row["points"] for row in features[rule.feature]["classes"]]
            assert [row["rows"] for row in features[rule.feature]["classes"]] == list(rule.counts)
            if isinstance(rule, NumericRule):
                expected = [weights[rule.feature] * value for value in rule.column_values()[0].tolist()]
            else:
                expected = [weights[name] for name in rule.column_names()] + [0.0] * (not rule.has_rest)
            assert points == pytest.approx(expected)
        spreads = [feature["spread"] for feature in shown["features"]]
        assert spreads == sorted(spreads, reverse=True)


def test_reasons_are_ranked_and_samples_ordered(run: Seen) -> None:
    samples = run.data["samples"]
    chances = [sample["joint_probability"] for sample in samples]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > chances[-1]
    for sample in samples:
        effects = [reason["effect"] for reason in sample["reasons"]]
        top, bottom = effects[: data.REASONS], effects[data.REASONS :]
        assert top == sorted(top, reverse=True)
        assert bottom == sorted(bottom)
        assert min(top) >= max(bottom)
    assert sum(reason["effect"] for reason in samples[0]["reasons"]) > 0 > sum(reason["effect"] for reason in samples[-1]["reasons"])


def test_classes_are_told_as_the_bins_tell_them(folder: Path, run: Seen) -> None:
    """One text for a class everywhere: the report has no words of its own."""
    binner = SavedParty.from_dict(read_json(folder / "models" / "guest.json")).binner
    shown = {feature["feature"]: [row["label"] for row in feature["classes"]] for feature in run.data["parties"][0]["features"]}
    assert shown == {rule.feature: rule.class_texts() for rule in binner.rules}
    told = {(reason["feature"], reason["class"]) for sample in run.data["samples"] for reason in sample["reasons"]}
    assert all(text in shown[feature] for feature, text in told if feature in shown)


def test_text_of_a_table_cannot_become_a_tag(folder: Path, tmp_path: Path) -> None:
    shown = json.loads((folder / "run.json").read_text())["summary"]
    report = data.summary_report(shown)
    report["summary"]["match"]["method"] = "</script><script>alert(1)</script>"
    report["summary"]["leak_ledger"][0]["what"] = "<b>&\"'"
    page.write(tmp_path / "page.html", report)
    seen = read(tmp_path / "page.html")
    assert seen.data["summary"]["match"]["method"] == "</script><script>alert(1)</script>"
    assert ("/summary/leak_ledger/0/what", json.dumps("<b>&\"'"), "<b>&\"'") in seen.values


# --- refusals --------------------------------------------------------------------------------------------------------------


def test_refusals(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "list.json").write_text('{"summary": []}')
    assert "summary" in refused("report", tmp_path / "empty.json", "--out", out)
    assert "summary" in refused("report", tmp_path / "list.json", "--out", out)
    assert "no JSON file" in refused("report", folder / "guest.csv", "--out", out)
    assert "SUMMARY_FILE" in refused("report", "--out", out)
    assert "SUMMARY_FILE" in refused("report", folder / "run.json", "--model", folder / "models" / "guest.json", "--out", out)
    assert "no folder" in refused("train", folder / "job.toml", "--report", tmp_path / "absent" / "r.html")
    assert not out.exists()
    with pytest.raises(InputError) as caught:
        page.render({"format": "something else"})
    assert caught.value.argument == "report"


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(charts, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"vflfast\[report\]"):
        page.check_target(tmp_path / "r.html")


# --- in a browser ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium with its driver, where this machine has them."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the browser test needs selenium")
    driver = shutil.which("chromedriver")
    binary = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if not (driver and binary):
        pytest.skip("the browser test needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


DRAWN = """return [...document.querySelectorAll('figure')].map(figure => {
  const box = figure.querySelector('svg').getBoundingClientRect();
  const marks = [...figure.querySelectorAll('svg path, svg text')].filter(mark => mark.getBoundingClientRect().width > 0).length;
  return [figure.id.replace('figure-', ''), box.left, box.right, box.height, marks];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_shows_all_of_it(browser: Any, folder: Path, run: Seen, width: int, scheme: str) -> None:
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get((folder / "run.html").as_uri())
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", "about:"))] == [(folder / "run.html").as_uri()]
    drawn = browser.execute_script(DRAWN)
    assert {name for name, *_ in drawn} == RUN_CHARTS
    for name, left, right, height, marks in drawn:
        assert 0 <= left < right <= width, name
        assert right - left > 0.25 * width, name
        assert height > 100, name
        assert marks > 5, name
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width  # nothing sticks out sideways
    script = "return [...document.querySelectorAll('data')].map(d => [d.dataset.path, d.value, d.textContent])"
    assert [tuple(value) for value in browser.execute_script(script)] == run.values
    page_colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert page_colour == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"}[scheme]


def test_on_paper_the_scorecards_are_open_and_nothing_is_cut(browser: Any, folder: Path) -> None:
    metrics = {"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": False}  # A4 at 96 dots an inch, without its margins
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    browser.get((folder / "run.html").as_uri())
    sizes = "return [...document.querySelectorAll('%s')].map(part => part.getBoundingClientRect().height)"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= metrics["width"]
    cut = "return [...document.querySelectorAll('.scroll')].filter(part => part.scrollWidth > part.clientWidth + 1).length"
    assert browser.execute_script(cut) == 0
    cells = browser.execute_script(sizes % "section > details td")
    assert len(cells) > 50
    assert min(cells) > 5
    assert max(browser.execute_script(sizes % "figure details")) == 0
    assert max(browser.execute_script(sizes % "nav")) == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

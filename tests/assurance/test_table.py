"""The table of assurance: every pattern finds tests, figures fold as their rows say, and a bar that is missed is seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from assurance.figures import Collector, Figure, fold, show, table_lines, verdict
from assurance.table import CAMPAIGNS, FUZZERS, ROWS, Measure

TESTS = Path(__file__).resolve().parents[1]


def names() -> list[str]:
    """Every test by file and function, with brackets behind it as parametrised tests have them."""
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found += [f"{path.name}::{name}[3-5-gmpy2]"]
    return found


PATTERNS = [(row.number, measure.pattern) for row in ROWS for measure in row.measures if measure.pattern]
ALTERNATIVES = [(number, part) for number, pattern in PATTERNS for part in re.split(r"\|(?=test_\w+\\\.py)", pattern)]


@pytest.mark.parametrize(("row", "pattern"), ALTERNATIVES)
def test_every_pattern_finds_tests(row: str, pattern: str) -> None:
    assert any(re.search(pattern, name) for name in names()), row


def test_every_recorded_measure_is_recorded_somewhere() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    recorded = set(re.findall(r'figure\("(\w+)", "([^"]+)"', sources)) | set(re.findall(r'"figure", \["(\w+)", "([^"]+)"', sources))
    for row in ROWS:
        for measure in row.measures:
            what = measure.what.replace("\\", "\\\\")
            assert measure.pattern or (row.number, what) in recorded, (row.number, measure.what)


def test_rows_stand_once_and_in_order() -> None:
    numbers = [row.number for row in ROWS]
    assert numbers == sorted(set(numbers), key=lambda number: (number[0], int(number[1:])))


def test_the_budget_is_shared_by_all_campaigns() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    assert len(re.findall(r"^def test_.*campaign_seconds", sources, re.MULTILINE)) == CAMPAIGNS
    assert len(re.findall(r"^def test_.*fuzz_seconds", sources, re.MULTILINE)) == FUZZERS


def test_figures_of_an_earlier_pass_count(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text('{"figures": [["E1", "percent of a round", [3.5, 4.5]]], "failed": ["one"]}', encoding="utf-8")

    class Given:
        def getoption(self, name: str) -> object:
            return str(kept) if name == "--kept-figures" else pytestconfig.getoption(name)

    collector = Collector(Given())  # type: ignore[arg-type]
    assert collector.values["E1", "percent of a round"] == [3.5, 4.5]
    assert collector.failed == ["one"]


def test_values_fold_as_the_measure_says() -> None:
    assert fold(Measure("x"), [2, 3]) == 5
    assert fold(Measure("x", fold="max"), [2.5, 3.5]) == 3.5
    assert fold(Measure("x", fold="min"), [2.5, 3.5]) == 2.5
    assert fold(Measure("x"), ["3-5", "5-7", "3-5"]) == 2
    assert fold(Measure("x"), []) is None


@pytest.mark.parametrize(("measure", "value", "expected"), [
    (Measure("x", 10), 10, "yes"), (Measure("x", 10), 9, "no"), (Measure("x", 10), None, "not measured"), (Measure("x", None), 9, "–"),
    (Measure("x", 0, at_most=True), 0, "yes"), (Measure("x", 0, at_most=True), 1, "no"),
])  # fmt: skip
def test_a_bar_is_met_or_missed(measure: Measure, value: float | None, expected: str) -> None:
    assert verdict([(measure, value, measure.quick)]) == expected


def test_one_missed_bar_of_a_row_is_enough() -> None:
    assert verdict([(Measure("x"), 5, 1), (Measure("y"), 0, 1)]) == "no"
    assert verdict([(Measure("x"), 0, 1), (Measure("y"), None, 1)]) == "not measured"


def test_the_lines_show_value_and_verdict() -> None:
    stripped = {("D1", "rows opened"): [0], ("D1", "rows"): [1000], ("D1", "rows opened by the control"): [999]}
    lines = table_lines({("A2", "cases"): [200_000, 1], **stripped})
    by_row = {line.split("|")[1].strip(): line for line in lines[2:]}
    assert "cases 200,001 | yes / no |" in by_row["A2"]
    assert by_row["D1"].endswith("rows opened 0; rows 1,000; rows opened by the control 999 | no / no |")
    assert len(by_row) == len(ROWS)
    assert show(0.123) == "0.123"


def test_only_passed_tests_count(request: pytest.FixtureRequest) -> None:
    collector = Collector(request.config)
    for outcome in ("passed", "failed"):
        name = "crypto/test_toy.py::test_every_plaintext_under_every_randomness[gmpy2-3-5]"
        report = pytest.TestReport(name, ("", 0, ""), {}, outcome, None, "call", user_properties=[("figure", ["A2", "cases", 7])])  # type: ignore[arg-type]
        collector.pytest_runtest_logreport(report)
    assert collector.values["A2", "cases"] == [7]
    assert collector.values["A3", "moduli"] == ["3-5"]
    assert len(collector.failed) == 1


def test_a_misspelt_measure_is_an_error(figure: Figure) -> None:
    with pytest.raises(KeyError, match="no such measure"):
        figure("A2", "case", 1)

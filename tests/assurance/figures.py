"""A pytest plugin that collects what tests measure and sets it beside the bars of `table.ROWS`.

`pytest --figures` prints the table after the run, `--assure` also leaves out every test that measures nothing, `--write-figures PATH`
writes the page. `--examples N` gives every Hypothesis property N examples, `--budget S` gives the campaigns S seconds together,
`--fuzz S` the fuzzers.
"""

from __future__ import annotations

import datetime
import json
import platform
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .table import CAMPAIGNS, FUZZERS, PROPERTY_EXAMPLES, ROWS, Measure

ROOT = Path(__file__).resolve().parents[2]
Figure = Callable[[str, str, float], None]
Values = dict[tuple[str, str], list[Any]]
MEASURES = {(row.number, measure.what): measure for row in ROWS for measure in row.measures}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("figures", "the table of assurance")
    group.addoption("--figures", action="store_true", help="print the table of what the tests measured")
    group.addoption("--assure", action="store_true", help="run only tests that measure something, and print the table")
    group.addoption("--write-figures", metavar="PATH", help="write the table as a page")
    group.addoption("--keep-figures", metavar="PATH", help="keep what was measured, for a later pass over other tests")
    group.addoption("--kept-figures", metavar="PATH", help="count what an earlier pass kept")
    group.addoption("--examples", type=int, metavar="N", help="examples of every Hypothesis property")
    group.addoption("--budget", type=float, default=60.0, metavar="S", help="seconds of all campaigns together")
    group.addoption("--fuzz", type=float, default=60.0, metavar="S", help="seconds of the long fuzzing, of decoders and core together")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config), "figures collector")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if config.getoption("--examples") and is_property(item):
            more_examples(item, config.getoption("--examples"))
    if config.getoption("--assure"):
        wanted = [item for item in items if measures_something(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
        items[:] = wanted


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Records a measured value under a row and a name of `table.ROWS`; it counts when the test passes."""

    def record(row: str, what: str, value: float) -> None:
        if (row, what) not in MEASURES:
            raise KeyError(f"no such measure: {row} {what}")
        record_property("figure", [row, what, value])

    return record


@pytest.fixture
def campaign_seconds(request: pytest.FixtureRequest) -> float:
    """The share of the budget of one campaign."""
    return float(request.config.getoption("--budget")) / CAMPAIGNS


@pytest.fixture
def fuzz_seconds(request: pytest.FixtureRequest) -> float:
    """The share of the seconds of fuzzing of one fuzzer."""
    return float(request.config.getoption("--fuzz")) / FUZZERS


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.when == "call" and is_property(item):
        report.user_properties.append(("figure", ["A5", "properties", n_examples(item) >= PROPERTY_EXAMPLES[0]]))
        report.user_properties.append(("figure", ["A5", "properties in full", n_examples(item) >= PROPERTY_EXAMPLES[1]]))
    return report


# --- Hypothesis --------------------------------------------------------------------------------------------------


def is_property(item: pytest.Item) -> bool:
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def n_examples(item: Any) -> int:
    return int(item.obj._hypothesis_internal_use_settings.max_examples)


def more_examples(item: Any, count: int) -> None:
    from hypothesis import settings

    item.obj._hypothesis_internal_use_settings = settings(item.obj._hypothesis_internal_use_settings, max_examples=count)


# --- the table ---------------------------------------------------------------------------------------------------


def measures_something(item: pytest.Item) -> bool:
    by_name = any(measure.pattern and re.search(measure.pattern, item.nodeid) for measure in MEASURES.values())
    return by_name or is_property(item) or "figure" in getattr(item, "fixturenames", ())


class Collector:
    """On the controller: the figures of all passed tests."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.values: Values = defaultdict(list)
        self.failed: list[str] = []
        if kept := config.getoption("--kept-figures"):
            for row, what, values in json.loads(Path(kept).read_text(encoding="utf-8"))["figures"]:
                self.values[row, what] += values
            self.failed += json.loads(Path(kept).read_text(encoding="utf-8"))["failed"]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
        if report.when != "call" or not report.passed:
            return
        for name, entry in report.user_properties:
            if name == "figure":
                self.values[entry[0], entry[1]].append(entry[2])
        for place, measure in MEASURES.items():
            found = measure.pattern and re.search(measure.pattern, report.nodeid)
            if found:
                self.values[place].append(found.group(1) if found.groups() else 1)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        option = self.config.getoption
        page = option("--write-figures")
        if kept := option("--keep-figures"):
            figures = [[*place, values] for place, values in self.values.items()]
            Path(kept).write_text(json.dumps({"figures": figures, "failed": self.failed}), encoding="utf-8")
        if not (option("--figures") or option("--assure") or page):
            return
        lines = table_lines(self.values)
        terminalreporter.section("assurance")
        for line in [*origin(self.config), "", *lines, *(f"FAILED: {name}" for name in self.failed)]:
            terminalreporter.write_line(line)
        if page:
            Path(page).write_text(page_text(lines, origin(self.config), self.failed), encoding="utf-8")


def table_lines(values: Values) -> list[str]:
    """The table of assurance in Markdown: every row with what was measured, and whether the bars are met."""
    lines = ["| # | figure | bar: per change / per release | measured | met: change / release |", "|---|---|---|---|---|"]
    for row in ROWS:
        folded = [(measure, fold(measure, values.get((row.number, measure.what), []))) for measure in row.measures]
        shown = "; ".join(f"{measure.what} {show(value)}" for measure, value in folded)
        met = " / ".join(verdict([(m, v, m.quick if release == 0 else m.release) for m, v in folded]) for release in (0, 1))
        lines.append(f"| {row.number} | {row.text} | {row.bar} | {shown or row.note} | {met if folded else '–'} |")
    return lines


def fold(measure: Measure, values: list[Any]) -> float | None:
    """One number of all that was recorded; None when nothing was."""
    if not values:
        return None
    if isinstance(values[0], str):
        return len(set(values))
    return {"sum": sum, "max": max, "min": min}[measure.fold](values)


def verdict(folded: list[tuple[Measure, float | None, float | None]]) -> str:
    wanted = [(measure, value, bar) for measure, value, bar in folded if bar is not None]
    if not wanted:
        return "–"
    if any(value is None for _, value, _ in wanted):
        return "not measured"
    return "yes" if all((value <= bar if measure.at_most else value >= bar) for measure, value, bar in wanted) else "no"  # type: ignore[operator]


def show(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def origin(config: pytest.Config) -> list[str]:
    """Where and of what the figures are."""
    from vflfast.crypto import backend as be

    cores = be.threads()
    return [
        f"Commit {commit()}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {platform.machine()} with {cores} cores, "
        f"Python {platform.python_version()}, backends {', '.join(be.available())}: `pytest {shlex.join(config.invocation_params.args)}`.",
        f"Campaigns start at seed 0 of each; they have {config.getoption('--budget'):.0f} s together where they run, "
        f"fuzzing {config.getoption('--fuzz'):.0f} s. "
        "Hypothesis draws its own seeds and prints those that fail.",
    ]


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False).stdout.strip()

    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if git("status", "--porcelain", "-uno") else "")


def page_text(lines: list[str], origin: list[str], failed: list[str]) -> str:
    intro = (
        "# What was measured\n\n"
        "`make assure` writes this page: the tests that measure something run, and every bar of the design stands beside its figure. "
        "`make assure-quick` prints the same table of the tests that every change runs. Which command wrote this version stands below. "
        "[assurance-mutation.md](assurance-mutation.md) says which changes of the validators their tests notice.\n"
    )
    outcome = "All of these tests passed." if not failed else "Failed: " + ", ".join(f"`{name}`" for name in failed) + "."
    return "\n".join([intro, *origin, "", *lines, "", outcome, ""])

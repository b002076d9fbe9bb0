"""Mutation testing of the validators: each small change of their source must fail one of their tests.

`make mutation`, or `python tests/assurance/mutate.py [--target NAME] [--results FILE] [--page FILE]`, changes one thing at a time (a
comparison, an and or or, a sign, a constant by one, a raise or a check that is taken away) and runs the module's tests on it until one
fails, in a fork of a process that has collected them: first those that reach the line, the quick ones before the slow ones. Results are
kept by the module's text: a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import datetime
import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from assurance.mutants import Mutant, mutants
from assurance.targets import TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]
REASONS = Path(__file__).with_name("survivors.toml")
BAR = 0.9
EXAMPLES = "30"  # of every property
PATIENCE = 4.0  # times as long as the tests take on the module as it is, and 20 s
MEMORY = 8 << 30  # bytes that a mutant may ask for


# --- running the tests on one --------------------------------------------------------------------------------------


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module other code than its file has."""

    def __init__(self, target: Target, code: CodeType) -> None:
        self.target, self.code = target, code

    def find_spec(self, name: str, path: Any, module: Any = None) -> Any:
        if name != self.target.module:
            return None
        return importlib.util.spec_from_file_location(name, ROOT / self.target.path, loader=self)

    def create_module(self, spec: Any) -> None:
        """The usual one."""

    def exec_module(self, module: Any) -> None:
        exec(self.code, module.__dict__)


def replaced(target: Target, mutant: Mutant) -> None:
    """Before the package is imported: the module will be the mutant."""
    sys.meta_path.insert(0, Loader(target, compiled(target, mutant)))


def patched(target: Target, mutant: Mutant) -> None:
    """After everything is imported: the one function gets the mutant's code, wherever it is known by now."""
    module = importlib.import_module(target.module)
    old, code = function_of(module.__dict__, mutant.patch), compiled(target, mutant)
    assert isinstance(old, FunctionType), f"{mutant.patch} cannot be patched"
    fresh = {**module.__dict__}
    try:
        exec(code, fresh)
    except Exception:  # nobody could import such a module
        os._exit(1)
    old.__code__ = function_of(fresh, mutant.patch).__code__


def compiled(target: Target, mutant: Mutant) -> CodeType:
    return compile(ast.fix_missing_locations(mutant.tree), str(ROOT / target.path), "exec")


def function_of(names: dict[str, Any], path: str) -> Any:
    """The plain function behind a name such as "Class.method": under a property, a classmethod, a cache."""
    first, *rest = path.split(".")
    found = names[first]
    for part in rest:
        found = vars(found)[part]
    for wrapper in ("fget", "__func__", "__wrapped__"):
        found = getattr(found, wrapper, None) or found
    return found


@dataclasses.dataclass(frozen=True)
class Reach:
    """Of the tests on the module as it is: the seconds of each, the lines each reaches, and the lines that run before the first."""

    seconds: dict[str, float]
    lines: dict[str, list[int]]
    imported: list[int]

    def order(self, items: list[pytest.Item], lines: frozenset[int]) -> list[pytest.Item]:
        """The tests that reach a line first, of these the quick ones; then all others: what a test reaches may have been kept for it."""

        def key(numbered: tuple[int, pytest.Item]) -> tuple[bool, int, int]:
            place, item = numbered
            return lines.isdisjoint(self.lines.get(item.nodeid, [])), math.frexp(self.seconds.get(item.nodeid, 0))[1], place

        return [item for _, item in sorted(enumerate(items), key=key)]

    @property
    def patience(self) -> float:
        """Seconds after which the tests hang."""
        return PATIENCE * sum(self.seconds.values()) + 20


class Tests:
    """A pytest plugin that hands the collected tests to `work` in place of the loop over them."""

    def __init__(self, work: Callable[[list[pytest.Item]], object]) -> None:
        self.work = work

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if not session.testsfailed:  # else one could not be collected
            self.work(session.items)
        return True


def with_tests(target: Target, work: Callable[[list[pytest.Item]], object]) -> int:
    options = ["-s", "-q", "--examples", EXAMPLES, "-p", "no:cacheprovider", "-p", "no:xdist", "-c", str(ROOT / "pyproject.toml")]
    return int(pytest.main([*options, *files(target)], plugins=[Tests(work)]))


def files(target: Target) -> list[str]:
    return [str(ROOT / "tests" / name) for name in target.tests]


def run_each(items: list[pytest.Item], before: Callable[[pytest.Item], object]) -> bool:
    """Run tests up to the first that fails; whether none does."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        before(item)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return False
    return True


def run_in_order(reach: Reach, lines: frozenset[int], items: list[pytest.Item]) -> None:
    """In the child: the tests in their order; each may take ten times its time of the processor and 5 s. Ends the process."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # of the system, so that it also ends loops of compiled code

    def wind(item: pytest.Item) -> None:
        signal.setitimer(signal.ITIMER_PROF, 10 * reach.seconds.get(item.nodeid, 0) + 5)

    os._exit(0 if run_each(reach.order(items, lines), wind) else 1)


def in_child(call: Callable[[], object]) -> int:
    """Fork; the child is quiet, a group of its own, and ends with 0 after the call, or with 3 if it raises."""
    child = os.fork()
    if child:
        return child
    status = 3
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        call()
        status = 0
    finally:
        os._exit(status)


def verdict(call: Callable[[], object], seconds: float) -> str:
    """"killed", "survived", or "killed by time": how a call in a child ends that runs tests."""
    child = in_child(call)
    end, status = time.monotonic() + seconds, None
    while status is None and time.monotonic() < end:
        done, ended = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(ended) if done else None
        time.sleep(0 if done else 0.005)
    with contextlib.suppress(ProcessLookupError):  # whatever the tests have started
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    assert status != 3, "the mutant could not be made"
    return {0: "survived", None: "killed by time", -signal.SIGPROF: "killed by time"}.get(status, "killed")


def reaching(target: Target) -> Reach:
    """What the tests reach of a module, and how long they take."""
    import coverage

    with tempfile.TemporaryDirectory() as folder:
        data, times = Path(folder) / "data", Path(folder) / "times"
        child = in_child(partial(trace, target, data, times))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, f"the tests of {target.path} fail on it as it is"
        found = coverage.CoverageData(str(data))
        found.read()
        by_line = found.contexts_by_lineno(str(ROOT / target.path))
        seconds: dict[str, float] = json.loads(times.read_text(encoding="utf-8"))
    lines: dict[str, list[int]] = {}
    for line, names in by_line.items():
        for name in names:
            lines.setdefault(name, []).append(line)
    return Reach(seconds, lines, lines.pop("", []))


def trace(target: Target, data: Path, times: Path) -> None:
    """In a child: run the tests under coverage, each in a context of its own."""
    import coverage

    watch = coverage.Coverage(str(data), include=[str(ROOT / target.path)], config_file=False)
    watch.start()
    starts: dict[str, float] = {}

    def work(items: list[pytest.Item]) -> None:
        def before(item: pytest.Item) -> None:
            watch.switch_context(item.nodeid)
            starts[item.nodeid] = time.monotonic()

        assert items, "no tests"
        assert run_each(items, before)
        ends = [*starts.values(), time.monotonic()][1:]
        times.write_text(json.dumps({name: end - start for (name, start), end in zip(starts.items(), ends, strict=True)}), encoding="utf-8")

    with_tests(target, work)
    watch.stop()
    watch.save()
    assert times.exists()


def load_libraries() -> None:
    """What every child would load again; nothing of the package itself."""
    import gmpy2
    import hypothesis
    import numba
    import numpy
    import pandas
    import scipy.stats  # noqa: F401

    hypothesis.settings.register_profile("mutation", database=None, derandomize=True, deadline=None)
    hypothesis.settings.load_profile("mutation")
    assert not any(name.partition(".")[0] == "vflfast" for name in sys.modules), (gmpy2, numba, numpy, pandas)


# --- the page ------------------------------------------------------------------------------------------------------


def run(name: str, results: Path, again: bool) -> None:
    """Add the verdict of every mutant of a target to the results: first of those that need the module imported anew, then of the others."""
    target = TARGETS[name]
    source = (ROOT / target.path).read_text(encoding="utf-8")
    reach = reaching(target)
    place = place_of(name)
    numbered = [(f"{number} {mutant.name}", mutant) for number, mutant in enumerate(mutants(source, target.functions))]

    def judge(chosen: list[tuple[str, Mutant]], call: Callable[[Mutant], Callable[[], object]]) -> None:
        for _, mutant in chosen[:1]:  # the control: nothing is changed
            same = dataclasses.replace(mutant, place=None)
            assert verdict(call(same), 3600) == "survived", f"{name}: the tests fail on it as it is"
        for key, mutant in chosen:
            kept = load(results)
            made = kept.setdefault(place, {})
            if key not in made or (again and made[key] == "survived"):
                made[key] = verdict(call(mutant), reach.patience)
                results.write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")
            if made[key] == "survived":
                print(f"{name}, line {max(mutant.lines)}: {mutant.name}", flush=True)

    def anew(mutant: Mutant) -> bool:
        return not mutant.patch or not mutant.lines.isdisjoint(reach.imported)

    def import_and_run(mutant: Mutant) -> None:
        replaced(target, mutant)
        with_tests(target, partial(run_in_order, reach, mutant.lines))
        os._exit(1)  # tests could not be collected

    def patch_and_run(items: list[pytest.Item], mutant: Mutant) -> None:
        patched(target, mutant)
        run_in_order(reach, mutant.lines, items)

    judge([one for one in numbered if anew(one[1])], lambda mutant: partial(import_and_run, mutant))

    def judge_others(items: list[pytest.Item]) -> None:
        judge([one for one in numbered if not anew(one[1])], lambda mutant: partial(patch_and_run, items, mutant))
        os._exit(0)

    child = os.fork()
    if child == 0:
        with_tests(target, judge_others)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def place_of(name: str) -> str:
    """Where the results of a target stand: by the text of its module."""
    return f"{name} {hashlib.sha256((ROOT / TARGETS[name].path).read_bytes()).hexdigest()[:16]}"


def load(results: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    return found


def current(kept: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The verdicts of the modules as they are, by target."""
    return {name: kept[place_of(name)] for name in TARGETS if place_of(name) in kept}


def reason(name: str, key: str, reasons: dict[str, dict[str, str]]) -> str:
    return reasons.get(name, {}).get(key.partition(" ")[2], "")


def page(kept: dict[str, dict[str, str]]) -> str:
    """The page, of the verdicts on the modules as they are."""
    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    rows, survivors, totals = [], [], [0] * 5
    for name, verdicts in current(kept).items():
        target = TARGETS[name]
        n_made = sum(1 for _ in mutants((ROOT / target.path).read_text(encoding="utf-8"), target.functions))
        alive = [key for key, said in verdicts.items() if said == "survived"]
        told = [key for key in alive if reason(name, key, reasons)]
        counts = [n_made, len(verdicts), len(verdicts) - len(alive), len(told), len(alive) - len(told)]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        names = ", ".join(f"`{one}`" for one in target.functions)
        rows.append(row(f"`{target.path}`" + (f": {names}" if names else ""), counts))
        if alive:
            survivors += ["", f"## {name}: `{target.path}`", ""]
            survivors += [f"* `{key.partition(' ')[2]}`: {reason(name, key, reasons) or '**no test notices**'}" for key in alive]
    missing = ", ".join(name for name in TARGETS if name not in current(kept))
    return "\n".join([
        "# Mutation of the validators", "",
        "`make mutation` writes this page. It changes the source of the validators (keys, ciphertexts, plans, messages, settings, what a "
        "session checks of its peers, what a run gives away) in one place at a time: a comparison, an and or or, a sign, a constant by "
        "one, a raise or a check that is taken away. On each such mutant it runs the tests of the module; one on which none fails and "
        f"none hangs survives. At least {BAR:.0%} of those that are not equivalent must be killed. Equivalent ones, which nobody could "
        "tell from the original by what it accepts, refuses and returns, stand below with the reason.", "",
        f"Commit {commit()}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}." + (f" Not run: {missing}." if missing else ""), "",
        "| validators | mutants | run | killed | equivalent | others that survive | killed of those not equivalent |",
        "|---|---|---|---|---|---|---|",
        *rows, row("all", totals),
        *survivors, "",
    ])  # fmt: skip


def row(title: str, counts: list[int]) -> str:
    _, n_run, killed, equivalent, _ = counts
    return f"| {title} | {' | '.join(map(str, counts))} | {killed / max(1, n_run - equivalent):.1%} |"


def commit() -> str:
    from assurance.figures import commit as name

    return name()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--results", type=Path, default=ROOT / ".mutation.json")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--again", action="store_true", help="also those that survived before")
    given = parser.parse_args()
    load_libraries()
    sys.path.insert(0, str(ROOT / "tests"))
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        for name in given.target or TARGETS:
            run(name, given.results, given.again)
    if given.page:
        given.page.write_text(page(load(given.results)), encoding="utf-8")


if __name__ == "__main__":
    main()

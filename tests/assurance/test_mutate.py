"""The tool of mutation testing: which changes it makes, and what it makes of how the tests end."""

from __future__ import annotations

import ast
import dataclasses
import os
import signal
import time
import tomllib
from collections.abc import Callable

import pytest
from assurance import mutate
from assurance.mutants import mutants

SOURCE = """
LIMIT = 3

class Box:
    def put(self, count: int = 0) -> int:
        if count < LIMIT and not self.full:
            raise ValueError("count 1 < 2")
        check(count)
        return [count + 1][-1]
"""


def test_every_place_is_changed_in_its_own_way() -> None:
    made = [(mutant.function, mutant.patch, mutant.after) for mutant in mutants(SOURCE)]
    put = "Box.put", "Box.put"
    assert made == [
        ("module", "", "LIMIT = 4"), ("module", "", "LIMIT = 2"),
        ("Box.put", "", "def put(self, count: int=1) -> int:"), ("Box.put", "", "def put(self, count: int=-1) -> int:"),
        (*put, "if count < LIMIT or not self.full:"), (*put, "if count <= LIMIT and (not self.full):"),
        (*put, "if count < LIMIT and (not not self.full):"), (*put, "pass"), (*put, "None"),
        (*put, "return [count - 1][-1]"), (*put, "return [count + 2][-1]"), (*put, "return [count + 0][-1]"),
        (*put, "return [count + 1][+1]"), (*put, "return [count + 1][-2]"), (*put, "return [count + 1][-0]"),
    ]  # fmt: skip
    whole = ast.unparse(ast.parse(SOURCE))
    for mutant in mutants(SOURCE):
        assert ast.unparse(mutant.tree) != whole
        assert mutant.after in ast.unparse(mutant.tree)
        assert ast.unparse(dataclasses.replace(mutant, place=None).tree) == whole
    assert [*mutants(SOURCE, ["another"])] == []


@pytest.mark.parametrize(("call", "said"), [
    (lambda: None, "survived"), (lambda: os._exit(1), "killed"), (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed"),
    (lambda: os.kill(os.getpid(), signal.SIGPROF), "killed by time"),
])  # fmt: skip
def test_how_a_child_ends_is_the_verdict(call: Callable[[], object], said: str) -> None:
    assert mutate.verdict(call, 3600.0) == said


def test_a_child_that_hangs_is_ended() -> None:
    assert mutate.verdict(lambda: time.sleep(3600), 0.5) == "killed by time"


def test_a_mutant_that_cannot_be_made_is_not_killed() -> None:
    with pytest.raises(AssertionError, match="could not be made"):
        mutate.verdict(lambda: [][0], 3600.0)


def test_every_reason_is_of_a_mutant_that_there_is() -> None:
    """A reason whose line has changed says nothing any more."""
    reasons = tomllib.loads(mutate.REASONS.read_text(encoding="utf-8"))
    assert set(reasons) <= set(mutate.TARGETS)
    for name, texts in reasons.items():
        target = mutate.TARGETS[name]
        made = {mutant.name for mutant in mutants((mutate.ROOT / target.path).read_text(encoding="utf-8"), target.functions)}
        assert set(texts) <= made
        assert all(texts.values())

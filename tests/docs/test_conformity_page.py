"""docs/conformity.md: every paragraph that says something testable has a row, and every test that it names is there."""

from __future__ import annotations

import re

import pytest
from support.pages import ROOT, read

PAGE = read("conformity.md")
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "conformity").glob("test_*.py"))
# models and labels, features and ids, encrypted gradient, updates, stop rule, scoring, parts of the system
TESTABLE = {66, 67, *range(74, 81), *range(84, 87), *range(88, 93), *range(95, 99), *range(100, 160), *range(161, 176)}


def test_every_testable_paragraph_has_a_row() -> None:
    assert {int(number) for number in re.findall(r"\[0(\d{3})\]", PAGE)} >= TESTABLE


@pytest.mark.parametrize("name", sorted(set(re.findall(r"test_0\w+", PAGE))))
def test_a_test_that_it_names_is_there(name: str) -> None:
    assert f"def {name}(" in TESTS


def test_every_conformity_test_of_the_protocol_is_named() -> None:
    named = set(re.findall(r"test_0\w+", PAGE))
    text = (ROOT / "tests" / "conformity" / "test_conformity_protocol.py").read_text(encoding="utf-8")
    assert set(re.findall(r"def (test_0\w+)\(", text)) <= named


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_[a-z]\w+\.py)`", PAGE))))
def test_a_file_that_it_names_is_there(name: str) -> None:
    assert (ROOT / "tests" / "tables" / name).exists()

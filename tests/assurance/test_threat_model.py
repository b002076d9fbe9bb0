"""docs/threat-model.md: the tests that it names are there, every message is in its table, its numbers are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vflfast.params import CHECK_WEIGHT_BITS, MIN_WOE_CLASS, PROOF_CHALLENGES, ROWS_PER_BATCH_FACTOR, SMALL_FACTOR_BOUND
from vflfast.protocol.leakage import guard_batches

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"test_\w+\.py", PAGE))))
def test_the_tests_that_it_names_are_there(name: str) -> None:
    assert (ROOT / "tests" / "attacks" / name).exists()


def test_every_attack_is_spoken_of() -> None:
    silent = {path.name for path in (ROOT / "tests" / "attacks").glob("test_*.py")} - set(re.findall(r"test_\w+\.py", PAGE))
    assert silent <= {"test_tampering.py"}  # the checks of malicious parties' messages, which are no promise


def test_its_numbers_are_the_codes() -> None:
    assert f"factor below 2^{SMALL_FACTOR_BOUND.bit_length() - 1}" in PAGE
    assert f"2^−{20 * PROOF_CHALLENGES}" in PAGE
    assert f"with {CHECK_WEIGHT_BITS} secret bits" in PAGE
    assert f"2^−{CHECK_WEIGHT_BITS - 1} at most" in PAGE  # the weights are odd
    assert f"fewer than {MIN_WOE_CLASS} rows" in PAGE
    assert (ROWS_PER_BATCH_FACTOR, "at most 1/10 a batch" in PAGE) == (10, True)
    assert f"{17 * 3001:,}" in PAGE
    assert f"a share of {3001 / 66_274:.3f}" in PAGE
    guard_batches(66_274, 3000, 1)

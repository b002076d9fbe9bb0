"""Fixtures that every test may use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vflfast.crypto.keys import generate_primes

VECTORS = Path(__file__).parent / "vectors"

Primes = tuple[int, int]


@pytest.fixture(scope="session")
def vectors() -> Path:
    return VECTORS


@pytest.fixture(scope="session")
def primes256() -> Primes:
    return generate_primes(256, test_sizes=True)


@pytest.fixture(scope="session")
def primes512() -> Primes:
    return generate_primes(512, test_sizes=True)


@pytest.fixture(scope="session")
def primes1024() -> Primes:
    return generate_primes(1024, test_sizes=True)


@pytest.fixture(scope="session")
def primes2048() -> Primes:
    """The fixed key of tests/vectors/test_key_2048.json."""
    key = json.loads((VECTORS / "test_key_2048.json").read_text())
    return int(key["p"], 16), int(key["q"], 16)

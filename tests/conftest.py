"""Fixtures that every test may use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vflfast.crypto import backend as be
from vflfast.crypto.paillier.keys import generate_primes
from vflfast.crypto.paillier.private import PrivateKey

pytest_plugins = ["assurance.figures"]

VECTORS = Path(__file__).parent / "vectors"

Primes = tuple[int, int]


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Measured rates of test keys, and accounts of made-up customers, stay out of the user's own folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


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


@pytest.fixture(params=be.available())
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on every backend of this machine."""
    with be.use(request.param):
        yield request.param


@pytest.fixture(scope="session")
def key_of(primes256: Primes, primes512: Primes, primes1024: Primes, primes2048: Primes) -> Callable[[int], PrivateKey]:
    """The session's key of 256, 512, 1024 or 2048 bits on the backend in use."""
    primes = {256: primes256, 512: primes512, 1024: primes1024, 2048: primes2048}
    made: dict[tuple[str, int], PrivateKey] = {}

    def key(bits: int) -> PrivateKey:
        place = be.current().name, bits
        if place not in made:
            made[place] = PrivateKey(*primes[bits], test_sizes=True)
        return made[place]

    return key

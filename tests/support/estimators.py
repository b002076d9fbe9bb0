"""Estimators whose protocol settings are named like their parameters."""

from __future__ import annotations

import inspect
from typing import Any

from vflfast import Settings, VerticalLogisticRegression

PARAMETERS = set(inspect.signature(VerticalLogisticRegression.__init__).parameters) - {"self"}
TEST_KEY: dict[str, Any] = {"key_bits": 512, "test_key": True}


def estimator(**given: Any) -> VerticalLogisticRegression:
    """The estimator with its own parameters as they are and all others in `settings`, under a test key."""
    own = {name: value for name, value in given.items() if name in PARAMETERS}
    agreed = {name: value for name, value in given.items() if name not in PARAMETERS}
    return VerticalLogisticRegression(**own, settings=Settings(**{**TEST_KEY, **agreed}))

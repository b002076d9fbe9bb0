"""Fixtures of this folder."""

from __future__ import annotations

import pytest
from support.fitted import VARIANTS, fitted

from vflfast import VerticalLogisticRegression


@pytest.fixture(scope="module")
def trained() -> VerticalLogisticRegression:
    return fitted()


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> VerticalLogisticRegression:
    return fitted(**VARIANTS[request.param])

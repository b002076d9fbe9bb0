"""Fixtures of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.jobs import write_tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("job")
    write_tables(target)
    return target

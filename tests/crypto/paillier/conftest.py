"""Fixtures of this folder."""

from __future__ import annotations

import pytest
from support.encrypted import KeyOf

from vflfast.crypto.paillier.private import PrivateKey


@pytest.fixture
def key(backend: str, key_of: KeyOf) -> PrivateKey:
    return key_of(256)

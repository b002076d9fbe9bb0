"""What the tests of encrypted vectors share."""

from __future__ import annotations

from collections.abc import Callable

from vflfast.crypto.paillier.private import PrivateKey

KeyOf = Callable[[int], PrivateKey]

"""A disk that fails at the k-th call."""

from __future__ import annotations

import os
from typing import Any

CALLS = ("open", "write", "fsync", "replace")


class Disk:
    """The system's calls, of which the k-th fails."""

    def __init__(self, fail_at: int, failure: BaseException) -> None:
        self.left, self.failure = fail_at, failure

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise self.failure
            return real(*arguments)

        return call

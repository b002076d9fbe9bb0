"""TOML files: job files, fed.toml, specifications of a mart."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from ..errors import InputError


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the sections of a TOML file.

    Raises
    ------
    InputError
        It cannot be read or is no TOML file; `argument` is the path.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"is no TOML file: {error}") from error

"""TOML files: job files, fed.toml, specifications; and the checks that all of them share."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
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


def known(where: str, section: Mapping[str, Any], names: set[str]) -> None:
    """Refuse names that a section does not have; InputError names one."""
    unknown = sorted(set(section) - names)
    if unknown:
        raise InputError(unknown[0], f"is unknown in {where}; there are {', '.join(sorted(names))}")


def section(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section, empty where there is none; InputError if it is something else."""
    found = data.get(name, {})
    if not isinstance(found, Mapping):
        raise InputError(name, "must be a section of settings")
    return dict(found)


def text(name: str, value: object) -> str:
    """Return text that is not empty; InputError for anything else."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(name, "must be text")
    return value

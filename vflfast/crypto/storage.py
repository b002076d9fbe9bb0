"""Where large arrays live: in memory, or mapped from a scratch folder so that rows are bounded by its disk.

The file behind a mapped array has no name: it is gone with the array, and no other process can open it.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..params import SCRATCH_BYTES

_folder: Path | None = None
_least = SCRATCH_BYTES


@contextmanager
def use_scratch(folder: str | Path | None, least_bytes: int = SCRATCH_BYTES) -> Iterator[None]:
    """Run a block with arrays from `least_bytes` on in `folder`; None: in memory, as without it. Results do not depend on it.

    Raises
    ------
    InputError
        No folder that this process can write to.
    """
    global _folder, _least
    target = None if folder is None else Path(folder)
    if target is not None and not (target.is_dir() and os.access(target, os.W_OK)):
        raise InputError("scratch", "must be a folder that can be written to")
    before = _folder, _least
    _folder, _least = target, least_bytes
    try:
        yield
    finally:
        _folder, _least = before


def empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array whose values are not set, mapped from the scratch folder where there is one and the array is large.

    Raises
    ------
    InputError
        The folder's disk has no room for it.
    """
    sides = (shape,) if isinstance(shape, int) else shape
    n_bytes = math.prod(sides) * np.dtype(dtype).itemsize
    if _folder is None or n_bytes < max(1, _least):
        return np.empty(sides, dtype)
    try:
        with tempfile.TemporaryFile(dir=_folder) as stream:
            _reserve(stream.fileno(), n_bytes)
            return np.asarray(np.memmap(stream, dtype=dtype, mode="r+", shape=sides))  # a plain array that keeps the mapping
    except OSError as error:
        raise InputError("scratch", f"has no room for {n_bytes:,} bytes: {error.strerror}") from error


def _reserve(descriptor: int, n_bytes: int) -> None:
    """Take the disk's blocks now: a full disk is an error here, a signal that kills at the first write to a mapped page."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, n_bytes)
    else:
        os.truncate(descriptor, n_bytes)


def concatenate(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return the arrays one after the other along their first axis."""
    total = sum(len(part) for part in parts)
    return np.concatenate(parts, out=empty((total, *parts[0].shape[1:]), parts[0].dtype))

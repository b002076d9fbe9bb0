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
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..params import ROWS_PER_PASS, SCRATCH_BYTES

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


def folder() -> Path | None:
    """Return the scratch folder in use; None: arrays are in memory."""
    return _folder


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
        raise _no_room(n_bytes, error) from error


def _no_room(n_bytes: int, error: OSError) -> InputError:
    return InputError("scratch", f"has no room for {n_bytes:,} bytes: {error.strerror}")


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


def take(array: npt.NDArray[Any], index: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the rows of an array at positions, or where a mask of its length is true, a pass at a time."""
    is_mask = index.dtype == np.bool_
    taken = empty((int(np.count_nonzero(index)) if is_mask else len(index), *array.shape[1:]), array.dtype)
    done = 0
    for start in range(0, len(index), ROWS_PER_PASS):
        part = index[start : start + ROWS_PER_PASS]
        rows = array[start : start + ROWS_PER_PASS][part] if is_mask else array[part]
        taken[done : done + len(rows)] = rows
        done += len(rows)
    return taken


class Growing:
    """An array made piece by piece along its first axis, when its length is known at the end only.

    Where there is a scratch folder, pieces wait there as soon as they are large together.

    Parameters
    ----------
    dtype
        Of the pieces.
    width
        Their second axis; None: they have one axis.
    """

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._dtype, self._sides = np.dtype(dtype), () if width is None else (width,)
        self._parts: list[npt.NDArray[Any]] = []
        self._n_rows = self._n_held = 0
        self._stream: IO[bytes] | None = None

    def append(self, part: npt.NDArray[Any]) -> None:
        """Add rows; InputError: the folder's disk has no room for them."""
        self._parts.append(np.ascontiguousarray(part, self._dtype).reshape(-1, *self._sides))
        self._n_rows += len(self._parts[-1])
        self._n_held += self._parts[-1].nbytes
        if self._stream is not None or (_folder is not None and self._n_held >= max(1, _least)):
            self._write()

    def finish(self) -> npt.NDArray[Any]:
        """Return the whole; InputError as of `append`."""
        shape = (self._n_rows, *self._sides)
        if self._stream is None:
            return self._joined(shape)
        self._write()
        with self._stream as stream:
            return np.asarray(np.memmap(stream, dtype=self._dtype, mode="r+", shape=shape))

    def _joined(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the pieces that are in memory as one, and let go of each."""
        made, end = empty(shape, self._dtype), self._n_rows
        while self._parts:
            part = self._parts.pop()
            made[end - len(part) : end] = part
            end -= len(part)
        return made

    def _write(self) -> None:
        try:
            if self._stream is None:
                self._stream = tempfile.TemporaryFile(dir=_folder)  # noqa: SIM115  (open until it is mapped)
            self._stream.writelines(part.data for part in self._parts)
            self._stream.flush()  # a full disk is an error here, not when the file is closed
        except OSError as error:
            raise _no_room(self._n_held, error) from error
        self._parts, self._n_held = [], 0

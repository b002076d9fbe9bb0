"""Encrypted arrays in files, as `numpy.save` and a memory-mapped `numpy.load`: rows are read when they are asked for."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CiphertextError, InputError
from . import serial, shapes
from .arrays import CipherArray, Key, WireArray
from .limbs import Limbs

PathLike = str | os.PathLike[str]
PIECE_BYTES = 1 << 22


def save_array(path: PathLike, array: WireArray) -> None:
    """Write an encrypted array to a file, whole or not at all; an existing file is replaced.

    Parameters
    ----------
    path
        The file.
    array
        What `encrypt`, `rerandomize` or `parse` made.

    Raises
    ------
    InputError
        The result of arithmetic, which has no bytes (`PublicKey.rerandomize` first), or a file that cannot be written.
    """
    if not isinstance(array, WireArray):
        raise InputError("array", "must be a WireArray, as encrypt and rerandomize make it")
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    digest = hashlib.sha256()
    try:
        with draft.open("xb") as file:
            for piece in (serial.preamble(serial.array_header(array, array.public.fingerprint)), *_pieces(array.limbs)):
                digest.update(piece)
                file.write(piece)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError("path", f"cannot be written: {error.strerror}") from error


def _pieces(limbs: Limbs) -> Any:
    rows = max(1, PIECE_BYTES // max(1, limbs.shape[1] * 8))
    return (np.ascontiguousarray(limbs[i : i + rows], dtype="<u8").tobytes() for i in range(0, len(limbs), rows))


def open_array(path: PathLike, public: Key) -> StoredArray:
    """Return an encrypted array that stays in its file, mapped into memory.

    Parameters
    ----------
    path
        A file of `save_array`.
    public
        The key that it is encrypted under.

    Raises
    ------
    CiphertextError
        Damaged, another format, or another key.
    InputError
        A file that cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header, start = serial.read_header(file.read(serial.FIXED.size + serial.MAX_HEADER_BYTES))
            head = serial.array_head(header, public.fingerprint)
            if size != start + head.n_bytes + serial.DIGEST_BYTES:
                raise CiphertextError("data", f"has {size} bytes, its shape takes {start + head.n_bytes + serial.DIGEST_BYTES}")
            _check_digest(file, size)
            count = head.n_bytes // (8 * head.width)
            mapped = np.memmap(file, "<u8", "r", start, (count, head.width)) if count else np.zeros((0, head.width), dtype="<u8")
    except OSError as error:
        raise InputError("path", f"cannot be read: {error.strerror}") from error
    return StoredArray(public, head, mapped)


def load_array(path: PathLike, public: Key) -> WireArray:
    """Return the encrypted array of a file, all of it.

    Parameters
    ----------
    path, public
        As `open_array`.

    Raises
    ------
    CiphertextError, InputError
        As `open_array` and `PublicKey.parse`.
    """
    return open_array(path, public).read()


def _check_digest(file: Any, size: int) -> None:
    digest, left = hashlib.sha256(), size - serial.DIGEST_BYTES
    file.seek(0)
    while left:
        piece = file.read(min(left, PIECE_BYTES))
        if not piece:
            break
        digest.update(piece)
        left -= len(piece)
    if left or file.read(serial.DIGEST_BYTES) != digest.digest():
        raise CiphertextError("data", "is damaged or cut off: its checksum does not agree")


class StoredArray:
    """An encrypted array in a file, made by `open_array`: its checksum is verified, its ciphertexts when they are read.

    Attributes
    ----------
    shape, frac_bits, bound
        As of the array.
    """

    def __init__(self, public: Key, head: serial.ArrayHead, limbs: Any) -> None:
        self._public, self._head, self._limbs = public, head, limbs
        self.shape, self.frac_bits, self.bound = head.shape, head.frac_bits, head.bound

    def __repr__(self) -> str:
        return f"StoredArray(shape={self.shape}, key={self._head.key}, frac_bits={self.frac_bits})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a single encrypted number")
        return self.shape[0]

    def __getitem__(self, index: Any) -> CipherArray:
        """Return the numbers that numpy's rules of indexing choose, after validation; IndexError, CiphertextError.

        They are not fresh, as those that are chosen from any array: whoever knows the file would see which they are.
        """
        if isinstance(index, slice) and len(self.shape) == 1:
            return self._read(index)[:]
        chosen = np.asarray(shapes.places(self.shape)[index])
        rows, back = np.unique(chosen.ravel(), return_inverse=True)
        return self._read(rows).at(back.reshape(chosen.shape))

    def read(self) -> WireArray:
        """Return all of it; CiphertextError."""
        return self._read(slice(None)).with_shape(self.shape, self._head.precision)

    def _read(self, rows: Any) -> WireArray:
        limbs = np.array(self._limbs[rows], dtype=np.uint64)
        return self._public.parse(limbs, frac_bits=self.frac_bits, bound=self.bound).with_shape((len(limbs),), self._head.precision)

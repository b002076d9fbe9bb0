"""Key files: a private key (p, q) readable by its owner only, a public key n with its optional proof; JSON with hex numbers."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterable
from typing import Any

from ...errors import InvalidKeyError
from ...params import KEY_FILE_VERSION, MAX_KEY_FILE_BYTES
from .keys import check_modulus, check_primes, fingerprint, verify_square_free

PathLike = str | os.PathLike[str]

_PRIVATE = "vflfast private key"
_PUBLIC = "vflfast public key"
_HEX = re.compile(r"[1-9a-f][0-9a-f]*")


def save_private_key(
    path: PathLike, p: int, q: int, *, overwrite: bool = False, subgroup: bool = True, test_sizes: bool = False
) -> None:
    """Write the primes (p, q) to a new file of mode 0600.

    Parameters
    ----------
    path
        The file; an existing one is refused unless `overwrite`.
    p, q, subgroup, test_sizes
        As in :func:`vflfast.crypto.paillier.keys.check_primes`, which is run first.

    Raises
    ------
    InvalidKeyError
        Names ``path``, ``p`` or ``q``. Source: assurance.md rule 7.
    """
    check_primes(p, q, subgroup=subgroup, test_sizes=test_sizes)
    _write(path, _head(_PRIVATE, p * q) | {"p": f"{p:x}", "q": f"{q:x}"}, mode=0o600, overwrite=overwrite)


def load_private_key(path: PathLike, *, subgroup: bool = True, test_sizes: bool = False) -> tuple[int, int]:
    """Return the primes (p, q) of a private key file after checking the file and the key.

    Parameters
    ----------
    path
        A regular file, not a symbolic link, readable and writable by its owner only.
    subgroup, test_sizes
        As in :func:`vflfast.crypto.paillier.keys.check_primes`.

    Raises
    ------
    InvalidKeyError
        Names ``path`` (missing, link, readable by others, damaged) or the field at fault. Source: assurance.md §4.
    """
    document = _read(path, _PRIVATE, {"p", "q"}, private=True)
    p, q = _number("p", document["p"]), _number("q", document["q"])
    _check_fingerprint(document, p * q)
    check_primes(p, q, subgroup=subgroup, test_sizes=test_sizes)
    return p, q


def save_public_key(
    path: PathLike,
    n: int,
    *,
    proof: list[int] | None = None,
    overwrite: bool = False,
    subgroup: bool = True,
    test_sizes: bool = False,
) -> None:
    """Write the modulus n, and the roots of its square-free proof if there are any, to a new file.

    Raises
    ------
    InvalidKeyError
        Names ``path``, ``n`` or ``proof`` (not a list of positive ints).
    """
    check_modulus(n, subgroup=subgroup, test_sizes=test_sizes)
    if proof is not None and not (isinstance(proof, list) and all(type(root) is int and root > 0 for root in proof)):
        raise InvalidKeyError("proof", "must be a list of positive ints")
    roots = None if proof is None else [f"{root:x}" for root in proof]
    _write(path, _head(_PUBLIC, n) | {"n": f"{n:x}", "proof": roots}, mode=0o644, overwrite=overwrite)


def load_public_key(path: PathLike, *, context: bytes | None = None, subgroup: bool = True, test_sizes: bool = False) -> int:
    """Return the modulus n of a public key file after checking it.

    Parameters
    ----------
    path
        A regular file, not a symbolic link.
    context
        When given, the file must hold a square-free proof for this context, and the proof is verified.
    subgroup, test_sizes
        As in :func:`vflfast.crypto.paillier.keys.check_modulus`.

    Raises
    ------
    InvalidKeyError
        Names ``path`` or the field at fault.
    """
    document = _read(path, _PUBLIC, {"n", "proof"}, private=False)
    n = _number("n", document["n"])
    _check_fingerprint(document, n)
    check_modulus(n, subgroup=subgroup, test_sizes=test_sizes)
    roots = document["proof"]
    if roots is not None and not isinstance(roots, list):
        raise InvalidKeyError("proof", "must be null or a list of hex numbers")
    proof = [_number("proof", root) for root in roots or []]
    if context is not None:
        verify_square_free(n, proof, context)
    return n


def _head(kind: str, n: int) -> dict[str, object]:
    return {"format": kind, "version": KEY_FILE_VERSION, "fingerprint": fingerprint(n)}


def _number(field: str, value: object) -> int:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise InvalidKeyError(field, "must be a positive number in lower-case hex without leading zeros")
    return int(value, 16)


def _check_fingerprint(document: dict[str, Any], n: int) -> None:
    if document["fingerprint"] != fingerprint(n):
        raise InvalidKeyError("fingerprint", "does not belong to the key in the file")


def _file_name(path: object) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidKeyError("path", f"must be a path, not {type(path).__name__}")
    name = os.fspath(path)
    if not isinstance(name, str) or not name or "\0" in name:
        raise InvalidKeyError("path", "must be a non-empty text path")
    return name


def _write(path: PathLike, document: dict[str, object], *, mode: int, overwrite: bool) -> None:
    name = _file_name(path)
    data = json.dumps(document, indent=1).encode() + b"\n"
    try:
        if overwrite:
            draft = f"{name}.{secrets.token_hex(8)}"
            _write_new(draft, data, mode)
            _move(draft, name)
        else:
            _write_new(name, data, mode)
    except FileExistsError as error:
        raise InvalidKeyError("path", "exists already; pass overwrite=True to replace it") from error
    except OSError as error:
        raise InvalidKeyError("path", f"cannot be written: {error.strerror}") from error


def _move(draft: str, name: str) -> None:
    try:
        os.replace(draft, name)
    except OSError:
        os.unlink(draft)  # it may hold a private key
        raise


def _write_new(name: str, data: bytes, mode: int) -> None:
    # O_EXCL never follows a link and never opens a file that someone else put there.
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        os.unlink(name)
        raise


def _read(path: PathLike, kind: str, fields: set[str], *, private: bool) -> dict[str, Any]:
    try:
        data = _read_bytes(_file_name(path), private=private)
    except OSError as error:
        raise InvalidKeyError("path", f"cannot be read (links are refused): {error.strerror}") from error
    document = _parse(data)
    if document is None:
        raise InvalidKeyError("path", "is not a complete key file")
    expected = fields | {"format", "version", "fingerprint"}
    for field in sorted(expected - document.keys()):
        raise InvalidKeyError(field, "is missing in the key file")
    if document.keys() != expected:
        raise InvalidKeyError("path", f"has {len(document.keys() - expected)} unknown field(s)")
    if document["format"] != kind:
        raise InvalidKeyError("format", f"must be '{kind}'")
    if type(document["version"]) is not int or document["version"] != KEY_FILE_VERSION:
        raise InvalidKeyError("version", f"must be {KEY_FILE_VERSION}")
    return document


def _read_bytes(name: str, *, private: bool) -> bytes:
    # O_NONBLOCK: opening a pipe must not hang. Everything is checked on the open file, so it cannot be swapped in between.
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InvalidKeyError("path", "is not a regular file")
        if private and (status.st_mode & 0o077 or status.st_uid != os.geteuid()):
            raise InvalidKeyError("path", "must belong to this user and be closed to group and others (chmod 600)")
        if status.st_size > MAX_KEY_FILE_BYTES:
            raise InvalidKeyError("path", f"has more than {MAX_KEY_FILE_BYTES} bytes")
        return file.read(MAX_KEY_FILE_BYTES + 1)


def _parse(data: bytes) -> dict[str, Any] | None:
    # The parser's own errors quote the text, which is secret, so they must not leave this function.
    try:
        document = json.loads(data.decode("ascii"), object_pairs_hook=_unique_fields)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _unique_fields(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a field occurs twice")
    return dict(pairs)

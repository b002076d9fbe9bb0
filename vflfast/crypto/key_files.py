"""Files of keys of any scheme: JSON, of mode 0600 for private ones, never written through a link (assurance.md rule 7)."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterable
from typing import Any

from ..errors import InvalidKeyError
from ..params import KEY_FILE_VERSION, MAX_KEY_FILE_BYTES
from .passphrase import FIELDS, seal, unseal

PathLike = str | os.PathLike[str]

HEAD = ("format", "version", "fingerprint")
_HEX = re.compile(r"[1-9a-f][0-9a-f]*")


def head(kind: str, fingerprint: str) -> dict[str, object]:
    """Return the fields that every key file begins with."""
    return {"format": kind, "version": KEY_FILE_VERSION, "fingerprint": fingerprint}


def hex_number(field: str, value: object) -> int:
    """Return a positive number from its text; InvalidKeyError."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise InvalidKeyError(field, "must be a positive number in lower-case hex without leading zeros")
    return int(value, 16)


def _file_name(path: object) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidKeyError("path", f"must be a path, not {type(path).__name__}")
    name = os.fspath(path)
    if not isinstance(name, str) or not name or "\0" in name:
        raise InvalidKeyError("path", "must be a non-empty text path")
    return name


def write_private_file(
    path: PathLike, first: dict[str, object], secret: dict[str, str], *, overwrite: bool, passphrase: str | None
) -> None:  # fmt: skip
    """Write a private key's `head` and secret fields, encrypted under a passphrase if there is one; InvalidKeyError."""
    fields = secret if passphrase is None else seal(secret, first, passphrase)
    write_key_file(path, first | fields, mode=0o600, overwrite=overwrite)


def write_key_file(path: PathLike, document: dict[str, object], *, mode: int, overwrite: bool) -> None:
    """Write a document with its `head` to a new file; InvalidKeyError for one that exists, unless `overwrite`, or cannot be written."""
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


def read_key_file(path: PathLike, kind: str, fields: set[str], *, private: bool, passphrase: str | None = None) -> dict[str, Any]:
    """Return the document of a key file that has the head of its kind and these fields.

    Raises
    ------
    InvalidKeyError
        Missing, a link, damaged, of another kind or version; a private one that others can read, or whose passphrase is another.
    """
    try:
        data = _read_bytes(_file_name(path), private=private)
    except OSError as error:
        raise InvalidKeyError("path", f"cannot be read (links are refused): {error.strerror}") from error
    document = _parse(data)
    if document is None:
        raise InvalidKeyError("path", "is not a complete key file")
    expected = fields | set(HEAD)
    if document.get("format", kind) != kind:  # first: another scheme's fields would only be said to be missing
        raise InvalidKeyError("format", f"must be '{kind}': a key of the scheme that the settings name")
    if private and "sealed" in document:
        return _unsealed(document, fields, passphrase)
    for field in sorted(expected - document.keys()):
        raise InvalidKeyError(field, "is missing in the key file")
    if document.keys() != expected:
        raise InvalidKeyError("path", f"has {len(document.keys() - expected)} unknown field(s)")
    if type(document["version"]) is not int or document["version"] != KEY_FILE_VERSION:
        raise InvalidKeyError("version", f"must be {KEY_FILE_VERSION}")
    return document


def _unsealed(document: dict[str, Any], fields: set[str], passphrase: str | None) -> dict[str, Any]:
    """Return the document of an encrypted private key file, opened."""
    first = {name: document[name] for name in HEAD if name in document}
    if first.keys() != set(HEAD) or document.keys() != set(HEAD) | FIELDS or first["version"] != KEY_FILE_VERSION:
        raise InvalidKeyError("path", "is not a complete encrypted key file of this version")
    secret = unseal(document, first, passphrase)
    if secret.keys() != fields:
        raise InvalidKeyError("sealed", "holds other fields than the key")
    return first | secret


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

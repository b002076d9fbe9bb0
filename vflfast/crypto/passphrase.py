"""Secrets of key files under a passphrase: Argon2id makes the key, XChaCha20-Poly1305 encrypts (both by libsodium).

The parameters of the derivation are in the file, within limits, so that a later default opens earlier files.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from ..errors import InvalidKeyError

MIN_PASSPHRASE = 8
MOST_OPERATIONS, MOST_MEMORY = 16, 1 << 30  # a file must not make its reader work for minutes
FIELDS = {"kdf", "operations", "memory", "salt", "sealed"}


def seal(secret: dict[str, str], head: dict[str, object], passphrase: str) -> dict[str, object]:
    """Return the fields that take the place of secret ones; they open with the same head only.

    Raises
    ------
    InvalidKeyError
        Names ``passphrase``: shorter than 8 characters, or libsodium is missing.
    """
    if not isinstance(passphrase, str) or len(passphrase) < MIN_PASSPHRASE:
        raise InvalidKeyError("passphrase", f"needs at least {MIN_PASSPHRASE} characters")
    argon2id, aead = _libsodium()
    salt = secrets.token_bytes(argon2id.SALTBYTES)
    operations, memory = argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE
    key = argon2id.kdf(aead.KEY_SIZE, passphrase.encode(), salt, operations, memory)
    sealed = aead(key).encrypt(json.dumps(secret).encode("ascii"), _bound(head))
    return {"kdf": "argon2id", "operations": operations, "memory": memory, "salt": salt.hex(), "sealed": bytes(sealed).hex()}


def unseal(document: dict[str, Any], head: dict[str, object], passphrase: str | None) -> dict[str, Any]:
    """Return the secret fields of a document that `seal` gave its own.

    Raises
    ------
    InvalidKeyError
        Names ``passphrase``: none, or one that does not open this file; or the field that is out of range.
    """
    if passphrase is None:
        raise InvalidKeyError("passphrase", "is needed: the key file is encrypted")
    if document["kdf"] != "argon2id":
        raise InvalidKeyError("kdf", "must be argon2id")
    for name, most in (("operations", MOST_OPERATIONS), ("memory", MOST_MEMORY)):
        if type(document[name]) is not int or not 1 <= document[name] <= most:
            raise InvalidKeyError(name, f"must be from 1 to {most}")
    argon2id, aead = _libsodium()
    try:
        salt, sealed = bytes.fromhex(document["salt"]), bytes.fromhex(document["sealed"])
        key = argon2id.kdf(aead.KEY_SIZE, passphrase.encode(), salt, document["operations"], document["memory"])
    except Exception:  # whatever the library says of damaged parameters; it may quote them
        raise InvalidKeyError("salt", "or the sealed part is damaged") from None
    try:
        opened = json.loads(aead(key).decrypt(sealed, _bound(head)))
    except Exception:  # the library's own error, or a text of bytes, neither of which may be quoted
        raise InvalidKeyError("passphrase", "does not open the key file, or the file is damaged") from None
    if not isinstance(opened, dict):
        raise InvalidKeyError("sealed", "holds no key")
    return opened


def _bound(head: dict[str, object]) -> bytes:
    """What the encrypted part belongs to: moved to another head, it does not open."""
    return json.dumps(head, sort_keys=True).encode("ascii")


def _libsodium() -> tuple[Any, Any]:
    try:
        from nacl.pwhash import argon2id
        from nacl.secret import Aead
    except ImportError:
        raise InvalidKeyError("passphrase", "needs the package pynacl: pip install 'pynacl>=1.6.2'") from None
    return argon2id, Aead

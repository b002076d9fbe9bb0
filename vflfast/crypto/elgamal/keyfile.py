"""Key files: a private key s readable by its owner only; JSON with a hex number."""

from __future__ import annotations

from ...errors import InvalidKeyError
from ..key_files import PathLike, head, hex_number, read_key_file, write_private_file
from .private import PrivateKey

_PRIVATE = "vflfast elgamal private key"


def save_private_key(path: PathLike, key: PrivateKey, *, overwrite: bool = False, passphrase: str | None = None) -> None:
    """Write the secret s to a new file of mode 0600, encrypted under a passphrase of at least 8 characters if one is given.

    Raises
    ------
    InvalidKeyError
        Names ``path`` or ``passphrase``. Source: assurance.md rule 7.
    """
    first = head(_PRIVATE, key.public.fingerprint)
    write_private_file(path, first, {"s": f"{key.secret:x}"}, overwrite=overwrite, passphrase=passphrase)


def load_private_key(path: PathLike, *, passphrase: str | None = None) -> PrivateKey:
    """Return the key of a regular file that its owner alone can read.

    Raises
    ------
    InvalidKeyError
        Names ``passphrase``, ``path`` (missing, link, readable by others, damaged) or the field at fault. Source: assurance.md §4.
    """
    document = read_key_file(path, _PRIVATE, {"s"}, private=True, passphrase=passphrase)
    key = PrivateKey(hex_number("s", document["s"]))
    if document["fingerprint"] != key.public.fingerprint:
        raise InvalidKeyError("fingerprint", "does not belong to the key in the file")
    return key

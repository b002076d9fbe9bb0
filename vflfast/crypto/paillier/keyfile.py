"""Key files: a private key (p, q) readable by its owner only, a public key n with its optional proof; JSON with hex numbers."""

from __future__ import annotations

from typing import Any

from ...errors import InvalidKeyError
from ..key_files import PathLike, head, hex_number, read_key_file, write_key_file, write_private_file
from .keys import check_modulus, check_primes, fingerprint, verify_square_free

_PRIVATE = "vflfast private key"
_PUBLIC = "vflfast public key"


def save_private_key(
    path: PathLike, p: int, q: int, *, overwrite: bool = False, subgroup: bool = True, test_sizes: bool = False,
    passphrase: str | None = None,
) -> None:  # fmt: skip
    """Write the primes (p, q) to a new file of mode 0600.

    Parameters
    ----------
    path
        The file; an existing one is refused unless `overwrite`.
    p, q, subgroup, test_sizes
        As in :func:`vflfast.crypto.paillier.keys.check_primes`, which is run first.
    passphrase
        Encrypts the primes (`vflfast.crypto.passphrase`); at least 8 characters.

    Raises
    ------
    InvalidKeyError
        Names ``path``, ``p``, ``q`` or ``passphrase``. Source: assurance.md rule 7.
    """
    check_primes(p, q, subgroup=subgroup, test_sizes=test_sizes)
    secret = {"p": f"{p:x}", "q": f"{q:x}"}
    write_private_file(path, head(_PRIVATE, fingerprint(p * q)), secret, overwrite=overwrite, passphrase=passphrase)


def load_private_key(
    path: PathLike, *, subgroup: bool = True, test_sizes: bool = False, passphrase: str | None = None
) -> tuple[int, int]:  # fmt: skip
    """Return the primes (p, q) of a private key file after checking the file and the key.

    Parameters
    ----------
    path
        A regular file, not a symbolic link, readable and writable by its owner only.
    subgroup, test_sizes
        As in :func:`vflfast.crypto.paillier.keys.check_primes`.
    passphrase
        Of an encrypted file.

    Raises
    ------
    InvalidKeyError
        Names ``passphrase``, ``path`` (missing, link, readable by others, damaged) or the field at fault. Source: assurance.md §4.
    """
    document = read_key_file(path, _PRIVATE, {"p", "q"}, private=True, passphrase=passphrase)
    p, q = hex_number("p", document["p"]), hex_number("q", document["q"])
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
    write_key_file(path, head(_PUBLIC, fingerprint(n)) | {"n": f"{n:x}", "proof": roots}, mode=0o644, overwrite=overwrite)


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
    document = read_key_file(path, _PUBLIC, {"n", "proof"}, private=False)
    n = hex_number("n", document["n"])
    _check_fingerprint(document, n)
    check_modulus(n, subgroup=subgroup, test_sizes=test_sizes)
    roots = document["proof"]
    if roots is not None and not isinstance(roots, list):
        raise InvalidKeyError("proof", "must be null or a list of hex numbers")
    proof = [hex_number("proof", root) for root in roots or []]
    if context is not None:
        verify_square_free(n, proof, context)
    return n


def _check_fingerprint(document: dict[str, Any], n: int) -> None:
    if document["fingerprint"] != fingerprint(n):
        raise InvalidKeyError("fingerprint", "does not belong to the key in the file")

"""The schemes that exist, by name. Nothing above this wing names one, but for settings, key files and predictions of cost."""

from __future__ import annotations

from typing import Literal, cast, overload

from ..errors import InputError
from .elgamal.private import PrivateKey as ElGamalKey
from .elgamal.public import PublicKey as ElGamalPublic
from .elgamal.scheme import ElGamal
from .paillier.private import PrivateKey as PaillierKey
from .paillier.public import PublicKey as PaillierPublic
from .paillier.scheme import Paillier
from .scheme import Scheme
from .serial import unsealed

DEFAULT = "paillier"
SCHEMES: dict[str, Scheme] = {"paillier": Paillier(), "elgamal": ElGamal()}


def public_key_from_bytes(data: bytes) -> PaillierPublic | ElGamalPublic:
    """Return the public key of either scheme that `PublicKey.to_bytes` gave, validated; what else it needs it makes itself.

    Parameters
    ----------
    data
        The bytes.

    Raises
    ------
    CiphertextError, InvalidKeyError
        Damaged or another format; a key that must not be used.
    """
    header, _ = unsealed(data)
    return ElGamalPublic.from_bytes(data) if header.get("scheme") == "elgamal" else PaillierPublic.from_bytes(data)


def scheme(name: str = DEFAULT) -> Scheme:
    """Return a scheme by its name."""
    return SCHEMES[name]


@overload
def generate_keypair(key_bits: int | None = None, *, scheme: Literal["paillier"] = "paillier", test_sizes: bool = False) -> PaillierKey: ...


@overload
def generate_keypair(key_bits: int | None = None, *, scheme: Literal["elgamal"], test_sizes: bool = False) -> ElGamalKey: ...


def generate_keypair(key_bits: int | None = None, *, scheme: str = DEFAULT, test_sizes: bool = False) -> PaillierKey | ElGamalKey:
    """Return a fresh private key; its public half is ``.public``.

    Parameters
    ----------
    key_bits
        Of scheme paillier: 2048 (default), 3072 or 4096; others with `test_sizes`. Keys of elgamal have one size.
    scheme
        "paillier", or "elgamal" over ristretto255: faster and shorter, for numbers that stay small.

    Raises
    ------
    InputError
        Another scheme, or a size that is not offered.
    """
    if scheme not in SCHEMES:
        raise InputError("scheme", f"must be one of {', '.join(SCHEMES)}")
    sizes = SCHEMES[scheme].sizes
    if len(sizes) == 1 and key_bits not in (None, *sizes):
        raise InputError("key_bits", f"keys of {scheme} have one size; leave it out")
    key = SCHEMES[scheme].generate(sizes[0] if key_bits is None else key_bits, test_sizes=test_sizes)
    return cast("PaillierKey | ElGamalKey", key)

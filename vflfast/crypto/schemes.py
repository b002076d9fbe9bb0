"""The schemes that exist, by name. Nothing above this wing names one, but for settings, key files and predictions of cost."""

from __future__ import annotations

from .elgamal.scheme import ElGamal
from .paillier.scheme import Paillier
from .scheme import Scheme

DEFAULT = "paillier"
SCHEMES: dict[str, Scheme] = {"paillier": Paillier(), "elgamal": ElGamal()}


def scheme(name: str = DEFAULT) -> Scheme:
    """Return a scheme by its name."""
    return SCHEMES[name]

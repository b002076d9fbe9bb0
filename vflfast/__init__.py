"""vflfast: three-party vertical federated logistic regression on Paillier encryption.

The public names below are loaded on first use, so that ``import vflfast`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names for type checkers and editors
    from .binning.binner import Binner as Binner
    from .crypto.coded import CodedMatrix as CodedMatrix
    from .crypto.paillier.scheme import PrivateKey as PrivateKey
    from .crypto.paillier.scheme import PublicKey as PublicKey
    from .crypto.paillier.scheme import generate_keypair as generate_keypair
    from .crypto.vector import CipherVector as CipherVector
    from .crypto.vector import WireVector as WireVector
    from .errors import InputError as InputError
    from .errors import VflError as VflError
    from .estimator.classifier import VerticalLogisticRegression as VerticalLogisticRegression
    from .estimator.frame import VerticalFrame as VerticalFrame
    from .protocol.block import PartyInputs as PartyInputs
    from .protocol.settings import Settings as Settings
    from .tables.table import Table as Table
    from .tables.table import read_table as read_table
    from .tables.table import table_from_frame as table_from_frame

__version__ = "0.1.0"

_PUBLIC = {
    "Binner": ".binning.binner",
    "CipherVector": ".crypto.vector",
    "CodedMatrix": ".crypto.coded",
    "InputError": ".errors",
    "PartyInputs": ".protocol.block",
    "PrivateKey": ".crypto.paillier.scheme",
    "PublicKey": ".crypto.paillier.scheme",
    "Settings": ".protocol.settings",
    "Table": ".tables.table",
    "VerticalFrame": ".estimator.frame",
    "VerticalLogisticRegression": ".estimator.classifier",
    "VflError": ".errors",
    "WireVector": ".crypto.vector",
    "generate_keypair": ".crypto.paillier.scheme",
    "read_table": ".tables.table",
    "table_from_frame": ".tables.table",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> object:
    """Load the public name `name` from its module on first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_PUBLIC[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

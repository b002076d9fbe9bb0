"""vflfast: three-party vertical federated logistic regression on Paillier encryption.

The public names below are loaded on first use, so that ``import vflfast`` stays light. Besides them `vflfast.handover` and
`vflfast.samples` are public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exports import lazily

if TYPE_CHECKING:  # the same names for type checkers and editors
    from .binning.binner import Binner as Binner
    from .crypto.array_files import load_array as load_array
    from .crypto.array_files import open_array as open_array
    from .crypto.array_files import save_array as save_array
    from .crypto.arrays import CipherArray as CipherArray
    from .crypto.arrays import CipherVector as CipherVector
    from .crypto.arrays import WireArray as WireArray
    from .crypto.arrays import WireVector as WireVector
    from .crypto.coded import CodedMatrix as CodedMatrix
    from .crypto.matrices import PlainMatrix as PlainMatrix
    from .crypto.paillier.private import PrivateKey as PrivateKey
    from .crypto.paillier.public import PublicKey as PublicKey
    from .crypto.schemes import generate_keypair as generate_keypair
    from .crypto.schemes import public_key_from_bytes as public_key_from_bytes
    from .errors import InputError as InputError
    from .errors import PrecisionWarning as PrecisionWarning
    from .errors import VflError as VflError
    from .estimator.classifier import VerticalLogisticRegression as VerticalLogisticRegression
    from .estimator.frame import VerticalFrame as VerticalFrame
    from .jobs.local import MatchedTables as MatchedTables
    from .jobs.local import TrainedModel as TrainedModel
    from .jobs.local import load_model as load_model
    from .jobs.local import match_ids as match_ids
    from .jobs.local import score as score
    from .jobs.local import train as train
    from .learn import metrics as metrics
    from .learn.curves import curves as curves
    from .protocol.block import PartyInputs as PartyInputs
    from .protocol.settings import Settings as Settings
    from .tables.table import Table as Table
    from .tables.table import read_table as read_table
    from .tables.table import table_from_frame as table_from_frame

__version__ = "0.2.0"

_PUBLIC = {
    "Binner": ".binning.binner",
    "CipherArray": ".crypto.arrays",
    "CipherVector": ".crypto.arrays",
    "CodedMatrix": ".crypto.coded",
    "InputError": ".errors",
    "MatchedTables": ".jobs.local",
    "PartyInputs": ".protocol.block",
    "PlainMatrix": ".crypto.matrices",
    "PrecisionWarning": ".errors",
    "PrivateKey": ".crypto.paillier.private",
    "PublicKey": ".crypto.paillier.public",
    "Settings": ".protocol.settings",
    "Table": ".tables.table",
    "TrainedModel": ".jobs.local",
    "VerticalFrame": ".estimator.frame",
    "VerticalLogisticRegression": ".estimator.classifier",
    "VflError": ".errors",
    "WireArray": ".crypto.arrays",
    "WireVector": ".crypto.arrays",
    "generate_keypair": ".crypto.schemes",
    "curves": ".learn.curves",
    "load_array": ".crypto.array_files",
    "load_model": ".jobs.local",
    "match_ids": ".jobs.local",
    "metrics": ".learn.metrics",
    "open_array": ".crypto.array_files",
    "public_key_from_bytes": ".crypto.schemes",
    "read_table": ".tables.table",
    "save_array": ".crypto.array_files",
    "score": ".jobs.local",
    "table_from_frame": ".tables.table",
    "train": ".jobs.local",
}

__all__ = ["__version__", *_PUBLIC]


__getattr__, __dir__ = lazily(__name__, _PUBLIC)

"""Matching, training and scoring of tables in this process: `vflfast.match_ids`, `vflfast.train`, `vflfast.score`.

All parties run here, which therefore sees everything: for trials. Between organisations the same tables train with `vflfast party`,
to the same weights.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..binning.binner import Binner
from ..errors import InputError
from ..matching import ids
from ..matching.match import match_parties
from ..params import MAX_IDS, MIN_CLASS_SIZE, MIN_WOE_CLASS
from ..protocol import inline
from ..protocol.arbiter import ArbiterModel, readable_threshold
from ..protocol.block import PartyInputs, joint_hash, weight_hash
from ..protocol.link import Observer
from ..protocol.settings import Settings
from ..tables.table import Table
from . import model as saved
from .coefficients import coefficients
from .job import mended, score_parties
from .jobfile import BINNING, ID_KEY_BYTES
from .matched import in_test_part
from .scored import at_guest


@dataclass(frozen=True, eq=False)
class MatchedTables:
    """The parties' rows of their common customers, in one order.

    Attributes
    ----------
    tables
        The guest's, then the hosts', n_rows rows each.
    commitment
        32 bytes, the fingerprint of the order.
    report
        Rows and shares by party, what each sent to the other, seconds.
    tokens
        uint8, shape (n_rows, 32): what stands for each customer between the parties.
    """

    tables: tuple[Table, ...]
    commitment: bytes
    report: dict[str, Any]
    tokens: ids.Tokens

    @property
    def n_rows(self) -> int:
        """Number of common customers."""
        return self.tables[0].n_rows

    def take(self, index: Any) -> MatchedTables:
        """Return the customers that a boolean mask or distinct positions select; InputError for others."""
        tables = tuple(table.take(index) for table in self.tables)
        tokens = self.tokens[np.asarray(index)]
        return MatchedTables(tables, ids.commitment(tokens), self.report, tokens)

    def split(self, test_share: float) -> tuple[MatchedTables, MatchedTables]:
        """Return (training part, test part), by a hash of the id, as `test_share` of a job file does.

        Raises
        ------
        InputError
            A share that is not between 0 and 1, or that leaves a part empty.
        """
        if isinstance(test_share, bool) or not isinstance(test_share, int | float) or not 0 < test_share < 1:
            raise InputError("test_share", "must be a number between 0 and 1")
        test = in_test_part(self.tables[0].ids, np.arange(self.n_rows), test_share)
        if test.all() or not test.any():
            raise InputError("test_share", f"leaves a part of the {self.n_rows} customers empty")
        return self.take(~test), self.take(test)

    def __repr__(self) -> str:
        return f"MatchedTables(n_rows={self.n_rows}, n_features={[table.features.shape[1] for table in self.tables]})"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What training left: every party's own half, and the arbiter's part.

    Attributes
    ----------
    parties
        By name, guest, host1, …: bins, weights and facts of each; `vflfast.handover` turns them into other formats.
    arbiter
        Powers of the halves and τ.
    verified_rounds
        Rounds that were compared with the plaintext twin; None without.
    """

    parties: dict[str, saved.SavedParty]
    arbiter: ArbiterModel
    verified_rounds: int | None = None

    @property
    def n_iter(self) -> int:
        """Number of rounds."""
        return self.arbiter.n_iter

    @property
    def threshold(self) -> float:
        """τ: customers above it are flagged; a joint probability, or F with scoring combined."""
        return readable_threshold(self.arbiter, self.parties["guest"].scale)

    @property
    def weight_hash(self) -> str:
        """One hash of all parties' weights, the same wherever the same tables are trained."""
        return joint_hash([weight_hash(party.weights, party.intercept) for party in self.parties.values()])

    @property
    def coef_(self) -> dict[str, pd.Series]:
        """Weights over a party's integer columns, by column name, for every party by name."""
        return {n: pd.Series(p.weights, index=p.binner.column_names, name=n) for n, p in self.parties.items()}

    @property
    def coefficients(self) -> dict[str, pd.DataFrame]:
        """Every party's coefficients by column name, the intercept first (jobs/coefficients.py).

        Of a run with `inference` also standard errors, z, p, the 95 % interval, variance inflation, and the strongest correlation with a
        column of the other party.
        """
        return {name: pd.DataFrame(coefficients(party)).set_index("column") for name, party in self.parties.items()}

    def save(self, folder: str | Path) -> list[Path]:
        """Write each party's model as its own JSON file, as the command line does; return the paths."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        return saved.write_models(target, list(self.parties.values()), self.arbiter)

    def __repr__(self) -> str:
        columns = {name: len(party.weights) for name, party in self.parties.items()}
        return f"TrainedModel(n_iter={self.n_iter}, columns={columns}, weight_hash={self.weight_hash[:16]}…)"


def match_ids(
    guest: Table, *hosts: Table, method: str = "ecdh", key: bytes | None = None, max_ids: int = MAX_IDS
) -> MatchedTables:
    """Match the parties' customers by protected ids ([0092]–[0098]).

    Parameters
    ----------
    guest, hosts
        Tables of `read_table` or `table_from_frame`; one host or more.
    method
        "ecdh": private set intersection. "hmac": tokens under a key that the parties share. "hash", "sm3": the patent's plain hashes,
        which anybody can enumerate.
    key
        Of "hmac", at least 16 bytes; None: a fresh one.
    max_ids
        Most ids of one party.

    Raises
    ------
    InputError, DataError
        No table or host, an unknown method, an unusable key, too many ids, or no id in common.
    """
    tables = _checked(guest, hosts)
    if method == "hmac" and key is None:
        key = secrets.token_bytes(ID_KEY_BYTES)
    positions, tokens, report = match_parties([table.ids for table in tables], method=method, key=key, max_ids=max_ids)
    cut = tuple(table.take(rows) for table, rows in zip(tables, positions, strict=True))
    return MatchedTables(cut, ids.commitment(tokens), report, tokens)


def train(
    guest: Table | MatchedTables,
    *hosts: Table,
    settings: Settings | None = None,
    binning: Mapping[str, Any] | None = None,
    binners: Sequence[Binner] | None = None,
    fix_leverage: bool = False,
    verify: bool = False,
    observer: Observer | None = None,
) -> TrainedModel:
    """Train p = σ(u′ + Σu″) by the three-party protocol, with real encryption ([0075], [0100]–[0147]).

    Parameters
    ----------
    guest, hosts
        Matched tables of `match_ids`, or tables, which are then matched by it. The guest's has labels, the hosts' have none.
    settings
        What the parties agree on; None: the defaults.
    binning
        Settings of `Binner.fit` for every party, such as ``{"encoding": "onehot"}``.
    binners
        One fitted binner a party instead, guest first.
    fix_leverage
        Leave out the columns that set single rows apart, and say which in a warning, instead of refusing to train.
    verify
        Compare every weight of every round with the plaintext twin's.
    observer
        Called with (party, round, stage) as the run proceeds.

    Raises
    ------
    InputError, DataError
        A table without labels, with labels at a host, columns that cannot be binned, or settings that do not fit.
    VflError
        Whatever a party raises.
    """
    matched = _matched(guest, hosts)
    agreed = (settings or Settings()).changed(simulation=True)
    if matched.tables[0].labels is None:
        raise InputError("guest", "has no labels; read it with label_column")
    for number, table in enumerate(matched.tables[1:], start=1):
        if table.labels is not None:
            raise InputError(f"host{number}", "has labels; they are the guest's: leave label_column out")
    fitted = _binners(matched.tables, binning, binners, agreed)
    names = inline.party_names(len(matched.tables) - 1)[1:]
    inputs = [
        mended(name, PartyInputs(binner.transform(own), matched.commitment, name, own.labels), binner, agreed, own.ids, fix=fix_leverage)
        for binner, own, name in zip(fitted, matched.tables, names, strict=True)
    ]
    result = inline.train(inputs[0], inputs[1:], agreed, observer=observer, verify=verify)
    models = zip((result.guest, *result.hosts), fitted, strict=True)
    parties = [saved.saved_party(model, binner, {"kinds": binner.kinds}) for model, binner in models]
    return TrainedModel({party.role: party for party in parties}, result.arbiter, result.verified_rounds)


def score(
    model: TrainedModel, guest: Table | MatchedTables, *hosts: Table, output: str = "labels"
) -> pd.DataFrame:
    """Score customers with a trained model ([0148]–[0159]).

    Parameters
    ----------
    model
        Of `train` or `load_model`.
    guest, hosts
        As in `train`; labels are not needed and not looked at.
    output
        "labels"; "probability": the joint one too, σ(u′ + Σu″); "scores": F too, of a model with scoring "combined".

    Returns
    -------
    DataFrame
        Indexed by customer id, in the order of the match: "label" (±1), "score" and "joint_probability" as asked for.

    Raises
    ------
    InputError, DataError
        Tables of other parties, or columns that are not the model's.
    """
    matched = _matched(guest, hosts)
    if len(matched.tables) != len(model.parties):
        raise InputError("hosts", f"{len(matched.tables) - 1} tables; the model has {len(model.parties) - 1} hosts")
    settings = model.arbiter.settings.changed(output=output, simulation=True)
    matrices = [party.binner.transform(table) for party, table in zip(model.parties.values(), matched.tables, strict=True)]
    result, _ = score_parties(list(model.parties.values()), model.arbiter, matrices, matched.commitment, settings)
    columns = at_guest(matched.tables[0].ids, result, matched.report).columns
    return pd.DataFrame(columns).set_index("id")


def load_model(folder: str | Path) -> TrainedModel:
    """Return the model of a folder that `TrainedModel.save`, or training by the command line, wrote.

    Raises
    ------
    ModelError
        A file missing or damaged, or files of different training runs; `argument` is the field or the file.
    """
    parties, arbiter = saved.read_models(Path(folder))
    return TrainedModel({party.role: party for party in parties}, arbiter)


def host_binning(binning: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return settings of `Binner.fit` for a host: with `host_woe`, one column a feature and classes that are large enough."""
    if not settings.host_woe:
        return dict(binning)
    return {**binning, "encoding": "woe", "min_class_size": max(binning.get("min_class_size", MIN_CLASS_SIZE), MIN_WOE_CLASS)}


def _checked(guest: object, hosts: Sequence[object]) -> tuple[Table, ...]:
    """Return the tables of at least two parties."""
    if not hosts:
        raise InputError("hosts", "needs at least one host's table")
    names = ("guest", *(f"host{number}" for number in range(1, len(hosts) + 1)))
    for name, table in zip(names, (guest, *hosts), strict=True):
        if not isinstance(table, Table):
            raise InputError(name, f"must be a Table of read_table or table_from_frame, not {type(table).__name__}")
    return (guest, *hosts)  # type: ignore[arg-type]


def _matched(guest: Table | MatchedTables, hosts: Sequence[Table]) -> MatchedTables:
    if isinstance(guest, MatchedTables):
        if hosts:
            raise InputError("hosts", "are among the matched tables already")
        return guest
    return match_ids(guest, *hosts)


def _binners(
    tables: Sequence[Table], binning: Mapping[str, Any] | None, binners: Sequence[Binner] | None, settings: Settings
) -> list[Binner]:
    if binners is not None:
        if binning is not None:
            raise InputError("binning", "is for binners that are fitted here; leave it or `binners` out")
        if len(binners) != len(tables):
            raise InputError("binners", f"{len(binners)} binners for {len(tables)} parties")
        return list(binners)
    given = dict(binning or {})
    if unknown := sorted(set(given) - set(BINNING)):
        raise InputError("binning", f"{unknown[0]!r} is no setting of Binner.fit; there are {', '.join(BINNING)}")
    overrides = given.pop("overrides", None) or {}
    known = {name for table in tables for name in table.kinds}
    for name in overrides:
        if name not in known:
            raise InputError("binning", f"overrides: {name!r} is no feature of any party")
    guest, *hosts = [{**given, "overrides": {n: rule for n, rule in overrides.items() if n in table.kinds}} for table in tables]
    return [Binner.fit(table, **own) for table, own in zip(tables, [guest, *(host_binning(one, settings) for one in hosts)], strict=True)]

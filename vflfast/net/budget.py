"""FileBudget: a party's account of what its peers were told about its numbers, durable over runs (vflfast ledger).

One folder holds ``ledger.json`` with a digest over its fields, a secret, the sets of customers as 64-bit keyed digests, and how often
each was scored. Nothing in it
names a customer, and without the secret nobody tries out ids.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..crypto.coded import CodedMatrix
from ..errors import JournalError, LeakageGuardError, ProtocolError
from ..params import BUDGET_SHARE, LEDGER_VERSION, MAX_OPENINGS_OF_A_ROUND, MAX_SCORINGS
from ..protocol.budget import Claim, Customers, commit_to
from ..tables.id_texts import Ids, IdTexts, passes
from ..tables.seal import seal_holds, sealed
from .descriptors import with_descriptor

LEDGER, SECRET, LOCK, SCORINGS = "ledger.json", "secret", "lock", "scorings"
SECRET_BYTES, DIGEST_BYTES = 32, 32
KEPT_RUNS = 64  # whose rounds are remembered


class FileBudget:
    """A party's durable account.

    Parameters
    ----------
    folder
        Made if it is not there, readable by its owner only; one a party.
    target
        Which of its numbers the peers are told about: the guest's label column, a host's features.
    ids
        Of the rows of this run, in their order; None: to look at the account only.

    Raises
    ------
    JournalError
        The folder cannot be used, or its ledger is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], target: str = "", ids: Ids | IdTexts | None = None) -> None:
        self.folder, self.target = Path(folder), target
        with _named(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._secret = _secret(self.folder / SECRET)
        self._customers = np.empty(0, np.uint64) if ids is None else _digests(ids, self._secret)

    def commitment(self, matrix: CodedMatrix, n_batches: int, row_packing: int) -> bytes:
        """Return the commitment to the party's own columns on this run's rows."""
        return commit_to(matrix, self._customers, self._secret, n_batches, row_packing)

    def spend(self, run: bytes, claims: Sequence[Claim], *, wide: bool = False) -> None:
        """Return when all claims of a run are durable.

        Parameters
        ----------
        run
            Id of the run; one that goes on must bring the columns with which it began.
        claims
            What each peer will be told.
        wide
            All agreed on a run above the limit: it is refused only on top of earlier ones.

        Raises
        ------
        LeakageGuardError
            Over all runs a peer would be told more than the limit.
        ProtocolError
            The run began with other columns of a peer.
        """
        with self._changed() as ledger:
            begun = ledger["runs"].setdefault(run.hex(), {"claims": {}, "rounds": {}})
            for claim in claims:
                _pin(begun["claims"], claim)
                self._add(ledger, run, claim, wide=wide)
            for old in list(ledger["runs"])[:-KEPT_RUNS]:
                del ledger["runs"][old]

    def begin_round(self, run: bytes, round_: int) -> None:
        """Return when it is durable that a round's sums may be opened from now on.

        Raises
        ------
        LeakageGuardError
            The round was begun as often as it may be.
        """
        with self._changed() as ledger:
            rounds = ledger["runs"].setdefault(run.hex(), {"claims": {}, "rounds": {}})["rounds"]
            begun = rounds.get(str(round_), 0)
            most = ledger.get("repeats", MAX_OPENINGS_OF_A_ROUND)
            if begun >= most:
                raise LeakageGuardError(
                    f"round {round_}: its sums may have been opened {begun} times already, each time with columns that nobody saw; the "
                    f"limit is {most}. Start with empty journals, or raise it: vflfast ledger {self.folder} --repeats {most + 1}"
                )
            rounds[str(round_)] = begun + 1
            for done in [number for number in rounds if int(number) < round_ - 1]:  # a resumed run goes back one round at most
                del rounds[done]

    def count_scoring(self) -> None:
        """Return when it is durable that this run's customers are scored once more.

        Raises
        ------
        LeakageGuardError
            One of them was scored as often as it may be.
        """
        with self._changed() as ledger:
            own, most = np.sort(self._customers), ledger.get("scorings", {}).get("limit", MAX_SCORINGS)
            known, counts = self._scorings()
            every = np.union1d(known, own)
            total = np.zeros(len(every), dtype="<u8")
            total[np.searchsorted(every, known)] = counts
            total[np.searchsorted(every, own)] += 1
            over = int((total > most).sum())
            if over:
                raise LeakageGuardError(
                    f"score: {over} of these customers were scored {most} times already; the labels of a session tell the guest a bit of "
                    f"this party's half of the score. Leave them out, or raise the limit: "
                    f"vflfast ledger {self.folder} --scorings {most + 1} --reason …"
                )
            _write_durably(self.folder / SCORINGS, _with_digest(every.astype("<u8").tobytes() + total.tobytes()))

    def read(self) -> dict[str, Any]:
        """Return the ledger; JournalError if it is damaged."""
        path = self.folder / LEDGER
        with _named(path):
            if not path.exists():
                return {"version": LEDGER_VERSION, "entries": [], "limits": [], "runs": {}}
            try:
                ledger: object = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                ledger = None
        if not isinstance(ledger, dict) or not seal_holds(ledger):
            raise JournalError(f"{path}: is damaged; bring back a copy, or move the folder away and so give up the account")
        if ledger["version"] != LEDGER_VERSION:
            raise JournalError(f"{path}: has version {ledger['version']}, this is {LEDGER_VERSION}")
        del ledger["digest"]
        return ledger

    def told(self) -> list[dict[str, Any]]:
        """Return, for each peer and target, what it was told: the entries, and their sum for the customers of the newest one."""
        ledger = self.read()
        keys = dict.fromkeys((entry["peer"], entry["target"]) for entry in ledger["entries"])
        return [self._account(ledger, *key) for key in keys]

    def count_matching(self, peers: Sequence[str], rows: Sequence[int], matched: int) -> None:
        """Return when it is durable that ids were matched with these peers: how many each side brought, and how many were in common."""
        with self._changed() as ledger:
            ledger.setdefault("matchings", []).append({"peers": list(peers), "rows": list(rows), "matched": matched, "day": _today()})

    def scored(self) -> dict[str, int]:
        """Return how many customers were scored, in how many sessions at most, and the limit."""
        limit = self.read().get("scorings", {}).get("limit", MAX_SCORINGS)
        counts = self._scorings()[1]
        return {"customers": len(counts), "most": int(counts.max(initial=0)), "limit": limit}

    def allow(self, peer: str, target: str, limit: float, reason: str) -> None:
        """Set the share of the customers up to which a peer may be told equations; the reason and the day are kept."""
        with self._changed() as ledger:
            ledger["limits"].append({"peer": peer, "target": target, "limit": limit, "reason": reason, "day": _today()})

    def allow_scorings(self, scorings: int, reason: str) -> None:
        """Set how often a customer may be scored; the reason and the day are kept."""
        with self._changed() as ledger:
            ledger["scorings"] = {"limit": scorings, "reason": reason, "day": _today()}

    def allow_repeats(self, repeats: int) -> None:
        """Set how often a round's sums may be opened."""
        with self._changed() as ledger:
            ledger["repeats"] = repeats

    # --- inside ----------------------------------------------------------------------------------------------------

    def _add(self, ledger: dict[str, Any], run: bytes, claim: Claim, *, wide: bool) -> None:
        """Add a claim, or the run to the entry that tells the same."""
        commitment = (claim.commitment or hashlib.sha256(run + claim.party.encode()).digest()).hex()
        earlier = [e for e in ledger["entries"] if (e["peer"], e["target"]) == (claim.organisation, self.target)]
        same = next((e for e in earlier if e["commitment"] == commitment), None)
        if same is None:
            if not claim.given:
                self._refuse_above_limit(ledger, [e for e in earlier if not e["given"]], claim, wide=wide)
            same = {
                "peer": claim.organisation, "target": self.target, "commitment": commitment, "columns": claim.n_columns,
                "equations": claim.equations, "given": claim.given, "customers": self._keep_customers(),
                "n_customers": len(self._customers), "first": _today(), "runs": [],
                "rows": None if claim.rows is None else [claim.rows.largest, *claim.rows.counts],
            }  # fmt: skip
            ledger["entries"].append(same)
        same["last"] = _today()
        if run.hex() not in same["runs"]:
            same["runs"].append(run.hex())

    def _refuse_above_limit(self, ledger: dict[str, Any], earlier: list[dict[str, Any]], claim: Claim, *, wide: bool) -> None:
        before = sum(entry["equations"] * self._overlap(entry, self._customers) for entry in earlier)
        total, n, limit = before + claim.equations, len(self._customers), _limit(ledger, claim.organisation, self.target)
        most = max(limit * n, claim.equations if wide else 0)
        if total > most:
            raise LeakageGuardError(
                f"{claim.organisation}: with this run it would have been told {total:,.0f} equations about {self.target} of {n:,} "
                f"customers ({total / n:.1%}), {before:,.0f} of them in earlier runs with other columns or customers; the limit is "
                f"{limit:.1%}. Train with the same columns or with fewer, or raise the limit: "
                f"vflfast ledger {self.folder} --peer {claim.organisation} --limit {_ceiling(total / n)} --reason …"
            )

    def _account(self, ledger: dict[str, Any], peer: str, target: str) -> dict[str, Any]:
        entries = [entry for entry in ledger["entries"] if (entry["peer"], entry["target"]) == (peer, target)]
        newest = self._read_customers(entries[-1])
        total = sum(entry["equations"] * self._overlap(entry, newest) for entry in entries)
        shown = [{name: value for name, value in entry.items() if name not in ("customers", "peer", "target")} for entry in entries]
        return {
            "peer": peer, "target": target, "customers": len(newest), "equations": total, "share": total / max(1, len(newest)),
            "limit": _limit(ledger, peer, target), "entries": shown,
        }  # fmt: skip

    def _overlap(self, entry: dict[str, Any], customers: Customers) -> float:
        """Share of an entry's customers that are among these: its equations say as much about them."""
        theirs = self._read_customers(entry)
        return float(np.isin(theirs, customers, assume_unique=True).mean()) if theirs.size else 0.0

    def _scorings(self) -> tuple[Customers, Customers]:
        """The customers that were scored so far, ascending, and how often."""
        path = self.folder / SCORINGS
        with _named(path):
            data = with_descriptor(path.read_bytes) if path.exists() else _with_digest(b"")
        if data != _with_digest(data[DIGEST_BYTES:]):  # cut short, or changed
            raise JournalError(f"{path}: is damaged; bring back a copy, or move the folder away and so give up the account")
        customers, counts = np.frombuffer(data[DIGEST_BYTES:], dtype="<u8").reshape(2, -1)
        return customers, counts

    def _keep_customers(self) -> str:
        """Keep the set of this run's customers; return its name."""
        data = np.sort(self._customers).astype("<u8").tobytes()
        name = hashlib.sha256(data).hexdigest()
        path = self.folder / f"{name}.customers"
        if not path.exists():
            _write_durably(path, data)
        return name

    def _read_customers(self, entry: dict[str, Any]) -> Customers:
        path = self.folder / f"{entry['customers']}.customers"
        with _named(path):
            data = with_descriptor(path.read_bytes)
        if hashlib.sha256(data).hexdigest() != entry["customers"]:
            raise JournalError(f"{path}: is damaged; bring back a copy, or move the folder away and so give up the account")
        return np.frombuffer(data, dtype="<u8")

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """Give the ledger under a lock; write it durably unless the block raises."""
        with _named(self.folder), _locked(self.folder / LOCK):
            ledger = self.read()
            yield ledger
            _write_durably(self.folder / LEDGER, json.dumps(sealed(ledger), allow_nan=False).encode())


def _pin(begun: dict[str, list[Any]], claim: Claim) -> None:
    """Hold a peer to the columns with which the run began."""
    brought = [claim.n_columns, claim.commitment.hex()]
    if begun.setdefault(claim.party, brought) != brought:
        raise ProtocolError(
            claim.party, "Hello", "its columns are not those with which this run began; every run that goes on with others tells it more. "
            "Bring back its tables and bins, or start all parties with empty journals",
        )  # fmt: skip


def _with_digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest() + data


def _limit(ledger: dict[str, Any], peer: str, target: str) -> float:
    raised = [entry["limit"] for entry in ledger["limits"] if entry["peer"] == peer and entry["target"] in (target, "")]
    return float(raised[-1]) if raised else BUDGET_SHARE


def _ceiling(share: float) -> float:
    """The next whole percent, at most 1: a limit under which the share passes."""
    return min(1.0, math.ceil(share * 100) / 100)


def _digests(ids: Ids | IdTexts, secret: bytes) -> Customers:
    """Return 64-bit keyed digests of ids, in their order."""
    found = [
        np.frombuffer(b"".join([hashlib.blake2b(t.encode(), key=secret, digest_size=8).digest() for t in part]), dtype="<u8")
        for part in passes(ids)
    ]
    return np.concatenate([np.empty(0, "<u8"), *found])


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _secret(path: Path) -> bytes:
    """Return the folder's secret, made at the first use; two processes agree on one."""
    with _locked(path.with_name(LOCK)):
        if not path.exists():
            _write_durably(path, secrets.token_bytes(SECRET_BYTES))
    found = with_descriptor(path.read_bytes)
    if len(found) != SECRET_BYTES:
        raise JournalError(f"{path}: must have {SECRET_BYTES} bytes; bring back a copy, or move the folder away and so give up the account")
    return found


def _write_durably(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(with_descriptor(lambda: os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)
    folder = with_descriptor(lambda: os.open(path.parent, os.O_RDONLY))
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = with_descriptor(lambda: os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn the system's errors into one that names the ledger."""
    try:
        yield
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or type(error).__name__}") from error

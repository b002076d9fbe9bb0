"""A job: from raw files to models, and from models to labels. What `vflfast train`, `score` and `demo` do."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import model as saved
from .crypto import keyfile
from .crypto.coded import CodedMatrix
from .crypto.paillier import PrivateKey
from .data import ids
from .data.binning import Binner
from .data.tables import Table, read_table
from .errors import InputError, LeakageGuardError, ModelError
from .learn import metrics
from .learn.logistic import sigmoid
from .params import KEY_BITS, MAX_LEVELS, MIN_ID_KEY_BYTES
from .progress import StageClock
from .protocol import inline
from .protocol.arbiter import ArbiterInputs
from .protocol.block import PartyInputs
from .protocol.guest import ScoringInputs, ScoringResult
from .protocol.settings import Settings

PARTY_SETTINGS = {"file", "organisation", "numeric", "max_levels", "overrides", *saved.READING}
SECTIONS = {"guest", "hosts", "arbiter", "ids", "run", "settings"}


@dataclass(frozen=True)
class PartyPlan:
    """One data party's section of a job file: its table and how to read and bin it."""

    name: str
    file: Path
    organisation: str
    reading: dict[str, Any]
    numeric: str = "bins"
    max_levels: int = MAX_LEVELS
    overrides: dict[str, str] | None = None


@dataclass(frozen=True)
class Job:
    """A job file: the parties' tables, how ids are protected, the agreed settings.

    Attributes
    ----------
    id_method, id_key
        ``hmac`` with a shared key, or the patent's ``hash``.
    test_share
        Share of the customers, chosen by a hash of the id, kept out of training for evaluation.
    key_file
        The arbiter's private key; ``None``: a fresh one per session.
    """

    guest: PartyPlan
    hosts: tuple[PartyPlan, ...]
    settings: Settings
    id_method: str = "hmac"
    id_key: bytes | None = None
    test_share: float = 0.0
    arbiter: str = "arbiter"
    key_file: Path | None = None


@dataclass
class Matched:
    """The parties' rows in one common order."""

    positions: list[npt.NDArray[np.int64]]
    commitment_tokens: npt.NDArray[np.uint8]
    report: dict[str, Any]

    def rows(self, keep: npt.NDArray[np.bool_]) -> tuple[list[npt.NDArray[np.int64]], bytes]:
        """Return each party's positions of the kept rows, and the commitment to their order."""
        return [p[keep] for p in self.positions], ids.commitment(self.commitment_tokens[keep])


@dataclass
class TrainedJob:
    """Everything an inline training run leaves behind; each party's own part is separate."""

    result: inline.TrainingResult
    parties: list[saved.SavedParty]
    match: dict[str, Any]
    n_train: int
    test: TestPart | None
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass
class TestPart:
    """Customers kept out of training."""

    matrices: list[CodedMatrix]
    labels: npt.NDArray[np.int8]
    commitment: bytes


def read_job(path: str | Path, changes: Mapping[str, Any] | None = None) -> Job:
    """Read a TOML job file; `changes` to its ``[settings]`` win.

    Raises
    ------
    InputError
        The file cannot be read, or a section or name is unknown or missing.
    """
    file = Path(path)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"is no TOML file: {error}") from error
    return job_from_mapping(data, file.parent, changes)


def job_from_mapping(data: Mapping[str, Any], folder: Path, changes: Mapping[str, Any] | None = None) -> Job:
    """Return the job of a mapping with the sections of a job file; relative paths start at `folder`."""
    _known("job file", data, SECTIONS)
    for section in ("guest", "hosts"):
        if section not in data:
            raise InputError(section, "is missing from the job file")
    hosts = data["hosts"]
    if not isinstance(hosts, list) or not hosts:
        raise InputError("hosts", "must be one or more [[hosts]] sections")
    id_section, run = _section(data, "ids"), _section(data, "run")
    arbiter = _section(data, "arbiter")
    _known("ids", id_section, {"method", "key_file"})
    _known("run", run, {"test_share"})
    _known("arbiter", arbiter, {"organisation", "key_file"})
    settings = Settings.from_mapping({"simulation": True, **_section(data, "settings"), **(changes or {})})
    if settings.powers is not None and len(settings.powers) != 1 + len(hosts):
        raise InputError("powers", f"{len(settings.powers)} numbers for {1 + len(hosts)} data parties")
    share = run.get("test_share", 0.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise InputError("test_share", "must be a number from 0 up to, not including, 1")
    if share and not settings.simulation:
        raise InputError("test_share", "needs simulation: the evaluation compares every side's scores in one place")
    method = id_section.get("method", "hmac")
    key_file = arbiter.get("key_file")
    return Job(
        _party("guest", data["guest"], folder),
        tuple(_party(f"host{i + 1}", host, folder) for i, host in enumerate(hosts)),
        settings, method, _id_key(method, id_section.get("key_file"), folder), float(share),
        _text("arbiter.organisation", arbiter.get("organisation", "arbiter")),
        None if key_file is None else folder / _text("arbiter.key_file", key_file),
    )  # fmt: skip


def train(job: Job, observer: StageClock, *, verify: bool = False) -> TrainedJob:
    """Read, match, bin and train with all parties in this process.

    Everything that is fitted (bins, edges, levels, weights, normalisation, τ) sees training rows only.
    """
    plans = (job.guest, *job.hosts)
    if job.guest.reading.get("label_column") is None:
        raise InputError("label_column", "the guest's section must name it")
    with observer.stage("read tables"):
        tables = [_read(plan) for plan in plans]
    with observer.stage("match ids"):
        matched = match_tables(tables, job)
    is_test = _in_test(tables[0].ids[matched.positions[0]], job.test_share)
    positions, commitment = matched.rows(~is_test)
    labels = tables[0].labels
    if labels is None:
        raise InputError("label_column", "the guest's table has no labels")
    binners, train_parts, test_parts = [], [], []
    with observer.stage("bin"):
        for i, plan in enumerate(plans):
            # popped: the raw cells are eight times as large as the codes, and nothing needs them any more
            binner, parts = _bin_party(tables.pop(0), plan, positions[i], matched.positions[i][is_test])
            binners.append(binner)
            train_parts.append(parts[0])
            test_parts += parts[1:]
    inputs = [
        PartyInputs(part, commitment, plan.organisation, labels[positions[0]] if i == 0 else None)
        for i, (part, plan) in enumerate(zip(train_parts, plans, strict=True))
    ]
    result = inline.train(inputs[0], inputs[1:], job.settings, _arbiter(job), observer=observer, verify=verify)
    models = [result.guest, *result.hosts]
    parties = [saved.saved_party(m, b, {**p.reading, "kinds": b.kinds}) for m, b, p in zip(models, binners, plans, strict=True)]
    test = None
    if test_parts:
        test = TestPart(test_parts, labels[matched.positions[0][is_test]], matched.rows(is_test)[1])
    return TrainedJob(result, parties, matched.report, len(positions[0]), test)


def save_models(trained: TrainedJob, folder: str | Path) -> list[Path]:
    """Write each party's model as its own JSON file; return the paths."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    files = [(party.role, party.to_dict()) for party in trained.parties]
    files.append(("arbiter", saved.arbiter_to_dict(trained.result.arbiter)))
    for role, data in files:
        saved.write_json(target / f"{role}.json", data)
    return [target / f"{role}.json" for role, _ in files]


def score_models(
    parties: Sequence[saved.SavedParty],
    arbiter_model: Any,
    matrices: Sequence[CodedMatrix],
    commitment: bytes,
    job: Job,
    settings: Settings,
    observer: StageClock | None = None,
) -> tuple[ScoringResult, inline.Traffic]:
    """Score rows that are matched and coded already, with all parties in this process."""
    if len({party.session for party in parties} | {arbiter_model.session}) != 1:
        raise ModelError("session", "the parties' models come from different training runs")
    plans = (job.guest, *job.hosts)
    inputs = [
        ScoringInputs(PartyInputs(matrix, commitment, plan.organisation), party.weights, party.intercept, party.norm)
        for party, matrix, plan in zip(parties, matrices, plans, strict=True)
    ]
    return inline.score(inputs[0], inputs[1:], arbiter_model, settings, _arbiter(job), observer=observer)


def score(job: Job, folder: str | Path, settings: Settings, observer: StageClock) -> tuple[Table, ScoringResult, dict[str, Any], Any]:
    """Read new customers, match, code by the saved bins and score; return the guest's matched table, result, match report, τ."""
    plans = (job.guest, *job.hosts)
    parties = [saved.SavedParty.from_dict(saved.read_json(Path(folder) / f"{plan.name}.json"), plan.name) for plan in plans]
    arbiter_model = saved.arbiter_from_dict(saved.read_json(Path(folder) / "arbiter.json"))
    with observer.stage("read tables"):
        tables = [_read_like(plan, party) for plan, party in zip(plans, parties, strict=True)]
    with observer.stage("match ids"):
        matched = match_tables(tables, job)
    everything = np.ones(len(matched.positions[0]), dtype=bool)
    positions, commitment = matched.rows(everything)
    with observer.stage("bin"):
        matrices = [
            party.binner.transform(table, p) for party, table, p in zip(parties, tables, positions, strict=True)
        ]
    result, _ = score_models(parties, arbiter_model, matrices, commitment, job, settings, observer)
    return tables[0].take(positions[0]), result, matched.report, arbiter_model


def match_tables(tables: Sequence[Table], job: Job) -> Matched:
    """Match the parties' protected ids; all end with the same order."""
    tokens = [ids.protect(table.ids, method=job.id_method, key=job.id_key) for table in tables]
    found = ids.match(*tokens)
    report = {**found.report, "parties": ["guest", *(host.name for host in job.hosts)], "method": job.id_method}
    return Matched(found.positions, tokens[0][found.positions[0]], report)


def evaluate(trained: TrainedJob, job: Job, observer: StageClock) -> dict[str, Any]:
    """AUC, KS and lift of the test part: each side alone, F, and the joint score. Only where one place may know all of them: a trial."""
    if trained.test is None:
        return {}
    if not job.settings.simulation:
        raise LeakageGuardError("evaluate: comparing every side's scores needs them in one place; only a simulation has that")
    settings = dataclasses.replace(job.settings, output="scores", joint=True)
    test = trained.test
    result, _ = score_models(trained.parties, trained.result.arbiter, test.matrices, test.commitment, job, settings, observer)
    scores = {"guest alone": result.own_probability}
    for party, matrix in zip(trained.parties[1:], test.matrices[1:], strict=True):
        inputs = ScoringInputs(PartyInputs(matrix, test.commitment, ""), party.weights, party.intercept, party.norm)
        scores[f"{party.role} alone"] = sigmoid(inputs.predictor())
    scores |= {"combined F": result.scores, "joint": result.joint_probability}  # type: ignore[dict-item]
    return {
        "rows": len(test.labels),
        "positive_share": float((test.labels > 0).mean()),
        "flagged_share": float((result.labels > 0).mean()),
        "scores": {
            name: {
                "auc": metrics.roc_auc(test.labels, values),
                "ks": metrics.ks(test.labels, values),
                "lift_10": metrics.lift(test.labels, values, 0.1),
            }
            for name, values in scores.items()
        },
    }


def _arbiter(job: Job) -> ArbiterInputs:
    if job.key_file is None:
        return ArbiterInputs(job.arbiter)
    test = job.settings.key_bits not in KEY_BITS
    return ArbiterInputs(job.arbiter, PrivateKey(*keyfile.load_private_key(job.key_file, test_sizes=test), test_sizes=test))


def _read(plan: PartyPlan) -> Table:
    return read_table(plan.file, **plan.reading)


def _read_like(plan: PartyPlan, party: saved.SavedParty) -> Table:
    """Read a table as the training table was read; labels are optional now."""
    reading = {**party.reading, **{k: v for k, v in plan.reading.items() if k != "kinds"}}
    if "label_column" not in plan.reading:
        reading.pop("label_column", None)
    return read_table(plan.file, **reading)


def _bin_party(
    table: Table, plan: PartyPlan, train_rows: npt.NDArray[np.int64], test_rows: npt.NDArray[np.int64]
) -> tuple[Binner, list[CodedMatrix]]:
    """Fit a party's bins on its training rows; return them with the codes of the training rows and, if there are any, the test rows."""
    binner = Binner.fit(table, rows=train_rows, numeric=plan.numeric, max_levels=plan.max_levels, overrides=plan.overrides)
    return binner, [binner.transform(table, rows) for rows in (train_rows, test_rows) if len(rows) or rows is train_rows]


def _in_test(customer_ids: npt.NDArray[np.object_], share: float) -> npt.NDArray[np.bool_]:
    """Choose the test part by a hash of the id alone, the same on every machine and in every order."""
    if share == 0:
        return np.zeros(len(customer_ids), dtype=bool)
    digests = [hashlib.sha256(b"vflfast-split-v1:" + text.encode()).digest()[:4] for text in customer_ids]
    return np.array([int.from_bytes(d, "big") / 2**32 < share for d in digests])


def _party(name: str, section: object, folder: Path) -> PartyPlan:
    if not isinstance(section, Mapping):
        raise InputError(name, "must be a section of settings")
    _known(name, section, PARTY_SETTINGS)
    if not isinstance(section.get("file"), str):
        raise InputError(f"{name}.file", "must name the party's table")
    if name != "guest" and "label_column" in section:
        raise InputError(f"{name}.label_column", "labels are the guest's; leave the column out of the partner's table")
    reading = {key: section[key] for key in saved.READING if key in section}
    if isinstance(reading.get("observation_date"), datetime.date):  # a TOML date without quotes
        reading["observation_date"] = reading["observation_date"].isoformat()
    binning = {key: section[key] for key in ("numeric", "max_levels", "overrides") if key in section}
    organisation = _text(f"{name}.organisation", section.get("organisation", name))
    return PartyPlan(name, folder / section["file"], organisation, reading, **binning)


def _section(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = data.get(name, {})
    if not isinstance(section, Mapping):
        raise InputError(name, "must be a section of settings")
    return dict(section)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(name, "must be text")
    return value


def _known(where: str, section: Mapping[str, Any], names: set[str]) -> None:
    unknown = sorted(set(section) - names)
    if unknown:
        raise InputError(unknown[0], f"is unknown in {where}; there are {', '.join(sorted(names))}")


def _id_key(method: object, key_file: object, folder: Path) -> bytes | None:
    """The shared key of `hmac`: from its file, or a fresh one, which serves parties in one process only."""
    if method not in ids.METHODS:
        raise InputError("ids.method", f"must be one of {', '.join(ids.METHODS)}")
    if key_file is None:
        return secrets.token_bytes(32) if method == "hmac" else None
    if method != "hmac":
        raise InputError("ids.key_file", "belongs to method hmac")
    try:
        key = (folder / _text("ids.key_file", key_file)).read_bytes()
    except OSError as error:
        raise InputError("ids.key_file", f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the path
        raise InputError("ids.key_file", "must be a path") from error
    if len(key) < MIN_ID_KEY_BYTES:
        raise InputError("ids.key_file", f"must hold at least {MIN_ID_KEY_BYTES} bytes")
    return key

"""A job: from raw files to models, and from models to labels. What `vflfast train`, `score` and `demo` do."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..binning.binner import Binner
from ..crypto import storage
from ..crypto.coded import CodedMatrix
from ..crypto.schemes import scheme
from ..errors import InputError, ModelError
from ..learn.few import few_labels
from ..learn.penalty import held_out
from ..learn.separation import suspects
from ..learn.watch import RoundWatch
from ..learn.weights import class_weights, in_units
from ..net.journal import ID_KEY, FileJournal, begin_anew, journals_of
from ..params import KEY_BITS, PASSPHRASE_VARIABLE
from ..protocol import inline
from ..protocol.arbiter import ArbiterInputs, ArbiterModel
from ..protocol.block import PartyInputs
from ..protocol.guest import ScoringResult
from ..protocol.link import Observer
from ..protocol.resume import Journal
from ..protocol.row_guard import mend
from ..protocol.settings import Settings
from ..tables.table import OpenTable, Table
from . import model as saved
from .jobfile import Job, Part, PartyPlan, kept_id_key
from .ledger import budget_of
from .matched import Matched, in_test_part, match_tables, narrowed
from .progress import StageClock

log = logging.getLogger("vflfast")
SHOWN_TWINS = 5  # features that a warning names


@dataclass
class TrainedJob:
    """Everything an inline training run leaves behind; each party's own part is separate."""

    result: inline.TrainingResult
    parties: list[saved.SavedParty]
    match: dict[str, Any]
    n_train: int
    test: TestPart | None
    watch: RoundWatch | None = None
    train_scores: npt.NDArray[np.float64] | None = None  # Σu of the training rows, where customers are kept out to compare with


@dataclass
class TestPart:
    """Customers kept out of training."""

    matrices: list[CodedMatrix]
    labels: npt.NDArray[np.int8]
    commitment: bytes


@dataclass
class Prepared:
    """Matched and coded tables, before anything is encrypted.

    `suspects` are features of the guest that separate the labels alone, by AUC; `matched` is the match, for another run on the same tables.
    """

    inputs: list[PartyInputs]
    binners: list[Binner]
    match: dict[str, Any]
    test: TestPart | None
    suspects: dict[str, float] = field(default_factory=dict)
    matched: Matched | None = None


def train(job: Job, observer: StageClock, *, verify: bool = False) -> TrainedJob:
    """Read, match, bin and train with all parties in this process.

    Everything that is fitted (bins, edges, levels, weights, normalisation, τ) sees training rows only.
    """
    with job.resources.in_use():
        return train_prepared(prepare(job, observer), job, observer, verify=verify)


def train_prepared(
    ready: Prepared, job: Job, observer: StageClock, *, verify: bool = False, journals: Mapping[str, Journal] | None = None
) -> TrainedJob:
    """Train on tables that are read and coded; with `journals`, go on where an interrupted run ended."""
    watch = _watch(ready, job, observer) if ready.test is not None else None
    inputs = ready.inputs if watch is None else [
        dataclasses.replace(one, after_round=watch.of(name)) for one, name in zip(ready.inputs, watch.rounds, strict=True)
    ]  # fmt: skip
    result = inline.train(
        inputs[0], inputs[1:], job.settings, arbiter_inputs(job), observer=observer, verify=verify, journals=journals
    )
    models, plans = [result.guest, *result.hosts], (job.guest, *job.hosts)
    parties = [saved.saved_party(m, b, {**p.reading, "kinds": b.kinds}) for m, b, p in zip(models, ready.binners, plans, strict=True)]
    test = ready.test
    if test is not None:  # coded before training gave the hosts their WOE values
        test = dataclasses.replace(test, matrices=[p.binner.recode(m) for p, m in zip(parties, test.matrices, strict=True)])
    scores = None if test is None else joint_scores(parties, [one.matrix for one in ready.inputs])
    return TrainedJob(result, parties, ready.match, ready.inputs[0].matrix.n_rows, test, watch, scores)


def joint_scores(parties: Sequence[saved.SavedParty], matrices: Sequence[CodedMatrix]) -> npt.NDArray[np.float64]:
    """Return Σu of every row by the saved models: every side's in one place, so for trials only."""
    halves = [party.to_score(PartyInputs(party.binner.recode(m), b"", "")).predictor() for party, m in zip(parties, matrices, strict=True)]
    return np.asarray(np.sum(halves, axis=0))


def _watch(ready: Prepared, job: Job, observer: StageClock) -> RoundWatch:
    """Keep every round's weights; show the joint AUC as they come, if the hosts' columns are known before training and there is one."""
    names = list(inline.party_names(len(job.hosts))[1:])
    test = ready.test
    if test is None or job.settings.host_woe or len(np.unique(test.labels)) < 2:
        return RoundWatch(names)
    matrices = dict(zip(names, test.matrices, strict=True))
    return RoundWatch(names, lambda watch: observer.tell("all", "AUC", watch.joint_auc(matrices, test.labels)))


@contextmanager
def kept(job: Job, folder: Path, *, resume: bool) -> Iterator[tuple[Job, dict[str, FileJournal]]]:
    """Give the job and one journal a party in `folder`, so that an interrupted run can go on; they are taken away at its end.

    Raises
    ------
    InputError
        The folder holds an unfinished run and `resume` is not set.
    JournalError
        The folder cannot be used.
    """
    roles = inline.party_names(len(job.hosts))
    if not resume:
        begin_anew(folder, roles)
    with journals_of(folder, roles) as journals:
        if job.id_method == "hmac" and job.id_key is None:
            job = dataclasses.replace(job, id_key=kept_id_key(folder / "guest" / ID_KEY))
        yield job, journals


def prepare(job: Job, observer: StageClock, matched: Matched | None = None) -> Prepared:
    """Read, match and bin the tables: all of a job that comes before the first ciphertext; InputError without labels.

    `matched` is the match of the same tables, where it was made before.
    """
    plans = (job.guest, *job.hosts)
    if job.guest.reading.get("label_column") is None:
        raise InputError("label_column", "the guest's section must name it")
    with observer.stage("read tables"):
        tables = [plan.open() for plan in plans]
    with observer.stage("match ids"):
        if matched is None:
            matched = match_tables(tables, job)
            if "few" in matched.report:
                log.warning("%s", matched.report["few"])
        whole = matched
        tables, matched = narrowed(tables, whole)
    is_test = in_test_part(tables[0].ids, matched.positions[0], job.test_share, job.test_start)
    positions, commitment = matched.rows(~is_test)
    labels, ids = tables[0].labels, tables[0].ids[positions[0]]
    if labels is None:
        raise InputError("label_column", "the guest's table has no labels")
    sampled = tables[0].sample_weights()
    test_labels = labels[matched.positions[0][is_test]]
    warn_of_few(labels[positions[0]], "in training")
    if job.test_share:
        warn_of_few(test_labels, "kept out of training")
    budgets = [budget_of(plan, job.settings, table.ids, rows) for plan, table, rows in zip(plans, tables, positions, strict=True)]
    binners, train_parts, test_parts = [], [], []
    with observer.stage("bin"):
        for i, plan in enumerate(plans):
            test_rows = matched.positions[i][is_test] if is_test.any() else None
            binner, parts = Binner.fit_transform(tables.pop(0), positions[i], test_rows, **plan.binning)
            binners.append(binner)
            train_parts.append(parts[0])
            test_parts += parts[1:]
    warn_of_shared_names(binners, [plan.name for plan in plans])
    inputs = [
        PartyInputs(part, commitment, plan.organisation, budget=budget)
        for part, plan, budget in zip(train_parts, plans, budgets, strict=True)
    ]
    own = labels[positions[0]]
    weights = row_weights(own, job.guest, job.settings, None if sampled is None else sampled[positions[0]])
    inputs[0] = dataclasses.replace(inputs[0], labels=own, row_weights=weights)
    with observer.stage("measure rows"):
        inputs = [
            mended(plan.name, one, binner, job.settings, ids, fix=plan.fix_leverage)
            for plan, one, binner in zip(plans, inputs, binners, strict=True)
        ]
    test = None
    if test_parts:
        test = TestPart(test_parts, test_labels, matched.rows(is_test)[1])
    return Prepared(inputs, binners, matched.report, test, leakage_suspects(binners[0], train_parts[0], own), whole)


def warn_of_few(labels: npt.NDArray[np.int8], where: str) -> None:
    """Warn of labels of which one kind is too rare for figures to be trusted."""
    found = few_labels(int((labels > 0).sum()), labels.size, where)
    if found is not None:
        log.warning("guest: %s", found)


def mended(
    party: str, inputs: PartyInputs, binner: Binner, settings: Settings, ids: Iterable[object], *, fix: bool
) -> PartyInputs:
    """Return the inputs with the names of their features, and the rows held out where the penalty is searched for.

    With `fix`, without the columns that set rows apart, each named in a warning. Features that are all one class, as ids are, are named
    in a warning too. `ids` are those of the rows.
    """
    inputs = dataclasses.replace(inputs, features=tuple(binner.feature_names))
    if settings.searches and inputs.labels is not None:
        inputs = dataclasses.replace(inputs, held_out=held_out([str(one) for one in ids], inputs.labels))
    for name in binner.without_classes:
        log.warning("%s: %s is left out: none of its values has enough customers for a class; is it an id, or free text?", party, name)
    for twins in equal_features(inputs.matrix):
        names = ", ".join(binner.feature_names[feature] for feature in twins[:SHOWN_TWINS])
        log.warning("%s: %s fall into the same classes in every row: one of them is enough", party, names)
    if not fix:
        return inputs
    found = mend(party, inputs, settings)
    if found.left_out:
        names = ", ".join(binner.column_names[column] for column in found.left_out)
        log.warning("%s: fix_leverage leaves %d of %d columns out: %s", party, len(found.left_out), found.matrix.n_columns, names)
    return found


def equal_features(matrix: CodedMatrix) -> list[list[int]]:
    """Return groups of features whose classes are the same in every row, with more than one class."""
    groups: dict[bytes, list[int]] = {}
    for feature, codes in enumerate(matrix.codes):
        if codes.min() < codes.max():
            groups.setdefault(hashlib.blake2b(np.ascontiguousarray(codes).data, digest_size=16).digest(), []).append(feature)
    return [group for group in groups.values() if len(group) > 1]


def warn_of_shared_names(binners: Sequence[Binner], names: Sequence[str]) -> None:
    """Warn of features that several parties call the same: they may be the same thing, which both then bring."""
    owners: dict[str, list[str]] = {}
    for party, binner in zip(names, binners, strict=True):
        for feature in binner.feature_names:
            owners.setdefault(feature, []).append(party)
    shared = [feature for feature, parties in owners.items() if len(parties) > 1]
    if shared:
        shown = ", ".join(shared[:SHOWN_TWINS])
        log.warning("%d features have the same name at several parties (%s): do they mean the same?", len(shared), shown)


def leakage_suspects(binner: Binner, matrix: CodedMatrix, labels: npt.NDArray[np.int8]) -> dict[str, float]:
    """Return the features that separate the labels alone, by AUC; a warning is logged for each: it may have been made after the label."""
    found = suspects(matrix, [rule.feature for rule in binner.rules], labels)
    for name, auc in found.items():
        log.warning("guest: %s alone separates the labels, AUC %.3f; was it known before the observation date?", name, auc)
    return found


def row_weights(
    labels: npt.NDArray[np.int8], plan: PartyPlan, settings: Settings, own: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.int64] | None:
    """Return the training rows' weights in the agreed unit: the guest's `class_weight` times the rows' own.

    Raises
    ------
    InputError
        They are above the agreed ``max_weight``.
    """
    if plan.class_weight is None and own is None:
        return None
    given = class_weights(labels, plan.class_weight)
    weights = in_units(given if own is None else given * own, settings.weight_unit)
    if int(weights.max()) > settings.max_weight:
        needed = int(weights.max())
        raise InputError("max_weight", f"the rows' weights need {needed} in [settings] of all parties (in units of weight_unit)")
    return weights


def save_models(trained: TrainedJob, folder: str | Path) -> list[Path]:
    """Write each party's model as its own JSON file; return the paths."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    return saved.write_models(target, trained.parties, trained.result.arbiter)


def score_parties(
    parties: Sequence[saved.SavedParty],
    arbiter_model: ArbiterModel,
    matrices: Sequence[CodedMatrix],
    commitment: bytes,
    settings: Settings,
    *,
    job: Job | None = None,
    observer: Observer | None = None,
) -> tuple[ScoringResult, inline.Traffic]:
    """Score rows that are matched and coded already, with all parties in this process.

    Parameters
    ----------
    job
        Says who the parties are, and has the arbiter's key; None: a trial.

    Raises
    ------
    ModelError
        The models come from different training runs.
    """
    if len({party.session for party in parties} | {arbiter_model.session}) != 1:
        raise ModelError("session", "the parties' models come from different training runs")
    if "scoring" in settings.followed:  # nobody chose: labels come from what the model was trained for
        settings = settings.changed(scoring=arbiter_model.settings.scoring)
    names = [party.role for party in parties] if job is None else [plan.organisation for plan in (job.guest, *job.hosts)]
    inputs = [
        party.to_score(PartyInputs(matrix, commitment, name)) for party, matrix, name in zip(parties, matrices, names, strict=True)
    ]
    return inline.score(
        inputs[0], inputs[1:], arbiter_model, settings, None if job is None else arbiter_inputs(job), observer=observer
    )


def score(job: Job, folder: str | Path, settings: Settings, observer: StageClock) -> tuple[Table, ScoringResult, dict[str, Any], Any]:
    """Read new customers, match, code by the saved bins and score; return the guest's matched table, result, match report, τ.

    Of the job's resources only the scratch folder is used.
    """
    with storage.use_scratch(job.resources.scratch):
        return _score(job, folder, settings, observer)


def _score(job: Job, folder: str | Path, settings: Settings, observer: StageClock) -> tuple[Table, ScoringResult, dict[str, Any], Any]:
    plans = (job.guest, *job.hosts)
    parties = [saved.SavedParty.from_dict(saved.read_json(Path(folder) / f"{plan.name}.json"), plan.name) for plan in plans]
    arbiter_model = saved.arbiter_from_dict(saved.read_json(Path(folder) / "arbiter.json"))
    with observer.stage("read tables"):
        tables = [read_like(plan, party) for plan, party in zip(plans, parties, strict=True)]
    with observer.stage("match ids"):
        tables, matched = narrowed(tables, match_tables(tables, job))
    guest_table = tables[0].load()
    everything = np.ones(len(matched.positions[0]), dtype=bool)
    positions, commitment = matched.rows(everything)
    coded: list[Table | OpenTable] = [guest_table, *tables[1:]]
    with observer.stage("bin"):
        matrices = [
            party.binner.transform(table, p) for party, table, p in zip(parties, coded, positions, strict=True)
        ]
    result, _ = score_parties(parties, arbiter_model, matrices, commitment, settings, job=job, observer=observer)
    return guest_table.take(positions[0]), result, matched.report, arbiter_model


def arbiter_inputs(job: Job | Part) -> ArbiterInputs:
    """Return what the arbiter brings: the key of its file, or none, for a fresh one per session."""
    if job.key_file is None:
        return ArbiterInputs(job.arbiter)
    test = job.settings.key_bits not in KEY_BITS
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    return ArbiterInputs(job.arbiter, scheme(job.settings.scheme).load(job.key_file, test_sizes=test, passphrase=passphrase))


def read_like(plan: PartyPlan, party: saved.SavedParty) -> OpenTable:
    """Read a table as the training table was read; labels are optional now."""
    reading = {**party.reading, **{k: v for k, v in plan.reading.items() if k != "kinds"}}
    if dropped := sorted({*party.reading.get("drop", ()), *plan.reading.get("drop", ())}):
        reading["drop"] = dropped
    if "label_column" not in plan.reading:
        reading.pop("label_column", None)
    return plan.open(reading)

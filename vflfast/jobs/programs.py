"""What one party's process runs over the network: its programs of training and of scoring, and what each leaves behind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..binning.binner import Binner
from ..crypto import storage
from ..errors import InputError, ModelError
from ..mart.table import rows_of
from ..matching import ids
from ..net.config import NetConfig
from ..net.runner import Program
from ..protocol import arbiter, guest, host
from ..protocol.block import PartyInputs
from ..protocol.guest import ScoringResult
from ..protocol.link import Link, Observer
from ..protocol.matching import MatchedRows, intersect_at_guest, intersect_at_host, match_at_guest, match_at_host, matching_link
from ..protocol.party_model import PartyModel
from ..protocol.resume import Journal
from ..protocol.settings import Settings
from ..tables.table import OpenTable
from . import model as saved
from .evaluation import evaluate_at_guest
from .job import arbiter_inputs, mended, read_like, row_weights, warn_of_few
from .jobfile import Part, PartyPlan
from .ledger import budget_of, count_matching
from .matched import in_test_part
from .scored import Scored, at_guest, at_host

TRAIN, SCORE, EVALUATE = "train", "score", "evaluate"


@dataclass(frozen=True)
class PartyJob:
    """What one party brings to a run.

    Attributes
    ----------
    config
        How it reaches the others, and its folders.
    part
        The agreed settings and its own table.
    task
        ``train``, ``score``, or ``evaluate``: score the customers kept out of training; the same at all parties.
    out
        CSV file for the labels of a recipient.
    """

    config: NetConfig
    part: Part
    task: str = TRAIN
    out: Path | None = None

    @property
    def settings(self) -> Settings:
        """The agreed settings."""
        return self.part.settings

    @property
    def scores(self) -> bool:
        """Whether the run uses models that training left."""
        return self.task != TRAIN

    @property
    def model_file(self) -> Path:
        """Where its model is saved."""
        return self.config.models / f"{self.config.role}.json"

    @property
    def is_recipient(self) -> bool:
        """Whether it gets the labels of scoring ([0152]): the guest, and in the patent profile the hosts."""
        return self.config.role == "guest" or (self.part.plan is not None and self.settings.profile == "patent")


@dataclass(frozen=True)
class PartyResult:
    """What a party has after a run: the facts that it may tell, and what it was to bring.

    Attributes
    ----------
    path
        The file that it wrote: its model, or its labels; ``None``: no file.
    scored
        The labels, at a recipient.
    """

    role: str
    path: Path | None
    facts: dict[str, Any]
    scored: Scored | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what a party that comes back after its end needs."""
        return {"facts": self.facts, "path": None if self.path is None else str(self.path)}

    @classmethod
    def brought_back(cls, role: str, saved: Mapping[str, Any]) -> PartyResult:
        """Return what `to_dict` gave."""
        return cls(role, None if saved["path"] is None else Path(saved["path"]), dict(saved["facts"]))


class Programs(Protocol):
    """A party's programs of one run, an attempt each."""

    def make(self, attempt: int) -> Program:
        """Return the program of an attempt."""

    def keep(self, result: Any) -> PartyResult:
        """Write what the program of the last attempt gave."""


def programs_of(party: PartyJob, observer: Observer, journal: Journal) -> Programs:
    """Return the programs of a party's role and task; tables and models are read here.

    Raises
    ------
    InputError
        A table or a model that cannot be read.
    """
    plan = party.part.plan
    if party.scores:
        return _ArbiterScoring(party, observer) if plan is None else _Scoring(party, plan, observer)
    return _ArbiterTraining(party, observer, journal) if plan is None else _Training(party, plan, observer, journal)


class _Matching:
    """A data party's table, and its rows of the customers that all parties have."""

    def __init__(self, party: PartyJob, plan: PartyPlan, table: OpenTable, observer: Observer) -> None:
        self._party, self._plan, self._observer, self.table = party, plan, observer, table
        part = party.part
        self.link: Link | None = None  # of the last matching
        self._tokens = None if part.id_method == "ecdh" else ids.protect(table.ids, method=part.id_method, key=part.id_key)

    async def match(self, attempt: int) -> MatchedRows:
        part, is_guest = self._party.part, self._plan.name == "guest"
        self.link = link = matching_link(self._plan.name, self._party.config.peers, self._observer, attempt)
        if self._tokens is None:
            intersect = intersect_at_guest if is_guest else intersect_at_host
            matched = await intersect(link, self.table.ids, part.settings.to_json(), part.max_ids)
        else:
            match = match_at_guest if is_guest else match_at_host
            matched = await match(link, self._tokens, part.id_method)
        count_matching(self._plan, part.settings, matched.report)
        return matched

    def part(self, matched: MatchedRows) -> MatchedRows:
        """Return the rows of training or those kept out of it, by a hash of the id; all of them in scoring, or where none are kept out.

        Raises
        ------
        InputError
            A part without customers, or an evaluation of a run that kept none out.
        """
        share, task = self._party.settings.test_share, self._party.task
        if task == SCORE or (task == TRAIN and not share):
            return matched
        kept_out = in_test_part(self.table.ids, matched.positions, share)
        rows = storage.take(matched.positions, kept_out if task == EVALUATE else ~kept_out)
        if not len(rows):
            raise InputError("test_share", f"leaves no customers of {len(matched.positions)} to {task} with")
        told = f"vflfast part {task} {share!r} ".encode() + matched.commitment
        return MatchedRows(rows, hashlib.sha256(told).digest(), matched.report)

    def report(self, matched: MatchedRows) -> dict[str, Any]:
        """Return the match report, with its warnings."""
        report = matched.report
        return report | ids.warnings_of(self._party.part.id_method, report["rows"], report["matched"])


class _Training:
    """Of guest or host: match, bin, train. Tables are read once, binned once for the same matched rows."""

    def __init__(self, party: PartyJob, plan: PartyPlan, observer: Observer, journal: Journal) -> None:
        self._party, self._plan, self._observer, self._journal = party, plan, observer, journal
        observer(plan.name, 0, "read tables")
        self._matching = _Matching(party, plan, plan.open(), observer)
        self._matched: MatchedRows | None = None
        self._part: MatchedRows | None = None
        self._prepared: tuple[PartyInputs, Binner] | None = None

    def make(self, attempt: int) -> Program:
        return self._run(attempt)

    async def _run(self, attempt: int) -> PartyModel:
        inputs = self._prepare(await self._matching.match(attempt))
        train = guest.train if self._plan.name == "guest" else host.train
        link = Link(self._plan.name, self._party.config.peers, self._observer, attempt, before=self._matching.link)
        return await train(link, inputs, self._party.settings, self._journal)

    def _prepare(self, matched: MatchedRows) -> PartyInputs:
        if self._prepared is None or self._matched is None or matched.commitment != self._matched.commitment:
            plan, part = self._plan, self._matching.part(matched)
            table, rows = next(rows_of([self._matching.table], [part.positions]))
            self._observer(plan.name, 0, "bin")
            binner, (matrix,) = Binner.fit_transform(table, rows, **plan.binning)
            labels = None if table.labels is None or plan.name != "guest" else table.labels[rows]
            if labels is not None:
                warn_of_few(labels, "in training")
            sampled = None if labels is None else table.sample_weights()
            own = None if sampled is None else sampled[rows]
            weights = None if labels is None else row_weights(labels, plan, self._party.settings, own)
            budget = budget_of(plan, self._party.settings, self._matching.table.ids, part.positions)
            inputs = PartyInputs(matrix, part.commitment, plan.organisation, labels, row_weights=weights, budget=budget)
            self._observer(plan.name, 0, "measure rows")
            ids = self._matching.table.ids[part.positions]
            self._prepared = mended(plan.name, inputs, binner, self._party.settings, ids, fix=plan.fix_leverage), binner
            self._matched, self._part = matched, part
        return self._prepared[0]

    def keep(self, result: PartyModel) -> PartyResult:
        assert self._matched is not None  # noqa: S101  (a model comes after its rows)
        assert self._part is not None  # noqa: S101
        assert self._prepared is not None  # noqa: S101
        binner = self._prepared[1]
        path = self._party.model_file
        saved.write_json(path, saved.saved_party(result, binner, {**self._plan.reading, "kinds": binner.kinds}).to_dict())
        facts = {
            "match": self._matching.report(self._matched),
            "training_rows": len(self._part.positions),
            "columns": len(result.weights),
            "left_out": [binner.column_names[column] for column in result.left_out],
            "rounds": result.n_iter,
            "stopped_by_rule": result.stopped,
            "weight_hash": result.hashes[-1],
            "leak_ledger": result.ledger.to_list(),
        }
        return PartyResult(self._plan.name, path, facts)


class _Scoring:
    """Of guest or host: its own model, match, code by the saved bins, score."""

    def __init__(self, party: PartyJob, plan: PartyPlan, observer: Observer) -> None:
        self._party, self._plan, self._observer = party, plan, observer
        observer(plan.name, 0, "read model")
        self._model = read_half(party)
        observer(plan.name, 0, "read tables")
        self._matching = _Matching(party, plan, read_like(plan, self._model), observer)
        self._matched: MatchedRows | None = None
        self._half: npt.NDArray[np.float64] | None = None  # the own predictor, for an evaluation

    def make(self, attempt: int) -> Program:
        return self._run(attempt)

    async def _run(self, attempt: int) -> Any:
        self._matched = self._matching.part(await self._matching.match(attempt))
        inputs = self._model.to_score(self._inputs(self._matched))
        if self._party.task == EVALUATE:
            self._half = inputs.predictor()
        link = Link(self._plan.name, self._party.config.peers, self._observer, attempt, before=self._matching.link)
        return await (guest.score if self._plan.name == "guest" else host.score)(link, inputs, self._party.settings)

    def _inputs(self, matched: MatchedRows) -> PartyInputs:
        table, rows = next(rows_of([self._matching.table], [matched.positions]))
        self._observer(self._plan.name, 0, "bin")
        budget = budget_of(self._plan, self._party.settings, self._matching.table.ids, matched.positions)
        return PartyInputs(self._model.binner.transform(table, rows), matched.commitment, self._plan.organisation, budget=budget)

    def keep(self, result: ScoringResult | npt.NDArray[np.int8] | None) -> PartyResult:
        assert self._matched is not None  # noqa: S101  (labels come after their rows)
        match, role = self._matching.report(self._matched), self._plan.name
        if result is None:
            return PartyResult(role, None, {"match": match, "customers": len(self._matched.positions)})
        if self._half is not None and isinstance(result, ScoringResult):
            return PartyResult(role, None, {"match": match, "evaluation": self._evaluated(result)})
        own = self._matching.table.ids[self._matched.positions]
        scored = at_guest(own, result, match) if isinstance(result, ScoringResult) else at_host(own, result, match)
        if self._party.out is not None:
            scored.save(self._party.out)
        return PartyResult(role, self._party.out, scored.facts, scored)


    def _evaluated(self, result: ScoringResult) -> dict[str, Any]:
        """What the guest finds of the customers kept out, whose labels it has."""
        assert self._matched is not None  # noqa: S101
        assert self._half is not None  # noqa: S101
        labels = self._matching.table.labels
        if labels is None:
            raise InputError("label_column", "the guest's section must name it: an evaluation compares with its labels")
        return evaluate_at_guest(labels[self._matched.positions], self._half, result)


class _ArbiterTraining:
    """Of the arbiter: open gradients, count votes, settle τ."""

    def __init__(self, party: PartyJob, observer: Observer, journal: Journal) -> None:
        self._party, self._observer, self._journal = party, observer, journal
        self._inputs = arbiter_inputs(party.part)

    def make(self, attempt: int) -> Program:
        link = Link("arbiter", self._party.config.peers, self._observer, attempt)
        return arbiter.train(link, self._inputs, self._party.settings, self._journal)

    def keep(self, result: arbiter.ArbiterModel) -> PartyResult:
        path = self._party.model_file
        saved.write_json(path, saved.arbiter_to_dict(result))
        facts = {"rounds": result.n_iter, "threshold": _told(result), "flagged_share_in_training": result.flagged_share}
        return PartyResult("arbiter", path, facts)


class _ArbiterScoring:
    """Of the arbiter: combine the scores, send the labels, keep nothing."""

    def __init__(self, party: PartyJob, observer: Observer) -> None:
        self._party, self._observer = party, observer
        observer("arbiter", 0, "read model")
        self._model = read_arbiter(party)
        self._inputs = arbiter_inputs(party.part)

    def make(self, attempt: int) -> Program:
        link = Link("arbiter", self._party.config.peers, self._observer, attempt)
        return arbiter.score(link, self._inputs, self._model, self._party.settings)

    def keep(self, result: npt.NDArray[np.float64]) -> PartyResult:
        return PartyResult("arbiter", None, {"customers": len(result), "threshold": _told(self._model)})


def _told(model: arbiter.ArbiterModel) -> float | None:
    """τ, where it says something to whoever does not know the joint score's scale."""
    return None if model.settings.scoring == "joint" else model.threshold


def read_half(party: PartyJob) -> saved.SavedParty:
    """Return a data party's own model; ModelError names the file and the field."""
    with _of_file(party.model_file):
        return saved.SavedParty.from_dict(saved.read_json(party.model_file), party.config.role)


def read_arbiter(party: PartyJob) -> arbiter.ArbiterModel:
    """Return the arbiter's own model; ModelError names the file and the field."""
    with _of_file(party.model_file):
        return saved.arbiter_from_dict(saved.read_json(party.model_file))


@contextmanager
def _of_file(path: Path) -> Iterator[None]:
    """Put a model's file before the name of the field that is wrong."""
    try:
        yield
    except ModelError as error:
        if error.argument == str(path):
            raise
        raise ModelError(f"{path}: {error.argument}", error.problem) from None

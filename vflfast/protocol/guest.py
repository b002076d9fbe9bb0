"""The guest: the bank, with labels. Its two programs, training and scoring."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..crypto.codec import encode
from ..crypto.scheme import Public
from ..crypto.vector import CipherVector
from ..errors import InputError, ProtocolError
from ..learn.leverage import Leverage
from ..learn.logistic import linear_predictor, residual_offset, sigmoid
from ..learn.metrics import roc_auc
from ..learn.scoring import Norm, calibrate
from . import chain, columns, woe
from . import messages as ms
from .block import Block, PartyInputs, PartyModel
from .budget import label_claims
from .exchange import Exchange, advance
from .forward import Refill, expect_rounds, predictor_bound, receive_predictors, return_residual
from .gradient import announce_quota, open_gradient, open_sums, vote
from .leakage import LeakLedger, guard_batches, guard_rare_labels
from .link import Link
from .packing import RowPacking
from .resume import Checkpoint, Journal, NoJournal, block_state, inputs_digest, resume_block
from .row_guard import guard_rows
from .scores import share
from .session import SEED_BYTES, compare_rows, receive_key, say_hello, say_hello_to_score, secret_order
from .settings import Settings
from .transcripts import confirm

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoringInputs:
    """What a data party brings to scoring: its columns on the matched rows, its half of the model, and the run that this comes from."""

    matrix_inputs: PartyInputs
    weights: Floats
    intercept: float
    norm: Norm
    run: str

    def predictor(self) -> Floats:
        """Return the party's own linear predictor."""
        return linear_predictor(self.matrix_inputs.matrix, self.weights, self.intercept)


@dataclass(frozen=True)
class ScoringResult:
    """What a recipient learns: labels ±1; τ, the combined scores and the joint probability where the settings open them."""

    labels: npt.NDArray[np.int8]
    threshold: float | None
    own_probability: Floats
    scores: Floats | None = None
    joint_probability: Floats | None = None


async def train(link: Link, inputs: PartyInputs, settings: Settings, journal: Journal | None = None) -> PartyModel:
    """Train the guest's half and the threshold (protocol §3, §5); return them. With a journal, go on from its last common round.

    Raises
    ------
    InputError
        Without labels.
    """
    if inputs.labels is None:
        raise InputError("labels", "the guest needs labels")
    hosts = _hosts(link)
    digest = b"" if journal is None else inputs_digest(inputs, settings)  # a pass over all codes, for checkpoints only
    journal = journal or NoJournal()
    link.stage("measure rows")
    rows = guard_rows("guest", inputs, settings)
    commitment = inputs.budget.commitment(inputs.matrix, settings.n_batches, settings.row_packing)
    opening = await say_hello(link, settings, inputs.organisation, inputs.matrix.n_columns, journal, digest, commitment, rows)
    widest = max(opening.columns.values())
    guard_batches(inputs.matrix.n_rows, widest, settings.n_batches, settings.row_packing, allow_wide=settings.allow_wide)
    hosts_widest = max(opening.columns[host] for host in hosts)
    guard_rare_labels(inputs.matrix.n_rows, int((inputs.labels > 0).sum()), hosts_widest, settings)
    public = await receive_key(link, settings)
    order = await _agree_on_rows(link, hosts, inputs)
    inputs.budget.spend(opening.run, label_claims(opening.claims, inputs.matrix.n_rows, settings), wide=settings.allow_wide)
    ledger = LeakLedger("guest")
    await woe.at_guest(link, hosts, public, inputs, opening, settings, ledger)
    if settings.profile == "patent":
        for host in hosts:
            await link.send(host, ms.TrainingLabels((inputs.labels > 0).astype(np.uint8).tobytes()))
    link.stage("prepare")
    block = Block(inputs, settings, sum(opening.columns.values()), 1 + len(hosts), has_intercept=True)
    await announce_quota(link, block)
    exchange = await Exchange.begin(link) if settings.solver == "lbfgs" else None
    expect_rounds(public, inputs.matrix.n_rows, block.packing, settings, len(hosts))
    stop = resume_block(opening.checkpoint, block, ledger)
    while not stop:
        link.round += 1
        inputs.budget.begin_round(opening.run, link.round)
        stop = await _round(link, hosts, public, block, ledger, rows, exchange)
        journal.commit(Checkpoint(opening.run, digest, link.round, stop, block_state(block, ledger)))
    weights, intercept = block.coefficients()
    norm = Norm.fit(sigmoid(block.predictor), settings.norm, settings.epsilon)
    scores = await _calibrate(link, public, block, norm, settings, order, ledger)
    await confirm(link)
    return PartyModel(
        "guest", weights, intercept, block.alpha, link.round, block.flag, block.losses, block.hashes, ledger, opening.run.hex(),
        settings, norm.to_dict(), scores.labels, scores.scores, left_out=inputs.left_out,
    )  # fmt: skip


async def score(link: Link, inputs: ScoringInputs, settings: Settings) -> ScoringResult:
    """Score new customers (protocol §5); return the labels and what the settings open."""
    hosts = _hosts(link)
    await say_hello_to_score(link, settings, inputs.matrix_inputs.organisation, inputs.matrix_inputs.matrix.n_columns, inputs.run)
    public = await receive_key(link, settings)
    order = await _agree_on_rows(link, hosts, inputs.matrix_inputs)
    link.stage("score")
    predictor = inputs.predictor()
    probability = sigmoid(predictor)
    await link.send("arbiter", share(public, probability, inputs.norm, 1.0, settings, order))
    scores = await _combined(link, order) if settings.output == "scores" else None
    labels, threshold = await receive_labels(link, order, settings)
    joint = await _joint_probability(link, hosts, public, predictor, settings) if settings.joint else None
    await confirm(link)
    return ScoringResult(labels, threshold, probability, scores, joint)


def _hosts(link: Link) -> tuple[str, ...]:
    return tuple(peer for peer in link.peers if peer != "arbiter")


async def _agree_on_rows(link: Link, hosts: tuple[str, ...], inputs: PartyInputs) -> npt.NDArray[np.int64]:
    await compare_rows(link, hosts, inputs.matrix.n_rows, inputs.commitment)
    seed = secrets.token_bytes(SEED_BYTES)
    for host in hosts:
        await link.send(host, ms.OrderSeed(seed))
    return secret_order(seed, inputs.matrix.n_rows)


async def _round(
    link: Link, hosts: tuple[str, ...], public: Public, block: Block, ledger: LeakLedger, rows: Leverage | None, exchange: Exchange | None
) -> bool:
    """One round [0101]–[0135]; True when it was the last."""
    settings, (batch, matrix) = block.settings, block.batch(link.round)
    # while the hosts encrypt, and later compute: randomness for this round's residual, and for the next one's
    link.idle = Refill(public, len(hosts) * block.packing.groups(matrix.n_rows)) if link.round < settings.max_iter else None
    # [[4g]] = [[u″]] + (u′ − 2y)  [0103], [0033], [0116]
    link.stage("residual")
    labels = block.own_labels()[batch]
    if settings.residual == "logistic":  # or [[σ(u″ + u′) − y]], from columns of u″
        half, weights = block.half(batch), block.row_weights
        if len(hosts) == 1:
            residual = await columns.return_residual(link, hosts[0], public, half, labels, settings, weights)
        else:
            residual = await chain.return_residual(link, public, half, labels, settings, weights)
    else:
        offset = residual_offset(block.fixed_predictor(batch), labels, settings.frac_bits)
        residual = await return_residual(link, hosts, public, offset, settings, block.packing, block.row_weights)
    gradient, residual_sum = await open_gradient(link, public, block, residual, ledger, rows)
    await advance(link, block, exchange, gradient, residual_sum, matrix.n_rows)
    return await vote(link, public, block)


async def _calibrate(
    link: Link, public: Public, block: Block, norm: Norm, settings: Settings, order: npt.NDArray[np.int64], ledger: LeakLedger
) -> ScoringResult:
    """Score the training rows, and settle τ with the arbiter."""
    link.stage("calibrate")
    labels = block.own_labels()
    probability = sigmoid(block.predictor)
    power = roc_auc(labels, probability) if settings.profile == "patent" else 1.0
    await link.send("arbiter", share(public, probability, norm, power, settings, order))
    scores = None
    if settings.threshold == "quota":
        base_rate = float((labels > 0).mean())
        await link.send("arbiter", ms.ThresholdChoice(settings.threshold_value or base_rate))
    elif isinstance(settings.threshold, str):
        scores = await _combined(link, order)
        ledger.add("combined training scores", len(scores), len(scores))
        value = settings.threshold_value if settings.threshold == "precision" else None
        await link.send("arbiter", ms.ThresholdChoice(calibrate(scores, labels, by=settings.threshold, value=value)))
    flagged, threshold = await receive_labels(link, order, settings)
    ledger.add("training labels by F", len(flagged), len(flagged))
    return ScoringResult(flagged, threshold, probability, scores)


async def _combined(link: Link, order: npt.NDArray[np.int64]) -> Floats:
    message = await link.receive("arbiter", ms.CombinedScores)
    if len(message.scores) != len(order) or not np.isfinite(message.scores).all():
        raise ProtocolError("arbiter", "CombinedScores", f"{len(order)} finite scores are due")
    scores = np.empty(len(order))
    scores[order] = message.scores
    return scores


async def receive_labels(link: Link, order: npt.NDArray[np.int64], settings: Settings) -> tuple[npt.NDArray[np.int8], float | None]:
    """Return (labels ±1 in row order, τ) from the arbiter [0152], which keeps τ (None) unless the settings open it; ProtocolError."""
    message = await link.receive("arbiter", ms.ScoreLabels)
    flags = np.frombuffer(message.labels, dtype=np.uint8)
    opened = settings.opens_threshold
    right = np.isfinite(message.threshold) if opened else np.isnan(message.threshold)
    if len(flags) != len(order) or (flags > 1).any() or not right:
        due = "a finite threshold" if opened else "no threshold"
        raise ProtocolError("arbiter", "ScoreLabels", f"{len(order)} labels and {due} are due")
    labels = np.empty(len(order), dtype=np.int8)
    labels[order] = np.where(flags == 1, 1, -1)
    return labels, message.threshold if opened else None


async def _joint_probability(link: Link, hosts: tuple[str, ...], public: Public, predictor: Floats, settings: Settings) -> Floats:
    """Return σ(u′ + Σ u″) by a sum that the arbiter opens under masks."""
    link.round = 1
    total = await receive_predictors(link, hosts, public, settings, len(predictor), RowPacking())
    own = encode(predictor, settings.frac_bits, settings.predictor_bound, "linear predictor")
    link.stage("joint score")
    summed = CipherVector(public, (total + own).vector, 0, predictor_bound(settings) * (1 + len(hosts)))
    values = await open_sums(link, public, summed, ms.MaskedPredictors, ms.OpenedPredictors)
    return sigmoid(np.array(values, dtype=np.float64) / (1 << settings.frac_bits))

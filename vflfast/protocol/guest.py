"""The guest: the bank, with labels. Its two programs, training and scoring."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Public
from ..errors import InputError, ProtocolError
from ..learn.leverage import Leverage
from ..learn.logistic import linear_predictor, residual_offset, sigmoid
from ..learn.metrics import roc_auc
from ..learn.penalty import Choice
from ..learn.scoring import Norm, calibrate
from ..params import SEED_BYTES
from . import chain, columns, inference, woe
from . import messages as ms
from .block import Block, PartyInputs
from .budget import label_claims
from .exchange import Exchange, advance, agree_on_seeds
from .forward import Refill, expect_rounds, return_residual
from .gradient import announce_quota, open_gradient, vote
from .joint import ScoreScale, fresh_seed, send_part, send_scale
from .leakage import LeakLedger, guard_batches, guard_rare_labels
from .link import Link
from .multiplied import Products
from .party_model import PartyModel
from .resume import Checkpoint, Journal, NoJournal, block_state, inputs_digest, resume_block
from .row_guard import guard_rows
from .scores import fitted_norm, required, share
from .session import compare_rows, receive_key, say_hello, say_hello_to_score, secret_order
from .settings import Settings
from .transcripts import confirm

Floats = npt.NDArray[np.float64]

log = logging.getLogger("vflfast")
GAVE_UP = (
    "guest: training ended with the weights of round %d: with the next ones a half would vary too much for the logistic residual to be "
    "trusted at alpha %.3g. A larger alpha trains to the end"
)


@dataclass(frozen=True)
class ScoringInputs:
    """What a data party brings to scoring: its columns on the matched rows, its half of the model, and the run that this comes from.

    A model that labels by the joint score has a `scale`, one that labels by F needs its `norm`.
    """

    matrix_inputs: PartyInputs
    weights: Floats
    intercept: float
    norm: Norm | None
    run: str
    scale: ScoreScale | None = None

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
    inference.check_columns(opening.columns, settings)
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
    inference.check_bounds(public, block)
    await announce_quota(link, block)
    seeds = await agree_on_seeds(link) if settings.shares_masks else {}
    exchange = Exchange(link, seeds) if settings.solver == "lbfgs" else None
    scale_seed = bytes.fromhex(opening.checkpoint.state["scale"]) if opening.checkpoint else fresh_seed()  # τ of every attempt is the same
    expect_rounds(public, inputs.matrix.n_rows, block.packing, settings, len(hosts))
    stop = resume_block(opening.checkpoint, block, ledger)
    while not stop:
        link.round += 1
        inputs.budget.begin_round(opening.run, link.round)
        stop = await _round(link, hosts, public, block, ledger, rows, exchange)
        state = block_state(block, ledger) | {"scale": scale_seed.hex()}
        journal.commit(Checkpoint(opening.run, digest, link.round, stop, state))
    inferred = await inference.at_data_party(link, public, block, opening.columns, ledger)
    weights, intercept = block.coefficients()
    norm = fitted_norm(block.predictor, settings)
    if settings.scoring == "joint":
        scale: ScoreScale | None = await send_scale(link, scale_seed, settings)
        scores = await _calibrate_jointly(link, public, block, required("scale", scale), order, seeds, ledger)
    else:
        scale, scores = None, await _calibrate(link, public, block, required("norm", norm), settings, order, ledger)
    await confirm(link)
    return PartyModel(
        "guest", weights, intercept, block.alpha, link.round, block.stopped, block.losses, block.hashes, ledger, opening.run.hex(),
        settings, None if norm is None else norm.to_dict(), scores.labels, scores.scores, left_out=inputs.left_out, scale=scale,
        tried=None if block.search is None else block.search.tried(), inference=inferred,
    )  # fmt: skip


async def score(link: Link, inputs: ScoringInputs, settings: Settings) -> ScoringResult:
    """Score new customers (protocol §5); return the labels and what the settings open."""
    hosts = _hosts(link)
    await say_hello_to_score(link, settings, inputs.matrix_inputs.organisation, inputs.matrix_inputs.matrix.n_columns, inputs.run)
    public = await receive_key(link, settings)
    order = await _agree_on_rows(link, hosts, inputs.matrix_inputs)
    seeds = await agree_on_seeds(link) if settings.scores_jointly else {}
    link.stage("score")
    predictor = inputs.predictor()
    if settings.scoring == "joint":
        scale = required("scale", inputs.scale)
        await send_part(link, public, predictor, scale, order, seeds)
        chances = sigmoid(scale.predictors(await _scores(link, order))) if settings.output == "probability" else None
        labels, threshold = await receive_labels(link, order, settings)
        cut = None if threshold is None else scale.probability(threshold)
        result = ScoringResult(labels, cut, sigmoid(predictor), None, chances)
    else:
        await link.send("arbiter", share(public, sigmoid(predictor), required("norm", inputs.norm), 1.0, settings, order))
        scores = await _scores(link, order) if settings.output == "scores" else None
        labels, threshold = await receive_labels(link, order, settings)
        chances = await _probability_beside(link, public, predictor, settings, order, seeds)
        result = ScoringResult(labels, threshold, sigmoid(predictor), scores, chances)
    await confirm(link)
    return result


async def _probability_beside(
    link: Link, public: Public, predictor: Floats, settings: Settings, order: npt.NDArray[np.int64], seeds: dict[str, bytes]
) -> Floats | None:
    """Return the joint probability beside F, by a scale of this session alone, where the settings open it."""
    if not settings.scores_jointly:
        return None
    scale = await send_scale(link, fresh_seed(), settings)
    await send_part(link, public, predictor, scale, order, seeds)
    return sigmoid(scale.predictors(await _scores(link, order)))


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
    link.idle = Refill(public, len(hosts) * block.packing.groups(matrix.n_rows)) if link.round < settings.last_round else None
    # [[4g]] = [[u″]] + (u′ − 2y)  [0103], [0033], [0116]
    link.stage("residual")
    labels = block.own_labels()[batch]
    if settings.residual == "logistic":  # or [[σ(u″ + u′) − y]], from columns of u″
        half, weights = block.half(batch), block.weights_of(link.round)
        if len(hosts) == 1:
            made = await columns.return_residual(link, hosts[0], public, half, labels, settings, weights)
        else:
            made = await chain.return_residual(link, public, half, labels, settings, weights)
    else:
        offset = residual_offset(block.fixed_predictor(batch), labels, settings.frac_bits)
        made = Products(await return_residual(link, hosts, public, offset, settings, block.packing, block.row_weights))
    gradient, residual_sum, judged = await open_gradient(link, public, block, made.residual, ledger, rows, made.loss)
    if not made.trusted and not block.searching:
        log.warning(GAVE_UP, link.round - 1, block.alpha)
        block.give_up()
    elif not block.judges(link.round) or await _choose_penalty(link, hosts, block.decide(judged, trusted=made.trusted), block):
        await advance(link, block, exchange, gradient, residual_sum, matrix.n_rows)
    return await vote(link, public, block)


async def _choose_penalty(link: Link, hosts: tuple[str, ...], choice: Choice, block: Block) -> bool:
    """Tell the hosts how the search for λ goes on; return whether this round still takes a step."""
    for host in hosts:
        await link.send(host, ms.PenaltyChoice(choice.number, int(choice.final)))
    return block.choose(choice)


async def _calibrate(
    link: Link, public: Public, block: Block, norm: Norm, settings: Settings, order: npt.NDArray[np.int64], ledger: LeakLedger
) -> ScoringResult:
    """Score the training rows by F, and settle τ with the arbiter."""
    link.stage("calibrate")
    labels = block.own_labels()
    probability = sigmoid(block.predictor)
    power = roc_auc(labels, probability) if settings.profile == "patent" else 1.0
    await link.send("arbiter", share(public, probability, norm, power, settings, order))
    scores = None
    if isinstance(settings.threshold, str):
        scores = await _choose_threshold(link, labels, settings, order, ledger)
    return await _training_labels(link, probability, scores, settings, order, ledger, "F")


async def _calibrate_jointly(
    link: Link, public: Public, block: Block, scale: ScoreScale, order: npt.NDArray[np.int64], seeds: dict[str, bytes], ledger: LeakLedger
) -> ScoringResult:
    """Score the training rows by u′ + Σu″, and settle τ with the arbiter."""
    link.stage("calibrate")
    settings = block.settings
    await send_part(link, public, block.predictor, scale, order, seeds)
    scores = None
    if isinstance(settings.threshold, str):
        scores = await _choose_threshold(link, block.own_labels(), settings, order, ledger)
    else:
        await link.send("arbiter", ms.ThresholdChoice(scale.score(settings.threshold)))
    return await _training_labels(link, sigmoid(block.predictor), scores, settings, order, ledger, "the joint score")


async def _choose_threshold(
    link: Link, labels: npt.NDArray[np.int8], settings: Settings, order: npt.NDArray[np.int64], ledger: LeakLedger
) -> Floats | None:
    """Tell the arbiter which share to flag, or τ, chosen from the training rows' scores; return these."""
    if settings.threshold == "quota":
        base_rate = float((labels > 0).mean())
        await link.send("arbiter", ms.ThresholdChoice(settings.threshold_value or base_rate))
        return None
    scores = await _scores(link, order)
    ledger.add("combined training scores" if settings.scoring == "combined" else "joint training scores", len(scores), len(scores))
    value = settings.threshold_value if settings.threshold == "precision" else None
    await link.send("arbiter", ms.ThresholdChoice(calibrate(scores, labels, by=str(settings.threshold), value=value)))
    return scores


async def _training_labels(
    link: Link, probability: Floats, scores: Floats | None, settings: Settings, order: npt.NDArray[np.int64], ledger: LeakLedger, by: str
) -> ScoringResult:
    flagged, threshold = await receive_labels(link, order, settings)
    ledger.add(f"training labels by {by}", len(flagged), len(flagged))
    return ScoringResult(flagged, threshold, probability, scores)


async def _scores(link: Link, order: npt.NDArray[np.int64]) -> Floats:
    """Return what the arbiter computed of every row, in row order."""
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

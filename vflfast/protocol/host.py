"""The host: the partner, with features only. Its two programs, training and scoring."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Public
from ..errors import InputError, ProtocolError
from ..learn.leverage import Leverage
from ..learn.logistic import sigmoid
from ..learn.metrics import roc_auc
from ..learn.penalty import Choice
from ..params import SEED_BYTES
from . import chain, columns, inference, woe
from . import messages as ms
from .block import Block, PartyInputs
from .exchange import Exchange, advance, agree_on_seeds
from .forward import ONE_HOST, Refill, expect_rounds, receive_residual, send_predictor
from .gradient import announce_quota, open_gradient, vote
from .guest import ScoringInputs, receive_labels
from .joint import receive_scale, send_part
from .leakage import LeakLedger, guard_batches
from .link import Link
from .party_model import PartyModel
from .resume import Checkpoint, Journal, NoJournal, block_state, inputs_digest, resume_block
from .row_guard import guard_rows
from .scores import fitted_norm, required, share
from .session import compare_rows, receive_key, say_hello, say_hello_to_score, secret_order
from .settings import Settings
from .transcripts import confirm


async def train(link: Link, inputs: PartyInputs, settings: Settings, journal: Journal | None = None) -> PartyModel:
    """Train this host's half (protocol §3); return it. With a journal, go on from its last common round."""
    digest = b"" if journal is None else inputs_digest(inputs, settings)  # a pass over all codes, for checkpoints only
    journal = journal or NoJournal()
    link.stage("measure rows")
    rows = guard_rows(link.name, inputs, settings)
    commitment = inputs.budget.commitment(inputs.matrix, settings.n_batches, settings.row_packing)
    opening = await say_hello(link, settings, inputs.organisation, inputs.matrix.n_columns, journal, digest, commitment, rows)
    n_parties = len(opening.columns) - 1
    inference.check_columns(opening.columns, settings)
    widest = max(opening.columns.values())
    guard_batches(inputs.matrix.n_rows, widest, settings.n_batches, settings.row_packing, allow_wide=settings.allow_wide)
    public = await receive_key(link, settings)
    order = await _agree_on_rows(link, inputs)
    inputs.budget.spend(opening.run, opening.claims, wide=settings.allow_wide)
    ledger = LeakLedger(link.name)
    inputs = await woe.at_host(link, public, inputs, settings, ledger, rows)
    inputs = dataclasses.replace(inputs, labels=await _receive_labels(link, inputs) if settings.profile == "patent" else None)
    link.stage("prepare")
    block = Block(inputs, settings, sum(opening.columns.values()), n_parties, has_intercept=False)
    if inputs.labels is not None and opening.checkpoint is None:
        ledger.add("training labels, sent by the guest", inputs.matrix.n_rows, inputs.matrix.n_rows)
    inference.check_bounds(public, block)
    await announce_quota(link, block)
    seeds = await agree_on_seeds(link) if settings.shares_masks else {}
    exchange = Exchange(link, seeds) if settings.solver == "lbfgs" else None
    expect_rounds(public, inputs.matrix.n_rows, block.packing, settings)
    stop = resume_block(opening.checkpoint, block, ledger)
    while not stop:
        link.round += 1
        inputs.budget.begin_round(opening.run, link.round)
        stop = await _round(link, public, block, n_parties, ledger, rows, exchange)
        journal.commit(Checkpoint(opening.run, digest, link.round, stop, block_state(block, ledger)))
    inferred = await inference.at_data_party(link, public, block, opening.columns, ledger)
    weights, intercept = block.coefficients()
    norm, scale = fitted_norm(block.predictor, settings), None
    link.stage("calibrate")
    if settings.scoring == "joint":
        scale = await receive_scale(link, settings)
        await send_part(link, public, block.predictor, scale, order, seeds)
    else:
        probability = sigmoid(block.predictor)
        power = roc_auc(inputs.labels, probability) if inputs.labels is not None else 1.0
        await link.send("arbiter", share(public, probability, required("norm", norm), power, settings, order))
    labels = (await receive_labels(link, order, settings))[0] if settings.profile == "patent" else None
    await confirm(link)
    return PartyModel(
        link.name, weights, intercept, block.alpha, link.round, block.stopped, block.losses, block.hashes, ledger, opening.run.hex(),
        settings, None if norm is None else norm.to_dict(), labels, woe=inputs.matrix.column_values if settings.host_woe else None,
        left_out=inputs.left_out, scale=scale, inference=inferred,
    )  # fmt: skip


async def score(link: Link, inputs: ScoringInputs, settings: Settings) -> npt.NDArray[np.int8] | None:
    """Score new customers (protocol §5); return the labels in the patent profile, else nothing."""
    await say_hello_to_score(link, settings, inputs.matrix_inputs.organisation, inputs.matrix_inputs.matrix.n_columns, inputs.run)
    public = await receive_key(link, settings)
    order = await _agree_on_rows(link, inputs.matrix_inputs)
    inputs.matrix_inputs.budget.count_scoring()  # each label tells on which side of the line a half that the guest chose leaves Q
    seeds = await agree_on_seeds(link) if settings.scores_jointly else {}
    link.stage("score")
    predictor = inputs.predictor()
    if settings.scoring == "joint":
        await send_part(link, public, predictor, required("scale", inputs.scale), order, seeds)
    else:
        await link.send("arbiter", share(public, sigmoid(predictor), required("norm", inputs.norm), 1.0, settings, order))
    labels = (await receive_labels(link, order, settings))[0] if settings.profile == "patent" else None
    if settings.scoring == "combined" and settings.scores_jointly:
        await send_part(link, public, predictor, await receive_scale(link, settings), order, seeds)
    await confirm(link)
    return labels


async def _agree_on_rows(link: Link, inputs: PartyInputs) -> npt.NDArray[np.int64]:
    await compare_rows(link, ("guest",), inputs.matrix.n_rows, inputs.commitment)
    message = await link.receive("guest", ms.OrderSeed)
    if len(message.seed) != SEED_BYTES:
        raise ProtocolError("guest", "OrderSeed", f"must have {SEED_BYTES} bytes")
    return secret_order(message.seed, inputs.matrix.n_rows)


async def _receive_labels(link: Link, inputs: PartyInputs) -> npt.NDArray[np.int8]:
    """Return the labels ±1 that the patent sends in the clear [0080]."""
    message = await link.receive("guest", ms.TrainingLabels)
    flags = np.frombuffer(message.labels, dtype=np.uint8)
    if len(flags) != inputs.matrix.n_rows or (flags > 1).any():
        raise ProtocolError("guest", "TrainingLabels", f"{inputs.matrix.n_rows} labels are due")
    return np.where(flags == 1, 1, -1).astype(np.int8)


async def _round(
    link: Link, public: Public, block: Block, n_parties: int, ledger: LeakLedger, rows: Leverage | None, exchange: Exchange | None
) -> bool:
    """One round [0101]–[0135]; True when it was the last."""
    settings, (batch, matrix) = block.settings, block.batch(link.round)
    # while the guest has the predictors: randomness for the next round's
    link.idle = Refill(public, block.packing.groups(matrix.n_rows)) if link.round < settings.last_round else None
    link.stage("encrypt")
    trusted = True
    if settings.residual == "logistic":
        if n_parties == ONE_HOST:
            trusted = await columns.send_columns(link, public, block.half(batch), block.tolerated, judging=block.judges(link.round))
        else:
            trusted = await chain.pass_on(link, public, block.half(batch), block.tolerated)
    else:
        await send_predictor(link, public, block.predictor[batch], settings, block.packing)
    residual = await receive_residual(link, public, matrix.n_rows, settings, n_parties, block.packing)
    gradient, residual_sum, _ = await open_gradient(link, public, block, residual, ledger, rows)
    if not trusted and not block.searching:
        block.give_up()
    elif not block.judges(link.round) or await _choose_penalty(link, block):
        await advance(link, block, exchange, gradient, residual_sum, matrix.n_rows)
    return await vote(link, public, block)


async def _choose_penalty(link: Link, block: Block) -> bool:
    """Take over how the guest goes on with the search for λ; return whether this round still takes a step."""
    told = await link.receive("guest", ms.PenaltyChoice)
    try:
        if told.final not in (0, 1):
            raise InputError("alpha", "a search goes on or is at its end")
        return block.choose(Choice(told.number, bool(told.final)))
    except InputError as error:
        raise ProtocolError("guest", "PenaltyChoice", str(error)) from error

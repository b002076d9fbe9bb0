"""A trial of all parties in one process: the encrypted protocol, or the same rounds on plain integers, which give the same weights."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..learn.logistic import sigmoid
from ..learn.metrics import roc_auc
from ..learn.scoring import Norm, calibrate, classify, combine, powers_from_auc
from ..protocol import inline
from ..protocol.arbiter import ArbiterModel
from ..protocol.block import Block, PartyInputs
from ..protocol.joint import ScoreScale, fresh_seed, total
from ..protocol.leakage import LeakLedger
from ..protocol.party_model import PartyModel
from ..protocol.scores import fitted_norm, required
from ..protocol.settings import Settings
from ..protocol.twin import train_twin

SESSION_BYTES = 32


@dataclass(frozen=True)
class Trial:
    """What a trial leaves: the data parties' models, guest first, the arbiter's, and how many rounds were compared with the twin."""

    models: list[PartyModel]
    arbiter: ArbiterModel
    verified_rounds: int | None


def run(inputs: Sequence[PartyInputs], settings: Settings, *, encrypted: bool = True, verify: bool = False) -> Trial:
    """Train with all parties in this process.

    Parameters
    ----------
    inputs
        The guest's, with labels, and each host's, on the same rows.
    encrypted
        Run the protocol with real encryption; else its plaintext twin: the same weights bit for bit, in a fraction of the time.
    verify
        Compare the encrypted run with the twin.

    Raises
    ------
    VflError
        Whatever a party raises; with `verify`, weights that differ.
    """
    if encrypted:
        result = inline.train(inputs[0], inputs[1:], settings, verify=verify)
        return Trial([result.guest, *result.hosts], result.arbiter, result.verified_rounds)
    blocks = train_twin(inputs[0], inputs[1:], settings)
    session = secrets.token_bytes(SESSION_BYTES).hex()
    names = inline.party_names(len(blocks) - 1)[1:]
    norms = [fitted_norm(block.predictor, settings) for block in blocks]
    scale = ScoreScale.of_seed(fresh_seed(), settings.predictor_bound, len(blocks)) if settings.scoring == "joint" else None
    models = [
        PartyModel(
            name, *block.coefficients(), block.alpha, len(block.losses), block.stopped, block.losses, block.hashes, LeakLedger(name),
            session, settings, None if norm is None else norm.to_dict(),
            woe=block.matrix.column_values if settings.host_woe and name != "guest" else None, left_out=own.left_out, scale=scale,
            tried=None if block.search is None or name != "guest" else block.search.tried(),
        )
        for name, block, norm, own in zip(names, blocks, norms, inputs, strict=True)
    ]  # fmt: skip
    if scale is not None:
        return Trial(models, _joint_arbiter(blocks, scale, settings, session), None)
    return Trial(models, _arbiter(blocks, [required("norm", norm) for norm in norms], settings, session), None)


def _joint_arbiter(blocks: list[Block], scale: ScoreScale, settings: Settings, session: str) -> ArbiterModel:
    """What the arbiter would keep where labels come from the joint score: τ on its scale."""
    scores = total([scale.parts(block.predictor).tolist() for block in blocks]) + scale.shift
    if isinstance(settings.threshold, str):
        threshold = training_threshold(scores, blocks[0].own_labels(), settings)
    else:
        threshold = scale.score(settings.threshold)
    flagged = float((classify(scores, threshold) > 0).mean())
    return ArbiterModel((1.0,) * len(blocks), threshold, len(blocks[0].losses), flagged, session, settings)


def _arbiter(blocks: list[Block], norms: list[Norm], settings: Settings, session: str) -> ArbiterModel:
    """What the arbiter would keep: powers and τ ([0148]–[0159])."""
    labels = blocks[0].own_labels()
    probabilities = [sigmoid(block.predictor) for block in blocks]
    powers = settings.powers or (1.0,) * len(blocks)
    if settings.powers is None and settings.profile == "patent":
        powers = tuple(powers_from_auc([roc_auc(labels, p) for p in probabilities]))
    if len(powers) != len(blocks):
        raise InputError("powers", f"{len(powers)} numbers for {len(blocks)} data parties")
    combined = combine([norm.apply(p) for norm, p in zip(norms, probabilities, strict=True)], list(powers))
    threshold = training_threshold(combined, labels, settings)
    flagged = float((classify(combined, threshold) > 0).mean())
    return ArbiterModel(powers, threshold, len(blocks[0].losses), flagged, session, settings)


def training_threshold(scores: np.ndarray, labels: np.ndarray, settings: Settings) -> float:
    """Return τ as the settings ask for it: given, or calibrated on training scores; a quota is the base rate if no other is given.

    Raises
    ------
    InputError
        A precision that no threshold reaches.
    """
    if not isinstance(settings.threshold, str):
        return float(settings.threshold)
    value = settings.threshold_value
    if settings.threshold == "quota" and value is None:
        value = float((labels > 0).mean())
    return calibrate(scores, labels, by=settings.threshold, value=None if settings.threshold == "ks" else value)

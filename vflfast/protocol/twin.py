"""The plaintext twin: the same rounds on integers in the clear. It gives the same bits as the encrypted run."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..learn.logistic import cross_product, residual_offset
from .block import Block, PartyInputs, Rows
from .columns import check_parties, plain_residual
from .exchange import real_numbers, whole_numbers
from .settings import Settings
from .woe import plain_inputs


def train_twin(
    guest: PartyInputs, hosts: Sequence[PartyInputs], settings: Settings, *, n_rounds: int | None = None
) -> list[Block]:
    """Train without encryption; return the blocks, guest first; InputError without labels, or with opening noise.

    Parameters
    ----------
    n_rounds
        Exactly so many rounds; default: by the stop rule.
    """
    if settings.opening_noise:
        raise InputError("opening_noise", "the plaintext twin has none: leave it out, or train encrypted and without --verify")
    check_parties(settings, len(hosts))
    if guest.labels is None:
        raise InputError("labels", "the guest needs labels")
    hosts = [plain_inputs(host, guest.labels, settings) for host in hosts]
    n_total = guest.matrix.n_columns + sum(h.matrix.n_columns for h in hosts)
    labels = guest.labels if settings.profile == "patent" else None
    blocks = [Block(guest, settings, n_total, 1 + len(hosts), has_intercept=True)]
    blocks += [
        Block(dataclasses.replace(h, labels=labels), settings, n_total, 1 + len(hosts), has_intercept=False) for h in hosts
    ]
    limit = settings.max_iter if n_rounds is None else n_rounds
    for round_ in range(1, limit + 1):
        _round(blocks, settings, round_)
        if n_rounds is None and all(block.flag for block in blocks):
            break
    return blocks


def _round(blocks: list[Block], settings: Settings, round_: int) -> None:
    rows, _ = blocks[0].batch(round_)
    residual = _residual(blocks, settings, rows)
    if blocks[0].row_weights is not None:
        residual = residual * blocks[0].row_weights
    total = int(residual.sum())
    steps = []
    for block in blocks:
        matrix = block.batch(round_)[1]
        steps.append(block.steps(cross_product(matrix, residual).tolist(), total, matrix.n_rows))
    _advance(steps)


def _residual(blocks: list[Block], settings: Settings, rows: Rows) -> npt.NDArray[np.int64]:
    labels = blocks[0].own_labels()[rows]
    if settings.residual == "logistic":
        return plain_residual(blocks[0].half(rows), blocks[1].half(rows), labels)
    residual = residual_offset(blocks[0].fixed_predictor(rows), labels, settings.frac_bits)
    for block in blocks[1:]:
        residual = residual + block.fixed_predictor(rows)
    return residual


def _advance(steps: list[Generator[list[float], list[float], None]]) -> None:
    """Take all parties' steps side by side, with the sums that their solvers ask for."""
    sums: list[float] | None = None
    while True:
        asked = [numbers for step in steps if (numbers := _resumed(step, sums)) is not None]
        if not asked:
            return
        each = [whole_numbers(numbers) for numbers in asked]
        sums = real_numbers([sum(values) for values in zip(*each, strict=True)])


def _resumed(step: Generator[list[float], list[float], None], sums: list[float] | None) -> list[float] | None:
    try:
        return next(step) if sums is None else step.send(sums)
    except StopIteration:
        return None

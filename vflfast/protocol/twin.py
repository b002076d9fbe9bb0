"""The plaintext twin: the same rounds on integers in the clear. It gives the same bits as the encrypted run."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto.coded import CodedMatrix
from ..errors import InputError
from ..learn.logistic import cross_product, residual_offset
from . import chain, columns
from .block import Block, PartyInputs, Rows
from .exchange import real_numbers, whole_numbers
from .multiplied import Products, RoundWeights
from .settings import Settings
from .woe import plain_inputs

PART_BITS = 34  # of a residual whose sums over 2^21 rows, times values up to 2^8, fit 63 bits


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
    if guest.labels is None:
        raise InputError("labels", "the guest needs labels")
    hosts = [plain_inputs(host, guest.labels, settings) for host in hosts]
    n_total = guest.matrix.n_columns + sum(h.matrix.n_columns for h in hosts)
    labels = guest.labels if settings.profile == "patent" else None
    blocks = [Block(guest, settings, n_total, 1 + len(hosts), has_intercept=True)]
    blocks += [
        Block(dataclasses.replace(h, labels=labels), settings, n_total, 1 + len(hosts), has_intercept=False) for h in hosts
    ]
    limit = settings.last_round if n_rounds is None else n_rounds
    for round_ in range(1, limit + 1):
        _round(blocks, settings, round_)
        if n_rounds is None and all(block.votes_to_stop for block in blocks):
            break
    return blocks


def _round(blocks: list[Block], settings: Settings, round_: int) -> None:
    rows, _ = blocks[0].batch(round_)
    weights = blocks[0].weights_of(round_)
    found = _products_of(blocks, settings, rows, weights)
    residual = found.residual if weights.residual is None else found.residual * weights.residual
    if not found.trusted and not blocks[0].searching:
        for block in blocks:
            block.give_up()
        return
    if blocks[0].judges(round_) and not _choose_penalty(blocks, found):
        return
    total = sum(residual.tolist())
    steps = []
    for block in blocks:
        matrix = block.batch(round_)[1]
        steps.append(block.steps(_products(matrix, residual), total, matrix.n_rows))
    _advance(steps)


def _choose_penalty(blocks: list[Block], found: Products) -> bool:
    """Go on with another λ, or the best one; return whether this round still takes a step."""
    choice = blocks[0].decide(found.loss, trusted=found.trusted)
    for block in blocks:
        block.choose(choice)
    return not choice.final


def _products(matrix: CodedMatrix, residual: npt.NDArray[Any]) -> list[int]:
    """Return Zᵀ·residual exactly; numbers of many bits, as of several hosts, in parts of `PART_BITS` each."""
    if np.abs(residual).max() < 1 << PART_BITS:
        return list(cross_product(matrix, residual.astype(np.int64)).tolist())
    high = residual >> PART_BITS
    low = (residual - (high << PART_BITS)).astype(np.int64)
    parts = zip(_products(matrix, high), cross_product(matrix, low).tolist(), strict=True)
    return [(above << PART_BITS) + own for above, own in parts]


def _products_of(blocks: list[Block], settings: Settings, rows: Rows, weights: RoundWeights) -> Products:
    """The residual of every row before its weight, and the summed loss of rows judged."""
    labels = blocks[0].own_labels()[rows]
    if settings.residual == "logistic":
        half, others = blocks[0].half(rows), [block.half(rows) for block in blocks[1:]]
        if len(others) == 1:
            return columns.plain_products(half, others[0], labels, weights)
        return chain.plain_products(half, others, labels, weights)
    residual = residual_offset(blocks[0].fixed_predictor(rows), labels, settings.frac_bits)
    for block in blocks[1:]:
        residual = residual + block.fixed_predictor(rows)
    return Products(residual)


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

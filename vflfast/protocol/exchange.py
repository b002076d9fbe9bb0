"""Sums of the data parties' own numbers, which each of them learns and the arbiter does not: the inner products of L-BFGS.

A number goes out as a whole one, times 2^`SCALE_BITS`, plus a mask modulo 2^`WIDTH_BITS` for every other party, which that party takes off:
of three and more parties each learns the sum alone. Of two it learns the other's numbers, as any sum would tell it. Sums are exact, so that
neither order nor topology shows.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from fractions import Fraction

from ..crypto import limbs as lm
from ..errors import InputError, ProtocolError
from ..params import SEED_BYTES
from . import messages as ms
from .block import Block
from .link import Link

SCALE_BITS, WIDTH_BITS, LIMBS = 256, 512, 8


async def agree_on_seeds(link: Link) -> dict[str, bytes]:
    """Return a secret with every other data party, for the masks of one attempt: of two the first by name makes it.

    Raises
    ------
    ProtocolError
        A secret of another size.
    """
    others = sorted(peer for peer in link.peers if peer != "arbiter")
    seeds = {}
    for other in others:
        if link.name < other:
            seeds[other] = secrets.token_bytes(SEED_BYTES)
            await link.send(other, ms.MaskSeed(seeds[other]))
    for other in others:
        if other < link.name:
            seeds[other] = (await link.receive(other, ms.MaskSeed)).seed
            if len(seeds[other]) != SEED_BYTES:
                raise ProtocolError(other, "MaskSeed", f"must have {SEED_BYTES} bytes")
    return seeds


class Exchange:
    """The masks of one data party with every other, for one attempt of a run."""

    def __init__(self, link: Link, seeds: dict[str, bytes]) -> None:
        self._link, self._seeds, self._count = link, seeds, 0

    async def sums(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums over all data parties of each one's numbers, as many at every party.

        Raises
        ------
        InputError
            A number beyond 2^254.
        ProtocolError
            Another party sent another count.
        """
        self._count += 1
        own = whole_numbers(numbers)
        for other, seed in self._seeds.items():
            sign = 1 if self._link.name < other else -1
            own = [(value + sign * mask) % (1 << WIDTH_BITS) for value, mask in zip(own, self._masks(seed, len(own)), strict=True)]
        for other in self._seeds:
            await self._link.send(other, ms.InnerProducts(lm.from_ints(own, LIMBS)))
        totals = own
        for other in self._seeds:
            values = (await self._link.receive(other, ms.InnerProducts)).values
            if values.shape != (len(own), LIMBS):
                raise ProtocolError(other, "InnerProducts", f"{len(own)} numbers are due")
            totals = [total + value for total, value in zip(totals, lm.to_ints(values), strict=True)]
        return real_numbers(totals)

    def _masks(self, seed: bytes, count: int) -> list[int]:
        """Masks of this exchange, the same at both parties."""
        place = self._link.round.to_bytes(8, "little") + self._count.to_bytes(8, "little")
        size = WIDTH_BITS // 8
        stream = hashlib.shake_256(b"vflfast inner products" + seed + place).digest(count * size)
        return [int.from_bytes(stream[k * size : (k + 1) * size], "little") for k in range(count)]


async def advance(link: Link, block: Block, exchange: Exchange | None, gradient: list[int], residual_sum: int, n_rows: int) -> None:
    """Take a party's step from its opened gradient, with the sums that its solver asks for; InputError where none were agreed on."""
    link.stage("update")
    steps = block.steps(gradient, residual_sum, n_rows)
    try:
        numbers = next(steps)
        while True:
            if exchange is None:
                raise InputError("solver", "asks for sums that nobody agreed on")
            told = await exchange.sums(numbers)
            link.stage("update")
            numbers = steps.send(told)
    except StopIteration:
        return


def whole_numbers(numbers: Sequence[float]) -> list[int]:
    """Return each number times 2^SCALE_BITS, rounded to the next whole number; InputError beyond what the masks hold."""
    scaled = [round(Fraction(number) * (1 << SCALE_BITS)) for number in numbers]
    if any(abs(value) >> (WIDTH_BITS - 2) for value in scaled):
        raise InputError("alpha", "an inner product of the step exceeds its range; a larger penalty is needed")
    return scaled


def real_numbers(totals: Sequence[int]) -> list[float]:
    """Return sums modulo 2^WIDTH_BITS as numbers, correctly rounded."""
    half, whole = 1 << (WIDTH_BITS - 1), 1 << WIDTH_BITS
    signed = [(total + half) % whole - half for total in totals]
    return [value / (1 << SCALE_BITS) for value in signed]

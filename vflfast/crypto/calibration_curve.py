"""What this machine needs for the steps of ElGamal, as `calibration` measures Paillier's: a second, kept beside them."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from . import backend as be
from . import calibration as cal
from .context import CurveContext, Vector
from .curve import CODE_BITS
from .elgamal.opening import TABLE_BITS
from .elgamal.private import PrivateKey, generate_keypair

POINTS = {"gmpy2": 16}  # of a sample; others
MANY_POINTS = 1024
SMALL_BOUND, FAR_BITS = 1 << 8, 26  # a logarithm that a table has, and one that is some giant steps away


@dataclass(frozen=True)
class PointRates(cal.Rates):
    """`Rates` of ElGamal: `decrypt` is the arbiter's step of an opening, `encrypt_bit` a share of an encryption.

    Attributes
    ----------
    verify
        The owner's part of an opening: the proof, and the difference.
    giant_step
        A step of the search for a logarithm outside the table.
    """

    verify: float = 0.0
    giant_step: float = 0.0


def rates() -> PointRates:
    """Return this machine's rates for the kernel in use, as `calibration.rates`."""
    return cal.kept(CODE_BITS, "elgamal", PointRates, measure, insertion)


def measure() -> PointRates:
    """Measure every rate now, under a fresh key."""
    backend, key = be.current(), generate_keypair()
    context = key.public.context
    numbers = np.arange(POINTS.get(backend.name, MANY_POINTS))
    wire, count = key.public.encrypt(numbers), len(numbers)
    near, far, collapse = _product_rates(context, wire.vector)
    encrypt = cal.each(lambda: key.public.encrypt(numbers), count)
    digest, flop = cal.machine_rates()
    opening = key.public.opening(wire)
    answer = cal.each(lambda: key.answer(opening.request), count)
    verify, step = _opened(key)
    return PointRates(
        backend.name, CODE_BITS, be.threads(), backend.lanes, 0.0, encrypt / CODE_BITS,
        load=cal.each(lambda: context.load(wire.limbs), count),
        store=cal.each(lambda: context.store(wire.vector), count),
        add_plain=cal.each(lambda: key.public.add_numbers(wire.vector, numbers), count),
        multiply=cal.each(lambda: context.multiply(wire.vector, wire.vector), count),
        logarithm=0.0, insert_near=near, insert_far=far, collapse=collapse, decrypt=answer,
        digest=digest, flop=flop,
        verify=verify, giant_step=step,
    )  # fmt: skip


def insertion() -> float:
    """Return microseconds of an insertion, as `Rates.insert_near`."""
    key = generate_keypair()
    context = key.public.context
    return cal.one_product(context, _rows(context, key.public.encrypt(np.arange(4)).vector), cal.NEAR_CLASSES, be.current().lanes)[1]


def _rows(context: CurveContext, vector: Vector) -> Vector:
    """Return different points, cheaply: doublings of a few."""
    rows = [vector]
    while sum(map(len, rows)) < cal.ROWS:
        joined = np.concatenate(rows)
        rows.append(context.multiply(joined, joined))
    return np.concatenate(rows)[: cal.ROWS]


def _product_rates(context: CurveContext, vector: Vector) -> tuple[float, float, float]:
    rows = _rows(context, vector[:4])
    _, near, collapse = cal.one_product(context, rows, cal.NEAR_CLASSES, be.current().lanes)
    _, far, _ = cal.one_product(context, rows, cal.FAR_CLASSES, be.current().lanes)
    return near, far, collapse


def _opened(key: PrivateKey) -> tuple[float, float]:
    """The owner's part of an opening, a number, and a giant step."""
    public, count = key.public, 4 if be.current().name == "gmpy2" else 256
    small = public.encrypt(np.arange(count), bound=SMALL_BOUND)
    openings = [(opening, key.answer(opening.request)) for opening in (public.opening(small) for _ in range(1 + cal.SAMPLES))]
    seconds = []
    for opening, answer in openings:
        start = time.perf_counter()
        opening.open(answer)
        seconds.append(time.perf_counter() - start)
    verify = min(seconds[1:]) / count * 1e6  # the first one makes the table of logarithms
    if be.current().name == "gmpy2":
        return verify, verify / 16  # an addition of points in Python
    table = public.single.logarithms(public.generator.point, TABLE_BITS[0])
    far = public.context.part(public.add_numbers(public.context.one(1), np.array([1 << FAR_BITS])), 1)
    steps = 1 << FAR_BITS - TABLE_BITS[0]
    return verify, cal.each(lambda: table.find(far, 1 << FAR_BITS), steps)

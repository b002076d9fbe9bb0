"""The joint score: one masked number a row from each data party, of which the arbiter reads only the sum (docs/logistic.md).

The sum is factor·(u′ + Σu″) + shift. The data parties agree on factor and shift at the end of training and keep them in their models, so
that τ stays what it is; the arbiter knows neither. It ranks customers as u′ + Σu″ does. A party's part is rint(factor·u), the guest's with
the shift, plus a mask modulo 2^64 for every other data party, which that party takes off: each part alone is uniform.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Public
from ..errors import BoundError, ModelError, ProtocolError
from ..learn.elementary import log
from ..learn.logistic import sigmoid
from ..params import SEED_BYTES
from . import messages as ms
from .link import Link
from .settings import Settings

EXACT_BITS = 53  # scores are whole numbers that a float64 holds
PART_BITS = EXACT_BITS - 2  # of the shift, and of the largest sum of all parties' parts
OCTAVES = 12  # between the smallest and the largest factor
MASKED_BOUND = 1 << 63  # a masked part, read as a signed number

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ScoreScale:
    """Scores are factor·u + shift: the same order as u, the secret of the data parties."""

    factor: float
    shift: float

    @classmethod
    def of_seed(cls, seed: bytes, bound: float, n_parties: int) -> Self:
        """Return the scale that a secret of 32 bytes stands for, with room for `n_parties` predictors of at most `bound`.

        The factor is spread over `OCTAVES` powers of two, the shift over ±2^51; both are exact float64, the same on every machine.
        """
        mantissa, octave, shift = np.frombuffer(hashlib.shake_256(b"vflfast score scale" + seed).digest(24), dtype="<u8").tolist()
        largest = PART_BITS - 1 - math.frexp(bound * n_parties)[1]
        factor = math.ldexp(1 + (mantissa >> 12) / 2**52, largest - octave % OCTAVES)
        return cls(factor, float((shift >> 12) - (1 << PART_BITS)))

    def score(self, probability: float) -> float:
        """Return the score at which σ(u) is `probability`, in (0, 1)."""
        return self.factor * float(log(np.array([probability / (1.0 - probability)]))[0]) + self.shift

    def predictors(self, scores: Floats) -> Floats:
        """Return u of scores."""
        return (scores - self.shift) / self.factor

    def probability(self, score: float) -> float:
        """Return σ(u) of one score."""
        return float(sigmoid(self.predictors(np.array([score])))[0])

    def parts(self, predictor: Floats) -> Whole:
        """Return rint(factor·u), int64; BoundError where u is too large for it."""
        scaled = np.rint(self.factor * predictor)
        if not (np.abs(scaled) <= 2.0**PART_BITS).all():
            raise BoundError("linear predictor", f"exceeds {2.0**PART_BITS / self.factor:.3g} on a customer: no score holds it")
        return scaled.astype(np.int64)

    def to_dict(self) -> dict[str, float]:
        """Return the numbers, ready for JSON."""
        return {"factor": self.factor, "shift": self.shift}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`; ModelError names the entry that is missing or wrong."""
        if not isinstance(saved, Mapping) or set(saved) != {"factor", "shift"}:
            raise ModelError("scale", "must hold factor, shift and nothing else")
        for name, value in saved.items():
            if type(value) is not float or not math.isfinite(value):
                raise ModelError(name, "must be a finite number")
        if saved["factor"] <= 0.0:
            raise ModelError("factor", "must be above 0")
        if abs(saved["shift"]) > 2.0**EXACT_BITS:
            raise ModelError("shift", f"must be up to 2^{EXACT_BITS}")
        return cls(**saved)


def fresh_seed() -> bytes:
    """Return a new secret for `ScoreScale.of_seed`."""
    return secrets.token_bytes(SEED_BYTES)


async def send_scale(link: Link, seed: bytes, settings: Settings) -> ScoreScale:
    """Guest → hosts: the secret that the scale comes from."""
    hosts = [peer for peer in link.peers if peer != "arbiter"]
    for host in hosts:
        await link.send(host, ms.ScaleSeed(seed))
    return ScoreScale.of_seed(seed, settings.predictor_bound, 1 + len(hosts))


async def receive_scale(link: Link, settings: Settings) -> ScoreScale:
    """At a host: what `send_scale` sent; ProtocolError for a secret of another length."""
    seed = (await link.receive("guest", ms.ScaleSeed)).seed
    if len(seed) != SEED_BYTES:
        raise ProtocolError("guest", "ScaleSeed", f"must have {SEED_BYTES} bytes")
    return ScoreScale.of_seed(seed, settings.predictor_bound, len(link.peers))


async def send_part(
    link: Link, public: Public, predictor: Floats, scale: ScoreScale, order: npt.NDArray[np.int64], seeds: Mapping[str, bytes]
) -> None:
    """Send this party's part of every row's score to the arbiter, in the secret order; `seeds`: of the masks with each other party."""
    part = scale.parts(predictor[order]).view(np.uint64)
    if link.name == "guest":
        part = part + np.int64(scale.shift).view(np.uint64)
    for other, seed in seeds.items():
        mask = _mask(seed, len(part))
        part = part + mask if link.name < other else part - mask
    values = part.view(np.int64).tolist()
    await link.send("arbiter", ms.JointShare(len(values), public.pack_to_holder(values, MASKED_BOUND).limbs))


def _mask(seed: bytes, count: int) -> npt.NDArray[np.uint64]:
    """Masks of all rows, the same at both parties of a pair; seeds are of one session only."""
    return np.frombuffer(hashlib.shake_256(b"vflfast joint score" + seed).digest(8 * count), dtype="<u8").astype(np.uint64)


def total(parts: list[list[int]]) -> Floats:
    """Return the scores of opened parts, one list a party, all of one length.

    Raises
    ------
    ValueError
        A sum that no scores have: masks that do not cancel.
    """
    sums = np.zeros(len(parts[0]), dtype=np.uint64)
    for part in parts:
        sums += np.array(part, dtype=np.int64).view(np.uint64)
    signed = sums.view(np.int64)
    if not (np.abs(signed.astype(np.float64)) <= 2.0**EXACT_BITS).all():
        raise ValueError("the parties' parts of the joint score do not belong together")
    return signed.astype(np.float64)

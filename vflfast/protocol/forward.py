"""The forward pass: [[u″]] to the guest and [[4g]] back ([0101]–[0103]), in pieces of rows, so that work and transfer overlap.

While the host encrypts a piece, the one before travels and the guest re-randomises the one before that. A party that waits fills its
pool of randomness for the round after (`Refill`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..crypto.arrays import CipherArray
from ..crypto.codec import encode
from ..crypto.scheme import Public
from ..errors import InputError, ProtocolError
from ..learn import residual, sines
from ..params import MAX_EARLY_MESSAGES, ROWS_PER_MESSAGE
from . import messages as ms
from .link import Link
from .packing import RowPacking
from .settings import Settings

ONE_HOST = 2  # data parties
SERIES_BOUND = 4  # of the residual by sines, which are at most 1, rounding included
REFILL_POWERS = 256  # a tenth of a second on a slow core: a party that works on its pool still hears its peers


def expect_rounds(public: Public, n_rows: int, packing: RowPacking, settings: Settings, n_vectors: int = 1) -> None:
    """Tell the key of the encryptions of all rounds to come, `n_vectors` vectors each."""
    public.expect(n_vectors * packing.groups(-(-n_rows // settings.n_batches)) * settings.last_round)


def predictor_bound(settings: Settings) -> int:
    """Return B·2^frac_bits, the agreed bound of one party's linear predictor."""
    return int(settings.predictor_bound * (1 << settings.frac_bits))


def gradient_bits(settings: Settings, n_parties: int) -> int:
    """Return the binary places of opened sums of 4g: those of the predictors, or two less than those of the logistic residual g."""
    if settings.residual == "taylor":
        return settings.frac_bits
    return (residual.RESIDUAL_BITS if n_parties == ONE_HOST else sines.residual_bits(n_parties - 1)) - 2


def residual_bound(settings: Settings, n_parties: int) -> int:
    """Return the bound of |a·4g| = a·|Σ u − 2y| in fixed point, for `n_parties` that send predictors and weights a of the rows.

    The logistic residual has a bound that holds for all halves, at every scale of one host's; of several, ½ + Σ_k |a_k| + 1 and rounding.
    """
    if settings.residual == "logistic":
        bound = residual.BOUND if n_parties == ONE_HOST else SERIES_BOUND << sines.residual_bits(n_parties - 1)
        return bound * settings.max_weight
    return (predictor_bound(settings) * n_parties + (2 << settings.frac_bits)) * settings.max_weight


def pieces(n_ciphertexts: int) -> list[slice]:
    """Return what each message of a vector holds.

    There are at most as many as a peer queues unread: a whole vector can be sent before anything is received, so no two parties wait
    for each other.
    """
    size = max(ROWS_PER_MESSAGE, -(-n_ciphertexts // MAX_EARLY_MESSAGES))
    return [slice(start, min(start + size, n_ciphertexts)) for start in range(0, n_ciphertexts, size)]


class Refill:
    """Work for a party that waits: powers for its next `count` ciphertexts, a few at a time."""

    def __init__(self, public: Public, count: int) -> None:
        self._public, self._count = public, count

    def __call__(self) -> bool:
        """Do some of it; return whether there was any left."""
        missing = self._count - self._public.precomputed()
        if missing > 0:
            self._public.precompute(min(missing, REFILL_POWERS))
        return missing > 0


class Arrival:
    """A peer's vector as it comes in, piece by piece: exactly so many ciphertexts, each valid, none twice."""

    def __init__(self, public: Public, party: str, kind: type[ms.Predictor | ms.Residual | ms.Curvature], bound: int) -> None:
        self._public, self._party, self._kind, self._bound = public, party, kind, bound
        self._seen = np.empty((0, 2), dtype=np.uint64)

    async def receive(self, link: Link, count: int) -> CipherArray:
        """Return the next piece, of `count` ciphertexts; ProtocolError."""
        limbs = (await link.receive(self._party, self._kind)).ciphertexts
        link.stage("check ciphertexts")
        vector = parse_vector(self._public, limbs, count, self._bound, self._party, self._kind.__name__)
        self._seen = np.concatenate([self._seen, limbs[:, :2]])  # 128 bits of each tell them apart
        if _repeats(self._seen):
            raise ProtocolError(self._party, self._kind.__name__, "a ciphertext is repeated: fresh randomness never repeats")
        return vector


def _repeats(pairs: npt.NDArray[np.uint64]) -> bool:
    """Return whether two rows are the same; their first numbers hardly ever are."""
    return len(np.unique(pairs[:, 0])) < len(pairs) and len(np.unique(pairs, axis=0)) < len(pairs)


def parse_vector(public: Public, limbs: npt.NDArray[np.uint64], count: int, bound: int, party: str, step: str) -> CipherArray:
    """Return received ciphertexts, exactly `count` of them; anything wrong is the sender's fault; ProtocolError."""
    if len(limbs) != count:
        raise ProtocolError(party, step, f"sent {len(limbs)} ciphertexts, {count} are due")
    try:
        return public.parse(limbs, frac_bits=0, bound=bound)
    except InputError as error:
        raise ProtocolError(party, step, str(error)) from error


async def send_predictor(
    link: Link, public: Public, predictor: npt.NDArray[np.float64], settings: Settings, packing: RowPacking
) -> None:
    """Host: send [[u″]] [0101]; BoundError above the agreed bound."""
    fixed = packing.pack(encode(predictor, settings.frac_bits, settings.predictor_bound, "linear predictor"))
    for piece in pieces(len(fixed)):
        link.stage("encrypt")
        encrypted = public.encrypt_encoded(fixed[piece], frac_bits=0, bound=packing.bound(predictor_bound(settings)))
        await link.send("guest", ms.Predictor(encrypted.limbs))


async def return_residual(
    link: Link,
    hosts: Sequence[str],
    public: Public,
    offset: npt.NDArray[np.int64],
    settings: Settings,
    packing: RowPacking,
    row_weights: npt.NDArray[np.int64] | None = None,
) -> CipherArray:
    """Guest: return [[4g]] = Σ_hosts [[u″]] + `offset`, times the rows' weights; every host gets it re-randomised [0102], [0103]."""
    packed = packing.pack(offset)
    # the bound that all parties can compute, instead of the one this batch happens to have
    bound = packing.bound(residual_bound(settings, 1 + len(hosts)))
    arrivals, parts = _arrivals(hosts, public, settings, packing), []
    for piece in pieces(len(packed)):
        total = await _sum_piece(link, arrivals, piece)
        link.stage("residual")
        summed = total + packed[piece]
        weighed = summed if row_weights is None else summed * row_weights[piece]
        part = CipherArray(public, weighed.vector, 0, bound)
        for host in hosts:
            link.stage("rerandomize")
            await link.send(host, ms.Residual(public.rerandomize(part).limbs))
        parts.append(part)
    return CipherArray.concatenate(parts)


async def receive_residual(
    link: Link, public: Public, n_rows: int, settings: Settings, n_parties: int, packing: RowPacking
) -> CipherArray:
    """Host: return [[4g]] as the guest sends it [0103]."""
    arrival = Arrival(public, "guest", ms.Residual, packing.bound(residual_bound(settings, n_parties)))
    return CipherArray.concatenate([await arrival.receive(link, p.stop - p.start) for p in pieces(packing.groups(n_rows))])


def _arrivals(hosts: Sequence[str], public: Public, settings: Settings, packing: RowPacking) -> list[Arrival]:
    return [Arrival(public, host, ms.Predictor, packing.bound(predictor_bound(settings))) for host in hosts]


async def _sum_piece(link: Link, arrivals: list[Arrival], piece: slice) -> CipherArray:
    first, *others = [await arrival.receive(link, piece.stop - piece.start) for arrival in arrivals]
    for other in others:
        first = first + other
    return first

"""One round's gradient of one party, from [[4g]] to opened numbers: the same for guest and hosts ([0104]–[0107])."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..crypto.coded import CodedMatrix
from ..crypto.opening import MaskedOpening, plan_opening
from ..crypto.paillier import PublicKey
from ..crypto.vector import CipherVector
from ..errors import CheckError, InputError, ProtocolError
from . import messages as ms
from .block import Block
from .link import Link
from .settings import Settings


def predictor_bound(settings: Settings) -> int:
    """Return B·2^frac_bits, the agreed bound of one party's linear predictor."""
    return int(settings.predictor_bound * (1 << settings.frac_bits))


def residual_bound(settings: Settings, n_parties: int) -> int:
    """Return the bound of |4g| = |Σ u − 2y| in fixed point, for `n_parties` that send predictors."""
    return predictor_bound(settings) * n_parties + (2 << settings.frac_bits)


def opening_size(matrix: CodedMatrix, public: PublicKey, residual: int) -> int:
    """Return how many ciphertexts one opening of the gradient on `matrix` has."""
    bound = residual * max(int(matrix.absolute_sums.max()), matrix.n_rows)
    return plan_opening(matrix.n_columns + 1, bound, public.key_bits).n_plaintexts


def parse_vector(public: PublicKey, limbs: npt.NDArray[np.uint64], n_rows: int, bound: int, party: str, step: str) -> CipherVector:
    """Return received ciphertexts, exactly `n_rows` of them; anything wrong is the sender's fault; ProtocolError."""
    if len(limbs) != n_rows:
        raise ProtocolError(party, step, f"sent {len(limbs)} ciphertexts, {n_rows} are due")
    try:
        return public.parse(limbs, frac_bits=0, bound=bound)
    except InputError as error:
        raise ProtocolError(party, step, str(error)) from error


async def announce_quota(link: Link, block: Block, public: PublicKey, residual: int) -> None:
    """Tell the arbiter how many ciphertexts each round's opening has at most, over the batches."""
    sizes = [opening_size(block.batch(t + 1)[1], public, residual) for t in range(block.settings.n_batches)]
    await link.send("arbiter", ms.Quota(max(sizes)))


async def open_gradient(link: Link, matrix: CodedMatrix, residual: CipherVector) -> tuple[list[int], int]:
    """Return (Zᵀ(4g), Σ4g) as integers, opened by the arbiter under masks."""
    link.stage("bucket")
    sums = matrix.class_sums(residual)
    link.divide(sums.spent)
    link.stage("combine")
    columns, total = matrix.combine(sums)
    values = await open_masked(link, CipherVector.concatenate([columns, total]), ms.MaskedGradient, ms.OpenedGradient)
    return values[:-1], values[-1]


async def open_masked(
    link: Link,
    values: CipherVector,
    request: type[ms.MaskedGradient | ms.MaskedPredictors],
    answer: type[ms.OpenedGradient | ms.OpenedPredictors],
) -> list[int]:
    """Return the numbers that the arbiter opened under masks; a failed check is its fault; ProtocolError."""
    link.stage("pack and mask")
    opening = MaskedOpening(values)
    await link.send("arbiter", request(opening.request.limbs))
    opened = await link.receive("arbiter", answer)
    link.stage("unmask")
    try:
        return opening.open(opened.plaintexts)
    except CheckError as error:
        raise ProtocolError("arbiter", answer.__name__, str(error)) from error


async def vote(link: Link, public: PublicKey, block: Block) -> bool:
    """Send the encrypted stop flag; return the verdict ([0131]–[0135]); ProtocolError for another round."""
    link.stage("vote")
    flag = public.encrypt([int(block.flag)], bound=1, alpha_bits=public.full_alpha_bits)
    await link.send("arbiter", ms.Vote(flag.limbs, link.transcripts()))
    verdict = await link.receive("arbiter", ms.Verdict)
    if verdict.completed != link.round or verdict.stop not in (0, 1):
        raise ProtocolError("arbiter", "Verdict", f"is about round {verdict.completed}, this is round {link.round}")
    return bool(verdict.stop)

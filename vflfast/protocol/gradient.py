"""One round's gradient of one party, from [[4g]] to opened numbers: the same for guest and hosts ([0104]–[0107])."""

from __future__ import annotations

import numpy as np

from ..crypto.arrays import CipherArray
from ..crypto.scheme import Public
from ..errors import CheckError, ProtocolError
from ..learn.leverage import Leverage
from ..learn.residual import LARGEST_LOSS
from . import messages as ms
from .block import Block
from .forward import gradient_bits, residual_bound
from .leakage import LeakLedger
from .link import Link
from .noise import Noise, batch_rows
from .packing import agreed_packing
from .settings import Settings


def gradient_bound(settings: Settings, n_rows: int, largest: int, n_parties: int) -> int:
    """Return the bound of a party's opened sums, noise included, from agreed numbers alone: the arbiter computes it too.

    Parameters
    ----------
    largest
        The largest |z| of the party's columns.
    n_parties
        Data parties.
    """
    residual = residual_bound(settings, n_parties)
    packing = agreed_packing(settings, n_rows, residual)
    if packing.rows > 1:
        return packing.product_bound()
    return residual * batch_rows(settings, n_rows) * max(largest, 1) + Noise.agreed(settings, n_rows, n_parties).bound


def opened_values(settings: Settings, party: str, n_columns: int) -> int:
    """Return how many numbers a party has opened in a round: its gradient, Σg, and at the guest the loss of rows held out."""
    return n_columns + 1 + (settings.searches and party == "guest")


def opened_bound(settings: Settings, party: str, n_rows: int, largest: int, n_parties: int) -> int:
    """Return the bound of those numbers, as `gradient_bound`."""
    bound = gradient_bound(settings, n_rows, largest, n_parties)
    if settings.searches and party == "guest":
        loss = int(LARGEST_LOSS) * n_rows * settings.max_weight << gradient_bits(settings, n_parties) + 2
        bound = max(bound, loss + Noise.agreed(settings, n_rows, n_parties).bound)
    return bound


async def announce_quota(link: Link, block: Block) -> None:
    """Tell the arbiter what it computes the size of every round's opening from."""
    await link.send("arbiter", ms.Quota(block.matrix.n_rows, block.matrix.largest))


async def open_gradient(
    link: Link, public: Public, block: Block, residual: CipherArray, ledger: LeakLedger, rows: Leverage | None,
    loss: CipherArray | None = None,
) -> tuple[list[int], int, int]:
    """Return (Zᵀ(4g), Σ4g, loss) of this round's rows as integers, opened by the arbiter under masks, with its noise if that is agreed.

    `loss` is the guest's ciphertext of the summed loss of rows held out; without it, that number is 0.
    """
    packing, parts = block.packing, block.parts(link.round)
    link.stage("bucket")
    sums = packing.sums(parts, residual)
    link.divide({phase: sum(part.spent[phase] for part in sums) for phase in sums[0].spent})
    link.stage("combine")
    columns = packing.combine(public, parts, sums)
    noise = Noise.agreed(block.settings, block.matrix.n_rows, block.n_parties)
    if opened_values(block.settings, link.name, block.matrix.n_columns) > len(columns):
        columns = CipherArray.concatenate([columns, columns.like(public.context.one(1), 0) if loss is None else loss])
    bound = opened_bound(block.settings, link.name, block.matrix.n_rows, block.matrix.largest, block.n_parties)
    agreed = columns.like(columns.vector, bound)
    opened = packing.middle(await open_sums(link, public, agreed, ms.MaskedGradient, ms.OpenedGradient, noise.bound))
    n_columns = block.matrix.n_columns
    ledger.add("opened gradient sums", packing.digits * (n_columns + 1), block.matrix.n_rows, rows)
    if loss is not None:
        ledger.add("log loss of rows held out", 1, block.matrix.n_rows)
    return opened[:n_columns], opened[n_columns], sum(opened[n_columns + 1 :])


async def open_sums(
    link: Link,
    public: Public,
    values: CipherArray,
    request: type[ms.MaskedGradient],
    answer: type[ms.OpenedGradient],
    noise: int = 0,
) -> list[int]:
    """Return the numbers, opened by the arbiter without its learning them, `noise` at most off each; a failed check is its fault.

    Raises
    ------
    ProtocolError
        The check failed.
    """
    link.stage("pack and mask")
    opening = public.opening(values)
    await link.send("arbiter", request(opening.request.limbs))
    opened = await link.receive("arbiter", answer)
    link.stage("unmask")
    try:
        return opening.open(opened.plaintexts, noise)
    except CheckError as error:
        raise ProtocolError("arbiter", answer.__name__, str(error)) from error


async def vote(link: Link, public: Public, block: Block) -> bool:
    """Send the encrypted stop flag; return the verdict ([0131]–[0135]); ProtocolError for one that cannot be."""
    link.stage("vote")
    link.tell("loss", block.losses[-1])
    flag = public.encrypt_to_holder(np.array([block.votes_to_stop], dtype=np.int64), 1)
    await link.send("arbiter", ms.Vote(flag.limbs, link.transcripts()))
    verdict = await link.receive("arbiter", ms.Verdict)
    _check_verdict(link, block, verdict)
    return bool(verdict.stop)


def _check_verdict(link: Link, block: Block, verdict: ms.Verdict) -> None:
    """Refuse a verdict about another round, and one that this party's own vote or the last round rules out; ProtocolError."""
    if verdict.completed != link.round or verdict.stop not in (0, 1):
        raise ProtocolError("arbiter", "Verdict", f"is about round {verdict.completed}, this is round {link.round}")
    last = link.round >= block.settings.last_round
    if verdict.stop and not (block.votes_to_stop or last):
        raise ProtocolError("arbiter", "Verdict", f"says stop in round {link.round}, for which {link.name} did not vote")
    if last and not verdict.stop:
        raise ProtocolError("arbiter", "Verdict", f"goes on after round {link.round}, the last that was agreed (max_iter)")

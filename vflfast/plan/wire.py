"""Bytes on the wire, exact but for the short messages of the setup."""

from __future__ import annotations

from ..crypto.codec import SlotPlan
from ..crypto.opening import plan_opening
from ..protocol import messages as ms
from ..protocol.forward import pieces, residual_bound
from ..protocol.packing import agreed_packing
from ..protocol.scores import score_plan
from .shape import PartyShape, RunShape

FRAME_BYTES = ms.HEADER.size + ms.DIGEST_BYTES


def opening_plan(shape: RunShape, party: PartyShape) -> SlotPlan:
    """Return how a party's gradient is packed for the arbiter."""
    bound = residual_bound(shape.settings, len(shape.parties))
    packing = agreed_packing(shape.settings, shape.n_rows, bound)
    bound = bound * max(int(party.mean_value * shape.n_rows), shape.n_rows) if packing.rows == 1 else packing.product_bound()
    return plan_opening(party.n_columns + 1, bound, shape.settings.key_bits)


def row_slots(shape: RunShape) -> int:
    """Return the bits between two rows of a ciphertext; 0 where each row has its own."""
    return agreed_packing(shape.settings, shape.n_rows, residual_bound(shape.settings, len(shape.parties))).slot_bits


def traffic(shape: RunShape, rounds: int) -> dict[str, int]:
    """Return the bytes of every large or repeated message of a training run; a Hello and its like are left out."""
    width = shape.settings.key_bits // 4
    guest, *hosts = (party.name for party in shape.parties)
    messages = [_limbs(piece.stop - piece.start, width) for piece in pieces(-(-shape.n_rows // shape.settings.row_packing))]
    vector = rounds * sum(messages)
    sizes = {f"{host} → {guest}: Predictor": vector for host in hosts} | {f"{guest} → {host}: Residual": vector for host in hosts}
    scores = score_plan(shape.n_rows, shape.settings.key_bits).n_plaintexts
    for party in shape.parties:
        count = opening_plan(shape, party).n_plaintexts
        sizes[f"{party.name} → arbiter: MaskedGradient"] = rounds * _limbs(count, width)
        sizes[f"arbiter → {party.name}: OpenedGradient"] = rounds * _limbs(count, width // 2)
        sizes[f"{party.name} → arbiter: Vote"] = rounds * (_limbs(1, width) + 8 + ms.DIGEST_BYTES * len(shape.parties))
        sizes[f"arbiter → {party.name}: Verdict"] = rounds * (FRAME_BYTES + 16)
        sizes[f"{party.name} → arbiter: ScoreShare"] = _limbs(scores, width) + 48
    for party in shape.parties if shape.settings.profile == "patent" else shape.parties[:1]:
        sizes[f"arbiter → {party.name}: ScoreLabels"] = FRAME_BYTES + 16 + shape.n_rows
    return sizes


def _limbs(count: int, width: int) -> int:
    return FRAME_BYTES + 16 + count * width

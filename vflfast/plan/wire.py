"""Bytes on the wire, exact but for the short messages of the setup."""

from __future__ import annotations

from ..crypto.codec import SlotPlan
from ..crypto.paillier.opening import holder_plan, plan_opening
from ..learn.residual import tables
from ..learn.sines import Waves
from ..protocol import messages as ms
from ..protocol.forward import pieces, residual_bound
from ..protocol.gradient import opened_bound, opened_values
from ..protocol.joint import MASKED_BOUND
from ..protocol.packing import agreed_packing
from ..protocol.scores import SCORE_BOUND
from ..protocol.woe import SEED_BYTES
from .shape import PartyShape, RunShape

USUAL_RANGE = 0.0, 1.0  # centre and deviation of a half
USUAL_REACH = 4.5  # deviations of such a half
FRAME_BYTES = ms.HEADER.size + ms.DIGEST_BYTES


def opening_plan(shape: RunShape, party: PartyShape) -> SlotPlan:
    """Return how a party's gradient is packed for the arbiter."""
    bound = opened_bound(shape.settings, party.name, shape.n_rows, party.largest, len(shape.parties))
    return plan_opening(opened_values(shape.settings, party.name, party.n_columns), bound, shape.settings.key_bits)


def sums_plan(shape: RunShape, host: PartyShape) -> SlotPlan:
    """Return how the encrypted label sums of a host's classes are packed (host_woe)."""
    return plan_opening(host.used_classes, shape.n_rows, shape.settings.key_bits)


def score_bound(shape: RunShape) -> int:
    """Return the bound of a row's number in a party's share of the scores."""
    return MASKED_BOUND if shape.settings.scoring == "joint" else SCORE_BOUND


def row_slots(shape: RunShape) -> int:
    """Return the bits between two rows of a ciphertext; 0 where each row has its own."""
    return agreed_packing(shape.settings, shape.n_rows, residual_bound(shape.settings, len(shape.parties))).slot_bits


def columns_sent(shape: RunShape) -> int:
    """Return how many ciphertexts a row each host sends in a round: one, or the logistic residual's columns at a usual scale."""
    if shape.settings.residual == "taylor":
        return 1
    hosts = len(shape.parties) - 1
    usual = ((0.0, USUAL_REACH),) * (hosts + 1)
    return len(tables(USUAL_RANGE, USUAL_RANGE).phi) if hosts == 1 else 2 * Waves(usual).terms


def traffic(shape: RunShape, rounds: int) -> dict[str, int]:
    """Return the bytes of every large or repeated message of a training run; a Hello and its like are left out."""
    width = shape.settings.key_bits // 4
    guest, *hosts = (party.name for party in shape.parties)
    cut, columns = pieces(-(-shape.n_rows // shape.settings.row_packing)), columns_sent(shape)
    vector, wide = (rounds * sum(_limbs(k * (piece.stop - piece.start), width) for piece in cut) for k in (1, columns))
    chain = [guest] * len(hosts) if columns == 1 else [*hosts[1:], guest]  # several hosts hand columns on from one to the next
    sizes = {f"{host} → {to}: Predictor": wide for host, to in zip(hosts, chain, strict=True)}
    sizes |= {f"{guest} → {host}: Residual": vector for host in hosts}
    jointly = shape.settings.scoring == "joint"
    scores = holder_plan(shape.n_rows, score_bound(shape), shape.settings.key_bits).n_plaintexts
    for party in shape.parties:
        count = opening_plan(shape, party).n_plaintexts
        sizes[f"{party.name} → arbiter: MaskedGradient"] = rounds * _limbs(count, width)
        sizes[f"arbiter → {party.name}: OpenedGradient"] = rounds * _limbs(count, width // 2)
        sizes[f"{party.name} → arbiter: Vote"] = rounds * (_limbs(1, width) + 8 + ms.DIGEST_BYTES * len(shape.parties))
        sizes[f"arbiter → {party.name}: Verdict"] = rounds * (FRAME_BYTES + 16)
        sizes[f"{party.name} → arbiter: {'JointShare' if jointly else 'ScoreShare'}"] = _limbs(scores, width) + 8 * (1 if jointly else 6)
        sizes[f"{party.name} → arbiter: Transcripts"] = FRAME_BYTES + 8 + ms.DIGEST_BYTES * len(shape.parties)
        sizes[f"arbiter → {party.name}: TranscriptsEqual"] = FRAME_BYTES
    for party in shape.parties if shape.settings.profile == "patent" else shape.parties[:1]:
        sizes[f"arbiter → {party.name}: ScoreLabels"] = FRAME_BYTES + 16 + shape.n_rows
    return sizes | (_evidence_traffic(shape) if shape.settings.host_woe else {})


def _evidence_traffic(shape: RunShape) -> dict[str, int]:
    """Bytes of the messages that give the hosts the WOE values of their classes, before the first round."""
    width = shape.settings.key_bits // 4
    guest, *hosts = shape.parties
    counts = {host.name: sums_plan(shape, host).n_plaintexts for host in hosts}
    sizes = {
        f"{guest.name} → arbiter: MaskedSums": sum(_limbs(count, width) for count in counts.values()),
        f"arbiter → {guest.name}: OpenedSums": sum(_limbs(count, width // 2) for count in counts.values()),
    }
    for host in hosts:
        classes = 16 + 8 * len(host.class_counts) * host.class_width
        sizes[f"{guest.name} → {host.name}: EncryptedLabels"] = _limbs(shape.n_rows, width)
        sizes[f"{host.name} → {guest.name}: ClassSums"] = classes + 8 + SEED_BYTES + _limbs(counts[host.name], width)
        sizes[f"{host.name} → arbiter: SumsQuota"] = FRAME_BYTES + 8
        sizes[f"{guest.name} → {host.name}: ClassEvidence"] = FRAME_BYTES + classes
    return sizes


def _limbs(count: int, width: int) -> int:
    return FRAME_BYTES + 16 + count * width

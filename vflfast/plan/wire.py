"""Bytes on the wire, exact but for the short messages of the setup."""

from __future__ import annotations

from ..learn.residual import tables
from ..learn.sines import Waves
from ..protocol import messages as ms
from ..protocol.forward import pieces, residual_bound
from ..protocol.gradient import opened_bound, opened_values
from ..protocol.joint import MASKED_BOUND
from ..protocol.packing import agreed_packing
from ..protocol.scores import SCORE_BOUND
from ..protocol.woe import SEED_BYTES
from .forms import form_of
from .shape import PartyShape, RunShape

USUAL_RANGE = 0.0, 1.0  # centre and deviation of a half
USUAL_REACH = 4.5  # deviations of such a half
FRAME_BYTES = ms.HEADER.size + ms.DIGEST_BYTES


def gradient_opening(shape: RunShape, party: PartyShape) -> tuple[int, int]:
    """Return how many numbers of a party's gradient are opened in a round, and their bound."""
    bound = opened_bound(shape.settings, party.name, shape.n_rows, party.largest, len(shape.parties))
    return opened_values(shape.settings, party.name, party.n_columns), bound


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
    form = form_of(shape.settings)
    width = form.width
    guest, *hosts = (party.name for party in shape.parties)
    cut, columns = pieces(-(-shape.n_rows // shape.settings.row_packing)), columns_sent(shape)
    vector, wide = (rounds * sum(limb_bytes(k * (piece.stop - piece.start), width) for piece in cut) for k in (1, columns))
    chain = [guest] * len(hosts) if columns == 1 else [*hosts[1:], guest]  # several hosts hand columns on from one to the next
    sizes = {f"{host} → {to}: Predictor": wide for host, to in zip(hosts, chain, strict=True)}
    sizes |= {f"{guest} → {host}: Residual": vector for host in hosts}
    jointly = shape.settings.scoring == "joint"
    scores = form.to_holder(shape.n_rows, score_bound(shape))
    for party in shape.parties:
        asked, asked_bytes, answered, answered_bytes = form.opening(*gradient_opening(shape, party))
        sizes[f"{party.name} → arbiter: MaskedGradient"] = rounds * limb_bytes(asked, asked_bytes)
        sizes[f"arbiter → {party.name}: OpenedGradient"] = rounds * limb_bytes(answered, answered_bytes)
        sizes[f"{party.name} → arbiter: Vote"] = rounds * (limb_bytes(1, width) + 8 + ms.DIGEST_BYTES * len(shape.parties))
        sizes[f"arbiter → {party.name}: Verdict"] = rounds * (FRAME_BYTES + 16)
        share, numbers = ("JointShare", 1) if jointly else ("ScoreShare", 6)
        sizes[f"{party.name} → arbiter: {share}"] = limb_bytes(scores, width) + 8 * numbers
        sizes[f"{party.name} → arbiter: Transcripts"] = FRAME_BYTES + 8 + ms.DIGEST_BYTES * len(shape.parties)
        sizes[f"arbiter → {party.name}: TranscriptsEqual"] = FRAME_BYTES
    for party in shape.parties if shape.settings.profile == "patent" else shape.parties[:1]:
        sizes[f"arbiter → {party.name}: ScoreLabels"] = FRAME_BYTES + 16 + shape.n_rows
    return sizes | (_evidence_traffic(shape) if shape.settings.host_woe else {})


def _evidence_traffic(shape: RunShape) -> dict[str, int]:
    """Bytes of the messages that give the hosts the WOE values of their classes, before the first round."""
    form = form_of(shape.settings)
    guest, *hosts = shape.parties
    openings = {host.name: form.opening(host.used_classes, shape.n_rows) for host in hosts}
    sizes = {
        f"{guest.name} → arbiter: MaskedSums": sum(limb_bytes(count, width) for count, width, _, _ in openings.values()),
        f"arbiter → {guest.name}: OpenedSums": sum(limb_bytes(count, width) for _, _, count, width in openings.values()),
    }
    for host in hosts:
        classes = 16 + 8 * len(host.class_counts) * host.class_width
        sizes[f"{guest.name} → {host.name}: EncryptedLabels"] = limb_bytes(shape.n_rows, form.width)
        sizes[f"{host.name} → {guest.name}: ClassSums"] = classes + 8 + SEED_BYTES + limb_bytes(openings[host.name][0], form.width)
        sizes[f"{host.name} → arbiter: SumsQuota"] = FRAME_BYTES + 8
        sizes[f"{guest.name} → {host.name}: ClassEvidence"] = FRAME_BYTES + classes
    return sizes


def limb_bytes(count: int, width: int) -> int:
    """Return the bytes of a message of `count` ciphertexts and nothing else."""
    return FRAME_BYTES + 16 + count * width

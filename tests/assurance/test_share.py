"""E1: how much of a round goes into protections, by the stage clock of an inline run.

Counted as protections, whole: the guest's fresh randomness on [[4g]], the checks of received ciphertexts, packing with masks and fresh
randomness, taking masks off and checking, the encrypted vote. Not counted, because the protocol has no result without them: encrypting
the predictors, the product, decryption (the blinding in it included, which the clock does not divide). Set-up is no part of a round. An
inline run does in turn what three machines do side by side, so this is a share of the work of all, of which no network hides any.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from assurance.figures import Figure

from vflfast.crypto.coded import CodedMatrix
from vflfast.progress import StageClock
from vflfast.protocol import inline
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.settings import Settings

PROTECTIONS = {"rerandomize", "check ciphertexts", "pack and mask", "unmask", "vote"}
ONCE = {"calibrate", "prepare", "key", "key proof", "key check"}


def bank(n_rows: int, columns: tuple[int, int]) -> list[PartyInputs]:
    """Five-class columns of a bank and of a mart, and labels."""
    rng = np.random.default_rng(0)
    matrices = [CodedMatrix(rng.integers(0, 5, (count, n_rows), dtype=np.uint8)) for count in columns]
    labels = np.where(rng.random(n_rows) < 0.3, 1, -1).astype(np.int8)
    rows = hashlib.sha256(b"rows").digest()
    return [PartyInputs(matrices[0], rows, "bank", labels), PartyInputs(matrices[1], rows, "mart")]


def shares(clock: StageClock) -> dict[str, float]:
    """Percent of the time of the rounds, by stage."""
    seconds: dict[str, float] = {}
    for span in clock.spans:
        if span.round and span.stage not in ONCE:
            seconds[span.stage] = seconds.get(span.stage, 0.0) + span.end - span.start
    whole = sum(seconds.values())
    return {stage: 100 * part / whole for stage, part in seconds.items()}


def run(n_rows: int, columns: tuple[int, int], agreed: Settings) -> dict[str, float]:
    clock = StageClock()
    guest, host = bank(n_rows, columns)
    inline.train(guest, [host], agreed, observer=clock)
    return shares(clock)


@pytest.mark.slow
def test_the_share_of_a_round(figure: Figure) -> None:
    """65 + 3,000 five-class columns at 2048 bits; fewer rows than a bank has, as the share hardly depends on them."""
    found = run(6000, (65, 3000), Settings(max_iter=1, simulation=True))
    assert found.keys() >= PROTECTIONS - {"vote", "unmask"}
    figure("E1", "percent of a round", sum(found.get(stage, 0.0) for stage in PROTECTIONS))


def test_every_stage_of_a_round_is_one_or_the_other() -> None:
    """No stage is forgotten: what is not a protection here is known by name."""
    names: set[str] = set()
    guest, host = bank(60, (3, 4))
    agreed = Settings(max_iter=1, key_bits=512, test_key=True, simulation=True)
    inline.train(guest, [host], agreed, observer=lambda _, round_, stage: names.add(stage if round_ else ""))
    work = {"", "encrypt", "residual", "bucket", "combine", "decrypt", "update", "serialize", "parse", "precompute"}
    assert names <= PROTECTIONS | ONCE | work
    assert names >= PROTECTIONS

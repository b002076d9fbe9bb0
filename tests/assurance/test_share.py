"""E1: how much of a round goes into protections.

Counted as protections, whole: the guest's fresh randomness on [[4g]], the checks of received ciphertexts, packing with masks and fresh
randomness, taking masks off and checking, the encrypted vote. Not counted, because the protocol has no result without them: encrypting
the predictors, the product, decryption (the blinding in it included, which the clock does not divide). Set-up is no part of a round.

The time of a round is what the parties wait for, each on a machine of its own: the guest makes its randomness while the host computes.
Here host, and guest with arbiter, have a core each. The randomness counts as what a round takes longer with it than without; all other
protections of all parties count as if nobody did anything beside them. An inline run does in turn what machines do side by side: its
share is one of the work of all, of which nothing is hidden, and stands beside.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure

from vflfast.crypto.coded import CodedMatrix
from vflfast.jobs.progress import StageClock
from vflfast.net.transport import free_ports
from vflfast.protocol import inline
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.settings import Settings

PROTECTIONS = {"rerandomize", "check ciphertexts", "pack and mask", "unmask", "vote"}
ONCE = {"calibrate", "prepare", "key", "key proof", "key check"}


ROWS, COLUMNS = 6000, (65, 3000)  # fewer rows than a bank has, as the share hardly depends on them
AGREED = Settings(max_iter=4, tol=0.0, simulation=True)


def bank(n_rows: int = ROWS, columns: tuple[int, int] = COLUMNS) -> list[PartyInputs]:
    """Five-class columns of a bank and of a mart, and labels."""
    rng = np.random.default_rng(0)
    matrices = [CodedMatrix(rng.integers(0, 5, (count, n_rows), dtype=np.uint8)) for count in columns]
    labels = np.where(rng.random(n_rows) < 0.3, 1, -1).astype(np.int8)
    rows = hashlib.sha256(b"rows").digest()
    return [PartyInputs(matrices[0], rows, "bank", labels), PartyInputs(matrices[1], rows, "mart")]


def shares(clock: StageClock) -> dict[str, float]:
    """Percent of the time of the rounds after the first, which makes tables, by stage."""
    seconds: dict[str, float] = {}
    for span in clock.spans:
        if span.round > 1 and span.stage not in ONCE:
            seconds[span.stage] = seconds.get(span.stage, 0.0) + span.end - span.start
    whole = sum(seconds.values())
    return {stage: 100 * part / whole for stage, part in seconds.items()}


def apart(kind: str) -> dict[str, dict[str, Any]]:
    """A run of three processes, the host alone on a core; what each prints."""
    ports = ",".join(map(str, free_ports(3)))
    guests_core, hosts_core = sorted(os.sched_getaffinity(0))[:2]
    processes = {}
    for role, core in (("guest", guests_core), ("host1", hosts_core), ("arbiter", guests_core)):
        command = [sys.executable, str(Path(__file__).with_name("apart.py")), role, ports, str(core), kind]
        processes[role] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = {role: process.communicate(timeout=1200) for role, process in processes.items()}
    assert all(process.returncode == 0 for process in processes.values()), said
    return {role: json.loads(out) for role, (out, _) in said.items()}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores to itself")
def test_the_share_of_a_round(figure: Figure) -> None:
    found = {kind: apart(kind) for kind in ("whole", "bare")}
    whole, bare = (statistics.median(found[kind]["host1"]["rounds"]) for kind in ("whole", "bare"))
    n_rounds = AGREED.max_iter - 1
    others = sum(party["stages"].get(stage, 0.0) for party in found["whole"].values() for stage in PROTECTIONS - {"rerandomize"}) / n_rounds
    assert found["whole"]["guest"]["stages"]["rerandomize"] > 0
    figure("E1", "percent of a round", 100 * (whole - bare + others) / whole)


@pytest.mark.slow
def test_the_share_of_all_work(figure: Figure) -> None:
    clock = StageClock()
    guest, host = bank()
    inline.train(guest, [host], AGREED, observer=clock)
    found = shares(clock)
    assert found.keys() >= PROTECTIONS - {"vote", "unmask"}
    figure("E1", "percent of the work of all parties", sum(found.get(stage, 0.0) for stage in PROTECTIONS))


def test_every_stage_of_a_round_is_one_or_the_other() -> None:
    """No stage is forgotten: what is not a protection here is known by name."""
    names: set[str] = set()
    guest, host = bank(60, (3, 4))
    agreed = Settings(max_iter=1, key_bits=512, test_key=True, simulation=True)
    inline.train(guest, [host], agreed, observer=lambda _, round_, stage: names.add(stage if round_ else ""))
    work = {"", "encrypt", "residual", "bucket", "combine", "decrypt", "update", "serialize", "parse", "precompute"}
    assert names <= PROTECTIONS | ONCE | work
    assert names >= PROTECTIONS

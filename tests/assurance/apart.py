"""One party of a run between processes, alone on a core: `apart.py ROLE PORTS CORE whole|bare`; prints its rounds and stages as JSON.

`bare` is the control of E1: the guest returns [[4g]] as it is, and fills no pool for it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assurance.test_share import AGREED, bank
from support.simulator import MemoryJournal

from vflfast.crypto import backend as be
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.paillier.public import PublicKey
from vflfast.jobs.progress import StageClock
from vflfast.net.config import NetConfig
from vflfast.net.connection import connected
from vflfast.net.runner import Runner
from vflfast.protocol import arbiter, guest, host
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.link import Link

ROLES = ("guest", "host1", "arbiter")


with_randomness = PublicKey.rerandomize


def returned_as_it_is(public: PublicKey, vector: CipherArray, **options: Any) -> WireArray:
    """[[4g]] without randomness; the masks of an opening keep theirs."""
    if options:
        return with_randomness(public, vector, **options)
    return WireArray(public, public.context.store(vector.vector), vector.frac_bits, vector.bound, vector.vector)


def program(role: str, link: Link) -> Any:
    parties = dict(zip(ROLES, bank(), strict=False))
    if role == "arbiter":
        return arbiter.train(link, ArbiterInputs("arbiter"), AGREED, MemoryJournal())
    train = guest.train if role == "guest" else host.train
    return train(link, parties[role], AGREED, MemoryJournal())


def main() -> None:
    role, ports, core, kind = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    if kind == "bare" and role == "guest":
        PublicKey.rerandomize = returned_as_it_is  # type: ignore[method-assign, assignment]
        guest.Refill = lambda *_: None  # type: ignore[assignment, misc]
    addresses = dict(zip(ROLES, (f"127.0.0.1:{port}" for port in ports.split(",")), strict=True))
    nowhere = Path("nowhere")
    config = NetConfig(role, addresses, nowhere, nowhere, nowhere, addresses[role], plaintext=True, peer_timeout=300.0)
    clock = StageClock()
    with be.use_threads(1), connected(config, None) as (board, peers):
        runner = Runner(
            board, peers, config, lambda attempt: program(role, Link(role, config.peers, clock, attempt)), MemoryJournal()
        )
        runner.run(lambda _: None)
    stages: dict[str, float] = {}
    for span in clock.spans:
        if span.round > 1:
            stages[span.stage] = stages.get(span.stage, 0.0) + span.end - span.start
    print(json.dumps({"rounds": clock.round_seconds[1:], "stages": stages}))


if __name__ == "__main__":
    main()

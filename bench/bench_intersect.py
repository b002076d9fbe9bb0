"""Private set intersection of 66,274 ids with 1,000,000, 60 % in common: exactness, time, bytes, memory.

``python bench/bench_intersect.py [--guest N] [--host N]`` prints the figures; under pytest a hundredth of the size runs, and
the whole with ``VFLFAST_BENCH_FULL=1``.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))

from machine import FULL, facts

from vflfast.jobs.evaluation import peak_memory
from vflfast.matching.intersect import GuestIntersection, HostIntersection
from vflfast.tables.id_forms import normalise

N_GUEST, N_HOST, OVERLAP = 66_274, 1_000_000, 0.6
MAX_BYTES = 100  # per id and direction


def phones(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    return normalise([f"{13_000_000_000 + n:011d}" for n in numbers.tolist()], "phone")


def made_ids(n_guest: int, n_host: int) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_], int]:
    """Phone numbers of guest and host in orders of their own; 60 % of the guest's are the host's too."""
    rng = np.random.default_rng(0)
    n_common = round(OVERLAP * n_guest)
    drawn = rng.choice(1_000_000_000, n_guest + n_host - n_common, replace=False)
    guest, host = drawn[:n_guest], drawn[n_guest - n_common :]
    return phones(rng.permutation(guest)), phones(rng.permutation(host)), n_common


def run(n_guest: int, n_host: int) -> dict[str, float]:
    guest_ids, host_ids, n_common = made_ids(n_guest, n_host)
    before, start = peak_memory(), time.perf_counter()
    session = secrets.token_bytes(32)
    guest, host = GuestIntersection(guest_ids, session, ["host1"]), HostIntersection(host_ids, session)
    request = guest.request("host1")
    reply = host.reply(request)
    guest.receive("host1", reply)
    at_guest, common = guest.finish(), guest.common("host1")
    at_host = host.finish(common)
    seconds = time.perf_counter() - start
    assert len(at_guest.positions) == n_common
    assert (guest_ids[at_guest.positions] == host_ids[at_host.positions]).all()
    assert set(guest_ids[at_guest.positions]) == set(guest_ids) & set(host_ids)
    sent, n_ids = {"guest to host": request.n_bytes + common.n_bytes, "host to guest": reply.n_bytes}, n_guest + n_host
    for direction, n_bytes in sent.items():
        assert n_bytes <= MAX_BYTES * n_ids, direction
    return {"matched": n_common, "seconds": seconds, "peak memory MB": peak_memory() / 1e6, "of it ids MB": before / 1e6} | {
        f"bytes per id, {direction}": n_bytes / n_ids for direction, n_bytes in sent.items()
    }


def test_the_patents_guest_against_a_mart_of_a_million() -> None:
    run(*((N_GUEST, N_HOST) if FULL else (N_GUEST // 100, N_HOST // 100)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guest", type=int, default=N_GUEST)
    parser.add_argument("--host", type=int, default=N_HOST)
    sizes = parser.parse_args()
    for name, value in facts().items():
        print(f"{name}: {value}")
    print(f"guest {sizes.guest:,} ids, host {sizes.host:,} ids, both parties on this machine")
    for name, figure in run(sizes.guest, sizes.host).items():
        print(f"{name}: {figure:,.1f}")

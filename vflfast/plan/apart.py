"""A run whose parties have a machine each, with a line between every two: what runs side by side counts once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .work import Step

# All data parties at the same time.
GRADIENT = {"logarithms", "bucket", "collapse", "combine", "pack and mask", "unmask", "update", "prepare"}
FORWARD = {"encrypt", "check ciphertexts", "residual", "rerandomize", "serialize", "parse"}  # a pipeline of pieces
POOLED = {"encrypt", "rerandomize"}  # done ahead, as far as a party waits for others
TURNS = 6  # Predictor, Residual, MaskedGradient, OpenedGradient, Vote, Verdict follow one another


@dataclass(frozen=True)
class Link:
    """A line between two machines: bytes a second in each direction, and seconds that a message takes one way."""

    bytes_per_second: float
    latency: float


def apart_seconds(
    steps: Sequence[Step], last: Sequence[Step], sizes: Mapping[str, int], rounds: int, link: Link
) -> tuple[float, float]:
    """Return the seconds of a whole run of `steps`, and of one later round of the steps `last`."""
    wire = _slowest_line(sizes) / rounds / link.bytes_per_second
    latency = TURNS * link.latency
    whole = _path(steps, wire * rounds, pooled=False) + latency * rounds
    fresh, later = _path(last, wire, pooled=False), _path(last, wire, pooled=True)
    return whole - (rounds - 1) * (fresh - later), later + latency


def _path(steps: Iterable[Step], wire: float, *, pooled: bool) -> float:
    """Seconds from beginning to end: the forward pass takes as long as its slowest part, gradients as long as the slowest party's."""
    steps = list(steps)
    forward, gradient, own = (_by_party(steps, stages) for stages in (FORWARD, GRADIENT, None))
    chain = sum(step.seconds for step in steps if step.stage not in FORWARD | GRADIENT)
    rest = chain + max(gradient.values(), default=0.0)
    path = rest + max([*forward.values(), wire])
    if not pooled:
        return path
    ahead = _by_party(steps, POOLED)
    left = (seconds - min(ahead.get(party, 0.0), max(0.0, path - own[party])) for party, seconds in forward.items())
    return rest + max([*left, wire])


def _by_party(steps: Iterable[Step], stages: set[str] | None) -> dict[str, float]:
    """Sum the seconds of some stages, or of all, for each party."""
    sums: dict[str, float] = {}
    for step in steps:
        if stages is None or step.stage in stages:
            sums[step.party] = sums.get(step.party, 0.0) + step.seconds
    return sums


def _slowest_line(sizes: Mapping[str, int]) -> int:
    """Return the most bytes that one line carries in one direction."""
    lines: dict[str, int] = {}
    for name, n_bytes in sizes.items():
        line = name.split(":")[0]
        lines[line] = lines.get(line, 0) + n_bytes
    return max(lines.values(), default=0)

"""What a person sees of a long run: stages, rounds, time left; and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console

from ..protocol.settings import Settings

INFERENCE = "inference"  # the figure that says how much of the standard errors is done, from 0 to 1
LEAST_SPAN = 0.001  # seconds; shorter ones would only make a timeline long


class Span(NamedTuple):
    """One party's work at one stage, in seconds since the clock was made."""

    party: str
    round: int
    stage: str
    start: float
    end: float


class StageClock:
    """Seconds by stage. Call it as a protocol observer; between two calls the time belongs to the first one's stage.

    Attributes
    ----------
    seconds, round_seconds
        By stage; by completed round.
    n_bytes
        Of all messages that were sent.
    figures
        The newest figures of the parties: their losses, and the AUC of the customers kept out of training.
    spans
        The stages in the order of time, those of `LEAST_SPAN` seconds or more.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.round_seconds: list[float] = []
        self.n_bytes = 0
        self.figures: dict[str, dict[str, float]] = {}
        self.spans: list[Span] = []
        self._stage, self._party, self._stage_round = "start", "job", 0
        self._start = self._since = self._round_since = time.monotonic()
        self._round = 0

    def __call__(self, party: str, round_: int, stage: str) -> None:
        """Give the time since the last call to that call's stage, and start `stage`."""
        now = time.monotonic()
        self._give(self._stage, now)
        self._stage, self._party, self._stage_round = stage or "wait", party, round_
        if round_ > self._round:
            if self._round:
                self.round_seconds.append(now - self._round_since)
            self._round, self._round_since = round_, now

    def divide(self, party: str, round_: int, parts: Mapping[str, float]) -> None:
        """Give the time since the last call to `parts`, in their proportion, as if one had followed the other."""
        now, since, whole = time.monotonic(), self._since, sum(parts.values())
        if whole > 0:
            for name, part in parts.items():
                self._give(name, self._since + (now - since) * part / whole)

    def tell(self, party: str, what: str, value: float) -> None:
        """Take a party's figure: "bytes" add up, of the others the newest counts."""
        if what == "bytes":
            self.n_bytes += int(value)
        else:
            self.figures.setdefault(what, {})[party] = value

    def _give(self, stage: str, until: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + until - self._since
        if stage != "wait" and until - self._since >= LEAST_SPAN:
            self.spans.append(Span(self._party, self._stage_round, stage, self._since - self._start, until - self._start))
        self._since = until

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count a block of work under `name`."""
        self("job", 0, name)
        yield
        self("job", 0, "other")

    def total(self) -> float:
        """Return the seconds of all stages."""
        self(self._party, self._stage_round, self._stage)
        return sum(self.seconds.values())


class Progress(StageClock):
    """A StageClock that also shows a line on stderr: a live one on a terminal, else one line a round."""

    def __init__(self, settings: Settings, *, quiet: bool = False) -> None:
        super().__init__()
        self.last_round = settings.last_round
        self.least_rounds = settings.least_rounds
        self._console = Console(stderr=True, quiet=quiet)
        self._status = self._console.status("starting") if self._console.is_terminal and not quiet else None
        self._round_shown = self._tenths_shown = 0
        self._inferring_since: float | None = None
        self._shown = 0.0
        if self._status:
            self._status.start()

    def __call__(self, party: str, round_: int, stage: str) -> None:
        """Count the time, and show where the run is."""
        super().__call__(party, round_, stage)
        if not stage or self._since - self._shown < 0.1:
            return
        if self._status:
            self._shown = self._since
            self._status.update(self.line(party, stage))
        elif self._round > self._round_shown or self._tenths > self._tenths_shown:
            self._shown, self._round_shown, self._tenths_shown = self._since, self._round, self._tenths
            self._console.print(self.line(party, stage), soft_wrap=True, markup=False, highlight=False)

    def tell(self, party: str, what: str, value: float) -> None:
        """Take a party's figure."""
        if what == INFERENCE and self._inferring_since is None:
            self._inferring_since = self._since
        super().tell(party, what, value)

    @property
    def _tenths(self) -> int:
        return int(10 * max(self.figures.get(INFERENCE, {"": 0.0}).values()))

    def line(self, party: str, stage: str) -> str:
        """Return the line: where the run is, its figures, bytes and time, how long a round takes, what remains at least."""
        if not self._round:
            return f"{party}: {stage}"
        if self._inferring_since is not None:
            return self._inference_line(party, stage, self._since - self._inferring_since)
        text = f"round {self._round} (stop rule: {self.least_rounds} or more, at most {self.last_round})  {party}: {stage}"
        for what, values in self.figures.items():
            text += f"  {what} " + ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        text += f"  {self.n_bytes / 1e6:,.1f} MB, {duration(self._since - self._start)}"
        if self.round_seconds:
            pace = sum(self.round_seconds) / len(self.round_seconds)
            left = max(self.least_rounds - len(self.round_seconds), 1) * pace
            text += f"  {pace:.1f} s a round, {duration(left)} or more left"
        return text

    def _inference_line(self, party: str, stage: str, seconds: float) -> str:
        """How much of the standard errors is done, and what remains at that pace."""
        share = max(self.figures[INFERENCE].values())
        left = f", about {duration(seconds * (1 - share) / share)} left" if 0 < share < 1 else ""
        return f"standard errors {share:.0%}  {party}: {stage}  {self.n_bytes / 1e6:,.1f} MB, {duration(self._since - self._start)}{left}"

    def close(self) -> None:
        """Take the live line away."""
        if self._status:
            self._status.stop()


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

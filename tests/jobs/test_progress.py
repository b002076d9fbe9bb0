"""Progress: where the time went, exactly; and what a person sees meanwhile, on stderr only."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from support.jobs import sections, write_job, write_tables

from vflfast.jobs import job as jobs
from vflfast.jobs import jobfile, progress
from vflfast.jobs.evaluation import evaluate
from vflfast.jobs.party import _Observer
from vflfast.jobs.progress import Progress, StageClock, duration
from vflfast.net.board import Board
from vflfast.protocol.link import Link
from vflfast.protocol.settings import Settings


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def steps(observer: StageClock, clock: Clock, *calls: tuple[float, str, int, str]) -> None:
    """Move the clock, then call the observer."""
    for seconds, party, round_, stage in calls:
        clock.now += seconds
        observer(party, round_, stage)


def rounds(observer: StageClock, clock: Clock, count: int, seconds: float) -> None:
    for round_ in range(1, count + 1):
        steps(observer, clock, (0.0, "guest", round_, "encrypt"), (seconds, "guest", round_, ""))


# --- stages ------------------------------------------------------------------------------------------------------


def test_time_belongs_to_the_stage_that_began_before_it(clock: Clock) -> None:
    stages = StageClock()
    steps(stages, clock, (1.0, "guest", 0, "encrypt"), (2.0, "host1", 0, "product"), (4.0, "host1", 0, ""), (8.0, "guest", 0, "encrypt"))
    clock.now += 16.0
    assert stages.total() == 31.0
    assert stages.seconds == {"start": 1.0, "encrypt": 2.0 + 16.0, "product": 4.0, "wait": 8.0}


def test_the_total_is_the_sum_whenever_it_is_asked(clock: Clock) -> None:
    stages = StageClock()
    begin = clock.now
    for k in range(50):
        steps(stages, clock, (0.1 * k, "guest", k // 7, ("encrypt", "", "product")[k % 3]))
        assert math.isclose(stages.total(), clock.now - begin)
        assert math.isclose(sum(stages.seconds.values()), clock.now - begin)


def test_a_block_of_work_is_counted_under_its_name(clock: Clock) -> None:
    stages = StageClock()
    with stages.stage("read tables"):
        clock.now += 3.0
    clock.now += 1.0
    assert stages.total() == 4.0
    assert stages.seconds == {"start": 0.0, "read tables": 3.0, "other": 1.0}


def test_rounds_are_measured_from_start_to_start(clock: Clock) -> None:
    stages = StageClock()
    steps(stages, clock, (5.0, "job", 0, "bin"), (1.0, "guest", 1, "encrypt"), (2.0, "host1", 1, "product"))
    steps(stages, clock, (3.0, "host1", 2, "encrypt"), (1.0, "guest", 1, "late"), (6.0, "guest", 3, "encrypt"))
    assert stages.round_seconds == [2.0 + 3.0, 1.0 + 6.0]


# --- lines -------------------------------------------------------------------------------------------------------


def test_a_line_says_the_round_the_pace_and_the_time_left(clock: Clock) -> None:
    shown = Progress(Settings(stop="loss", n_iter_no_change=15, max_iter=50), quiet=True)
    assert shown.line("arbiter", "key") == "arbiter: key"
    rounds(shown, clock, 4, 60.0)
    assert shown.round_seconds == [60.0] * 3
    # the stop rule cannot be met before 15 rounds without change, that is 16 rounds: 13 of them are left
    assert shown.line("guest", "encrypt") == (
        "round 4 (stop rule: 16 or more, at most 50)  guest: encrypt  0.0 MB, 4 min  60.0 s a round, 13 min or more left"
    )


def test_a_line_has_the_newest_figures_and_all_bytes(clock: Clock) -> None:
    shown = Progress(Settings(stop="loss", n_iter_no_change=2, max_iter=9), quiet=True)
    for round_, (loss, change) in enumerate([(0.7, 0.1), (0.65432, 0.01234)], start=1):
        steps(shown, clock, (5.0, "guest", round_, "vote"))
        for party, what, value in (("guest", "loss", loss), ("host1", "loss", change), ("all", "AUC", 0.8), ("guest", "bytes", 2_500_000)):
            shown.tell(party, what, value)
    assert shown.line("guest", "vote") == (
        "round 2 (stop rule: 3 or more, at most 9)  guest: vote  loss guest 0.6543, host1 0.0123  AUC all 0.8000  5.0 MB, 10 s"
        "  5.0 s a round, 10 s or more left"
    )


def test_the_time_left_does_not_run_out_while_rounds_go_on(clock: Clock) -> None:
    shown = Progress(Settings(stop="loss", n_iter_no_change=2, max_iter=50), quiet=True)
    rounds(shown, clock, 9, 10.0)
    assert shown.line("guest", "encrypt").endswith("10.0 s a round, 10 s or more left")


def test_max_iter_limits_the_least_number_of_rounds() -> None:
    assert Progress(Settings(stop="loss", max_iter=3), quiet=True).least_rounds == 3
    assert Progress(Settings(stop="loss", max_iter=50), quiet=True).least_rounds == 16
    assert Progress(Settings(), quiet=True).least_rounds == 2


def test_without_a_terminal_there_is_one_line_a_round_on_stderr(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(Settings(stop="loss", n_iter_no_change=3, max_iter=9))
    steps(shown, clock, (1.0, "job", 0, "read tables"))
    for round_ in range(1, 4):
        for party in ("host1", "guest", "arbiter"):
            steps(shown, clock, (1.0, party, round_, "work"), (1.0, party, round_, ""))
    shown.close()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "round 1 (stop rule: 4 or more, at most 9)  host1: work  0.0 MB, 2 s",
        "round 2 (stop rule: 4 or more, at most 9)  host1: work  0.0 MB, 8 s  6.0 s a round, 18 s or more left",
        "round 3 (stop rule: 4 or more, at most 9)  host1: work  0.0 MB, 14 s  6.0 s a round, 12 s or more left",
    ]


def test_rounds_of_a_moment_do_not_flood_the_log(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(Settings(max_iter=1000))
    rounds(shown, clock, 1000, 0.001)
    shown.close()
    assert len(capsys.readouterr().err.splitlines()) <= 10


def test_a_terminal_gets_a_live_line(clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    shown = Progress(Settings())
    assert shown._status is not None
    rounds(shown, clock, 3, 2.0)
    live = str(shown._status.status)
    shown.close()
    assert live.startswith("round 3")
    assert "2.0 s a round" in live
    assert capsys.readouterr().out == ""


def test_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(Settings(), quiet=True)
    rounds(shown, clock, 5, 3.0)
    shown.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (89.4, "89 s"), (90, "2 min"), (600, "10 min"), (5399, "90 min"), (5400, "1.5 h"), (86_400, "24.0 h")],
)
def test_durations_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# --- parts of a stage, and the timeline ----------------------------------------------------------------------------------


def test_a_stage_is_divided_in_proportion(clock: Clock) -> None:
    stages = StageClock()
    begin = clock.now
    steps(stages, clock, (1.0, "guest", 1, "bucket"))
    clock.now += 8.0
    stages.divide("guest", 1, {"logarithms": 1.0, "bucket": 2.0, "collapse": 1.0})
    steps(stages, clock, (0.5, "guest", 1, "combine"), (4.0, "guest", 1, ""))
    assert stages.seconds == {"start": 1.0, "logarithms": 2.0, "bucket": 4.0 + 0.5, "collapse": 2.0, "combine": 4.0}
    assert stages.total() == clock.now - begin


def test_nothing_to_divide_by(clock: Clock) -> None:
    stages = StageClock()
    steps(stages, clock, (0.0, "guest", 1, "bucket"))
    clock.now += 3.0
    stages.divide("guest", 1, {"bucket": 0.0, "collapse": 0.0})
    stages.divide("guest", 1, {})
    assert stages.total() == 3.0
    assert stages.seconds["bucket"] == 3.0


def test_the_timeline_says_who_did_what_when(clock: Clock) -> None:
    stages = StageClock()
    steps(stages, clock, (1.0, "host1", 2, "encrypt"), (2.0, "host1", 2, ""), (4.0, "guest", 2, "bucket"))
    clock.now += 4.0
    stages.divide("guest", 2, {"bucket": 3.0, "collapse": 1.0})
    steps(stages, clock, (0.0, "guest", 2, "vote"), (progress.LEAST_SPAN / 2, "guest", 2, ""))
    assert stages.spans == [
        ("job", 0, "start", 0.0, 1.0),
        ("host1", 2, "encrypt", 1.0, 3.0),  # the wait after it is nobody's work, the vote is too short
        ("guest", 2, "bucket", 7.0, 10.0),
        ("guest", 2, "collapse", 10.0, 11.0),
    ]


# --- figures of a real run -----------------------------------------------------------------------------------------------


def test_a_run_tells_losses_bytes_and_the_auc(tmp_path: Path) -> None:
    write_tables(tmp_path)
    job, stages = jobfile.read_job(write_job(tmp_path, sections(tmp_path))), Progress(Settings(), quiet=True)
    trained = jobs.train(job, stages)
    assert stages.n_bytes == trained.result.traffic.total_bytes
    assert stages.figures["loss"] == {model.name: model.losses[-1] for model in (trained.result.guest, *trained.result.hosts)}
    by_round = evaluate(trained, job, stages)["rounds"]["scores"]
    assert stages.figures["AUC"] == {"all": by_round["joint"]["auc"][-1]}


def test_a_party_between_processes_shows_the_same() -> None:
    board, shown = Board("guest", ("host1",), 1 << 20), Progress(Settings(), quiet=True)
    observe = _Observer(board, shown)
    link = Link("guest", ("host1",), observe)
    link.stage("vote")
    link.tell("loss", 0.5)
    link.tell("bytes", 7)
    assert (shown.figures, shown.n_bytes) == ({"loss": {"guest": 0.5}}, 7)
    observe("guest", 1, "bucket")
    link.divide({"bucket": 1.0})
    assert "bucket" in shown.seconds
    Link("guest", (), _Observer(board, lambda party, round_, stage: None)).tell("loss", 0.5)  # one that shows no figures


# --- standard errors ---------------------------------------------------------------------------------------------


def test_standard_errors_show_how_much_is_done_and_what_remains(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(Settings())
    rounds(shown, clock, 2, 3.0)
    capsys.readouterr()
    shown.tell("guest", "inference", 0.0)
    assert "standard errors 0%" in shown.line("guest", "inference: curvature")
    clock.now += 30.0
    shown.tell("host1", "inference", 0.25)
    steps(shown, clock, (0.0, "host1", 2, "inference: products of columns"))
    line = capsys.readouterr().err
    assert "standard errors 25%  host1: inference: products of columns" in line
    assert "about 90 s left" in line or "about 2 min left" in line
    steps(shown, clock, (1.0, "host1", 2, "inference: products of columns"))
    assert capsys.readouterr().err == ""  # a line a tenth
    shown.tell("guest", "inference", 1.0)
    steps(shown, clock, (1.0, "guest", 2, "calibrate"))
    assert "left" not in capsys.readouterr().err

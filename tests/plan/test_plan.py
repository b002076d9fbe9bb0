"""Predictions: exact where a run can be counted, monotonic where it can only be timed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.jobs import SMALL_KEY, refused, sections, succeeded, vflfast, write_job, write_tables

from vflfast.cli.plan import parse_link
from vflfast.crypto.blocks import expected_work
from vflfast.crypto.calibration import Rates
from vflfast.errors import InputError
from vflfast.jobs import job as jobs
from vflfast.jobs import jobfile
from vflfast.jobs.progress import StageClock
from vflfast.plan.apart import Link
from vflfast.plan.forms import form_of
from vflfast.plan.predict import Prediction, expected_rounds, packings, predict
from vflfast.plan.run import read_shape, side_by_side
from vflfast.plan.shape import flat_shape, job_shape
from vflfast.plan.wire import gradient_opening, traffic
from vflfast.plan.work import Work
from vflfast.protocol.gradient import gradient_bound
from vflfast.protocol.settings import Settings

SETTINGS = Settings(simulation=True, residual="taylor", solver="block-newton", scoring="combined")  # what is counted by hand
MICROS = {
    "table_entry": 8.0, "encrypt_bit": 0.3, "load": 5.0, "store": 3.0, "add_plain": 3.0, "multiply": 3.0, "logarithm": 5.0,
    "insert_near": 2.0, "insert_far": 2.0, "collapse": 7.0, "decrypt": 2000.0, "digest": 0.001, "flop": 1e-5,
}  # fmt: skip
RATES = Rates(kernel="portable", key_bits=2048, threads=2, lanes=1, **MICROS)


def guess(n_rows: int = 5000, columns: tuple[int, ...] = (20, 160), **options: Any) -> Prediction:
    return predict(flat_shape(n_rows, columns, options.pop("settings", SETTINGS)), options.pop("rates", RATES), **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("plan")
    write_tables(made, n_hosts=2)
    write_job(made, sections(made, n_hosts=2))
    return made


SHORT = {"MaskSeed", "HalfRange", "InnerProducts", "ScaleSeed"}


# --- what can be counted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host_woe", ["false", "true"])
@pytest.mark.parametrize("profile", ["hardened", "patent"])
def test_traffic_is_that_of_the_run(folder: Path, tmp_path: Path, profile: str, host_woe: str) -> None:
    ran = succeeded("train", folder / "job.toml", "--models", tmp_path, "--profile", profile, "--set", f"host_woe={host_woe}", "--json")
    summary = json.loads(ran.stdout)["summary"]
    expected, actual = summary["plan"]["bytes_by_message"], summary["bytes_by_message"]
    by_scale = {name for name in expected if name.endswith("Predictor") and profile == "hardened"}  # as many columns as u″ needs
    assert {name: actual[name] for name in expected.keys() - by_scale} == {name: expected[name] for name in expected.keys() - by_scale}
    assert all(0.3 < actual[name] / expected[name] < 3 for name in by_scale)
    left_out = {name.split(": ")[1] for name in actual} - {name.split(": ")[1] for name in expected}
    assert left_out <= {"Hello", "KeyAnnouncement", "RowCommitment", "OrderSeed", "Quota", "ThresholdChoice", "TrainingLabels", *SHORT}
    assert summary["plan"]["rounds"] == summary["rounds"] == 2
    compared = {row["what"]: row for row in summary["plan"]["compared"]}
    assert compared["seconds"]["actual"] == summary["seconds"]
    assert compared["seconds"]["predicted"] == pytest.approx(sum(summary["plan"]["seconds_by_stage"].values()))
    assert compared["bytes"]["actual"] == summary["bytes"]
    stages = {row["what"]: row["actual"] for row in summary["plan"]["compared_stages"]}
    assert {stage: seconds for stage, seconds in stages.items() if seconds} == {k: v for k, v in summary["seconds_by_stage"].items() if v}
    assert {"bucket", "collapse", "combine"} <= set(stages)
    woe = {"woe: encrypt labels", "woe: class sums", "woe: mask and open"} if host_woe == "true" else set()
    assert {stage for stage in stages if stage.startswith("woe")} == woe
    assert all(summary["plan"]["seconds_by_stage"][stage] > 0 and stages[stage] > 0 for stage in woe)
    assert any("ClassEvidence" in name for name in expected) == bool(woe)


def test_the_hosts_evidence_costs_what_a_rounds_parts_cost() -> None:
    """By hand: n encryptions and checks, one product with a column per class, and one opening more."""
    plain, with_evidence = guess(), guess(settings=SETTINGS.changed(host_woe=True))
    more = {k: with_evidence.seconds_by_stage[k] - plain.seconds_by_stage.get(k, 0.0) for k in with_evidence.seconds_by_stage}
    work = Work(flat_shape(5000, (20, 160), SETTINGS), RATES)
    assert more["woe: encrypt labels"] == pytest.approx(work.tables["guest"].cost(5000, 1024) / 1e6)
    assert more["woe: class sums"] > plain.seconds_by_stage["combine"] / plain.rounds
    assert more["decrypt"] > 0
    assert abs(more["bucket"]) < 1e-9
    assert with_evidence.round_seconds < plain.round_seconds * 1.01


def test_openings_have_the_size_that_the_protocol_gives_them(folder: Path) -> None:
    job = jobfile.read_job(folder / "job.toml")
    ready = jobs.prepare(job, StageClock())
    shape = job_shape(ready, job, {})
    arbiter = jobs.arbiter_inputs(job).private
    assert arbiter is not None
    for party, inputs in zip(shape.parties, ready.inputs, strict=True):
        bound = gradient_bound(job.settings, inputs.matrix.n_rows, inputs.matrix.largest, 3)
        size = arbiter.public.opening_size(inputs.matrix.n_columns + 1, bound)
        assert form_of(job.settings).opening(*gradient_opening(shape, party)) == (size, 128, size, 64)
        assert party.n_columns == inputs.matrix.n_columns
        assert party.class_counts.tolist() == (inputs.matrix.codes.max(axis=1) + 1).tolist()
        assert party.modal_shares == pytest.approx(inputs.matrix.class_rows.max(axis=1) / inputs.matrix.n_rows)
        assert party.largest == inputs.matrix.largest
    assert dataclasses.replace(read_shape(job), parties=(), spent={}) == dataclasses.replace(shape, parties=())
    assert (shape.n_rows, shape.n_raw) == (ready.inputs[0].matrix.n_rows, 250)


def test_forward_traffic() -> None:
    sizes = traffic(flat_shape(1000, (3, 4), SETTINGS), 2)
    assert sizes["host1 → guest: Predictor"] == sizes["guest → host1: Residual"] == 2 * (1000 * 512 + 136)
    assert "arbiter → host1: ScoreLabels" not in sizes
    patent = traffic(flat_shape(1000, (3, 4), Settings(profile="patent", simulation=True)), 2)
    assert patent["arbiter → host1: ScoreLabels"] == 1136


# --- rounds ------------------------------------------------------------------------------------------------------------------


def test_rounds_by_the_stop_rule() -> None:
    assert expected_rounds(SETTINGS, 2) == 19  # 5 until the change is within tol, and 14 more
    assert expected_rounds(SETTINGS.changed(n_iter_no_change=3), 2) == 7
    assert expected_rounds(SETTINGS.changed(max_iter=6), 2) == 6
    assert expected_rounds(SETTINGS.changed(tol=1.0), 2) == 15
    assert expected_rounds(SETTINGS.changed(tol=0.0), 2) == SETTINGS.max_iter
    assert expected_rounds(SETTINGS, 3) > expected_rounds(SETTINGS, 2)  # smaller steps
    assert expected_rounds(Settings(profile="patent", simulation=True), 2) < 19


# --- time and memory ---------------------------------------------------------------------------------------------------------


def test_stages_add_up() -> None:
    found = guess()
    assert found.seconds == pytest.approx(sum(found.seconds_by_stage.values()))
    assert found.bytes == sum(found.bytes_by_message.values())
    assert (found.rounds, found.least_rounds) == (19, 16)
    longer = guess(rounds=20)
    assert longer.seconds - found.seconds == pytest.approx(found.round_seconds, rel=0.02)


def test_encryption_by_hand() -> None:
    """1,024 bits at a window of 8 are 128 products, at 10 they are 103; a table is built once for what is expected."""
    work = Work(flat_shape(5000, (20, 160), SETTINGS), RATES)
    table = 128 * 256 * 8.0
    assert work.tables["host1"].cost(5000, 1024) == pytest.approx(table + 5000 * (1024 * 0.3 + 3.0))
    assert work.tables["host1"].cost(5000, 1024) == pytest.approx(5000 * (1024 * 0.3 + 3.0))
    small = work.tables["guest"]
    assert small.cost(100, 1024) == pytest.approx(256 * 16 * 8.0 + 100 * (256 * 2.4 + 3.0))  # a window of 4: 256 products
    assert small.n_entries == 256 * 16
    work.expect_rounds()
    wide = work.tables["guest"]
    assert wide.cost(100, 1024) == pytest.approx(103 * 1024 * 8.0 + 100 * (103 * 2.4 + 3.0))
    assert wide.cost(100, 1024) == pytest.approx(100 * (103 * 2.4 + 3.0))


def test_few_numbers_take_as_long_as_all_lanes() -> None:
    """Eight lanes of two threads: one encryption is sixteen, of which one is stored."""
    wide = dataclasses.replace(RATES, lanes=8)
    work = Work(flat_shape(100, (20, 160), SETTINGS), wide)
    one = work.tables["guest"].cost(1, 1024)
    assert work.tables["guest"].cost(16, 1024) - one == pytest.approx(15 * 3.0 - 256 * 16 * 8.0)  # the table is there
    few, counts = expected_work(np.full(4, 5), np.full(4, 0.2), 10, 8), np.full(4, 5)
    assert (few.n_blocks, round(few.buckets), few.used) == (1, 625, 10)
    assert work.product(counts, few, 10, 4)["collapse"] == pytest.approx((2 * 25 + 4 * 5) * 8 * 3.0)
    many = dataclasses.replace(few, used=1e4)
    assert work.product(counts, many, 10, 4)["collapse"] == pytest.approx(7.0 * 1e4)


def test_every_rate_counts() -> None:
    whole = guess(n_rows=200_000, columns=(60, 600))
    for name in MICROS:
        dearer = guess(n_rows=200_000, columns=(60, 600), rates=dataclasses.replace(RATES, **{name: 10 * MICROS[name]}))
        assert dearer.seconds > whole.seconds, name


@pytest.mark.parametrize(
    "larger", [{"n_rows": 10_000}, {"columns": (100, 160)}, {"columns": (20, 400)}, {"columns": (20, 160, 160)}, {"rounds": 30}]
)
def test_more_work_takes_more(larger: dict[str, Any]) -> None:
    small, large = guess(), guess(**larger)
    assert large.seconds > small.seconds
    assert large.bytes > small.bytes
    assert large.memory_bytes >= small.memory_bytes


def test_memory_holds_the_vectors_and_codes() -> None:
    small, large = guess(1000, (2, 2)), guess(1_000_000, (2, 2))
    assert large.memory_bytes - small.memory_bytes > 999_000 * 512 * 3
    wide = guess(1_000_000, (2, 1000))
    assert wide.memory_bytes - large.memory_bytes > 900_000_000


# --- more machines -------------------------------------------------------------------------------------------------------------


def test_parties_apart() -> None:
    near = guess(link=Link(1e12, 0.0))
    assert near.apart_seconds is not None
    assert near.apart_round_seconds is not None
    assert near.apart_seconds < near.seconds  # gradients run side by side
    far = guess(link=Link(1e12, 0.05))
    assert far.apart_seconds == pytest.approx(near.apart_seconds + 19 * 6 * 0.05)
    thin = guess(link=Link(1e6, 0.0))
    assert thin.apart_seconds is not None
    one_way = near.bytes_by_message["host1 → guest: Predictor"] / 1e6
    assert one_way < thin.apart_seconds < near.apart_seconds + one_way * 1.01  # both directions at once, beside the work
    assert guess().apart_seconds is None


def test_row_packing_pays_most_on_a_slow_line() -> None:
    shape = flat_shape(50_000, (20, 160), SETTINGS)
    slow, fast = packings(shape, RATES, Link(1e5, 0.0)), packings(shape, RATES, Link(1e12, 0.0))
    assert [row["row_packing"] for row in slow] == [1, 2, 3, 4]
    assert [row["bytes"] for row in slow] == sorted((row["bytes"] for row in slow), reverse=True)
    assert slow[1]["round_seconds"] == pytest.approx(slow[0]["round_seconds"] / 2, rel=0.1)
    assert fast[1]["round_seconds"] > 0.6 * fast[0]["round_seconds"]  # fewer encryptions, as many insertions
    crowded = packings(flat_shape(1000, (20, 160), SETTINGS), RATES, Link(1e5, 0.0))
    assert [row["row_packing"] for row in crowded] == [1, 2, 3]  # 7 · 161 equations are more than 1,000 rows
    assert guess().row_packings == []


def test_workers_by_amdahls_law() -> None:
    found = guess(50_000, (20, 1000), workers=(1, 2, 1000))
    one, two, many = found.workers
    assert one["speed_up"] == pytest.approx(1.0)
    assert 1.0 < two["speed_up"] < 2.0
    assert two["speed_up"] < many["speed_up"] < 1 / (1 - many["shared_part"])
    with pytest.raises(InputError) as caught:
        guess(workers=(0,))
    assert caught.value.argument == "workers"


def test_memory_holds_the_tables_of_the_session_that_has_most() -> None:
    shape = flat_shape(5000, (20, 160), SETTINGS)
    trained, scored = (predict(dataclasses.replace(shape, n_test=n), RATES, rounds=20) for n in (0, 100))
    assert scored.memory_bytes >= trained.memory_bytes
    assert trained.memory_bytes - guess(100).memory_bytes > 2 * (94 - 64) * 2048 * 512  # of guest and host


def test_what_is_done_takes_as_long_as_it_took() -> None:
    shape = flat_shape(500, (20, 160), SETTINGS)
    known = predict(dataclasses.replace(shape, spent={"read tables": 7.0, "bin": 0.5}), RATES, rounds=2).seconds_by_stage
    guessed = predict(shape, RATES, rounds=2).seconds_by_stage
    assert (known.pop("read tables"), known.pop("bin")) == pytest.approx((7.0, 0.5))
    assert known == {stage: guessed[stage] for stage in known}


def test_the_solver_follows_the_columns() -> None:
    narrow, wide = guess(500, (20, 10_000)), guess(500, (20, 10_001))
    assert narrow.solvers == {"guest": "gram", "host1": "gram"}
    assert wide.solvers == {"guest": "gram", "host1": "conjugate gradients"}
    assert narrow.memory_bytes - wide.memory_bytes == pytest.approx(8e8, rel=0.1)
    assert wide.seconds_by_stage["update"] > narrow.seconds_by_stage["update"]
    assert wide.seconds_by_stage["prepare"] < narrow.seconds_by_stage["prepare"]
    assert guess(settings=SETTINGS.changed(solver="gd")).solvers["host1"] == "gradient descent"


def test_side_by_side() -> None:
    found = guess()
    summary = {
        "rounds": 20, "seconds": 2 * found.seconds, "seconds_by_round": [9.0, 1.0, 2.0, 3.0], "bytes": 10, "peak_memory_bytes": 0,
        "seconds_by_stage": {"wait": 1.0, "encrypt": 3.0},
    }  # fmt: skip
    rows = {row["what"]: row for row in side_by_side(found, summary)["compared"]}
    assert rows["seconds"]["ratio"] == pytest.approx(0.5)
    assert rows["seconds a round"]["actual"] == 2.0
    assert rows["rounds"] == {"what": "rounds", "predicted": 19, "actual": 20, "ratio": 0.95}
    assert rows["memory bytes"]["ratio"] is None
    stages = {row["what"]: row for row in side_by_side(found, summary)["compared_stages"]}
    assert (stages["wait"]["predicted"], stages["wait"]["actual"]) == (0.0, 1.0)
    assert stages["bucket"]["actual"] == 0.0


# --- the command -----------------------------------------------------------------------------------------------------------------

SIZES = ["plan", "--rows", "5000", "--guest-columns", "20", "--host-columns", "160"]


def test_a_plan_from_sizes() -> None:
    found = json.loads(succeeded(*SIZES, *SMALL_KEY, "--workers", "2", "--link", "100Mbit/50ms", "--json").stdout)
    assert set(found) == {field.name for field in dataclasses.fields(Prediction)}
    assert found["rounds"] == 10
    assert found["workers"][0]["workers"] == 2
    shape = flat_shape(5000, (20, 160), Settings(key_bits=512, test_key=True, simulation=True))
    assert found["bytes_by_message"] == traffic(shape, 10)


def test_a_plan_of_a_job_starts_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    shown = succeeded("plan", folder / "job.toml", "--workers", "4", "--link", "1Gbit").stdout
    assert sorted(folder.iterdir()) == before
    for text in ("2 expected", "in one process here", "MB a round", "GB at the peak", "by stage:", "4 machines of a cluster"):
        assert text in shown


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["plan"], "--rows"),
        ([*SIZES[:3]], "--guest-columns"),
        ([*SIZES[:5]], "--host-columns"),
        (["plan", "--rows", "0", *SIZES[3:]], "--rows"),
        (["plan", "--rows", "-5", *SIZES[3:]], "rows"),
        ([*SIZES, "--host-columns", "-1"], "columns"),
        ([*SIZES, "--classes", "0"], "classes"),
        ([*SIZES, "--classes", "257"], "classes"),
        ([*SIZES, "--link", "fast"], "--link"),
        ([*SIZES, "--link", "0Mbit/1ms"], "--link"),
        ([*SIZES, "--key-bits", "100"], "key_bits"),
        (["plan", "absent.toml"], "absent.toml"),
        (["plan", "absent.toml", "--rows", "7"], "--rows"),
    ],
)
def test_refusals(arguments: list[str], named: str) -> None:
    assert named in refused(*arguments)


def test_no_workers_at_all() -> None:
    assert vflfast(*SIZES, *SMALL_KEY, "--workers", "0").exit_code == 2


def test_links() -> None:
    assert parse_link("100Mbit/50ms") == Link(12.5e6, 0.05)
    assert parse_link("2.5gbit/1s") == Link(312.5e6, 1.0)
    assert parse_link("512 kbit".replace(" ", "")) == Link(64e3, 0.0)


def test_shapes_are_checked() -> None:
    shape = flat_shape(10, (2, 3), SETTINGS, classes=4)
    assert [party.name for party in shape.parties] == ["guest", "host1"]
    assert np.array_equal(shape.parties[1].class_counts, [4, 4, 4])
    with pytest.raises(InputError):
        flat_shape(10, (2,), SETTINGS)


@pytest.mark.parametrize(("columns", "sent"), [((3, 4), 4), ((3, 4, 2), 20)])
def test_the_logistic_residual_has_its_columns_in_time_and_bytes(columns: tuple[int, ...], sent: int) -> None:
    """Columns of a usual scale: of one host 4, of two 2·10, handed on from the first to the second."""
    taylor, logistic = (SETTINGS.changed(residual=name) for name in ("taylor", "logistic"))
    before, after = (traffic(flat_shape(1000, columns, agreed), 2) for agreed in (taylor, logistic))
    first = "host1 → guest: Predictor" if len(columns) == 2 else "host1 → host2: Predictor"
    assert after[first] == pytest.approx(sent * before["host1 → guest: Predictor"], rel=0.01)
    assert after["guest → host1: Residual"] == before["guest → host1: Residual"]
    quick, slow = (predict(flat_shape(1000, columns, agreed), RATES) for agreed in (taylor, logistic))
    assert slow.seconds_by_stage["encrypt"] > 3 * quick.seconds_by_stage["encrypt"]


def test_the_rounds_of_lbfgs_are_few() -> None:
    agreed = Settings(simulation=True)
    assert (agreed.least_rounds, expected_rounds(agreed, 2)) == (2, 10)
    assert expected_rounds(agreed.changed(max_iter=5), 2) == 5

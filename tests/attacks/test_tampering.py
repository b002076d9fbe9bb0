"""Parties that break the protocol on purpose: each is caught by the one it tries to cheat, and named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.runs import P, Parties, Q, parties, private_key, refused, replace, run, scoring_programs, settings, train, training_programs

from vflfast.crypto import limbs as lm
from vflfast.errors import ProtocolError
from vflfast.protocol import messages as ms
from vflfast.protocol.joint import MASKED_BOUND

N = P * Q
SIZE = lm.limb_count(512)
SMALL = parties(16, (2, 3))


@pytest.fixture(scope="module")
def hundred() -> Parties:
    return parties(100, (3, 4, 2))


# --- the arbiter's checks -------------------------------------------------------------------------------------------


def encrypted(*values: int) -> np.ndarray:
    return private_key().public.encrypt(np.array(values, dtype=object)).limbs


def with_row(new: int) -> Callable[[np.ndarray], np.ndarray]:
    """Replace the first ciphertext."""
    return lambda rows: np.concatenate([lm.from_ints([new], 2 * SIZE), rows[1:]])


BAD_CIPHERTEXTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one more": lambda rows: np.concatenate([rows, encrypted(1)]),
    "one less": lambda rows: rows[:-1].copy(),
    "none": lambda rows: rows[:0].copy(),
    "a thousand": lambda rows: np.concatenate([rows, encrypted(*range(1000))]),
    "0": with_row(0),
    "1": with_row(1),
    "n": with_row(N),
    "p": with_row(P),
    "multiple of q": with_row(Q * 12345),
    "n squared": with_row(N * N),
    "n squared + c": lambda rows: with_row(N * N + 5)(rows),
    "all ones": with_row((1 << 1024) - 1),
    "narrow": lambda rows: rows[:, :-1].copy(),
    "wide": lambda rows: np.pad(rows, ((0, 0), (0, 1))),
}


@pytest.mark.parametrize("party", ["guest", "host1"])
@pytest.mark.parametrize("bad", BAD_CIPHERTEXTS)
def test_the_arbiter_refuses_bad_requests(bad: str, party: str) -> None:
    error = refused({party: replace(ms.MaskedGradient, ciphertexts=BAD_CIPHERTEXTS[bad])})
    assert (error.party, error.step) == (party, "MaskedGradient")


def test_the_arbiter_refuses_a_repeated_ciphertext() -> None:
    made = parties(40, (2, 20))  # its gradient takes more than one ciphertext
    error = refused({"host1": replace(ms.MaskedGradient, ciphertexts=lambda rows: np.repeat(rows[:1], len(rows), axis=0))}, made=made)
    assert (error.party, error.step) == ("host1", "MaskedGradient")
    assert "repeated" in error.problem


def test_the_quota_holds_in_mini_batches_too() -> None:
    made = parties(80, (2, 4))
    error = refused({"host1": replace(ms.MaskedGradient, ciphertexts=BAD_CIPHERTEXTS["one more"])}, made=made, agreed=settings(n_batches=2))
    assert (error.party, error.step) == ("host1", "MaskedGradient")
    assert "ciphertexts, 1 are due" in error.problem


@pytest.mark.parametrize("value", [2, 3, -1, 2**64, 2**64 + 1, N // 3])
@pytest.mark.parametrize("party", ["guest", "host1"])
def test_a_vote_is_0_or_1(party: str, value: int) -> None:
    error = refused({party: replace(ms.Vote, ciphertexts=encrypted(value))})
    assert (error.party, error.step) == (party, "Vote")


@pytest.mark.parametrize("count", [0, 2])
def test_a_vote_is_one_ciphertext(count: int) -> None:
    assert refused({"guest": replace(ms.Vote, ciphertexts=lambda row: np.concatenate([row, encrypted(1)])[:count])}).step == "Vote"


@pytest.mark.parametrize("flags", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_verdict_is_the_and_of_the_votes(flags: tuple[int, int]) -> None:
    votes = {party: replace(ms.Vote, ciphertexts=encrypted(flag)) for party, flag in zip(("guest", "host1"), flags, strict=True)}
    programs = training_programs(SMALL, settings(max_iter=3))
    if all(flags):  # the arbiter says stop, and the guest knows that it did not vote for it
        with pytest.raises(ProtocolError, match="says stop in round 1, for which guest did not vote"):
            run(programs, votes)
        return
    with pytest.raises(ProtocolError, match="did not see the same messages") as caught:  # it went on, and met the changed vote in round 2
        run(programs, votes)
    assert caught.value.step == "Vote"


@pytest.mark.parametrize(("party", "message", "fields"), [
    ("host1", ms.Predictor, {"ciphertexts": lambda rows: np.concatenate([rows[1:], rows[:1]])}),
    ("guest", ms.Residual, {"ciphertexts": lambda rows: np.concatenate([rows[1:], rows[:1]])}),
    ("guest", ms.OrderSeed, {"seed": b"s" * 32}),
])  # fmt: skip
def test_a_message_changed_between_two_parties_is_found_at_the_votes(party: str, message: type[ms.Message], fields: Any) -> None:
    """A valid message of other content, which no check of its own can tell: the two transcripts differ."""
    error = refused({party: replace(message, **fields)})
    assert error.step == "Vote"
    assert "did not see the same messages" in error.problem


WRONG_TRANSCRIPTS = [lambda t: b"", lambda t: t[:-1], lambda t: t + t[:32], lambda t: t[32:] + t[:32], lambda t: bytes(len(t))]


@pytest.mark.parametrize("change", WRONG_TRANSCRIPTS)
def test_a_wrong_transcript_is_refused(change: Any) -> None:
    error = refused({"guest": replace(ms.Vote, transcripts=change)})
    assert error.step == "Vote"


SHARE_CHANGES: dict[str, dict[str, Any]] = {
    "no rows": {"n_rows": 0},
    "other count": {"n_rows": 17},
    "huge count": {"n_rows": 2**63},
    "largest count": {"n_rows": 2**64 - 1},
    "zero scale": {"scale": 0.0},
    "tiny scale": {"scale": 5e-324},
    "negative scale": {"scale": -1.0},
    "infinite scale": {"scale": float("inf")},
    "NaN center": {"center": float("nan")},
    "huge center": {"center": 1.7e308},
    "infinite low": {"low": float("-inf")},
    "NaN high": {"high": float("nan")},
    "negative power": {"power": -1.0},
    "NaN power": {"power": float("nan")},
    "a score changed": {"ciphertexts": lambda rows: times_one_plus_n(rows)},
    "a ciphertext less": {"ciphertexts": lambda rows: rows[1:].copy()},
    "noise": {"ciphertexts": lambda rows: encrypted(*range(len(rows)))},
}


def times_one_plus_n(rows: np.ndarray) -> np.ndarray:
    """Add 1 to the first plaintext."""
    first, *rest = lm.to_ints(rows)
    return lm.from_ints([first * (1 + N) % (N * N), *rest], 2 * SIZE)


@pytest.mark.parametrize("party", ["guest", "host1"])
@pytest.mark.parametrize("changes", SHARE_CHANGES)
def test_the_arbiter_refuses_a_bad_share(changes: str, party: str) -> None:
    error = refused({party: replace(ms.ScoreShare, **SHARE_CHANGES[changes])})
    assert (error.party, error.step) == (party, "ScoreShare")


def test_shares_of_different_length_are_refused() -> None:
    made, trained = SMALL, train(SMALL, settings())
    shorter = dataclasses.replace(made.hosts[0], matrix=made.hosts[0].matrix.take_rows(np.arange(15)))
    lies = {"host1": replace(ms.RowCommitment, n_rows=16), "guest": replace(ms.RowCommitment, n_rows=15)}
    with pytest.raises(ProtocolError) as caught:
        run(scoring_programs(Parties(made.guest, [shorter]), trained, settings()), lies)
    assert (caught.value.party, caught.value.step) == ("host1", "ScoreShare")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 0.0, 1.5])
def test_a_quota_outside_0_to_1_is_refused(value: float) -> None:
    error = refused({"guest": replace(ms.ThresholdChoice, value=value)})
    assert (error.party, error.step) == ("guest", "ThresholdChoice")


JOINT = settings(scoring="joint")
PART_CHANGES: dict[str, dict[str, Any]] = {
    "more ciphertexts": {"ciphertexts": lambda rows: np.concatenate([rows, encrypted(1)])},
    "fewer ciphertexts": {"ciphertexts": lambda rows: rows[:-1].copy()},
    "fewer rows": {"n_rows": 1},
    "no rows": {"n_rows": 0},
    "more rows": {"n_rows": 2**63},
    **{name: {"ciphertexts": change} for name, change in BAD_CIPHERTEXTS.items()},
}


@pytest.mark.parametrize("party", ["guest", "host1"])
@pytest.mark.parametrize("changes", PART_CHANGES)
def test_the_arbiter_refuses_a_bad_part_of_the_joint_score(changes: str, party: str) -> None:
    error = refused({party: replace(ms.JointShare, **PART_CHANGES[changes])}, agreed=JOINT)
    assert (error.party, error.step) == (party, "JointShare")


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_parts_whose_masks_do_not_cancel_are_refused(party: str) -> None:
    """As of another attempt, or of a party that was sent another secret."""
    other = private_key().public.pack_to_holder([3**39 * (-1) ** i for i in range(16)], MASKED_BOUND).limbs
    error = refused({party: replace(ms.JointShare, ciphertexts=lambda _: other)}, agreed=JOINT)
    assert (error.step, "do not belong together" in error.problem) == ("JointShare", True)


@pytest.mark.parametrize("seed", [b"", b"x" * 31, b"x" * 33])
def test_a_scale_of_another_size_is_refused(seed: bytes) -> None:
    error = refused({"guest": replace(ms.ScaleSeed, seed=seed)}, agreed=JOINT)
    assert (error.party, error.step) == ("guest", "ScaleSeed")


# --- the data parties' checks ---------------------------------------------------------------------------------------


def plus(amount: int, row: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    def change(rows: np.ndarray) -> np.ndarray:
        values = lm.to_ints(rows)
        values[row] = (values[row] + amount) % N
        return lm.from_ints(values, SIZE)

    return change


TAMPERED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plus one": plus(1),
    "minus one": plus(-1),
    "a slot's lowest bit": plus(1 << 41),
    "the check slot": plus(1 << 4 * 36),
    "above all slots": plus(1 << 510),
    "last plus one": plus(1, -1),
    "zeros": lambda rows: np.zeros_like(rows),
    "all ones": lambda rows: np.full_like(rows, 2**64 - 1),
    "one less": lambda rows: rows[:-1].copy(),
    "one more": lambda rows: np.concatenate([rows, rows[:1]]),
    "not below n": lambda rows: lm.from_ints([v + N for v in lm.to_ints(rows)], SIZE + 1),
}


@pytest.mark.parametrize("party", ["guest", "host1"])
@pytest.mark.parametrize("bad", TAMPERED)
def test_a_tampering_arbiter_is_caught_by_the_check_column(bad: str, party: str) -> None:
    error = refused({"arbiter": replace(ms.OpenedGradient, recipient=party, plaintexts=TAMPERED[bad])})
    assert (error.party, error.step) == ("arbiter", "OpenedGradient")


def test_an_arbiter_that_swaps_two_openings_is_caught() -> None:
    made = parties(40, (2, 20))
    error = refused({"arbiter": replace(ms.OpenedGradient, recipient="host1", plaintexts=lambda rows: rows[::-1].copy())}, made=made)
    assert (error.party, error.step) == ("arbiter", "OpenedGradient")


@pytest.mark.parametrize("fields", [{"completed": 2}, {"completed": 0}, {"stop": 2}, {"stop": 2**64 - 1}], ids=str)
def test_a_wrong_verdict_is_refused(fields: dict[str, int]) -> None:
    error = refused({"arbiter": replace(ms.Verdict, recipient="host1", **fields)})
    assert (error.party, error.step) == ("arbiter", "Verdict")


@pytest.mark.parametrize("bad", BAD_CIPHERTEXTS)
@pytest.mark.parametrize(("sender", "kind"), [("host1", ms.Predictor), ("guest", ms.Residual)])
def test_the_data_parties_refuse_each_others_bad_ciphertexts(sender: str, kind: type[ms.Message], bad: str) -> None:
    error = refused({sender: replace(kind, ciphertexts=BAD_CIPHERTEXTS[bad])})
    assert (error.party, error.step) == (sender, kind.__name__)


@pytest.mark.parametrize("labels", [b"", b"\x01" * 15, b"\x01" * 17, b"\x02" * 16, b"\xff" * 16])
def test_bad_labels_are_refused(labels: bytes) -> None:
    error = refused({"arbiter": replace(ms.ScoreLabels, labels=labels)})
    assert (error.party, error.step) == ("arbiter", "ScoreLabels")
    error = refused({"guest": replace(ms.TrainingLabels, labels=labels)}, agreed=settings(profile="patent"))
    assert (error.party, error.step) == ("guest", "TrainingLabels")


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_that_is_no_number_is_refused(threshold: float) -> None:
    assert refused({"arbiter": replace(ms.ScoreLabels, threshold=threshold)}, agreed=settings(threshold="ks")).step == "ScoreLabels"


@pytest.mark.parametrize("threshold", [0.5, float("inf")])
def test_a_threshold_that_the_settings_do_not_open_is_refused(threshold: float) -> None:
    error = refused({"arbiter": replace(ms.ScoreLabels, threshold=threshold)})
    assert (error.step, "no threshold" in error.problem) == ("ScoreLabels", True)


@pytest.mark.parametrize("scores", [np.zeros(15), np.zeros(17), np.full(16, np.nan), np.full(16, np.inf)], ids=["15", "17", "nan", "inf"])
@pytest.mark.parametrize("scoring", ["combined", "joint"])
def test_bad_combined_scores_are_refused(scores: np.ndarray, scoring: str) -> None:
    error = refused({"arbiter": replace(ms.CombinedScores, scores=scores)}, agreed=settings(threshold="ks", scoring=scoring))
    assert (error.party, error.step) == ("arbiter", "CombinedScores")


@pytest.mark.parametrize("seed", [b"", b"x" * 31, b"x" * 33])
def test_a_seed_of_another_size_is_refused(seed: bytes) -> None:
    error = refused({"guest": replace(ms.OrderSeed, seed=seed)})
    assert (error.party, error.step) == ("guest", "OrderSeed")


@pytest.mark.parametrize(("party", "columns"), [("host1", 0), ("guest", 0), ("arbiter", 1), ("host1", 2**31), ("host1", 2**64 - 1)])
def test_a_count_of_columns_that_cannot_be_is_refused(party: str, columns: int) -> None:
    error = refused({party: replace(ms.Hello, recipient="host1" if party == "guest" else "guest", n_columns=columns)})
    assert (error.party, error.step) == (party, "Hello")


@pytest.mark.parametrize("changes", [{"n_columns": 4}, {"nonce": b"m" * 16}, {"organisation": "another"}], ids=str)
def test_who_says_hello_differently_to_two_parties_ends_in_two_sessions(changes: dict[str, Any]) -> None:
    assert "session" in refused({"host1": replace(ms.Hello, recipient="guest", **changes)}).problem

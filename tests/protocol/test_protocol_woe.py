"""Hosts' weights of evidence through encrypted label sums: equal to those in the clear, small classes kept out, bad messages refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.runs import Change, Parties, listen, parties, private_key, replace, run, settings, train, training_programs
from support.simulator import MemoryJournal

from vflfast.binning.woe import LARGEST_WOE, weight_of_evidence
from vflfast.crypto.arrays import CipherArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import InputError, LeakageGuardError, ProtocolError
from vflfast.protocol import messages as ms
from vflfast.protocol import woe
from vflfast.protocol.inline import party_names
from vflfast.protocol.leakage import LeakLedger
from vflfast.protocol.messages import ClassEvidence, ClassSums, EncryptedLabels, MaskedSums, OpenedSums, SumsQuota

AGREED = settings(host_woe=True, max_iter=1)


def coarse(n_rows: int = 200, columns: tuple[int, ...] = (2, 3), classes: int = 2, seed: int = 0) -> Parties:
    return parties(n_rows, columns, classes=classes, seed=seed)


def in_the_clear(made: Parties, index: int = 0) -> np.ndarray:
    """Straight from the definition, class by class."""
    matrix = made.hosts[index].matrix
    found = np.zeros((matrix.n_features, int(matrix.class_counts.max())), dtype=np.int64)
    for feature, codes in enumerate(matrix.codes):
        rows = [int((codes == k).sum()) for k in range(found.shape[1])]
        positives = [int(((codes == k) & (made.labels > 0)).sum()) for k in range(found.shape[1])]
        found[feature] = weight_of_evidence(rows, positives)[0]
    return found


@pytest.mark.parametrize(("columns", "classes", "n_rows"), [((2, 3), 2, 200), ((1, 1), 2, 150), ((2, 4, 3), 3, 450), ((2, 30), 4, 900)])
def test_encrypted_values_are_those_in_the_clear_and_the_twin_agrees(columns: tuple[int, ...], classes: int, n_rows: int) -> None:
    made = coarse(n_rows, columns, classes)
    result = train(made, settings(host_woe=True, max_iter=2), verify=True)
    assert result.verified_rounds == 2
    for index, model in enumerate(result.hosts):
        assert model.woe is not None
        np.testing.assert_array_equal(model.woe, in_the_clear(made, index))
        assert model.woe.any()
    assert result.guest.woe is None


def test_patent_profile_too() -> None:
    made = coarse()
    result = train(made, settings(host_woe=True, max_iter=2, profile="patent"), verify=True)
    assert result.verified_rounds == 2
    np.testing.assert_array_equal(result.hosts[0].woe, in_the_clear(made))


def test_the_same_columns_given_beforehand_give_the_same_weights() -> None:
    made = coarse()
    matrix = made.hosts[0].matrix
    known = CodedMatrix(matrix.codes, matrix.class_counts, matrix.column_features, in_the_clear(made))
    beforehand = Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=known)])
    assert train(made, AGREED).weight_hash == train(beforehand, settings(max_iter=1)).weight_hash
    assert train(made, AGREED).weight_hash != train(made, settings(max_iter=1)).weight_hash


def test_classes_without_rows_take_no_part() -> None:
    made = coarse()
    matrix = made.hosts[0].matrix
    wider = CodedMatrix(matrix.codes, np.full(3, 4), np.arange(3), np.zeros((3, 4), dtype=np.int64))
    result = train(Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=wider)]), AGREED, verify=True)
    assert result.hosts[0].woe is not None
    np.testing.assert_array_equal(result.hosts[0].woe[:, :2], in_the_clear(made))
    assert not result.hosts[0].woe[:, 2:].any()


def test_the_ledgers_count_it() -> None:
    result = train(coarse(450, (2, 4, 3), 3), AGREED)
    guest = {e.what: (e.equations, e.unknowns) for e in result.guest.ledger.entries}
    assert guest["rows and positives per class of host1"] == (24, 12 * 450)
    assert guest["rows and positives per class of host2"] == (18, 9 * 450)
    hosts = [{e.what: (e.equations, e.unknowns) for e in model.ledger.entries} for model in result.hosts]
    assert hosts[0]["WOE values of own classes"] == (12, 450)
    assert hosts[1]["WOE values of own classes"] == (9, 450)
    without = train(coarse(450, (2, 4, 3), 3), settings(max_iter=1))
    assert not any("class" in e.what for model in (without.guest, *without.hosts) for e in model.ledger.entries)


def test_a_run_that_goes_on_counts_once_and_ends_with_the_same_weights() -> None:
    made, names = coarse(), party_names(1)
    journals = {name: MemoryJournal() for name in names}
    first = run(training_programs(made, AGREED, journals))
    second = run(training_programs(made, AGREED, journals))
    assert second["host1"].hashes == first["host1"].hashes
    np.testing.assert_array_equal(second["host1"].woe, first["host1"].woe)
    assert second["host1"].ledger.to_list() == first["host1"].ledger.to_list()


def test_nothing_leaves_without_fresh_randomness_and_the_arbiter_sees_masks_only() -> None:
    made = coarse()
    heard = [[m for m, _, _ in listen(training_programs(made, AGREED))[1]] for _ in range(2)]
    fields = {EncryptedLabels: "ciphertexts", ClassSums: "ciphertexts", MaskedSums: "ciphertexts", OpenedSums: "plaintexts"}
    for kind, field in fields.items():
        one, other = (next(getattr(m, field) for m in messages if isinstance(m, kind)) for messages in heard)
        assert one.shape == other.shape
        assert not (one == other).all(axis=1).any()
    packed = next(m for m in heard[0] if isinstance(m, ClassSums))
    masked = next(m for m in heard[0] if isinstance(m, MaskedSums))
    assert len(packed.ciphertexts) == len(masked.ciphertexts) < 6  # six classes, packed
    opened = next(m for m in heard[0] if isinstance(m, OpenedSums))
    assert (opened.plaintexts[:, -1] > 0).all()  # full width, not small sums


# --- what is refused before anything is sent ---------------------------------------------------------------------


def with_codes(made: Parties, codes: np.ndarray) -> Parties:
    return Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=CodedMatrix(codes.astype(np.uint8)))])


@pytest.mark.parametrize("small", [1, 49])
def test_a_host_with_a_small_class_does_not_start(small: int) -> None:
    made = coarse()
    codes = np.zeros((2, 200), dtype=np.uint8)
    codes[0, :100] = 1
    codes[1, :small] = 1
    with pytest.raises(LeakageGuardError, match=r"feature 1 .* fewer than 50 rows"):
        run(training_programs(with_codes(made, codes), AGREED))


def test_a_class_of_fifty_is_large_enough() -> None:
    codes = np.zeros((1, 200), dtype=np.uint8)
    codes[0, :50] = 1
    assert run(training_programs(with_codes(coarse(), codes), AGREED))["host1"].woe.shape == (1, 2)


def test_columns_that_are_not_one_per_feature_are_refused() -> None:
    made = coarse()
    matrix = made.hosts[0].matrix
    onehot = CodedMatrix(matrix.codes, matrix.class_counts, [0, 0, 1, 2], np.tile([0, 1], (4, 1)))
    with pytest.raises(InputError) as caught:
        run(training_programs(Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=onehot)]), AGREED))
    assert caught.value.argument == "encoding"


def test_more_classes_than_labels_are_refused() -> None:
    made = coarse(120, (2, 60))  # sixty features of two classes: 120 equations in 120 labels
    halves = np.array([np.roll(np.arange(120) % 2, k // 2) for k in range(60)])
    with pytest.raises(LeakageGuardError, match="120 classes of 60 features for 120 rows"):
        run(training_programs(with_codes(made, halves), AGREED))


def test_settings_of_one_party_only_are_refused() -> None:
    each = {"arbiter": AGREED, "guest": AGREED, "host1": settings(max_iter=1)}
    with pytest.raises(ProtocolError, match="host_woe"):
        run(training_programs(coarse(), each))


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_the_setting_is_true_or_false(value: Any) -> None:
    with pytest.raises(InputError) as caught:
        settings(host_woe=value)
    assert caught.value.argument == "host_woe"


# --- messages that cannot be -------------------------------------------------------------------------------------


def changed(at: tuple[int, int], value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        other = array.copy()
        other[at] = np.uint64(value % (1 << 64))
        return other

    return change


BAD: list[tuple[str, Change, str, str]] = [
    # who lies, how, who is named, at which step
    ("guest", replace(EncryptedLabels, ciphertexts=lambda c: c[:-1]), "guest", "EncryptedLabels"),
    ("guest", replace(EncryptedLabels, ciphertexts=lambda c: c * np.uint64(0)), "guest", "EncryptedLabels"),
    ("host1", replace(ClassSums, rows=lambda r: r[:-1]), "host1", "ClassSums"),
    ("host1", replace(ClassSums, rows=lambda r: np.zeros((3, 257), dtype=np.uint64)), "host1", "ClassSums"),
    ("host1", replace(ClassSums, rows=changed((0, 0), -1)), "host1", "ClassSums"),
    ("host1", replace(ClassSums, rows=changed((1, 0), 3)), "host1", "ClassSums"),
    ("host1", replace(ClassSums, rows=lambda r: np.array([[1, 199]] * 3, dtype=np.uint64)), "host1", "ClassSums"),
    ("host1", replace(ClassSums, rows=lambda r: np.array([[200, 0]] * 3, dtype=np.uint64)), "arbiter", "OpenedSums"),
    ("host1", replace(ClassSums, seed=b"short"), "host1", "ClassSums"),
    ("host1", replace(ClassSums, seed=bytes(32)), "arbiter", "OpenedSums"),
    ("host1", replace(ClassSums, ciphertexts=lambda c: c[:0]), "host1", "ClassSums"),
    ("host1", replace(ClassSums, ciphertexts=lambda c: np.concatenate([c, c])), "host1", "ClassSums"),
    ("host1", replace(ClassSums, ciphertexts=lambda c: c * np.uint64(0)), "host1", "ClassSums"),
    ("host1", replace(SumsQuota, n_ciphertexts=0), "guest", "MaskedSums"),
    ("host1", replace(SumsQuota, n_ciphertexts=99), "guest", "MaskedSums"),
    ("guest", replace(MaskedSums, ciphertexts=lambda c: np.concatenate([c, c])), "guest", "MaskedSums"),
    ("guest", replace(MaskedSums, ciphertexts=lambda c: c * np.uint64(0)), "guest", "MaskedSums"),
    ("arbiter", replace(OpenedSums, plaintexts=lambda p: p[:-1]), "arbiter", "OpenedSums"),
    ("arbiter", replace(OpenedSums, plaintexts=lambda p: p ^ np.uint64(1)), "arbiter", "OpenedSums"),
    ("guest", replace(ClassEvidence, values=lambda v: v[:-1]), "guest", "ClassEvidence"),
    ("guest", replace(ClassEvidence, values=changed((0, 0), LARGEST_WOE + 1)), "guest", "ClassEvidence"),
    ("guest", replace(ClassEvidence, values=changed((0, 0), -LARGEST_WOE - 1)), "guest", "ClassEvidence"),
    ("guest", replace(ClassEvidence, values=changed((0, 0), 1 << 63)), "guest", "ClassEvidence"),
]


@pytest.mark.parametrize(("liar", "change", "named", "step"), BAD, ids=[f"{n}-{case[3]}" for n, case in enumerate(BAD)])
def test_a_bad_message_is_refused_by_name(liar: str, change: Change, named: str, step: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(coarse(), AGREED), {liar: change})
    assert (caught.value.party, caught.value.step) == (named, step)


def test_sums_of_other_labels_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that puts the first customer's label in everybody's place: each sum fits its class."""
    honest = woe._class_sums

    def lying(matrix: CodedMatrix, rows: np.ndarray, labels: CipherArray) -> CipherArray:
        return honest(matrix, rows, CipherArray(labels.public, labels.vector[np.zeros(len(labels), dtype=int)], 0, 1))

    monkeypatch.setattr(woe, "_class_sums", lying)
    with pytest.raises(ProtocolError, match="do not add up to all positives") as caught:
        run(training_programs(coarse(), AGREED))
    assert (caught.value.party, caught.value.step) == ("host1", "ClassSums")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([[49, 151]], "fewer than 50 rows"),
        ([[100, 100], [1, 199]], "fewer than 50 rows"),
        ([[1 << 63, (1 << 63) + 200]], "do not add up to 200"),  # modulo 2^64 they do
        ([[100, 99]], "do not add up to 200"),
        ([[100, 100], [100, 100], [100, 100]], "rows per class of"),
    ],
)
def test_the_guest_itself_looks_at_the_classes(rows: list[list[int]], problem: str) -> None:
    message = ClassSums(np.array(rows, dtype=np.uint64), bytes(32), np.zeros((1, 8), dtype=np.uint64))
    with pytest.raises(ProtocolError, match=problem) as caught:
        woe._checked_rows(message, min(len(rows), 2), 200, "host1")
    assert caught.value.party == "host1"


def test_a_value_for_a_class_without_rows_is_refused() -> None:
    made = coarse()
    matrix = made.hosts[0].matrix
    wider = CodedMatrix(matrix.codes, np.full(3, 3), np.arange(3), np.zeros((3, 3), dtype=np.int64))
    programs = training_programs(Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=wider)]), AGREED)
    with pytest.raises(ProtocolError) as caught:
        run(programs, {"guest": replace(ClassEvidence, values=changed((0, 2), 1))})
    assert (caught.value.party, caught.value.step) == ("guest", "ClassEvidence")


def test_messages_survive_the_wire() -> None:
    values = np.array([[-5, 7], [LARGEST_WOE, -LARGEST_WOE]], dtype=np.int64)
    envelope = ms.Envelope(bytes(32), 0, 0, "guest", "host1")
    message, _ = ms.from_bytes(ms.to_bytes(ClassEvidence(values.view(np.uint64)), envelope), "guest")
    assert isinstance(message, ClassEvidence)
    np.testing.assert_array_equal(message.values.view(np.int64), values)


def test_a_guest_without_labels_is_refused() -> None:
    made = coarse()
    program = woe.at_guest(None, (), private_key().public, made.hosts[0], {}, AGREED, LeakLedger("guest"))  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        program.send(None)
    assert caught.value.argument == "labels"

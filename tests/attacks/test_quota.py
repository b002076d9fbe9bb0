"""A host that has the arbiter open what it received: every row's [[4g]], whose sign is the label. The quota is all that stops it.

The host sends its masked gradient and, behind it, ciphertexts of the guest's; or it asks for a larger quota beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import P, Parties, Q, parties, private_key, run, settings, training_programs

from vflfast.crypto import limbs as lm
from vflfast.errors import ProtocolError
from vflfast.protocol import arbiter
from vflfast.protocol import messages as ms
from vflfast.protocol.gradient import gradient_bound
from vflfast.protocol.link import Link

N = P * Q
N_ROWS, N_COLUMNS = 60, 5
AGREED = settings(init="zeros", max_iter=1)


class Thief:
    """host1, with what it hears and what it makes of it."""

    def __init__(self, made: Parties, *, claim: tuple[int, int] | None = None) -> None:
        self.made, self.claim = made, claim
        self.residual: np.ndarray | None = None
        self.n_own = 0
        self.opened: list[int] = []

    def run(self) -> None:
        run(training_programs(self.made, AGREED), {"guest": self.hear, "host1": self.cheat, "arbiter": self.read})

    def hear(self, to: str, message: ms.Message, envelope: ms.Envelope) -> None:
        if isinstance(message, ms.Residual) and to == "host1":
            self.residual = message.ciphertexts

    def cheat(self, _: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if isinstance(message, ms.Quota) and self.claim is not None:
            return [ms.to_bytes(ms.Quota(*self.claim), envelope)]
        if not isinstance(message, ms.MaskedGradient) or self.residual is None:
            return None
        self.n_own = len(message.ciphertexts)
        return [ms.to_bytes(ms.MaskedGradient(self.request(message.ciphertexts, self.residual)), envelope)]

    def request(self, own: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """What it asks to have opened: its own, and behind it every row's [[4g]]."""
        return np.concatenate([own, residual])

    def read(self, to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, ms.OpenedGradient) or to != "host1":
            return None
        self.opened = lm.to_ints(message.plaintexts)[self.n_own :]
        return [ms.to_bytes(ms.OpenedGradient(message.plaintexts[: self.n_own]), envelope)]

    def labels(self) -> npt.NDArray[np.int8]:
        return np.array([-1 if value <= N // 2 else 1 for value in self.opened], dtype=np.int8)  # 4g = u − 2y with |u| < 2


def made() -> Parties:
    return parties(N_ROWS, (2, N_COLUMNS))


def test_more_than_the_quota_is_not_opened() -> None:
    thief = Thief(made())
    with pytest.raises(ProtocolError, match="ciphertexts, 1 are due") as caught:
        thief.run()
    assert (caught.value.party, caught.value.step) == ("host1", "MaskedGradient")
    assert thief.residual is not None
    assert thief.opened == []


@pytest.mark.parametrize("claim", [(0, 4), (2**31, 4), (N_ROWS, 0), (N_ROWS, 2**20 + 1), (2**64 - 1, 4), (N_ROWS + 1, 4)])
def test_numbers_that_no_table_has_are_refused(claim: tuple[int, int]) -> None:
    thief = Thief(made(), claim=claim)
    with pytest.raises(ProtocolError, match=r"no table has|guest says 60") as caught:
        thief.run()
    assert (caught.value.party, caught.value.step) == ("host1", "Quota")
    assert thief.residual is None


def test_a_false_largest_value_changes_the_count_that_must_be_sent() -> None:
    """With 2^20 in place of 4 the arbiter awaits more ciphertexts than the columns need, and opens no other number."""
    thief = Thief(made(), claim=(N_ROWS, 1 << 20))
    with pytest.raises(ProtocolError, match=r"ciphertexts, [0-9]+ are due"):
        thief.run()
    assert thief.opened == []


class Packer(Thief):
    """Fills every ciphertext that it may have opened with packed rows of [[4g]]; nothing proves what is inside."""

    def request(self, own: np.ndarray, residual: np.ndarray) -> np.ndarray:
        public = private_key().public
        vector = public.parse(residual, frac_bits=0, bound=1 << 62)
        self.slots = (public.key_bits - 2) // SLOT
        rows = vector.vector[: len(own) * self.slots]
        return public.rerandomize(vector.like(public.context.pack(rows, self.slots, SLOT), 1 << public.key_bits - 2)).limbs

    def read(self, to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if isinstance(message, ms.OpenedGradient) and to == "host1":
            offset = sum(1 << SLOT * j + SLOT - 1 for j in range(self.slots))
            for value in lm.to_ints(message.plaintexts):
                signed = value if value <= N // 2 else value - N
                self.opened += [(signed + offset >> SLOT * j) % (1 << SLOT) - (1 << SLOT - 1) for j in range(self.slots)]
        return None


SLOT = 40  # bits: |4g| stays below 2^31


def test_what_remains_a_host_that_packs_rows_reads_its_quota_times_the_slots() -> None:
    """Stated on the first page: without a proof of what is aggregated it is trusted not to. One ciphertext holds many rows."""
    thief = Packer(parties(300, (2, 20)))
    with pytest.raises(ProtocolError, match="OpenedGradient"):
        thief.run()
    due = gradient_ciphertexts(thief.made)
    read = np.array([1 if value < 0 else -1 for value in thief.opened], dtype=np.int8)
    assert len(read) == due * thief.slots
    np.testing.assert_array_equal(read, thief.made.labels[: len(read)])


def gradient_ciphertexts(made: Parties) -> int:
    matrix = made.hosts[0].matrix
    return private_key().public.opening_size(matrix.n_columns + 1, gradient_bound(AGREED, matrix.n_rows, matrix.largest, 2))


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 40, 41])
@pytest.mark.parametrize("n_batches", [1, 2])
def test_an_honest_quota_is_never_refused(columns: int, n_batches: int) -> None:
    run(training_programs(parties(1000, (1, columns), classes=2), settings(max_iter=1, n_batches=n_batches, predictor_bound=1024.0)))


def without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken control: a party has as much opened as it sends."""

    async def open_anything(link: Link, party: str, private: Any, *_: Any) -> None:
        message = await link.receive(party, ms.MaskedGradient)
        plaintexts = arbiter._answer(link, private, message.ciphertexts, len(message.ciphertexts), party, "MaskedGradient")
        await link.send(party, ms.OpenedGradient(plaintexts))

    monkeypatch.setattr(arbiter, "_open_gradient", open_anything)


def test_the_control_gives_every_label_away(monkeypatch: pytest.MonkeyPatch) -> None:
    without_limit(monkeypatch)
    thief = Thief(made())
    with pytest.raises(ProtocolError, match="did not see the same messages"):  # found at the votes, when the labels are gone
        thief.run()
    np.testing.assert_array_equal(thief.labels(), thief.made.labels)

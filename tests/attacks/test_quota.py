"""A host that has the arbiter open what it received: every row's [[4g]], whose sign is the label. The quota is all that stops it.

The host sends its masked gradient and, behind it, ciphertexts of the guest's; or it asks for a larger quota beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import P, Parties, Q, parties, run, settings, training_programs

from vflfast.crypto import limbs as lm
from vflfast.errors import ProtocolError
from vflfast.protocol import arbiter
from vflfast.protocol import messages as ms
from vflfast.protocol.link import Link

N = P * Q
N_ROWS, N_COLUMNS = 60, 5
AGREED = settings(init="zeros", max_iter=1)


class Thief:
    """host1, with what it hears and what it makes of it."""

    def __init__(self, made: Parties, *, claim: int | None = None) -> None:
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
            return [ms.to_bytes(ms.Quota(self.claim), envelope)]
        if not isinstance(message, ms.MaskedGradient) or self.residual is None:
            return None
        self.n_own = len(message.ciphertexts)
        return [ms.to_bytes(ms.MaskedGradient(np.concatenate([message.ciphertexts, self.residual])), envelope)]

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
    with pytest.raises(ProtocolError, match="quota") as caught:
        thief.run()
    assert (caught.value.party, caught.value.step) == ("host1", "MaskedGradient")
    assert thief.residual is not None
    assert thief.opened == []


@pytest.mark.parametrize("claim", [0, 5, 6, N_ROWS + 1, 2**31, 2**64 - 1])
def test_a_quota_that_the_columns_cannot_need_is_refused(claim: int) -> None:
    thief = Thief(made(), claim=claim)
    with pytest.raises(ProtocolError, match="at most 4") as caught:
        thief.run()
    assert (caught.value.party, caught.value.step) == ("host1", "Quota")
    assert thief.residual is None


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 40, 41])
@pytest.mark.parametrize("n_batches", [1, 2])
def test_an_honest_quota_is_never_refused(columns: int, n_batches: int) -> None:
    run(training_programs(parties(1000, (1, columns), classes=2), settings(max_iter=1, n_batches=n_batches, predictor_bound=1024.0)))


def without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken control: a party has as much opened as it says."""

    async def believe(link: Link, party: str, _: int) -> int:
        quota: Any = await link.receive(party, ms.Quota)
        return 10**9 if party == "host1" else int(quota.n_ciphertexts)

    monkeypatch.setattr(arbiter, "_receive_quota", believe)
    monkeypatch.setattr(arbiter, "_open_gradient", open_anything)


async def open_anything(link: Link, party: str, private: Any, quota: int, _: Any) -> None:
    message = await link.receive(party, ms.MaskedGradient)
    assert len(message.ciphertexts) <= quota
    plaintexts = arbiter._answer(link, private, message.ciphertexts, len(message.ciphertexts), party, "MaskedGradient")
    await link.send(party, ms.OpenedGradient(plaintexts))


def test_the_control_gives_every_label_away(monkeypatch: pytest.MonkeyPatch) -> None:
    without_limit(monkeypatch)
    thief = Thief(made())
    with pytest.raises(ProtocolError, match="did not see the same messages"):  # found at the votes, when the labels are gone
        thief.run()
    np.testing.assert_array_equal(thief.labels(), thief.made.labels)

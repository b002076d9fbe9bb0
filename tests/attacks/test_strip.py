"""D1: a host that divides its own ciphertext out of the received [[4g]], to read u′ − 2y of every customer.

[[4g]] = [[u″]]·(1 + n)^(u′ − 2y). What the guest multiplies in besides is fresh randomness; without it the quotient is a bare power of
1 + n, and a power of 1 + n is read off without any key: (1 + n)^v = 1 + v·n modulo n².
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from assurance.figures import Figure
from support.runs import P, Parties, Q, listen, parties, settings, training_programs

from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.paillier.public import PublicKey
from vflfast.learn.logistic import linear_predictor
from vflfast.protocol import messages as ms
from vflfast.protocol.block import Block

N = P * Q
N_ROWS = 1000
UNIT = 1 << 24
Ints = list[int]


@pytest.fixture(scope="module")
def made() -> Parties:
    return parties(N_ROWS)


def host_view(made: Parties, agreed: Any) -> list[tuple[Ints, Ints]]:
    """(sent [[u″]], received [[4g]]) of every round, as the host has them."""
    _, heard = listen(training_programs(made, agreed))
    sent = [lm.to_ints(m.ciphertexts) for m, _, _ in heard if isinstance(m, ms.Predictor)]
    received = [lm.to_ints(m.ciphertexts) for m, _, _ in heard if isinstance(m, ms.Residual)]
    return list(zip(sent, received, strict=True))


def strip(sent: Ints, received: Ints) -> list[int | None]:
    """v of every row whose quotient is (1 + n)^v, centred; None where it is not."""
    quotients = [r * pow(s, -1, N * N) % (N * N) for s, r in zip(sent, received, strict=True)]
    logs = [(q - 1) // N if q % N == 1 else None for q in quotients]
    return [v if v is None or v < N // 2 else v - N for v in logs]


def search(sent: Ints, received: Ints, candidates: Ints) -> list[int | None]:
    """The same by trying (1 + n)^v for every candidate v."""
    powers = {(1 + v * N) % (N * N): v for v in candidates}
    return [powers.get(r * pow(s, -1, N * N) % (N * N)) for s, r in zip(sent, received, strict=True)]


def only_add(self: PublicKey, vector: CipherArray, *, alpha_bits: int | None = None, plus: Any = None) -> WireArray:
    """The broken control: what `rerandomize` would be without its randomness."""
    start = vector.vector if plus is None else self.context.add_plain(vector.vector, plus)
    return WireArray(self, self.context.store(start), vector.frac_bits, vector.bound, start)


def truth(made: Parties, agreed: Any) -> npt.NDArray[np.int64]:
    """u′ − 2y of round 1 in fixed point."""
    block = Block(made.guest, agreed, 7, 2, has_intercept=True)
    return block.fixed_predictor(slice(None)) - 2 * UNIT * made.labels.astype(np.int64)


@pytest.mark.parametrize("init", ["zeros", "local"])
def test_the_control_gives_every_customer_away(init: str, made: Parties, monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    agreed = settings(init=init, max_iter=2)
    monkeypatch.setattr(PublicKey, "rerandomize", only_add)
    first, second = host_view(made, agreed)
    found = strip(*first)
    assert found == truth(made, agreed).tolist()
    labels = -np.sign(np.array(found)) if init == "zeros" else None
    if labels is not None:
        np.testing.assert_array_equal(labels, made.labels)
        assert search(*first, [-2 * UNIT, 2 * UNIT]) == found  # two candidates are enough
    assert None not in strip(*second)
    figure("D1", "rows opened by the control", len(found))


@pytest.mark.parametrize("init", ["zeros", "local"])
def test_the_guest_gives_nobody_away(init: str, made: Parties, figure: Figure) -> None:
    agreed = settings(init=init, max_iter=2)
    for sent, received in host_view(made, agreed):
        found = strip(sent, received)
        figure("D1", "rows", len(found))
        figure("D1", "rows opened", N_ROWS - found.count(None))
        assert found == [None] * N_ROWS
        assert search(sent, received, [-2 * UNIT, 2 * UNIT, 0]) == [None] * N_ROWS


def test_the_rows_of_one_round_do_not_open_each_other(made: Parties) -> None:
    """Randomness shared by rows or by rounds would cancel in a quotient of quotients."""
    rounds = host_view(made, settings(init="zeros", max_iter=2))
    quotients = [[r * pow(s, -1, N * N) % (N * N) for s, r in zip(*view, strict=True)] for view in rounds]
    randomness = [q % N for view in quotients for q in view]  # of (1 + n)^v·r modulo n only r is left
    assert len(set(randomness)) == 2 * N_ROWS
    assert 1 not in randomness


def test_the_hosts_own_base_does_not_help(made: Parties) -> None:
    """A host that knows its own base h_s tries small powers of it as the guest's randomness: the guest has a base of its own."""
    bases = set()
    real = PublicKey._fixed_base

    def note(self: PublicKey, count: int, bits: int) -> Any:
        base = real(self, count, bits)
        bases.add(self._base_value)
        return base

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PublicKey, "_fixed_base", note)
        view = host_view(made, settings(init="zeros", max_iter=1))[0]
    assert len(bases) >= 3  # guest, host, arbiter
    quotients = [r * pow(s, -1, N * N) % (N * N) for s, r in zip(*view, strict=True)]
    for base in bases:
        power, known = 1, set()
        for _ in range(256):
            power = power * base % (N * N)
            known.add(power % N)
        assert not known & {q % N for q in quotients}


def test_the_linear_predictors_are_what_the_host_thinks(made: Parties) -> None:
    """The control of the truth used above: it is the guest's real predictor."""
    agreed = settings(init="local")
    block = Block(made.guest, agreed, 7, 2, has_intercept=True)
    plain = linear_predictor(made.guest.matrix, *block.coefficients())
    np.testing.assert_allclose(truth(made, agreed) / UNIT, plain - 2.0 * made.labels, atol=1e-7)

"""Vectors in pieces: exactly the rows that are due, none twice, the same weights however many pieces; and work for those who wait."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support.network import configs, run_all, run_party
from support.runs import parties, private_key, run, settings, train, training_programs
from support.simulator import Faults, MakeProgram, Simulation

from vflfast.crypto.paillier.public import PublicKey
from vflfast.errors import ProtocolError
from vflfast.params import MAX_EARLY_MESSAGES, ROWS_PER_MESSAGE
from vflfast.protocol import arbiter, forward, guest, host
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.forward import Refill, pieces
from vflfast.protocol.link import Link


@pytest.mark.parametrize("count", [1, ROWS_PER_MESSAGE - 1, ROWS_PER_MESSAGE, ROWS_PER_MESSAGE + 1, 66_274, 1_000_003])
def test_pieces_cover_a_vector_and_fit_a_queue(count: int) -> None:
    parts = pieces(count)
    assert parts[0].start == 0
    assert parts[-1].stop == count
    assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
    assert len(parts) <= MAX_EARLY_MESSAGES
    assert len({part.stop - part.start for part in parts[:-1]}) <= 1


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "ROWS_PER_MESSAGE", 8)


@pytest.mark.parametrize("changes", [{}, {"profile": "patent"}, {"n_batches": 2}, {"row_packing": 2}, {"scoring": "joint"}], ids=str)
def test_pieces_do_not_change_the_weights(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = parties(100, (3, 4, 2))
    whole = train(made, settings(**changes))
    monkeypatch.setattr(forward, "ROWS_PER_MESSAGE", 8)
    cut = train(made, settings(**changes), verify=True)
    assert cut.weight_hash == whole.weight_hash
    counts = whole.traffic.n_messages["host1 → guest: Predictor"], cut.traffic.n_messages["host1 → guest: Predictor"]
    assert counts[0] == 2 < counts[1] <= 2 * MAX_EARLY_MESSAGES


def wrong(kind: type[ms.Message], number: int, change: Any) -> Any:
    """Change the `number`-th message of a kind."""
    seen = []

    def apply(recipient: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, kind):
            return None
        seen.append(message.ciphertexts)  # type: ignore[attr-defined]
        if len(seen) != number:
            return None
        return [ms.to_bytes(kind(change(seen)), envelope)]

    return apply


@pytest.mark.parametrize(("sender", "kind"), [("host1", ms.Predictor), ("guest", ms.Residual)])
@pytest.mark.parametrize(
    "change",
    [
        lambda seen: seen[0],  # the first piece again
        lambda seen: np.concatenate([seen[-1][:-1], seen[0][:1]]),  # one ciphertext of it
        lambda seen: seen[-1][:-1].copy(),
        lambda seen: np.concatenate([seen[-1], seen[-1][:1] + 2]),
        lambda seen: seen[-1][:0].copy(),
    ],
    ids=["piece again", "one again", "short", "long", "empty"],
)
def test_a_wrong_piece_is_refused(sender: str, kind: type[ms.Message], change: Any, small_pieces: None) -> None:
    programs = training_programs(parties(40), settings())
    with pytest.raises(ProtocolError) as caught:
        run(programs, {sender: wrong(kind, 3, change)})
    assert (caught.value.party, caught.value.step) == (sender, kind.__name__)
    run(training_programs(parties(40), settings()), {sender: wrong(kind, 3, lambda seen: seen[-1])})  # the control


def test_a_run_in_pieces_over_a_bad_network(small_pieces: None) -> None:
    made, agreed, key = parties(40, (2, 2)), settings(max_iter=2), private_key()
    expected = train(made, agreed)

    def link(name: str, attempt: int) -> Link:
        return Link(name, tuple(n for n in ("guest", "host1", "arbiter") if n != name), None, attempt)

    programs: dict[str, MakeProgram] = {
        "arbiter": lambda a, j: arbiter.train(link("arbiter", a), ArbiterInputs("arbiter", key), agreed, j),
        "guest": lambda a, j: guest.train(link("guest", a), made.guest, agreed, j),
        "host1": lambda a, j: host.train(link("host1", a), made.hosts[0], agreed, j),
    }
    for seed in range(3):
        simulation = Simulation(programs, Faults(drop=0.05, duplicate=0.1, delay=0.2, crash=0.002), seed)
        assert simulation.run() == "finished"
        assert simulation.parties["host1"].result.hashes == expected.hosts[0].hashes


def test_waiting_parties_fill_their_pools(small_pieces: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a network the same weights, with powers made while others work; none are made for a round that cannot come."""
    made, agreed, key = parties(100, (3, 4)), settings(max_iter=3, tol=0.0), private_key()
    expected = train(made, agreed)
    filled: list[int] = []
    real = PublicKey.precompute
    monkeypatch.setattr(PublicKey, "precompute", lambda self, count, **kw: (filled.append(count), real(self, count, **kw))[1])
    config = configs()
    programs: dict[str, Any] = {
        "arbiter": lambda link: arbiter.train(link, ArbiterInputs("arbiter", key), agreed),
        "guest": lambda link: guest.train(link, made.guest, agreed),
        "host1": lambda link: host.train(link, made.hosts[0], agreed),
    }
    results = run_all({role: lambda role=role: run_party(config[role], programs[role]) for role in config})
    assert results["host1"].hashes == expected.hosts[0].hashes
    assert results["guest"].hashes == expected.guest.hashes
    # three residuals of the guest, the host's second and third predictor, and what the arbiter holds ready for its few decryptions
    assert 0 < sum(filled) <= 100 * (3 + 2) + 4 * 6


def test_a_refill_stops_at_its_count() -> None:
    public = PublicKey(private_key().public.n, test_sizes=True)
    refill = Refill(public, 300)
    assert [refill() for _ in range(3)] == [True, True, False]
    assert public.precomputed() == 300
    public.encrypt([1, 2, 3])
    assert refill()
    assert not refill()

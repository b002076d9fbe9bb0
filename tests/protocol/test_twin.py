"""The encrypted run and the plaintext twin: the same weights, bit by bit, round by round, wherever it runs (A6, A7)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from support.runs import Parties, parties, settings, train

from vflfast.crypto import backend as be
from vflfast.errors import InputError, VflError
from vflfast.protocol import inline
from vflfast.protocol.twin import train_twin

NATIVE = be.available()[0]

GRID = list(
    itertools.product(
        ("hardened", "patent"),
        (1, 2),
        ({"solver": "block-newton"}, {"solver": "gd", "momentum": 0.5}),
        (1, 2),
        ("local", "zeros"),
    )
)


@pytest.fixture(scope="module")
def hundred() -> Parties:
    return parties(100, (3, 4, 2))


@pytest.mark.parametrize(("profile", "n_hosts", "solver", "n_batches", "init"), GRID, ids=str)
def test_encrypted_weights_are_the_twins_bit_by_bit(
    profile: str, n_hosts: int, solver: dict[str, Any], n_batches: int, init: str, hundred: Parties
) -> None:
    """Every weight of every round, on every backend and thread count: one hash."""
    made = Parties(hundred.guest, hundred.hosts[:n_hosts])
    agreed = settings(profile=profile, n_batches=n_batches, init=init, max_iter=3, **solver)
    hashes = set()
    for name, threads in {(NATIVE, 1), (NATIVE, 2), ("gmpy2", 2)} | {(name, 1) for name in be.available()[1:-1]}:
        with be.use(name), be.use_threads(threads):
            result = train(made, agreed, verify=True)
        assert result.verified_rounds == result.guest.n_iter == 3
        assert all(len(set(model.hashes)) == 3 for model in (result.guest, *result.hosts))
        hashes.add(result.weight_hash)
    assert len(hashes) == 1


def test_settings_and_rows_matter_to_the_hash(hundred: Parties) -> None:
    """The control of the test above: another solver, profile, penalty or row gives other weights."""
    made = Parties(hundred.guest, hundred.hosts[:1])
    other = Parties(dataclasses.replace(made.guest, labels=np.roll(made.labels, 1)), made.hosts)
    runs = [train(made, settings(**changes)) for changes in ({}, {"solver": "gd"}, {"init": "zeros"}, {"alpha": 0.5}, {"frac_bits": 20})]
    assert len({result.weight_hash for result in (*runs, train(other, settings()))}) == 6


def test_verify_finds_one_wrong_bit(hundred: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encrypted run whose opened gradient is off by one unit of 2^-24 in one column and round."""
    made = Parties(hundred.guest, hundred.hosts[:1])
    real = inline.host.open_gradient

    async def off_by_one(link: Any, *given: Any) -> Any:
        values, total, loss = await real(link, *given)
        return ([values[0] + 1, *values[1:]] if link.round == 2 else values), total, loss

    monkeypatch.setattr(inline.host, "open_gradient", off_by_one)
    with pytest.raises(VflError, match="weights of host1 differ from the plaintext twin's in round 2"):
        train(made, settings(), verify=True)
    assert train(made, settings(max_iter=1), verify=True).verified_rounds == 1


@pytest.mark.parametrize("changes", [{}, {"solver": "gd"}, {"profile": "patent"}], ids=str)
def test_the_stop_rule_ends_both_runs_in_the_same_round(changes: dict[str, Any], hundred: Parties) -> None:
    made = Parties(hundred.guest, hundred.hosts[:1])
    agreed = settings(tol=0.02, n_iter_no_change=2, max_iter=30, **changes)
    result = train(made, agreed, verify=True)
    assert 2 <= result.guest.n_iter < 30
    assert result.guest.stopped
    assert result.hosts[0].stopped
    twin = train_twin(made.guest, made.hosts, agreed)
    assert [block.hashes for block in twin] == [result.guest.hashes, result.hosts[0].hashes]


def test_the_twin_needs_the_guests_labels(hundred: Parties) -> None:
    with pytest.raises(InputError) as caught:
        train_twin(dataclasses.replace(hundred.guest, labels=None), hundred.hosts, settings())
    assert caught.value.argument == "labels"


def test_the_twin_runs_as_many_rounds_as_asked(hundred: Parties) -> None:
    blocks = train_twin(hundred.guest, hundred.hosts, settings(), n_rounds=7)
    assert [len(block.hashes) for block in blocks] == [7, 7, 7]
    assert [b.hashes[:2] for b in blocks] == [b.hashes for b in train_twin(hundred.guest, hundred.hosts, settings(), n_rounds=2)]

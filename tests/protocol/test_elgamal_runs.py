"""Runs by ElGamal: the bits of Paillier's and of the twin, whatever the residual, solver and number of hosts; a key holder that lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.runs import Change, Parties, defaults, elgamal_settings, listen, parties, replace, run, scoring_inputs, settings, train
from support.simulator import MemoryJournal

from vflfast.crypto import backend as be
from vflfast.crypto.elgamal.private import PrivateKey, generate_keypair
from vflfast.errors import InputError, ProtocolError
from vflfast.protocol import arbiter, guest, host, inline
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.settings import Settings

PATENT = {"residual": "taylor", "solver": "block-newton", "scoring": "combined"}
KINDS: list[dict[str, Any]] = [{}, PATENT, {"profile": "patent"}, {"residual": "taylor"}, {"host_woe": True}, {"max_weight": 3}]


@pytest.mark.parametrize(("kind", "columns"), [*((kind, (3, 4)) for kind in KINDS), *((kind, (2, 3, 2)) for kind in KINDS[:4])])
def test_weights_are_those_of_the_other_scheme_to_the_bit(kind: dict[str, Any], columns: tuple[int, ...]) -> None:
    made = parties(400 if "host_woe" in kind else 120, columns)
    expected = train(made, defaults(frac_bits=16, **kind)).weight_hash
    assert inline.train(made.guest, made.hosts, elgamal_settings(**kind), verify=not kind.get("host_woe")).weight_hash == expected


@pytest.mark.parametrize("name", be.available())
def test_every_backend_ends_with_the_same_weights(name: str) -> None:
    made = parties(40, (2, 2))
    with be.use(name):
        found = inline.train(made.guest, made.hosts, elgamal_settings(max_iter=2, **PATENT)).weight_hash
    assert found == train(made, settings(frac_bits=16)).weight_hash


@pytest.mark.parametrize("kind", [{}, PATENT, {"output": "probability"}])
def test_labels_and_scores_are_those_of_the_other_scheme(kind: dict[str, Any]) -> None:
    made = parties(90, (3, 4))
    found = []
    for agreed, key in ((defaults(frac_bits=16, **kind), None), (elgamal_settings(**kind), generate_keypair())):
        trained = train(made, agreed) if key is None else inline.train(made.guest, made.hosts, agreed, ArbiterInputs("arbiter", key))
        inputs = [scoring_inputs(one, model) for one, model in zip([made.guest, *made.hosts], [trained.guest, *trained.hosts], strict=True)]
        result, _ = inline.score(inputs[0], inputs[1:], trained.arbiter, agreed)
        found.append(result)
    assert np.array_equal(found[0].labels, found[1].labels)
    if kind.get("output") == "probability":
        assert np.allclose(found[0].joint_probability, found[1].joint_probability, atol=1e-9)


def test_what_belongs_to_paillier_is_refused_by_name() -> None:
    for name, value in (("key_bits", 3072), ("test_key", True), ("row_packing", 2)):
        with pytest.raises(InputError, match="belongs to scheme paillier") as caught:
            Settings(scheme="elgamal", **{name: value})
        assert caught.value.argument == name
    with pytest.raises(InputError, match="paillier, elgamal"):
        Settings(scheme="rsa")
    assert (Settings().frac_bits, Settings(scheme="elgamal").frac_bits) == (24, 16)
    assert (Settings().bits_of_key, Settings(scheme="elgamal").bits_of_key) == (2048, 256)


def test_parties_of_different_schemes_do_not_begin() -> None:
    made = parties(16, (2, 3))
    each = {"arbiter": elgamal_settings(), "guest": defaults(), "host1": elgamal_settings()}
    with pytest.raises(ProtocolError, match="scheme"):
        run(programs(made, each, generate_keypair()))


def programs(made: Parties, agreed: Settings | dict[str, Settings], key: PrivateKey) -> dict[str, inline.Program]:
    names = inline.party_names(len(made.hosts))
    each = agreed if isinstance(agreed, dict) else dict.fromkeys(names, agreed)
    links = inline.make_links(len(made.hosts))
    return {
        "arbiter": arbiter.train(links["arbiter"], ArbiterInputs("arbiter", key), each["arbiter"]),
        "guest": guest.train(links["guest"], made.guest, each["guest"]),
        "host1": host.train(links["host1"], made.hosts[0], each["host1"]),
    }


@pytest.mark.parametrize("behind", [("guest",), ("arbiter", "host1"), ("guest", "host1", "arbiter")])
def test_a_resumed_run_ends_with_the_same_bits(behind: tuple[str, ...]) -> None:
    made, agreed, key = parties(60, (3, 2)), elgamal_settings(max_iter=4), generate_keypair()
    kept = {name: MemoryJournal() for name in inline.party_names(1)}
    whole = inline.train(made.guest, made.hosts, agreed, ArbiterInputs("arbiter", key), journals=kept)
    for name, journal in kept.items():
        journal.done = False
        if name in behind:
            journal.generations = [c for c in journal.generations if c.round <= 3]
    resumed = inline.train(made.guest, made.hosts, agreed, ArbiterInputs("arbiter", key), journals=kept)
    assert resumed.weight_hash == whole.weight_hash
    assert resumed.guest.hashes == whole.guest.hashes


# --- who sees what --------------------------------------------------------------------------------------------------


def test_the_arbiter_gets_uniform_points_and_nothing_twice() -> None:
    _, heard = listen(programs(parties(16, (2, 3)), elgamal_settings(), generate_keypair()))
    requests = [message.ciphertexts for message, _, _ in heard if isinstance(message, ms.MaskedGradient)]
    assert {request.shape[1] for request in requests} == {4}  # half a ciphertext: the number never reaches the arbiter
    points = np.concatenate(requests)
    assert len(np.unique(points, axis=0)) == len(points)


# --- lies -----------------------------------------------------------------------------------------------------------


def shifted_by_one(answer: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The first opened number one too small."""
    key = generate_keypair()
    single, generator = key.public.single, key.public.generator.point
    changed = answer.copy()
    changed[:1] = single.store(single.multiply(single.load(answer[:1]), generator))
    return changed


@pytest.mark.parametrize("occurrence", [1, 2, 4])
def test_a_lying_arbiter_is_named_with_the_step(occurrence: int) -> None:
    lie = replace(ms.OpenedGradient, occurrence=occurrence, plaintexts=shifted_by_one)
    error = refused({"arbiter": lie})
    assert (error.party, error.step) == ("arbiter", "OpenedGradient")
    assert "proof does not hold" in str(error)


def test_an_answer_to_another_request_is_named() -> None:
    kept: list[Any] = []

    def replay(answer: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        kept.append(answer)
        return kept[0]

    changes = [replace(ms.OpenedGradient, recipient="guest", occurrence=k, plaintexts=replay) for k in (1, 2)]
    error = refused({"arbiter": lambda to, message, envelope: max((c(to, message, envelope) for c in changes), key=bool)})
    assert (error.party, error.step) == ("arbiter", "OpenedGradient")


@pytest.mark.parametrize(("party", "step", "field"), [
    ("host1", ms.MaskedGradient, "ciphertexts"), ("guest", ms.Residual, "ciphertexts"), ("host1", ms.Vote, "ciphertexts"),
])  # fmt: skip
@pytest.mark.parametrize("damage", ["identity", "not canonical", "repeated", "wide"])
def test_elements_that_are_none_are_their_senders_fault(party: str, step: type[ms.Message], field: str, damage: str) -> None:
    def harm(limbs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        changed = limbs.copy()
        if damage == "identity":
            changed[0] = 0
        elif damage == "not canonical":
            changed[0, 3] |= np.uint64(1 << 63)
        elif damage == "repeated":
            changed = np.concatenate([changed[:1], changed[:-1]]) if len(changed) > 1 else np.concatenate([changed, changed])
        else:
            changed = np.concatenate([changed, changed], axis=1)
        return changed

    error = refused({party: replace(step, **{field: harm})})
    assert error.party == party


def refused(tampered: dict[str, Change]) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        run(programs(parties(16, (2, 3)), elgamal_settings(**PATENT), generate_keypair()), tampered)
    return caught.value

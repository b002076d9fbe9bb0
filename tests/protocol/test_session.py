"""Setup: settings and organisations compared, rows compared, the arbiter's key examined, all of it before round 1."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Callable
from typing import Any

import gmpy2
import numpy as np
import pytest
from support.runs import (
    Change,
    P,
    Parties,
    Q,
    listen,
    parties,
    private_key,
    refused,
    replace,
    run,
    score,
    scoring_programs,
    settings,
    train,
    training_programs,
)  # fmt: skip
from support.simulator import MemoryJournal

from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier import keys
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import InputError, ProtocolError
from vflfast.matching import ids
from vflfast.params import MAX_COUNT
from vflfast.protocol import inline, session
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.session import key_context, secret_order

N = P * Q
SIZE = lm.limb_count(512)
SMALL = parties(16, (2, 3))


# --- settings, organisations, rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["guest", "host1", "arbiter"])
@pytest.mark.parametrize(
    "changes",
    [
        {"tol": 0.001},
        {"alpha": 0.1},
        {"max_iter": 9},
        {"profile": "patent", "stop": "loss"},
        {"frac_bits": 20},
        {"output": "scores"},
        {"powers": (1, 2)},
    ],
    ids=str,
)
def test_settings_that_differ_are_named(party: str, changes: dict[str, Any]) -> None:
    error = refused(agreed=dict.fromkeys(("guest", "host1", "arbiter"), settings()) | {party: settings(**changes)})
    assert error.step == "Hello"
    assert f"{next(iter(changes))}: " in error.problem
    assert len(error.problem.split(";")) == 1


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', "[" * 100_000, "{}", '{"tol": NaN}'], ids=lambda text: text[:5])
def test_unreadable_settings_are_refused(text: str) -> None:
    error = refused({"host1": replace(ms.Hello, recipient="guest", settings=text)})
    assert (error.party, error.step) == ("host1", "Hello")


@pytest.mark.parametrize("size", [0, 15, 17, 1000])
def test_a_nonce_of_another_size_is_refused(size: int) -> None:
    assert refused({"guest": replace(ms.Hello, recipient="arbiter", nonce=bytes(size))}).party == "guest"


RUN = b"r" * 32
HELLOS: list[tuple[str, dict[str, Any], bool]] = [
    *((name, {"n_columns": n}, n == 0) for name in ("arbiter",) for n in (0, 1, 2, MAX_COUNT)),
    *((name, {"n_columns": n}, 0 < n <= MAX_COUNT) for name in ("guest", "host1") for n in (0, 1, 2, MAX_COUNT, MAX_COUNT + 1)),
    *(("guest", {"run": RUN, "newest": n}, 0 < n <= MAX_COUNT) for n in (0, 1, 2, MAX_COUNT, MAX_COUNT + 1)),
    *(("guest", {"run": bytes(size), "newest": 1}, size == 32) for size in (0, 31, 32, 33)),
    *(("guest", {"run": bytes(size)}, size == 0) for size in (0, 1, 32)),
    *(("guest", {"run": RUN, "newest": 1, "finished": n}, n < 2) for n in (0, 1, 2, 1 << 63)),
    *(("guest", {"nonce": bytes(size)}, size == 16) for size in (0, 15, 16, 17)),
]


@pytest.mark.parametrize(("name", "changes", "is_good"), HELLOS, ids=str)
def test_what_a_hello_may_say(name: str, changes: dict[str, Any], is_good: bool) -> None:
    hello = ms.Hello("somebody", bytes(16), settings().to_json(), 0 if name == "arbiter" else 3)
    if is_good:
        session._check_hello(name, dataclasses.replace(hello, **changes), settings())
        return
    session._check_hello(name, hello, settings())  # the control
    with pytest.raises(ProtocolError) as caught:
        session._check_hello(name, dataclasses.replace(hello, **changes), settings())
    assert (caught.value.party, caught.value.step) == (name, "Hello")


def test_the_session_is_the_hash_of_every_hello() -> None:
    _, heard = listen(training_programs(SMALL, settings(max_iter=1)))
    hellos = {envelope.sender: message for message, envelope, _ in heard if isinstance(message, ms.Hello)}
    digest = hashlib.sha256(b"vflfast session")
    for name in ("arbiter", "guest", "host1"):
        hello = hellos[name]
        for part in (name.encode(), hello.organisation.encode(), hello.nonce, hello.settings.encode(), hello.run, hello.inputs):
            digest.update(struct.pack("<Q", len(part)) + part)
        above = (hello.above_fifth, hello.above_half, hello.above_nine_tenths)
        digest.update(struct.pack("<6Q", hello.n_columns, hello.newest, hello.finished, *above))
        digest.update(struct.pack("<d", hello.largest))
    later = {envelope.session for message, envelope, _ in heard if not isinstance(message, ms.Hello)}
    assert later == {digest.digest()}


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_the_arbiter_must_be_another_organisation(party: str) -> None:
    made = parties(16, (2, 3))
    if party == "guest":
        made = Parties(dataclasses.replace(made.guest, organisation="arbiter"), made.hosts)
    else:
        made = Parties(made.guest, [dataclasses.replace(made.hosts[0], organisation="arbiter")])
    error = refused(made=made)
    assert (error.party, error.step) == (party, "Hello")
    assert "organisation" in error.problem
    assert run(training_programs(made, settings(simulation=True)))["guest"].n_iter == 2


def with_host(**changes: Any) -> Parties:
    return Parties(SMALL.guest, [dataclasses.replace(SMALL.hosts[0], **changes)])


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (with_host(commitment=bytes(32)), "same order"),
        (with_host(commitment=SMALL.guest.commitment[:-1] + b"x"), "same order"),
        (with_host(matrix=SMALL.hosts[0].matrix.take_rows(np.arange(15))), "has 15 rows"),
        (with_host(matrix=SMALL.hosts[0].matrix.take_rows(np.arange(1, 16)), commitment=bytes(32)), "has 15 rows"),
        (with_host(matrix=parties(17, (2, 3)).hosts[0].matrix), "has 17 rows"),
    ],
    ids=["shuffled", "one byte", "one missing", "off by one", "one more"],
)
def test_rows_that_do_not_agree_are_refused_before_round_1(made: Parties, word: str) -> None:
    seen: list[int] = []

    def watch(_: str, message: ms.Message, envelope: ms.Envelope) -> None:
        seen.append(envelope.round)

    error = refused(dict.fromkeys(("guest", "host1", "arbiter"), watch), made=made)
    assert error.step == "RowCommitment"
    assert word in error.problem or "16 rows" in error.problem
    assert max(seen) == 0


def test_the_commitment_of_shuffled_tokens_differs() -> None:
    """What the parties compare is made of their tokens in order (B10)."""
    tokens = ids.protect([f"id{k}" for k in range(16)], key=b"k" * 16)
    same = ids.commitment(tokens)
    others = [tokens[::-1], np.roll(tokens, 1, axis=0), tokens[1:], np.concatenate([tokens, tokens[:1]])]
    for other in others:
        assert refused(made=with_host(commitment=ids.commitment(other))).step == "RowCommitment"
        assert ids.commitment(other) != same


@pytest.mark.parametrize("commitment", [b"", b"x" * 31, b"x" * 33])
def test_a_commitment_is_32_bytes(commitment: bytes) -> None:
    made = Parties(dataclasses.replace(SMALL.guest, commitment=commitment), SMALL.hosts)
    with pytest.raises(InputError) as caught:
        run(training_programs(made, settings()))
    assert caught.value.argument == "commitment"


def test_who_has_a_journal_says_what_it_holds() -> None:
    journals = {name: MemoryJournal() for name in ("arbiter", "guest", "host1")}

    def said() -> set[tuple[str, bytes, int, int]]:
        _, heard = listen(training_programs(SMALL, settings(), journals))
        hellos = [(envelope.sender, message) for message, envelope, _ in heard if isinstance(message, ms.Hello)]
        return {(name, message.run, message.newest, message.finished) for name, message in hellos}

    assert said() == {(name, b"", 0, 0) for name in journals}
    held = {name: journal.held()[0] for name, journal in journals.items()}
    assert {checkpoint.round for checkpoint in held.values()} == {2}
    assert said() == {(name, checkpoint.run, 2, 0) for name, checkpoint in held.items()}


# --- the key -------------------------------------------------------------------------------------------------------


def as_limbs(values: list[int]) -> np.ndarray:
    return lm.from_ints(values, max(lm.limb_count(v.bit_length()) for v in values))


def square_divisor() -> int:
    """p²·q of exactly 512 bits, 1 modulo 4: what the proof of square-freeness is for."""
    q = gmpy2.next_prime((1 << 512) // (P >> 86) ** 2 >> 1)
    p = gmpy2.next_prime(P >> 86)
    while (p * p * q).bit_length() != 512 or p * p * q % 4 != 1:
        q = gmpy2.next_prime(q)
    return int(p * p * q)


def other_key(bits: int) -> dict[str, Any]:
    """A good key with its proof, but for another session."""
    p, q = keys.generate_primes(bits, test_sizes=True)
    return {"n": as_limbs([p * q]), "proof": as_limbs(keys.prove_square_free(p, q, b"another session"))}


def change_root(proof: np.ndarray) -> np.ndarray:
    forged = proof.copy()
    forged[3, 0] ^= np.uint64(1)
    return forged


BAD_KEYS: dict[str, Callable[[], dict[str, Any]]] = {
    "larger": lambda: other_key(640),
    "smaller": lambda: other_key(384),
    "another session's": lambda: other_key(512),
    "even": lambda: {"n": as_limbs([N + 1])},
    "3 modulo 4": lambda: {"n": as_limbs([N + 2])},
    "unrelated": lambda: {"n": as_limbs([N + 4])},
    "p squared": lambda: {"n": as_limbs([P * P])},
    "p squared q": lambda: {"n": as_limbs([square_divisor()])},
    "small factor": lambda: {"n": as_limbs([next(v * 65537 for v in range(2**511 // 65537 + 1, 2**512) if v * 65537 % 4 == 1)])},
    "prime": lambda: {"n": as_limbs([int(gmpy2.next_prime(N))])},
    "zero": lambda: {"n": np.zeros((1, SIZE), dtype=np.uint64)},
    "two": lambda: {"n": lm.from_ints([N, N], SIZE)},
    "none": lambda: {"n": np.zeros((0, SIZE), dtype=np.uint64)},
    "forged root": lambda: {"proof": change_root},
    "roots swapped": lambda: {"proof": lambda proof: proof[::-1].copy()},
    "a root missing": lambda: {"proof": lambda proof: proof[1:].copy()},
    "a root too many": lambda: {"proof": lambda proof: np.concatenate([proof, proof[:1]])},
    "roots of 1": lambda: {"proof": lambda proof: lm.from_ints([1] * len(proof), SIZE)},
    "roots plus n": lambda: {"proof": lambda proof: lm.from_ints([v + N for v in lm.to_ints(proof)], SIZE + 1)},
}


@pytest.mark.parametrize("party", ["guest", "host1"])
@pytest.mark.parametrize("bad", BAD_KEYS)
def test_a_bad_key_is_refused_by_the_data_parties(bad: str, party: str) -> None:
    error = refused({"arbiter": replace(ms.KeyAnnouncement, recipient=party, **BAD_KEYS[bad]())})
    assert (error.party, error.step) == ("arbiter", "KeyAnnouncement")
    assert str(N) not in error.problem


@pytest.mark.parametrize("bits", [384, 510, 640, 1024])
def test_a_sound_key_of_another_size_is_refused(bits: int) -> None:
    """With a good proof for this very session; the control is another sound key of the agreed size, which both parties take."""

    def announce(p: int, q: int) -> Change:
        def change(_: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
            if not isinstance(message, ms.KeyAnnouncement):
                return None
            proof = keys.prove_square_free(p, q, key_context(envelope.session))
            return [ms.to_bytes(ms.KeyAnnouncement(as_limbs([p * q]), as_limbs(proof)), envelope)]

        return change

    error = refused({"arbiter": announce(*keys.generate_primes(bits, test_sizes=True))})
    assert (error.party, error.step) == ("arbiter", "KeyAnnouncement")
    assert f"n: has {bits} bits" in error.problem
    assert refused({"arbiter": announce(*keys.generate_primes(512, test_sizes=True))}).step not in ("KeyAnnouncement", "Hello")


def test_the_proof_of_another_session_is_refused() -> None:
    """The same key with the proof that it gave in an earlier session: proofs are bound to the session."""
    earlier: list[np.ndarray] = []

    def note(_: str, message: ms.Message, envelope: ms.Envelope) -> None:
        if isinstance(message, ms.KeyAnnouncement):
            earlier.append(message.proof)

    run(training_programs(SMALL, settings(max_iter=1)), {"arbiter": note})
    error = refused({"arbiter": replace(ms.KeyAnnouncement, proof=earlier[0])})
    assert (error.party, error.step) == ("arbiter", "KeyAnnouncement")


def test_the_arbiters_own_key_must_have_the_agreed_size() -> None:
    with pytest.raises(InputError) as caught:
        inline.train(SMALL.guest, SMALL.hosts, settings(key_bits=640), ArbiterInputs("arbiter", private_key()))
    assert caught.value.argument == "key_bits"


def test_a_fresh_key_is_made_where_none_is_given() -> None:
    found: list[int] = []

    def note(_: str, message: ms.Message, envelope: ms.Envelope) -> None:
        if isinstance(message, ms.KeyAnnouncement):
            found.extend(lm.to_ints(message.n))

    for _ in range(2):
        programs = training_programs(SMALL, settings(max_iter=1))
        programs["arbiter"].close()
        programs["arbiter"] = inline.arbiter.train(inline.make_links(1)["arbiter"], ArbiterInputs("arbiter"), settings(max_iter=1))
        run(programs, {"arbiter": note})
    assert found[0] == found[1] != found[2] == found[3]
    assert all(n.bit_length() == 512 for n in found)


def test_the_work_on_the_key_is_reported_as_such() -> None:
    stages: list[tuple[str, str]] = []
    inputs = ArbiterInputs("arbiter", private_key())
    inline.train(SMALL.guest, SMALL.hosts, settings(max_iter=1), inputs, observer=lambda name, _, stage: stages.append((name, stage)))
    assert sorted(stage for stage in stages if stage[1].startswith("key ")) == [
        ("arbiter", "key proof"), ("guest", "key check"), ("host1", "key check"),
    ]  # fmt: skip


def test_a_plain_key_serves_no_subgroup_encryption() -> None:
    with pytest.raises(InputError):
        PrivateKey(P, int(gmpy2.next_prime(Q)), test_sizes=True)


# --- the secret order ------------------------------------------------------------------------------------------------


def test_the_secret_order_is_a_permutation_that_the_seed_decides() -> None:
    first, again, other = secret_order(b"a" * 32, 500), secret_order(b"a" * 32, 500), secret_order(b"b" * 32, 500)
    np.testing.assert_array_equal(first, again)
    assert sorted(first) == sorted(other) == list(range(500))
    assert (first == other).mean() < 0.05
    assert (first == np.arange(500)).mean() < 0.05


def test_the_secret_order_sorts_rows_by_a_keyed_hash() -> None:
    seed = bytes(range(32))
    keyed = {i: hashlib.blake2b(struct.pack("<Q", i), key=seed, digest_size=16).hexdigest() for i in range(500)}
    assert secret_order(seed, 500).tolist() == sorted(keyed, key=lambda i: keyed[i])


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_the_seed_of_the_order_has_32_bytes(size: int) -> None:
    with pytest.raises(InputError) as caught:
        secret_order(bytes(size), 5)
    assert caught.value.argument == "seed"


def test_every_session_has_another_order_and_another_id() -> None:
    seeds, sessions = set(), set()

    def note(_: str, message: ms.Message, envelope: ms.Envelope) -> None:
        if isinstance(message, ms.OrderSeed):
            seeds.add(message.seed)
            sessions.add(envelope.session)

    for _ in range(5):
        run(training_programs(SMALL, settings(max_iter=1)), {"guest": note})
    assert len(seeds) == len(sessions) == 5


# --- scoring: models of one run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("party", ["guest", "host1", "arbiter"])
def test_models_of_different_runs_are_refused(party: str) -> None:
    trained, other = (train(SMALL, settings()) for _ in range(2))
    mixed = {
        "guest": dataclasses.replace(trained, guest=other.guest),
        "host1": dataclasses.replace(trained, hosts=other.hosts),
        "arbiter": dataclasses.replace(trained, arbiter=other.arbiter),
    }
    with pytest.raises(ProtocolError, match="another training run") as caught:
        score(SMALL, mixed[party], settings())
    assert caught.value.step == "Hello"
    assert set(score(SMALL, trained, settings()).labels.tolist()) == {-1, 1}


def test_who_brings_a_model_says_of_which_run_and_that_it_is_finished() -> None:
    trained = train(SMALL, settings())
    _, heard = listen(scoring_programs(SMALL, trained, settings()))
    said = {(envelope.sender, message.run.hex(), message.newest, message.finished)
            for message, envelope, _ in heard if isinstance(message, ms.Hello)}  # fmt: skip
    assert said == {(name, trained.guest.session, 1, 1) for name in ("arbiter", "guest", "host1")}


def test_a_party_that_trains_has_no_model_to_score_with() -> None:
    programs = scoring_programs(SMALL, train(SMALL, settings()), settings())
    others = training_programs(SMALL, settings())
    programs["host1"], others["host1"] = others["host1"], programs["host1"]
    for program in others.values():
        program.close()
    with pytest.raises(ProtocolError, match="another training run") as caught:
        run(programs)
    assert caught.value.party == "host1"

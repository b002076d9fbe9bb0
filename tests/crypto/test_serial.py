"""Arrays and keys as bytes and files: round trips between processes, damage of every byte refused, passphrases, no secret in a pickle."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vflfast
from vflfast.crypto import passphrase, serial
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.elgamal import keyfile as elgamal_files
from vflfast.crypto.elgamal.public import PublicKey as ElGamalPublic
from vflfast.crypto.paillier import keyfile as paillier_files
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.crypto.paillier.public import PublicKey
from vflfast.errors import CiphertextError, InputError, InvalidKeyError

X = np.array([[1.5, -2.25, 3.0], [0.0, 100.0, -0.125]])


@pytest.fixture(params=["paillier", "elgamal"])
def key(request: pytest.FixtureRequest, key_of: Callable[[int], PrivateKey]) -> Any:
    return key_of(512) if request.param == "paillier" else vflfast.generate_keypair(scheme="elgamal")


def read_public(data: bytes) -> Any:
    return ElGamalPublic.from_bytes(data) if b"elgamal" in data else PublicKey.from_bytes(data, test_sizes=True)


# --- bytes -------------------------------------------------------------------------------------------------------------


def test_an_array_comes_back(key: Any) -> None:
    for values in (X, X[0], X[0, 0], np.zeros((0, 4)), X.astype(int), np.array(7)):
        wire = key.public.encrypt(values)
        again = WireArray.from_bytes(wire.to_bytes(), read_public(key.public.to_bytes()))
        assert np.array_equal(key.decrypt(again), values)
        assert (again.shape, again.frac_bits, again.precision, again.bound) == (wire.shape, wire.frac_bits, wire.precision, wire.bound)
        assert again.to_bytes() == wire.to_bytes()
    fine = key.public.encrypt([0.5], frac_bits=20)
    assert WireArray.from_bytes(fine.to_bytes(), key.public).precision == 20


def test_only_what_is_fresh_has_bytes(key: Any, tmp_path: Path) -> None:
    wire = key.public.encrypt(X)
    for result in (wire + 1, wire * 2, wire[0], wire[:], wire.T, wire.sum(), np.concatenate([wire, wire]), np.flip(wire), X @ wire.T):
        assert type(result) is CipherArray
        for leave in (lambda r: r.to_bytes(), lambda r: r.limbs):
            with pytest.raises(AttributeError, match="rerandomize"):
                leave(result)
        with pytest.raises(TypeError, match="rerandomize"):
            pickle.dumps(result)
        with pytest.raises(InputError, match="rerandomize"):
            vflfast.save_array(tmp_path / "no", result)
        assert key.public.rerandomize(result).to_bytes()
    assert type(wire.reshape(3, 2)) is type(wire.ravel()) is WireArray  # all of it, in its order
    assert not (tmp_path / "no").exists()


def test_every_damaged_byte_is_refused(key: Any) -> None:
    data, public = key.public.encrypt([1, 2]).to_bytes(), key.public.to_bytes()
    for place in range(len(data)):
        with pytest.raises(CiphertextError):
            WireArray.from_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :], key.public)
    for place in range(0, len(public), 3):
        with pytest.raises(CiphertextError):
            read_public(public[:place] + bytes([public[place] ^ 1]) + public[place + 1 :])
    for cut in (0, 1, 9, 40, len(data) - 1):
        for part in (data[:cut], data[cut + 1 :], data + b"x" * (cut + 1)):
            with pytest.raises(CiphertextError):
                WireArray.from_bytes(part, key.public)
    for wrong in (None, "text", 5, np.zeros(3), public):
        with pytest.raises(CiphertextError):
            WireArray.from_bytes(wrong, key.public)
    with pytest.raises(CiphertextError):
        read_public(data)


FORGED: list[dict[str, Any]] = [
    {"kind": "thing"}, {"key": "0" * 16}, {"key": None}, {"shape": [3]}, {"shape": [-1]}, {"shape": 2}, {"shape": [True, 2]},
    {"shape": [1.0]}, {"shape": [1] * 40}, {"shape": [1 << 40]}, {"shape": [0]}, {"frac_bits": -1}, {"frac_bits": "8"}, {"frac_bits": 5000},
    {"precision": None}, {"precision": True}, {"bound": 5}, {"bound": "-1"}, {"bound": ""}, {"bound": "zz"}, {"bound": "f" * 3000},
    {"bound": "\u0663"}, {"limbs": 0}, {"limbs": 1}, {"limbs": 999},
]  # fmt: skip


@pytest.mark.parametrize("change", FORGED, ids=str)
def test_a_header_with_a_sound_checksum_is_checked_too(change: dict[str, Any], key: Any) -> None:
    wire = key.public.encrypt([1, 2])
    header, body = serial.unsealed(wire.to_bytes())
    assert WireArray.from_bytes(serial.sealed(header, bytes(body)), key.public).shape == (2,)
    with pytest.raises(InputError):
        WireArray.from_bytes(serial.sealed(header | change, bytes(body)), key.public)


def test_ciphertexts_are_validated_as_received_ones(key: Any) -> None:
    wire = key.public.encrypt([1, 2])
    header, body = serial.unsealed(wire.to_bytes())
    half = len(body) // 2
    for ciphertexts in (bytes(len(body)), bytes(body[:half]) * 2, b"\xff" * len(body)):
        with pytest.raises(CiphertextError):
            WireArray.from_bytes(serial.sealed(header, ciphertexts), key.public)


def test_another_version_says_so(key: Any) -> None:
    data = bytearray(key.public.encrypt([1]).to_bytes())
    data[4] += 1
    newer = bytes(data[:-32]) + hashlib.sha256(data[:-32]).digest()
    with pytest.raises(CiphertextError, match="version 2"):
        WireArray.from_bytes(newer, key.public)


def test_version_1_is_read_for_good(vectors: Path) -> None:
    """Bytes that version 0.2 of the package wrote."""
    kept = json.loads((vectors / "serial_1.json").read_text())
    for scheme in ("paillier", "elgamal"):
        public = vflfast.public_key_from_bytes(bytes.fromhex(kept[scheme]["public"]))
        array = WireArray.from_bytes(bytes.fromhex(kept[scheme]["array"]), public)
        primes = json.loads((vectors / "test_key_2048.json").read_text())
        private = (
            vflfast.PrivateKey(int(primes["p"], 16), int(primes["q"], 16)) if scheme == "paillier"
            else type(vflfast.generate_keypair(scheme="elgamal"))(int(kept[scheme]["s"], 16))
        )  # fmt: skip
        assert private.public == public
        assert private.decrypt(array).tolist() == X.tolist()


def test_keys_of_other_kinds_are_refused(key: Any) -> None:
    with pytest.raises(CiphertextError):
        vflfast.public_key_from_bytes(serial.sealed({"kind": "public key", "scheme": "rsa"}))
    header, _ = serial.unsealed(key.public.to_bytes())
    for change in ({"n": "0", "h": "0"}, {"n": 5, "h": 5}, {"extra": 1}, {"n": "f" * 400, "h": "f" * 100}):
        fields = {name: value for name, value in change.items() if name in header or name == "extra"}
        with pytest.raises(InputError):
            read_public(serial.sealed(header | fields))
    with pytest.raises(CiphertextError):
        read_public(serial.sealed(header, b"more"))


# --- files -------------------------------------------------------------------------------------------------------------


def test_files_are_mapped_and_read_in_parts(key: Any, tmp_path: Path) -> None:
    path = tmp_path / "numbers.vfl"
    values = np.arange(60.0).reshape(20, 3)
    vflfast.save_array(path, key.public.encrypt(values))
    stored = vflfast.open_array(path, key.public)
    assert (stored.shape, len(stored)) == ((20, 3), 20)
    assert isinstance(stored._limbs, np.memmap)
    for index in (slice(2, 5), 7, (slice(None), 1), [3, 3, 0], values % 2 == 0, (0, 0)):
        assert np.array_equal(key.decrypt(stored[index]), values[index])
        assert type(stored[index]) is CipherArray  # which rows were chosen is not shown
    assert np.array_equal(key.decrypt(vflfast.load_array(path, key.public)), values)
    assert np.array_equal(key.decrypt(stored.read().reshape(-1)[4:9]), values.ravel()[4:9])
    vflfast.save_array(path, key.public.encrypt(np.arange(5)))
    assert key.decrypt(vflfast.open_array(path, key.public)[1:3]).tolist() == [1, 2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.vfl"]
    vflfast.save_array(path, key.public.encrypt(np.zeros(0)))
    assert vflfast.load_array(path, key.public).shape == (0,)
    assert path.read_bytes() == vflfast.load_array(path, key.public).to_bytes()


def test_damaged_files_are_refused(key: Any, tmp_path: Path) -> None:
    path = tmp_path / "numbers.vfl"
    vflfast.save_array(path, key.public.encrypt(X))
    data = path.read_bytes()
    flipped = [data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :] for place in (200, len(data) - 1)]
    for broken in (b"", data[:5], data[:-1], data + b"x", *flipped):
        path.write_bytes(broken)
        with pytest.raises(CiphertextError):
            vflfast.open_array(path, key.public)
    for absent in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="path"):
            vflfast.open_array(absent, key.public)
    with pytest.raises(InputError, match="path"):
        vflfast.save_array(tmp_path / "no" / "folder", key.public.encrypt(X))
    path.write_bytes(data)
    with pytest.raises(CiphertextError, match="belongs to key"):
        vflfast.open_array(path, vflfast.generate_keypair(scheme="elgamal").public)


# --- other processes ------------------------------------------------------------------------------------------------------


def doubled(public: Any, part: WireArray) -> WireArray:
    return public.rerandomize(part * 2)  # type: ignore[no-any-return]


def test_other_processes_take_keys_and_arrays(key: Any) -> None:
    """As joblib and concurrent.futures hand them over: pickled, in processes that share nothing."""
    key.public.precompute(2)
    parts = [key.public.encrypt(row) for row in X]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(doubled, [key.public] * 2, parts))
    assert np.array_equal(key.decrypt(np.stack(made)), 2 * X)
    assert len({limbs.tobytes() for part in (*parts, *made) for limbs in part.limbs}) == 12


def test_private_keys_are_not_pickled_and_public_ones_without_secrets(key: Any) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(key)
    key.public.precompute(3)
    data = pickle.dumps(key.public)
    other = pickle.loads(data)
    assert other == key.public
    assert pickle.loads(data) is other  # its tables serve all that comes to this process
    assert len(data) < 600  # the parameter and names: no base, no table, no randomness
    assert other.precomputed() == 0
    assert key.public.precomputed() == 3
    assert getattr(other, "_base_value", None) is None


PROGRAM = """
import sys, vflfast
from vflfast import WireArray
public = vflfast.public_key_from_bytes(bytes.fromhex(sys.argv[1]))
array = WireArray.from_bytes(bytes.fromhex(sys.stdin.read()), public)
print(public.rerandomize(array * 0.5 + 1).to_bytes().hex())
"""


def test_bytes_between_programs(vectors: Path) -> None:
    primes = json.loads((vectors / "test_key_2048.json").read_text())
    for key in (vflfast.PrivateKey(int(primes["p"], 16), int(primes["q"], 16)), vflfast.generate_keypair(scheme="elgamal")):
        sent, public = key.public.encrypt(X).to_bytes().hex(), key.public.to_bytes().hex()
        ran = subprocess.run([sys.executable, "-c", PROGRAM, public], input=sent, capture_output=True, text=True, check=True, timeout=120)
        assert np.array_equal(key.decrypt(WireArray.from_bytes(bytes.fromhex(ran.stdout), key.public)), X * 0.5 + 1)


# --- private keys under a passphrase --------------------------------------------------------------------------------------

PHRASE = "correct horse battery"


def saved(key: Any, path: Path, passphrase: str | None) -> None:
    if isinstance(key, PrivateKey):
        paillier_files.save_private_key(path, *key.primes, test_sizes=True, passphrase=passphrase)
    else:
        elgamal_files.save_private_key(path, key, passphrase=passphrase)


def loaded(key: Any, path: Path, passphrase: str | None) -> Any:
    if isinstance(key, PrivateKey):
        return PrivateKey(*paillier_files.load_private_key(path, test_sizes=True, passphrase=passphrase), test_sizes=True)
    return elgamal_files.load_private_key(path, passphrase=passphrase)


def secret_of(key: Any) -> str:
    return f"{key.primes[0] if isinstance(key, PrivateKey) else key.secret:x}"


def test_a_passphrase_opens_its_file_and_no_other_does(key: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    saved(key, path, PHRASE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_of(key) not in path.read_text()
    assert loaded(key, path, PHRASE).public == key.public
    for wrong in (None, "", PHRASE + " ", PHRASE.upper()):
        with pytest.raises(InvalidKeyError) as caught:
            loaded(key, path, wrong)
        assert caught.value.argument == "passphrase"
    document = json.loads(path.read_text())
    other = json.loads(path.read_text()) | {"fingerprint": "0" * 16}
    for change in (
        other, document | {"sealed": document["sealed"][:-2]}, document | {"sealed": "zz"}, document | {"salt": "00"},
        document | {"kdf": "md5"}, document | {"memory": 1 << 40}, document | {"operations": 0}, document | {"operations": True},
        document | {"more": 1}, {name: value for name, value in document.items() if name != "salt"}, document | {"version": 9},
    ):  # fmt: skip
        path.write_text(json.dumps(change))
        with pytest.raises(InvalidKeyError) as caught:
            loaded(key, path, PHRASE)
        assert PHRASE not in str(caught.value)


def test_short_passphrases_are_refused_and_plain_files_need_none(key: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidKeyError, match="8 characters"):
        saved(key, tmp_path / "short.key", "seven..")
    assert not (tmp_path / "short.key").exists()
    saved(key, tmp_path / "plain.key", None)
    assert loaded(key, tmp_path / "plain.key", PHRASE).public == key.public


def test_a_sealed_secret_opens_with_its_own_head_only() -> None:
    head, secret = {"format": "key", "version": 1, "fingerprint": "ab"}, {"p": "7"}
    sealed = passphrase.seal(secret, head, PHRASE)
    assert passphrase.unseal(sealed, head, PHRASE) == secret
    for other in ({**head, "fingerprint": "ac"}, {**head, "version": 2}, {}):
        with pytest.raises(InvalidKeyError, match="does not open"):
            passphrase.unseal(sealed, other, PHRASE)

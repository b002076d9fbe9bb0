"""Key files: written closed to others, read back whole, and refused when anything about them is off."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vflfast.crypto.paillier.keyfile import load_private_key, load_public_key, save_private_key, save_public_key
from vflfast.crypto.paillier.keys import fingerprint, prove_square_free
from vflfast.errors import InvalidKeyError
from vflfast.params import MAX_KEY_FILE_BYTES

Primes = tuple[int, int]
CONTEXT = b"session 5f1d, arbiter"


@pytest.fixture
def private(tmp_path: Path, primes256: Primes) -> Path:
    path = tmp_path / "key.json"
    save_private_key(path, *primes256, test_sizes=True)
    return path


@pytest.fixture
def public(tmp_path: Path, primes256: Primes) -> Path:
    path = tmp_path / "key.pub"
    save_public_key(path, math.prod(primes256), proof=prove_square_free(*primes256, CONTEXT), test_sizes=True)
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def refused(path: object, loader: Callable[..., object] = load_private_key, **settings: Any) -> str:
    with pytest.raises(InvalidKeyError) as caught:
        loader(path, test_sizes=True, **settings)
    return caught.value.argument


# --- private keys ------------------------------------------------------------------------------------------------


def test_private_key_comes_back(private: Path, primes256: Primes) -> None:
    assert load_private_key(private, test_sizes=True) == primes256
    assert json.loads(private.read_text())["fingerprint"] == fingerprint(math.prod(primes256))


def test_a_full_size_key_needs_no_switch(tmp_path: Path, primes2048: Primes) -> None:
    save_private_key(tmp_path / "key", *primes2048)
    assert load_private_key(str(tmp_path / "key")) == primes2048


def test_only_the_owner_can_read_it_whatever_the_umask(tmp_path: Path, primes256: Primes) -> None:
    before = os.umask(0)
    try:
        save_private_key(tmp_path / "key", *primes256, test_sizes=True)
        save_private_key(tmp_path / "key", *primes256, overwrite=True, test_sizes=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_an_existing_file_is_kept_unless_asked(private: Path, primes256: Primes, primes512: Primes) -> None:
    with pytest.raises(InvalidKeyError, match="overwrite") as caught:
        save_private_key(private, *primes512, test_sizes=True)
    assert caught.value.argument == "path"
    assert load_private_key(private, test_sizes=True) == primes256
    save_private_key(private, *primes512, overwrite=True, test_sizes=True)
    assert load_private_key(private, test_sizes=True) == primes512
    assert os.listdir(private.parent) == [private.name]


def test_saving_never_writes_through_a_link(tmp_path: Path, primes256: Primes) -> None:
    target, link = tmp_path / "elsewhere", tmp_path / "key"
    target.write_text("untouched")
    link.symlink_to(target)
    with pytest.raises(InvalidKeyError):
        save_private_key(link, *primes256, test_sizes=True)
    save_private_key(link, *primes256, overwrite=True, test_sizes=True)
    assert target.read_text() == "untouched"
    assert not link.is_symlink()


def test_a_failed_overwrite_leaves_no_draft(tmp_path: Path, primes256: Primes) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidKeyError) as caught:
        save_private_key(tmp_path / "folder", *primes256, overwrite=True, test_sizes=True)
    assert caught.value.argument == "path"
    assert os.listdir(tmp_path) == ["folder"]


def test_saving_checks_the_key_first(tmp_path: Path, primes256: Primes) -> None:
    p, q = primes256
    for bad in ((p, p), (p, q + 2), (p, None)):
        with pytest.raises(InvalidKeyError):
            save_private_key(tmp_path / "key", *bad, test_sizes=True)  # type: ignore[arg-type]
    with pytest.raises(InvalidKeyError, match="not offered"):
        save_private_key(tmp_path / "key", p, q)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", [None, 3, True, "", b"key", "a\0b", ["key"]])
def test_path_must_be_a_path(path: object, primes256: Primes) -> None:
    assert refused(path) == "path"
    with pytest.raises(InvalidKeyError) as caught:
        save_private_key(path, *primes256, test_sizes=True)  # type: ignore[arg-type]
    assert caught.value.argument == "path"


def test_no_such_place(tmp_path: Path, primes256: Primes) -> None:
    assert refused(tmp_path / "none") == "path"
    with pytest.raises(InvalidKeyError) as caught:
        save_private_key(tmp_path / "none" / "key", *primes256, test_sizes=True)
    assert caught.value.argument == "path"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o601, 0o620, 0o602, 0o644, 0o666, 0o777])
def test_a_file_open_to_others_is_refused(private: Path, mode: int) -> None:
    private.chmod(mode)
    assert refused(private) == "path"
    private.chmod(0o400)
    load_private_key(private, test_sizes=True)


def test_links_folders_and_pipes_are_refused(private: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(private)
    assert refused(tmp_path / "link") == "path"
    assert refused(tmp_path) == "path"
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidKeyError, match="path: is not a regular file"):
        load_private_key(tmp_path / "pipe", test_sizes=True)  # and does not wait for a writer


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(private: Path) -> None:
    os.chown(private, 12345, -1)
    assert refused(private) == "path"


def test_every_truncation_is_refused(private: Path) -> None:
    data = private.read_bytes().rstrip()
    for length in range(len(data)):
        private.write_bytes(data[:length])
        assert refused(private) == "path"


def test_every_flipped_bit_is_refused(private: Path, primes256: Primes) -> None:
    data = private.read_bytes()
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            private.write_bytes(changed)
            try:
                loaded = load_private_key(private, test_sizes=True)
            except InvalidKeyError:
                continue
            assert loaded == primes256, "only white space may change unseen"
            assert data[position : position + 1].isspace()


CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "fingerprint of another key": ("fingerprint", lambda d: d.update(fingerprint="0" * 16)),
    "fingerprint cut": ("fingerprint", lambda d: d.update(fingerprint=d["fingerprint"][:-1])),
    "fingerprint null": ("fingerprint", lambda d: d.update(fingerprint=None)),
    "version 0": ("version", lambda d: d.update(version=0)),
    "version 2": ("version", lambda d: d.update(version=2)),
    "version true": ("version", lambda d: d.update(version=True)),
    "version 1.0": ("version", lambda d: d.update(version=1.0)),
    "version text": ("version", lambda d: d.update(version="1")),
    "format of a public key": ("format", lambda d: d.update(format="vflfast public key")),
    "format null": ("format", lambda d: d.update(format=None)),
    "extra field": ("path", lambda d: d.update(comment="mine")),
    "p missing": ("p", lambda d: d.pop("p")),
    "q missing": ("q", lambda d: d.pop("q")),
    "version missing": ("version", lambda d: d.pop("version")),
    "format missing": ("format", lambda d: d.pop("format")),
    "fingerprint missing": ("fingerprint", lambda d: d.pop("fingerprint")),
    "p number": ("p", lambda d: d.update(p=int(d["p"], 16))),
    "p null": ("p", lambda d: d.update(p=None)),
    "p empty": ("p", lambda d: d.update(p="")),
    "p prefixed": ("p", lambda d: d.update(p="0x" + d["p"])),
    "p padded": ("p", lambda d: d.update(p="0" + d["p"])),
    "p upper case": ("p", lambda d: d.update(p="A" + d["p"])),
    "p signed": ("p", lambda d: d.update(p="-" + d["p"])),
    "p spaced": ("p", lambda d: d.update(p=d["p"] + "\n")),
    "p underscored": ("p", lambda d: d.update(p=d["p"][:3] + "_" + d["p"][3:])),
    "q list": ("q", lambda d: d.update(q=[d["q"]])),
    "q of another key": ("fingerprint", lambda d: d.update(q=d["q"][:-1] + ("3" if d["q"][-1] == "7" else "7"))),
    "p twice": ("q", lambda d: d.update(q=d["p"], fingerprint=fingerprint(int(d["p"], 16) ** 2))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_field_is_named(private: Path, change: str) -> None:
    field, edit = CHANGES[change]
    rewrite(private, edit)
    assert refused(private) == field


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"p"', "[" * 50_000, "{" * 10, "\xff", '{"p": "3", "p": "5"}'])
def test_other_texts_are_refused(private: Path, text: str) -> None:
    private.write_text(text, encoding="latin-1")
    assert refused(private) == "path"


def test_a_field_given_twice_is_refused(private: Path) -> None:
    text = private.read_text()
    private.write_text(text.replace('"p":', '"p": "7",\n "p":'))
    assert refused(private) == "path"


def test_a_huge_file_is_refused(private: Path) -> None:
    private.write_text(private.read_text() + " " * MAX_KEY_FILE_BYTES)
    assert refused(private) == "path"


def test_errors_hold_no_digits_of_the_key(private: Path) -> None:
    document = json.loads(private.read_text())
    private.write_text(private.read_text()[:-3] + ",")
    with pytest.raises(InvalidKeyError) as caught:
        load_private_key(private, test_sizes=True)
    assert document["p"][:12] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None  # the parser's error would quote the file


def test_subgroup_keys_and_plain_keys(tmp_path: Path, vectors: Path) -> None:
    key = json.loads((vectors / "iso18033_6.json").read_text())
    p, q = int(key["p"], 16), int(key["q"], 16)
    with pytest.raises(InvalidKeyError, match="gcd"):
        save_private_key(tmp_path / "key", p, q)
    save_private_key(tmp_path / "key", p, q, subgroup=False)
    assert load_private_key(tmp_path / "key", subgroup=False) == (p, q)
    with pytest.raises(InvalidKeyError, match="gcd"):
        load_private_key(tmp_path / "key")


# --- public keys -------------------------------------------------------------------------------------------------


def test_public_key_comes_back(public: Path, primes256: Primes) -> None:
    assert load_public_key(public, test_sizes=True) == math.prod(primes256)
    assert load_public_key(public, context=CONTEXT, test_sizes=True) == math.prod(primes256)


def test_the_proof_in_the_file_is_verified(public: Path, primes256: Primes) -> None:
    assert refused(public, load_public_key, context=b"another session") == "proof"
    rewrite(public, lambda d: d["proof"].reverse())
    assert refused(public, load_public_key, context=CONTEXT) == "proof"
    save_public_key(public, math.prod(primes256), overwrite=True, test_sizes=True)
    assert refused(public, load_public_key, context=CONTEXT) == "proof"
    assert load_public_key(public, test_sizes=True) == math.prod(primes256)


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", None), ("n", "0"), ("proof", "3"), ("proof", [3]), ("proof", {}), ("version", 9), ("format", "vflfast private key")],
)
def test_a_changed_public_field_is_named(public: Path, field: str, value: object) -> None:
    rewrite(public, lambda d: d.update({field: value}))
    assert refused(public, load_public_key) == field


def test_a_weak_modulus_is_refused_on_the_way_in(public: Path) -> None:
    weak = 15 * (1 << 252) + 1
    rewrite(public, lambda d: d.update(n=f"{weak * 3:x}", fingerprint=fingerprint(weak * 3)))
    assert refused(public, load_public_key) == "n"


@pytest.mark.parametrize("proof", [(), "3", [True], [0], [-3], ["3"], [None]])
def test_a_malformed_proof_is_not_written(tmp_path: Path, primes256: Primes, proof: Any) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        save_public_key(tmp_path / "key", math.prod(primes256), proof=proof, test_sizes=True)
    assert caught.value.argument == "proof"


def test_a_private_key_is_not_a_public_key(private: Path, public: Path) -> None:
    public.chmod(0o600)
    assert refused(private, load_public_key) == refused(public, load_private_key) == "format"

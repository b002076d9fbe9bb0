"""The other scheme from the command line: in one process, in three, with a key file; what it cannot do is said."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.jobs import SMALL_KEY, refused, sections, succeeded, write_job, write_tables

from vflfast.cli import main
from vflfast.errors import InvalidKeyError
from vflfast.jobs import job as jobs
from vflfast.jobs import jobfile

PHRASE = "correct horse battery"


def job(folder: Path, **changes: Any) -> Path:
    write_tables(folder)
    made = sections(folder, settings={"max_iter": 3}, **changes)
    del made["arbiter"]["key_file"]
    return write_job(folder, made)


def test_a_run_in_one_process_and_in_three_has_the_hash_of_the_twin_and_of_paillier(tmp_path: Path) -> None:
    file = job(tmp_path, run={})
    other = ["train", file, "--json", "--set", "frac_bits=16", "--models"]
    expected = json.loads(succeeded(*other, tmp_path / "p", *SMALL_KEY).stdout)["summary"]["weight_hash"]
    by_points = ["train", file, "--scheme", "elgamal", "--verify", "--json", "--models", tmp_path / "e"]
    trained = json.loads(succeeded(*by_points).stdout)["summary"]
    assert (trained["weight_hash"], trained["verified_rounds"]) == (expected, trained["rounds"])
    launched = json.loads(succeeded("launch", file, "--scheme", "elgamal", "--folder", tmp_path / "run", "--plaintext", "--json").stdout)
    assert launched["weight_hash"] == expected


def test_a_kept_key_is_used_and_belongs_to_its_scheme(tmp_path: Path) -> None:
    path = tmp_path / "points.key"
    made = json.loads(succeeded("keygen", "--out", path, "--scheme", "elgamal", "--json").stdout)
    assert (made["scheme"], made["key_bits"]) == ("elgamal", 256)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = job(tmp_path, arbiter={"organisation": "notary", "key_file": "points.key"})
    file.write_text(file.read_text().replace("[arbiter]", '[arbiter]\nkey_file = "points.key"', 1))
    succeeded("train", file, "--scheme", "elgamal", "--models", tmp_path / "models")
    assert "format: must be 'vflfast private key'" in refused("train", file, "--models", tmp_path / "more")


def test_what_it_cannot_do_is_said(tmp_path: Path) -> None:
    assert "row_packing" in refused("train", job(tmp_path), "--scheme", "elgamal", "--set", "row_packing=2")
    assert "belongs to scheme paillier" in refused("train", job(tmp_path), "--scheme", "elgamal", "--key-bits", 3072)
    assert "one size" in refused("keygen", "--out", tmp_path / "k", "--scheme", "elgamal", "--key-bits", 2048)


@pytest.mark.parametrize("scheme", ["paillier", "elgamal"])
def test_an_encrypted_key_file_opens_with_its_passphrase_only(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept.key"
    asked = CliRunner().invoke(main, ["keygen", "--out", str(path), "--scheme", scheme, "--encrypt", "--json"], input=2 * f"{PHRASE}\n")
    assert asked.exit_code == 0
    assert PHRASE not in asked.output
    assert '"sealed"' in path.read_text()
    write_tables(tmp_path)
    made = sections(tmp_path, settings={"scheme": scheme, "max_iter": 2})
    made["arbiter"]["key_file"] = "kept.key"
    job = jobfile.read_job(write_job(tmp_path, made))
    for given, said in ((None, "is needed"), (PHRASE[1:], "does not open")):
        if given:
            monkeypatch.setenv("VFLFAST_KEY_PASSPHRASE", given)
        with pytest.raises(InvalidKeyError, match=said):
            jobs.arbiter_inputs(job)
    monkeypatch.setenv("VFLFAST_KEY_PASSPHRASE", PHRASE)
    private = jobs.arbiter_inputs(job).private
    assert private is not None
    assert private.public.fingerprint == json.loads(asked.stdout)["fingerprint"]
    succeeded("keygen", "--out", tmp_path / "second.key", "--scheme", scheme, "--encrypt")  # nothing is asked: the variable has it
    monkeypatch.setenv("VFLFAST_KEY_PASSPHRASE", "short")
    assert "8 characters" in refused("keygen", "--out", tmp_path / "third.key", "--scheme", scheme, "--encrypt")

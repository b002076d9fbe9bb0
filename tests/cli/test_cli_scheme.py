"""The other scheme from the command line: in one process, in three, with a key file; what it cannot do yet is said."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from support.jobs import SMALL_KEY, refused, sections, succeeded, write_job, write_tables


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
    assert "not predicted yet" in refused("plan", "--rows", 1000, "--guest-columns", 3, "--host-columns", 4, "--scheme", "elgamal")
    assert "belongs to scheme paillier" in refused("train", job(tmp_path), "--scheme", "elgamal", "--key-bits", 3072)
    assert "one size" in refused("keygen", "--out", tmp_path / "k", "--scheme", "elgamal", "--key-bits", 2048)

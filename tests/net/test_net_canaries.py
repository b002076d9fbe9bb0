"""D7 between processes: planted ids, cells, labels, weights and keys are in no byte between the parties, in no file but their owner's, and
in no line that is said, in a run that ends well, in scoring, and in one that ends with an error. Without TLS, which has to be asked for:
the recorder sees what would be inside it.
"""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w
from support import parties as party_folders
from support.jobs import P, Q, write_tables
from support.proxy import Proxy

from vflfast.tables.toml import read_toml

ROLES = party_folders.ROLES
ID, LEVEL, NUMBER = "canary-customer", "canary-level", 98765.4375
AGREED = {"key_bits": 512, "test_key": True, "max_iter": 3, "simulation": True}
JOURNALS = {f"{role}: {name}" for role in ("guest", "host1") for name in ("checkpoint", "checkpoint.previous")}  # each its owner's weights
KEY = bytes(range(32))  # of the ids, as `made_jobs.sections` makes it


def plant(table: pd.DataFrame, _: np.ndarray) -> None:
    """Ids, a level and a number that are met nowhere else."""
    table["customer"] = [text.replace("customer", ID) for text in table["customer"]]
    prefix = table.columns[1].partition("_")[0]
    table[f"{prefix}_trade"] = [text.replace("smith", LEVEL) for text in table[f"{prefix}_trade"]]
    table.loc[::7, f"{prefix}_level"] = NUMBER


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder, change=plant)
    return folder


@contextmanager
def recorded(home: Path) -> Iterator[list[Proxy]]:
    """Lead every party's calls through a proxy before the port of the party that it calls."""
    proxies = {}
    try:
        for role in ROLES:
            proxies[role] = Proxy(read_toml(home / role / "fed.toml")[role]["address"] if role != "host1" else host_address(home))
        for role in ROLES:
            path = home / role / "fed.toml"
            data = read_toml(path)
            for other in set(ROLES) - {role}:
                section = data["hosts"][0] if other == "host1" else data[other]
                section["address"] = proxies[other].address
            path.write_text(tomli_w.dumps(data), encoding="utf-8")
        yield list(proxies.values())
    finally:
        for proxy in proxies.values():
            proxy.close()


def host_address(home: Path) -> str:
    return str(read_toml(home / "host1" / "fed.toml")["hosts"][0]["address"])


def secrets_of_tables() -> dict[str, bytes]:
    patterns = {"id": ID.encode(), "level": LEVEL.encode(), "number": struct.pack("<d", NUMBER), "number as text": b"98765.4"}
    patterns |= {"id key": KEY, "id key as text": KEY.hex().encode()}
    for name, prime in (("p", P), ("q", Q)):
        patterns |= {name: prime.to_bytes(32, "little"), f"{name}, big-endian": prime.to_bytes(32, "big")}
        patterns |= {f"{name} as text": str(prime).encode(), f"{name} in hex": f"{prime:x}".encode()}
    return patterns


def weights_of(home: Path, role: str) -> dict[str, bytes]:
    """A party's weights as float64 and as text, without those that are too short to be met by chance."""
    saved = json.loads((home / role / "models" / f"{role}.json").read_text())
    values = [value for value in (*saved["weights"], saved["intercept"]) if len(repr(value)) > 10]
    assert len(values) >= 3
    found = {f"{role}'s weight {i}": struct.pack("<d", value) for i, value in enumerate(values)}
    return found | {f"{role}'s weight {i} as text": repr(value)[:12].encode() for i, value in enumerate(values)}


def labels_of(home: Path) -> dict[str, bytes]:
    """The guest's labels in the order of its file, as bytes and as bits."""
    with (home / "guest" / "guest.csv").open() as stream:
        labels = np.array([int(row["bought"]) for row in csv.DictReader(stream)], dtype=np.uint8)
    signs = 2 * labels.astype(np.int8) - 1
    return {"labels": labels[:32].tobytes(), "labels ±1": signs[:32].tobytes(), "bits": np.packbits(labels)[:8].tobytes()}


def hits(patterns: dict[str, bytes], data: bytes) -> list[str]:
    return [name for name, pattern in patterns.items() if pattern in data]


def own(path: Path, role: str) -> bool:
    """Whether a file is the party's table, key or model."""
    return path.name in (f"{role}.csv", "ids.key", "arbiter.key", f"{role}.json", "labels.csv")


def files_of(home: Path, role: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (home / role).rglob("*") if path.is_file()}


def found_in(home: Path, patterns: dict[str, bytes], ended: dict[str, Any], proxies: list[Proxy]) -> list[tuple[str, str]]:
    """Where a pattern is: on the wire, in what is said, in a file that is not its owner's."""
    places = {"wire": b"".join(bytes(proxy.seen) for proxy in proxies)}
    places |= {f"said by {role}": f"{one.stdout}{one.stderr}".encode() for role, one in ended.items()}
    for role in ROLES:
        places |= {f"{role}: {path.name}": data for path, data in files_of(home, role).items() if not own(path, role)}
    return [(place, name) for place, data in places.items() for name in hits(patterns, data)]


def test_nothing_planted_is_between_processes_or_in_their_files(source: Path, tmp_path: Path) -> None:
    home = party_folders.set_up(tmp_path, source, plaintext=True, settings=AGREED)
    with recorded(home) as proxies:
        ended = party_folders.run(home, {role: ["--json"] for role in ROLES})
        assert all(one.returncode == 0 for one in ended.values()), [one.stderr for one in ended.values()]
        patterns, weights = secrets_of_tables() | labels_of(home), weights_of(home, "guest") | weights_of(home, "host1")
        assert found_in(home, patterns, ended, proxies) == []
        assert {place for place, _ in found_in(home, weights, ended, proxies)} <= JOURNALS
        for role, other in (("guest", "host1"), ("host1", "guest"), ("arbiter", "guest"), ("arbiter", "host1")):
            assert hits(weights_of(home, other), b"".join(files_of(home, role).values())) == [], (role, other)
        options: dict[str, list[object]] = {role: ["--score"] for role in ROLES}
        options["guest"] += ["--out", home / "guest" / "labels.csv"]
        ended = party_folders.run(home, options)
        assert all(one.returncode == 0 for one in ended.values()), [one.stderr for one in ended.values()]
        assert found_in(home, patterns, ended, proxies) == []
        assert {place for place, _ in found_in(home, weights, ended, proxies)} <= JOURNALS
        control = {"organisation": b"bank", "role": b"host1", "settings": b'"max_iter"', "magic": b"VFLF"}
        assert hits(control, b"".join(bytes(proxy.seen) for proxy in proxies)) == list(control)


def test_control_what_is_planted_where_it_goes_out_is_found(source: Path, tmp_path: Path) -> None:
    """The bank's name begins as its ids do; and its own model holds its levels."""
    home = party_folders.set_up(tmp_path, source, plaintext=True, settings=AGREED)
    path = home / "guest" / "fed.toml"
    data = read_toml(path)
    data["guest"]["organisation"] = f"{ID}-0-0001"
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    with recorded(home) as proxies:
        ended = party_folders.run(home, {role: ["--json"] for role in ROLES})
        assert all(one.returncode == 0 for one in ended.values()), [one.stderr for one in ended.values()]
        assert ("wire", "id") in found_in(home, secrets_of_tables(), ended, proxies)
    assert hits(secrets_of_tables(), (home / "guest" / "models" / "guest.json").read_bytes()) != []


def spoil(home: Path, case: str) -> str:
    """Make a party's run end in an error that has to do with a canary; whose it is."""
    if case == "id twice":
        path = home / "guest" / "guest.csv"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines, lines[1]]) + "\n")
        return "guest"
    if case == "text among labels":
        path = home / "guest" / "guest.csv"
        table = pd.read_csv(path, dtype=str)
        table.loc[5, "bought"] = LEVEL
        table.to_csv(path, index=False)
        return "guest"
    path = home / "arbiter" / "arbiter.key"
    path.write_text(path.read_text().replace(f"{P:x}", f"{P + 2:x}"))
    return "arbiter"


@pytest.mark.parametrize("case", ["id twice", "text among labels", "damaged key"])
def test_nothing_planted_is_told_of_an_error(case: str, source: Path, tmp_path: Path) -> None:
    home = party_folders.set_up(tmp_path / "error", source, plaintext=True, settings=AGREED)
    culprit = spoil(home, case)
    for role in ROLES:
        path = home / role / "fed.toml"  # who ends first stays for those that begin late
        path.write_text(path.read_text().replace("heartbeat = 0.2", "heartbeat = 4.0").replace("linger = 5.0", "linger = 60.0"))
    with recorded(home) as proxies:
        ended = party_folders.run(home, {role: [] for role in ROLES})
        assert {role: one.returncode != 0 for role, one in ended.items()} == dict.fromkeys(ROLES, True)
        patterns = secrets_of_tables() | {"p + 2": f"{P + 2:x}".encode()}
        assert found_in(home, patterns, ended, proxies) == []
        assert all(one.stderr.splitlines()[-1].startswith("vflfast: ") for one in ended.values())
        for one in ended.values():
            assert culprit in one.stderr.splitlines()[-1]
        control = {"step": b"read tables" if culprit == "guest" else b"key"}
        assert "wire" in {place for place, _ in found_in(home, control, ended, proxies)}

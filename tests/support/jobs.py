"""Small raw tables and job files, as users would bring them, and a command line to run on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import CliRunner, Result

from vflfast.cli import main
from vflfast.crypto.paillier.keyfile import save_private_key

# the fixed 512-bit test key of runs.py
P = 92182819389432873402564669719188009182104278287108377161916220106735871848627
Q = 94470372559683736749498060197853054059604842534265408683886548358876904436027

SMALL_KEY = ["--key-bits", "512", "--set", "test_key=true"]
SETTINGS = {"key_bits": 512, "test_key": True, "max_iter": 2}
N_ROWS = 240

Change = Callable[[pd.DataFrame, np.ndarray], None]


def in_test_part(customer_ids: Any, share: float = 0.3) -> np.ndarray:
    """The documented split: by a hash of the id alone."""
    digests = [hashlib.sha256(("vflfast-split-v1:" + text).encode()).hexdigest()[:8] for text in customer_ids]
    return np.array([int(digest, 16) / 2**32 < share for digest in digests])


def write_tables(folder: Path, n_hosts: int = 1, *, seed: int = 0, labels: bool = True, change: Change | None = None) -> None:
    """guest.csv and host1.csv, …: 240 customers each, ten of them nobody else's, each file in its own order.

    `change` edits a table in place, given the mask of its test rows.
    """
    rng = np.random.default_rng(seed)
    n_people = N_ROWS + 10 * (1 + n_hosts)
    customer_ids = np.array([f"customer-{seed}-{k:04d}" for k in range(n_people)], dtype=object)
    traits = rng.normal(size=(1 + n_hosts, n_people))
    bought = (traits.sum(axis=0) + rng.normal(size=n_people) > 0.4).astype(int)
    folder.mkdir(parents=True, exist_ok=True)
    for party in range(1 + n_hosts):
        own = np.arange(N_ROWS, N_ROWS + 10) + 10 * party
        people = rng.permutation(np.concatenate([np.arange(N_ROWS), own]))
        prefix = "guest" if party == 0 else f"host{party}"
        table = _columns(rng, prefix, customer_ids[people], traits[party, people])
        if party == 0 and labels:
            table["bought"] = bought[people]
        if change:
            change(table, in_test_part(table["customer"]))
        table.to_csv(folder / f"{prefix}.csv", index=False)


def _columns(rng: np.random.Generator, prefix: str, customer_ids: Any, trait: Any) -> pd.DataFrame:
    n_rows = len(trait)
    amount = (100 * (trait + 0.5 * rng.normal(size=n_rows))).round()
    amount[rng.random(n_rows) < 0.05] = np.nan
    days = pd.Timestamp("2025-12-31") - pd.to_timedelta(rng.integers(1, 900, n_rows), unit="D")
    return pd.DataFrame(
        {
            "customer": customer_ids,
            f"{prefix}_amount": amount,
            f"{prefix}_level": (trait + rng.normal(size=n_rows)).round(2),
            f"{prefix}_flag": (rng.random(n_rows) < 0.04).astype(int),
            f"{prefix}_trade": rng.choice([f"{prefix} smith", f"{prefix} baker", f"{prefix} miller"], n_rows),
            f"{prefix}_since": days.strftime("%Y-%m-%d"),
        }
    )


def sections(folder: Path, n_hosts: int = 1, **changes: Any) -> dict[str, Any]:
    """The sections of a job on the tables of `write_tables`, with a fixed id key and a fixed arbiter's key beside them."""
    (folder / "ids.key").write_bytes(bytes(range(32)))
    if not (folder / "arbiter.key").exists():
        save_private_key(folder / "arbiter.key", P, Q, test_sizes=True)
    party = {"id_column": "customer", "observation_date": "2026-01-01"}
    made = {
        "guest": {"file": "guest.csv", "organisation": "bank", "label_column": "bought", **party},
        "hosts": [{"file": f"host{k + 1}.csv", "organisation": f"partner {k + 1}", **party} for k in range(n_hosts)],
        "arbiter": {"organisation": "notary", "key_file": "arbiter.key"},
        "ids": {"method": "hmac", "key_file": "ids.key"},
        "run": {"test_share": 0.3},
        "settings": dict(SETTINGS),
    }
    return made | changes


def write_job(folder: Path, data: dict[str, Any], name: str = "job.toml") -> Path:
    """Write the sections as TOML."""
    lines: list[str] = []
    for section, values in data.items():
        for one in values if isinstance(values, list) else [values]:
            lines.append(f"[[{section}]]" if isinstance(values, list) else f"[{section}]")
            lines += [f"{key} = {_toml(value)}" for key, value in one.items()]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def vflfast(*arguments: object) -> Result:
    """Run the command line in this process; stdout and stderr are kept apart."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeeded(*arguments: object) -> Result:
    """Run the command line; it must end well."""
    result = vflfast(*arguments)
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result


def refused(*arguments: object, exit_code: int = 2) -> str:
    """Run the command line; it must end with one line on stderr and the exit code. Returns the line."""
    result = vflfast(*arguments)
    assert result.exit_code == exit_code, (result.stderr, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("vflfast: ")
    return lines[0]


def with_villages(table: pd.DataFrame, _: Any) -> None:
    """Two customers of the partner have a village of their own."""
    if "bought" in table:
        return
    table["city"] = ["town" if k % 2 else "city" for k in range(len(table))]
    matched = [row for row, name in enumerate(table["customer"]) if int(name[-4:]) < 240]
    table.loc[matched[:2], "city"] = ["village a", "village b"]


ROWS_APART = {"max_leverage": 0.2, "allow_wide": True}


def villages(folder: Path, **host: Any) -> Path:
    """A job whose host has two customers alone in a class; settings of its section."""
    write_tables(folder, change=with_villages)
    made = sections(folder, run={})
    made["hosts"][0] |= {"min_class_size": 1, **host}
    made["settings"] |= ROWS_APART
    return write_job(folder, made)

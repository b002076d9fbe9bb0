"""Parties in folders and processes of their own: each with its table, certificate, model and fed.toml, and nothing of the others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import tomli_w
from support.jobs import sections

from vflfast.net.certs import write_certificates
from vflfast.net.transport import free_ports

ROLES = ("guest", "host1", "arbiter")
FILES = {"guest": ("guest.csv", "ids.key"), "host1": ("host1.csv", "ids.key"), "mart": ("ids.key",), "arbiter": ("arbiter.key",)}


def set_up(
    folder: Path, source: Path, *, roles: tuple[str, ...] = ROLES, models: Path | None = None, plaintext: bool = False, **changes: Any
) -> Path:
    """Make a folder a party in `folder`, with its own files of `source` and its own model; `changes` as of `sections`."""
    made = sections(source, run={}, **changes)
    own = {"guest": made["guest"], "host1": made["hosts"][0], "mart": {"mart": "store"}, "arbiter": made["arbiter"]}
    addresses = {role: f"127.0.0.1:{port}" for role, port in zip(roles, free_ports(len(roles)), strict=True)}
    if not plaintext:
        write_certificates(folder / "authority", roles)
    for role in roles:
        home = folder / role
        (home / "models").mkdir(parents=True)
        for name in FILES[role]:
            shutil.copy(source / name, home / name)
        if role == "mart":
            shutil.copytree(source / "store", home / "store")
        if models is not None:
            shutil.copy(models / f"{role}.json", home / "models")
        if not plaintext:
            (home / "certificates").mkdir()
            for name in ("ca.pem", f"{role}.pem", f"{role}.key"):
                shutil.copy(folder / "authority" / name, home / "certificates")
        write_fed(home, role, own, addresses, made, plaintext=plaintext)
    return folder


def write_fed(home: Path, role: str, own: dict[str, Any], addresses: dict[str, str], made: dict[str, Any], *, plaintext: bool) -> None:
    """A party's file: its own section, of the others the address."""
    parts = {name: {**(own[name] if name == role else {}), "address": address} for name, address in addresses.items()}
    network = {"plaintext": plaintext, "heartbeat": 0.2, "linger": 5.0, "peer_timeout": 60.0}
    fed = {**{name: part for name, part in parts.items() if name != "host1"}, "settings": made["settings"], "network": network}
    if "host1" in parts:
        fed["hosts"] = [parts["host1"]]
    if role != "arbiter":
        fed["ids"] = made["ids"]
    (home / "fed.toml").write_text(tomli_w.dumps(fed), encoding="utf-8")


def run(folder: Path, options: dict[str, list[object]]) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run `vflfast party` for every role of `options` at the same time, to the end."""
    processes = {}
    for role, more in options.items():
        command = [sys.executable, "-m", "vflfast", "party", "--role", role, "--config", folder / role / "fed.toml", *more]
        processes[role] = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ended = {}
    for role, process in processes.items():
        out, err = process.communicate(timeout=120)
        ended[role] = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    return ended

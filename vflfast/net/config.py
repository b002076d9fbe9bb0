"""The network's part of fed.toml: where everyone is, this party's certificates and folders, timeouts and limits.

The other sections (tables, ids, settings) are those of a job file; `vflfast.jobs.party` puts both together.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..params import HEARTBEAT, LINGER, MAX_HELD_BYTES, MAX_MESSAGE_BYTES, PEER_TIMEOUT
from .roles import check_role

FOLDERS = ("certificates", "journal", "models")
FINGERPRINT = re.compile("[0-9a-f]{64}")
NET_KEYS = ("address", "fingerprints")  # of a party's section


@dataclass(frozen=True)
class NetConfig:
    """What one party needs to reach the others; InputError for parts that do not fit.

    Attributes
    ----------
    role
        guest, arbiter, host1, host2, …, mart
    addresses
        Role → host:port of every party.
    certificates, journal, models
        Folders: ``ca.pem``, ``<role>.pem`` and ``<role>.key``; the durable state; the models.
    listen
        host:port to listen on; default the party's own address.
    fingerprints
        Role → the fingerprints (SHA-256, 64 hex digits) of its certificates that are accepted; a role that is not here may have any
        that the authority signed.
    plaintext
        No TLS: only where every address is a loopback address.
    peer_timeout
        Seconds without a word from a peer that is needed, after which the run ends with an error (and can be resumed).
    heartbeat
        Seconds between two questions to a peer.
    linger
        Seconds that a party stays after its end for a peer that is silent.
    max_message_bytes, max_held_bytes
        Largest message taken; most bytes of one peer that wait to be read.
    """

    role: str
    addresses: dict[str, str]
    certificates: Path
    journal: Path
    models: Path
    listen: str
    fingerprints: dict[str, tuple[str, ...]] = field(default_factory=dict)
    plaintext: bool = False
    peer_timeout: float = PEER_TIMEOUT
    heartbeat: float = HEARTBEAT
    linger: float = LINGER
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_held_bytes: int = MAX_HELD_BYTES

    def __post_init__(self) -> None:
        check_role(self.role)
        if not {"guest", "arbiter", self.role} <= set(self.addresses) or len(self.addresses) < 3:
            raise InputError("address", f"is needed of guest, a host or mart, and arbiter; there are {', '.join(self.addresses)}")
        for name, address in {**self.addresses, "listen": self.listen}.items():
            host, _ = split_address(name, address)
            if self.plaintext and not is_loopback(host):
                raise InputError("plaintext", f"is for loopback addresses only; {name} is at {host}")
        if len(set(self.addresses.values())) != len(self.addresses):
            raise InputError("address", "two parties have the same")

    @property
    def peers(self) -> tuple[str, ...]:
        """The other parties: guest first, hosts in order, then the mart, arbiter last."""
        return tuple(role for role in self.addresses if role != self.role)


def net_config(data: Mapping[str, Any], folder: Path, role: str) -> NetConfig:
    """Return a party's network settings from the sections of fed.toml; `role` may be ``host`` where there is one host.

    Raises
    ------
    InputError
        A section or value is missing, unknown or outside its range.
    """
    addresses = _addresses(data)
    role = full_role(role, addresses)
    network = data.get("network", {})
    if not isinstance(network, Mapping):
        raise InputError("network", "must be a section of settings")
    given = dict(network)
    allowed = {field.name for field in fields(NetConfig)} - {"role", "addresses", "fingerprints"}
    unknown = sorted(set(given) - allowed)
    if unknown:
        raise InputError(unknown[0], f"is unknown in network; there are {', '.join(sorted(allowed))}")
    for name in FOLDERS:
        text = given.get(name, name)
        if not isinstance(text, str) or not text or "\0" in text:
            raise InputError(f"network.{name}", "must be a path")
        given[name] = folder / text
    given["journal"] /= role
    for name in ("peer_timeout", "heartbeat", "linger"):
        if name in given:
            given[name] = _number(name, given[name], 0.05, 1e6)
    for name in ("max_message_bytes", "max_held_bytes"):
        if name in given:
            given[name] = int(_number(name, given[name], 1 << 16, 1 << 34))
    if not isinstance(given.get("plaintext", False), bool):
        raise InputError("plaintext", "must be true or false")
    given.setdefault("listen", addresses[role])
    return NetConfig(role, addresses, fingerprints=_fingerprints(data), **given)


def full_role(role: object, addresses: Mapping[str, str]) -> str:
    """Return a role with its number: ``host`` is host1 where there is one host; InputError for a role without an address."""
    if role == "host":
        if "host2" in addresses:
            raise InputError("role", "must say which host: host1, host2, …")
        role = "host1"
    if check_role(role) not in addresses:
        raise InputError("role", f"{role} has no address; there are {', '.join(addresses)}")
    return str(role)


def split_address(name: str, address: object) -> tuple[str, int]:
    """Return (host, port) of ``host:port``; IPv6 addresses in brackets; InputError for another form."""
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise InputError(name, "its address must be host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, whatever its name server says."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def party_sections(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return every party's section by its role: guest, host1, host2, …, mart, arbiter; InputError with neither host nor mart."""
    hosts, mart = data.get("hosts", []), {"mart": data["mart"]} if "mart" in data else {}
    if not isinstance(hosts, list) or not (hosts or mart):
        raise InputError("hosts", "must be one or more [[hosts]] sections, unless there is a [mart]")
    return {"guest": data.get("guest"), **{f"host{i + 1}": host for i, host in enumerate(hosts)}, **mart, "arbiter": data.get("arbiter")}


def _addresses(data: Mapping[str, Any]) -> dict[str, str]:
    addresses = {}
    for role, section in party_sections(data).items():
        if not isinstance(section, Mapping) or not isinstance(section.get("address"), str):
            raise InputError(f"{role}.address", "must be host:port")
        addresses[role] = section["address"]
    return addresses


def _fingerprints(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what the sections' `fingerprints` accept; colons and capitals do not matter."""
    found = {}
    for role, section in party_sections(data).items():
        given = section.get("fingerprints")
        if given is None:
            continue
        listed = isinstance(given, list) and given and all(isinstance(text, str) for text in given)
        texts = tuple(text.replace(":", "").lower() for text in given) if listed else ()
        if not texts or not all(FINGERPRINT.fullmatch(text) for text in texts):
            raise InputError(f"{role}.fingerprints", "must list one or more SHA-256 fingerprints of 64 hex digits")
        found[role] = texts
    return found


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"network.{name}", f"must be a number from {least:g} to {most:g}")
    return float(value)

"""The network's part of fed.toml: every value of its type and range, addresses of all parties, names of the sections at fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vflfast.errors import InputError
from vflfast.net.config import NetConfig, is_loopback, net_config, split_address

ADDRESSES = {"guest": "127.0.0.1:1", "host1": "127.0.0.1:2", "arbiter": "127.0.0.1:3"}


def sections(**network: Any) -> dict[str, Any]:
    return {
        "guest": {"address": "bank.example:1"}, "hosts": [{"address": "[::1]:2"}], "arbiter": {"address": "127.0.0.1:3"},
        "network": network,
    }  # fmt: skip


def refused(data: dict[str, Any], role: str = "guest") -> InputError:
    with pytest.raises(InputError) as caught:
        net_config(data, Path("folder"), role)
    return caught.value


def made(addresses: dict[str, str] = ADDRESSES, role: str = "guest", **changes: Any) -> NetConfig:
    listen = changes.pop("listen", addresses.get(role, "127.0.0.1:9"))
    return NetConfig(role, addresses, Path("certificates"), Path("journal"), Path("models"), listen, **changes)


def test_what_is_given_and_what_is_not() -> None:
    config = net_config(sections(max_held_bytes=1 << 20, linger=0.5, journal="kept", listen="0.0.0.0:7"), Path("folder"), "host")
    assert (config.role, config.listen, config.max_held_bytes, config.linger) == ("host1", "0.0.0.0:7", 1 << 20, 0.5)
    assert (config.journal, config.models) == (Path("folder/kept/host1"), Path("folder/models"))
    assert config.peers == ("guest", "arbiter")
    assert net_config(sections(), Path(), "arbiter").listen == "127.0.0.1:3"


@pytest.mark.parametrize(("name", "least", "most"), [
    ("max_message_bytes", 1 << 16, 1 << 34), ("max_held_bytes", 1 << 16, 1 << 34), ("linger", 0.05, 1e6), ("heartbeat", 0.05, 1e6),
    ("peer_timeout", 0.05, 1e6),
])  # fmt: skip
def test_numbers_within_their_range(name: str, least: float, most: float) -> None:
    for value in (least, most):
        assert getattr(net_config(sections(**{name: value}), Path(), "guest"), name) == value
    for value in (least * 0.99, most * 1.01, True, "1", None, float("nan"), float("inf")):
        assert refused(sections(**{name: value})).argument == f"network.{name}"


@pytest.mark.parametrize(("network", "argument"), [
    ({"certificates": ""}, "network.certificates"), ({"journal": 5}, "network.journal"), ({"models": "a\0b"}, "network.models"),
    ({"plaintext": 1}, "plaintext"), ({"role": "guest"}, "role"), ({"addresses": {}}, "addresses"), ({"listen": "7001"}, "listen"),
])  # fmt: skip
def test_other_values(network: dict[str, Any], argument: str) -> None:
    assert refused(sections(**network)).argument == argument


@pytest.mark.parametrize("network", [[], "x", 5])
def test_a_network_that_is_no_section(network: Any) -> None:
    assert refused({**sections(), "network": network}).argument == "network"


@pytest.mark.parametrize(("data", "role", "argument"), [
    ({"hosts": []}, "guest", "hosts"), ({"hosts": "x"}, "guest", "hosts"), ({"guest": None}, "guest", "guest.address"),
    ({"hosts": [{"address": 5}]}, "guest", "host1.address"), ({}, "mart", "role"), ({}, "host2", "role"), ({}, "", "role"),
])  # fmt: skip
def test_sections_of_parties(data: dict[str, Any], role: str, argument: str) -> None:
    assert refused({**sections(), **data}, role).argument == argument


@pytest.mark.parametrize("left_out", ["guest", "host1", "arbiter"])
def test_an_address_is_needed_of_guest_host_and_arbiter(left_out: str) -> None:
    with pytest.raises(InputError, match="address: is needed of") as caught:
        made({role: address for role, address in ADDRESSES.items() if role != left_out}, "host1" if left_out == "guest" else "guest")
    assert left_out not in str(caught.value).partition("there are")[2]


def test_two_parties_at_one_address() -> None:
    with pytest.raises(InputError, match="two parties have the same"):
        made({**ADDRESSES, "host1": ADDRESSES["guest"]})


@pytest.mark.parametrize("elsewhere", ["bank.example:1", "192.0.2.1:1", "[2001:db8::1]:1"])
def test_plaintext_is_for_loopback_only(elsewhere: str) -> None:
    assert made(plaintext=True).plaintext
    for addresses, listen in (({**ADDRESSES, "host1": elsewhere}, "127.0.0.1:1"), (ADDRESSES, elsewhere)):
        with pytest.raises(InputError, match="loopback"):
            made(addresses, listen=listen, plaintext=True)
        assert not made(addresses, listen=listen).plaintext


@pytest.mark.parametrize(("host", "expected"), [
    ("localhost", True), ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False),
    ("localhost.example", False), ("", False), ("127.1", False),
])  # fmt: skip
def test_loopback_is_what_no_name_server_can_change(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(("address", "parts"), [("a:1", ("a", 1)), ("[::1]:65535", ("::1", 65535)), ("1.2.3.4:80", ("1.2.3.4", 80))])
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert split_address("x", address) == parts


@pytest.mark.parametrize("address", ["a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:1.5", "a:٣", None, 5, b"a:1"])
def test_no_addresses(address: object) -> None:
    with pytest.raises(InputError, match="host:port"):
        split_address("x", address)

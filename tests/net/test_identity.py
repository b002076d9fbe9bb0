"""Who is at the other end: certificates that the authority signed, and that are still no party's, are refused by both ends.

The controls: gRPC's own check of names lets a caller take what is refused here, and a party without fingerprints takes any certificate
of the right role.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec
from support.network import authority, configs, connected, credentials

from vflfast.errors import InputError
from vflfast.net.board import Status
from vflfast.net.certs import Credentials, fingerprint_of, issue, load, role_of
from vflfast.net.client import Caller
from vflfast.net.config import NetConfig, net_config
from vflfast.net.identity import NotReachedError, certificate_at, role_shown
from vflfast.net.transport import load_grpc, open_channel

grpc = load_grpc()
DNS, EMAIL, URI, ADDRESS = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier, x509.IPAddress
GUEST, ARBITER = "guest.vflfast", "arbiter.vflfast"


def names_like(own: str, other: str) -> dict[str, list[x509.GeneralName] | None]:
    """Names of certificates that are no party's, though one of them may fit."""
    return {
        "a wildcard": [DNS("*.vflfast")], "two roles": [DNS(own), DNS(other)], "twice the same": [DNS(own), DNS(own)],
        "a bare common name": None, "no name": [], "an e-mail address": [EMAIL(own)], "a URI": [URI(own)],
        "an e-mail address besides": [DNS(own), EMAIL("a@b.c")], "a URI besides": [DNS(own), URI("https://x.y")],
        "an address besides": [DNS(own), ADDRESS(ipaddress.ip_address("127.0.0.1"))],
        "a longer name": [DNS(own + ".example")], "capitals": [DNS(own.upper())], "no role": [DNS("mallory.vflfast")],
    }  # fmt: skip


CASES = list(names_like(GUEST, ARBITER))
TAKEN_BY_GRPC = ("a wildcard", "two roles", "twice the same", "a bare common name", "an e-mail address besides", "a URI besides",
                 "an address besides", "capitals")  # fmt: skip


def made_with(names: list[x509.GeneralName] | None, common_name: str) -> Credentials:
    """A certificate of these names, signed by the authority and good in everything else."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common_name)]))
    builder = builder.issuer_name(authority().certificate.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(authority().key, hashes.SHA256()).public_bytes(ser.Encoding.PEM)
    pem = key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    return Credentials(credentials("guest").ca, certificate, pem)


def ask(config: NetConfig, shown: Credentials, peer: str = "arbiter") -> Status:
    caller = Caller(config, shown, peer)
    try:
        return caller.hail(Status(config.role), 5)
    finally:
        caller.close()


def refusing_pins(config: NetConfig, role: str, *accepted: Credentials) -> NetConfig:
    pins = {role: tuple(fingerprint_of(load(shown.certificate)) for shown in accepted)}
    return dataclasses.replace(config, fingerprints=pins)


@pytest.mark.parametrize("case", CASES)
def test_a_server_refuses_a_caller_that_is_no_single_role(case: str) -> None:
    made = configs()
    shown = made_with(names_like(GUEST, "host1.vflfast")[case], GUEST)
    with connected(made["arbiter"]):
        with pytest.raises(grpc.RpcError) as caught:
            ask(made["guest"], shown)
        assert caught.value.code().name in ("PERMISSION_DENIED", "UNAVAILABLE")
        assert ask(made["guest"], credentials("guest")).state  # the good one works


@pytest.mark.parametrize("case", CASES)
def test_a_caller_refuses_a_server_that_is_no_single_role(case: str) -> None:
    made = configs()
    said = r"shows a certificate that is no single role's: it must have one DNS name"
    shown = made_with(names_like(ARBITER, GUEST)[case], ARBITER)
    with serving(made["arbiter"], shown), pytest.raises(NotReachedError, match=said):
        ask(made["guest"], credentials("guest"))


def serving(config: NetConfig, shown: Credentials) -> Any:
    """A service under any certificate."""
    return connected(config, shown)


@pytest.mark.parametrize("case", TAKEN_BY_GRPC)
def test_control_grpc_alone_would_take_it(case: str) -> None:
    """A channel that trusts the authority and looks for the name, as before."""
    made = configs()
    shown = made_with(names_like(ARBITER, GUEST)[case], ARBITER)
    with serving(made["arbiter"], shown):
        channel = open_channel(made["guest"], credentials("guest"), "arbiter", credentials("guest").ca)
        with channel:
            reply = channel.unary_unary("/vflfast/Hail")(Status("guest").to_bytes(), timeout=5)
        assert reply


def test_a_server_that_changes_its_certificate_between_question_and_call_is_refused() -> None:
    """The channel takes the certificate that was checked, no other of the authority's."""
    made = configs()
    with serving(made["arbiter"], made_with([DNS("*.vflfast")], ARBITER)):
        channel = open_channel(made["guest"], credentials("guest"), "arbiter", credentials("arbiter").certificate)
        with channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/vflfast/Hail")(Status("guest").to_bytes(), timeout=3)
        assert caught.value.code().name == "UNAVAILABLE"


def test_a_server_of_another_role_and_one_of_another_authority_are_refused() -> None:
    from vflfast.net.certs import make_authority

    made, other = configs(), make_authority()
    with serving(made["arbiter"], credentials("host1")), pytest.raises(NotReachedError, match=r"shows a certificate of host1"):
        ask(made["guest"], credentials("guest"))
    with serving(made["arbiter"], issue(other, "arbiter")), pytest.raises(NotReachedError, match=r"TLS with .* failed"):
        ask(made["guest"], credentials("guest"))
    for begin in (-2, 2):  # expired, not yet valid
        when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=begin)
        late = issue(authority(), "arbiter", days=1, begin=when)
        with serving(made["arbiter"], late), pytest.raises(NotReachedError, match=r"TLS with .* failed"):
            ask(made["guest"], credentials("guest"))


def test_a_peer_that_comes_back_with_a_new_certificate_is_found_again() -> None:
    made = configs()
    caller = Caller(made["guest"], credentials("guest"), "arbiter")
    with connected(made["arbiter"]):
        assert caller.hail(Status("guest"), 5).role == "arbiter"
    with pytest.raises((grpc.RpcError, NotReachedError)):
        caller.hail(Status("guest"), 5)
    with connected(made["arbiter"], issue(authority(), "arbiter")):
        assert caller.hail(Status("guest"), 5).role == "arbiter"
    caller.close()


# --- fingerprints ---------------------------------------------------------------------------------------------------


def test_only_accepted_fingerprints_are_let_in_on_both_sides() -> None:
    """A certificate that is no longer accepted is refused though the authority signed it, and the new one works."""
    made, old, new = configs(), issue(authority(), "guest"), issue(authority(), "guest")
    strict = refusing_pins(made["arbiter"], "guest", new)
    with connected(strict):
        with pytest.raises(grpc.RpcError) as caught:
            ask(made["guest"], old)
        assert caught.value.code().name == "PERMISSION_DENIED"
        assert ask(made["guest"], new).role == "arbiter"
    with connected(made["arbiter"]):  # the control: without fingerprints, either
        assert ask(made["guest"], old).role == ask(made["guest"], new).role == "arbiter"
    careful = refusing_pins(made["guest"], "arbiter", issue(authority(), "arbiter"))
    with connected(made["arbiter"]), pytest.raises(NotReachedError, match=r"which fed.toml does not accept"):
        ask(careful, credentials("guest"))
    both = refusing_pins(made["guest"], "arbiter", issue(authority(), "arbiter"), credentials("arbiter"))
    with connected(made["arbiter"]):
        assert ask(both, credentials("guest")).role == "arbiter"


FED = {"guest": {"address": "127.0.0.1:1"}, "hosts": [{"address": "127.0.0.1:2"}], "arbiter": {"address": "127.0.0.1:3"}}
PRINT = "ab" * 32


def fed_with(fingerprints: object) -> dict[str, Any]:
    return {**FED, "hosts": [{**FED["hosts"][0], "fingerprints": fingerprints}]}  # type: ignore[dict-item]


def test_fingerprints_are_read_as_openssl_prints_them() -> None:
    colons = ":".join(["AB"] * 32)
    assert net_config(fed_with([PRINT, colons]), Path(), "guest").fingerprints == {"host1": (PRINT, PRINT)}
    assert net_config(FED, Path(), "guest").fingerprints == {}


@pytest.mark.parametrize("given", ["", [], PRINT, [PRINT[1:]], [PRINT + "0"], [3], {}, [PRINT.replace("a", "g")], True])
def test_fingerprints_that_are_none_are_refused(given: object) -> None:
    with pytest.raises(InputError, match=r"host1.fingerprints"):
        net_config(fed_with(given), Path(), "guest")


def test_nobody_reads_what_is_no_certificate() -> None:
    made = configs()["arbiter"]
    for pem in (b"", b"x", credentials("guest").key, credentials("guest").certificate[:-40]):
        assert role_shown(pem, made) is None
    assert role_shown(credentials("guest").certificate, made) == "guest"
    assert role_of(load(credentials("guest").ca)) is None


def test_nobody_at_the_address_is_told_as_such() -> None:
    with pytest.raises(NotReachedError, match=r"arbiter, connect: 127.0.0.1:.* is not reached"):
        certificate_at(configs()["guest"], credentials("guest"), "arbiter", 2.0)

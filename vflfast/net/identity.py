"""Who is at the other end of a connection: one check of a certificate for callers and for those who are called.

A certificate is a role's if the authority signed it, its only name is the role's DNS name, and, where fed.toml lists fingerprints of
that role, its own is among them. Loading this module needs the package cryptography.

gRPC alone would let a caller take any certificate that matches a name: a wildcard, one with several names, a bare common name. So a
caller first asks who answers, checks the certificate, and then opens a channel that takes that very certificate and no other.
"""

from __future__ import annotations

import socket
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import ProtocolError
from .certs import Credentials, fingerprint_of, load, role_of
from .config import NetConfig, split_address

if TYPE_CHECKING:
    from cryptography import x509


class NotReachedError(ProtocolError):
    """Nobody answers at a peer's address, or somebody who does not show that it is the peer."""

    def __init__(self, party: str, problem: str) -> None:
        super().__init__(party, "connect", problem)


@lru_cache(maxsize=64)  # a server is shown the same few with every call
def _read(certificate: bytes) -> tuple[str | None, str]:
    made = load(certificate)
    return role_of(made), fingerprint_of(made)


def role_shown(certificate: bytes, config: NetConfig) -> str | None:
    """Return the role of whoever holds a certificate (PEM) that the authority signed; None for nobody's.

    It must have one name, a role's, and an accepted fingerprint.
    """
    try:
        role, fingerprint = _read(certificate)
    except ValueError:
        return None
    accepted = config.fingerprints.get(role or "")
    return role if accepted is None or fingerprint in accepted else None


def certificate_at(config: NetConfig, credentials: Credentials, peer: str, timeout: float) -> bytes:
    """Ask for the certificate at a peer's address; return it (PEM).

    Raises
    ------
    NotReachedError
        Nobody answers, TLS 1.3 with the authority's certificates fails, or the certificate is not the peer's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # `role_shown` is stricter
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=credentials.ca.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection(split_address(peer, config.addresses[peer]), timeout) as raw, context.wrap_socket(raw) as secure:
            shown = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"").encode()
    except ssl.SSLError as error:
        raise NotReachedError(peer, f"TLS with {config.addresses[peer]} failed: {error.reason or error}") from error
    except OSError as error:
        raise NotReachedError(peer, f"{config.addresses[peer]} is not reached: {error.strerror or error}") from error
    if role_shown(shown, config) != peer:
        raise NotReachedError(peer, f"{config.addresses[peer]} shows {_described(load(shown))}")
    return shown


def _described(certificate: x509.Certificate) -> str:
    role = role_of(certificate)
    if role is None:
        return "a certificate that is no single role's: it must have one DNS name, as vflfast certs makes it, and no other name"
    return f"a certificate of {role} with the fingerprint {fingerprint_of(certificate)}, which fed.toml does not accept"

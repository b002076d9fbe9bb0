"""gRPC and its settings: TLS 1.3 with certificates on both sides, or, on loopback and only when asked, none."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from ..errors import InputError, VflError
from ..params import FRAME_BYTES
from .config import NetConfig, split_address
from .roles import dns_name

if TYPE_CHECKING:
    import grpc

    from .certs import Credentials

SERVICE = "vflfast"
ROLE_KEY, INSTANCE_KEY = "vflfast-role", "vflfast-instance"
CIPHERS_VARIABLE = "GRPC_SSL_CIPHER_SUITES"
# grpcio has no setting for the least TLS version. The one cipher suite allowed below 1.3 needs a pre-shared key, which nobody has:
# no handshake below 1.3 can end well, and 1.3 has suites of its own.
NO_OLD_CIPHERS = "ECDHE-PSK-CHACHA20-POLY1305"
LEAST_CONNECTIONS, MOST_CONNECTIONS = 32, 1024
HANDSHAKE_RECORD = b"\x16"  # RFC 5246 §6.2.1; a refusal is an alert, or the end
CONNECT_SECONDS = 5.0
HANDSHAKE_MS = 5_000  # from a connection to its first call; who only connects does not keep a descriptor for longer
MAX_FRAME = FRAME_BYTES + (1 << 12)
OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", MAX_FRAME),
    ("grpc.max_send_message_length", MAX_FRAME),
    ("grpc.keepalive_time_ms", 10_000),  # a half-open connection is found out in 20 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
]
SERVER_OPTIONS = [*OPTIONS, ("grpc.so_reuseport", 0), ("grpc.max_metadata_size", 1 << 13),
                  ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS)]  # else two minutes
CLIENT_OPTIONS = [*OPTIONS, ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 200),
                  ("grpc.max_reconnect_backoff_ms", 2_000), ("grpc.enable_retries", 0)]  # fmt: skip


def load_grpc() -> Any:
    """Return the module grpc, set to TLS 1.3 only and to silence on stderr; InputError where it is not installed."""
    os.environ[CIPHERS_VARIABLE] = NO_OLD_CIPHERS
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import grpc
    except ImportError as error:
        raise InputError("network", "needs the package grpcio: pip install 'vflfast[net]'") from error
    return grpc


def open_channel(config: NetConfig, credentials: Credentials | None, peer: str, shown: bytes | None = None) -> grpc.Channel:
    """Return a channel to a peer; the server must hold the certificate `shown` (PEM), whatever its address is.

    Without `shown` the peer is asked for it; NotReachedError as of `identity.certificate_at`.
    """
    grpc = load_grpc()
    address = config.addresses[peer]
    if credentials is None:
        return grpc.insecure_channel(address, CLIENT_OPTIONS)
    from .identity import certificate_at

    shown = shown or certificate_at(config, credentials, peer, CONNECT_SECONDS)
    tls = grpc.ssl_channel_credentials(shown, credentials.key, credentials.certificate)
    name = dns_name(peer)
    options = [*CLIENT_OPTIONS, ("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
    return grpc.secure_channel(address, tls, options)


def most_connections() -> int:
    """Return how many connections the server takes at once: a quarter of the descriptors that this process may have, 32 to 1,024."""
    try:
        import resource
    except ImportError:
        return MOST_CONNECTIONS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_CONNECTIONS if limit < 0 else max(LEAST_CONNECTIONS, min(limit // 4, MOST_CONNECTIONS))


def listen(server: grpc.Server, config: NetConfig, credentials: Credentials | None) -> None:
    """Give the server its port.

    Raises
    ------
    InputError
        The port cannot be had.
    """
    grpc = load_grpc()
    try:
        if credentials is None:
            server.add_insecure_port(config.listen)
        else:
            pair = [(credentials.key, credentials.certificate)]
            server.add_secure_port(config.listen, grpc.ssl_server_credentials(pair, credentials.ca, require_client_auth=True))
    except RuntimeError as error:
        raise InputError("listen", f"{config.listen} cannot be had: in use, or not an address of this machine") from error


def caller(context: grpc.ServicerContext, config: NetConfig) -> str | None:
    """Return the role of whoever calls, by its certificate; without TLS, by its word; None for nobody."""
    if config.plaintext:
        return str(metadata(context, ROLE_KEY)) or None
    facts = context.auth_context()
    if any(version != b"TLSv1.3" for version in facts.get("ssl_tls_version", ())):  # newer versions of grpcio tell it
        return None
    from .identity import role_shown

    return role_shown(b"".join(facts.get("x509_pem_cert", ())), config)


def metadata(context: grpc.ServicerContext, key: str) -> str:
    """Return a text of a call's metadata, empty where there is none."""
    found = [value for name, value in context.invocation_metadata() if name == key]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def free_ports(count: int) -> list[int]:
    """Return so many different ports that are free on 127.0.0.1 now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def refuses_old_tls(config: NetConfig, timeout: float = 30.0) -> bool:
    """Return whether this party's own port refuses a handshake at TLS 1.2 at the first word, whatever certificate would follow.

    Raises
    ------
    VflError
        If it cannot be asked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # a probe of this process's own port: it sends nothing but its first word
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    host, port = split_address("listen", config.listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    try:
        with socket.create_connection((host, port), timeout) as raw:
            raw.sendall(outgoing.read())
            return raw.recv(1) != HANDSHAKE_RECORD
    except ConnectionError:
        return True
    except OSError as error:
        raise VflError(f"listen: {config.listen} does not answer: {error.strerror or error}") from error

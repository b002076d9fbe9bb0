"""A private certificate authority and one certificate a role; the role is the certificate's only DNS name (roles.py).

Whoever holds a role's key is that role, whatever its address; a certificate of another authority is nobody (assurance rule 8).
Loading this module needs the package cryptography.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..params import CA_DAYS, CERTIFICATE_DAYS
from .roles import check_role, dns_name, role_of_name

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as ser
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError as error:
    raise InputError("certificates", "need the package cryptography: pip install 'vflfast[net]'") from error

CA_FILE, CA_KEY_FILE = "ca.pem", "ca.key"
CLOCK_SLACK = datetime.timedelta(minutes=5)  # a new certificate is good at once, also where the clock is a little behind


@dataclass(frozen=True)
class Authority:
    """The private authority: its certificate and its signing key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Credentials:
    """One party's PEM texts: the authority's certificate, its own, its own key."""

    ca: bytes
    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"


def make_authority(now: datetime.datetime | None = None) -> Authority:
    """Return a new authority: EC P-256, ten years, may sign certificates of parties only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"vflfast authority {os.urandom(4).hex()}")
    begin = (now or _now()) - CLOCK_SLACK
    builder = _builder(name, name, key.public_key(), begin, begin + datetime.timedelta(days=CA_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Authority(_signed(builder, key), key)


def issue(authority: Authority, role: str, *, days: float = CERTIFICATE_DAYS, begin: datetime.datetime | None = None) -> Credentials:
    """Return a role's credentials, signed by the authority and valid for `days` from `begin` (default: now).

    Raises
    ------
    InputError
        No role, or no positive number of days.
    """
    check_role(role)
    if not 0 < days <= CA_DAYS:
        raise InputError("days", f"must be above 0, at most {CA_DAYS}")
    key = ec.generate_private_key(ec.SECP256R1())
    begin = begin or _now() - CLOCK_SLACK
    builder = _builder(_name(role), authority.certificate.subject, key.public_key(), begin, begin + datetime.timedelta(days=days))
    usages = [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage(usages), False),
        (x509.SubjectAlternativeName([x509.DNSName(dns_name(role))]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    pem = key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    encoding = ser.Encoding.PEM
    return Credentials(authority.certificate.public_bytes(encoding), _signed(builder, authority.key).public_bytes(encoding), pem)


def write_certificates(folder: str | os.PathLike[str], roles: Sequence[str], *, days: float = CERTIFICATE_DAYS) -> list[Path]:
    """Make certificates for the roles in `folder`, by the authority that is there or a new one; return the files written.

    Raises
    ------
    InputError
        A role's file is there already, or the authority's files are damaged or only one of them is there.
    """
    target = Path(folder)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for role in roles:
        if (target / f"{check_role(role)}.pem").exists() or (target / f"{role}.key").exists():
            raise InputError(role, f"has a certificate in {target} already; remove it first")
    written = []
    if (target / CA_FILE).exists() or (target / CA_KEY_FILE).exists():
        authority = read_authority(target)
    else:
        authority = make_authority()
        key = authority.key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
        written += [_write(target / CA_KEY_FILE, key, 0o600)]
        written += [_write(target / CA_FILE, authority.certificate.public_bytes(ser.Encoding.PEM), 0o644)]
    for role in roles:
        made = issue(authority, role, days=days)
        written += [_write(target / f"{role}.key", made.key, 0o600), _write(target / f"{role}.pem", made.certificate, 0o644)]
    return written


def read_authority(folder: Path) -> Authority:
    """Return the authority in a folder; InputError if it cannot be read."""
    certificate_text, key_text = _read(folder / CA_FILE), _read(folder / CA_KEY_FILE)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_text)
        key = ser.load_pem_private_key(key_text, None)
    except (ValueError, TypeError) as error:
        raise InputError(str(folder), "its authority's certificate or key is no PEM file of its kind") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InputError(str(folder), "its authority's key is not that of its certificate")
    return Authority(certificate, key)


def read_credentials(folder: str | os.PathLike[str], role: str) -> Credentials:
    """Return a party's credentials, checked.

    Raises
    ------
    InputError
        A file is missing, the key can be read by others or is not the certificate's, the certificate is of another role, of another
        authority, or not valid today.
    """
    source = Path(folder)
    made = Credentials(_read(source / CA_FILE), _read(source / f"{role}.pem"), _read(source / f"{role}.key"))
    if (source / f"{role}.key").stat().st_mode & 0o077:
        raise InputError(str(source / f"{role}.key"), "may be readable by its owner only (mode 0600)")
    path = str(source / f"{role}.pem")
    try:
        ca, certificate = (x509.load_pem_x509_certificate(text) for text in (made.ca, made.certificate))
        key = ser.load_pem_private_key(made.key, None)
    except (ValueError, TypeError) as error:
        raise InputError(path, "the certificate, its key or the authority's certificate is no PEM file of its kind") from error
    if key.public_key() != certificate.public_key():
        raise InputError(path, "is not the certificate of the key beside it")
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise InputError(path, f"was not signed by {source / CA_FILE}") from error
    if role_of(certificate) != role:
        raise InputError(path, f"is not a certificate of {role}")
    if not certificate.not_valid_before_utc <= _now() <= certificate.not_valid_after_utc:
        raise InputError(path, f"is valid from {certificate.not_valid_before_utc} to {certificate.not_valid_after_utc}, not now")
    return made


def days_left(credentials: Credentials) -> float:
    """Return for how many days the party's certificate is still valid."""
    left = x509.load_pem_x509_certificate(credentials.certificate).not_valid_after_utc - _now()
    return left / datetime.timedelta(days=1)


def load(pem: bytes) -> x509.Certificate:
    """Return the certificate of a PEM text; ValueError if it is none."""
    return x509.load_pem_x509_certificate(pem)


def role_of(certificate: x509.Certificate) -> str | None:
    """Return the role of a certificate: its only name, of any kind, is the role's DNS name; else None."""
    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return None
    return role_of_name(names[0].value) if len(names) == 1 and isinstance(names[0], x509.DNSName) else None


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return SHA-256 of a certificate in 64 hex digits, as `openssl x509 -fingerprint -sha256` without colons."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, begin: datetime.datetime, end: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error


def _write(path: Path, data: bytes, mode: int) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    return path

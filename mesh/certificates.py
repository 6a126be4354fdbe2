"""X.509 certificates of a site: what an authority, a service's and a user's certificate look like, made and read.

    authority   CN = "NAME authority", may sign certificates and nothing else, path length 0
    service     SAN URI trueframe://service/NAME and its host names and addresses; for servers and for clients
    user        SAN URI trueframe://user/NAME; for clients alone

Keys are ECDSA P-256: gRPC's TLS takes no Ed25519 (tried with grpcio 1.85.1: NO_COMMON_SIGNATURE_ALGORITHMS). What does
not belong here: files (`mesh.certificate_folder`), gRPC (`mesh.tls`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.errors import FailedPrecondition, InvalidArgument

URI_SCHEME = "trueframe://"
# Clocks of two machines differ; a certificate made now has to hold there at once.
BACKDATED = timedelta(minutes=10)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_HOST = re.compile(r"(?:\*\.)?[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,62})(?:\.[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})*")


class Kind(StrEnum):
    """What a certificate is for."""

    AUTHORITY = "authority"
    SERVICE = "service"
    USER = "user"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both PEM. The key is a secret and is not shown."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Pair(***)"


@dataclass(frozen=True, slots=True)
class Described:
    """What a certificate says. Times are UTC. `fingerprint`: SHA-256 of the certificate, hexadecimal."""

    name: str
    kind: Kind
    hosts: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime
    serial: str
    fingerprint: str

    def left(self, now: datetime) -> timedelta:
        """How long it holds still; negative if it has ended."""
        return self.ends - now


def make_authority(name: str, life: timedelta, now: datetime) -> Pair:
    """A new authority. Raises InvalidArgument."""
    _check_life(life)
    key = ec.generate_private_key(ec.SECP256R1())
    # The moment is part of the name: two authorities of one site stand in one file while a new one takes over.
    subject = _subject(f"{_checked_name(name)} authority {now.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    builder = (
        _builder(subject, subject, key.public_key(), life, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue(authority: Pair, kind: Kind, name: str, hosts: Sequence[str], life: timedelta, now: datetime) -> Pair:
    """A new certificate with a new key, signed by the authority; it ends no later than that does.

    `hosts`: DNS names and addresses that clients call a service by; a user has none. Raises InvalidArgument,
    FailedPrecondition (the authority has ended, or its files are not what they should be).
    """
    _check_life(life)
    if kind is Kind.SERVICE and not hosts:
        raise InvalidArgument(f"service {name!r}", "has no host name", "Name what clients call it by: --host.")
    if kind is Kind.USER and hosts:
        raise InvalidArgument(f"user {name!r}", "has no host names", "Leave --host out.")
    signer, signing_key = read_certificate(authority.certificate, "authority"), read_key(authority.key, "authority")
    if signer.public_key() != signing_key.public_key():
        raise FailedPrecondition("authority", "its key does not belong to its certificate")
    if now > signer.not_valid_after_utc:
        raise FailedPrecondition("authority", f"has ended ({signer.not_valid_after_utc:%Y-%m-%d})", "Renew it.")
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [_general_name(host) for host in hosts]
    names.append(x509.UniformResourceIdentifier(f"{URI_SCHEME}{kind}/{_checked_name(name)}"))
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if kind is Kind.SERVICE:
        purposes.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    life = min(life, signer.not_valid_after_utc - now)
    builder = (
        _builder(_subject(name), signer.subject, key.public_key(), life, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )  # fmt: skip
    return Pair(_pem(builder.sign(signing_key, hashes.SHA256())), _key_pem(key))


def read_certificate(data: bytes, thing: str) -> x509.Certificate:
    """The first certificate of a PEM text. Raises FailedPrecondition."""
    return read_certificates(data, thing)[0]


def read_certificates(data: bytes, thing: str) -> list[x509.Certificate]:
    """All certificates of a PEM text, at least one. Raises FailedPrecondition."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        found = []
    if not found:
        raise FailedPrecondition(f"certificate {thing}", "is not a certificate in PEM form")
    return found


def read_key(data: bytes, thing: str) -> ec.EllipticCurvePrivateKey:
    """A private key. Raises FailedPrecondition."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise FailedPrecondition(f"key {thing}", "is not a private key in PEM form without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FailedPrecondition(f"key {thing}", "is not an ECDSA key", "`trueframe certs` makes such.")
    return key


def require_matching(certificate: bytes, key: bytes, authorities: bytes, thing: str, now: datetime) -> Described:
    """Checks that key, certificate and authorities belong together and hold now. Raises FailedPrecondition."""
    own = read_certificate(certificate, thing)
    if read_key(key, thing).public_key() != own.public_key():
        raise FailedPrecondition(f"certificate {thing}", "its key belongs to another certificate")
    if not is_signed_by(own, read_certificates(authorities, "of the authorities")):
        raise FailedPrecondition(f"certificate {thing}", "is signed by none of the authorities that are believed")
    described = describe(own)
    if now < described.begins:
        raise FailedPrecondition(f"certificate {thing}", "does not hold yet", "Compare the clocks.")
    if described.left(now) <= timedelta(0):
        raise FailedPrecondition(f"certificate {thing}", f"ended on {described.ends:%Y-%m-%d %H:%M} UTC", "Renew it.")
    return described


def is_signed_by(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> bool:
    """Whether one of the authorities signed it."""
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def describe(certificate: x509.Certificate) -> Described:
    """What a certificate says."""
    names = _alternative_names(certificate)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names else []
    kind, name = identity_of(uris)
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    issuer = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    if kind is Kind.OTHER and _is_authority(certificate):
        kind = Kind.AUTHORITY
    hosts: list[str] = []
    if names:
        hosts += names.get_values_for_type(x509.DNSName)
        hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return Described(
        name=name or (str(common[0].value) if common else ""),
        kind=kind,
        hosts=tuple(hosts),
        issuer=str(issuer[0].value) if issuer else "",
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def identity_of(alternative_names: Iterable[str]) -> tuple[Kind, str]:
    """Kind and name that a certificate's alternative names give; OTHER and "" if it is none of ours."""
    for uri in alternative_names:
        kind, slash, name = uri.removeprefix(URI_SCHEME).partition("/")
        if uri.startswith(URI_SCHEME) and slash and kind in (Kind.SERVICE, Kind.USER):
            return Kind(kind), name
    return Kind.OTHER, ""


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta, now: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATED).not_valid_after(now + life)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _subject(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"name {name[:80]!r}",
            "is not 1 to 63 small letters, digits, '.', '_' and '-', without a mark at either end",
        )
    return name


def _check_life(life: timedelta) -> None:
    if life <= timedelta(0):
        raise InvalidArgument("lifetime", "is nothing", "Give --for 1y, for example.")


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise InvalidArgument(f"host {host[:80]!r}", "is neither a host name nor an address", "Leave the port out.")
    return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

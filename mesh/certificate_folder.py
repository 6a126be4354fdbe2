"""The folder of a site's certificates, as `trueframe certs` keeps it: the authority and what it issued.

    ca.crt        authorities that are believed: the present one first, those before it until they end
    ca.key        the present authority's key, 0600; belongs on no machine that serves
    NAME.crt      certificates by name
    NAME.key      their keys, 0600

Copy `ca.crt`, `NAME.crt` and `NAME.key` to where they are used. What does not belong here: the form of a certificate
(`mesh.certificates`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mesh.certificates import (
    BACKDATED,
    Described,
    Kind,
    Pair,
    describe,
    issue,
    make_authority,
    read_certificate,
    read_certificates,
)
from mesh.errors import AlreadyExists, FailedPrecondition, NotFound
from mesh.files import private_folder, read_secret, write_atomic, write_private

AUTHORITY = "ca"


@dataclass(frozen=True, slots=True)
class Stored:
    """A certificate and where it lies."""

    described: Described
    certificate_file: Path
    key_file: Path


class CertificateFolder:
    """One authority and what it issued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def ca_file(self) -> Path:
        """Certificates that everybody believes."""
        return self.folder / f"{AUTHORITY}.crt"

    def init(self, name: str, life: timedelta, now: datetime) -> Stored:
        """Makes folder and authority. Raises AlreadyExists, InvalidArgument."""
        if self.ca_file.exists() or self._key(AUTHORITY).exists():
            raise AlreadyExists(
                f"authority in {self.folder}", "is there already", "`trueframe certs renew ca` makes its successor."
            )
        authority = make_authority(name, life, now)
        private_folder(self.folder)
        return self._write(AUTHORITY, authority)

    def issue(self, kind: Kind, name: str, hosts: list[str], life: timedelta, now: datetime) -> Stored:
        """Issues a certificate. Raises AlreadyExists, InvalidArgument, NotFound and FailedPrecondition (authority)."""
        if name == AUTHORITY or self._certificate(name).exists():
            raise AlreadyExists(
                f"certificate {name!r}", f"is in {self.folder} already", f"`trueframe certs renew {name}` renews it."
            )
        return self._write(name, issue(self._authority(), kind, name, hosts, life, now))

    def renew(self, name: str, life: timedelta | None, now: datetime) -> Stored:
        """The same certificate with a new key and a new life, by default as long as the one before.

        A renewed authority signs from now on; what the one before signed is believed until that ends. Raises NotFound,
        FailedPrecondition.
        """
        old = read_certificate(self._bytes(self._certificate(name)), name)
        told = describe(old)
        span = life or told.ends - told.begins - BACKDATED
        if name != AUTHORITY:
            return self._write(name, issue(self._authority(), told.kind, told.name, list(told.hosts), span, now))
        site = told.name.partition(" authority")[0]
        successor = make_authority(site, span, now)
        believed = [one for one in self.authorities() if one.not_valid_after_utc > now]
        pem = successor.certificate + b"".join(one.public_bytes(Encoding.PEM) for one in believed)
        return self._write(AUTHORITY, Pair(pem, successor.key))

    def all(self) -> list[Stored]:
        """All certificates, authorities first, then by name. Raises NotFound, FailedPrecondition."""
        found = [Stored(describe(one), self.ca_file, self._key(AUTHORITY)) for one in self.authorities()]
        others = (path for path in sorted(self.folder.glob("*.crt")) if path != self.ca_file)
        return [*found, *(self.find(path.stem) for path in others)]

    def find(self, name: str) -> Stored:
        """One certificate. Raises NotFound, FailedPrecondition."""
        path = self._certificate(name)
        return Stored(describe(read_certificate(self._bytes(path), str(path))), path, self._key(name))

    def authorities(self) -> list[x509.Certificate]:
        """Those that are believed, the present one first. Raises NotFound, FailedPrecondition."""
        return read_certificates(self._bytes(self.ca_file), str(self.ca_file))

    def _authority(self) -> Pair:
        certificate = self._bytes(self.ca_file)
        try:
            return Pair(certificate, read_secret(self._key(AUTHORITY)).encode())
        except NotFound:
            raise NotFound(
                f"authority key {self._key(AUTHORITY)}", "does not exist", "Certificates are issued where it is kept."
            ) from None

    def _write(self, name: str, pair: Pair) -> Stored:
        # The key first: whoever reads both meanwhile sees that they do not match, and goes on with what they have.
        try:
            write_private(self._key(name), pair.key)
            write_atomic(self._certificate(name), pair.certificate)
        except OSError as error:
            raise FailedPrecondition(f"certificate {name!r}", f"cannot be written ({error.strerror})") from None
        return self.find(name)

    def _bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            remedy = "`trueframe certs init` makes an authority." if path == self.ca_file else "`trueframe certs list`."
            raise NotFound(f"certificate {path}", "does not exist", remedy) from None
        except OSError as error:
            raise FailedPrecondition(f"certificate {path}", f"cannot be read ({error.strerror})") from None

    def _certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def _key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

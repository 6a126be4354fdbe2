"""TLS of gRPC: credentials out of files, taken up again when these change; nothing restarts and no stream breaks.

A server asks for its files at each handshake; a channel looks at them at each call and goes on over a new connection,
while calls that are open stay on theirs. A renewed pair that does not hold together is refused with an error in the
log, and what was used before is used on. What does not belong here: making certificates (`mesh.certificates`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc

from mesh.certificates import Described, Kind, describe, identity_of, read_certificates, require_matching
from mesh.config_security import TlsConfig
from mesh.errors import FailedPrecondition, NotFound, TrueframeError
from mesh.files import read_secret
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("mesh.tls")

# The clock of files is coarse: one that is written in two steps may keep its stamp.
_REFUSED_FOR_S = 1.0
Stamp = tuple[tuple[int, int, int] | None, ...]

_taken_up = counter("certificate_reloads", "Renewed certificates: taken up, or refused.", ("result",))


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """Authorities, and a certificate with its key where there is one; PEM. The key is not shown."""

    authorities: bytes
    certificate: bytes | None
    key: bytes | None
    described: Described | None

    def __repr__(self) -> str:
        return f"TlsMaterial({self.described})"


class TlsFiles:
    """The files of one party. `current` gives what they hold, read again when one of them has changed."""

    def __init__(self, ca_file: Path, certificate_file: Path | None = None, key_file: Path | None = None) -> None:
        """Raises NotFound, PermissionDenied, FailedPrecondition naming the file."""
        self._ca_file = ca_file
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._material = self._read()
        self._generation = 1
        self._refused: Stamp = ()
        self._refused_s = 0.0

    @classmethod
    def from_config(cls, config: TlsConfig) -> TlsFiles | None:
        """The files of the configuration; None where it names no authorities."""
        if config.ca_file is None:
            return None
        return cls(config.ca_file, config.certificate_file, config.key_file)

    def current(self) -> tuple[int, TlsMaterial]:
        """What holds now, and its number: it grows with each renewal. Never raises."""
        stamp = self._look()
        with self._lock:
            if stamp != self._stamp and not self._was_refused(stamp):
                try:
                    self._material = self._read()
                    self._generation += 1
                    _taken_up.labels("ok").inc()
                    log.info("renewed certificate is used", certificate=str(self._certificate_file or self._ca_file))
                    self._stamp = stamp
                except TrueframeError as error:
                    # A pair that is just being written is whole at the next look; the stamp stays, so that it is taken.
                    # Not at the very next one: channels look at each call.
                    self._refused, self._refused_s = stamp, time.monotonic()
                    _taken_up.labels("refused").inc()
                    if rate_limited(f"tls {self._ca_file}", 5.0):
                        log.error("renewed certificate cannot be used", reason=str(error))
            return self._generation, self._material

    def ends(self) -> dict[str, Described]:
        """What ends when: "certificate" and "authority", the latter the one that ends last. Never raises."""
        _, material = self.current()
        authorities = [describe(one) for one in read_certificates(material.authorities, str(self._ca_file))]
        found = {"authority": max(authorities, key=lambda one: one.ends)}
        return found | {"certificate": material.described} if material.described else found

    def _was_refused(self, stamp: Stamp) -> bool:
        return stamp == self._refused and time.monotonic() - self._refused_s < _REFUSED_FOR_S

    def _read(self) -> TlsMaterial:
        now = datetime.now(UTC)
        authorities = _public_bytes(self._ca_file)
        read_certificates(authorities, str(self._ca_file))
        if self._certificate_file is None or self._key_file is None:
            return TlsMaterial(authorities, None, None, None)
        certificate, key = _public_bytes(self._certificate_file), read_secret(self._key_file).encode()
        described = require_matching(certificate, key, authorities, str(self._certificate_file), now)
        return TlsMaterial(authorities, certificate, key, described)

    def _look(self) -> Stamp:
        return tuple(_stamp(path) for path in (self._ca_file, self._certificate_file, self._key_file))


class ServerTls:
    """What a server needs of its files."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files

    def credentials(self, *, client_certificates: bool = False) -> grpc.ServerCredentials:
        """Credentials that follow the files. With `client_certificates` a client without one gets no connection."""
        given, first = self._files.current()

        def configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
            assert material.key is not None
            assert material.certificate is not None
            return grpc.ssl_server_certificate_configuration(
                [(material.key, material.certificate)], material.authorities if client_certificates else None
            )

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            # In a thread of gRPC, at each handshake; None: as before.
            nonlocal given
            generation, material = self._files.current()
            if generation == given:
                return None
            given = generation
            return configuration(material)

        # The stubs do not know that None is an answer; gRPC's documentation does.
        return grpc.dynamic_ssl_server_credentials(
            configuration(first),
            fetch,  # type: ignore[arg-type]
            require_client_authentication=client_certificates,
        )


class ClientTls:
    """What a channel needs of its files."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files

    @classmethod
    def from_files(cls, ca_file: Path, certificate_file: Path | None = None, key_file: Path | None = None) -> ClientTls:
        """Raises NotFound, PermissionDenied, FailedPrecondition naming the file."""
        return cls(TlsFiles(ca_file, certificate_file, key_file))

    @classmethod
    def from_config(cls, config: TlsConfig) -> ClientTls | None:
        """TLS towards services; None where the configuration names no authorities."""
        files = TlsFiles.from_config(config)
        return cls(files) if files else None

    @property
    def generation(self) -> int:
        """Grows when the files were renewed."""
        return self._files.current()[0]

    def credentials(self) -> grpc.ChannelCredentials:
        """Of what the files hold now."""
        _, material = self._files.current()
        return grpc.ssl_channel_credentials(material.authorities, material.key, material.certificate)


def caller_of(auth_context: Mapping[str, object]) -> tuple[Kind, str]:
    """Kind and name of the certificate that a caller showed; OTHER and "" if none of ours."""
    names = auth_context.get("x509_subject_alternative_name") or ()
    assert isinstance(names, list | tuple)
    return identity_of(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)


def _public_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"certificate {path}", "does not exist", "`trueframe certs` makes certificates.") from None
    except OSError as error:
        raise FailedPrecondition(f"certificate {path}", f"cannot be read ({error.strerror})") from None


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 - on every call: a Path would cost more than the system call
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size

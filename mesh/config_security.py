# ruff: noqa: RUF009 - `option` returns a dataclass field; its doc belongs beside its default.
"""The sections `security` and `nats` of the configuration: keys, certificates, limits, and how the bus is entered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mesh.config_option import option
from mesh.errors import InvalidArgument

S = TypeVar("S")
_LARGEST_MESSAGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Certificates: with `ca_file` calls over TCP speak TLS, with all three files endpoints are served over it too."""

    ca_file: Path | None = option(None, "Certificates of the authorities that are believed, PEM.")
    certificate_file: Path | None = option(None, "The own certificate of this service or user, PEM.")
    key_file: Path | None = option(None, "Key of the certificate, PEM, mode 0600.")
    client_certificates: bool = option(
        True, "Callers have to show a certificate too, and the role service one that was issued for a service."
    )
    users_port_offset: int = option(
        0,
        "Users without a certificate are served on the endpoint's port plus this; services are not. 0: nowhere.",
        at_least=0, at_most=10_000,
    )  # fmt: skip
    warn_days: float = option(
        14.0, "A certificate that ends within so many days raises an alarm.", at_least=0, at_most=3650
    )

    @property
    def is_on(self) -> bool:
        """Whether TCP endpoints speak TLS."""
        return self.certificate_file is not None


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What one caller may ask of one service. The role service is bounded by `max_stream_message_bytes` alone."""

    reads_per_s: float = option(200.0, "Calls that read, a second, in the long run.", at_least=0.1, at_most=1e6)
    reads_burst: float = option(1000.0, "Calls that read at once.", at_least=1, at_most=1e6)
    changes_per_s: float = option(50.0, "Calls that change something, a second.", at_least=0.1, at_most=1e6)
    changes_burst: float = option(500.0, "Calls that change something at once.", at_least=1, at_most=1e6)
    streams_per_s: float = option(50.0, "Streams opened a second.", at_least=0.1, at_most=1e6)
    streams_burst: float = option(300.0, "Streams opened at once.", at_least=1, at_most=1e6)
    max_streams: int = option(128, "Streams open at the same time.", at_least=1, at_most=100_000)
    max_read_bytes: int = option(
        262_144, "Largest request of a call that reads.", at_least=1024, at_most=_LARGEST_MESSAGE_BYTES
    )
    max_change_bytes: int = option(
        4_194_304, "Largest request of a call that changes something.", at_least=1024, at_most=_LARGEST_MESSAGE_BYTES
    )
    max_stream_message_bytes: int = option(
        33_554_432, "Largest message that a caller sends on a stream.", at_least=1024, at_most=_LARGEST_MESSAGE_BYTES
    )


@dataclass(frozen=True, slots=True)
class SecurityConfig:
    """Whose tokens are believed, and what this service shows others."""

    public_key_file: Path | None = option(
        None, "Ed25519 public key, PEM. Default: `keys/signing.pub` in the data folder."
    )
    token_file: Path | None = option(
        None, "This service's own token, mode 0600. Default: `keys/service.token` in the data folder."
    )
    revocations_file: Path | None = option(
        None, "List of revoked tokens, signed. Default: `keys/revoked.jws` in the data folder."
    )
    share_revocations: bool = option(
        False,
        "Also take the list from the bus, and give it to others there: for services with data folders of their own.",
    )
    credentials_key_file: Path | None = option(
        None,
        "Key that camera passwords are sealed with, mode 0600; made by the broker. Default: `keys/credentials.key` in "
        "the data folder.",
    )
    tls: TlsConfig = field(default_factory=TlsConfig, metadata={"doc": "Certificates."})
    limits: LimitsConfig = field(default_factory=LimitsConfig, metadata={"doc": "What one caller may ask."})


@dataclass(frozen=True, slots=True)
class NatsConfig:
    """The bus."""

    url: str = option("nats://127.0.0.1:4222", "Servers, comma-separated; `tls://` for TLS.")
    token_file: Path | None = option(None, "NATS authentication token, mode 0600. Default: none.")
    user: str = option("", "NATS user; its password is in `password_file`.")
    password_file: Path | None = option(None, "Password of `user`, mode 0600.")
    credentials_file: Path | None = option(
        None, "NATS credentials (JWT and key in one `.creds` file), mode 0600, instead of token and user."
    )
    ca_file: Path | None = option(None, "Certificates of the authorities that the servers are known by, PEM.")
    certificate_file: Path | None = option(None, "Certificate shown to the servers, PEM. Default: none.")
    key_file: Path | None = option(None, "Key of that certificate, PEM, mode 0600.")


def absolute_security(config: SecurityConfig, keys: Path) -> SecurityConfig:
    """With every path absolute and the defaults filled in; `keys` is the folder of the defaults."""
    return replace(
        config,
        public_key_file=(config.public_key_file or keys / "signing.pub").absolute(),
        token_file=(config.token_file or keys / "service.token").absolute(),
        revocations_file=(config.revocations_file or keys / "revoked.jws").absolute(),
        credentials_key_file=(config.credentials_key_file or keys / "credentials.key").absolute(),
        tls=_absolute(config.tls, ("ca_file", "certificate_file", "key_file")),
    )


def absolute_nats(config: NatsConfig) -> NatsConfig:
    """With every path absolute."""
    return _absolute(
        config, ("token_file", "password_file", "credentials_file", "ca_file", "certificate_file", "key_file")
    )


def check_security(security: SecurityConfig, nats: NatsConfig) -> None:
    """What no single field can say. Raises InvalidArgument."""
    _all_or_none("security.tls", security.tls, ("certificate_file", "key_file"))
    if security.tls.is_on and not security.tls.ca_file:
        raise InvalidArgument("security.tls.ca_file", "has to be given where security.tls.certificate_file is")
    _all_or_none("nats", nats, ("certificate_file", "key_file"))
    if bool(nats.user) != bool(nats.password_file):
        raise InvalidArgument("nats.user", "needs nats.password_file, and that one needs it")
    ways = [name for name in ("token_file", "user", "credentials_file") if getattr(nats, name)]
    if len(ways) > 1:
        raise InvalidArgument(f"nats.{ways[0]}", f"is given beside nats.{ways[1]}", "Choose one way to enter.")


def _all_or_none(where: str, section: Any, names: Iterable[str]) -> None:
    absent = [name for name in names if not getattr(section, name)]
    given = [name for name in names if getattr(section, name)]
    if absent and given:
        raise InvalidArgument(f"{where}.{absent[0]}", f"has to be given where {where}.{given[0]} is")


def _absolute(section: S, names: Iterable[str]) -> S:
    paths = {name: getattr(section, name).absolute() for name in names if getattr(section, name)}
    made: S = replace(section, **paths)  # type: ignore[type-var]
    return made

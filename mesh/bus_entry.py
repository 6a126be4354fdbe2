"""How a service enters NATS: token, user and password, or credentials; TLS and a certificate of its own.

What does not belong here: what goes over the bus (`mesh.bus`).
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mesh.config_security import NatsConfig
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, TrueframeError
from mesh.files import read_secret
from mesh.logs import get_logger
from mesh.redact import redact_url

log = get_logger("mesh.bus_entry")


class BusEntry:
    """What a connection to NATS is made with. Secrets are read from their files and shown nowhere."""

    def __init__(self, config: NatsConfig) -> None:
        """Raises NotFound, PermissionDenied, FailedPrecondition naming the file; InvalidArgument (in the clear)."""
        self._config = config
        self._context = self._tls_context()
        self._options: dict[str, Any] = {}
        if config.token_file:
            self._options["token"] = read_secret(config.token_file)
        if config.user and config.password_file:
            self._options |= {"user": config.user, "password": read_secret(config.password_file)}
        if config.credentials_file:
            read_secret(config.credentials_file)  # whether it is there, and private
            self._options["user_credentials"] = str(config.credentials_file)
        if self._context is not None:
            self._options["tls"] = self._context
        if {"token", "password"} & self._options.keys():
            for url in config.url.split(","):
                _require_private(url.strip(), is_secure=self._context is not None)

    def options(self) -> dict[str, Any]:
        """Arguments of the library's `connect`."""
        return dict(self._options)

    def renew(self) -> None:
        """Reads the certificates again, for connections that are made from now on. Never raises."""
        if self._context is None:
            return
        try:
            self._load(self._context)
        except TrueframeError as error:
            log.error("renewed certificate for the bus cannot be used", reason=str(error))

    def __repr__(self) -> str:
        return f"BusEntry({', '.join(sorted(self._options))})"

    def _tls_context(self) -> ssl.SSLContext | None:
        if not self._config.ca_file and not any(_scheme(url) == "tls" for url in self._config.url.split(",")):
            return None
        # nats-py ends every TLS connection so; it means nothing, and would be a warning each time.
        logging.getLogger("asyncio").addFilter(_is_no_noise)
        context = ssl.create_default_context()
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        if self._config.ca_file:
            try:
                context.load_verify_locations(cafile=str(self._config.ca_file))
            except (OSError, ssl.SSLError) as error:
                raise _not_read("nats.ca_file", self._config.ca_file, error) from None
        if self._config.certificate_file and self._config.key_file:
            read_secret(self._config.key_file)
            try:
                context.load_cert_chain(str(self._config.certificate_file), str(self._config.key_file))
            except (OSError, ssl.SSLError) as error:
                raise _not_read("nats.certificate_file", self._config.certificate_file, error) from None


def _is_no_noise(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("returning true from eof_received()")


def _not_read(option: str, path: Path, error: OSError) -> TrueframeError:
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{option} {path}", "does not exist")
    return FailedPrecondition(f"{option} {path}", f"cannot be used ({getattr(error, 'reason', '') or error.strerror})")


def _scheme(url: str) -> str:
    return urlsplit(url.strip() if "://" in url else f"nats://{url.strip()}").scheme


def _require_private(url: str, *, is_secure: bool) -> None:
    host = urlsplit(url if "://" in url else f"nats://{url}").hostname or ""
    if not is_secure and host not in ("127.0.0.1", "::1", "localhost"):
        raise InvalidArgument(
            f"nats.url {redact_url(url)}", "would be entered with a secret in the clear", "Name nats.ca_file for TLS."
        )

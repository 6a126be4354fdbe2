"""Whom to believe over TLS: the host's certificate authorities, or the one certificate that an administrator pinned.

Belongs here: contexts, fingerprints and the words for a certificate that is not believed. Does not belong here:
RTSP, HTTP, retries. Used by both.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from functools import cache

from broker.errors import SourceUntrusted
from broker.sources.notation import show_fingerprint

_LOOK_S = 3.0


def context_for(tls_sha256: str) -> ssl.SSLContext:
    """A client's context; with a pin it believes any certificate, and `check_pin` must be called before anything is
    sent.
    """
    return _believing_one() if tls_sha256 else _believing_authorities()


@cache
def _believing_authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _believing_one() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # The pin names the key itself; how strongly it was signed does not matter, and cameras have small keys.
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    return context


def check_pin(thing: str, certificate: bytes | None, tls_sha256: str) -> None:
    """Raises SourceUntrusted unless `certificate` (DER) is the pinned one."""
    seen = hashlib.sha256(certificate or b"").hexdigest()
    if seen != tls_sha256:
        raise SourceUntrusted(
            thing,
            f"shows another certificate than the one that was pinned: its SHA-256 is {show_fingerprint(seen)}",
            "If the camera's certificate was renewed, pin that one (`trueframe cameras set … --tls-sha256`);"
            " if not, somebody stands between.",
        )


async def untrusted(thing: str, host: str, port: int, error: ssl.SSLError) -> SourceUntrusted:
    """The failure for a handshake that did not end well; looks at the certificate once more to name it."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = f"the TLS handshake failed ({_short(error)})"
        return SourceUntrusted(thing, reason, "Check the port, and which TLS versions the camera speaks.")
    reason = f"shows a certificate that is not believed ({error.verify_message or _short(error)})"
    fingerprint = await _fingerprint(host, port)
    if not fingerprint:
        return SourceUntrusted(thing, reason, "Install its authority on this host.")
    return SourceUntrusted(
        thing,
        f"{reason}; its SHA-256 is {show_fingerprint(fingerprint)}",
        "If that is the camera's, pin it (`trueframe cameras set … --tls-sha256`), or install its authority on this"
        " host.",
    )


async def _fingerprint(host: str, port: int) -> str:
    """SHA-256 of the certificate that is shown there; empty if none can be had. Nothing is sent to it."""
    try:
        async with asyncio.timeout(_LOOK_S):
            _, writer = await asyncio.open_connection(host, port, ssl=_believing_one(), server_hostname=host)
    except (OSError, TimeoutError):
        return ""
    connection = writer.get_extra_info("ssl_object")
    certificate = connection.getpeercert(binary_form=True) if connection else None
    writer.transport.abort()
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _short(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()[:80]

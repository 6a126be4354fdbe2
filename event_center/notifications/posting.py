"""One HTTP POST to an address that was looked at first: no redirects, no proxies, no way into the own network.

The name is resolved once, every address is checked, and the connection goes to the one that was checked: a name that
answers differently the second time gains nothing. Blocking; called in a thread.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from event_center.notifications.errors import Deferred, Refused
from event_center.notifications.line import Line

_MAX_ANSWER_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said. Not what it wrote: that may quote the request."""

    status: int
    retry_after_s: float


def post(
    line: Line,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    allow_private: bool,
    ca_file: Path | None,
) -> Answer:
    """Posts once. Raises Refused (an address that may not be called), Deferred (nobody there, TLS, too slow)."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Refused("the URL has no proper port") from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        raise Refused("the URL is no http:// or https:// URL without user and password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    address = _address(host, port, allow_private)
    connection = _Connection(
        line, host, port, address, timeout_s, _context(ca_file) if parts.scheme == "https" else None
    )
    try:
        connection.request("POST", path, body, {"User-Agent": "trueframe", **headers})
        answer = connection.getresponse()
        # Whoever hangs up on a server that is still writing may undo what it was doing.
        answer.read(_MAX_ANSWER_BYTES)
        return Answer(answer.status, _seconds(answer.headers.get("Retry-After", "")))
    except ssl.SSLCertVerificationError as error:
        raise Deferred(f"{host}: its certificate is not believed ({error.verify_message})") from None
    except TimeoutError:
        raise Deferred(f"{host} did not answer within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise Deferred(f"{host}: {_why(error)}") from None
    finally:
        connection.close()


def _address(host: str, port: int, allow_private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Deferred(f"{host} has no address") from None
    addresses = [str(one[4][0]) for one in found]
    if not allow_private:
        for one in addresses:
            if not is_public(one):
                raise Refused(f"{host} is in a private network, or this machine; allow_private = true lets it through")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise Deferred(f"ca_file {ca_file}: {_why(error)}") from None


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at; TLS asks for the name all the same."""

    def __init__(
        self, line: Line, host: str, port: int, address: str, timeout_s: float, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._line = line
        self._address = address
        self._context = context

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        self._line.hold(self.sock)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
            self._line.hold(self.sock)


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 3600.0) if text else 0.0
    except ValueError:
        return 0.0


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__

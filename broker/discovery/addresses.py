"""Addresses of devices: what is asked for, and what a device says of itself, checked before anything is sent there.

Belongs here: URLs as values. Does not belong here: sending (`http`).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from broker.discovery.errors import NotAnAddress
from mesh.redact import redact_url

_PORTS = {"http": 80, "https": 443}
_DEFAULT_PATH = "/onvif/device_service"


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """An http(s) URL in parts, without credentials. `path` begins with a slash and holds the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """host:port as the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def at(self, url: str) -> HttpAddress:
        """Another service of the same device: the path of `url`, and nothing else of it.

        Devices behind address translation tell addresses that nobody reaches, and a hostile one could name somebody
        else, who would be sent the credentials.
        """
        try:
            path = _path(urlsplit(url.strip()), self.path)
        except ValueError:
            path = self.path
        path = path if path.startswith("/") else self.path
        return HttpAddress(self.scheme, self.host, self.port, path)


def parse_address(text: str) -> HttpAddress:
    """Reads the address of a device service; a bare host or host:port is completed. Raises NotAnAddress."""
    text = text.strip()
    shown = f"device address {redact_url(text)[:200]!r}"
    if not text or any(ord(c) < 33 or ord(c) == 127 for c in text):
        raise NotAnAddress(shown, "is empty or holds white space or a control character")
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise NotAnAddress(shown, f"has a malformed host or port ({error})") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise NotAnAddress(shown, f"has the scheme {scheme}://")
    if "@" in parts.netloc:
        raise NotAnAddress(shown, "holds credentials", "Give user and password by themselves.")
    if not re.fullmatch(r"[\w.:%-]{1,255}", host, re.ASCII):
        raise NotAnAddress(shown, "names no host")
    return HttpAddress(scheme, host, port or _PORTS[scheme], _path(parts, _DEFAULT_PATH))


def _path(parts: object, default: str) -> str:
    path, query = getattr(parts, "path", ""), getattr(parts, "query", "")
    path = quote(path if path not in ("", "/") else default, safe="/%:@!$&'()*+,;=~-._")
    return f"{path}?{quote(query, safe='/%:@!$&()*+,;=~-._?')}" if query else path


def reachable(url: str, device: HttpAddress) -> str:
    """A URL that a device told of itself, without credentials; a host that means nothing here becomes the device's.

    Nothing is one of: no host, 0.0.0.0, a loopback or link-local address while the device is elsewhere. Empty if it is
    no URL.
    """
    url = url.strip()
    if "://" not in url or len(url) > 2000 or any(ord(c) < 33 or ord(c) == 127 for c in url):
        return ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if _means_nothing(host) and not _means_nothing(device.host):
        host = device.host
    if not host:
        host = device.host
    shown = f"[{host}]" if ":" in host else host
    netloc = f"{shown}:{port}" if port else shown
    return urlunsplit((parts.scheme.lower(), netloc, parts.path, parts.query, ""))


def _means_nothing(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host in ("", "localhost")
    return address.is_unspecified or address.is_loopback or address.is_link_local

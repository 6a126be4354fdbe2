"""What an administrator writes as a camera's source, parsed once and shown without its credentials.

Belongs here: `rtsp://user:password@host/path`, `rtsps://…`, `http://…`, `https://…`, `file:///clip.mp4?loop=1`,
`clip.mp4`, and what goes with them (transport, pinned certificate). Does not belong here: opening it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from broker.kinds import Transport
from broker.rtsp.auth import Credentials
from mesh.errors import InvalidArgument
from mesh.redact import redact_url
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_UNSPECIFIED

RTSP_PORT = 554
RTSPS_PORT = 322
_PORTS = {"rtsp": RTSP_PORT, "rtsps": RTSPS_PORT, "http": 80, "https": 443}
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_REMEDY = "Use rtsp://, rtsps://, http://, https://, file:// or the path of a video file."


@dataclass(frozen=True, slots=True)
class RtspSource:
    """A camera that speaks RTSP. `url` holds no user and password; `host` is a name or a bare address.

    `tls_sha256`: 64 lower-case hexadecimal digits, or empty: then the host's authorities decide.
    """

    url: str
    host: str
    port: int
    credentials: Credentials | None = field(repr=False)
    is_tls: bool = False
    transport: Transport = TRANSPORT_UNSPECIFIED
    tls_sha256: str = ""

    @property
    def thing(self) -> str:
        """What errors call it."""
        return f"camera at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A camera that sends motion JPEG over HTTP. `url` holds no user and password; `target` goes into the request."""

    url: str
    host: str
    port: int
    credentials: Credentials | None = field(repr=False)
    is_tls: bool = False
    tls_sha256: str = ""

    @property
    def target(self) -> str:
        """Path and query as a request line has them; `/` at least."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def thing(self) -> str:
        """What errors call it."""
        return f"camera at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A video file played as a camera, in real time; `is_looped` plays it for ever."""

    path: Path
    is_looped: bool


Source: TypeAlias = RtspSource | HttpSource | FileSource


def parse_source(source: str, transport: Transport = TRANSPORT_UNSPECIFIED, tls_sha256: str = "") -> Source:
    """Reads a source. Raises InvalidArgument naming the source (redacted), the reason and the remedy.

    `transport` matters to RTSP only and is ignored elsewhere; `tls_sha256` is a certificate's SHA-256 as people write
    it (hexadecimal, colons allowed).
    """
    source = source.strip()
    if not source:
        raise _refused(source, "is empty", "Give an rtsp:// URL, a file:// URL or the path of a video file.")
    if any(ord(character) < 32 or ord(character) == 127 for character in source):
        raise _refused(source, "holds a control character", "Remove it.")
    found = _SCHEME.match(source)
    scheme = found.group(1).lower() if found else ""
    pin = parse_fingerprint(tls_sha256)
    if pin and scheme not in ("rtsps", "https"):
        remedy = f"Use {scheme}s://, or leave the fingerprint out." if scheme in _PORTS else "Leave it out."
        raise _refused(source, "has a certificate's fingerprint and is not encrypted", remedy)
    if scheme in _PORTS:
        url, parts, credentials = _url(source, scheme)
        host, port = unquote(parts.hostname or ""), parts.port or _PORTS[scheme]
        if scheme in ("http", "https"):
            return HttpSource(url, host, port, credentials, scheme == "https", pin)
        if scheme == "rtsps" and transport == TRANSPORT_UDP:
            reason = "would send its pictures over UDP, outside the encryption that rtsps:// promises"
            raise _refused(source, reason, "Set the transport to TCP, or use rtsp://.")
        return RtspSource(
            url, host, port, credentials, scheme == "rtsps", TRANSPORT_TCP if scheme == "rtsps" else transport, pin
        )
    if not scheme:
        path, _, query = source.partition("?")
        return _file(source, path, query)
    if scheme == "file":
        try:
            parts = urlsplit(source)
        except ValueError as error:
            raise _refused(source, "has a malformed host", "Write file:///absolute/path.mp4.") from error
        if parts.netloc not in ("", "localhost"):
            raise _refused(source, f"names a file on another host ({parts.netloc})", "Write file:///absolute/path.mp4.")
        return _file(source, unquote(parts.path), parts.query)
    raise _refused(source, f"has the unknown scheme {scheme}://", _REMEDY)


def parse_fingerprint(text: str) -> str:
    """A certificate's SHA-256 as 64 lower-case digits; empty stays empty. Raises InvalidArgument."""
    digits = re.sub(r"[\s:-]", "", text.strip().lower().removeprefix("sha256:"))
    if digits and not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise InvalidArgument(
            "certificate fingerprint",
            f"is not 64 hexadecimal digits ({len(digits)} characters)",
            "Give the SHA-256 of the camera's certificate; the camera's state names it when it is not believed.",
        )
    return digits


def show_fingerprint(digits: str) -> str:
    """As browsers and openssl show it: `AB:CD:…`."""
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()


def _file(source: str, path: str, query: str) -> FileSource:
    options = parse_qs(query, keep_blank_values=True)
    unknown = sorted(set(options) - {"loop"})
    if unknown:
        raise _refused(source, f"has the unknown option {unknown[0]!r}", "The only option of a file is ?loop=1.")
    loop = options.get("loop", ["0"])[-1]
    if loop not in ("0", "1", "true", "false"):
        raise _refused(source, f"has loop={loop}", "Write ?loop=1 or ?loop=0.")
    return FileSource(Path(path), loop in ("1", "true"))


def _url(source: str, scheme: str) -> tuple[str, SplitResult, Credentials | None]:
    """The URL without credentials, its parts, and the credentials."""
    # A password may hold '@', '/', '?' or '#': the last '@' before the path ends the user information if it can.
    rest = source[len(scheme) + len("://") :]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and ":" in authority and "@" in rest and not _is_host_and_port(authority):
        authority = rest[: rest.rindex("@") + 1] + re.split(r"[/?#]", rest[rest.rindex("@") + 1 :], maxsplit=1)[0]
    tail = rest[len(authority) :]
    user_information, at, host_and_port = authority.rpartition("@")
    form = f"Write {scheme}://HOST[:PORT]/PATH."
    if host_and_port.count(":") > 1 and not host_and_port.startswith("["):
        raise _refused(source, "has an IPv6 address without brackets", f"Write {scheme}://[ADDRESS][:PORT]/PATH.")
    try:
        parts = urlsplit(f"{scheme}://{host_and_port}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refused(source, "has a malformed host or port", form) from error
    if port == 0:
        raise _refused(source, "has a malformed host or port", form)
    if not host or " " in host_and_port:
        raise _refused(source, "names no host", form)
    credentials = None
    if at:
        user, _, password = user_information.partition(":")
        credentials = Credentials(unquote(user), unquote(password))
    tail = quote(tail.partition("#")[0], safe="/?&=;:+,!*'()%@$[]~-._")
    return f"{scheme}://{host_and_port}{tail}", parts, credentials


def _is_host_and_port(authority: str) -> bool:
    """Whether this stands for a host by itself, so that an '@' behind it belongs to the path."""
    if re.fullmatch(r"\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\](?::\d{1,5})?", authority):
        return True
    name = r"(?:localhost|[\w-]+(?:\.[\w-]+)+\.?)"
    return re.fullmatch(rf"{name}(?::\d{{1,5}})?", authority, re.ASCII) is not None


def _refused(source: str, reason: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(f"source {redact_url(source)!r}" if source else "source", reason, remedy)

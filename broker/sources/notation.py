"""What an administrator writes as a camera's source, parsed once and shown without its credentials.

Belongs here: `rtsp://user:password@host/path`, `file:///clip.mp4?loop=1`, `clip.mp4`. Does not belong here: opening it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from broker.rtsp.auth import Credentials
from mesh.errors import InvalidArgument
from mesh.redact import redact_url

RTSP_PORT = 554
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class RtspSource:
    """A camera that speaks RTSP. `url` holds no credentials."""

    url: str
    host: str
    port: int
    credentials: Credentials | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A video file played as a camera, in real time; `is_looped` plays it for ever."""

    path: Path
    is_looped: bool


def parse_source(source: str) -> RtspSource | FileSource:
    """Reads a source. Raises InvalidArgument naming the source (redacted), the reason and the remedy."""
    source = source.strip()
    if not source:
        raise _refused(source, "is empty", "Give an rtsp:// URL, a file:// URL or the path of a video file.")
    if any(ord(character) < 32 or ord(character) == 127 for character in source):
        raise _refused(source, "holds a control character", "Remove it.")
    scheme = _SCHEME.match(source)
    if scheme is None:
        path, _, query = source.partition("?")
        return _file(source, path, query)
    name = scheme.group(1).lower()
    if name == "rtsp":
        return _rtsp(source)
    if name == "file":
        parts = urlsplit(source)
        if parts.netloc not in ("", "localhost"):
            raise _refused(source, f"names a file on another host ({parts.netloc})", "Write file:///absolute/path.mp4.")
        return _file(source, unquote(parts.path), parts.query)
    raise _refused(source, f"has the unknown scheme {name}://", "Use rtsp://, file:// or the path of a video file.")


def _file(source: str, path: str, query: str) -> FileSource:
    options = parse_qs(query, keep_blank_values=True)
    unknown = sorted(set(options) - {"loop"})
    if unknown:
        raise _refused(source, f"has the unknown option {unknown[0]!r}", "The only option of a file is ?loop=1.")
    loop = options.get("loop", ["0"])[-1]
    if loop not in ("0", "1", "true", "false"):
        raise _refused(source, f"has loop={loop}", "Write ?loop=1 or ?loop=0.")
    return FileSource(Path(path), loop in ("1", "true"))


def _rtsp(source: str) -> RtspSource:
    # A password may hold '@', '/', '?' or '#': the last '@' before the path ends the user information if it can.
    rest = source[len("rtsp://") :]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and "@" in rest:
        authority = rest[: rest.rindex("@") + 1] + re.split(r"[/?#]", rest[rest.rindex("@") + 1 :], maxsplit=1)[0]
    tail = rest[len(authority) :]
    user_information, at, host_and_port = authority.rpartition("@")
    try:
        parts = urlsplit(f"rtsp://{host_and_port}")
        host, port = parts.hostname or "", parts.port or RTSP_PORT
    except ValueError as error:
        raise _refused(source, "has a malformed host or port", "Write rtsp://HOST[:PORT]/PATH.") from error
    if not host or " " in host_and_port:
        raise _refused(source, "names no host", "Write rtsp://HOST[:PORT]/PATH.")
    credentials = None
    if at:
        user, _, password = user_information.partition(":")
        credentials = Credentials(unquote(user), unquote(password))
    tail = quote(tail.partition("#")[0], safe="/?&=;:+,!*'()%@$[]~-._")
    return RtspSource(f"rtsp://{host_and_port}{tail}", host, port, credentials)


def _refused(source: str, reason: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(f"source {redact_url(source)!r}" if source else "source", reason, remedy)

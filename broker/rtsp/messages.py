"""RTSP/1.0 messages: bytes in, values out, and back.

Belongs here: the text form of requests and responses (RFC 2326). Does not belong here: sockets, interleaved data,
what a method means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

# An URL may hold commas: the next entry begins with its own.
_ENTRIES = re.compile(r",(?=\s*url\s*=)", re.IGNORECASE)
_INFO_URL = re.compile(r"\burl\s*=\s*\"?([^\";]*)", re.IGNORECASE)
_INFO_SEQUENCE = re.compile(r";\s*seq\s*=\s*([0-9]{1,5})\s*(?=$|[;,])", re.IGNORECASE)

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024
MAX_HEADERS = 256


class MalformedMessage(ValueError):
    """The bytes are not an RTSP message that this client accepts."""


@dataclass(frozen=True, slots=True)
class Headers:
    """Header fields in the order they came; names compare without regard to case, a name may come several times."""

    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """The first value of `name`, else `default`."""
        lower = name.lower()
        return next((value for key, value in self.pairs if key.lower() == lower), default)

    def all(self, name: str) -> list[str]:
        """Every value of `name`, in order."""
        lower = name.lower()
        return [value for key, value in self.pairs if key.lower() == lower]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the camera."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def cseq(self) -> int | None:
        """The number of the request that this answers; None if it is missing or no number."""
        return _number(self.headers.get("CSeq"))


@dataclass(frozen=True, slots=True)
class Request:
    """A request; cameras send a few too (OPTIONS, ANNOUNCE, TEARDOWN)."""

    method: str
    url: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def cseq(self) -> int | None:
        """The request's number; None if it is missing or no number."""
        return _number(self.headers.get("CSeq"))


def encode_request(
    method: str, url: str, cseq: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> bytes:
    """The wire form of a request. A line break in any value raises MalformedMessage, so nothing can be injected."""
    lines = [f"{method} {url} RTSP/1.0", f"CSeq: {cseq}", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return _encode_lines(lines) + body


def encode_response(status: int, reason: str, cseq: int, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The wire form of a bodyless answer, for requests that a camera sends to us."""
    return _encode_lines(
        [f"RTSP/1.0 {status} {reason}", f"CSeq: {cseq}", *(f"{name}: {value}" for name, value in headers)]
    )


def _encode_lines(lines: list[str]) -> bytes:
    if any("\r" in line or "\n" in line for line in lines):
        raise MalformedMessage("a header value holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def parse_message(data: bytes) -> Response | Request:
    """One whole message, header and body. Raises MalformedMessage."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        head, separator, body = data.partition(b"\n\n")
    if len(head) > MAX_HEADER_BYTES:
        raise MalformedMessage(f"header of {len(head)} bytes")
    lines = head.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    headers = _parse_headers(lines[1:])
    words = lines[0].strip().split(None, 2)
    if not words:
        raise MalformedMessage("empty first line")
    if words[0].startswith("RTSP/"):
        status = _number(words[1]) if len(words) > 1 else None
        if status is None or not 100 <= status <= 999:
            raise MalformedMessage(f"status line {lines[0][:80]!r}")
        return Response(status, words[2] if len(words) > 2 else "", headers, body)
    if len(words) == 3 and words[2].startswith("RTSP/"):
        return Request(words[0], words[1], headers, body)
    raise MalformedMessage(f"first line {lines[0][:80]!r}")


def _parse_headers(lines: list[str]) -> Headers:
    pairs: list[tuple[str, str]] = []
    for line in lines:
        if not line:
            continue
        if line[0] in " \t" and pairs:  # A folded line continues the value before it.
            name, value = pairs[-1]
            pairs[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        if not colon:
            continue  # Cameras print debug words and stray status lines between their headers.
        pairs.append((name.strip(), value.strip()))
        if len(pairs) > MAX_HEADERS:
            raise MalformedMessage(f"more than {MAX_HEADERS} headers")
    return Headers(tuple(pairs))


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def first_sequence(values: Iterable[str], url: str, is_only: bool) -> int | None:
    """Sequence number of the first packet of the stream that was set up as `url`, out of RTP-Info headers.

    `is_only`: no other stream was set up, so that an entry without others needs no URL that fits. None if nothing is
    said, or nothing that is surely about this stream.
    """
    entries = []
    for entry in _ENTRIES.split(",".join(values)):
        named, said = _INFO_URL.search(entry), _INFO_SEQUENCE.search(entry)
        entries.append((_path(named[1]) if named else "", int(said[1]) if said else None))
    if len(entries) == 1 and is_only:
        return entries[0][1]
    fitting = [sequence for path, sequence in entries if path and f"/{_path(url)}".endswith(f"/{path}")]
    return fitting[0] if len(fitting) == 1 else None


def _path(url: str) -> str:
    """What names a stream in a URL, absolute or not: neither host nor query, which servers write in their own ways."""
    _, _, rest = url.partition("://")
    path = "/" + rest.partition("/")[2] if rest else url
    return path.partition("?")[0].strip().strip("/")


def session_of(value: str, default_timeout_s: float = 60.0) -> tuple[str, float]:
    """Session id and time-out in seconds out of a Session header (`id;timeout=60`)."""
    session, *parameters = (part.strip() for part in value.split(";"))
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        seconds = _number(text)
        if name.strip().lower() == "timeout" and seconds:
            return session, float(seconds)
    return session, default_timeout_s

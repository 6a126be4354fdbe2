"""RTSP and HTTP requests out of a TCP stream.

What belongs here: framing (requests with bodies, interleaved packets between them) with bounds, and the form of an
answer. Pure: bytes in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 65_536
REASONS = {
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
    503: "Service Unavailable",
}


class RequestError(ValueError):
    """What came is no RTSP; the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The URL's path without slashes at its ends."""
        return unquote(urlsplit(self.url).path).strip("/")


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A packet that came on an interleaved channel."""

    channel: int
    data: bytes


class RequestParser:
    """Takes bytes as they come, gives back whole requests and packets. `protocol` is RTSP or HTTP."""

    def __init__(self, protocol: str = "RTSP") -> None:
        self._protocol = protocol
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Request | Interleaved]:
        """Everything that is whole now. Raises RequestError."""
        self._buffer += data
        found: list[Request | Interleaved] = []
        while (item := self._next()) is not None:
            found.append(item)
        return found

    def _next(self) -> Request | Interleaved | None:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            del buffer[:2]
        if buffer[:1] == b"$":
            size = 4 + int.from_bytes(buffer[2:4], "big") if len(buffer) >= 4 else 4
            if len(buffer) < max(size, 4) or len(buffer) < 4:
                return None
            packet = Interleaved(buffer[1], bytes(buffer[4:size]))
            del buffer[:size]
            return packet
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > MAX_HEAD_BYTES:
                raise RequestError("a request's head is too long")
            return None
        request = _parsed(bytes(buffer[:end]), self._protocol)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise RequestError("a request's body is too long")
        if len(buffer) < end + 4 + int(length):
            return None
        del buffer[: end + 4 + int(length)]
        return request


def _parsed(head: bytes, protocol: str) -> Request:
    try:
        first, *lines = head.decode("utf-8").split("\r\n")
        method, url, version = first.split(" ")
    except ValueError as error:
        raise RequestError("a request line is malformed") from error
    if not version.startswith(f"{protocol}/1."):
        raise RequestError(f"{version[:20]} is not spoken here")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(method, url, headers)


Headers = Iterable[tuple[str, str]]


def answer(
    status: int, request: Request, headers: Headers = (), body: str = "", manners: frozenset[str] = frozenset()
) -> bytes:
    """The bytes of a response, with the bad manners (`traits.SLOPPY`) of the camera that gives it."""
    lines = [f"RTSP/1.0 {status} {REASONS[status]}"]
    data = body.encode()
    all_headers = [("CSeq", request.headers.get("cseq", "0"))] if "no-cseq" not in manners else []
    all_headers += [("Server", "trueframe-simulator"), *headers]
    if data:
        all_headers.append(("Content-Length", str(len(data))))
    for name, value in all_headers:
        lines.append(f"{name.swapcase()} :   {value} " if "case" in manners else f"{name}: {value}")
    end = "\n" if "lf" in manners else "\r\n"
    return end.join([*lines, "", ""]).encode() + data

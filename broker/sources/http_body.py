"""What an HTTP camera answers: the head of the response, chunked bodies, and the JPEG files of a multipart body.

Pure: bytes in, values out; the callers read sockets and take times. Everything is bounded, since a camera may send
anything. What does not belong here: requests and connections (`http_mjpeg`), what a JPEG holds (`broker.core`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from broker.core import MAX_UNIT_BYTES
from broker.rtsp.messages import Headers

MAX_HEAD_BYTES = 64 * 1024
_MAX_LINE_BYTES = 8 * 1024
_MAX_PART_HEADERS = 64
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
# In entropy-coded data: a marker that is neither a stuffed zero nor a restart, nor a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_ANY_MARKER = re.compile(rb"\xff[^\x00\xff]")
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_SOS = 0xDA
_SHORTEST = 4
_DASHES = 16
_TELLING = 4  # a shorter boundary stands in pictures by chance
_MAX_WITHOUT_END = 3


class MalformedHttp(ValueError):
    """The bytes are not an answer that this client accepts."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and header fields of an answer."""

    status: int
    reason: str
    headers: Headers

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case."""
        return self.headers.get("Content-Type").partition(";")[0].strip().lower()

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.headers.get("Transfer-Encoding").lower()

    @property
    def boundary(self) -> bytes:
        """The boundary that Content-Type names, without its quotes and dashes; empty if it names none."""
        for parameter in self.headers.get("Content-Type").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "boundary":
                return _core(value.strip().strip("\"'").encode("latin-1", "replace"))
        return b""


def parse_head(data: bytes) -> tuple[Head, bytes] | None:
    """The head of an answer and what follows it; None while it is incomplete. Raises MalformedHttp."""
    if not b"HTTP/".startswith(data[:5]) and not data.startswith((b"HTTP/", b"ICY ")):
        raise MalformedHttp("no HTTP status line")
    ends = [(at, length) for mark, length in ((b"\r\n\r\n", 4), (b"\n\n", 2)) if (at := data.find(mark)) >= 0]
    if not ends:
        if len(data) > MAX_HEAD_BYTES:
            raise MalformedHttp(f"a head of more than {MAX_HEAD_BYTES} bytes")
        return None
    at, length = min(ends)
    lines = data[:at].decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    words = lines[0].split(None, 2)
    if len(words) < 2 or not (words[1].isascii() and words[1].isdigit() and len(words[1]) == 3):
        raise MalformedHttp(f"status line {lines[0][:80]!r}")
    pairs = [
        (name.strip(), value.strip()) for name, colon, value in (line.partition(":") for line in lines[1:]) if colon
    ]
    return Head(int(words[1]), words[2].strip() if len(words) > 2 else "", Headers(tuple(pairs))), data[at + length :]


class ChunkedBody:
    """Takes the chunks' frames off a body. Raises MalformedHttp."""

    def __init__(self) -> None:
        self._left = 0
        self._line = b""
        self.has_ended = False

    def feed(self, data: bytes) -> bytes:
        """The body's bytes among these of the connection."""
        out: list[bytes] = []
        at = 0
        while at < len(data) and not self.has_ended:
            if self._left:
                piece = data[at : at + self._left]
                out.append(piece)
                self._left -= len(piece)
                at += len(piece)
                continue
            end = data.find(b"\n", at)
            self._line += data[at:] if end < 0 else data[at:end]
            if len(self._line) > _MAX_LINE_BYTES:
                raise MalformedHttp("a chunk without its size")
            if end < 0:
                break
            at = end + 1
            line, self._line = self._line.strip(), b""
            if not line:
                continue  # the line end behind a chunk
            try:
                self._left = int(line.partition(b";")[0].strip(), 16)
            except ValueError:
                raise MalformedHttp(f"a chunk of size {line[:20]!r}") from None
            if self._left < 0:
                raise MalformedHttp(f"a chunk of size {line[:20]!r}")
            self.has_ended = self._left == 0
        return b"".join(out)


def find_eoi(data: bytes | bytearray, start: int = 2, *, in_scan: bool = False) -> tuple[int, int, bool]:
    """Walks a JPEG file's markers: (offset behind EOI or -1, offset to go on from, whether that lies in a scan).

    Thumbnails inside of segments are skipped with them, so that their EOI does not end the file.
    """
    at, size = start, len(data)
    while True:
        found = (_MARKER if in_scan else _ANY_MARKER).search(data, at)
        if found is None:
            return -1, max(at, size - 1), in_scan
        at, in_scan = found.start(), False
        kind = data[at + 1]
        if kind == _EOI[1]:
            return at + 2, at, False
        if kind in _ALONE:
            at += 2
            continue
        if at + 4 > size:
            return -1, at, False
        length = max(2, data[at + 2] << 8 | data[at + 3])
        if at + 2 + length > size:
            return -1, at, False
        at += 2 + length
        in_scan = kind == _SOS


class JpegParts:
    """Finds the JPEG files in a multipart body, each the moment its last byte is here.

    Without a Content-Length a file ends at its EOI marker, not at the boundary, which many cameras send with the next
    picture only. A Content-Length that lies is noticed once and not believed any more.
    """

    def __init__(self, boundary: bytes, max_bytes: int = MAX_UNIT_BYTES) -> None:
        self.refused = 0
        """Parts given up: longer than a unit may be, or no JPEG although they say so. Grows."""
        self.other_parts = 0
        """Parts of other media types, such as sound. Grows."""
        self._boundary = boundary
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._step = self._seek
        self._headers = 0
        self._length: int | None = None
        self._is_other = False
        self._believes_length = True
        self._without_end = 0
        self._scan_from = 2
        self._is_in_scan = False
        self._checked = 0
        self._found: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The files that end in these bytes. One that is cut off by the next boundary comes out as it is."""
        self._data += data
        self._found = []
        while self._step():
            pass
        return self._found

    # Each step returns whether another can follow at once.

    def _seek(self) -> bool:
        """Up to the next boundary, or to a JPEG that has none before it."""
        data = self._data
        if not self._boundary and (soi := data.find(_SOI)) >= 0 and b"\n" not in data[:soi]:
            del data[:soi]
            self._is_other = False
            return self._begin_body(None)
        end = data.find(b"\n")
        if end < 0:
            # Padding has no line ends; a boundary begins within the last bytes of what is kept.
            if len(data) > _MAX_LINE_BYTES:
                del data[:-512]
            return False
        line = bytes(data[max(0, end - 512) : end])
        is_delimiter = self._is_delimiter(line)
        if is_delimiter or not _is_part_header(line):
            del data[: end + 1]
            if not is_delimiter:
                return True
        self._headers, self._length, self._is_other = 0, None, False
        self._step = self._part_headers
        return True

    def _part_headers(self) -> bool:
        data = self._data
        if data.startswith(_SOI):
            return self._begin_body(self._length)
        end = data.find(b"\n")
        if end < 0:
            if len(data) > _MAX_LINE_BYTES:
                self._step = self._seek
                return True
            return False
        line = bytes(data[: min(end, _MAX_LINE_BYTES)]).strip()
        del data[: end + 1]
        if not line:
            if self._headers == 0 and self._length is None:
                return True  # a blank line right behind the boundary
            return self._begin_body(self._length)
        if self._is_delimiter(line):
            self._headers, self._length, self._is_other = 0, None, False
            return True
        self._headers += 1
        if self._headers > _MAX_PART_HEADERS:
            self._step = self._seek
            return True
        name, _, value = line.partition(b":")
        value = value.strip()
        if name.strip().lower() == b"content-length" and value.isdigit() and len(value) < 12:
            self._length = int(value)
        elif name.strip().lower() == b"content-type":
            self._is_other = not value.lower().startswith((b"image/", b"application/octet-stream"))
        return True

    def _begin_body(self, length: int | None) -> bool:
        self._length = length if self._believes_length else None
        self._scan_from, self._is_in_scan, self._checked = 2, False, 0
        if self._is_other:
            self.other_parts += 1
            self._step = self._seek
            return True
        self._step = self._body
        return True

    def _body(self) -> bool:
        data = self._data
        if not data.startswith(_SOI):
            return self._before_soi()
        if self._length is not None:
            return self._body_of_length(self._length)
        end, self._scan_from, self._is_in_scan = find_eoi(data, self._scan_from, in_scan=self._is_in_scan)
        cut = self._cut_off()
        if cut >= 0 and not 0 <= end <= cut:
            return self._take(cut, is_whole=False)
        if end >= 0:
            return self._take(end)
        if len(data) > self._max_bytes:
            return self._refuse()
        return False

    def _before_soi(self) -> bool:
        """Blank lines and what else stands before a picture."""
        data = self._data
        if len(data) < 2 and _SOI.startswith(bytes(data)):
            return False
        stripped = len(data) - len(data.lstrip(b"\r\n \t\0"))
        if stripped:
            self._length = max(0, self._length - stripped) if self._length is not None else None
            del data[:stripped]
            return bool(data)
        return self._refuse()

    def _body_of_length(self, length: int) -> bool:
        data = self._data
        if length > self._max_bytes:
            return self._refuse()
        if length < _SHORTEST:
            self._length = None
            return True
        if len(data) < length:
            return False
        if bytes(data[length - 2 : length]) == _EOI:
            return self._take(length)
        end = find_eoi(memoryview(data)[:length].tobytes())[0]
        if end >= 0 and self._delimiter(end, length) < 0:
            return self._take(end)  # padded
        if end < 0 and (len(data) == length or self._delimiter(length, length + _DASHES + len(self._boundary)) >= 0):
            self._without_end += 1  # damaged; or cut short by its length, which then does not end behind it for long
            self._believes_length = self._without_end < _MAX_WITHOUT_END
            return self._take(length, is_whole=False)
        self._believes_length, self._length = False, None
        return True

    def _delimiter(self, start: int, stop: int) -> int:
        """Offset of the first boundary line between two offsets, its line end included; -1 if there is none."""
        if len(self._boundary) < _TELLING:
            return -1
        data, at = self._data, start
        while (at := data.find(self._boundary, at, stop)) >= 0:
            begin = max(0, at - _DASHES)
            before = bytes(data[begin:at]).rstrip(b"-")
            if before.endswith(b"\n"):
                return begin + len(before) - (2 if before.endswith(b"\r\n") else 1)
            at += 1
        return -1

    def _cut_off(self) -> int:
        """Where the next boundary cuts a picture off that has no EOI; -1 if none is here yet."""
        start = max(0, self._checked - len(self._boundary) - _DASHES)
        self._checked = len(self._data)
        return self._delimiter(start, len(self._data))

    def _take(self, end: int, *, is_whole: bool = True) -> bool:
        if is_whole:
            self._without_end = 0
        self._found.append(bytes(memoryview(self._data)[:end]))
        del self._data[:end]
        self._step = self._seek
        return True

    def _refuse(self) -> bool:
        self.refused += 1
        self._step = self._seek
        if self._data.startswith(_SOI):
            del self._data[:2]  # or seeking would find the same picture again
        return True

    def _is_delimiter(self, line: bytes) -> bool:
        core = _core(line.strip())
        if self._boundary:
            return core == self._boundary or core.endswith(b"--" + self._boundary)
        return line.lstrip().startswith(b"--")


def _core(boundary: bytes) -> bytes:
    """A boundary without the dashes around it: servers name it with and without them."""
    return boundary.strip(b"- \t\r")


def _is_part_header(line: bytes) -> bool:
    return line.lower().startswith((b"content-type:", b"content-length:"))

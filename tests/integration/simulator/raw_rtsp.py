"""A blocking RTSP client of a hundred lines for tests: it hides nothing and heals nothing."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass
class RawRtsp:
    """One connection to one camera."""

    url: str
    login: tuple[str, str] | None = None
    timeout_s: float = 5.0
    session: str = ""
    _buffer: bytearray = field(default_factory=bytearray)
    _waiting: list[tuple[int, bytes]] = field(default_factory=list)
    _sequence: int = 0

    def __post_init__(self) -> None:
        host, port = re.match(r"rtsp://([\d.]+):(\d+)/", self.url).groups()  # type: ignore[union-attr]
        self._socket = socket.create_connection((host, int(port)), timeout=self.timeout_s)

    def __enter__(self) -> RawRtsp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, method: str, url: str | None = None, **headers: str) -> Answer:
        """Sends a request and waits for its answer; packets that come meanwhile wait for `packets`."""
        self._sequence += 1
        url = url or self.url
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}"]
        if self.session:
            lines.append(f"Session: {self.session}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while True:
            item = self._next()
            if isinstance(item, Answer):
                break
            self._waiting.append(item)
        if item.status == 401 and self.login and "Authorization" not in headers:
            return self.ask(method, url, **headers, Authorization=self._authorization(method, url, item))
        return item

    def play(self, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> Answer:
        """SETUP and PLAY."""
        answer = self.ask("SETUP", self.url + "/trackID=0", Transport=transport)
        assert answer.status == 200, answer
        self.session = answer.headers["session"].partition(";")[0]
        played = self.ask("PLAY")
        assert played.status == 200, played
        return answer

    def packets(self, channel: int | None = 0) -> Iterator[bytes]:
        """Packets of a channel as they come; ends when the connection does."""
        while True:
            try:
                item = self._waiting.pop(0) if self._waiting else self._next()
            except EOFError:
                return
            if isinstance(item, tuple) and channel in (None, item[0]):
                yield item[1]

    def units(self) -> Iterator[tuple[bytes, list[int]]]:
        """Canonical payloads and the RTP sequence numbers they came in; nothing is said about losses."""
        nals: list[bytes] = []
        numbers: list[int] = []
        for packet in self.packets():
            numbers.append(int.from_bytes(packet[2:4], "big"))
            body = packet[12:]
            if body[0] & 31 == 28:
                if body[1] & 0x80:
                    nals.append(bytes([body[0] & 0xE0 | body[1] & 31]))
                if nals:
                    nals[-1] += body[2:]
            else:
                nals.append(body)
            if packet[1] & 0x80:
                yield b"".join(b"\x00\x00\x00\x01" + nal for nal in nals), numbers
                nals, numbers = [], []

    def read_raw(self, size: int) -> bytes:
        """Bytes of the stream as they stand there, from behind the last answer."""
        assert not self._waiting
        while len(self._buffer) < size:
            self._buffer += self._socket.recv(65536)
        return bytes(self._buffer[:size])

    def read_to_the_end(self) -> bytes:
        """All that still comes until the other side ends the connection."""
        assert not self._waiting
        data = bytes(self._buffer)
        while more := self._socket.recv(65536):
            data += more
        return data

    def is_closed(self, within_s: float = 5.0) -> bool:
        """Whether the other side ends the connection in time; packets are thrown away."""
        deadline = time.monotonic() + within_s
        self._socket.settimeout(0.2)
        try:
            while time.monotonic() < deadline:
                try:
                    if not self._socket.recv(65536):
                        return True
                except TimeoutError:
                    continue
                except ConnectionError:
                    return True
            return False
        finally:
            self._socket.settimeout(self.timeout_s)

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError("the camera closed the connection")
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _next(self) -> Answer | tuple[int, bytes]:
        first = self._read(1)
        if first == b"$":
            channel = self._read(1)[0]
            return channel, self._read(int.from_bytes(self._read(2), "big"))
        head = first
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
            assert len(head) < 10_000, "no RTSP answer"
        first_line, *lines = head.decode().strip().split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
        body = self._read(int(headers.get("content-length", "0"))).decode()
        return Answer(int(first_line.split()[1]), headers, body)

    def _authorization(self, method: str, url: str, answer: Answer) -> str:
        assert self.login
        fields = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["www-authenticate"]))
        user, password = self.login

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        secret, request = md5(f"{user}:{fields['realm']}:{password}"), md5(f"{method}:{url}")
        response = md5(f"{secret}:{fields['nonce']}:{request}")
        return (
            f'Digest username="{user}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{url}", '
            f'response="{response}"'
        )

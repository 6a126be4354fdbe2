"""A reader's connection to rings.sock: lines of JSON, some with descriptors. The protocol stands in handover.py."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from typing import Any

from broker.pixel.ring_mapping import RingMapping
from mesh.errors import STATUS_TABLE, Internal, TrueframeError

PROTOCOL = 2
MAX_LINE_BYTES = 65536
_ERROR_OF_STATUS = {status: error for error, status in STATUS_TABLE.items()}


class Connection:
    """One connection to rings.sock: lines of JSON, some with descriptors."""

    def __init__(self, path: str, greeting: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.wake = -1
        self._bytes = b""
        self._descriptors: list[int] = []
        try:
            self.socket.settimeout(5.0)
            self.socket.connect(path)
            self.socket.sendall(greeting + b"\n")
            self.socket.setblocking(False)
        except OSError:
            self.close()
            raise

    def clear_wake(self) -> None:
        """Takes back the wake-up that woke."""
        with contextlib.suppress(OSError):  # cleared before, or the host is gone: the connection tells
            os.read(self.wake, 4096)

    def receive(self) -> list[tuple[dict[str, Any], RingMapping | None]]:
        """Whole messages that are there. Raises OSError or ValueError when the connection is of no more use."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(self.socket, MAX_LINE_BYTES, 8, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return []
        self._descriptors += descriptors
        if not data:
            raise ValueError("the pixel host closed the connection")
        if flags & socket.MSG_CTRUNC:
            raise ValueError("descriptors were lost on the way: is the limit of open files reached?")
        self._bytes += data
        if len(self._bytes) > MAX_LINE_BYTES and b"\n" not in self._bytes:
            raise ValueError("the pixel host sent an endless line")
        *lines, self._bytes = self._bytes.split(b"\n")
        messages: list[tuple[dict[str, Any], RingMapping | None]] = []
        for line in lines:
            message = json.loads(line)
            mapping = None
            if "ring" in message:
                mapping = self._take_ring(message["ring"])
            messages.append((message, mapping))
        return messages

    def _take_ring(self, description: dict[str, Any]) -> RingMapping:
        if not self._descriptors:
            raise ValueError("a ring came without its memory")
        memory, pins = self._descriptors.pop(0), -1
        try:
            if description.get("wake"):
                if not self._descriptors:
                    raise ValueError("a ring came without its wake-up")
                if self.wake >= 0:
                    os.close(self.wake)
                self.wake = self._descriptors.pop(0)
                os.set_blocking(self.wake, False)
            if description.get("pins"):
                if not self._descriptors:
                    raise ValueError("a ring came without its page for pins")
                pins = self._descriptors.pop(0)
            return RingMapping(memory, pins)
        finally:
            os.close(memory)
            if pins >= 0:
                os.close(pins)

    def close(self) -> None:
        """Closes the socket and all descriptors that came over it; rings that were mapped stay."""
        self.socket.close()
        for descriptor in (*self._descriptors, self.wake):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptors, self.wake = [], -1


def error_of(fields: dict[str, Any]) -> TrueframeError:
    """The error that a message's "error" stands for."""
    kind = _ERROR_OF_STATUS.get(str(fields.get("status", "")), Internal)
    return kind(str(fields.get("thing", "")), str(fields.get("reason", "")), str(fields.get("remedy", "")))

"""Asks grpc.health.v1 whether a service serves, over a bare socket.

The supervisor starts and restarts processes, and nothing may fork after importing grpc (DESIGN 4); so it speaks the
thirty bytes of HTTP/2 that one unary call needs. What should not be in this module: any other call.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_LARGEST_ANSWER = 1 << 16
_SERVING = b"\x08\x01"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """An HPACK header field: literal, not indexed, not Huffman-coded."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_REQUEST = (
    _PREFACE
    + _frame(_SETTINGS, 0, 0, b"")
    + _frame(
        _HEADERS,
        _END_HEADERS,
        1,
        _literal(b":method", b"POST")
        + _literal(b":scheme", b"http")
        + _literal(b":path", b"/grpc.health.v1.Health/Check")
        + _literal(b":authority", b"localhost")
        + _literal(b"te", b"trailers")
        + _literal(b"content-type", b"application/grpc"),
    )
    + _frame(_DATA, _END_STREAM, 1, bytes(5))
)


async def _ask(path: Path) -> bool:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(_REQUEST)
        answer = b""
        while len(answer) < _LARGEST_ANSWER:
            head = await reader.readexactly(9)
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = await reader.readexactly(size)
            if kind == _SETTINGS and not flags & _ACK:
                writer.write(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                writer.write(_frame(_PING, _ACK, 0, payload))
            elif kind == _DATA:
                answer += payload
                if len(answer) >= 5 and len(answer) >= 5 + int.from_bytes(answer[1:5], "big"):
                    return answer[5:].startswith(_SERVING)
            elif kind in (_RST_STREAM, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
                return False
        return False
    finally:
        writer.close()


async def is_serving(path: Path, timeout_s: float = 2.0) -> bool:
    """Whether the service on this Unix socket answers SERVING within `timeout_s` seconds."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(path)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False

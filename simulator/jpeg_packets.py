"""A JPEG scan into RTP payloads: RFC 2435.

What belongs here: the main header, restart and quantisation table headers, and fragments. What does not: RTP headers
(`packets`), what a receiver makes of it all (`jpeg.file`).
"""

from __future__ import annotations

from simulator.jpeg import JpegForm

PAYLOAD_TYPE = 26
MIN_MTU = 256
MAX_EDGE = 2040
"""Width and height are told in units of 8 pixels, in one byte."""


def told(pixels: int) -> int:
    """Width or height as a receiver learns it: the next multiple of 8."""
    return -(-pixels // 8) * 8


def payloads(
    scan: bytes, tables: bytes | None, form: JpegForm, width: int, height: int, mtu: int = 1400
) -> list[bytes]:
    """RTP payloads of one picture, in order. `tables` is None where they are left out (Q from 128 to 254).

    Raises ValueError for a picture or an `mtu` that RFC 2435 cannot carry.
    """
    if max(width, height) > MAX_EDGE:
        raise ValueError(f"JPEG of {width}x{height}: RTP carries {MAX_EDGE}x{MAX_EDGE} at most")
    if not MIN_MTU <= mtu <= 65_000:
        raise ValueError(f"mtu of {mtu} bytes: {MIN_MTU} to 65000 can be sent with JPEG")
    kind = form.type + (64 if form.restart else 0)
    size = bytes([kind, form.q, told(width) // 8, told(height) // 8])
    # Intervals are not aligned to packets: first and last bit set and a count of 0x3FFF say "only the whole picture".
    restart = form.restart.to_bytes(2, "big") + b"\xff\xff" if form.restart else b""
    first = b""
    if form.q >= 128:
        body = tables or b""
        first = b"\x00\x00" + len(body).to_bytes(2, "big") + body
    found: list[bytes] = []
    at = 0
    while at < len(scan):
        head = b"\x00" + at.to_bytes(3, "big") + size + restart + (first if at == 0 else b"")
        end = at + mtu - len(head)
        found.append(head + scan[at:end])
        at = end
    return found

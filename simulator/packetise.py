"""NAL units into RTP payloads: RFC 6184 for H.264 and RFC 7798 for H.265.

What belongs here: single NAL unit packets, aggregation (STAP-A, AP) and fragmentation (FU-A, FU). What does not: RTP
headers (`packets`), JPEG (`jpeg_packets`). Written from the RFCs, not from the broker's receiving side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

MIN_MTU, MAX_MTU = 64, 65_000


def payloads(codec: str, nals: Sequence[bytes], mtu: int = 1400, aggregate: bool = False) -> list[bytes]:
    """RTP payloads of one access unit of `h264` or `h265`, in order.

    Raises ValueError for an empty unit or NAL unit, or an `mtu` (largest payload in bytes) outside 64 to 65000.
    """
    if not MIN_MTU <= mtu <= MAX_MTU:
        raise ValueError(f"mtu of {mtu} bytes: {MIN_MTU} to {MAX_MTU} can be sent")
    if not nals or not all(nals):
        raise ValueError("an access unit needs NAL units, none of them empty")
    if codec == "h264":
        return _cut(nals, mtu, aggregate, 1, _stap_a, _fu_a)
    return _cut(nals, mtu, aggregate, 2, _ap, _fu)


def _cut(
    nals: Sequence[bytes],
    mtu: int,
    aggregate: bool,
    head_bytes: int,
    together: Callable[[list[bytes]], bytes],
    fragments: Callable[[bytes, int], list[bytes]],
) -> list[bytes]:
    found: list[bytes] = []
    waiting: list[bytes] = []
    waiting_bytes = head_bytes
    for nal in nals:
        small = aggregate and len(nal) + 2 + head_bytes <= mtu
        if waiting and (not small or waiting_bytes + 2 + len(nal) > mtu):
            found.append(together(waiting))
            waiting, waiting_bytes = [], head_bytes
        if small:
            waiting.append(nal)
            waiting_bytes += 2 + len(nal)
        elif len(nal) <= mtu:
            found.append(nal)
        else:
            found.extend(fragments(nal, mtu))
    if waiting:
        found.append(together(waiting))
    return found


def _with_lengths(nals: list[bytes]) -> bytes:
    return b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _stap_a(nals: list[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    importance = max(nal[0] & 0x60 for nal in nals)
    return bytes([importance | 24]) + _with_lengths(nals)


def _fu_a(nal: bytes, mtu: int) -> list[bytes]:
    indicator, kind = (nal[0] & 0xE0) | 28, nal[0] & 0x1F
    return [bytes([indicator, kind | edge]) + piece for edge, piece in _pieces(nal[1:], mtu - 2)]


def _ap(nals: list[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    # RFC 7798, 4.4.2: layer and temporal id are the lowest of the NAL units inside.
    layer = min((nal[0] & 1) << 5 | nal[1] >> 3 for nal in nals)
    temporal = min(nal[1] & 7 for nal in nals)
    return bytes([48 << 1 | layer >> 5, (layer & 31) << 3 | temporal]) + _with_lengths(nals)


def _fu(nal: bytes, mtu: int) -> list[bytes]:
    head = bytes([nal[0] & 0x81 | 49 << 1, nal[1]])
    kind = nal[0] >> 1 & 0x3F
    return [head + bytes([kind | edge]) + piece for edge, piece in _pieces(nal[2:], mtu - 3)]


def _pieces(body: bytes, room: int) -> list[tuple[int, bytes]]:
    """Pieces of at most `room` bytes, with the start (0x80) and end (0x40) bits of a fragment's header."""
    last = (len(body) - 1) // room
    return [
        ((0x80 if index == 0 else 0) | (0x40 if index == last else 0), body[index * room : (index + 1) * room])
        for index in range(last + 1)
    ]

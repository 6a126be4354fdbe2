"""RTP: depacketisers of three codecs, with and without order, the framing of a connection, RTCP."""

from __future__ import annotations

from broker.core.rtp import (
    Depacketiser,
    Goodbye,
    H264Depacketiser,
    H265Depacketiser,
    InterleavedError,
    InterleavedParser,
    JpegDepacketiser,
    RtcpParser,
    SenderReport,
    Unit,
    receiver_report,
)
from tests.fuzz.cases import Case
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import OneByOne, Target, option, pieces

_LIMITS = (64, 300, 4096, 1 << 20)
_NOW_NS = 1_000_000_000
_MS = 1_000_000


class RtpTarget(Target):
    """A stream of packets: every one is accounted for, units are canonical and bounded, order can be restored."""

    depacketiser: type[Depacketiser]
    start = b"\0\0\0\1"

    def mutated(self, mutator: Mutator) -> Case:
        case = self.corpus[mutator.below(len(self.corpus))]
        return [mutator.options(), *mutator.packets(case[1:], self.parts)]

    def check(self, case: Case) -> int:
        options, packets = case[0], case[1:]
        limit = _LIMITS[option(options, 0, 255) & 3]
        self._in_order(packets, limit)
        if option(options, 1) & 1:
            self._overtaking(packets, limit, options)
        if option(options, 2) & 3 == 0:
            self._order_restored(packets, options)
        return len(packets)

    def _in_order(self, packets: Case, limit: int) -> None:
        depacketiser = self.depacketiser(max_unit_bytes=limit)
        units: list[Unit] = []
        for packet in packets:
            units += depacketiser.feed(packet, _NOW_NS)
        unreadable = sum(not _is_readable(packet) for packet in packets)
        told = depacketiser.packets + depacketiser.late_packets + depacketiser.duplicate_packets + unreadable
        assert told == len(packets), f"{len(packets)} packets, {told} accounted for"
        self._ended(depacketiser, units, limit)

    def _overtaking(self, packets: Case, limit: int, options: bytes) -> None:
        window = 1 + option(options, 3) % 16
        wait_ns = (0, 5 * _MS, 50 * _MS)[option(options, 4) % 3]
        depacketiser = self.depacketiser(max_unit_bytes=limit, reorder_packets=window, reorder_ns=wait_ns)
        units: list[Unit] = []
        now_ns = _NOW_NS
        for number, packet in enumerate(packets):
            now_ns += (option(options, number & 7) & 15) * _MS
            units += depacketiser.feed(packet, now_ns)
            assert depacketiser.held_packets <= window
            deadline_ns = depacketiser.deadline_ns
            assert (deadline_ns is not None) == (depacketiser.held_packets > 0 and wait_ns > 0)
            if deadline_ns is not None and number & 3 == 0:
                units += depacketiser.expire(deadline_ns)
                again_ns = depacketiser.deadline_ns
                assert again_ns is None or again_ns > deadline_ns, "what is over waits on"
        told = depacketiser.packets + depacketiser.late_packets + depacketiser.duplicate_packets
        told += depacketiser.held_packets
        assert told <= len(packets) <= told + depacketiser.malformed_packets + depacketiser.foreign_packets
        self._ended(depacketiser, units, limit)
        assert depacketiser.held_packets == 0

    def _order_restored(self, packets: Case, options: bytes) -> None:
        """Packets that overtook fewer than the window give the units that those in order give."""
        whole = [_numbered(packet, number) for number, packet in enumerate(packets) if _is_readable(packet)]
        swapped = list(whole)
        for at in range(1, len(swapped) - 2, 3):
            if option(options, at & 7) & 1:
                swapped[at], swapped[at + 2] = swapped[at + 2], swapped[at]
        first, second = (
            self._payloads(self.depacketiser(), whole), self._payloads(self.depacketiser(reorder_packets=8), swapped)
        )  # fmt: skip
        assert first == second, "another order gives other units"

    def _payloads(self, depacketiser: Depacketiser, packets: Case) -> list[tuple[bytes, bool]]:
        units: list[Unit] = []
        for packet in packets:
            units += depacketiser.feed(packet, _NOW_NS)
        while (unit := depacketiser.flush()) is not None:
            units.append(unit)
        return [(unit.payload, unit.damaged) for unit in units]

    def _ended(self, depacketiser: Depacketiser, units: list[Unit], limit: int) -> None:
        while (unit := depacketiser.flush()) is not None:
            units.append(unit)
        refused = depacketiser.untold_refused
        last_ns = 0
        for unit in units:
            assert unit.payload.startswith(self.start)
            assert len(unit.payload) <= limit
            assert unit.monotonic_ns >= last_ns
            last_ns = unit.monotonic_ns
            refused += unit.refused_before
        assert refused == depacketiser.refused_units
        assert len(units) == depacketiser.units
        assert sum(unit.damaged for unit in units) == depacketiser.damaged_units
        assert sum(unit.packets for unit in units) <= depacketiser.packets


class H264Rtp(RtpTarget):
    name, share, depacketiser = "h264-rtp", 22, H264Depacketiser


class H265Rtp(RtpTarget):
    name, share, depacketiser = "h265-rtp", 22, H265Depacketiser


class JpegRtp(RtpTarget):
    name, share, depacketiser, start = "jpeg-rtp", 16, JpegDepacketiser, b"\xff\xd8"

    def _ended(self, depacketiser: Depacketiser, units: list[Unit], limit: int) -> None:
        super()._ended(depacketiser, units, limit)
        assert all(unit.payload.endswith(b"\xff\xd9") for unit in units)


class Connection(Target):
    """However a connection is cut, the same comes out of it; what waits is bounded."""

    name, share = "connection", 8
    words = (
        b"$\0", b"$\1\0\4", b"$\0\xff\xff", b"RTSP/1.0 200 OK\r\n", b"Content-Length: ", b"Content-Length: 1048577\r\n",
        b"\r\n\r\n", b"\n\n", b"OPTIONS * RTSP/1.0\r\n", b"\r\n", b"RTSP/1.0",
    )  # fmt: skip

    def mutated(self, mutator: Mutator) -> Case:
        case = self.corpus[mutator.below(len(self.corpus))]
        return [mutator.options(), *mutator.packets(case[1:], self.parts, 0.2)]

    def check(self, case: Case) -> int:
        options, data = case[0], b"".join(case[1:])
        cut = pieces(data, options)
        first, second = self._events([data], False), self._events(cut, bool(option(options, 0) & 1))
        assert first == second, "cut in other places, the connection says something else"
        return len(case) - 1

    def _events(self, cut: list[bytes], reads_into: bool) -> tuple[list[object], bool, int]:
        parser = InterleavedParser()
        parser.attach(0, H264Depacketiser(max_unit_bytes=4096))
        events: list[object] = []
        is_broken = False
        sent = 0
        try:
            for piece in cut:
                sent += len(piece)
                if reads_into:
                    with parser.get_buffer() as room:
                        room[: len(piece)] = piece
                    found = parser.buffer_updated(len(piece), 1)
                else:
                    found = parser.feed(piece, 1)
                for kind, one, two in found:
                    events.append((kind, one, two.payload if isinstance(two, Unit) else two))
                assert 0 <= parser.buffered_bytes <= sent
        except InterleavedError:
            is_broken = True
        return ([] if is_broken else events), is_broken, 0 if is_broken else parser.skipped_bytes


class Rtcp(OneByOne):
    """Reports: never raised, counted at most once, and ours are read back."""

    name, share = "rtcp", 5
    words = (b"\x80\xc8", b"\x81\xc9", b"\x81\xca", b"\x9f\xcb", b"\0\0", b"\xff\xff", b"\x80\xc8\0\6")

    def check_one(self, data: bytes, options: bytes) -> None:
        parser = RtcpParser()
        found = parser.parse(data)
        assert parser.malformed <= 1
        assert len(found) <= 31 * 64
        reports = [one for one in found if isinstance(one, SenderReport)]
        assert len(reports) * 28 + (len(found) - len(reports)) * 4 <= len(data)
        answer = receiver_report(1, 2, 3, -5, reports[0] if reports else None, 1 << 40)
        back = RtcpParser()
        assert back.parse(answer) == []
        assert back.malformed == 0
        assert all(isinstance(one, SenderReport | Goodbye) for one in found)


def _is_readable(packet: bytes) -> bool:
    """Whether the RTP header adds up (RFC 3550, 5.1), written down once more."""
    if len(packet) < 12 or packet[0] >> 6 != 2:
        return False
    at = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        if at + 4 > len(packet):
            return False
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    if at > len(packet):
        return False
    return not packet[0] & 0x20 or 0 < packet[-1] <= len(packet) - at


def _numbered(packet: bytes, number: int) -> bytes:
    """The packet with that sequence number, and of one source."""
    return packet[:2] + (number & 0xFFFF).to_bytes(2, "big") + packet[4:8] + b"\0\0\0\7" + packet[12:]

"""UDP sockets of one stream, on loopback: who is heard, what is counted, what is never waited for too long."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from broker.core import H264Depacketiser, Unit
from broker.core.datagrams import DatagramReader
from broker.rtsp.udp import UdpPair, UdpSink
from mesh.clocks import SystemClock
from tests.support import auntil

_TYPE = 96


def rtp(sequence: int, timestamp: int = 0, payload: bytes = b"\x41\x9a" + bytes(30), marker: bool = True) -> bytes:
    """One packet; with the marker, one unit."""
    kind = _TYPE | (0x80 if marker else 0)
    return struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, timestamp, 7) + payload


@contextlib.contextmanager
def bound(address: str = "127.0.0.1") -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        yield sock


def packed(*addresses: str) -> list[bytes]:
    return [ip_address(address).packed for address in addresses]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_many_datagrams_are_read_at_once_in_order_with_the_time_of_their_read(address: str) -> None:
    with bound(address) as receiver, bound(address) as camera:
        reader = DatagramReader(receiver.fileno(), H264Depacketiser(), packed(address), _TYPE)
        for n in range(100):
            camera.sendto(rtp(n, n * 90), receiver.getsockname())
        times = iter(range(1000, 2000))
        units = reader.drain(lambda: next(times))
        assert [unit.rtp_timestamp for unit in units] == [n * 90 for n in range(100)]
        assert {unit.monotonic_ns for unit in units} == {1000, 1001, 1002, 1003}, "one time for each read of 32"
        assert (reader.datagrams, reader.reads, reader.has_more) == (100, 4, False)
        assert (reader.peer_address, reader.peer_port) == (ip_address(address).packed, camera.getsockname()[1])
        assert reader.drain(lambda: 0) == []


def test_only_the_camera_and_only_the_port_it_began_with_are_heard() -> None:
    with bound() as receiver, bound() as camera, bound("127.0.0.2") as stranger, bound() as neighbour:
        reader = DatagramReader(receiver.fileno(), H264Depacketiser(), packed("127.0.0.1"), _TYPE)
        target = receiver.getsockname()
        stranger.sendto(rtp(900), target)
        camera.sendto(rtp(1), target)
        stranger.sendto(rtp(2), target)
        neighbour.sendto(rtp(2), target)
        camera.sendto(rtp(2), target)
        assert len(reader.drain(time.monotonic_ns)) == 2
        assert (reader.datagrams, reader.foreign_datagrams) == (2, 3)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80",
        bytes(40),
        b"OPTIONS * RTSP/1.0\r\n\r\n",
        struct.pack("!BBHII", 0x80, 200, 6, 7, 0) + bytes(20),
        struct.pack("!BBHII", 0x80, 97, 1, 0, 7) + bytes(20),
    ],
    ids=["empty", "one-byte", "version-0", "text", "rtcp", "other-type"],
)
def test_what_is_no_packet_of_the_stream_decides_nothing(datagram: bytes) -> None:
    with bound() as receiver, bound() as camera, bound() as other:
        reader = DatagramReader(receiver.fileno(), H264Depacketiser(), packed("127.0.0.1"), _TYPE)
        other.sendto(datagram, receiver.getsockname())
        assert reader.drain(time.monotonic_ns) == []
        assert (reader.peer_port, reader.foreign_datagrams) == (0, 1)
        camera.sendto(rtp(1), receiver.getsockname())
        assert len(reader.drain(time.monotonic_ns)) == 1
        assert reader.peer_port == camera.getsockname()[1]


def test_one_flood_does_not_keep_the_loop_for_ever() -> None:
    with bound() as receiver, bound() as camera:
        try:
            receiver.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        except PermissionError:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        if receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 1 << 20:
            pytest.skip("this kernel gives no buffer for 600 datagrams; raise net.core.rmem_max to 4194304")
        reader = DatagramReader(receiver.fileno(), H264Depacketiser(), packed("127.0.0.1"), _TYPE)
        for n in range(600):
            camera.sendto(rtp(n, n, payload=b"\x41\x9a"), receiver.getsockname())
        assert len(reader.drain(time.monotonic_ns)) == 512
        assert reader.has_more
        assert len(reader.drain(time.monotonic_ns)) == 88
        assert not reader.has_more


@pytest.mark.parametrize("addresses", [[], [b"abc"], packed("::1") * 5])
def test_senders_are_one_to_four_addresses(addresses: list[bytes]) -> None:
    with pytest.raises(ValueError, match="address"):
        DatagramReader(0, H264Depacketiser(), addresses)


def test_a_socket_that_was_closed_gives_nothing() -> None:
    with bound() as receiver:
        reader = DatagramReader(receiver.fileno(), H264Depacketiser(), packed("127.0.0.1"))
    assert reader.drain(time.monotonic_ns) == []


# ---- the pair -------------------------------------------------------------------------------------------------------


class Taken:
    """What a pair gave."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.reports: list[bytes] = []
        self.faults: list[Exception] = []


@contextlib.contextmanager
def listening(
    depacketiser: H264Depacketiser, buffer_bytes: int = 1 << 20, address: str = "127.0.0.1"
) -> Iterator[tuple[UdpPair, Taken]]:
    taken = Taken()
    pair = UdpPair((address, 0), buffer_bytes)
    with contextlib.closing(pair):
        pair.listen(
            depacketiser,
            _TYPE,
            SystemClock(),
            [address],
            taken.units.append,
            taken.reports.append,
            taken.faults.append,
        )
        yield pair, taken


async def test_ports_are_a_pair_that_begins_with_an_even_one_at_the_address_asked_for() -> None:
    pairs = [UdpPair(("127.0.0.1", 0)) for _ in range(20)]
    try:
        for pair in pairs:
            rtp_port, rtcp_port = pair.ports
            assert rtp_port % 2 == 0
            assert rtcp_port == rtp_port + 1
        assert len({port for pair in pairs for port in pair.ports}) == 40
    finally:
        for pair in pairs:
            pair.close()


async def test_a_packet_that_never_comes_is_not_waited_for_until_the_next_one() -> None:
    depacketiser = H264Depacketiser(reorder_packets=64, reorder_ns=30_000_000)
    with listening(depacketiser) as (pair, taken), bound() as camera:
        target = ("127.0.0.1", pair.ports[0])
        camera.sendto(rtp(1, 0), target)
        camera.sendto(rtp(3, 180), target)
        await auntil(lambda: len(taken.units) == 2, 5, "the unit behind the hole comes by itself")
    assert taken.units[1].lost_before
    assert taken.units[1].monotonic_ns > 0


async def test_the_first_word_of_the_camera_opens_the_way_and_is_one_it_can_throw_away() -> None:
    with listening(H264Depacketiser()) as (pair, taken), bound() as media, bound() as reports:
        pair.punch("127.0.0.1", (media.getsockname()[1], reports.getsockname()[1]), _TYPE)
        for sock, port in ((media, pair.ports[0]), (reports, pair.ports[1])):
            sock.settimeout(5)
            data, sender = sock.recvfrom(100)
            assert sender == ("127.0.0.1", port)
            assert data[0] >> 6 == 2
            sock.sendto(rtp(1) if sock is media else b"\x80\xc8", sender)
        await asyncio.wait_for(pair.first_packet, 5)
        await auntil(lambda: taken.units and taken.reports, 5)
        pair.send_report(b"report")
        assert reports.recv(100) == b"report"


async def test_without_ports_of_the_camera_nothing_is_sent_to_it() -> None:
    with listening(H264Depacketiser()) as (pair, _):
        pair.punch("127.0.0.1", None, _TYPE)
        pair.send_report(b"nobody knows where to")


async def test_reports_of_strangers_are_counted_and_dropped() -> None:
    with listening(H264Depacketiser()) as (pair, taken), bound("127.0.0.2") as stranger, bound() as camera:
        stranger.sendto(b"forged", ("127.0.0.1", pair.ports[1]))
        camera.sendto(b"genuine", ("127.0.0.1", pair.ports[1]))
        await auntil(lambda: taken.reports, 5)
        assert taken.reports == [b"genuine"]
        assert pair.foreign_datagrams == 1


async def test_once_the_camera_is_known_the_kernel_keeps_others_out() -> None:
    with listening(H264Depacketiser()) as (pair, taken), bound() as camera, bound() as neighbour:
        target = ("127.0.0.1", pair.ports[0])
        camera.sendto(rtp(1), target)
        await auntil(lambda: taken.units, 5)
        for n in range(100):
            neighbour.sendto(rtp(n), target)
        camera.sendto(rtp(2), target)
        await auntil(lambda: len(taken.units) == 2, 5)
        assert pair.datagrams == 2
        assert pair.foreign_datagrams == 0, "they never came as far as us"


async def test_what_does_not_fit_into_the_buffer_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with listening(H264Depacketiser(), buffer_bytes=4096) as (pair, _), bound() as camera:
        for n in range(200):
            camera.sendto(rtp(n, payload=bytes(1000)), ("127.0.0.1", pair.ports[0]))
        await auntil(lambda: pair.datagrams, 5)
        assert pair.dropped_by_kernel > 0
        pair.warn_of_drops("gate-of-this-test")
    assert "net.core.rmem_max" in str([record.__dict__ for record in caplog.records])


async def test_a_fault_of_ours_ends_this_pair_only() -> None:
    with listening(H264Depacketiser()) as (pair, taken), bound() as camera:

        def broken(unit: Unit) -> None:
            raise ZeroDivisionError

        pair._on_unit = broken
        camera.sendto(rtp(1), ("127.0.0.1", pair.ports[0]))
        await auntil(lambda: taken.faults, 5)
    assert isinstance(taken.faults[0], ZeroDivisionError)


async def test_a_sink_counts_what_it_throws_away_and_reads_nothing() -> None:
    sink = UdpSink(("127.0.0.1", 0))
    with contextlib.closing(sink), bound() as camera:
        for _ in range(50):
            camera.sendto(bytes(160), ("127.0.0.1", sink.ports[0]))
        assert 30 <= sink.newly_dropped() <= 50
        assert sink.newly_dropped() == 0

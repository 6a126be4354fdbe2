"""Faults that hit packets, time and form, as they are on the wire and in the log."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import time
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from simulator import sei, testing
from simulator.testing import Simulator, SimulatorFailed
from tests.integration.simulator.raw_rtsp import RawRtsp
from tests.support import until

TRAITS = {
    "cam-1": "other=size:320x192",
    "cam-2": "other=codec:h265",
    "cam-3": "mtu=400",
    "cam-4": "codec=mjpeg,scheme=http",
}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    arguments = ("--scenes", "yard")
    with testing.running(4, fps=25, loop_s=4, gop_s=0.4, size="160x96", traits=TRAITS, arguments=arguments) as running:
        yield running


@pytest.fixture(autouse=True)
def healthy(sim: Simulator) -> Iterator[None]:
    yield
    sim.fault("*", "none")


def sequences(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4], "big") for packet in packets]


def stamps(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[4:8], "big") for packet in packets]


def test_duplicates_carry_the_same_number_twice(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        sim.fault("cam-3", "duplicate", share=1.0)
        found = sequences(list(islice(client.packets(), 40))[-20:])
    assert sum(a == b for a, b in pairwise(found)) in (9, 10)
    assert all((b - a) % 65536 in (0, 1) for a, b in pairwise(found))


def test_delayed_packets_arrive_behind_their_followers_and_all_arrive(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        sim.fault("cam-3", "delay", share=0.2, by_s=0.1, seed=3)
        found = sequences(list(islice(client.packets(), 150)))
    steps = [(b - a + 32768) % 65536 - 32768 for a, b in pairwise(found)]
    assert sum(step < 0 for step in steps) > 5
    unwrapped = [found[0] + ((one - found[0] + 32768) % 65536 - 32768) for one in found]
    assert set(range(min(unwrapped), max(unwrapped) - 60)) <= set(unwrapped)


def test_a_burst_brings_everything_late_and_in_order(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        sim.fault("cam-3", "burst", by_s=0.8)
        arrivals = [(time.monotonic(), packet) for packet in islice(client.packets(), 150)]
    assert all((b - a) % 65536 == 1 for a, b in pairwise(sequences([packet for _, packet in arrivals])))
    assert max(b[0] - a[0] for a, b in pairwise(arrivals)) > 0.5


def test_a_burst_that_is_healed_lets_go_what_it_held_before_anything_new(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        next(client.packets())
        sim.fault("cam-3", "burst", by_s=5)
        time.sleep(0.4)
        sim.fault("cam-3", "none")
        found = sequences(list(islice(client.packets(), 60)))
    assert all((b - a) % 65536 == 1 for a, b in pairwise(found))


def test_a_dribble_changes_no_byte(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        sim.fault("cam-3", "dribble")
        units = [hashlib.sha256(unit).digest() for unit, _ in islice(client.units(), 10)]

    def logged() -> list[bytes]:
        rows = [row.digest for row in sim.log("cam-3")]
        return rows[rows.index(units[0]) :][:10] if units[0] in rows else []

    # What was received may be logged a moment later.
    until(lambda: len(logged()) == 10, 20, "the sent log has all ten")
    assert logged() == units


def test_cut_short_ends_inside_a_packet_and_the_next_connection_works(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        next(client.packets())
        sim.fault("cam-3", "cut-short")
        rest = client.read_to_the_end()
    at = 0
    while at + 4 <= len(rest) and at + 4 + int.from_bytes(rest[at + 2 : at + 4], "big") <= len(rest):
        at += 4 + int.from_bytes(rest[at + 2 : at + 4], "big")
    assert 0 < len(rest) - at < 416
    with RawRtsp(sim.urls["cam-3"]) as client:
        client.play()
        next(client.units())


@pytest.mark.parametrize("by_s", [-5.0, 1000.0])
def test_timestamps_jump_once_and_reports_with_them(sim: Simulator, by_s: float) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        before, pairs = stamps([next(client.packets())])[0], []
        sim.fault("cam-1", "jump", by_s=by_s)
        for packet in client.packets(None):
            if packet[1] == 200:
                pairs.append(struct.unpack_from(">IIII", packet, 4)[1:])
                if len(pairs) == 3:
                    break
        after = stamps([next(client.packets())])[0]
    moved_s = ((after - before + 2**31) % 2**32 - 2**31) / 90_000
    assert by_s - 1 < moved_s - by_s + by_s < by_s + 6
    ntp = [seconds + fraction / 2**32 for seconds, fraction, _ in pairs]
    assert (pairs[2][2] - pairs[1][2]) % 2**32 / 90_000 == pytest.approx(ntp[2] - ntp[1], abs=0.001)
    assert sim.status()["cam-1"]["fault"] == "none"


def test_the_wall_clock_jumps_and_timestamps_do_not(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        reports = (struct.unpack_from(">III", packet, 8) for packet in client.packets(1))
        first = next(reports)
        sim.fault("cam-1", "clock-jump", by_s=500)
        second = next(reports)
        sim.fault("cam-1", "clock-jump", by_s=-500)
    assert 499 < second[0] - first[0] < 503
    assert (second[2] - first[2]) % 2**32 / 90_000 < 3


def size_of(payload: bytes) -> str:
    import av

    decoder = av.CodecContext.create("h264", "r")
    (frame,) = [*decoder.decode(av.Packet(payload)), *decoder.decode(None)]
    return f"{frame.width}x{frame.height}"


def test_pictures_change_their_size_on_an_open_connection_and_back(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-1"]) as client:
        client.play()
        units = client.units()
        assert size_of(next(units)[0]) == "160x96"
        for size in ("320x192", "160x96"):
            sim.fault("cam-1", "resize")
            until(lambda wanted=size: sim.status()["cam-1"]["size"] == wanted, 5)
            joined = (unit for unit, _ in units if b"\x00\x00\x01\x67" in unit)
            until(lambda it=joined, wanted=size: size_of(next(it)) == wanted, 5)
    assert sim.status()["cam-1"]["plays"] >= 1


def test_another_codec_is_described_after_the_connections_were_cut(sim: Simulator) -> None:
    with RawRtsp(sim.urls["cam-2"]) as client:
        client.play()
        sim.fault("cam-2", "recode")
        assert client.is_closed()
    with RawRtsp(sim.urls["cam-2"]) as client:
        assert "H265/90000" in client.ask("DESCRIBE").body
        client.play()
        assert next(client.packets())[12] >> 1 & 63 in (32, 48, 49)
    sim.fault("cam-2", "recode")
    with RawRtsp(sim.urls["cam-2"]) as client:
        assert "H264/90000" in client.ask("DESCRIBE").body


def test_a_camera_without_another_side_refuses_to_change(sim: Simulator) -> None:
    with pytest.raises(SimulatorFailed, match="trait other"):
        sim.fault("cam-3", "resize")
    with pytest.raises(SimulatorFailed, match="recode"):
        sim.fault("cam-1", "recode")
    assert sim.status()["cam-3"]["fault"] == "none"


def http_bytes(sim: Simulator, size: int) -> bytes:
    host, port, path = re.match(r"http://([\d.]+):(\d+)(/.*)", sim.urls["cam-4"]).groups()  # type: ignore[union-attr]
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        data = b""
        while len(data) < size:
            more = connection.recv(65536)
            if not more:
                break
            data += more
    return data


def numbers_in(data: bytes) -> list[int]:
    return [int(found[1], 16) for found in re.finditer(sei.UUID + rb"([0-9a-f]{16})", data)]


def test_over_http_parts_are_left_out_corrupted_or_cut(sim: Simulator) -> None:
    sim.fault("cam-4", "lose", share=0.5, seed=2)
    found = numbers_in(http_bytes(sim, 60_000))
    dropped = {row.number for row in sim.log("cam-4") if row.dropped_packets}
    assert any(b - a > 1 for a, b in pairwise(found))
    assert not set(found) & dropped
    sim.fault("cam-4", "none")
    whole = numbers_in(http_bytes(sim, 60_000))
    assert whole == list(range(whole[0], whole[0] + len(whole)))
    for kind, status in (("refuse", b"503"), ("unauthorised", b"401"), ("audio-only", b"audio/basic"), ("stop", b"")):
        sim.fault("cam-4", kind)
        answer = http_bytes(sim, 10_000)
        assert status in answer
        assert len(answer) < 1000
    sim.fault("cam-4", "none")
    assert numbers_in(http_bytes(sim, 20_000))

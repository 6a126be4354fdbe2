"""JPEG files out of RTP packets (RFC 2435): the sender's pictures, and every loss marked."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.bitstream import JpegInspector
from broker.core.jpeg_rtp import quantisation_tables
from broker.core.rtp import JpegDepacketiser, Unit
from tests.unit.core.h264_stream import rtp
from tests.unit.core.jpeg_stream import Jpeg, film, flat_blocks, packetise, payloads, pictures


def push(depacketiser: JpegDepacketiser, packets: list[bytes], at: int = 0) -> list[Unit]:
    return [unit for i, packet in enumerate(packets) for unit in depacketiser.feed(packet, at + i)]


def segments(file: bytes) -> list[tuple[int, bytes]]:
    """Markers and bodies up to the scan, which comes last."""
    found, at = [], 2
    while True:
        length = int.from_bytes(file[at + 2 : at + 4], "big")
        found.append((file[at + 1], file[at + 4 : at + 2 + length]))
        at += 2 + length
        if found[-1][0] == 0xDA:
            return [*found, (0, file[at:])]


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("mtu", [180, 1400])
@pytest.mark.parametrize("with_end", [False, True])
def test_the_pictures_are_those_of_the_sender(slices: int, mtu: int, with_end: bool) -> None:
    files = film(slices=slices)
    jpegs = [Jpeg.parse(file) for file in files]
    assert all(bool(jpeg.interval) == (slices > 1) for jpeg in jpegs)
    depacketiser = JpegDepacketiser(payload_type=26)
    packets: list[bytes] = []
    for number, jpeg in enumerate(jpegs):
        packets += packetise(jpeg, len(packets), number * 9000, mtu=mtu, with_end=with_end)
    units = push(depacketiser, packets)
    assert not any(unit.damaged or unit.lost_before for unit in units)
    assert pictures([unit.payload for unit in units]) == pictures(files)
    inspector = JpegInspector()
    for unit in units:
        info = inspector.inspect(unit.payload)
        assert (info.width, info.height, info.malformed) == (64, 48, False)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("step", [1, 7, 16])
def test_a_picture_made_by_hand_decodes_to_what_was_meant(kind: int, step: int) -> None:
    jpeg, planes = flat_blocks(kind, 96, 64, step, seed=step)
    [unit] = push(JpegDepacketiser(), packetise(jpeg, 0, 0, mtu=150))
    assert not unit.damaged
    [got] = pictures([unit.payload])
    meant = np.concatenate([plane.ravel() for plane in planes]).astype(int)
    assert len(got) == len(meant)
    # Decoders round the same value up or down.
    assert np.abs(np.frombuffer(got, np.uint8) - meant).max() <= 1


def test_the_file_is_what_the_appendix_of_the_standard_writes() -> None:
    jpeg = Jpeg.parse(film(slices=3)[0])
    [unit] = push(JpegDepacketiser(), packetise(jpeg, 0, 0))
    found = segments(unit.payload)
    assert unit.payload.startswith(b"\xff\xd8")
    assert [marker for marker, _ in found] == [0xDB, 0xDB, 0xDD, 0xC0, 0xC4, 0xC4, 0xC4, 0xC4, 0xDA, 0]
    assert found[0][1] == b"\0" + jpeg.two_tables[:64]
    assert found[1][1] == b"\1" + jpeg.two_tables[64:]
    assert found[2][1] == struct.pack("!H", jpeg.interval)
    assert found[3][1] == bytes.fromhex("08 0030 0040 03 002200 011101 021101")
    assert [body[0] for _, body in found[4:8]] == [0x00, 0x10, 0x01, 0x11]
    assert found[8][1] == bytes.fromhex("03 0000 0111 0211 003f00")
    assert found[9][1] == jpeg.scan + b"\xff\xd9"


def test_the_huffman_tables_are_those_of_the_standard() -> None:
    [unit] = push(JpegDepacketiser(), packetise(Jpeg.parse(film()[0]), 0, 0))
    ours = b"".join(body for marker, body in segments(unit.payload) if marker == 0xC4)
    # The encoder writes the four tables of ITU-T T.81, annex K, into one segment.
    theirs = b"".join(body for marker, body in segments(film()[0]) if marker == 0xC4)
    assert sorted(split_tables(ours)) == sorted(split_tables(theirs))


def split_tables(body: bytes) -> list[bytes]:
    out = []
    while body:
        length = 17 + sum(body[1:17])
        out.append(body[:length])
        body = body[length:]
    return out


# The first row of each table as libjpeg prints it, zigzag order undone by hand for the first eight: T.81, K.1 and K.2.
@pytest.mark.parametrize(
    ("quality", "luminance", "chrominance"),
    [
        (50, [16, 11, 12, 14, 12, 10, 16, 14], [17, 18, 18, 24, 21, 24, 47, 26]),
        (75, [8, 6, 6, 7, 6, 5, 8, 7], [9, 9, 9, 12, 11, 12, 24, 13]),
        (99, [1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]),
        (10, [80, 55, 60, 70, 60, 50, 80, 70], [85, 90, 90, 120, 105, 120, 235, 130]),
        (1, [255] * 8, [255] * 8),
    ],
)
def test_a_quality_below_a_hundred_names_the_standards_tables_scaled(
    quality: int, luminance: list[int], chrominance: list[int]
) -> None:
    tables = quantisation_tables(quality)
    assert list(tables[:8]) == luminance
    assert list(tables[64:72]) == chrominance
    [unit] = push(JpegDepacketiser(), packetise(Jpeg.parse(film()[0]), 0, 0, quality=quality))
    assert [body for marker, body in segments(unit.payload) if marker == 0xDB] == [
        b"\0" + tables[:64],
        b"\1" + tables[64:],
    ]


@pytest.mark.parametrize("quality", [0, 100, 127])
def test_a_reserved_quality_is_refused(quality: int) -> None:
    depacketiser = JpegDepacketiser()
    packets = packetise(Jpeg.parse(film()[0]), 0, 0, quality=quality)
    assert push(depacketiser, packets) == []
    assert depacketiser.refused_payloads == 1
    assert depacketiser.untold_loss


def test_tables_sent_once_hold_until_others_come() -> None:
    jpegs = [Jpeg.parse(file) for file in film()]
    other = bytes(range(1, 129))
    depacketiser = JpegDepacketiser()
    packets: list[bytes] = []
    for number, (jpeg, tables) in enumerate(zip(jpegs, [None, b"", other, b""], strict=True)):
        packets += packetise(jpeg, len(packets), number, quality=200, tables=tables)
    units = push(depacketiser, packets)
    assert not any(unit.damaged for unit in units)
    told = [b"".join(b[1:] for m, b in segments(unit.payload) if m == 0xDB) for unit in units]
    assert told == [jpegs[0].two_tables, jpegs[0].two_tables, other, other]


def test_tables_that_were_never_sent_are_not_guessed() -> None:
    jpeg = Jpeg.parse(film()[0])
    depacketiser = JpegDepacketiser()
    assert push(depacketiser, packetise(jpeg, 0, 0, quality=128, tables=b"")) == []
    # 255 says that the tables are in every picture.
    assert push(depacketiser, packetise(jpeg, 10, 1, quality=255)) != []
    assert push(depacketiser, packetise(jpeg, 20, 2, quality=255, tables=b"")) == []
    # Those of another source are not known of this one.
    [unit] = push(depacketiser, packetise(jpeg, 30, 3, quality=128))
    assert unit.lost_before
    stranger = [p[:8] + b"\0\0\0\x63" + p[12:] for p in packetise(jpeg, 40, 4, quality=128, tables=b"")]
    assert push(depacketiser, stranger) == []


def test_tables_of_sixteen_bits_and_a_single_table_are_written_as_such() -> None:
    jpeg = Jpeg.parse(film()[0])
    wide = b"".join(struct.pack("!H", 300 + i) for i in range(64))
    [unit] = push(JpegDepacketiser(), packetise(jpeg, 0, 0, tables=wide + bytes(range(1, 65)), precision=1))
    found = segments(unit.payload)
    assert found[0][1] == b"\x10" + wide
    assert found[1][1] == b"\x01" + bytes(range(1, 65))
    # Not baseline any more.
    assert found[2][0] == 0xC1
    [unit] = push(JpegDepacketiser(), packetise(jpeg, 0, 0, tables=bytes(range(1, 65))))
    found = segments(unit.payload)
    assert [marker for marker, _ in found[:2]] == [0xDB, 0xC0]
    assert found[1][1] == bytes.fromhex("08 0030 0040 03 002200 011100 021100")


def test_a_size_beyond_what_rtp_can_say_comes_from_elsewhere() -> None:
    jpeg = Jpeg.parse(film()[0])
    jpeg.width, jpeg.height = 2592, 1944
    depacketiser = JpegDepacketiser()
    assert push(depacketiser, packetise(jpeg, 0, 0)) == []
    assert depacketiser.refused_payloads == 1
    depacketiser.set_size(2592, 1944)
    [unit] = push(depacketiser, packetise(jpeg, 10, 1))
    info = JpegInspector().inspect(unit.payload)
    assert (info.width, info.height) == (2592, 1944)
    for size in ((0, 5), (5, 0), (65536, 5), (-1, 5)):
        with pytest.raises(ValueError, match="pixels"):
            depacketiser.set_size(*size)


def with_segments(packet: bytes, segments: bytes, inside: bytes = b"") -> bytes:
    """The packet with ONVIF's header extension for JPEG; `inside`: that of replay, which then comes first."""
    segments = b"\xff" * (-len(segments) % 4) + segments
    extension = b"\xff\xd8" + (len(segments) // 4).to_bytes(2, "big") + segments
    if inside:
        extension = b"\xab\xac" + ((len(inside) + len(extension)) // 4).to_bytes(2, "big") + inside + extension
    return bytes([packet[0] | 0x10]) + packet[1:12] + extension + packet[12:]


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("quality", [0, 60, 255])
@pytest.mark.parametrize("with_scan_header", [False, True])
@pytest.mark.parametrize("inside", [b"", struct.pack("!QBBH", 5 << 60, 0x80, 0, 0)])
def test_a_camera_may_send_header_segments_of_its_own(
    slices: int, quality: int, with_scan_header: bool, inside: bytes
) -> None:
    """As of pictures too large for RTP's fields: the size is in the segments only."""
    files = film(slices=slices)
    depacketiser = JpegDepacketiser()
    units: list[Unit] = []
    for number, file in enumerate(files):
        found = segments(file)
        kept = found[:-1] if with_scan_header else found[:-2]
        own = b"".join(b"\xff" + bytes([marker]) + (2 + len(body)).to_bytes(2, "big") + body for marker, body in kept)
        packets = packetise(Jpeg.parse(file), 100 * number, number, mtu=300, quality=quality)
        packets = [packet[:18] + b"\0\0" + packet[20:] for packet in packets]
        packets[0] = with_segments(packets[0], own, inside)
        units += push(depacketiser, packets)
    assert not any(unit.damaged for unit in units[:1])
    assert pictures([unit.payload for unit in units]) == pictures(files)
    info = JpegInspector().inspect(units[0].payload)
    assert (info.width, info.height, info.malformed) == (64, 48, False)
    assert (units[0].extension_ntp_ns is None) == (inside == b"")


@pytest.mark.parametrize(
    ("quality", "own"),
    [
        (0, b""),
        (0, film()[0][2:20]),
        (255, b""),
        (255, b"\xff\xdb\x00\x50" + bytes(70)),
        (255, b"\xff\xd9\x00\x02"),
        (255, b"\xff\xd8\x00\x02"),
        (255, b"\xff\x01\x00\x02"),
        (255, b"abcd"),
        (255, b"\xff\xc0\xff\xff"),
        (255, b"\xff\xc0\x00\x01"),
        (255, film()[0][2:-2]),
    ],
)
def test_header_segments_that_cannot_be_read_give_no_picture(quality: int, own: bytes) -> None:
    packets = [
        packet[:18] + b"\0\0" + packet[20:] for packet in packetise(Jpeg.parse(film()[0]), 0, 0, quality=quality)
    ]
    depacketiser = JpegDepacketiser()
    assert push(depacketiser, [with_segments(packets[0], own)]) == []
    assert depacketiser.untold_loss
    assert depacketiser.malformed_packets + depacketiser.refused_payloads == 1


@given(
    lost=st.sets(st.integers(1, 60), max_size=20),
    mtu=st.integers(200, 700),
    quality=st.sampled_from([255, 200, 60]),
    marker=st.booleans(),
)
def test_every_picture_that_is_not_marked_is_whole_and_every_loss_is_told(
    lost: set[int], mtu: int, quality: int, marker: bool
) -> None:
    jpegs = [Jpeg.parse(file) for file in film(slices=3, count=8)]
    alone = JpegDepacketiser()
    whole = [push(alone, packetise(jpeg, 100 * n, n, quality=quality))[0].payload for n, jpeg in enumerate(jpegs)]
    depacketiser = JpegDepacketiser()
    got: list[Unit] = []
    hit: set[int] = set()
    sequence = 0
    for number, jpeg in enumerate(jpegs):
        for packet in packetise(jpeg, 65500 + sequence, number * 3000, mtu=mtu, quality=quality, marker=marker):
            if sequence in lost:
                hit.add(number)
            else:
                got += depacketiser.feed(packet, sequence)
            sequence += 1
    while (last := depacketiser.flush()) is not None:
        got.append(last)
    for unit in got:
        number = unit.rtp_timestamp // 3000
        if not unit.damaged:
            assert unit.payload == whole[number]
            assert number not in hit
        else:
            # What came before the hole is kept, and nothing from behind it.
            assert whole[number].startswith(unit.payload[:-2])
            assert unit.payload.endswith(b"\xff\xd9")
    came = {unit.rtp_timestamp // 3000: unit for unit in got}
    if marker:
        # A loss before a picture does not damage it: its first packet says that it is the first.
        assert all(not came[number].damaged for number in range(len(jpegs)) if number not in hit)
    for before, unit in zip([-3000, *[u.rtp_timestamp for u in got]], got, strict=False):
        if unit.rtp_timestamp != before + 3000:
            assert unit.lost_before


def one_picture(payload: bytes) -> tuple[JpegDepacketiser, list[Unit]]:
    """A sound beginning, and behind it a payload."""
    [first, *_] = payloads(Jpeg.parse(film()[0]), mtu=300)
    depacketiser = JpegDepacketiser()
    return depacketiser, push(depacketiser, [rtp(first, 0, 0, kind=26), rtp(payload, 1, 0, marker=True, kind=26)])


SECOND = payloads(Jpeg.parse(film()[0]), mtu=300)[1]


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (SECOND[:7], "shorter than its header"),
        (SECOND[:1] + b"\0\0\x01" + SECOND[4:], "somewhere else"),
        (SECOND[:4] + b"\0" + SECOND[5:], "another type"),
        (SECOND[:4] + b"\x41" + SECOND[5:], "cut off in the restart header"),
        (SECOND[:4] + b"\x02" + SECOND[5:], "a type of another standard"),
        (SECOND[:4] + b"\x81" + SECOND[5:], "a dynamic type"),
        (SECOND[:5] + b"\x20" + SECOND[6:], "another quality"),
        (SECOND[:6] + b"\x20" + SECOND[7:], "another width"),
        (SECOND[:7] + b"\x20" + SECOND[8:], "another height"),
        (payloads(Jpeg.parse(film()[0]))[0], "a second beginning"),
    ],
)
def test_payloads_that_do_not_fit_damage_their_picture(payload: bytes, what: str) -> None:
    _, units = one_picture(payload)
    assert [unit.damaged for unit in units] == [True], what


def test_the_payload_that_does_fit_does_not() -> None:
    _, [unit] = one_picture(SECOND)
    assert not unit.damaged


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\0\x01\xff\x08\x08",
        b"\0\0\0\0\x01\xff\x08\x08\0\0\0\x80" + bytes(127),
        b"\0\0\0\0\x01\xff\x08\x08\0\0\0\x20" + bytes(200),
        b"\0\0\0\0\x01\xff\x08\x08\0\x03\0\x81" + bytes(200),
        b"\0\0\0\0\x01\xff\x08\x08\0\0\xff\xff" + bytes(1000),
        b"\0\0\0\0\x41\xff\x08",
        b"\0\0\0\0\x41\xff\x08\x08\0\1\xff",
        b"\0\0\0\1\x01\x32\x08\x08scan",
    ],
)
def test_a_beginning_that_cannot_be_read_gives_no_picture(head: bytes) -> None:
    depacketiser = JpegDepacketiser()
    assert push(depacketiser, [rtp(head, 0, 0, marker=True, kind=26)]) == []
    assert depacketiser.untold_loss


def test_a_picture_beyond_the_bound_is_refused() -> None:
    depacketiser = JpegDepacketiser(max_unit_bytes=1000)
    jpegs = [Jpeg.parse(film()[0]), Jpeg.parse(film(16, 16)[0])]
    units = push(depacketiser, packetise(jpegs[0], 0, 0, mtu=300) + packetise(jpegs[1], 100, 1))
    assert depacketiser.refused_units == 1
    assert [unit.refused_before for unit in units] == [1]


@given(data=st.data())
def test_no_packet_does_more_than_damage(data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    limit = data.draw(st.integers(64, 5000))
    jpegs = [Jpeg.parse(file) for file in film(slices=3)]
    packets: list[bytes] = []
    for number, jpeg in enumerate(jpegs):
        some = packetise(jpeg, len(packets), number, mtu=rng.randrange(20, 400), quality=rng.choice([60, 128, 255]))
        if rng.random() < 0.5:
            some[0] = with_segments(some[0], film()[0][2 : rng.randrange(2, 600)])
        packets += some
    for _ in range(data.draw(st.integers(0, 40))):
        which = rng.randrange(len(packets))
        packet = bytearray(packets[which] or b"\x80")
        packet[rng.randrange(min(len(packet), 26))] = rng.choice([0, 1, 64, 65, 127, 128, 255])
        packets[which] = bytes(packet[: rng.randrange(len(packet))] if rng.random() < 0.2 else packet)
    depacketiser = JpegDepacketiser(max_unit_bytes=limit, reorder_packets=data.draw(st.integers(0, 4)))
    units = push(depacketiser, packets)
    while (last := depacketiser.flush()) is not None:
        units.append(last)
    for unit in units:
        assert unit.payload.startswith(b"\xff\xd8\xff\xdb")
        assert unit.payload.endswith(b"\xff\xd9")
        assert len(unit.payload) <= limit

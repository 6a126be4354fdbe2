"""Makes the well-formed part of the corpus: `python -m tests.fuzz.make_corpus`. Needs PyAV with x264, x265 and MJPEG.

Run once and committed; what fuzzing finds is added by hand beside it, as `found-*`. Real encoders made the units, the
simulator's packetisers (written from the RFCs) cut them into packets.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from simulator import jpeg, jpeg_packets, packetise
from simulator.bitstream import split
from simulator.jpeg import JpegForm
from tests.fuzz.cases import CORPUS, Case, write_case
from tests.unit.core import h264_stream
from tests.unit.core.h264_stream import SpsFields, rtp
from trueframe.v1.frames_pb2 import (
    CODEC_H264,
    GAP_REASON_NETWORK_LOSS,
    JOIN_POINT_RECOVERS_AFTER,
    EpochEnded,
    EpochStarted,
    Frame,
    FrameId,
    Gap,
    Item,
    Rational,
)

PICTURES = 8
SIZE = (80, 48)


def pictures() -> list[np.ndarray]:
    """Small pictures with something in them that moves."""
    rng = np.random.default_rng(7)
    ground = rng.integers(60, 120, (SIZE[1], SIZE[0], 3), np.uint8)
    found: list[np.ndarray] = []
    for number in range(PICTURES):
        picture = ground.copy()
        picture[10:26, 6 * number : 6 * number + 16] = 200
        found.append(picture)
    return found


def _encoder(codec: str) -> av.VideoCodecContext:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    return context


def units(codec: str, options: dict[str, str]) -> list[list[bytes]]:
    """NAL units of each access unit, without the encoder's message about itself."""
    context = _encoder(codec)
    context.width, context.height = SIZE
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    context.options = options
    packets = []
    for number, picture in enumerate(pictures()):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    found: list[list[bytes]] = []
    for packet in packets:
        nals = split(bytes(packet))
        found.append([nal for nal in nals if len(nal) < 100 or not _is_message(codec, nal)])
    return found


def _is_message(codec: str, nal: bytes) -> bool:
    return nal[0] & 31 == 6 if codec == "libx264" else nal[0] >> 1 == 39


def packets_of(codec: str, stream: list[list[bytes]], mtu: int, aggregate: bool = False) -> list[bytes]:
    """RTP packets of a stream whose sequence numbers wrap."""
    found: list[bytes] = []
    for number, nals in enumerate(stream):
        parts = packetise.payloads(codec, nals, mtu, aggregate)
        for index, part in enumerate(parts):
            found.append(rtp(part, 65530 + len(found), 3600 * number, marker=index == len(parts) - 1))
    return found


def jpeg_stream(form: JpegForm) -> list[bytes]:
    found: list[bytes] = []
    for number, picture in enumerate(pictures()[:4]):
        planes = [picture[..., 0], picture[::2, ::2, 1], picture[::2, ::2, 2]]
        scan = jpeg.encode(planes, form)
        tables = b"".join(form.tables()) if form.has_tables(number) else None
        parts = jpeg_packets.payloads(scan, tables, form, *SIZE, mtu=256)
        for index, part in enumerate(parts):
            found.append(rtp(part, 65530 + len(found), 3600 * number, marker=index == len(parts) - 1, kind=26))
    return found


def jpeg_file(form: JpegForm) -> bytes:
    picture = pictures()[0]
    planes = [picture[..., 0], picture[::2, ::2, 1], picture[::2, ::2, 2]]
    return jpeg.file(jpeg.encode(planes, form), form.tables(), form, *SIZE)


def save(target: str, name: str, data: bytes | Case) -> None:
    if isinstance(data, bytes):
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        (CORPUS / target / name).write_bytes(data)
    else:
        write_case(CORPUS / target / f"{name}.parts", [b"\0" * 8, *data])


def with_extension(packet: bytes, words: bytes) -> bytes:
    """The packet with the ONVIF header extension and a CSRC."""
    extension = b"\xab\xac" + (len(words) // 4).to_bytes(2, "big") + words
    return bytes([packet[0] | 0x11]) + packet[1:12] + b"\0\0\0\x09" + extension + packet[12:]


def bitstreams() -> None:
    x264 = units("libx264", {"preset": "medium", "g": "6", "bf": "2", "x264-params": "slices=2"})
    intra = units("libx264", {"preset": "ultrafast", "x264-params": "intra-refresh=1:keyint=8"})
    x265 = units(
        "libx265", {"preset": "ultrafast", "x265-params": "keyint=6:bframes=2:open-gop=1:log-level=none:aud=1"}
    )
    fields = SpsFields(vui=True, hrd=True, reorder=2)
    own = [
        [
            h264_stream.AUD,
            h264_stream.sps(fields),
            h264_stream.pps(),
            h264_stream.recovery_point(3),
            h264_stream.slice_nal(idr=True, size=300),
            h264_stream.slice_nal(first_mb=9, size=80),
        ],
        [h264_stream.slice_nal(size=200)],
    ]
    words = bytes.fromhex("ec6f8f80 80000000 a0010000".replace(" ", ""))
    for name, stream in (("x264", x264), ("intra-refresh", intra), ("own", own)):
        save("h264-rtp", name, packets_of("h264", stream, 100))
        save("h264-rtp", f"{name}-aggregate", packets_of("h264", stream, 1400, aggregate=True))
        for number, nals in enumerate(stream[:3]):
            save("h264", f"{name}-{number}.264", h264_stream.annexb(nals))
    save("h264-rtp", "extension", [with_extension(packet, words) for packet in packets_of("h264", x264[:3], 200)])
    save("h265-rtp", "x265", packets_of("h265", x265, 100))
    save("h265-rtp", "x265-aggregate", packets_of("h265", x265, 1400, aggregate=True))
    for number, nals in enumerate(x265[:5]):
        save("h265", f"x265-{number}.265", h264_stream.annexb(nals))
    forms = {
        "tables": JpegForm(), "q50": JpegForm(q=50, type=0), "restart": JpegForm(q=200, restart=4), "q1": JpegForm(q=1)
    }  # fmt: skip
    for name, form in forms.items():
        save("jpeg-rtp", name, jpeg_stream(form))
        save("jpeg", f"{name}.jpg", jpeg_file(form))
    encoder = _encoder("mjpeg")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *SIZE, "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(pictures()[0], format="rgb24").reformat(format="yuvj420p")
    save("jpeg", "ffmpeg.jpg", bytes(encoder.encode(frame)[0]))

    answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nbody."
    report = bytes.fromhex("80c80006000000090a0b0c0d80000000000004d20000000a000003e8")
    framed = [b"$\0" + len(packet).to_bytes(2, "big") + packet for packet in packets_of("h264", own, 90)]
    save("connection", "play", [answer, *framed[:8], b"$\1" + len(report).to_bytes(2, "big") + report, *framed[8:]])
    save("connection", "asked", [answer, b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n", *framed[:4], answer, *framed[4:]])
    save("annexb", "unit.264", h264_stream.annexb(own[0]))
    save("annexb", "lengths.bin", b"".join(len(nal).to_bytes(4, "big") + nal for nal in own[0]))
    save("annexb", "short-codes.264", b"".join(b"\0\0\1" + nal for nal in own[0]) + b"\0\0\0")
    sets = [own[0][1], own[0][2]]
    avcc = b"\1\x64\0\x1f\xff\xe1" + len(sets[0]).to_bytes(2, "big") + sets[0] + b"\1" + len(sets[1]).to_bytes(2, "big")
    save("annexb", "avcc.bin", avcc + sets[1])
    three = [nal for nal in x265[0] if nal[0] >> 1 in (32, 33, 34)]
    arrays = b"".join(bytes([nal[0] >> 1]) + b"\0\1" + len(nal).to_bytes(2, "big") + nal for nal in three)
    save("annexb", "hvcc.bin", b"\1" + bytes(20) + b"\xff\3" + arrays)


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])


def wire() -> None:
    items = [
        EpochStarted(
            camera="gate", epoch=5, codec=CODEC_H264, width=640, parameter_sets=b"\0\0\0\1sps",
            time_base=Rational(num=1, den=90000),
        ),
        Frame(
            id=FrameId(camera="gate", epoch=5, seq=300), received_ns=1 << 60, monotonic_ns=9, pts=-3,
            join_point=JOIN_POINT_RECOVERS_AFTER, recovers_after=4, damaged=True, camera_time_ns=0,
            camera_time_uncertainty_ns=5, digest=bytes(32), payload=b"\0\0\0\1\x65slice",
        ),
        Frame(id=FrameId(camera="gate", epoch=5, seq=301), follows_damage=True, payload=b"x" * 200, digest=b"d" * 32),
        Gap(camera="gate", after=FrameId(camera="gate", epoch=5, seq=3), count=3, reason=GAP_REASON_NETWORK_LOSS),
        EpochEnded(camera="gate", epoch=5, last_seq=300, detail="cut"),
    ]  # fmt: skip
    names = {EpochStarted: "epoch_started", Frame: "frame", Gap: "gap", EpochEnded: "epoch_ended"}
    wrapped = [Item(**{names[type(item)]: item}).SerializeToString() for item in items]  # type: ignore[arg-type]
    framed = [
        b"\x0a" + bytes([len(item)] if len(item) < 128 else [len(item) & 127 | 128, len(item) >> 7]) + item
        for item in wrapped
    ]
    save("wire", "all.bin", b"".join(framed))
    for name, item in zip(("started", "frame", "frame-2", "gap", "ended"), framed, strict=True):
        save("wire", f"{name}.bin", item)
    sender = bytes.fromhex("80c80006000000090a0b0c0d80000000000004d20000000a000003e8")
    save("rtcp", "report.bin", sender + bytes.fromhex("81ca0004000000090105746f776572000000"))
    save("rtcp", "goodbye.bin", sender + bytes.fromhex("82cb00020000000900000007"))
    block = bytes.fromhex("81c8000c000000090a0b0c0d80000000000004d20000000a000003e8") + bytes(24)
    save("rtcp", "block.bin", block)


if __name__ == "__main__":
    bitstreams()
    wire()

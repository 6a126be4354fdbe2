"""RTP as GStreamer packs it, put together by our depacketisers: the same units, the same pictures."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence

import pytest

from broker.core.bitstream import JpegInspector, split_nals
from broker.core.codecs import depacketiser_for
from broker.core.rtp import Unit
from tests.real_peers import DEBIAN_PYTHON, ROOT, require
from tests.unit.core import test_h265_join_points, test_join_points
from tests.unit.core.jpeg_stream import film, pictures
from trueframe.v1.frames_pb2 import CODEC_H264, CODEC_H265, CODEC_MJPEG

AUD = {CODEC_H264: (9, 0, 0x1F), CODEC_H265: (35, 1, 0x3F)}


def pack(pipeline: str, units: Sequence[bytes] = ()) -> tuple[list[bytes], list[bytes]]:
    """What GStreamer makes of them: packets, and the units that it made itself."""
    require("rtsp")
    done = subprocess.run(
        [DEBIAN_PYTHON, str(ROOT / "tests" / "rtp_from_gstreamer.py"), pipeline],
        input=b"".join(struct.pack("!I", len(unit)) + unit for unit in units),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    records, at = [], 0
    while at < len(done.stdout):
        length = struct.unpack_from("!I", done.stdout, at)[0]
        records.append(done.stdout[at + 4 : at + 4 + length])
        at += 4 + length
    return [r[1:] for r in records if r[:1] == b"P"], [r[1:] for r in records if r[:1] == b"U"]


def put_together(codec: int, packets: Sequence[bytes]) -> list[Unit]:
    depacketiser = depacketiser_for(codec)
    units = [unit for i, packet in enumerate(packets) for unit in depacketiser.feed(packet, i)]
    assert depacketiser.flush() is None
    assert not any(unit.damaged or unit.lost_before for unit in units)
    assert depacketiser.malformed_packets == depacketiser.refused_payloads == 0
    return units


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("mtu", [300, 1400])
def test_jpeg_pictures_are_those_of_the_sender(slices: int, mtu: int) -> None:
    files = film(320, 240, slices, 5)
    caps = "image/jpeg,width=320,height=240,framerate=10/1"
    packets, _ = pack(f"appsrc name=in format=time caps={caps} ! rtpjpegpay mtu={mtu} ! appsink name=packets", files)
    units = put_together(CODEC_MJPEG, packets)
    assert pictures([unit.payload for unit in units]) == pictures(files)
    info = JpegInspector().inspect(units[-1].payload)
    assert (info.width, info.height, info.malformed) == (320, 240, False)


@pytest.mark.parametrize("form", ["I420", "Y42B"])
@pytest.mark.parametrize("quality", [10, 50, 75, 95])
def test_tables_that_only_a_quality_names_are_those_of_the_sender(form: str, quality: int) -> None:
    raw = f"video/x-raw,format={form},width=160,height=120,framerate=10/1"
    packets, files = pack(
        f"videotestsrc num-buffers=3 pattern=ball ! {raw} ! jpegenc quality={quality} ! tee name=t "
        "t. ! queue ! appsink name=units "
        f"t. ! queue ! rtpjpegpay quality={quality} ! appsink name=packets"
    )
    units = put_together(CODEC_MJPEG, packets)
    assert len(units) == len(files) == 3
    assert units[0].payload[2:4] == b"\xff\xdb"
    assert pictures([unit.payload for unit in units]) == pictures(files)


@pytest.mark.parametrize("codec", [CODEC_H264, CODEC_H265])
@pytest.mark.parametrize("aggregate", ["none", "zero-latency"])
def test_units_are_those_of_the_sender(codec: int, aggregate: str) -> None:
    if codec == CODEC_H264:
        name, units = "h264", test_join_points.encode("keyint=15:bframes=0:slices=3:aud=1")
    else:
        name, units = "h265", list(test_h265_join_points.encode("keyint=15:bframes=3:open-gop=1:b-pyramid=1"))
    caps = f"video/x-{name},stream-format=byte-stream,alignment=au,framerate=10/1"
    packets, _ = pack(
        f"appsrc name=in format=time caps={caps} ! {name}parse disable-passthrough=true ! "
        f"rtp{name}pay mtu=200 config-interval=0 aggregate-mode={aggregate} ! appsink name=packets",
        units,
    )
    got = put_together(codec, packets)
    kind, shift, mask = AUD[codec]

    def without_delimiters(unit: bytes) -> list[bytes]:
        # GStreamer's parser takes delimiters out of what it hands on, or puts them in.
        return [bytes(nal) for nal in split_nals(unit) if nal[0] >> shift & mask != kind]

    assert [without_delimiters(unit.payload) for unit in got] == [without_delimiters(unit) for unit in units]

"""H.265 and Motion JPEG on disk: ordinary players read them, every byte comes back, a change of codec is kept apart."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from broker.client import EpochStarted, WireFrame
from media_center.catalogue import epoch_started
from media_center.client import export_parts
from media_center.decoding import render
from media_center.errors import CodecChanges
from media_center.export import plan_export
from media_center.footage import CameraFootage
from media_center.ranges import Bounds
from media_center.sample_entries import avc_configuration, hevc_configuration
from media_center.samples import canonical_form, stored_form
from media_center.snapshot import read_coded
from mesh.ids import FrameId
from tests.footage import (
    EPOCH,
    Script,
    add_clip,
    clip_script,
    coded_clip,
    decoded,
    footage_of,
    parameter_sets_of,
    read_bars,
    record,
    replayed,
)
from tests.footage_exports import between, export, frame
from tests.real_peers import require
from trueframe.v1 import footage_pb2, frames_pb2

KINDS = {
    "h265": {"codec": "h265"},
    "h265-b-frames": {"codec": "h265", "b_frames": 3},
    "h265-open-gop": {"codec": "h265", "b_frames": 3, "open_gop": True},
    "mjpeg": {"codec": "mjpeg"},
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    return KINDS[request.param]


@pytest.fixture
def footage(tmp_path: Path, kind: dict[str, Any]) -> CameraFootage:
    record(tmp_path / "media", clip_script(**kind).items)
    return footage_of(tmp_path / "media")


def shown_by_ffmpeg(path: Path) -> list[int]:
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo",
         "-"], capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    return [read_bars(picture) for picture in np.frombuffer(done.stdout, np.uint8).reshape(-1, 64, 128)]


def test_the_stream_comes_back_byte_for_byte(footage: CameraFootage, kind: dict[str, Any]) -> None:
    frames = [item for item in decoded(replayed(footage)) if isinstance(item, WireFrame)]
    clip = coded_clip(**kind)
    assert [bytes(f.payload) for f in frames] == [unit.payload for unit in clip]
    assert all(hashlib.sha256(f.payload).digest() == f.digest for f in frames)


def test_ordinary_players_open_the_segments(footage: CameraFootage) -> None:
    require("ffmpeg")
    numbers = [number for at in range(len(footage.view)) for number in shown_by_ffmpeg(footage.view.path(at))]
    if len(footage.view) > 1 and len(numbers) < 60:
        # A segment that begins in an open GOP lacks, played alone, the leading pictures that refer to the one before.
        missing = sorted(set(range(60)) - set(numbers))
        assert len(missing) <= 3 * (len(footage.view) - 1)
        return
    assert numbers == list(range(60))


def test_ordinary_tools_name_the_codec(footage: CameraFootage, kind: dict[str, Any], tmp_path: Path) -> None:
    require("ffmpeg")
    path = export(footage, tmp_path / "clip.mp4", between(12, 30))
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)], capture_output=True, check=True
    )
    assert done.stderr == b""
    (stream,) = json.loads(done.stdout)["streams"]
    expected = ("hevc", "hev1") if kind["codec"] == "h265" else ("mjpeg", "mp4v")
    assert (stream["codec_name"], stream["codec_tag_string"]) == expected
    assert (stream["width"], stream["height"]) == (128, 64)


def test_an_export_begins_with_the_asked_frame_and_carries_the_very_bytes(
    footage: CameraFootage, kind: dict[str, Any], tmp_path: Path
) -> None:
    clip = coded_clip(**kind)
    for first, last in [(0, 59), (13, 30), (17, 17), (18, 45), (59, 59)]:
        path = export(footage, tmp_path / "clip.mp4", between(first, last))
        with av.open(str(path)) as container:
            shown = [read_bars(p.to_ndarray(format="gray8")) for p in container.decode(video=0)]
        assert shown[0] == clip[first].shown
        assert shown == sorted(shown)
        with av.open(str(path), options={"ignore_editlist": "1"}) as container:
            carried = [canonical_form(bytes(p)) for p in container.demux(video=0) if p.size]
        assert carried == [unit.payload for unit in clip[last + 1 - len(carried) : last + 1]]


def test_ffmpeg_itself_shows_the_asked_frame_first(
    footage: CameraFootage, kind: dict[str, Any], tmp_path: Path
) -> None:
    require("ffmpeg")
    clip = coded_clip(**kind)
    path = export(footage, tmp_path / "clip.mp4", between(17, 40))
    assert shown_by_ffmpeg(path)[0] == clip[17].shown


def test_a_snapshot_shows_exactly_the_asked_frame(footage: CameraFootage, kind: dict[str, Any]) -> None:
    clip = coded_clip(**kind)
    for seq in (0, 5, 12, 13, 14, 17, 30, 59):
        coded = read_coded(footage, frame(seq))
        png = render(coded.codec, coded.units, 0)
        picture = next(av.open(io.BytesIO(png)).decode(video=0)).to_ndarray(format="gray8")
        assert read_bars(picture) == clip[seq].shown


def test_a_change_of_codec_begins_a_segment_and_cannot_be_exported_in_one_file(tmp_path: Path) -> None:
    script = add_clip(Script(), 24)
    add_clip(script.end(), 24, epoch=EPOCH + 9, codec="h265", b_frames=3)
    add_clip(script.end(), 24, epoch=EPOCH + 18, codec="mjpeg")
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    codecs = [started.codec for at in range(len(footage.view)) if (started := epoch_started(footage.rows(at)))]
    assert codecs == [frames_pb2.CODEC_H264, frames_pb2.CODEC_H265, frames_pb2.CODEC_MJPEG]
    with pytest.raises(CodecChanges) as raised:
        plan_export(footage, Bounds("gate", frame(3), None, frame(20, EPOCH + 9), None))
    assert str(frame(23)) in str(raised.value)
    assert str(frame(0, EPOCH + 9)) in str(raised.value)
    numbers = []
    for part in export_parts(recordings(script), frame(3), frame(10, EPOCH + 18), tmp_path / "clip.mp4"):
        assert isinstance(part.start, FrameId)
        assert isinstance(part.end, FrameId)
        path = export(footage, part.path, Bounds("gate", part.start, None, part.end, None))
        with av.open(str(path)) as container:
            numbers.append([read_bars(p.to_ndarray(format="gray8")) for p in container.decode(video=0)])
    assert numbers == [list(range(3, 24)), list(range(24)), list(range(11))]
    assert sorted(path.name for path in tmp_path.glob("clip-*")) == [
        "clip-1-h264.mp4", "clip-2-h265.mp4", "clip-3-mjpeg.mp4",
    ]  # fmt: skip


def recordings(script: Script) -> list[footage_pb2.Recording]:
    """The script's epochs as ListRecordings tells them."""
    found: list[footage_pb2.Recording] = []
    for item in script.items:
        if isinstance(item, EpochStarted):
            found.append(footage_pb2.Recording(camera="gate", codec=item.codec))
        elif isinstance(item, WireFrame):
            one = found[-1]
            if not one.frames:
                one.first.CopyFrom(frame(item.seq, item.epoch).to_proto())
                one.first_ns = item.received_ns
            one.last.CopyFrom(frame(item.seq, item.epoch).to_proto())
            one.last_ns = item.received_ns
            one.frames += 1
    return found


def test_parts_are_divided_at_changes_of_codec_only(tmp_path: Path) -> None:
    script = add_clip(Script(), 6)
    add_clip(script.end(), 6, epoch=EPOCH + 1)
    add_clip(script.end(), 6, epoch=EPOCH + 2, codec="mjpeg")
    all_of_it = recordings(script)
    whole = export_parts(all_of_it, None, None, tmp_path)
    assert [(part.start, part.end, part.path) for part in whole] == [
        (None, frame(5, EPOCH + 1), tmp_path),
        (frame(0, EPOCH + 2), None, tmp_path),
    ]
    (one,) = export_parts(all_of_it, None, all_of_it[1].last_ns, tmp_path / "a.mp4")
    assert (one.start, one.end, one.path) == (None, all_of_it[1].last_ns, tmp_path / "a.mp4")
    (late,) = export_parts(all_of_it, frame(2, EPOCH + 2), None, tmp_path / "a.mp4")
    assert (late.start, late.end) == (frame(2, EPOCH + 2), None)
    (nothing,) = export_parts([], None, None, tmp_path)
    assert nothing.path == tmp_path


def test_a_sample_tells_by_itself_what_it_stands_for() -> None:
    jpeg = coded_clip(2, codec="mjpeg")[1].payload
    unit = coded_clip(2, codec="h265")[0].payload
    for payload in (jpeg, unit):
        stored = stored_form(payload)
        assert len(stored) == len(payload)
        assert canonical_form(memoryview(stored)) == payload
    with pytest.raises(ValueError, match=r"."):
        canonical_form(b"\x7f\xff\xff\xff\x01")


@pytest.mark.parametrize(
    ("codec", "short", "write", "same"),
    [("libx264", "h264", avc_configuration, None), ("libx265", "h265", hevc_configuration, 22)],
)
def test_decoder_configurations_say_what_those_of_ffmpeg_say(
    codec: str, short: str, write: Callable[[bytes], bytes], same: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        # Without B-frames: x265 gives the DTS of a lone reordered picture from memory that was never set.
        stream: Any = container.add_stream(
            codec, rate=25, options={"x265-params": "log-level=none:pools=none:bframes=0"}
        )
        stream.width, stream.height, stream.pix_fmt = 130, 66, "yuv420p"
        picture = av.VideoFrame(130, 66, "yuv420p")
        for plane in picture.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        theirs = container.streams.video[0].codec_context.extradata
    assert theirs is not None
    sets = parameter_sets_of(sets_in(theirs, short), short)
    ours = write(sets)[8:]
    # FFmpeg's hvcC also has an array of SEI messages.
    assert ours[:same] == theirs[:same]
    assert sets_in(ours, short) == sets


def sets_in(record: bytes, codec: str) -> bytes:
    """The parameter sets of an avcC or hvcC record, found by walking it."""
    found, at = b"", 5 if codec == "h264" else 23
    if codec == "h264":
        for mask in (0x1F, 0xFF):
            count, at = record[at] & mask, at + 1
            for _ in range(count):
                size = int.from_bytes(record[at : at + 2], "big")
                found, at = found + b"\0\0\0\1" + record[at + 2 : at + 2 + size], at + 2 + size
        return found
    for _ in range(record[22]):
        count, at = int.from_bytes(record[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            found, at = found + b"\0\0\0\1" + record[at + 2 : at + 2 + size], at + 2 + size
    return found

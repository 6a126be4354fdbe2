"""Snapshots show exactly the asked frame; exports begin with it."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from broker.client import WireFrame, from_length_prefixed
from media_center.decoder import Decoder
from media_center.decoding import render
from media_center.errors import FootageDamaged, NotDecodable, NotRecorded
from media_center.export import plan_export, write_export
from media_center.footage import CameraFootage
from media_center.index import load_rows
from media_center.ranges import Bounds
from media_center.rows import LEAD_IN, RowBox, decode_row_box
from media_center.scan import payload_of
from media_center.snapshot import Coded, decode, read_coded
from mesh.errors import DeadlineExceeded
from mesh.ids import FrameId
from tests.footage import (
    EPOCH,
    EXACT,
    Script,
    clip_script,
    coded_clip,
    footage_of,
    read_bars,
    record,
)
from tests.footage_exports import between, export, frame
from tests.players import chromium_shows_first
from tests.real_peers import require


def take_snapshot(footage: CameraFootage, wanted: FrameId, max_width: int) -> tuple[bytes, Coded]:
    """A snapshot as the service takes it, but for the process that decodes."""
    coded = read_coded(footage, wanted)
    return render(coded.codec, coded.units, max_width), coded


def pictures_of(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [read_bars(picture.to_ndarray(format="gray8")) for picture in container.decode(video=0)]


@pytest.fixture(params=[0, 2], ids=["without B-frames", "with B-frames"])
def b_frames(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def footage(tmp_path: Path, b_frames: int) -> CameraFootage:
    record(tmp_path / "media", clip_script(b_frames=b_frames).items)
    return footage_of(tmp_path / "media")


def test_a_snapshot_shows_exactly_the_asked_frame(footage: CameraFootage, b_frames: int) -> None:
    for seq, coded in enumerate(coded_clip(b_frames=b_frames)):
        png, found = take_snapshot(footage, frame(seq), 0)
        picture = next(av.open(io.BytesIO(png)).decode(video=0)).to_ndarray(format="gray8")
        assert read_bars(picture) == coded.shown
        assert (found.row.id.seq, found.inexact) == (seq, False)


def test_a_snapshot_is_scaled_to_the_width_asked_for(footage: CameraFootage) -> None:
    png, _ = take_snapshot(footage, frame(20), 64)
    picture = next(av.open(io.BytesIO(png)).decode(video=0))
    assert (picture.width, picture.height) == (64, 32)
    larger, _ = take_snapshot(footage, frame(20), 4000)
    assert next(av.open(io.BytesIO(larger)).decode(video=0)).width == 128


def test_an_export_decodes_to_the_asked_frames_and_begins_with_the_first(
    footage: CameraFootage, b_frames: int, tmp_path: Path
) -> None:
    clip = coded_clip(b_frames=b_frames)
    for first, last in [(0, 59), (12, 30), (17, 17), (18, 45), (23, 24), (59, 59)]:
        shown = pictures_of(export(footage, tmp_path / "clip.mp4", between(first, last)))
        carried = [unit.shown for unit in clip[first - first % 12 : last + 1]]
        assert shown[0] == clip[first].shown
        assert shown == sorted(number for number in carried if number >= clip[first].shown)


def test_an_export_carries_the_very_bytes_and_names_every_frame(footage: CameraFootage, tmp_path: Path) -> None:
    path = export(footage, tmp_path / "clip.mp4", between(20, 40))
    data = path.read_bytes()
    (box,) = row_boxes(data)
    rows = [row for row in box.rows if row["kind"] == 1]
    assert [int(row["seq"]) for row in rows] == list(range(12, 41))
    with av.open(str(path), options={"ignore_editlist": "1"}) as container:
        packets = [from_length_prefixed(bytes(p)) for p in container.demux(video=0) if p.size]
    assert len(packets) == 29
    for row, packet in zip(rows, packets, strict=True):
        offset, size = int(row["offset"]), int(row["size"])
        assert payload_of(data[offset : offset + size], size, bytes(row["digest"].tobytes())) == packet
    plan = plan_export(footage, between(20, 40))
    assert sum(bool(row["flags"] & LEAD_IN) for row in rows) == plan.hidden
    assert plan.shown + plan.hidden == 29


def test_the_same_range_gives_the_same_bytes(footage: CameraFootage, tmp_path: Path) -> None:
    first = export(footage, tmp_path / "a.mp4", between(20, 40)).read_bytes()
    assert export(footage, tmp_path / "b.mp4", between(20, 40)).read_bytes() == first


def test_ffmpeg_itself_shows_the_asked_frame_first(footage: CameraFootage, b_frames: int, tmp_path: Path) -> None:
    require("ffmpeg")
    path = export(footage, tmp_path / "clip.mp4", between(20, 40))
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo",
         "-"], capture_output=True, check=True,
    )  # fmt: skip
    assert raw.stderr == b""
    shown = [read_bars(picture) for picture in np.frombuffer(raw.stdout, np.uint8).reshape(-1, 64, 128)]
    assert shown[0] == coded_clip(b_frames=b_frames)[20].shown
    times = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)],
        capture_output=True, check=True, text=True,
    ).stdout.split()  # fmt: skip
    assert float(times[0].strip(",")) == 0.0
    assert len(times) == len(shown)


def test_chromium_shows_the_asked_frame_first(footage: CameraFootage, b_frames: int, tmp_path: Path) -> None:
    path = export(footage, tmp_path / "clip.mp4", between(20, 40))
    assert chromium_shows_first(path) == coded_clip(b_frames=b_frames)[20].shown


def test_ordinary_players_open_the_segments(footage: CameraFootage, b_frames: int) -> None:
    require("ffmpeg")
    numbers = []
    for position in range(len(footage.view)):
        done = subprocess.run(
            ["ffmpeg", "-v", "warning", "-i", str(footage.view.path(position)), "-fps_mode", "passthrough",
             "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, check=True,
        )  # fmt: skip
        assert done.stderr == b""
        numbers += [read_bars(picture) for picture in np.frombuffer(done.stdout, np.uint8).reshape(-1, 64, 128)]
    assert numbers == list(range(60))


def test_an_export_over_two_epochs_has_both_sizes_and_the_pause_between_them(tmp_path: Path) -> None:
    script = clip_script(24)
    script.end()
    script.now_ns += 5_000_000_000
    second = clip_script(24)
    started = next(item for item in second.items if not isinstance(item, WireFrame))
    script.start(EPOCH + 9, parameter_sets=started.parameter_sets)  # type: ignore[union-attr]
    for coded in coded_clip(24):
        script.frame(coded.payload, step_s=0.04, join=EXACT if coded.is_key else 1, pts=coded.shown * 3600)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")

    path = export(footage, tmp_path / "clip.mp4", Bounds("gate", frame(3), None, frame(10, EPOCH + 9), None))

    assert pictures_of(path) == [*range(3, 24), *range(11)]
    with av.open(str(path)) as container:
        times = [float(picture.time) for picture in container.decode(video=0)]
    assert times[21] - times[20] == pytest.approx(5.04, abs=0.001)
    assert [box.epoch for box in row_boxes(path.read_bytes())] == [EPOCH, EPOCH + 9]


def test_gaps_inside_an_export_are_told(tmp_path: Path) -> None:
    script = Script().start().frames(10).skip(7).frames(20)
    record(tmp_path / "media", script.items)
    plan = plan_export(footage_of(tmp_path / "media"), between(2, 25))
    assert [gap.count for gap in plan.gaps] == [7]


def test_what_is_not_recorded_is_refused_by_name(tmp_path: Path) -> None:
    record(tmp_path / "media", Script().start().skip(3).frames(9, gop=10).items)
    footage = footage_of(tmp_path / "media")
    with pytest.raises(NotRecorded):
        take_snapshot(footage, frame(99), 0)
    with pytest.raises(NotDecodable):
        take_snapshot(footage, frame(5), 0)
    with pytest.raises(NotRecorded):
        plan_export(footage, between(50, 60))
    with pytest.raises(NotDecodable):
        plan_export(footage, between(5, 7))


def test_a_hole_before_a_frame_makes_it_undecodable(tmp_path: Path) -> None:
    script = Script().start().frames(5, gop=100).skip(1).frames(5, gop=100)
    record(tmp_path / "media", script.items)
    with pytest.raises(NotDecodable):
        take_snapshot(footage_of(tmp_path / "media"), frame(8), 0)


def test_a_join_point_is_found_across_segments(tmp_path: Path) -> None:
    record(tmp_path / "media", Script().start().frames(140, gop=65).items)
    footage = footage_of(tmp_path / "media")
    assert len(footage.view) == 3
    for seq, expected in ((0, 0), (64, 0), (65, 65), (129, 65), (139, 130)):
        position = footage.find(frame(seq))
        assert position is not None
        joined = footage.join_point_for(position)
        assert joined is not None
        assert footage.id_at(joined).seq == expected


def test_a_recovering_join_point_serves_only_frames_behind_its_recovery(tmp_path: Path) -> None:
    script = Script().start()
    for seq in range(20):
        script.frame(join=3 if seq == 5 else 1, recovers_after=4 if seq == 5 else 0)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    late = footage.find(frame(9))
    early = footage.find(frame(8))
    assert late is not None
    assert early is not None
    joined = footage.join_point_for(late)
    assert joined is not None
    assert footage.id_at(joined).seq == 5
    assert footage.join_point_for(early) is None


def test_damaged_bytes_are_neither_shown_nor_exported(tmp_path: Path) -> None:
    record(tmp_path / "media", clip_script().items)
    footage = footage_of(tmp_path / "media")
    rows = load_rows(footage.view.path(0)).frames
    with footage.view.path(0).open("r+b") as file:
        file.seek(int(rows["offset"][14]) + 6)
        file.write(b"\x55\x66\x77")
    with pytest.raises(FootageDamaged) as raised:
        take_snapshot(footage, frame(20), 0)
    assert "14" in str(raised.value)
    with pytest.raises(FootageDamaged):
        list(write_export(footage, plan_export(footage, between(13, 20))))
    take_snapshot(footage, frame(13), 0)


def test_a_snapshot_of_damaged_frames_says_so(tmp_path: Path) -> None:
    script = Script().start()
    for seq, coded in enumerate(coded_clip(24)):
        script.frame(coded.payload, join=EXACT if coded.is_key else 1, damaged=seq == 4, follows_damage=4 < seq < 12)
    record(tmp_path / "media", script.items)
    footage = footage_of(tmp_path / "media")
    assert not read_coded(footage, frame(3)).inexact
    assert read_coded(footage, frame(6)).inexact
    assert not read_coded(footage, frame(13)).inexact


async def test_bytes_that_are_no_video_give_an_error_and_no_crash(tmp_path: Path) -> None:
    record(tmp_path / "media", Script().start().frames(10).items)
    async with Decoder() as decoder:
        with pytest.raises(NotDecodable):
            await decode(read_coded(footage_of(tmp_path / "media"), frame(4)), decoder, 0)


async def test_a_decoder_that_dies_or_hangs_is_replaced(footage: CameraFootage) -> None:
    coded = read_coded(footage, frame(20))
    for script, error in (("import os; os.abort()", NotDecodable), ("import time; time.sleep(60)", DeadlineExceeded)):
        async with Decoder(0.5, (sys.executable, "-c", script)) as decoder:
            for _ in range(2):
                with pytest.raises(error):
                    await decode(coded, decoder, 0)


async def test_the_decoding_process_gives_the_picture_that_decoding_here_gives(footage: CameraFootage) -> None:
    async with Decoder() as decoder:
        for seq in (20, 3, 20):
            expected, coded = take_snapshot(footage, frame(seq), 0)
            assert await decode(coded, decoder, 0) == expected
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(decode(coded, decoder, 0), 0)
        assert await decode(coded, decoder, 0) == expected


def row_boxes(data: bytes) -> list[RowBox]:
    found = []
    at = data.find(b"uuidtrueframe-rows-1")
    while at >= 0:
        found.append(decode_row_box(data[at - 4 :], at - 4))
        at = data.find(b"uuidtrueframe-rows-1", at + 1)
    return found

"""Video files become footage: exact, whole or not at all, of many containers, and known to everything that reads."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import grpc
import pytest

from broker.client import EpochStarted, Gap, WireFrame
from broker.core import canonical
from media_center.client import FootageClient, creation_time
from mesh.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    TrueframeError,
)
from mesh.ids import FrameId
from tests.clips import make_clip, units_of
from tests.footage import EPOCH, Script, record
from tests.real_peers import shared
from tests.support import until
from trueframe.v1 import footage_pb2, frames_pb2

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def archive(instance_type: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A media center over footage of a live camera; its broker is away."""
    made = instance_type(tmp_path_factory.mktemp("archive") / "data")
    made.footage_dir.mkdir(parents=True)
    record(made.footage_dir, Script("live", epoch=START, now_ns=START - EPOCH).start().frames(20).items)
    made.start("media_center")
    try:
        made.wait_ready("media_center")
        yield made
    finally:
        made.stop()


def replayed(footage: Any, camera: str, start: FrameId | None = None) -> list[WireFrame]:
    return [item for item in footage.replay(camera, start=start) if isinstance(item, WireFrame)]


def annex_b(packet: bytes) -> bytes:
    """A unit of an MP4 file (four-byte lengths) in canonical form."""
    units = b""
    while packet:
        size = int.from_bytes(packet[:4], "big")
        units += b"\0\0\0\1" + packet[4 : 4 + size]
        packet = packet[4 + size :]
    return units


def pictures(file: Path) -> list[str]:
    with av.open(str(file)) as container:
        return [hashlib.sha256(p.to_ndarray(format="gray").tobytes()).hexdigest() for p in container.decode(video=0)]


CONTAINERS = [
    ("mp4", "libx264", 0), ("mp4", "libx264", 2), ("mp4", "libx265", 2), ("mkv", "libx264", 2), ("mov", "libx264", 0),
    ("ts", "libx264", 2), ("ts", "libx265", 0), ("avi", "mjpeg", 0), ("h264", "libx264", 0),
    ("h264", "libx264", 2), ("avi", "libx264", 2),
    ("hevc", "libx265", 0),
]  # fmt: skip

RAW = ("h264", "hevc")


@pytest.mark.parametrize(("suffix", "codec", "b_frames"), CONTAINERS)
def test_a_file_becomes_footage_unit_by_unit_and_is_exported_with_the_same_pictures(
    archive: Any, tmp_path: Path, suffix: str, codec: str, b_frames: int
) -> None:
    file = make_clip(tmp_path / f"clip.{suffix}", codec=codec, b_frames=b_frames)
    camera = f"{suffix}-{codec}-{b_frames}"
    with archive.footage() as footage:
        done = footage.import_file(file, camera, START)
        assert (done.first, done.last, done.frames) == (FrameId(camera, START, 0), FrameId(camera, START, 39), 40)
        assert ("the file has no times: taken as 20 pictures a second" in done.notes) == (suffix in RAW)
        assert any("out of step" in note for note in done.notes) == (b_frames > 0 and suffix in ("h264", "avi"))
        frames = replayed(footage, camera)
        exported = footage.export(camera, tmp_path / "again.mp4", start=done.first, end=done.last)
        png = footage.snapshot(done.last).png
        recordings = footage.recordings([camera]).recordings
    units = units_of(file)
    if suffix in ("mp4", "mov", "mkv"):
        units = [annex_b(unit) for unit in units]
    elif codec != "mjpeg":
        units = [canonical(unit) for unit in units]
    for frame, unit in zip(frames, units, strict=True):
        assert bytes(frame.payload).endswith(unit)
        assert hashlib.sha256(frame.payload).digest() == bytes(frame.digest)
        assert frame.join_point != frames_pb2.JOIN_POINT_NONE or len(frame.payload) == len(unit)
    received = [frame.received_ns for frame in frames]
    assert received[0] == START
    assert received == sorted(set(received))
    assert [at - START for at in received] == pytest.approx([n * SECOND / 20 for n in range(40)], abs=SECOND // 500)
    assert not any(frame.damaged or frame.follows_damage for frame in frames)
    assert pictures(exported.path) == pictures(file)
    assert png.startswith(b"\x89PNG")
    assert [(one.frames, one.first_ns, one.last_ns) for one in recordings] == [(40, START, received[-1])]


def test_what_was_exported_can_be_imported_and_has_the_same_digests(archive: Any, tmp_path: Path) -> None:
    file = make_clip(tmp_path / "clip.mp4", b_frames=2, with_audio=True)
    with archive.footage() as footage:
        done = footage.import_file(file, "first", START)
        assert done.notes == ("left out: 1 track of sound",)
        exported = footage.export("first", tmp_path / "again.mp4", start=done.first, end=done.last)
        footage.import_file(exported.path, "second", START)
        first, second = replayed(footage, "first"), replayed(footage, "second")
    assert [bytes(frame.digest) for frame in first] == [bytes(frame.digest) for frame in second]
    shifts = [abs(a.received_ns - b.received_ns) for a, b in zip(first, second, strict=True)]
    assert max(shifts) < SECOND // 1000


def test_programs_with_an_event_loop_import_too(archive: Any, tmp_path: Path) -> None:
    file = make_clip(tmp_path / "clip.mp4")
    told: list[tuple[int, int, int]] = []

    async def bring() -> None:
        async with FootageClient(archive.config.media_center.endpoint, archive.token("operator")) as footage:
            done = await footage.import_file(file, "async", START, lambda *so_far: told.append(so_far))
            assert done.last == FrameId("async", START, 39)

    asyncio.run(bring())
    size = file.stat().st_size
    assert told[-1] == (size, size, 40)


def test_files_follow_each_other_in_one_camera_in_the_order_of_time(archive: Any, tmp_path: Path) -> None:
    file = make_clip(tmp_path / "clip.mp4")
    with archive.footage() as footage:
        first = footage.import_file(file, "nvr", START)
        second = footage.import_file(file, "nvr", START + 60 * SECOND)
        assert second.first.epoch > first.last.epoch
        items = list(footage.replay("nvr"))
        assert sum(isinstance(item, WireFrame) for item in items) == 80
        started = [item for item in items if isinstance(item, EpochStarted)]
        assert [item.origin for item in started] == [frames_pb2.EPOCH_ORIGIN_IMPORT] * 2
        with pytest.raises(AlreadyExists, match="exists of that time"):
            footage.import_file(file, "nvr", START + 61 * SECOND)
        with pytest.raises(FailedPrecondition, match="has later footage"):
            footage.import_file(file, "nvr", START + 30 * SECOND)
        with pytest.raises(FailedPrecondition, match="recorded live"):
            footage.import_file(file, "live", time.time_ns() - 3600 * SECOND)
        located = footage.locate("nvr", START + 60 * SECOND)
        assert FrameId.from_proto(located.id) == second.first


def test_a_file_that_cannot_be_carried_is_refused_with_what_helps_and_leaves_nothing(
    archive: Any, tmp_path: Path
) -> None:
    other = make_clip(tmp_path / "other.mp4", codec="mpeg4")
    sound = make_clip(tmp_path / "sound.mp4", has_video=False, with_audio=True)
    text = tmp_path / "text.mp4"
    text.write_bytes(b"no video\n" * 1000)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    good = make_clip(tmp_path / "good.mp4")
    slow = make_clip(tmp_path / "slow.mp4", fps=1)
    future = time.time_ns() + SECOND * 3600
    with archive.footage() as footage:
        for file, start, words in (
            (other, START, r"coded as MPEG-4 Part 2.*ffmpeg -i other.mp4 -c:v libx264 other-h264.mp4"),
            (sound, START, "holds sound and no video"),
            (text, START, "is not a video file"),
            (playlist, START, "is not a video file|holds no"),
            (empty, START, "is empty"),
            (tmp_path / "none.mp4", START, "does not exist"),
            (good, future, "in the future"),
            (slow, time.time_ns() - 20 * SECOND, "ends in the future"),
            (good, 0, "before 1970 or missing"),
        ):
            with pytest.raises(InvalidArgument, match=words) as caught:
                footage.import_file(file, "refused", start)
            assert str(archive.footage_dir) not in str(caught.value)
        assert [one.camera for one in footage.recordings().recordings if one.camera == "refused"] == []
    assert_nothing_left(archive, "refused")


def test_a_file_cut_short_is_kept_as_far_as_it_goes_and_that_is_told(archive: Any, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.ts", frames=100, texture=60)
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with archive.footage() as footage:
        done = footage.import_file(cut, "cut", START)
        frames = replayed(footage, "cut")
    assert 20 < done.frames == len(frames) < 80
    expected = [canonical(unit) for unit in units_of(whole)]
    assert all(bytes(frame.payload).endswith(unit) for frame, unit in zip(frames[:-1], expected, strict=False))


def test_a_hole_in_a_file_is_a_gap_in_the_footage(archive: Any, tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4", frames=60)
    holed = tmp_path / "holed.mkv"
    with av.open(str(plain)) as source, av.open(str(holed), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.size and not 20 <= number < 50:
                packet.stream = stream
                target.mux(packet)
    with archive.footage() as footage:
        done = footage.import_file(holed, "holed", START)
        items = list(footage.replay("holed"))
        spans = footage.recordings(["holed"])
    assert done.notes == ("the file has 1 hole, recorded as gaps",)
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert (gap.after.seq, gap.before.seq) == (19, 20)
    frames = [item for item in items if isinstance(item, WireFrame)]
    assert frames[20].received_ns - frames[19].received_ns == pytest.approx(31 / 20 * SECOND, rel=0.01)
    assert [(one.first.seq, one.last.seq) for one in spans.recordings] == [(0, 19), (20, 29)]


def test_who_may_not_and_what_does_not_fit_is_refused_before_anything_is_sent(archive: Any, tmp_path: Path) -> None:
    file = make_clip(tmp_path / "clip.mp4")
    with archive.footage("viewer") as footage, pytest.raises(PermissionDenied):
        footage.import_file(file, "forbidden", START)
    with archive.footage("operator", ["gate"]) as footage, pytest.raises(PermissionDenied):
        footage.import_file(file, "forbidden", START)
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as sparse:
        sparse.truncate(1 << 42)
    with archive.footage() as footage, pytest.raises(ResourceExhausted, match="does not fit"):
        footage.import_file(huge, "forbidden", START)
    assert_nothing_left(archive, "forbidden")


def test_a_caller_who_goes_leaves_nothing(archive: Any, tmp_path: Path) -> None:
    file = make_clip(tmp_path / "clip.mp4", frames=60, texture=80)
    data = file.read_bytes()
    hold = threading.Event()

    def requests() -> Iterator[footage_pb2.ImportFootageRequest]:
        header = footage_pb2.ImportHeader(camera="gone", start_ns=START, file_name="clip.mp4", size_bytes=len(data))
        yield footage_pb2.ImportFootageRequest(header=header)
        yield footage_pb2.ImportFootageRequest(chunk=data[: len(data) // 2])
        hold.wait(20)

    staging = archive.footage_dir / ".import" / "gone.part"
    with archive.footage() as footage:
        call = footage._stub.ImportFootage(requests())
        until(lambda: staging.is_dir(), 10, "the import has begun")
        with pytest.raises(FailedPrecondition, match="by somebody else"):
            footage.import_file(file, "gone", START)
        call.cancel()
        hold.set()
        with pytest.raises(grpc.RpcError):
            list(call)
        until(lambda: not staging.exists(), 10, "the import is removed")
        assert_nothing_left(archive, "gone")
        assert footage.import_file(file, "gone", START).frames == 60


def test_a_caller_who_goes_while_the_file_is_read_leaves_nothing(archive: Any, tmp_path: Path) -> None:
    data = make_clip(tmp_path / "clip.mp4", frames=1000, size=(64, 48)).read_bytes()
    header = footage_pb2.ImportHeader(camera="left", start_ns=START, file_name="clip.mp4", size_bytes=len(data))
    requests = [
        footage_pb2.ImportFootageRequest(header=header),
        *(footage_pb2.ImportFootageRequest(chunk=data[at : at + (1 << 20)]) for at in range(0, len(data), 1 << 20)),
    ]
    stopped: list[int] = []

    def stop() -> bool:
        stopped.extend(demuxers_of(archive))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        return bool(stopped)

    with archive.footage() as footage:
        call = footage._stub.ImportFootage(iter(requests))
        until(stop, 10, "the file is read")
        call.cancel()
        until(lambda: not (archive.footage_dir / ".import" / "left.part").exists(), 10, "the import is removed")
        assert_nothing_left(archive, "left")


def test_an_import_survives_restarts_and_a_kill_in_its_middle_leaves_nothing(
    make_instance: Callable[..., Any], tmp_path: Path
) -> None:
    instance = make_instance()
    instance.footage_dir.mkdir(parents=True)
    instance.start("media_center")
    instance.wait_ready("media_center")
    short = make_clip(tmp_path / "short.mp4")
    with instance.footage() as footage:
        done = footage.import_file(short, "kept", START)
        before = [bytes(frame.digest) for frame in replayed(footage, "kept")]
    long = make_clip(tmp_path / "long.mp4", frames=3000, size=(64, 48))
    staging = instance.footage_dir / ".import" / "long.part"
    failed: list[TrueframeError] = []

    def bring() -> None:
        with instance.footage() as footage:
            try:
                footage.import_file(long, "long", START)
            except TrueframeError as error:
                failed.append(error)

    bringing = threading.Thread(target=bring)
    bringing.start()
    until(lambda: any(staging.glob("*.mp4")), 20, "segments are written")
    instance.end("media_center", signal.SIGKILL)
    bringing.join(30)
    assert failed
    instance.start("media_center")
    instance.wait_ready("media_center")
    with instance.footage() as footage:
        assert {one.camera for one in footage.recordings().recordings} == {"kept"}
        assert_nothing_left(instance, "long")
        assert [bytes(frame.digest) for frame in replayed(footage, "kept")] == before
        assert footage.import_file(short, "kept", START + 60 * SECOND).first.epoch > done.last.epoch
        assert footage.import_file(long, "long", START).frames == 3000


def test_what_retention_would_delete_at_once_and_what_makes_the_demuxer_die_are_refused(
    make_instance: Callable[..., Any], tmp_path: Path
) -> None:
    instance = make_instance(media_center__max_age_s=86_400)
    instance.footage_dir.mkdir(parents=True)
    instance.start("media_center")
    instance.wait_ready("media_center")
    file = make_clip(tmp_path / "clip.mp4")
    long = make_clip(tmp_path / "long.mp4", frames=3000, size=(64, 48))
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            killed.extend(demuxers_of(instance))
        os.kill(killed[0], signal.SIGKILL)

    with instance.footage() as footage:
        with pytest.raises(FailedPrecondition, match="keeps footage for 1 days"):
            footage.import_file(file, "old", START)
        killing = threading.Thread(target=kill)
        killing.start()
        with pytest.raises(InvalidArgument, match="makes the demuxer fail"):
            footage.import_file(long, "deadly", time.time_ns() - 3600 * SECOND)
        killing.join()
        assert_nothing_left(instance, "deadly")
        assert footage.import_file(file, "deadly", time.time_ns() - 3600 * SECOND).frames == 40


def test_damaged_files_cost_at_most_themselves(archive: Any, tmp_path: Path) -> None:
    rng = random.Random(7)
    with archive.footage() as footage:
        for suffix in ("mp4", "mkv", "ts"):
            data = bytearray(make_clip(tmp_path / f"clip.{suffix}", b_frames=2).read_bytes())
            for _ in range(60):
                data[rng.randrange(len(data))] = rng.randrange(256)
            (tmp_path / f"bad.{suffix}").write_bytes(data)
            try:
                done = footage.import_file(tmp_path / f"bad.{suffix}", f"bad-{suffix}", START)
            except InvalidArgument:
                assert_nothing_left(archive, f"bad-{suffix}")
            else:
                frames = replayed(footage, f"bad-{suffix}")
                assert len(frames) == done.frames
                assert all(hashlib.sha256(f.payload).digest() == bytes(f.digest) for f in frames)


def test_real_footage_is_imported_as_it_stands_in_its_file(archive: Any, tmp_path: Path) -> None:
    file = shared("footage/car-detection.mp4")
    with archive.footage() as footage:
        done = footage.import_file(file, "car", START)
        frames = replayed(footage, "car")
        exported = footage.export("car", tmp_path / "again.mp4", start=done.first, end=done.last)
        with pytest.raises(InvalidArgument, match=r"ffmpeg -i vtest\.avi"):
            footage.import_file(shared("footage/vtest.avi"), "walk", START)
    units = [annex_b(unit) for unit in units_of(file)]
    assert all(bytes(f.payload).endswith(unit) for f, unit in zip(frames, units, strict=True))
    assert pictures(exported.path) == pictures(file)


def test_when_a_file_was_begun_is_known_only_if_it_says_so(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4")
    assert creation_time(plain) is None
    dated = tmp_path / "dated.mp4"
    with av.open(str(plain)) as source, av.open(str(dated), "w") as target:
        target.metadata["creation_time"] = "2023-11-14T22:13:20.000000Z"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert creation_time(dated) == START
    with pytest.raises(InvalidArgument, match="is not a video file"):
        creation_time(Path(__file__))


def assert_nothing_left(instance: Any, camera: str) -> None:
    """No folder of a camera, no import under way, no child."""
    assert not (instance.footage_dir / camera).exists()
    assert not (instance.footage_dir / ".import" / f"{camera}.part").exists()
    assert not demuxers_of(instance)


def demuxers_of(instance: Any) -> list[int]:
    """Processes of imports under way."""
    found = []
    for task in Path(f"/proc/{instance.processes['media_center'].pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                if b"import_reading" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(int(pid))
    return found

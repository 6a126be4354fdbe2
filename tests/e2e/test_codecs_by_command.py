"""H.265 and Motion JPEG cameras on a running instance: seen, inspected, exported; one that changes its codec too."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from broker.client import WireFrame
from detector_pool.client import reinspect
from mesh.clocks import SystemClock
from simulator import counter
from simulator.testing import Simulator, running
from tests.embedded import Embedded, embedded
from tests.exactness import wait_recorded
from tests.real_peers import require
from tests.support import until
from trueframe.v1.frames_pb2 import CODEC_H265

SECOND = 1_000_000_000
TRAITS = {
    "cam-1": "codec=h265,bframes=2",
    "cam-2": "codec=mjpeg,scheme=http",
    "cam-3": "codec=h264,other=codec:h265",
}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with running(3, fps=20, traits=TRAITS, loop_s=5, arguments=("--scenes", "hall")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def instance(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("codecs")
    sources = [f"{camera}={url}" for camera, url in sim.urls.items()]
    with embedded(folder / "data", *sources) as started:
        with started.client() as client:
            until(lambda: len(client.inspections.list()) == 9, 60, "three inspections of each camera")
            until(lambda: all(s.frames_scored > 30 for s in client.inspections.list()), 90, "frames are scored")
        yield started


def command(instance: Embedded, *arguments: str) -> list[Any]:
    """Records that a command prints as JSON, one a line."""
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments, "--json"],
        env={**os.environ, "TRUEFRAME_DATA": str(instance.data)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stdout[-800:], done.stderr[-800:])
    return [json.loads(line) for line in done.stdout.splitlines()]


def picture(png: bytes) -> av.VideoFrame:
    return next(av.open(io.BytesIO(png)).decode(video=0))


def read(frame: av.VideoFrame) -> int:
    return counter.read(frame.to_ndarray(format="gray8"))


@pytest.mark.timeout(240)
def test_codecs_are_told_and_live_and_recorded_pictures_are_the_frames_asked_for(
    instance: Embedded, sim: Simulator, tmp_path: Path
) -> None:
    cameras = {camera["id"]: camera for camera in command(instance, "cameras", "list")}
    assert [cameras[one]["codec"] for one in TRAITS] == ["h265", "mjpeg", "h264"]
    assert [cameras[one]["transport_used"] for one in TRAITS] == ["tcp", "http", "tcp"]
    command(instance, "snapshot", "cam-1", "-o", str(tmp_path / "now.png"))
    now = picture((tmp_path / "now.png").read_bytes())
    assert (now.width, now.height) == (320, 180)
    with instance.client() as client:
        end_ns = SystemClock().utc_ns() - 3 * SECOND
        for camera in TRAITS:
            sent = {unit.digest: unit for unit in sim.log(camera)}
            items = client.footage.replay(camera, start=end_ns - 2 * SECOND, end=end_ns)
            frames = [item for item in items if isinstance(item, WireFrame)]
            assert len(frames) > 10
            for frame in frames[3:10]:
                seen = picture(client.footage.snapshot(frame.id).png)
                assert read(seen) == sent[bytes(frame.digest)].frame_in_loop
            live = client.pixels.live_picture(camera)
            wait_recorded(client.footage, camera, live.id)
            (row,) = client.footage.frames(camera, live.id, live.id)
            sent = {unit.digest: unit for unit in sim.log(camera)}
            assert read(picture(live.png)) == sent[row.digest].frame_in_loop


@pytest.mark.timeout(240)
def test_detectors_say_of_recorded_frames_what_they_said_live(instance: Embedded) -> None:
    now_ns = SystemClock().utc_ns()
    with instance.client() as client:
        # Wherever the range ends in the order of decoding, frames are shown as they were.
        for camera, ends in (("cam-1", (30, 31, 32)), ("cam-2", (30,))):
            for tenths in ends:
                end_ns = now_ns - tenths * SECOND // 10
                name, from_ns = f"{camera}.motion", now_ns - 6 * SECOND
                found = [*reinspect(client.ledger, client.footage, camera, name, from_ns, end_ns)]
                assert len(found) > 20
                assert not [again for again in found if not again.is_equal]


@pytest.mark.timeout(240)
def test_a_camera_that_changes_its_codec_is_exported_as_one_file_for_each(
    instance: Embedded, sim: Simulator, tmp_path: Path
) -> None:
    require("ffmpeg")
    sim.fault("cam-3", "recode")
    with instance.client() as client:
        until(lambda: client.broker.get_camera("cam-3").codec == CODEC_H265, 30, "the camera sends H.265")

        def recorded() -> bool:
            return any(
                recording.codec == CODEC_H265 and recording.frames > 20
                for recording in client.footage.recordings(["cam-3"]).recordings
            )

        until(recorded, 30, "H.265 is recorded")
    (files,) = command(instance, "export", "cam-3", "--from", "-20s", "-o", str(tmp_path / "clip.mp4"))
    assert [Path(one["file"]).name for one in files] == ["clip-1-h264.mp4", "clip-2-h265.mp4"]
    for one, codec in zip(files, ("h264", "hevc"), strict=True):
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of",
             "json", one["file"]], capture_output=True, check=True,
        )  # fmt: skip
        (stream,) = json.loads(done.stdout)["streams"]
        assert (stream["codec_name"], int(stream["nb_read_frames"])) == (codec, one["frames"])
        assert done.stderr == b""

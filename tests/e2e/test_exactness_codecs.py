"""Law 3 in every codec and over every transport: live, index, replay, export and pictures are those of the sender."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from broker.client import FrameId
from simulator import clip, counter
from simulator.testing import running
from tests.embedded import embedded
from tests.exactness import (
    exported_payloads,
    exported_planes,
    read_index,
    read_live,
    read_replay,
    sender_planes,
    wait_recorded,
)

# One scene in each codec; of H.264 and H.265 with B-frames, so that decoding and showing are in different orders.
H264, H265, JPEG = "codec=h264,bframes=2", "codec=h265,bframes=3", "codec=mjpeg"
KINDS = {
    "cam-1": (H264, "tcp"),
    "cam-2": (H264, "udp"),
    "cam-3": (H265, "tcp"),
    "cam-4": (H265, "udp"),
    "cam-5": (JPEG, "tcp"),
    "cam-6": (JPEG, "udp"),
    "cam-7": (f"{JPEG},scheme=http", "http"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("units", [100, pytest.param(2_500, marks=pytest.mark.slow)])
def test_units_of_every_codec_are_the_same_bytes_from_the_socket_to_the_exported_pixels(
    tmp_path: Path, units: int
) -> None:
    serve = ("--scenes", "hall", "--cache", str(tmp_path / "cache"))
    traits = {camera: trait for camera, (trait, _) in KINDS.items()}
    with running(len(KINDS), fps=25, loop_s=4, log=tmp_path / "sent", traits=traits, arguments=serve) as cameras:
        clips = {one.codec: one for one in map(clip.load, (tmp_path / "cache").glob("*.clip"))}
        assert set(clips) == {"h264", "h265", "mjpeg"}
        with embedded(tmp_path / "data") as instance, instance.client() as client:
            for camera, (_, transport) in KINDS.items():
                wish = transport if transport in ("tcp", "udp") else "auto"
                client.broker.add_camera(camera, cameras.urls[camera], transport=wish)
            live = read_live(client.broker, list(KINDS), units)
            told = {camera.spec.id: camera for camera in client.broker.list_cameras()}
            for camera, got in live.items():
                kind, transport = KINDS[camera]
                assert told[camera].transport_used == transport
                assert not got.gaps
                assert sorted(got.digests) == list(range(min(got.digests), min(got.digests) + units))
                first, last = (FrameId(camera, got.epoch, seq(got.digests)) for seq in (min, max))
                wait_recorded(client.footage, camera, last)
                assert read_index(client.footage, camera, first, last) == got.digests
                assert read_replay(client.footage, camera, first, last) == got.digests
                export = client.footage.export(camera, tmp_path / f"{camera}.mp4", start=first, end=last)
                digests = [hashlib.sha256(payload).digest() for payload in exported_payloads(export.path)]
                assert digests[export.lead_in_frames :] == list(got.digests.values())

                log = cameras.log(camera)
                sent = {unit.digest: unit for unit in log}
                rows = [sent[digest] for digest in got.digests.values()]
                # A camera on a machine that stands still leaves units out; those it did not send are not in its log.
                whole = [row for row in log if row.connection == rows[0].connection and not row.dropped_packets]
                at = whole.index(rows[0])
                assert rows == whole[at : at + units], "the camera sent other units"
                codec = kind.partition(",")[0].removeprefix("codec=")
                own = sender_planes(clips[codec], over_http=transport == "http")
                pictures = exported_planes(export.path)
                height = pictures[0].shape[0] * 2 // 3
                shown = [counter.read(picture[:height]) for picture in pictures]
                assert Counter(shown) == Counter(row.frame_in_loop for row in rows)
                assert all(np.array_equal(own[n], planes) for n, planes in zip(shown, pictures, strict=True))

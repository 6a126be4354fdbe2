"""Law 3 over real sockets: live stream, index, replay and export carry the bytes that the camera sent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from broker.client import FrameId
from simulator import counter
from simulator.testing import running
from tests.embedded import embedded
from tests.exactness import (
    exported_payloads,
    exported_pictures,
    read_index,
    read_live,
    read_replay,
    wait_recorded,
)
from tests.real_peers import gstreamer, shared

CAMERAS = 4
UNITS = 2_500


@pytest.mark.timeout(400)
def test_ten_thousand_units_of_four_cameras_are_the_same_bytes_from_the_socket_to_the_exported_pixels(
    tmp_path: Path,
) -> None:
    with running(CAMERAS, fps=50, size="320x180", log=tmp_path / "sent") as cameras:
        sources = [f"{name}={url}" for name, url in cameras.urls.items()]
        with embedded(tmp_path / "data", *sources) as instance, instance.client() as client:
            live = read_live(client.broker, list(cameras.urls), UNITS)
            compared = 0
            for name, got in live.items():
                assert not got.gaps
                assert sorted(got.digests) == list(range(min(got.digests), min(got.digests) + UNITS))
                first, last = (FrameId(name, got.epoch, seq(got.digests)) for seq in (min, max))
                wait_recorded(client.footage, name, last)
                assert read_index(client.footage, name, first, last) == got.digests
                assert read_replay(client.footage, name, first, last) == got.digests

                export = client.footage.export(name, tmp_path / f"{name}.mp4", start=first, end=last)
                digests = [hashlib.sha256(payload).digest() for payload in exported_payloads(export.path)]
                assert digests[export.lead_in_frames :] == list(got.digests.values())

                sent = {unit.digest: unit for unit in cameras.log(name)}
                numbers = [sent[digest].number for digest in got.digests.values()]
                assert numbers == list(range(numbers[0], numbers[0] + UNITS)), "the camera sent other units"
                shown = [counter.read(picture) for picture in exported_pictures(export.path)]
                assert shown == [sent[digest].frame_in_loop for digest in got.digests.values()]
                compared += len(shown)
            assert compared == CAMERAS * UNITS


@pytest.mark.timeout(300)
def test_a_thousand_units_of_a_real_rtsp_server_are_the_same_bytes_live_on_disk_replayed_and_exported(
    tmp_path: Path,
) -> None:
    # Same clips under two names each, so that a thousand units at the clips' own pace take 25 s. One has B-frames.
    clips = [shared("footage/one-by-one-person-detection.mp4"), shared("footage/car-detection.mp4")]
    files = {f"{name}-{number}": clip for number in (1, 2) for name, clip in zip(("door", "gate"), clips, strict=True)}
    with gstreamer(files) as server:
        sources = [f"{name}={server.url(name)}" for name in files]
        with embedded(tmp_path / "data", *sources) as instance, instance.client() as client:
            live = read_live(client.broker, list(files), 250, keep=True)
            for name, got in live.items():
                first, last = (FrameId(name, got.epoch, seq(got.digests)) for seq in (min, max))
                wait_recorded(client.footage, name, last)
                assert len(got.digests) == 250
                assert read_index(client.footage, name, first, last) == got.digests
                assert read_replay(client.footage, name, first, last) == got.digests
                export = client.footage.export(name, tmp_path / f"{name}.mp4", start=first, end=last)
                payloads = exported_payloads(export.path)[export.lead_in_frames :]
                assert payloads == list(got.payloads_kept.values())
                # The coded slices are those of the file, in its order: nothing on the way touched them.
                in_file = coded_slices_of_file(files[name])
                slices = [coded_slices(payload) for payload in got.payloads_kept.values()]
                at = in_file.index(slices[0])
                assert slices == [in_file[(at + offset) % len(in_file)] for offset in range(len(slices))]


def coded_slices(payload: bytes) -> bytes:
    """The coded slice NAL units of a canonical H.264 payload, joined."""
    return b"".join(nal for nal in payload.split(b"\0\0\0\1")[1:] if nal[0] & 0x1F in (1, 5))


def coded_slices_of_file(path: Path) -> list[bytes]:
    return [coded_slices(payload) for payload in exported_payloads(path)]

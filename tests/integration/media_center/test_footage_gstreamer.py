"""A foreign camera: GStreamer serves a clip, footage gives it back."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import av

from broker.client import WireFrame, from_length_prefixed
from tests.real_peers import gstreamer, shared
from tests.support import until
from trueframe.v1 import frames_pb2


def pictures(path: Path, stop_after: int) -> list[bytes]:
    """Digests of the decoded luma planes, in presentation order."""
    found: list[bytes] = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            found.append(hashlib.sha256(picture.to_ndarray(format="gray8").tobytes()).digest())
            if len(found) == stop_after:
                break
    return found


def test_footage_of_a_foreign_camera_with_b_frames_decodes_to_the_pictures_of_its_clip(
    instance: Any, tmp_path: Path
) -> None:
    source = shared("footage/one-by-one-person-detection.mp4")
    with gstreamer({"cam": source}) as server, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam", server.url("cam"))

        def enough() -> bool:
            recordings = footage.recordings().recordings
            return bool(recordings) and recordings[-1].frames >= 70

        until(enough, 60)
        items = list(footage.replay("cam"))
        assert not [item for item in items if isinstance(item, frames_pb2.Gap)]
        frames = [item for item in items if isinstance(item, WireFrame)][:70]

        export = footage.export("cam", tmp_path / "clip.mp4", start=frames[0].id, end=frames[60].id)
        with av.open(str(export.path), options={"ignore_editlist": "1"}) as container:
            carried = [from_length_prefixed(bytes(packet)) for packet in container.demux(video=0) if packet.size]
        assert [hashlib.sha256(payload).digest() for payload in carried] == [f.digest for f in frames[:61]]

        shown = pictures(export.path, 55)
        original = pictures(source, 1 << 30)
        # The server loops the clip; wherever we joined, the pictures follow each other as in the file.
        at = original.index(shown[0])
        looped = original[at:] + original
        assert shown == looped[: len(shown)]

"""From the camera's socket to the exported clip: the same bytes, the same picture."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import time
from pathlib import Path
from typing import Any

import av

import simulator.testing
from broker.client import WireFrame, from_length_prefixed
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from simulator import counter
from tests.support import until
from trueframe.v1 import footage_pb2, frames_pb2


def record_until(footage: Any, camera: str, frames: int) -> footage_pb2.Recording:
    def enough() -> footage_pb2.Recording | None:
        found = [r for r in footage.recordings().recordings if r.camera == camera]
        return found[-1] if found and found[-1].frames >= frames else None

    return until(enough, 60, f"{frames} frames of {camera} are recorded")


def test_sender_live_index_replay_and_export_speak_of_the_same_bytes(instance: Any, tmp_path: Path) -> None:
    live: dict[str, dict[int, bytes]] = {"cam-1": {}, "cam-2": {}}
    with simulator.testing.running(2, fps=25) as sim, instance.broker() as broker, instance.footage() as footage:
        for camera, url in sim.urls.items():
            broker.add_camera(camera, url)

        def watch() -> None:
            with contextlib.suppress(TrueframeError):  # the client is closed at the end
                for item in broker.stream(all_cameras=True, starts=dict.fromkeys(live, 1), reconnect=False):
                    if isinstance(item, WireFrame):
                        live[item.camera][item.seq] = item.digest

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        recordings = {camera: record_until(footage, camera, 115) for camera in live}

        for camera, recording in recordings.items():
            sent = {unit.digest: unit for unit in sim.log(camera)}
            end = FrameId.from_proto(recording.last)
            replayed = [item for item in footage.replay(camera, end=end) if isinstance(item, WireFrame)]
            rows = [row for row in footage.frames(camera, end=end) if isinstance(row, footage_pb2.IndexRow)]
            seqs = list(range(recording.first.seq, recording.last.seq + 1))

            assert [row.id.seq for row in rows] == [frame.seq for frame in replayed] == seqs
            for row, frame in zip(rows, replayed, strict=True):
                assert hashlib.sha256(frame.payload).digest() == frame.digest == row.digest == live[camera][frame.seq]
                assert frame.digest in sent
            numbers = [sent[frame.digest].number for frame in replayed]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

            first, last = replayed[33], replayed[90]
            export = footage.export(camera, tmp_path / f"{camera}.mp4", start=first.id, end=last.id)
            assert (export.first, export.last, export.frames) == (first.id, last.id, 58)
            with av.open(str(export.path), options={"ignore_editlist": "1"}) as container:
                carried = [from_length_prefixed(bytes(p)) for p in container.demux(video=0) if p.size]
            assert [hashlib.sha256(p).digest() for p in carried[export.lead_in_frames :]] == [
                frame.digest for frame in replayed[33:91]
            ]
            with av.open(str(export.path)) as container:
                shown = [counter.read(picture.to_ndarray(format="gray8")) for picture in container.decode(video=0)]
            assert shown == [sent[frame.digest].frame_in_loop for frame in replayed[33:91]]

            snapshot = footage.snapshot(replayed[77].id)
            with av.open(io.BytesIO(snapshot.png)) as container:
                picture = next(container.decode(video=0)).to_ndarray(format="gray8")
            assert counter.read(picture) == sent[replayed[77].digest].frame_in_loop


def test_replay_is_joined_to_live_without_a_seam(instance: Any) -> None:
    with simulator.testing.running(1, fps=25) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        record_until(footage, "cam-1", 30)

        seqs = []
        for item in footage.replay("cam-1", follow=True):
            if isinstance(item, WireFrame):
                seqs.append(item.seq)
            else:
                assert not isinstance(item, frames_pb2.Gap)
            if len(seqs) == 90:
                break

        assert seqs == list(range(seqs[0], seqs[0] + 90))


def test_replay_keeps_the_pace_that_was_asked_for(instance: Any) -> None:
    with simulator.testing.running(1, fps=25) as sim, instance.broker() as broker, instance.footage() as footage:
        broker.add_camera("cam-1", sim.urls["cam-1"])
        recording = record_until(footage, "cam-1", 50)
        last = recording.first_ns + 1_900_000_000

        began_s = time.monotonic()
        frames = [i for i in footage.replay("cam-1", end=last, speed=2.0) if isinstance(i, WireFrame)]
        took_s = time.monotonic() - began_s

        span_s = (frames[-1].received_ns - frames[0].received_ns) / 1e9
        assert span_s / 2 - 0.05 <= took_s <= span_s / 2 + 1.0

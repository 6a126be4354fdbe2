"""Real footage from a real server, as a user watches it: anomalies where things move, recorded, replayed, explained.

What moves is told by other means than the detector's: the difference of each recorded picture, decoded here, from the
median picture of the whole clip, after the camera's change of exposure has been taken out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from aggregate.client import SyncLedgerClient
from broker.client import FrameId, WireFrame
from event_center.client import Event
from simulator.truth import Box, iou
from tests.embedded import Embedded, embedded
from tests.real_peers import gstreamer, require, shared
from tests.support import until
from trueframe.layout import layout_of
from trueframe.v1 import inspection_pb2 as wire
from trueframe.v1.events_pb2 import EVENT_KIND_ANOMALY
from trueframe.v1.footage_pb2 import IndexRow

CLIPS = {"person": "one-by-one-person-detection.mp4", "car": "car-detection.mp4"}
CELL = 16
Luma = npt.NDArray[np.uint8]


@pytest.mark.timeout(300)
def test_what_moves_in_real_footage_is_boxed_recorded_replayed_and_explained(tmp_path: Path) -> None:
    require("rtsp")
    files = {name: shared(f"footage/{file}") for name, file in CLIPS.items()}
    with (
        gstreamer(files) as server,
        embedded(tmp_path / "data", *(f"{name}={server.url(name)}" for name in files)) as instance,
        instance.client() as client,
    ):

        def over(camera: str) -> list[Event]:
            events = client.events.list(cameras=[camera])
            return [e for e in events if e.kind == EVENT_KIND_ANOMALY and e.ended_ns and e.footage_confirmed]

        until(lambda: all(over(camera) for camera in files), 150, "somebody passed, something drove by, all on disk")
        for camera, file in files.items():
            event = over(camera)[-1]
            assert event.detector == "motion@1"
            clip = film_of(file)
            background = np.median(np.stack(clip[:: max(1, len(clip) // 60)]), axis=0).astype(np.int16)
            pictures = assert_replayed(instance, event, clip)
            assert_boxed(instance, event, pictures, background)
            assert_explained(instance, event)


def assert_replayed(instance: Embedded, event: Event, clip: list[Luma]) -> dict[int, Luma]:
    """The event's footage is there without a gap, byte for byte, and shows the clip's own pictures: these, by seq."""
    first, last = FrameId.from_proto(event.first), FrameId.from_proto(event.last)
    with instance.client() as client:
        rows = {r.id.seq: r.digest for r in client.footage.frames(event.camera, first, last) if isinstance(r, IndexRow)}
        items = [i for i in client.footage.replay(event.camera, end=last) if isinstance(i, WireFrame)]
    payloads = {item.seq: bytes(item.payload) for item in items if item.epoch == last.epoch}
    assert list(rows) == list(range(first.seq, last.seq + 1))
    assert all(hashlib.sha256(payloads[seq]).digest() == digest for seq, digest in rows.items())
    pictures = decoded(payloads)
    known = {hashlib.sha256(picture.tobytes()).digest() for picture in clip}
    strange = [seq for seq in rows if hashlib.sha256(pictures[seq].tobytes()).digest() not in known]
    assert not strange, f"replayed pictures that the clip does not have: {strange}"
    return pictures


def assert_boxed(instance: Embedded, event: Event, pictures: Mapping[int, Luma], background: npt.NDArray[Any]) -> None:
    """The box lies on what moves: at the peak, and over the frames of the anomaly."""
    peak = FrameId.from_proto(event.peak)
    at_peak = overlap(event.boxes[0], things(pictures[peak.seq], background))
    assert at_peak > 0.35, f"the box at {peak} overlaps what moves by {at_peak:.2f}"
    with ledger(instance) as book:
        said = [entry.verdict for entry in book.read(event.camera, inspection=f"{event.camera}.motion")]
    fired = [
        verdict
        for verdict in said
        if verdict.id.epoch == peak.epoch
        and event.first.seq <= verdict.id.seq <= event.last.seq
        and not verdict.reason
        and verdict.score >= 0.6
    ]
    overlaps = [overlap(verdict.boxes[0], things(pictures[verdict.id.seq], background)) for verdict in fired]
    assert len(overlaps) >= 5
    assert np.median(overlaps) > 0.25
    assert np.mean(np.array(overlaps) > 0) > 0.7


def assert_explained(instance: Embedded, event: Event) -> None:
    """The peak fired and names the anomaly; before it there are frames that did not, and the scene had to be learnt."""
    peak, first = FrameId.from_proto(event.peak), FrameId.from_proto(event.first)
    with ledger(instance) as book:
        of_peak = motion(book.explain(peak))
        assert of_peak.standing == wire.FRAME_STANDING_FIRED
        assert of_peak.anomaly == event.id
        assert of_peak.verdict.score >= of_peak.threshold
        said = [entry.verdict for entry in book.read(event.camera, inspection=f"{event.camera}.motion")]
        low = [v.id for v in said if not v.reason and v.id.seq < first.seq and v.score < 0.3 * of_peak.threshold]
        of_calm = motion(book.explain(FrameId.from_proto(low[-1])))
        assert of_calm.standing == wire.FRAME_STANDING_NORMAL
        assert not of_calm.anomaly
        unlearnt = next(v.id for v in said if v.reason == wire.NO_VERDICT_REASON_WARMING_UP)
        of_early = motion(book.explain(FrameId.from_proto(unlearnt)))
        assert of_early.standing == wire.FRAME_STANDING_NOT_SCORED
        assert "learning the scene" in of_early.sentence


def ledger(instance: Embedded) -> SyncLedgerClient:
    running = instance.running
    assert running is not None
    return SyncLedgerClient(running.endpoints["aggregate"], layout_of(instance.data).service_token)


def motion(explanations: Iterable[wire.FrameExplanation]) -> wire.FrameExplanation:
    return next(one for one in explanations if one.inspection.endswith(".motion"))


def film_of(file: Path) -> list[Luma]:
    """Luma of every picture of a file, decoded by FFmpeg from the file itself."""
    with av.open(str(file)) as container:
        return [frame.to_ndarray(format="gray").astype(np.uint8, copy=False) for frame in container.decode(video=0)]


def decoded(payloads: Mapping[int, bytes]) -> dict[int, Luma]:
    """Luma by seq, of access units in decode order."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets: list[Any] = []
    for seq, payload in payloads.items():
        packet = av.Packet(payload)
        packet.pts = seq
        packets.append(packet)
    frames = (frame for packet in [*packets, None] for frame in decoder.decode(packet))
    return {int(frame.pts or 0): frame.to_ndarray(format="gray").astype(np.uint8, copy=False) for frame in frames}


def things(picture: Luma, background: npt.NDArray[Any]) -> list[Box]:
    """Bounding boxes of what differs from the background: connected cells of 16 x 16 pixels, four at least."""
    height, width = picture.shape
    rows, columns = height // CELL, width // CELL
    gain = np.median(picture[::4, ::4] / np.maximum(background[::4, ::4], 1))
    differs = np.abs(picture - background * gain) > 30
    cells = differs[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).mean((1, 3)) > 0.3
    waiting = {(int(y), int(x)) for y, x in np.argwhere(cells)}
    found = []
    while waiting:
        group, edge = [], [waiting.pop()]
        while edge:
            y, x = edge.pop()
            group.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & waiting
            waiting -= near
            edge += near
        if len(group) >= 4:
            ys, xs = [y for y, _ in group], [x for _, x in group]
            left, top, right, bottom = min(xs), min(ys), max(xs) + 1, max(ys) + 1
            found.append((left * CELL / width, top * CELL / height, right * CELL / width, bottom * CELL / height))
    return found


def overlap(box: Any, found: Iterable[Box]) -> float:
    """The best intersection over union of a box of the wire with one of these."""
    corners = (box.x, box.y, box.x + box.width, box.y + box.height)
    return max((iou(corners, one) for one in found), default=0.0)

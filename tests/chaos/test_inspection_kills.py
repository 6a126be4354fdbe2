"""kill -9 of each process between frame and alarm, in a running instance.

No anomaly is lost or doubled, every frame has its word, and who takes over goes on where the other stopped.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aggregate.archive import Archive
from aggregate.client import LedgerEntry, SyncLedgerClient
from aggregate.judge import Finding
from aggregate.rejudge import rejudge
from broker.client import WireFrame
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from mesh.store import SqliteStore
from tests.embedded import Embedded, embedded
from tests.support import until
from trueframe.v1.inspection_pb2 import Anomaly

pytestmark = pytest.mark.chaos

FPS = 10
SECOND = 1_000_000_000
VICTIMS = ("worker", "pixel host", "aggregate", "event center", "nats")


class Watcher:
    """All frames that the broker gave out, and all versions of events that a watch told."""

    def __init__(self) -> None:
        self.frames: dict[str, list[tuple[FrameId, int]]] = {}
        self.versions: list[tuple[str, int]] = []

    def watch_frames(self, stream: Iterator[object]) -> None:
        for item in stream:
            if isinstance(item, WireFrame):
                frame = FrameId(item.camera, item.epoch, item.seq)
                self.frames.setdefault(item.camera, []).append((frame, item.received_ns))


@contextmanager
def watching(instance: Embedded) -> Iterator[Watcher]:
    watcher = Watcher()
    client = instance.client()
    stream = client.broker.stream(all_cameras=True, subscriber="watcher")
    thread = threading.Thread(target=_quietly, args=(watcher.watch_frames, stream), daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        client.close()
        thread.join(20)


def _quietly(watch, stream) -> None:  # type: ignore[no-untyped-def]
    with contextlib.suppress(TrueframeError, ValueError):  # the client is closed under it
        watch(stream)


def spoken(ledger: SyncLedgerClient, inspection: str) -> dict[FrameId, LedgerEntry]:
    """What the ledger says of each frame; fails if it says two things of one."""
    words: dict[FrameId, LedgerEntry] = {}
    for entry in ledger.read(inspection.partition(".")[0], inspection=inspection):
        first = FrameId.from_proto(entry.verdict.id)
        for offset in range(max(entry.verdict.count, 1)):
            frame = FrameId(first.camera, first.epoch, first.seq + offset)
            assert frame not in words, f"{frame} is spoken of twice"
            words[frame] = entry
    return words


def has_spoken_of(ledger: SyncLedgerClient, inspection: str, frame: FrameId) -> bool:
    try:
        return frame in spoken(ledger, inspection)
    except TrueframeError:
        return False  # it is down just now


@pytest.mark.timeout(400)
def test_no_anomaly_is_lost_or_doubled_and_every_frame_has_its_word(tmp_path: Path) -> None:
    with embedded(tmp_path / "data", "--simulate", "2") as instance, watching(instance) as watcher:
        cameras = sorted(instance.simulator["urls"])
        inspections = [f"{camera}.{detector}" for camera in cameras for detector in ("motion", "signal")]
        with instance.client() as client:
            until(lambda: all(len(watcher.frames.get(c, ())) > 14 * FPS for c in cameras), 90, "checkpoints were taken")
            for victim in VICTIMS:
                pid = instance.children[victim]
                os.kill(pid, signal.SIGKILL)
                until(lambda p=pid, v=victim: instance.children.get(v, p) != p, 60, f"{victim} runs again")
                counts = {camera: len(watcher.frames[camera]) for camera in cameras}
                until(
                    lambda n=counts: all(len(watcher.frames[c]) > n[c] + 2 * FPS for c in cameras), 60, "frames go on"
                )
                marks = {camera: watcher.frames[camera][-1][0] for camera in cameras}
                for name in inspections:
                    mark = marks[name.partition(".")[0]]
                    until(lambda n=name, m=mark: has_spoken_of(client.ledger, n, m), 60, f"{name} after {victim}")
            for name in inspections:
                camera = name.partition(".")[0]
                words = spoken(client.ledger, name)
                first = next(iter(words))
                said_nothing = [
                    frame
                    for frame, _ in watcher.frames[camera]
                    if first <= frame <= marks[camera] and frame not in words
                ]
                assert said_nothing == [], name
                scored = sum(not entry.verdict.reason for entry in words.values())
                assert scored > 0.8 * len(words), f"{name}: {scored} of {len(words)} frames were scored"
                # One warm-up, at the very beginning: each successor went on from a checkpoint.
                began = {FrameId.from_proto(entry.verdict.id) for entry in words.values() if entry.began}
                assert began == {first}, name
        # What goes on is told until the end; what the aggregate stored by then must reach the event center.
        told = events_of(instance)
        instance.stop()
    found, stored = asyncio.run(judged(tmp_path / "data" / "aggregate" / "aggregate.sqlite"))
    assert found
    newest = {finding.anomaly.id: finding for finding in found}
    assert set(newest) == set(stored)
    for anomaly_id, finding in newest.items():
        anomaly, published = finding.anomaly, stored[anomaly_id]
        assert anomaly.version == published.version
        assert (anomaly.first.to_proto(), anomaly.peak.to_proto(), anomaly.last.to_proto()) == (
            published.first, published.peak, published.last,
        )  # fmt: skip
    assert len(told) == len(set(told))
    assert set(told) <= set(stored)


def events_of(instance: Embedded) -> list[str]:
    """Ids of events that anomalies became, once none is missing of those that the aggregate published."""
    with instance.client() as client:
        anomalies = {
            explanation.anomaly
            for camera in sorted(instance.simulator["urls"])
            for detector, threshold in (("motion", 0.6), ("signal", 0.7))
            for entry in client.ledger.read(camera, inspection=f"{camera}.{detector}")
            if entry.verdict.score >= threshold and entry.verdict.id.seq % 3 == 0
            for explanation in client.ledger.explain(FrameId.from_proto(entry.verdict.id))
            if explanation.anomaly
        }

        def listed() -> list[str]:
            return [event.id for event in client.events.list(limit=1000) if event.detector in ("motion@1", "signal@1")]

        until(lambda: anomalies <= set(listed()), 30, "every anomaly is an event")
        return listed()


async def judged(path: Path) -> tuple[list[Finding], dict[str, Anomaly]]:
    """What the judge finds in the ledger, and what was published."""
    async with SqliteStore(path) as store:
        archive = await Archive.open(store)
        orders = [order async for order in archive.orders()]
        found = [finding for order in orders for finding in await rejudge(archive.ledger, order)]
        stored = {
            document.id: Anomaly.FromString(base64.b64decode(document.body["outbox"][-1]["payload"]))
            for document in (await archive.anomalies.query(limit=1000)).documents
        }
    return found, stored

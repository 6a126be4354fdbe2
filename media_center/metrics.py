"""The media center's figures for Prometheus, read when somebody asks: recording pays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from media_center.archive import Archive
from media_center.recorder import Recorder
from media_center.writer import FootageWriter
from mesh.metrics import REGISTRY, counter_family, gauge_family

_frames = counter_family("footage_frames", "Frames received for recording.")
_lost_frames = counter_family("footage_lost_frames", "Frames that could not be written, told as gaps.")
_sync_rounds = counter_family("footage_sync_rounds", "Rounds of writing and syncing.")
_queued_bytes = gauge_family("footage_queued_bytes", "Closed fragments in memory.")
_open_bytes = gauge_family("footage_open_bytes", "Open fragments in memory.")
_disk_full = gauge_family("footage_disk_full", "1 while recording stands still for lack of space.")
_queue_limit_bytes = gauge_family("footage_queue_limit_bytes", "Bound of the closed fragments in memory.")
_write_p99_seconds = gauge_family(
    "footage_write_p99_seconds", "99th percentile of a round's write and sync over the last minute."
)
_refusing_cameras = gauge_family("footage_refusing_cameras", "Cameras whose last write the disk refused.")
_cameras = gauge_family("footage_cameras", "Cameras of which something is recorded.")


class FootageCollector:
    """A prometheus_client collector over recorder, writer and archive."""

    def __init__(self, recorder: Recorder, writer: FootageWriter, archive: Archive) -> None:
        self._recorder = recorder
        self._writer = writer
        self._archive = archive

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are only known when collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures as they are now."""
        recorder, writer = self._recorder, self._writer
        yield _frames(recorder.frames)
        yield _lost_frames(writer.lost_frames)
        yield _sync_rounds(writer.rounds)
        yield _queued_bytes(writer.queued_bytes)
        yield _open_bytes(recorder.open_bytes)
        yield _disk_full(float(writer.is_full))
        reading = writer.reading()
        yield _queue_limit_bytes(reading.queue_limit_bytes)
        yield _write_p99_seconds(writer.times.p99_ns(reading.now_ns) / 1e9)
        yield _refusing_cameras(len(reading.refusals))
        yield _cameras(len(self._archive.cameras()))

    def __enter__(self) -> FootageCollector:
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)

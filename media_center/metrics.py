"""The media center's figures for Prometheus, read when somebody asks: recording pays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from media_center.archive import Archive
from media_center.recorder import Recorder
from media_center.writer import FootageWriter
from mesh.metrics import REGISTRY


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
        yield CounterMetricFamily("trueframe_footage_frames", "Frames received for recording.", recorder.frames)
        yield CounterMetricFamily(
            "trueframe_footage_lost_frames", "Frames that could not be written, told as gaps.", writer.lost_frames
        )
        yield CounterMetricFamily("trueframe_footage_sync_rounds", "Rounds of writing and syncing.", writer.rounds)
        yield GaugeMetricFamily("trueframe_footage_queued_bytes", "Closed fragments in memory.", writer.queued_bytes)
        yield GaugeMetricFamily("trueframe_footage_open_bytes", "Open fragments in memory.", recorder.open_bytes)
        yield GaugeMetricFamily(
            "trueframe_footage_disk_full", "1 while recording stands still for lack of space.", float(writer.is_full)
        )
        reading = writer.reading()
        yield GaugeMetricFamily(
            "trueframe_footage_queue_limit_bytes", "Bound of the closed fragments in memory.", reading.queue_limit_bytes
        )
        yield GaugeMetricFamily(
            "trueframe_footage_write_p99_seconds",
            "99th percentile of a round's write and sync over the last minute.",
            writer.times.p99_ns(reading.now_ns) / 1e9,
        )
        yield GaugeMetricFamily(
            "trueframe_footage_refusing_cameras", "Cameras whose last write the disk refused.", len(reading.refusals)
        )
        yield GaugeMetricFamily(
            "trueframe_footage_cameras", "Cameras of which something is recorded.", len(self._archive.cameras())
        )

    def __enter__(self) -> FootageCollector:
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)

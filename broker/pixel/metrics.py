"""The pixel host's figures for Prometheus, read from the decoders when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from broker.pixel.host import PixelHost
from mesh.metrics import REGISTRY


class PixelCollector:
    """Registered while the `with` block lasts."""

    def __init__(self, host: PixelHost) -> None:
        self._host = host

    def __enter__(self) -> PixelCollector:
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are only known when collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One row a camera that is decoded at present."""
        pictures = CounterMetricFamily("trueframe_pixel_pictures", "Pictures decoded.", labels=["camera"])
        skipped = CounterMetricFamily("trueframe_pixel_skipped_frames", "Frames left out.", labels=["camera"])
        failed = CounterMetricFamily("trueframe_pixel_failed_frames", "Frames the decoder refused.", labels=["camera"])
        lag = GaugeMetricFamily("trueframe_pixel_lag_seconds", "Age of the newest picture.", labels=["camera"])
        readers = GaugeMetricFamily("trueframe_pixel_ring_readers", "Readers of the ring.", labels=["camera"])
        remote = GaugeMetricFamily("trueframe_pixel_remote_readers", "Readers of StreamPixels.", labels=["camera"])
        broken = CounterMetricFamily("trueframe_pixel_broken_pins", "Pictures lost to a holder.", labels=["camera"])
        for wanted in self._host.decoding:
            figures, labels = wanted.decoder.figures, [wanted.camera]
            pictures.add_metric(labels, figures.pictures)
            skipped.add_metric(labels, figures.skipped_frames)
            failed.add_metric(labels, figures.failed_frames)
            lag.add_metric(labels, figures.lag_ns / 1e9)
            readers.add_metric(labels, wanted.outlet.readers)
            remote.add_metric(labels, wanted.plane_board.readers)
            broken.add_metric(labels, wanted.outlet.broken_pins)
        yield from (pictures, skipped, failed, lag, readers, remote, broken)
        memory = GaugeMetricFamily("trueframe_pixel_ring_bytes", "Memory of picture rings and of remote readers.")
        memory.add_metric([], self._host.budget.used_bytes)
        yield memory

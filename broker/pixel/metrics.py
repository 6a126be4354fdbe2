"""The pixel host's figures for Prometheus, read from the decoders when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from broker.pixel.host import PixelHost
from mesh.metrics import REGISTRY, counter_family, gauge_family

_pictures = counter_family("pixel_pictures", "Pictures decoded.", ("camera",))
_skipped_frames = counter_family("pixel_skipped_frames", "Frames left out.", ("camera",))
_failed_frames = counter_family("pixel_failed_frames", "Frames the decoder refused.", ("camera",))
_lag_seconds = gauge_family("pixel_lag_seconds", "Age of the newest picture.", ("camera",))
_ring_readers = gauge_family("pixel_ring_readers", "Readers of the ring.", ("camera",))
_remote_readers = gauge_family("pixel_remote_readers", "Readers of StreamPixels.", ("camera",))
_broken_pins = counter_family("pixel_broken_pins", "Pictures lost to a holder.", ("camera",))
_ring_bytes = gauge_family("pixel_ring_bytes", "Memory of picture rings and of remote readers.")


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
        pictures = _pictures()
        skipped = _skipped_frames()
        failed = _failed_frames()
        lag = _lag_seconds()
        readers = _ring_readers()
        remote = _remote_readers()
        broken = _broken_pins()
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
        memory = _ring_bytes()
        memory.add_metric([], self._host.budget.used_bytes)
        yield memory

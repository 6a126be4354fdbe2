"""The scrub's figures for Prometheus, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from media_center.scrub import Scrubber
from mesh.metrics import REGISTRY


class ScrubCollector:
    """A prometheus_client collector over the scrub."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are only known when collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures as they are now."""
        scrubber = self._scrubber
        yield CounterMetricFamily(
            "trueframe_footage_scrubbed_bytes", "Bytes compared with their digests.", scrubber.bytes_done
        )
        yield CounterMetricFamily(
            "trueframe_footage_scrubbed_segments", "Segments compared with their seals.", scrubber.segments_done
        )
        yield CounterMetricFamily(
            "trueframe_footage_scrub_findings", "Times that footage was not as recorded.", scrubber.findings
        )
        yield GaugeMetricFamily(
            "trueframe_footage_damaged_segments", "Segments and chains with findings.", scrubber.damaged_segments
        )
        yield GaugeMetricFamily(
            "trueframe_footage_scrubbed_seconds", "When all footage had been looked at.", scrubber.finished_ns / 1e9
        )

    def __enter__(self) -> ScrubCollector:
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)

"""The scrub's figures for Prometheus, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from media_center.scrub import Scrubber
from mesh.metrics import REGISTRY, counter_family, gauge_family

_scrubbed_bytes = counter_family("footage_scrubbed_bytes", "Bytes compared with their digests.")
_scrubbed_segments = counter_family("footage_scrubbed_segments", "Segments compared with their seals.")
_scrub_findings = counter_family("footage_scrub_findings", "Times that footage was not as recorded.")
_damaged_segments = gauge_family("footage_damaged_segments", "Segments and chains with findings.")
_scrubbed_seconds = gauge_family("footage_scrubbed_seconds", "When all footage had been looked at.")


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
        yield _scrubbed_bytes(scrubber.bytes_done)
        yield _scrubbed_segments(scrubber.segments_done)
        yield _scrub_findings(scrubber.findings)
        yield _damaged_segments(scrubber.damaged_segments)
        yield _scrubbed_seconds(scrubber.finished_ns / 1e9)

    def __enter__(self) -> ScrubCollector:
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)

"""Prometheus metrics: the endpoint, and the figures every service has. Metrics of a domain live in their service.

Names begin with `trueframe_`, carry their unit, and have no label whose values a stranger can choose freely. Each is
declared once, when its module is imported: `mesh.metrics_reference` writes the reference from these declarations.
A service counts with `counter`, `gauge` and `histogram`; a collector, which reads figures when somebody asks, fills
what `counter_family` and `gauge_family` declared.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client import GCCollector as _GcCollector
from prometheus_client import ProcessCollector as _ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from mesh.errors import PortInUse
from mesh.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

# Our own registry: two services in one test process must not see the other's leftovers in a library's global.
REGISTRY = CollectorRegistry()
_ProcessCollector(registry=REGISTRY)
_GcCollector(registry=REGISTRY)

RPC_SECONDS_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.5, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as it was declared. `name`: as samples show it, without the suffixes of a histogram."""

    name: str
    kind: str
    doc: str
    labels: tuple[str, ...]
    module: str


_declared: dict[str, Declared] = {}


def declared() -> dict[str, Declared]:
    """All metrics of the modules that this process has imported, by name."""
    return dict(_declared)


def _declare(kind: str, name: str, doc: str, labels: Sequence[str], module: str) -> str:
    full = f"trueframe_{name}"
    shown = f"{full}_total" if kind == "counter" else full
    known = _declared.setdefault(shown, Declared(shown, kind, doc, tuple(labels), module))
    if known.module != module:
        raise ValueError(f"metric {shown} is declared by {known.module} and by {module}")
    return full


def _caller() -> str:
    return str(sys._getframe(2).f_globals["__name__"])


def counter(name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows."""
    return Counter(_declare("counter", name, doc, labels, _caller()), doc, labels, registry=REGISTRY)


def gauge(name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
    """A number that goes up and down."""
    return Gauge(_declare("gauge", name, doc, labels, _caller()), doc, labels, registry=REGISTRY)


def histogram(name: str, doc: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
    """A distribution."""
    full = _declare("histogram", name, doc, labels, _caller())
    return Histogram(full, doc, labels, buckets=tuple(buckets), registry=REGISTRY)


class CounterFamily(Protocol):
    """Makes the rows of a counter anew for a collector: with the one value, or to be filled by labels."""

    def __call__(self, value: float | None = None) -> CounterMetricFamily:
        """The rows."""
        ...


class GaugeFamily(Protocol):
    """The same of a gauge."""

    def __call__(self, value: float | None = None) -> GaugeMetricFamily:
        """The rows."""
        ...


def counter_family(name: str, doc: str, labels: Sequence[str] = ()) -> CounterFamily:
    """Declares a counter that a collector reads."""
    full = _declare("counter", name, doc, labels, _caller())

    def rows(value: float | None = None) -> CounterMetricFamily:
        return CounterMetricFamily(full, doc, value, None if value is not None else labels)

    return rows


def gauge_family(name: str, doc: str, labels: Sequence[str] = ()) -> GaugeFamily:
    """Declares a gauge that a collector reads."""
    full = _declare("gauge", name, doc, labels, _caller())

    def rows(value: float | None = None) -> GaugeMetricFamily:
        return GaugeMetricFamily(full, doc, value, None if value is not None else labels)

    return rows


_rpc_calls = counter("rpc_calls", "Finished calls by method and status.", ("method", "status"))
_rpc_seconds = histogram("rpc_seconds", "Duration of finished calls.", RPC_SECONDS_BUCKETS, ("method",))
_build = gauge("build_info", "1, of the version that runs.", ("version",))


def rpc_finished(method: str, status: str, seconds: float) -> None:
    """Counts a call. Only called for methods that have a handler, so labels stay few."""
    _rpc_calls.labels(method, status).inc()
    _rpc_seconds.labels(method).observe(seconds)


class MetricsEndpoint:
    """Serves the metrics on 127.0.0.1 from a thread of its own; `url` says where. Close it when done."""

    def __init__(self, port: int = 0, url_file: Path | None = None) -> None:
        try:
            started: tuple[WSGIServer, threading.Thread] = start_http_server(port, "127.0.0.1", REGISTRY)
        except OSError as error:
            raise PortInUse(
                f"metrics port {port}",
                f"cannot be served ({error.strerror})",
                "Set run.metrics_port = 0 for a free one.",
            ) from None
        self._server, self._thread = started
        _build.labels(version("trueframe")).set(1)
        self.url = f"http://127.0.0.1:{self._server.server_port}/metrics"
        self._url_file = url_file
        if url_file is not None:
            write_atomic(url_file, f"{self.url}\n".encode())

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self._url_file is not None:
            self._url_file.unlink(missing_ok=True)

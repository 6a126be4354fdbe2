"""Prometheus metrics: the endpoint, and the figures every service has. Metrics of a domain live in their service.

Names begin with `trueframe_`, carry their unit, and have no label whose values a stranger can choose freely.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client import GCCollector as _GcCollector
from prometheus_client import ProcessCollector as _ProcessCollector

from mesh.errors import PortInUse
from mesh.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

# Our own registry: two services in one test process must not see the other's leftovers in a library's global.
REGISTRY = CollectorRegistry()
_ProcessCollector(registry=REGISTRY)
_GcCollector(registry=REGISTRY)

RPC_SECONDS_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.5, 10.0, 60.0)


def counter(name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows."""
    return Counter(f"trueframe_{name}", doc, labels, registry=REGISTRY)


def gauge(name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
    """A number that goes up and down."""
    return Gauge(f"trueframe_{name}", doc, labels, registry=REGISTRY)


def histogram(name: str, doc: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
    """A distribution."""
    return Histogram(f"trueframe_{name}", doc, labels, buckets=tuple(buckets), registry=REGISTRY)


_rpc_calls = counter("rpc_calls", "Finished calls by method and status.", ("method", "status"))
_rpc_seconds = histogram("rpc_seconds", "Duration of finished calls.", RPC_SECONDS_BUCKETS, ("method",))


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

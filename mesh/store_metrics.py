"""How long the store takes, and when it fails: measured where every service's collections pass, whatever the engine.

A wait for an engine that is away counts as its duration. What does not belong here: what an engine does about it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from mesh.errors import DataLoss, ResourceExhausted, Unavailable
from mesh.metrics import counter, histogram

BUCKETS = (0.0005, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 30.0)

_seconds = histogram(
    "store_seconds", "Duration of an operation on a collection, failed ones included.", BUCKETS,
    ("collection", "operation"),
)  # fmt: skip
_failures = counter(
    "store_failures", "Operations that the store could not do: away, full or damaged.", ("collection", "operation")
)


@contextlib.contextmanager
def measured(collection: str, operation: str) -> Iterator[None]:
    """Measures the block. A conflict or a document that is not there is an answer, no failure."""
    began_s = time.perf_counter()
    try:
        yield
    except (Unavailable, ResourceExhausted, DataLoss):
        _failures.labels(collection, operation).inc()
        raise
    finally:
        _seconds.labels(collection, operation).observe(time.perf_counter() - began_s)

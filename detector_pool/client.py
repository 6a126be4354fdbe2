"""What others import of the detector pool: recorded frames inspected again.

with SyncLedgerClient(aggregate, token) as ledger, SyncFootageClient(media_center, token) as footage:
    for again in reinspect(ledger, footage, "gate", "gate.motion", from_ns, to_ns):
        print(again.id, again.then.score, again.now and again.now.score, again.is_equal)
"""

from __future__ import annotations

from detector_pool.detector import Observation
from detector_pool.footage_inspection import Inspected, Moment, inspect_footage
from detector_pool.reasons import NoScore
from detector_pool.reinspect import Again, reinspect

__all__ = [
    "Again",
    "Inspected",
    "Moment",
    "NoScore",
    "Observation",
    "inspect_footage",
    "reinspect",
]

"""Which time a range of footage covers, for the access log: a range may be given by frames."""

from __future__ import annotations

from media_center.footage import CameraFootage
from media_center.ranges import Bounds


def span_of(footage: CameraFootage, bounds: Bounds) -> tuple[int, int, str]:
    """Beginning and end in UTC nanoseconds, 0 for open, and what a range by frames was. Call it in a thread."""
    from_ns, to_ns = bounds.from_ns or 0, bounds.to_ns or 0
    named: list[str] = []
    if bounds.first is not None:
        position = footage.first_at_or_after(bounds.first.epoch, bounds.first.seq)
        from_ns = int(footage.row(position)["received_ns"]) if position is not None else 0
        named.append(f"from frame {bounds.first}")
    if bounds.last is not None:
        position = footage.last_at_or_before(bounds.last.epoch, bounds.last.seq)
        to_ns = int(footage.row(position)["received_ns"]) if position is not None else 0
        named.append(f"to frame {bounds.last}")
    return from_ns, to_ns, " ".join(named)

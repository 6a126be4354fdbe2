"""Which old events may go: closed, seen, told to the bus, held by nothing and named by no case. Pure.

What does not belong here: asking for holds and cases, deleting (`retention`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

from event_center.alarm import State
from event_center.event import Event

DAY_NS = 86_400 * 1_000_000_000


def may_go(event: Event, before_ns: int) -> bool:
    """Whether it is closed and did not change since `before_ns`."""
    is_closed = event.ended_ns != 0 and not event.open_members and event.alarm.state in (State.NORMAL, State.NONE)
    return is_closed and event.changed_ns < before_ns and not event.alarm.marks.is_set_aside


class Holds:
    """Footage that nothing may delete, by camera: beginnings and ends, UTC nanoseconds, both included."""

    def __init__(self, holds: Iterable[tuple[str, int, int]]) -> None:
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for camera, from_ns, to_ns in holds:
            spans[camera].append((from_ns, to_ns))
        # Each with the latest end of all that began before: one look says whether any of them reaches.
        self._begins: dict[str, list[int]] = {}
        self._reach: dict[str, list[int]] = {}
        for camera, some in spans.items():
            some.sort()
            reach, ends = 0, []
            for _, to_ns in some:
                reach = max(reach, to_ns)
                ends.append(reach)
            self._begins[camera], self._reach[camera] = [begin for begin, _ in some], ends

    def touch(self, event: Event) -> bool:
        """Whether footage of the event is held: of its clip, or between its beginning and its end."""
        spans = [(event.started_ns, event.ended_ns)]
        if event.clip is not None:
            spans.append((event.clip.from_ns, event.clip.to_ns))
        return any(self._overlap(event.camera, from_ns, to_ns) for from_ns, to_ns in spans)

    def _overlap(self, camera: str, from_ns: int, to_ns: int) -> bool:
        begins = self._begins.get(camera)
        if not begins:
            return False
        before = bisect_right(begins, to_ns)
        return before > 0 and self._reach[camera][before - 1] >= from_ns

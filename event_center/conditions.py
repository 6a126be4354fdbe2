"""How conditions of trueframe itself become events: a part says that something ails it, and when it is over. Pure.

Law 10: what ails trueframe is an alarm like any other. Everything may be told more than once and out of order. What
does not belong here: states of cameras (`folding`), storing (`book`), the form on the bus (`wire`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from event_center.event import Event, Kind, event_id
from event_center.folding import CameraMemory, with_alarm


@dataclass(frozen=True, slots=True)
class ConditionReport:
    """Whether something ails a part of trueframe, as that part told of it. Times in UTC nanoseconds."""

    service: str
    """Who tells: `broker`."""
    name: str
    """What it is: `ring_memory`. One condition of one camera (or none) of one service is one thing."""
    camera: str
    """The camera that it concerns; empty if it is none in particular."""
    holds: bool
    since_ns: int
    summary: str
    """A sentence for an operator; of the beginning."""
    priority: int = 3

    @property
    def key(self) -> str:
        """Names the thing. No camera's id holds a dot, so that it shares their collection."""
        return ".".join(("condition", self.service, self.name, self.camera))


def fold_condition(
    memory: CameraMemory, open_event: Event | None, report: ConditionReport, now_ns: int
) -> tuple[CameraMemory, Event | None]:
    """Memory and changed event after a report; the event must be stored before the memory.

    `open_event` is the event that the memory names, if any.
    """
    state = "holds" if report.holds else "over"
    if report.since_ns < memory.since_ns or (report.since_ns, state) == (memory.since_ns, memory.state):
        return memory, None
    is_open = open_event is not None and open_event.ended_ns == 0
    event: Event | None = None
    if open_event is not None and is_open:
        if not report.holds:
            event = replace(open_event, ended_ns=max(report.since_ns, open_event.started_ns))
        elif (report.summary, report.priority) != (open_event.summary, open_event.priority):
            event = replace(open_event, summary=report.summary, priority=report.priority)
        if event is not None:
            event = replace(event, version=event.version + 1)
    elif report.holds:
        event = Event(
            id=event_id(report.since_ns, report.key, str(report.since_ns)),
            kind=Kind.SYSTEM,
            camera=report.camera,
            detector=f"{report.service}.{report.name}",
            summary=report.summary,
            priority=report.priority,
            started_ns=report.since_ns,
        )
    open_id = ""
    if report.holds:
        open_id = event.id if event is not None else memory.open_event
    if event is not None:
        event = with_alarm(replace(event, changed_ns=now_ns, source_version=report.since_ns), report.service)
    return CameraMemory(report.since_ns, state, open_id), event

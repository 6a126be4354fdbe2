"""Events as commands list them: a table, or one JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueframe.commands.options import show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from trueframe.v1.events_pb2 import Event

_SHORT = {
    "unacknowledged": "UNACK",
    "returned_unacknowledged": "RETURNED UNACK",
    "acknowledged": "ack",
    "normal": "normal",
}


def show_events(events: list[Event], as_json: bool) -> None:
    """One JSON object an event, or a table."""
    from trueframe.commands.records import event_record
    from trueframe.sights import event_sight

    if as_json:
        for event in events:
            show_json(event_record(event))
        return
    rows = [
        (
            event.id,
            show_time(event.started_ns),
            show_time(event.ended_ns, date=False) if event.ended_ns else "going on",
            event.camera or "-",
            event.priority,
            _alarm(message),
            f"{event.score:.2f}" if event.score else "-",
            event.detector or event.kind,
            event.peak or "-",
            event.summary,
        )
        for message in events
        for event in (event_sight(message),)
    ]
    show_table(("ID", "BEGAN", "ENDED", "CAMERA", "PRIORITY", "ALARM", "SCORE", "DETECTOR", "FRAME", "WHAT"), rows)


def _alarm(message: Event) -> str:
    """Where its alarm stands, and why it is not in the queue."""
    from trueframe.sights import alarm_state

    if message.folded_into:
        return "folded"
    state = _SHORT.get(alarm_state(message.alarm_state), "-")
    aside = {
        "shelved": message.shelved_until_ns, "suppressed": message.suppressed_by,
        "out of service": message.out_of_service,
    }  # fmt: skip
    words = [word for word, is_so in aside.items() if is_so] + (["stale"] if message.is_stale else [])
    count = f" x{message.occurrences}" if message.occurrences > 1 else ""
    return ", ".join([state + count, *words])

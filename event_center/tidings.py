"""What the bus hears of a changed event: one whole state a change, named after what was done. Pure.

Subject `trueframe.event.<camera or _system>`, payload a protobuf `Event`, CloudEvents type `trueframe.event.<deed>`, or
`.changed` where nobody did anything to its alarm (the anomaly grew, footage was confirmed, the clip is held). Of more
deeds in one change the last that changed its state names it; if none did, the last.
"""

from __future__ import annotations

from event_center.event import Event
from event_center.wire import event_to_proto
from mesh.bus import event_subject
from mesh.outbox import OutboxEvent

# Readers that want every word ask for the records; all of them in each message would be many times the event.
NEWEST_COMMENTS = 4


def tidings(before: Event | None, after: Event) -> OutboxEvent:
    """The message of a change."""
    known = len(before.alarm.records) if before is not None else 0
    fresh = after.alarm.records[known:]
    named = [record for record in fresh if record.before is not record.after] or fresh
    deed = named[-1].stimulus.deed.value if named else "changed"
    return OutboxEvent(
        subject=event_subject(after.camera),
        type=f"trueframe.event.{deed}",
        payload=event_to_proto(after, NEWEST_COMMENTS).SerializeToString(),
        # JetStream deduplicates by this over the whole stream, where the anomaly's own messages go by its id too.
        id=f"event-{after.id}-{after.version}",
        is_whole_state=True,
    )

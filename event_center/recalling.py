"""Filling the desk's memory from the store at a start: what stands, who leads, what was raised lately, and floods.

What a killed process left half done is found here, too: members that a flood has not marked yet.
"""

from __future__ import annotations

from event_center.desk import Desk
from event_center.documents import from_document
from event_center.event import Event
from event_center.flood import Flood
from event_center.states import STANDING
from mesh.store import AnyOf, Between, Collection, scan

# Chatter goes by the times of events, which come to the desk a little later.
_LATE_NS = 3600 * 1_000_000_000


async def recall(events: Collection, desk: Desk, now_ns: int) -> dict[str, tuple[str, ...]]:
    """Fills the memory of a new desk; returns by flood the members that are not marked. Raises the store's errors."""
    policy = desk.policy
    async for document in scan(events, {"alarm_state": AnyOf([state.value for state in sorted(STANDING)])}):
        desk.note(from_document(document.id, document.body))
    async for document in scan(events, {"is_set_aside": 1}):
        desk.note(from_document(document.id, document.body))
    lately_ns = now_ns - max(policy.chatter_ns, policy.flood_ns) - _LATE_NS
    async for document in scan(events, {"changed_ns": Between(lately_ns, None)}, order="changed_ns"):
        desk.note(from_document(document.id, document.body))
    marked: set[str] = set()
    async for document in scan(events, {"raised_ns": Between(now_ns - policy.flood_ns, None)}, order="raised_ns"):
        event = from_document(document.id, document.body)
        desk.recall(event)
        if event.alarm.marks.flood:
            marked.add(event.id)
    async for document in scan(events, {"is_flooding": 1}):
        desk.recall_flood(await _flood(events, from_document(document.id, document.body)))
    return desk.flood_watch.unmarked(marked)


async def _flood(events: Collection, event: Event) -> Flood:
    members = await events.count({"flood": event.id})
    return Flood(event.id, event.flood_scope, event.started_ns, event.first_out, members)

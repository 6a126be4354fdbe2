"""What the bus told of events, and whether the pure alarm machine tells the same story as their records."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from event_center.alarm import Alarm, Deed, State, Stimulus, apply
from mesh.bus import EVENT_STREAM, EVENTS, Bus, Message
from trueframe.v1 import events_pb2

STATES = {
    State.NONE: events_pb2.ALARM_STATE_UNSPECIFIED,
    State.NORMAL: events_pb2.ALARM_STATE_NORMAL,
    State.UNACKNOWLEDGED: events_pb2.ALARM_STATE_UNACKNOWLEDGED,
    State.ACKNOWLEDGED: events_pb2.ALARM_STATE_ACKNOWLEDGED,
    State.RETURNED: events_pb2.ALARM_STATE_RETURNED_UNACKNOWLEDGED,
}


@contextlib.asynccontextmanager
async def hearing(
    bus: Bus, reader: str, kinds: Sequence[events_pb2.EventKind.ValueType] = ()
) -> AsyncIterator[dict[str, events_pb2.Event]]:
    """What a durable reader of this name is told of each event of these kinds (none: all): its newest version."""
    heard: dict[str, events_pb2.Event] = {}

    async def take(message: Message) -> None:
        event = events_pb2.Event.FromString(message.data)
        is_newer = event.id not in heard or event.version > heard[event.id].version
        if is_newer and (not kinds or event.kind in kinds):
            heard[event.id] = event

    async with bus.durable(EVENT_STREAM, reader, EVENTS, take):
        yield heard


def deed_of(record: events_pb2.EventRecord) -> Deed:
    """What was done."""
    return Deed(events_pb2.EventDeed.Name(record.deed).removeprefix("EVENT_DEED_").lower())


def played(records: Sequence[events_pb2.EventRecord]) -> Alarm:
    """The alarm that the machine makes of these records; it raises if no alarm has such a story."""
    alarm = Alarm()
    for number, record in enumerate(records, 1):
        assert (record.number, record.from_state) == (number, STATES[alarm.state])
        stimulus = Stimulus(
            deed_of(record), record.actor, record.at_ns, record.text, until_ns=record.until_ns,
            reference=record.reference,
        )  # fmt: skip
        alarm = apply(alarm, stimulus)
        assert record.to_state == STATES[alarm.state]
    return alarm

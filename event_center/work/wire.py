"""Labels to and from the wire. Pure."""

from __future__ import annotations

from typing import Any

from event_center.work.labels import Label, Verdict, checked_label
from mesh.errors import InvalidArgument
from trueframe.v1 import events_pb2

VERDICTS: dict[Verdict, events_pb2.EventVerdict.ValueType] = {
    Verdict.TRUE: events_pb2.EVENT_VERDICT_TRUE,
    Verdict.FALSE: events_pb2.EVENT_VERDICT_FALSE,
    Verdict.UNSURE: events_pb2.EVENT_VERDICT_UNSURE,
}


def label_to_proto(label: Label) -> events_pb2.EventLabel:
    """The label for clients."""
    return events_pb2.EventLabel(verdict=VERDICTS[label.verdict], region=label.region, tags=label.tags)


def label_from_proto(message: events_pb2.EventLabel) -> Label | None:
    """The label, checked; None for one without a verdict. Raises InvalidArgument."""
    if not message.verdict:
        if message.region or message.tags:
            raise InvalidArgument("label", "names a region or tags, and says neither true, false nor unsure")
        return None
    (verdict,) = verdicts_from_proto([message.verdict])
    return checked_label(verdict, message.region, tuple(message.tags))


def verdicts_from_proto(numbers: Any) -> list[Verdict]:
    """Verdicts of a filter. Raises InvalidArgument."""
    by_number = {number: verdict for verdict, number in VERDICTS.items()}
    if unknown := [number for number in numbers if number not in by_number]:
        raise InvalidArgument("verdicts", f"holds {unknown[0]}, which is no verdict")
    return [by_number[number] for number in numbers]

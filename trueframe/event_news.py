"""What is new in an event since it was shown last, for views that print one line a happening. Pure."""

from __future__ import annotations

from collections import OrderedDict

from trueframe.v1 import events_pb2

_REMEMBERED = 10_000


class EventNews:
    """Remembers what was told of the newest 10,000 events."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, events_pb2.Event] = OrderedDict()

    def of(self, event: events_pb2.Event) -> list[tuple[str, int]]:
        """Words and their moments in UTC nanoseconds, oldest first: of an event seen first, all that it knows."""
        before = self._told.pop(event.id, None)
        self._told[event.id] = event
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        news: list[tuple[str, int]] = []
        if before is None:
            news.append(("EVENT", event.started_ns))
        if event.ended_ns and (before is None or not before.ended_ns):
            news.append(("ended", event.ended_ns))
        if event.acknowledged_ns and (before is None or before.acknowledged_ns != event.acknowledged_ns):
            news.append((f"acknowledged by {event.acknowledged_by}", event.acknowledged_ns))
        for comment in event.comments[len(before.comments) if before else 0 :]:
            text = " ".join(comment.text.split())
            news.append((f'comment by {comment.author}: "{text}"', comment.written_ns))
        return sorted(news, key=lambda one: one[1])

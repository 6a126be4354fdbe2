"""One line a happening: what a printed watch tells of an event."""

from __future__ import annotations

from trueframe.event_news import EventNews
from trueframe.v1.events_pb2 import Comment, Event


def test_each_happening_of_an_event_is_told_once() -> None:
    news = EventNews()
    event = Event(id="e1", started_ns=1, version=1)
    assert news.of(event) == [("EVENT", 1)]
    assert news.of(Event(id="e1", started_ns=1, version=2, footage_confirmed=True)) == []
    event = Event(id="e1", started_ns=1, ended_ns=5, version=3)
    assert news.of(event) == [("ended", 5)]
    comments = [Comment(author="anna", written_ns=6, text="a\nfox")]
    event = Event(id="e1", started_ns=1, ended_ns=5, acknowledged_by="anna", acknowledged_ns=6, comments=comments)
    assert news.of(event) == [("acknowledged by anna", 6), ('comment by anna: "a fox"', 6)]
    assert news.of(event) == []


def test_an_event_that_is_met_late_is_told_with_all_that_happened_to_it() -> None:
    event = Event(id="e1", started_ns=1, ended_ns=9, acknowledged_ns=4, acknowledged_by="anna")
    assert EventNews().of(event) == [("EVENT", 1), ("acknowledged by anna", 4), ("ended", 9)]

"""Waiting rooms of watchers: newest form of each event, bounded."""

from __future__ import annotations

import pytest

from event_center.errors import WatcherTooSlow
from event_center.event import Event, Kind
from event_center.watchers import MAX_WAITING, Watchers


def event(number: int, version: int = 1, camera: str = "yard") -> Event:
    return Event(f"e{number}", Kind.ANOMALY, camera, "motion@1", "Motion", 3, number, version=version)


async def test_of_an_event_that_changes_while_nobody_reads_only_the_newest_form_is_told() -> None:
    watchers = Watchers()
    with watchers.watching(lambda e: e.camera == "yard") as watcher:
        for one in (event(1), event(2), event(1, 2), event(3, camera="gate")):
            watchers.tell(one)
        told = [await watcher.next(), await watcher.next()]
    assert [(e.id, e.version) for e in told] == [("e2", 1), ("e1", 2)]


async def test_a_watcher_that_does_not_read_is_told_so_and_forgotten() -> None:
    watchers = Watchers()
    with watchers.watching(lambda _: True) as watcher:
        for number in range(MAX_WAITING + 1):
            watchers.tell(event(number))
        with pytest.raises(WatcherTooSlow):
            await watcher.next()
    watchers.tell(event(1))

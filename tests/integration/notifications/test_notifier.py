"""The notifier over a real store: what time brings, what acknowledgements stop, and what happens when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_center.notifications import notifier, outlet
from event_center.notifications.deciding import advance
from event_center.notifications.delivery import Delivery, Progress
from event_center.notifications.journal import Journal
from mesh.config_notifications import NotificationChannel, NotificationRule
from mesh.errors import Unavailable
from tests.notified import Notified, config, notified
from tests.support import auntil

CHANNELS = [NotificationChannel(one, "command", argv=("/bin/true",)) for one in ("duty", "boss")]
RISING = NotificationRule("rising", ("duty",), unacknowledged_s=4.0, then=("boss",))


async def test_an_alarm_that_nobody_acknowledges_is_told_to_the_next_even_after_a_restart(tmp_path: Path) -> None:
    async with notified(tmp_path, config(*CHANNELS, rules=[RISING])) as site:
        await site.raise_alarm(1)
        await site.raise_alarm(2)
        await auntil(lambda: _count(site, 2), what="the first channel is told of both")
        await site.book.acknowledge("a00001", "anna", "")
    async with notified(tmp_path, config(*CHANNELS, rules=[RISING])) as site:
        await auntil(lambda: _count(site, 3), what="the next channel is told")
        found = {one.id for one in await site.deliveries()}
        assert found == {"a00001.1.raise.duty", "a00002.1.raise.duty", "a00002.1.unacknowledged.boss"}


async def _count(site: Notified, count: int) -> bool:
    return len(await site.deliveries()) >= count


async def test_a_notifier_that_fails_is_an_alarm_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(notifier, "_RETRY_S", 0.05)
    async with notified(tmp_path, config(*CHANNELS)) as site:
        monkeypatch.setattr(notifier, "advance", broken)
        await site.raise_alarm(1)
        await auntil(lambda: site.conditions.holds("notifications"), what="it is an alarm")
        monkeypatch.setattr(notifier, "advance", advance)
        await auntil(lambda: _count(site, 2), what="it is told all the same")
        await auntil(lambda: not site.conditions.holds("notifications"), what="the alarm returns")


async def test_what_was_sent_is_not_sent_again_while_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, asked = Journal.note, list[str]()

    async def away(self: Journal, delivery: Delivery) -> None:
        asked.append(delivery.id)
        if len(asked) <= 3:
            raise Unavailable("the store", "is away")
        await note(self, delivery)

    monkeypatch.setattr(outlet, "_STORE_RETRY_S", 0.02)
    monkeypatch.setattr(Journal, "note", away)
    path = tmp_path / "tell"
    path.write_text(f"#!/bin/sh\necho x >> {tmp_path}/runs\n")
    path.chmod(0o700)
    channel = NotificationChannel("program", "command", argv=(str(path),))
    async with notified(tmp_path, config(channel)) as site:
        await site.raise_alarm(1)
        await auntil(lambda: _sent(site), what="it is noted as sent")
    assert len(asked) == 4
    assert (tmp_path / "runs").read_text() == "x\n"


async def _sent(site: Notified) -> bool:
    return [one.progress for one in await site.deliveries()] == [Progress.SENT]

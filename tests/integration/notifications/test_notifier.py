"""The notifier over a real store: what time brings, what acknowledgements stop, and what happens when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_center.notifications import notifier
from event_center.notifications.deciding import advance
from mesh.config_notifications import NotificationChannel, NotificationRule
from tests.notified import config, notified
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


async def _count(site: object, count: int) -> bool:
    return len(await site.deliveries()) >= count  # type: ignore[attr-defined]


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

"""Reads the story of alarms as the book stores it, lets the core decide, and hands deliveries to their outlets.

It watches the book in the same process, and at a start reads what changed since it last did. So nothing is lost with a
bus or a process: the records of an alarm are the journal, and what was considered of them is remembered. What does not
belong here: deciding (`deciding`, `pacing`), sending (`outlet`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from event_center.alarm import Alarm, apply
from event_center.book import EventBook
from event_center.errors import UnknownEvent, WatcherTooSlow
from event_center.event import Event
from event_center.notifications import pacing
from event_center.notifications.deciding import Case, Site, Step, Telling, advance
from event_center.notifications.delivery import Content, Delivery, Progress, content_of
from event_center.notifications.journal import Journal
from event_center.notifications.outlet import Condition, Outlet
from event_center.notifications.pacing import Digest, Held, Pace
from event_center.notifications.rules import Facts, Occasion, Rule
from event_center.policy import detector_name
from event_center.states import Deed, State
from mesh.clocks import Clock
from mesh.errors import ResourceExhausted, Unavailable
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter

log = get_logger("event_center.notifications")

EVERY_S = 0.5
_CONDITION = "notifications"
_RETRY_S = 1.0
_MARGIN_NS = 600 * 1_000_000_000
"""Read again at a start: a clock that was set back by so much loses nothing."""
_KEEP_CASES_NS = 24 * 3600 * 1_000_000_000
_PRUNE_EVERY_NS = 3600 * 1_000_000_000
_CURSOR_EVERY_NS = 10 * 1_000_000_000
_REMEMBERED = 20_000

_told = counter("notifications_decided", "Tellings decided, by what became of them.", ("outcome",))

_QUIET_DEEDS = frozenset({Deed.RAISED, Deed.RAISED_AGAIN, Deed.RETURNED, Deed.ACKNOWLEDGED, Deed.COMMENTED,
                          Deed.ESCALATED, Deed.REALARMED, Deed.STALE, Deed.GROUPED})  # fmt: skip
"""Deeds that set nothing aside and bring nothing back."""


class Notifier:
    """One event center's. `run` for ever; `outlets` by id of their channel."""

    def __init__(
        self, book: EventBook, journal: Journal, site: Site, outlets: Mapping[str, Outlet], clock: Clock,
        *, tell: Condition, forget_ns: int, keep_ns: int,
    ) -> None:  # fmt: skip
        self._book = book
        self._journal = journal
        self._site = site
        self._outlets = outlets
        self._clock = clock
        self._tell_condition = tell
        self._forget_ns = forget_ns
        self._keep_ns = keep_ns
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._waiting: dict[str, Case] = {}
        self._paces: dict[str, Pace] = {}
        self._cursor_ns = 0
        self._stored_cursor_ns = 0
        self._pruned_ns = 0

    @property
    def has_rules(self) -> bool:
        """Whether there is anything to decide by."""
        return bool(self._site.rules)

    async def open(self) -> None:
        """Recalls what was, and hands what was under way to its outlets. Once, before anything new is heard."""
        await self._recall()
        async for delivery in self._journal.pending():
            outlet = self._outlets.get(delivery.channel)
            if outlet is not None:
                await outlet.add(delivery)
            else:
                gone = replace(
                    delivery, progress=Progress.GIVEN_UP, reason="the channel is not configured any more",
                    done_ns=self._clock.utc_ns(),
                )  # fmt: skip
                await self._journal.note(gone)

    async def run(self) -> None:
        """Reads and decides until cancelled. A store that is away is waited for; then it is read again from before."""
        while True:
            try:
                await self._read()
            except WatcherTooSlow as error:
                log.warning("events are read again", reason=str(error))
            except (Unavailable, ResourceExhausted) as error:
                if rate_limited("notifier", 10.0):
                    log.warning("notifications wait", reason=str(error))
                await asyncio.sleep(_RETRY_S)
            except Exception as error:
                # Nobody would notice a notifier that has ended: it goes on, and says that something is wrong.
                if rate_limited("notifier", 10.0):
                    log.exception("notifications cannot be decided", error=type(error).__name__)
                self._tell_condition(
                    _CONDITION,
                    True,
                    f"Notifications cannot be decided ({type(error).__name__}): nobody is told of alarms",
                )
                await asyncio.sleep(_RETRY_S)

    async def _read(self) -> None:
        # Watching begins before reading, so that nothing falls between.
        with self._book.watchers.watching(lambda event: bool(event.alarm.records)) as watcher:
            await self._recall()
            async for event in self._book.changed_since(max(self._cursor_ns - _MARGIN_NS, 1), None):
                await self.look(event)
            self._tell_condition(_CONDITION, False, "")
            coming = asyncio.ensure_future(watcher.next())
            try:
                while True:
                    await asyncio.wait({coming}, timeout=EVERY_S)
                    if coming.done():
                        event = coming.result()
                        coming = asyncio.ensure_future(watcher.next())
                        await self.look(event)
                    await self.tick()
            finally:
                coming.cancel()

    async def _recall(self) -> None:
        self._seen.clear()
        self._waiting = await self._journal.waiting_cases()
        self._paces = await self._journal.paces()
        stored_ns = await self._journal.cursor_ns()
        if stored_ns is None:
            # At the very first start there is nothing to be told of what was before.
            stored_ns = self._clock.utc_ns() + _MARGIN_NS if not self._cursor_ns else self._cursor_ns
            await self._journal.put_cursor(stored_ns)
        self._cursor_ns = self._stored_cursor_ns = max(stored_ns, self._cursor_ns)

    async def look(self, event: Event) -> None:
        """Considers an event as it is stored now."""
        known = self._seen.get(event.id)
        count = len(event.alarm.records)
        if count and event.alarm.state is not State.NONE and (known is None or known < count):
            case = self._waiting.get(event.id) or await self._journal.case(event.id)
            if case.seen < count:
                steps, was_aside = steps_of(event.alarm, case.seen)
                await self._advance(event, case, steps, was_aside)
            self._remember(event.id, count)
        self._cursor_ns = max(self._cursor_ns, event.changed_ns)

    async def tick(self) -> None:
        """What time alone brings: waits, digests; and keeping house."""
        now_ns = self._clock.utc_ns()
        for event_id in [one for one, case in self._waiting.items() if case.due_ns <= now_ns]:
            try:
                event = await self._book.get(event_id)
            except UnknownEvent:
                await self._keep(event_id, Case(self._waiting[event_id].seen), now_ns)
                continue
            case = self._waiting[event_id]
            steps, was_aside = steps_of(event.alarm, case.seen)
            await self._advance(event, case, steps, was_aside)
        for key, pace in list(self._paces.items()):
            await self._tell_digest(key, pace, now_ns)
        if self._cursor_ns > self._stored_cursor_ns and now_ns - self._stored_cursor_ns > _CURSOR_EVERY_NS:
            await self._journal.put_cursor(self._cursor_ns)
            self._stored_cursor_ns = self._cursor_ns
        if abs(now_ns - self._pruned_ns) > _PRUNE_EVERY_NS:
            await self._journal.prune(now_ns - self._forget_ns - _KEEP_CASES_NS, now_ns - self._keep_ns)
            self._pruned_ns = now_ns

    async def _advance(self, event: Event, case: Case, steps: list[Step], was_aside: bool) -> None:
        now_ns = self._clock.utc_ns()
        after, tellings = advance(case, steps, facts_of(event), self._site, now_ns, is_aside=was_aside)
        for telling in tellings:
            if telling.at_ns < now_ns - self._forget_ns:
                _told.labels("too_old").inc()
                continue
            await self._tell(event, telling, now_ns)
        await self._keep(event.id, after, now_ns)

    async def _keep(self, event_id: str, case: Case, now_ns: int) -> None:
        await self._journal.put_case(event_id, case, now_ns)
        if case.waits:
            self._waiting[event_id] = case
        else:
            self._waiting.pop(event_id, None)

    async def _tell(self, event: Event, telling: Telling, now_ns: int) -> None:
        rule = self._site.rules[telling.rule]
        content = content_of(event, telling.occasion, telling.at_ns)
        name = f"{event.id}.{telling.number}.{telling.occasion}"
        key = pace_key(rule, telling.occasion)
        ids = {channel: f"{name}.{channel}" for channel in rule.channels_of(telling.occasion)}
        # Killed between the two writes: it is on its way, whatever else was said meanwhile.
        is_under_way = any([await self._journal.find(one) is not None for one in ids.values()])
        pace, is_admitted = self._paces.get(key, Pace()), True
        if not is_under_way:
            pace, is_admitted = pacing.admit(pace, rule, Held(name, content.title), now_ns, self._site.zone)
        if is_admitted:
            for channel, delivery_id in ids.items():
                await self._deliver(Delivery(delivery_id, channel, rule.id, content, now_ns))
        _told.labels("told" if is_admitted else "held_back").inc()
        await self._pace(key, pace)

    async def _tell_digest(self, key: str, pace: Pace, now_ns: int) -> None:
        if not pace.held:
            return
        rule, channels = self._rule_of(key)
        if rule is None:
            # The rule is gone, and with it who was to be told.
            await self._pace(key, Pace())
            return
        digest = pacing.digest(pace, rule, now_ns, self._site.zone)
        if digest is None:
            return
        short = hashlib.sha256(digest.id.encode()).hexdigest()[:16]
        for channel in channels:
            delivery_id = f"digest.{rule.id}.{short}.{channel}"
            await self._deliver(Delivery(delivery_id, channel, rule.id, digest_content(digest, now_ns), now_ns))
        _told.labels("digest").inc()
        await self._pace(key, pacing.told(pace, rule, digest, now_ns))

    def _rule_of(self, key: str) -> tuple[Rule | None, tuple[str, ...]]:
        name, _, is_then = key.partition(" ")
        rule = self._site.rules.get(name)
        return rule, () if rule is None else rule.then if is_then else rule.channels

    async def _pace(self, key: str, pace: Pace) -> None:
        if pace != self._paces.get(key, Pace()):
            await self._journal.put_pace(key, pace)
            self._paces[key] = pace

    async def _deliver(self, delivery: Delivery) -> None:
        outlet = self._outlets[delivery.channel]
        if not await self._journal.enter(delivery):
            # Entered before, by a call that failed or was cut short: then it may wait in no queue yet.
            known = await self._journal.find(delivery.id)
            if known is None or known.progress is not Progress.PENDING or outlet.has(delivery.id):
                return
            delivery = known
        await outlet.add(delivery)

    def _remember(self, event_id: str, count: int) -> None:
        self._seen[event_id] = count
        self._seen.move_to_end(event_id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def pace_key(rule: Rule, occasion: Occasion) -> str:
    """Whose pace it is: who is told next is not hurried by what the first were told."""
    return f"{rule.id} then" if occasion is Occasion.UNACKNOWLEDGED else rule.id


def facts_of(event: Event) -> Facts:
    """What rules ask of an event."""
    return Facts(
        event.camera, event.group, event.kind.value, detector_name(event.detector), event.shown_priority, event.regions
    )


def steps_of(alarm: Alarm, seen: int) -> tuple[list[Step], bool]:
    """The records of an alarm after the one of number `seen`, and whether it was set aside before them."""
    fresh = alarm.records[seen:]
    if all(record.stimulus.deed in _QUIET_DEEDS for record in fresh):
        is_aside = alarm.marks.is_set_aside
        return [Step(r.number, r.stimulus.deed, r.stimulus.at_ns, r.before, r.after, is_aside) for r in fresh], is_aside
    steps: list[Step] = []
    was_aside, replayed = False, Alarm()
    for record in alarm.records:
        replayed = apply(replayed, record.stimulus)
        is_aside = replayed.marks.is_set_aside
        if record.number <= seen:
            was_aside = is_aside
        else:
            done = record.stimulus
            steps.append(Step(record.number, done.deed, done.at_ns, record.before, record.after, is_aside))
    return steps, was_aside


def digest_content(digest: Digest, now_ns: int) -> Content:
    """What a digest says."""
    first, more = digest.lines[0], digest.count - 1
    summary = f"{first}, and {more} more" if more else first
    return Content("digest", summary, at_ns=now_ns, count=digest.count, lines=digest.lines)

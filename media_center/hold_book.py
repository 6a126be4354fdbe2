"""The book of holds: folds events into them, stores them, confirms them, tells of them. The only writer of its store.

A hold is on disk when `tell_event` returns, with what the bus is to hear of it in the same document. Subject
`trueframe.footage.held.<camera>`, CloudEvents type `trueframe.footage.held`, payload JSON:

    {"id": "event:…", "event": "…", "camera": "gate", "from_ns": …, "to_ns": …, "confirmed": false, "version": 3}

`version` grows with every message of a hold; a smaller one is older news.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from media_center.archive import Archive
from media_center.errors import NeverRecorded
from media_center.holds import (
    EventReport,
    HeldFootage,
    Hold,
    Rolls,
    changed_by_hand,
    confirmed,
    ended,
    fold_event,
    fold_last_frame,
    hold_id,
    is_expired,
    is_on_disk,
    is_to_be_told,
)
from mesh.bus import held_subject
from mesh.clocks import Clock
from mesh.errors import Conflict, InvalidArgument, NotFound, TrueframeError
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, gauge
from mesh.outbox import PENDING_FIELD, OutboxEvent, add_event, carry_outbox
from mesh.store import AnyOf, Collection, Document, DocumentStore, Where, scan

log = get_logger("media_center.holds")

EVENT_TYPE = "trueframe.footage.held"
# Without a commit to wake it: for holds of cameras that send nothing any more.
_LOOK_EVERY_S = 1.0
# A camera whose footage has not grown for so long sends nothing any more.
_QUIET_NS = 5_000_000_000
# Who kept what, and why it was let go, can be asked for so long.
_KEEP_ENDED_NS = 400 * 86_400 * 1_000_000_000

_folded = counter("media_center_hold_events", "Events told, by whether they changed a hold.", ("changed",))
_ended = counter("media_center_holds_ended", "Holds that have ended, by why.", ("why",))
_open = gauge("media_center_open_holds", "Holds whose footage is not confirmed yet.")

_PLAIN = (
    "event", "camera", "from_ns", "to_ns", "reason", "created_ns", "owner", "is_confirmed", "version", "event_version",
    "is_over", "told_to_ns", "expires_ns", "ended_ns", "ended_by", "ended_why",
)  # fmt: skip


def unknown_hold(name: str) -> NotFound:
    """What is told of a hold that is not there, or not in the caller's scope."""
    return NotFound(f"hold {name!r}", "does not exist", "`trueframe holds list` shows them.")


class HoldBook:
    """Holds, and what they still wait for. Make it with `open`."""

    def __init__(self, holds: Collection, archive: Archive, rolls: Rolls, clock: Clock) -> None:
        self._holds = holds
        self._archive = archive
        self._rolls = rolls
        self._clock = clock
        self._writing = asyncio.Lock()
        self._unconfirmed: dict[str, Hold] = {}
        self._expiring: dict[str, Hold] = {}
        # By hold: the last frame whose time has been looked up.
        self._looked_up: dict[str, FrameId] = {}
        # By camera: its newest frame on disk, and since when (monotonic) that has been the newest.
        self._growth: dict[str, tuple[int, int]] = {}
        self.held = HeldFootage()
        """What retention asks."""
        self.ended = 0
        """Holds that have ended since the start: what they kept may go now."""
        self.on_stored: Callable[[], None] = lambda: None
        """Called when there is something for the bus."""

    @classmethod
    async def open(cls, store: DocumentStore, archive: Archive, rolls: Rolls, clock: Clock) -> HoldBook:
        """Reads all holds: from then on `held` knows them. Records of those that ended long ago go."""
        book = cls(await store.collection("holds", ("camera", "from_ns", PENDING_FIELD)), archive, rolls, clock)
        old_ns = clock.utc_ns() - _KEEP_ENDED_NS
        async for document in scan(book._holds):
            hold = _hold(document)
            if 0 < hold.ended_ns < old_ns:
                await book._holds.delete(hold.id)
            else:
                book._note(hold)
        return book

    @property
    def documents(self) -> Collection:
        """The documents with the outboxes."""
        return self._holds

    async def tell_event(self, report: EventReport) -> None:
        """An anomaly began, changed or ended."""
        async with self._writing:
            document = await self._holds.find(hold_id(report.id))
            before = _hold(document) if document else None
            after = fold_event(before, report, self._rolls, self._clock.utc_ns())
            _folded.labels(after is not None).inc()
            if after is not None:
                await self._store(document, before, after)

    async def list(self, cameras: Sequence[str] | None) -> list[Hold]:
        """Holds by camera and beginning; `cameras` None means all."""
        where: Where = {} if cameras is None else {"camera": AnyOf(list_(cameras))}
        holds = [_hold(document) async for document in scan(self._holds, where, order="from_ns")]
        return sorted(
            (hold for hold in holds if not hold.ended_ns), key=lambda hold: (hold.camera, hold.from_ns, hold.id)
        )

    async def find(self, name: str) -> Hold:
        """A hold that has not ended. Raises NotFound."""
        document = await self._holds.find(name)
        hold = _hold(document) if document else None
        if hold is None or hold.ended_ns:
            raise unknown_hold(name)
        return hold

    async def put_by_hand(self, asked: Hold) -> Hold:
        """Makes a hold, or changes the one of that id. On disk when it returns; nothing that it covers goes then.

        Raises FailedPrecondition, InvalidArgument, NotFound.
        """
        async with self._writing:
            document = await self._holds.find(asked.id)
            before = _hold(document) if document else None
            after = changed_by_hand(before, asked, self._clock.utc_ns()) if before else asked
            await self._store(document, before, after)
        log.info("hold changed" if before else "hold made", hold=after.id, camera=after.camera, from_ns=after.from_ns,
                 to_ns=after.to_ns, owner=after.owner, reason=after.reason, expires_ns=after.expires_ns)  # fmt: skip
        return after

    async def release(self, name: str, by: str, why: str) -> Hold:
        """Ends a hold; the record of it stays. Raises NotFound, InvalidArgument."""
        if not why.strip():
            raise InvalidArgument("release", "has no reason", "Say why this footage need not be kept any more.")
        async with self._writing:
            before = await self.find(name)
            return await self._end(before, by, why.strip())

    async def end_expired(self) -> None:
        """Ends the holds whose term is over."""
        now_ns = self._clock.utc_ns()
        for name in [hold.id for hold in self._expiring.values() if is_expired(hold, now_ns)]:
            async with self._writing:
                hold = self._expiring.get(name)  # it may have got another term meanwhile
                if hold is not None and is_expired(hold, now_ns):
                    await self._end(hold, "", "its term is over")

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[HeldFootage]:
        """What is held, and while the block lasts no hold is made, grows or ends: for whoever deletes footage."""
        async with self._writing:
            yield self.held

    async def _end(self, before: Hold, by: str, why: str) -> Hold:
        after = ended(before, by, why, self._clock.utc_ns())
        await self._store(await self._holds.find(before.id), before, after)
        self.ended += 1
        _ended.labels("release" if by else "term").inc()
        log.info("hold ended", hold=after.id, camera=after.camera, from_ns=after.from_ns, to_ns=after.to_ns,
                 owner=after.owner, by=by or "term", reason=why)  # fmt: skip
        return after

    async def watch_footage(self, settled_ns: Callable[[], int]) -> None:
        """Confirms holds as their footage comes to the disk, until cancelled.

        `settled_ns`: what was received up to then is on disk or lost, whichever camera it is of.
        """
        while True:
            version = self._archive.version
            try:
                await self._look(settled_ns())
                await self.end_expired()
            except TrueframeError as error:
                if rate_limited("holds", 10):
                    log.warning("holds cannot be confirmed now", reason=str(error))
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._archive.wait_for_commit(version)
            except TimeoutError:
                continue

    async def _look(self, settled_ns: int) -> None:
        for name in list_(self._unconfirmed):
            async with self._writing:
                # As it is on disk: nobody else writes holds.
                before = self._unconfirmed.get(name)
                if before is None:
                    continue
                after = await self._with_last_frame(before)
                newest_ns = self._newest_ns(after.camera)
                if is_on_disk(after, newest_ns, self._settled_ns(after.camera, newest_ns, settled_ns)):
                    after = confirmed(after)
                if after != before:
                    await self._store(await self._holds.get(name), before, after)

    def _settled_ns(self, camera: str, newest_ns: int, settled_ns: int) -> int:
        """As `settled_ns`, for one camera: 0 while its footage grows, for more may then be on its way."""
        now_ns = self._clock.monotonic_ns()
        if self._growth.get(camera, (-1, 0))[0] != newest_ns:
            self._growth[camera] = newest_ns, now_ns
        return settled_ns if now_ns - self._growth[camera][1] >= _QUIET_NS else 0

    async def _with_last_frame(self, hold: Hold) -> Hold:
        """The hold with the time of the event's last frame, which an event that goes on does not tell."""
        last, watermark = hold.last, self._archive.watermarks.get(hold.camera)
        if hold.is_over or last is None or watermark is None or watermark < last:
            return hold
        if self._looked_up.get(hold.id) == last:
            return hold
        received_ns = await asyncio.to_thread(self._received_ns, last)
        self._looked_up[hold.id] = last
        return fold_last_frame(hold, received_ns, self._rolls) or hold

    def _received_ns(self, frame: FrameId) -> int:
        try:
            footage = self._archive.footage(frame.camera)
        except NeverRecorded:
            return 0
        position = footage.last_at_or_before(frame.epoch, frame.seq)
        return int(footage.row(position)["received_ns"]) if position is not None else 0

    def _newest_ns(self, camera: str) -> int:
        try:
            view = self._archive.footage(camera).view
        except NeverRecorded:
            return 0
        for position in range(len(view) - 1, -1, -1):
            if (segment := view[position]).frames:
                return segment.last_ns
        return 0

    async def _store(self, document: Document | None, before: Hold | None, after: Hold) -> None:
        while True:
            body = carry_outbox(document.body if document else {}, _body(after))
            if after.event and not after.ended_ns and is_to_be_told(before, after):
                body = add_event(body, _tidings(after), self._clock)
            try:
                await self._holds.put(after.id, body, document.version if document else 0)
                break
            except Conflict:
                # The outbox marked something as sent meanwhile; the rest of the document is written here alone.
                document = await self._holds.get(after.id)
        self._note(after)
        self.on_stored()

    def _note(self, hold: Hold) -> None:
        self.held.put(hold)
        if hold.expires_ns and not hold.ended_ns:
            self._expiring[hold.id] = hold
        else:
            self._expiring.pop(hold.id, None)
        if hold.is_confirmed or hold.ended_ns:
            self._unconfirmed.pop(hold.id, None)
            self._looked_up.pop(hold.id, None)
        else:
            self._unconfirmed[hold.id] = hold
        _open.set(len(self._unconfirmed))


# Inside the book `list` is its method.
list_ = list


def _tidings(hold: Hold) -> OutboxEvent:
    told = {
        "id": hold.id,
        "event": hold.event,
        "camera": hold.camera,
        "from_ns": hold.from_ns,
        "to_ns": hold.to_ns,
        "confirmed": hold.is_confirmed,
        "version": hold.version,
    }
    return OutboxEvent(
        subject=held_subject(hold.camera),
        type=EVENT_TYPE,
        payload=json.dumps(told, ensure_ascii=False).encode(),
        id=f"hold-{hold.event}-{hold.version}",
        is_whole_state=True,
    )


def _body(hold: Hold) -> dict[str, Any]:
    return {key: getattr(hold, key) for key in _PLAIN} | {"last": str(hold.last) if hold.last else None}


def _hold(document: Document) -> Hold:
    body = document.body
    last = FrameId.parse(body["last"]) if body["last"] else None
    # What was stored by an older release lacks what was added since.
    return Hold(id=document.id, last=last, **{key: body[key] for key in _PLAIN if key in body})

"""The ledger as others read it: entries of a range, one frame explained, coverage. Changes nothing.

Blocks that wait to be written are written before anything is read, so that an answer is never behind what the judge
knows, and never ahead of what a crash would leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.checkpoints import Checkpoint
from aggregate.coverage import MAX_ROWS, CoverageSum, Row
from aggregate.errors import NeverInspected
from aggregate.explain import Known, sentence_of, standing_of
from aggregate.history import Change
from aggregate.inspections import Inspections
from aggregate.judge import Verdict
from aggregate.orders import Order
from aggregate.pages import Page, page_from_document
from aggregate.rests import Rest, rests
from aggregate.wire import verdict_to_proto
from mesh.clocks import Clock
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from trueframe.v1 import inspection_pb2


class LedgerReader:
    """Reads what the aggregate stored. Every method may raise the store's errors."""

    def __init__(self, archive: Archive, bench: Bench, inspections: Inspections, clock: Clock) -> None:
        self._archive = archive
        self._bench = bench
        self._inspections = inspections
        self._clock = clock

    async def entries(
        self, camera: str, inspection: str = "", from_ns: int = 0, to_ns: int = 0
    ) -> AsyncIterator[tuple[Page, list[Verdict]]]:
        """Pages, and their verdicts that lie in the range, in the order of ids for each inspection.

        Raises NeverInspected, InvalidArgument (an empty range).
        """
        _check(from_ns, to_ns)
        orders = [order for order in self._orders(camera) if inspection in ("", order.id)]
        if not orders:
            raise NeverInspected(f"camera {camera}", f"has no inspection {inspection!r}")
        for order in orders:
            await self._flush(order)
            async for body in self._archive.ledger.between(order.id, from_ns, to_ns):
                await asyncio.sleep(0)
                page = page_from_document(body)
                found = [verdict for verdict in page.verdicts() if _is_within(verdict, from_ns, to_ns)]
                if found:
                    yield page, found

    async def coverage(self, camera: str, from_ns: int, to_ns: int, bucket_s: int) -> list[Row]:
        """Sums by inspection and time. Raises NeverInspected, InvalidArgument."""
        _check(from_ns, to_ns)
        if bucket_s < 0 or bucket_s % 60:
            raise InvalidArgument(f"row length {bucket_s} s", "is no multiple of 60 s")
        to_ns = to_ns or self._clock.utc_ns()
        sums = CoverageSum(from_ns, to_ns, bucket_s * 1_000_000_000)
        for order in self._orders(camera):
            await self._flush(order)
            async for body in self._archive.ledger.between(order.id, from_ns, to_ns):
                sums.add(body)
                # Alarms are judged in the same loop: they go first.
                await asyncio.sleep(0)
                if len(sums) > MAX_ROWS:
                    break
            sums.rest(order.id, await self._rests(order, from_ns, to_ns))
            if len(sums) > MAX_ROWS:
                raise InvalidArgument(f"rows of {bucket_s} s", f"are more than {MAX_ROWS}", "Ask for longer rows.")
        return sums.rows()

    async def _rests(self, order: Order, from_ns: int, to_ns: int) -> list[Rest]:
        history = self._archive.history
        before = await history.at(order.id, from_ns) if from_ns else None
        changes = [change async for change in history.between(order.id, from_ns + 1, to_ns)]
        if before is None and changes:
            # From the beginning of time on there was none: what was recorded before the camera was known is not meant.
            from_ns = from_ns or changes[0].at_ns
        return rests(before, changes, from_ns, to_ns)

    async def explain(self, frame: FrameId, received_ns: int = 0) -> list[inspection_pb2.FrameExplanation]:
        """What each inspection has to say of the frame. Raises NeverInspected."""
        explanations = []
        for order in self._orders(frame.camera):
            await self._flush(order)
            explanations.append(await self._explain(order, frame, received_ns))
        return explanations

    async def checkpoint(self, order: Order, up_to: FrameId) -> tuple[Checkpoint | None, Order]:
        """The newest kept state that holds nothing behind a frame, and the order as it was behind that frame."""
        await self._flush(order)
        checkpoint = await self._archive.checkpoints.newest(order.id, up_to)
        following = await self._archive.ledger.behind(order.id, replace(up_to, seq=up_to.seq + 1))
        at_ns = following.to_ns if following is not None else self._clock.utc_ns()
        change = await self._archive.history.at(order.id, at_ns)
        return checkpoint, change.order if change is not None else order

    async def _explain(self, order: Order, frame: FrameId, received_ns: int) -> inspection_pb2.FrameExplanation:
        page = await self._archive.ledger.behind(order.id, frame)
        verdict = _verdict_on(page, frame) if page is not None else None
        following = next((v.id for v in page.verdicts() if v.id > frame), None) if page is not None else None
        at_ns = (verdict.received_ns if verdict else 0) or received_ns or await self._arrival(order, page, frame)
        change = await self._archive.history.at(order.id, at_ns)
        docket = self._bench.docket(order.id)
        last = docket.state.last if docket is not None else None
        threshold = page.key.threshold if verdict is not None and page is not None else _threshold(order, change)
        rules = self._inspections.offers.rules(order.detector).with_threshold(threshold)
        known = Known(
            verdict=verdict,
            threshold=rules.threshold,
            closing_threshold=rules.closing_threshold,
            anomaly=await self._anomaly(order, frame, at_ns) if verdict is not None else "",
            change=change,
            stop=None if verdict is not None else await self._stop(order, change, frame, last, at_ns),
            last=last,
            following=following,
            applies=self._inspections.applies(order),
        )
        answer = inspection_pb2.FrameExplanation(
            inspection=order.id,
            standing=standing_of(frame, known),
            threshold=rules.threshold,
            anomaly=known.anomaly,
            sentence=sentence_of(frame, known),
        )
        if verdict is not None and page is not None:
            answer.detector, answer.fence = page.key.detector, page.key.fence
            spoken = verdict if verdict.has_score else replace(verdict, id=frame, count=1, received_ns=at_ns)
            answer.verdict.CopyFrom(verdict_to_proto(spoken))
        told = known.stop or change
        if told is not None:
            answer.changed_by, answer.changed_ns = told.by, told.at_ns
        return answer

    async def _stop(
        self, order: Order, change: Change | None, frame: FrameId, last: FrameId | None, at_ns: int
    ) -> Change | None:
        """The stop because of which nobody spoke of a frame."""
        if change is not None and change.is_stop:
            return change
        if change is not None and (last is None or frame > last):
            # It came before the stop and was still on its way: nobody will speak of it any more.
            later = await self._archive.history.after(order.id, at_ns)
            if later is not None and later.is_stop:
                return later
        return None

    async def _arrival(self, order: Order, following: Page | None, frame: FrameId) -> int:
        """About when a frame arrived that nobody spoke of: in between its neighbours."""
        earlier = await self._archive.ledger.before(order.id, frame)
        before = earlier.last if earlier is not None else None
        before_ns = earlier.to_ns if earlier is not None else 0
        after = None
        for verdict in following.verdicts() if following is not None else ():
            if verdict.last_id < frame:
                before, before_ns = verdict.last_id, verdict.received_ns or before_ns
            elif verdict.id > frame and verdict.received_ns:
                after = verdict
                break
        if after is None:
            return self._clock.utc_ns()
        if before is None or before.epoch != frame.epoch or after.id.epoch != frame.epoch:
            return min(max(frame.epoch, before_ns), after.received_ns)
        share = (frame.seq - before.seq) / (after.id.seq - before.seq)
        return before_ns + int((after.received_ns - before_ns) * share)

    async def _anomaly(self, order: Order, frame: FrameId, at_ns: int) -> str:
        docket = self._bench.docket(order.id)
        current = docket.state.current if docket is not None else None
        if current is not None and current.version and current.first <= frame <= current.last:
            return current.id
        return await self._archive.anomaly_of(order.id, order.camera, frame, at_ns)

    def _orders(self, camera: str) -> list[Order]:
        orders = self._inspections.orders_of(camera)
        if not orders:
            raise NeverInspected(
                f"camera {camera}", "was never inspected", "`trueframe inspections list` shows the inspections."
            )
        return orders

    async def _flush(self, order: Order) -> None:
        docket = self._bench.docket(order.id)
        if docket is not None and (docket.is_dirty or docket.writing.locked()):
            await self._bench.settle(docket)


def _check(from_ns: int, to_ns: int) -> None:
    if from_ns < 0 or to_ns < 0 or (to_ns and from_ns > to_ns):
        raise InvalidArgument(f"range from {from_ns} to {to_ns}", "is empty")


def _is_within(verdict: Verdict, from_ns: int, to_ns: int) -> bool:
    # A run of reasons whose time is not known belongs to its page.
    at_ns = verdict.received_ns
    return not at_ns or (from_ns <= at_ns and (not to_ns or at_ns <= to_ns))


def _verdict_on(page: Page, frame: FrameId) -> Verdict | None:
    return next((verdict for verdict in page.verdicts() if verdict.id <= frame <= verdict.last_id), None)


def _threshold(order: Order, change: Change | None) -> float:
    if change is None:
        return order.threshold
    return change.threshold or change.order.threshold

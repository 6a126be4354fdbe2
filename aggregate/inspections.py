"""The aggregate itself: orders, cameras, workers and the judge, put together. One task changes things at a time.

Decisions are made by pure parts (`scheduler`, `judge`, `orders`); here they are stored and carried out, in that order:
a fence is on disk before a worker hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, tzinfo

from aggregate.archive import Archive
from aggregate.bench import Bench
from aggregate.dispatch import Dispatch
from aggregate.errors import BadInspection, WorkerReplaced
from aggregate.hearing import Hearing
from aggregate.history import Change, What, change_of
from aggregate.model_store import Models
from aggregate.offers import Offer, Offers
from aggregate.orders import Catalogue, Order, default_orders
from aggregate.reports import Reports, Silent, Tells
from aggregate.resting import Resting
from aggregate.scheduler import Scheduler
from aggregate.sessions import Session
from aggregate.standing import Status, status_of
from aggregate.unplaced import Unplaced
from mesh.clocks import Clock
from mesh.config import AggregateConfig
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from trueframe.v1 import inspection_pb2

log = get_logger("aggregate")

TICK_S = 0.5
BY_CONFIGURATION = "configuration"
BY_ITSELF = "trueframe"
BY_SCHEDULE = "its schedule"
DEFAULT_DETECTORS = AggregateConfig().default_detectors
SHADOW = "~shadow"


async def _is_not_there(_camera: str) -> bool:
    return False


class Inspections:
    """The aggregate's state. `run` must run."""

    def __init__(
        self,
        archive: Archive,
        bench: Bench,
        clock: Clock,
        scheduler: Scheduler,
        *,
        offers: Offers | None = None,
        models: Models | None = None,
        tells: Tells | None = None,
        zone: tzinfo = UTC,
        default_detectors: Iterable[str] = DEFAULT_DETECTORS,
        exists: Callable[[str], Awaitable[bool]] = _is_not_there,
    ) -> None:
        self._archive = archive
        self._bench = bench
        self._clock = clock
        self._scheduler = scheduler
        self.offers = offers or Offers()
        self._models = models
        self.reports = Reports(tells or Silent())
        self._unplaced = Unplaced(tells or Silent())
        self._resting = Resting(self.offers, models, clock, zone)
        self._default_detectors = tuple(default_detectors)
        self._exists = exists
        self._dispatch = Dispatch(archive, bench, models, self._resting, self.reports)
        self._catalogue = Catalogue()
        self._camera_names: dict[str, str] = {}
        self._sessions = self._dispatch.sessions
        self.hearing = Hearing(bench, clock, scheduler, models, self.reports)
        self._changing = asyncio.Lock()

    # Orders

    async def load(self, seeds: Iterable[Order]) -> None:
        """Reads stored orders, and stores those of the configuration whose ids are new."""
        self.offers.heard(await self._archive.offers())
        for order in seeds:
            await self._seed(order, BY_CONFIGURATION)
        async for order in self._archive.orders():
            newest = await self._archive.history.newest(order.id)
            if newest is None:
                await self._note(None, order, BY_ITSELF)
            elif newest.order != order:
                # Noted, and then the process died before it was carried out.
                order = newest.order
                await self._archive.put_order(order)
            if newest is not None and newest.is_resting:
                self._catalogue.resting.add(order.id)
            self._catalogue.orders[order.id] = order

    def statuses(self) -> list[Status]:
        """Inspections of existing cameras, by id."""
        return [self._status(order) for order in self._catalogue.visible()]

    def orders_of(self, camera: str) -> list[Order]:
        """All orders of a camera, by id, those of a removed one included."""
        return [order for _, order in sorted(self._catalogue.orders.items()) if order.camera == camera]

    def applies(self, order: Order) -> bool:
        """Whether the order is carried out now."""
        return self._catalogue.applies(order)

    def orders_with_model(self, model: str) -> list[Order]:
        """Orders that are carried out with a model of this name, by id; shadows included."""
        return [
            order for _, order in sorted(self._catalogue.orders.items()) if model in self._resting.model_names(order)
        ]

    async def put(self, order: Order, by: str, *, may_be_early: bool = False) -> Status:
        """Creates or replaces an inspection at somebody's wish; stored when this returns.

        `may_be_early`: by a part of trueframe that is about to add the camera. Raises BadInspection; Unavailable if the
        broker is away and the camera is not known here.
        """
        self.offers.check(order)
        if order.shadow_of or order.id.endswith(SHADOW):
            remedy = "`trueframe models shadow MODEL VERSION` starts one."
            raise BadInspection(f"inspection {order.id!r}", "is a shadow, which no one orders by itself", remedy)
        # One that was added a moment ago is known to the broker before it is known here.
        is_here = may_be_early or order.camera in self._catalogue.cameras or await self._exists(order.camera)
        if not is_here:
            there_are = f"There are: {', '.join(sorted(self._catalogue.cameras)[:20])}."
            remedy = there_are if self._catalogue.cameras else "There are none yet: `trueframe cameras add`."
            raise BadInspection(
                f"inspection {order.id!r}", f"watches camera {order.camera}, which is not there", remedy
            )
        return await self._put(order, by)

    async def _put(self, order: Order, by: str) -> Status:
        async with self._changing:
            known = self._catalogue.orders.get(order.id)
            if known is not None and (known.camera, known.detector) != (order.camera, order.detector):
                raise BadInspection(
                    f"inspection {order.id!r}",
                    f"watches camera {known.camera} with {known.detector}",
                    "Another camera or detector needs an inspection of its own.",
                )
            await self._put_while_changing(known, order, by)
            await self._cast_shadow(order, by)
        return self._status(order)

    async def _put_while_changing(self, known: Order | None, order: Order, by: str) -> None:
        why = self._resting.why(order)
        await self._note(known, order, by, why)
        self._set_resting(order, why)
        await self._archive.put_order(order)
        self._catalogue.orders[order.id] = order
        await self._apply(order)

    async def _seed(self, order: Order, by: str) -> None:
        if await self._archive.seed_order(order):
            await self._note(None, order, by, self._resting.why(order))

    async def _note(self, old: Order | None, new: Order, by: str, why: str = "") -> None:
        """Writes down who did it, before it is done: nobody then asks in vain why a frame was not inspected."""
        what = change_of(old, new)
        if what is not None:
            await self.note(what, new, by, why, is_resting=bool(why))

    async def note(self, what: What, order: Order, by: str, why: str, *, is_resting: bool = False) -> None:
        """Adds to the history of an inspection."""
        docket = self._bench.docket(order.id)
        threshold = docket.rules.threshold if docket is not None and docket.calibrated else 0.0
        change = Change(self._clock.utc_ns(), by, what, order, why=why, is_resting=is_resting, threshold=threshold)
        await self._archive.history.add(change)

    def _status(self, order: Order) -> Status:
        seat, docket = self._scheduler.seat(order.id), self._bench.docket(order.id)
        worker = seat.worker if seat is not None and seat.worker in self._sessions else ""
        is_resting = order.id in self._catalogue.resting
        return status_of(order, docket, seat, worker, self.reports.of(order.id), self._resting if is_resting else None)

    async def _look_at_rest(self) -> None:
        """Starts and stops what a schedule, or a model that came, starts and stops."""
        for order in list(self._catalogue.orders.values()):
            if order.is_disabled or not self._resting.may_rest(order):
                continue
            why = self._resting.why(order)
            if bool(why) == (order.id in self._catalogue.resting):
                continue
            by = BY_SCHEDULE if order.schedule else BY_ITSELF
            try:
                await self.note("paused" if why else "resumed", order, by, why, is_resting=bool(why))
                self._set_resting(order, why)
                await self._apply(order)
            except TrueframeError as error:
                # The store is away: the next look tries again.
                if rate_limited("aggregate rest", 10.0):
                    log.error("inspection cannot be started or stopped", inspection=order.id, reason=str(error))

    def _set_resting(self, order: Order, why: str) -> None:
        (self._catalogue.resting.add if why else self._catalogue.resting.discard)(order.id)

    # Models

    def room(self) -> tuple[float, float]:
        """Cores of all workers, and those that their inspections take."""
        return self._scheduler.room()

    async def rollout_changed(self, model: str, by: str) -> None:
        """Another version of a model speaks, or tries: workers hear of it, shadows come and go."""
        assert self._models is not None
        async with self._changing:
            for order in self.orders_with_model(model):
                await self._cast_shadow(order, by)
            await self._look_at_rest()
            for order in self.orders_with_model(model):
                has_other = self._resting.versions(order) != self._dispatch.assigned.get(order.id)
                if has_other and self._catalogue.applies(order):
                    await self._dispatch.carry_out(self._scheduler.order_touched(order.id))

    async def _cast_shadow(self, order: Order, by: str) -> None:
        """The shadow of an inspection is as the inspection is, while a version of one of its models is being tried."""
        if order.shadow_of or self._models is None:
            return
        is_tried = any(self._models.rollout(name).shadow for name in self._resting.model_names(order))
        shadow_id = order.id + SHADOW
        known = self._catalogue.orders.get(shadow_id)
        wanted = replace(
            order,
            id=shadow_id,
            shadow_of=order.id,
            priority="background",
            is_disabled=order.is_disabled or not is_tried,
        )
        if known != wanted and (known is not None or is_tried):
            await self._put_while_changing(known, wanted, by)

    # Thresholds

    async def calibrated(self, order: Order, threshold: float, why: str, by: str, *, is_provisional: bool) -> None:
        """Anomalies of an inspection begin at another score from now on; told in its history, and to its worker."""
        docket = self._bench.docket(order.id)
        if docket is None:
            return
        self._bench.calibrate(docket, threshold, is_provisional=is_provisional)
        async with self._changing:
            is_resting = order.id in self._catalogue.resting
            await self.note("calibrated" if by == BY_ITSELF else "labelled", order, by, why, is_resting=is_resting)
            await self._dispatch.carry_out(self._scheduler.order_touched(order.id))

    # Cameras

    async def camera_came(self, camera: str, name: str) -> None:
        """A camera exists, or changed its name."""
        async with self._changing:
            is_new = camera not in self._catalogue.cameras
            self._camera_names[camera] = name if name != camera else ""
            for order in self._catalogue.camera_came(camera, self._defaults) if is_new else ():
                await self._seed(order, BY_ITSELF)
                self._catalogue.orders[order.id] = order
            for order in [o for o in self._catalogue.orders.values() if o.camera == camera]:
                await self._apply(order)

    async def camera_left(self, camera: str) -> None:
        """A camera was removed."""
        async with self._changing:
            for order in self._catalogue.camera_left(camera):
                await self._apply(order)

    @property
    def _defaults(self) -> list[str]:
        """Detectors that a camera gets by itself; those that no worker ever offered wait until one does."""
        return [detector for detector in self._default_detectors if detector in self.offers.names]

    @property
    def cameras(self) -> frozenset[str]:
        """Cameras that exist."""
        return frozenset(self._catalogue.cameras)

    async def _apply(self, order: Order) -> None:
        if not self._catalogue.applies(order):
            self.reports.ended(order)
            self.hearing.wait_for_last_word(order.id)
            await self._dispatch.carry_out(self._scheduler.order_withdrawn(order.id))
            return
        self.hearing.end(order.id)
        docket, was_read = await self._bench.open_docket(order, self._camera_names.get(order.camera, ""))
        change = await self._archive.history.newest(order.id)
        docket.since_ns = change.since_ns if change is not None else 0
        now_ns = self._clock.monotonic_ns()
        if was_read and docket.fence:
            said = self._scheduler.restored(order, docket.fence, docket.worker, docket.resume_after, now_ns)
        else:
            said = self._scheduler.order_put(order, now_ns)
        await self._dispatch.carry_out(said)

    # Workers

    async def worker_joined(
        self, session: Session, hello: inspection_pb2.WorkerHello, offers: Iterable[Offer] = ()
    ) -> None:
        """A worker says hello on a new stream; one it had before ends."""
        async with self._changing:
            replaced = self._sessions.get(session.worker)
            if replaced is not None:
                replaced.close(WorkerReplaced(f"worker {session.worker}", "has joined again on another stream"))
            self._sessions[session.worker] = session
            now_ns = self._clock.monotonic_ns()
            await self._take_offers(offers)
            said = self._scheduler.worker_joined(
                session.worker, hello.detectors, hello.capacity, now_ns, cores=hello.cores, providers=hello.providers
            )
            log.info("worker joined", worker=session.worker, capacity=hello.capacity, assignments=len(said))
            await self._dispatch.carry_out(said)

    async def _take_offers(self, offers: Iterable[Offer]) -> None:
        before = self._defaults
        news = self.offers.heard(offers)
        for offer in news:
            await self._archive.put_offer(offer)
        if not news:
            return
        self._bench.offers_changed()
        if added := [detector for detector in self._defaults if detector not in before]:
            for camera in sorted(self._catalogue.cameras):
                for order in default_orders(camera, self._catalogue.orders.values(), added):
                    await self._seed(order, BY_ITSELF)
                    self._catalogue.orders[order.id] = order
                    await self._apply(order)
        await self._look_at_rest()

    async def worker_left(self, session: Session) -> None:
        """The worker's stream ended."""
        async with self._changing:
            if self._sessions.get(session.worker) is not session:
                return
            del self._sessions[session.worker]
            said = self._scheduler.worker_gone(session.worker, self._clock.monotonic_ns())
            log.info("worker left", worker=session.worker, taken_over=len(said))
            await self._dispatch.carry_out(said)

    async def worker_leaving(self, session: Session) -> None:
        """A worker is about to leave: it is given nothing new."""
        async with self._changing:
            if self._sessions.get(session.worker) is session:
                await self._dispatch.carry_out(self._scheduler.worker_leaving(session.worker))

    # Time

    async def run(self) -> None:
        """Lets time pass until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            async with self._changing:
                now_ns = self._clock.monotonic_ns()
                self.hearing.end_late(now_ns)
                await self._look_at_rest()
                await self._dispatch.carry_out(self._scheduler.tick(now_ns))
                self._unplaced.looked(self._scheduler.unplaced, len(self._scheduler.workers), now_ns)
            self._bench.end_silent()

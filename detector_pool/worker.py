"""A worker: joins the pool, watches the cameras it is given, sends what detectors say until it is acknowledged.

Watching goes on while the pool is away; what was said meanwhile is sent when it is back. All methods run in one event
loop; watches have threads of their own and hand their blocks over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aggregate.client import PoolClient, PoolStream
from detector_pool.blocks import Block, KeptBlocks
from detector_pool.detector import DetectorType
from detector_pool.fare import Report
from detector_pool.making import Fetches, Workshop
from detector_pool.runner import Task
from detector_pool.steering import follower_for
from detector_pool.watch import CameraWatch, OpenSource, Prepared
from detector_pool.wire import block_to_proto, offer_to_proto, report_to_proto, task_from_proto
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, gauge
from trueframe.v1 import inspection_pb2

log = get_logger("detector_pool.worker")

HEARTBEAT_S = 1.0
# An aggregate that restarts gives a worker its inspections back as soon as it knows the cameras.
UNCONFIRMED_S = 30.0
# The aggregate writes every two seconds.
DRAIN_S = 2.5
ENDING_S = 5.0
_LONGEST_WAIT_S = 2.0
# Others go on watching while some are being made.
MAKING_AT_ONCE = 2
MAX_REPORTS = 4096

_kept = gauge("detector_pool_kept_blocks", "Verdict blocks that are not acknowledged.")
_sent = counter("detector_pool_blocks_sent", "Verdict blocks sent, repetitions included.")
_thinned = counter("detector_pool_scores_given_up", "Frames whose scores were given up: the pool was away too long.")


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker has to work with, beside its detectors."""

    capacity: int
    """Inspections that it takes while it is not measured what they cost."""
    cores: float = 0.0
    """CPU cores that it may use; 0: not told."""
    providers: Sequence[str] = ("CPU",)
    timezone: str = "UTC"
    models: Fetches | None = None


class Worker:
    """One worker of the pool."""

    def __init__(
        self,
        name: str,
        means: Means,
        pool: PoolClient,
        types: Mapping[str, DetectorType],
        open_source: OpenSource,
        clock: Clock,
    ) -> None:
        self.name = name
        self._means = means
        self._pool = pool
        self._types = types
        self._workshop = Workshop(types, means.models, means.timezone)
        self._makes = ThreadPoolExecutor(MAKING_AT_ONCE, "making")
        self._open_source = open_source
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._reports: dict[str, Report] = {}
        """The newest of each inspection that is not sent yet."""
        self._kept = KeptBlocks()
        self._to_send: deque[int] = deque()
        self._news = asyncio.Event()
        self._emptied = asyncio.Event()
        self._watches: dict[str, CameraWatch] = {}
        self._tasks: dict[str, Task] = {}
        self._fences: dict[str, int] = {}
        self._confirmed: set[str] = set()
        self._ending: dict[str, int] = {}
        """Put down a moment ago: last blocks still go out under this fence."""

    async def run(self) -> None:
        """Works until it is cancelled."""
        wait_s = 0.1
        try:
            while True:
                started_s = time.monotonic()
                try:
                    await self._session()
                except TrueframeError as error:
                    if rate_limited("worker session", 10.0):
                        log.warning("pool does not answer", worker=self.name, reason=str(error))
                if time.monotonic() - started_s > 10.0:
                    wait_s = 0.1
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        finally:
            await self._put_all_down()

    # One stream

    async def _session(self) -> None:
        hello = inspection_pb2.WorkerHello(
            worker=self.name,
            detectors=sorted(f"{kind.name}@{kind.version}" for kind in self._types.values()),
            capacity=self._means.capacity,
            offers=[offer_to_proto(kind) for _, kind in sorted(self._types.items())],
            providers=self._means.providers,
            cores=self._means.cores,
        )
        stream = await self._pool.join(hello)
        self._confirmed.clear()
        self._to_send.clear()
        self._kept.disconnected()
        helpers = [
            asyncio.create_task(self._send(stream), name="blocks"),
            asyncio.create_task(self._beat(stream), name="heartbeat"),
            asyncio.create_task(self._give_up_unconfirmed(), name="unconfirmed"),
        ]
        reading = asyncio.create_task(self._read(stream), name="pool")
        try:
            await asyncio.wait({reading})
            await reading
        except asyncio.CancelledError:
            await self._drain(stream)
            raise
        finally:
            stream.close()
            for task in (reading, *helpers):
                task.cancel()
            await asyncio.gather(reading, *helpers, return_exceptions=True)

    async def _read(self, stream: PoolStream) -> None:
        async for response in stream:
            self._take(response)

    async def _drain(self, stream: PoolStream) -> None:
        """Says the last of all inspections, with their checkpoints, and waits a little until that is stored."""
        with contextlib.suppress(TrueframeError, TimeoutError):
            leaving = inspection_pb2.WorkerHeartbeat(leaving=True)
            async with asyncio.timeout(1.0):
                await stream.say(inspection_pb2.JoinPoolRequest(heartbeat=leaving))
        await self._put_all_down()
        # What the watches handed over runs first: it was put into the loop before this.
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), DRAIN_S)

    def _take(self, response: inspection_pb2.JoinPoolResponse) -> None:
        match response.WhichOneof("kind"):
            case "assignment":
                self._take_assignment(response.assignment)
            case "revocation":
                revocation = response.revocation
                if self._fences.get(revocation.inspection, -1) <= revocation.fence:
                    self._put_down(revocation.inspection)
            case "acknowledgement":
                self._kept.acknowledged(response.acknowledgement.number, response.acknowledgement.fence)
                _kept.set(len(self._kept))
                if not len(self._kept):
                    self._emptied.set()

    def _take_assignment(self, assignment: inspection_pb2.Assignment) -> None:
        task = task_from_proto(assignment)
        if not self._workshop.knows(task.detector):
            log.error("detector is not known here", detector=task.detector[:80], inspection=task.inspection)
            return
        self._fences[task.inspection] = assignment.fence
        self._ending.pop(task.inspection, None)
        self._confirmed.add(task.inspection)
        self._tasks[task.inspection] = task
        making = self._loop.run_in_executor(self._makes, self._prepared, task, assignment)
        making.add_done_callback(lambda made: self._carry_out(made, assignment.fence))
        log.info(
            "inspection taken up", inspection=task.inspection, fence=assignment.fence,
            after=str(task.after) if task.after else "",
        )  # fmt: skip
        # In the order of their numbers, whatever of them waits already: a verdict that comes late is not heard.
        again = self._kept.assigned(task.inspection, assignment.fence)
        self._to_send = deque([*(number for number in self._to_send if number not in set(again)), *again])
        self._news.set()

    def _prepared(self, task: Task, assignment: inspection_pb2.Assignment) -> Prepared:
        """Makes what a task takes, in a thread of its own: a model may have to be fetched, and loads slowly."""
        earlier, further = None, assignment.further_checkpoint_models
        if assignment.HasField("checkpoint_model") or further:
            own = assignment.checkpoint_model if assignment.HasField("checkpoint_model") else None
            earlier = self._workshop.make(task, own, further)
        own = assignment.model if assignment.HasField("model") else None
        made = self._workshop.make(task, own, assignment.further_models)
        return Prepared(task, made, earlier, follower_for(task.regions, are_fixed=task.has_fixed_regions))

    def _carry_out(self, making: asyncio.Future[Prepared], fence: int) -> None:
        """What was made is taken up at the next frame boundary, unless it is not wanted any more."""
        if making.cancelled():
            return
        prepared = making.result()
        task = prepared.task
        if self._fences.get(task.inspection) != fence or self._tasks.get(task.inspection) is not task:
            return
        watch = self._watches.get(task.camera)
        if watch is None:
            watch = CameraWatch(task.camera, self._open_source, self._hand_over, self._clock, self._hand_report)
            self._watches[task.camera] = watch
        watch.carry_out(prepared)

    def _put_down(self, inspection: str) -> None:
        task = self._tasks.pop(inspection, None)
        fence = self._fences.pop(inspection, None)
        self._confirmed.discard(inspection)
        if task is None or fence is None:
            self._kept.drop(inspection)
            return
        log.info("inspection put down", inspection=inspection)
        self._workshop.forget(inspection)
        self._reports.pop(inspection, None)
        self._ending[inspection] = fence
        self._loop.call_later(ENDING_S, self._forget, inspection, fence)
        watch = self._watches.get(task.camera)
        if watch is None:
            return
        watch.put_down(inspection)
        if not any(other.camera == task.camera for other in self._tasks.values()):
            watch.close()
            del self._watches[task.camera]

    def _forget(self, inspection: str, fence: int) -> None:
        """The last words of an inspection were heard by now, or nobody wants them."""
        if self._ending.get(inspection) == fence:
            del self._ending[inspection]
            self._kept.drop(inspection)

    async def _give_up_unconfirmed(self) -> None:
        await asyncio.sleep(UNCONFIRMED_S)
        for inspection in [name for name in self._tasks if name not in self._confirmed]:
            self._put_down(inspection)

    # Blocks

    def _hand_over(self, block: Block) -> None:
        """Called in a watch's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._keep, block)

    def _hand_report(self, report: Report) -> None:
        """Called in a watch's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._note_report, report)

    def _note_report(self, report: Report) -> None:
        if report.inspection in self._fences and len(self._reports) < MAX_REPORTS:
            self._reports[report.inspection] = report
            self._news.set()

    def _keep(self, block: Block) -> None:
        fence = self._fences.get(block.inspection, self._ending.get(block.inspection))
        if fence is None:
            return
        thinned = self._kept.thinned
        kept = self._kept.keep(block, fence)
        self._emptied.clear()
        _thinned.inc(self._kept.thinned - thinned)
        _kept.set(len(self._kept))
        if block.inspection in self._confirmed or block.inspection in self._ending:
            self._to_send.append(kept.number)
            self._news.set()

    async def _send(self, stream: PoolStream) -> None:
        with contextlib.suppress(TrueframeError):  # the reader of the stream hears of it too
            while True:
                while self._to_send:
                    block = self._kept.get(self._to_send.popleft())
                    if block is not None:
                        await stream.say(inspection_pb2.JoinPoolRequest(block=block_to_proto(block)))
                        _sent.inc()
                for inspection in [name for name in self._reports if name in self._confirmed]:
                    report = report_to_proto(self._reports.pop(inspection), self._fences[inspection])
                    await stream.say(inspection_pb2.JoinPoolRequest(report=report))
                self._news.clear()
                await self._news.wait()

    async def _beat(self, stream: PoolStream) -> None:
        with contextlib.suppress(TrueframeError):
            while True:
                cpu_s, wall_s = time.process_time(), time.monotonic()
                await asyncio.sleep(HEARTBEAT_S)
                load = (time.process_time() - cpu_s) / max(time.monotonic() - wall_s, 1e-3)
                heartbeat = inspection_pb2.WorkerHeartbeat(load=min(load, 1.0))
                await stream.say(inspection_pb2.JoinPoolRequest(heartbeat=heartbeat))

    async def _put_all_down(self) -> None:
        self._makes.shutdown(wait=False, cancel_futures=True)
        watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.close()
        ended = await asyncio.gather(*(asyncio.to_thread(watch.join, 2.0) for watch in watches))
        if not all(ended):
            log.error("watches did not end in time", watches=ended.count(False))

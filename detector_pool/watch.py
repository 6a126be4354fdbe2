"""One camera, one thread: reads each picture once and shows it to all inspections of the camera.

Blocks go out through a callable; orders come in through a queue. What a detector does with a picture is in `runner.py`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from detector_pool.blocks import Block
from detector_pool.fare import Report
from detector_pool.picture import PictureSource
from detector_pool.runner import Made, Runner, Task
from detector_pool.steering import Follows
from mesh.clocks import Clock
from mesh.errors import TrueframeError
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited

log = get_logger("detector_pool.watch")

OpenSource = Callable[[str, FrameId | None], PictureSource]
_POLL_S = 0.25
_GATHER_S = 0.1
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with all that it takes, made beforehand: nothing slow is done between two pictures."""

    task: Task
    made: Made
    earlier: Made | None = None
    """The detector whose state the task's checkpoint is, where that is another one."""
    follower: Follows | None = None


class CameraWatch:
    """Reads a camera while there is an inspection of it. Any thread may call its methods."""

    def __init__(
        self,
        camera: str,
        open_source: OpenSource,
        deliver: Callable[[Block], None],
        clock: Clock,
        report: Callable[[Report], None] = lambda _report: None,
    ) -> None:
        self.camera = camera
        self._open_source = open_source
        self._deliver = deliver
        self._report = report
        self._clock = clock
        self._orders: queue.SimpleQueue[Prepared | str | None] = queue.SimpleQueue()
        self._runners: dict[str, Runner] = {}
        self._source: PictureSource | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {camera}", daemon=True)
        self._thread.start()

    def carry_out(self, prepared: Prepared) -> None:
        """Takes up an inspection, or goes on with changed orders."""
        self._orders.put(prepared)

    def put_down(self, inspection: str) -> None:
        """Ends an inspection."""
        self._orders.put(inspection)

    def close(self) -> None:
        """Ends the thread after the frame it looks at; blocks that are begun are delivered."""
        self._closed.set()
        self._orders.put(None)
        source = self._source
        if source is not None:
            source.close()

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread; whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                self._take_orders()
                if self._runners and self._source is None and self._afters():
                    # Orders of a camera come one by one: those that go back begin together.
                    self._closed.wait(_GATHER_S)
                    self._take_orders()
                if self._runners:
                    self._look()
                else:
                    self._let_go()
                    self._take_order(self._orders.get())
        except Exception as error:
            log.exception("watch failed", camera=self.camera, error=type(error).__name__)
        finally:
            self._let_go()
            for runner in self._runners.values():
                self._tell(runner.finish())

    def _look(self) -> None:
        try:
            if self._source is None:
                self._source = self._open_source(self.camera, min(self._afters(), default=None))
            item = self._source.read(_POLL_S)
        except TrueframeError as error:
            if rate_limited(f"watch {self.camera}", 10.0):
                log.warning("no pictures", camera=self.camera, reason=str(error))
            self._let_go()
            self._closed.wait(_RETRY_S)
            item = None
        now_ns = self._clock.monotonic_ns()
        is_behind = self._source is not None and self._source.is_behind
        for runner in self._runners.values():
            # An inspection that begins now begins with what is live, whatever others have to catch up with.
            is_shown = item is not None and not (is_behind and runner.after is None)
            self._tell(runner.look(item, now_ns) if item is not None and is_shown else runner.due(now_ns))
            if (report := runner.report(now_ns)) is not None:
                self._report(report)

    def _afters(self) -> list[FrameId]:
        return [runner.after for runner in self._runners.values() if runner.after is not None]

    def _take_orders(self) -> None:
        while True:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return
            self._take_order(order)

    def _take_order(self, order: Prepared | str | None) -> None:
        if isinstance(order, Prepared):
            runner = self._runners.get(order.task.inspection)
            if runner is not None:
                runner.change(order.task, order.made, order.follower)
            else:
                runner = Runner(order.task, order.made, earlier=order.earlier, follower=order.follower)
                self._runners[order.task.inspection] = runner
                if runner.after is not None:
                    # The source may be beyond that already: the next one begins where the last of all stands.
                    self._let_go()
        elif order is not None:
            ended = self._runners.pop(order, None)
            if ended is not None:
                self._tell(ended.finish())

    def _tell(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._deliver(block)

    def _let_go(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

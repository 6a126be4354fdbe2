"""Measures how loaded this process is, once a second, and asks the pure part whether more can be carried.

Belongs here: clocks of the processor, the event loop's lag, /proc, RLIMIT_NOFILE. Does not belong here: judging
(`load`), refusing (`admission`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median

from broker.admission import Capacity, Occupancy, admit_camera, admit_subscription
from broker.camera import PLAYING_STATES
from broker.core import Hub
from broker.load import LoadBook, LoadRow, broker_limits
from broker.registry import CameraRegistry
from broker.subscriptions import Subscriptions
from mesh.clocks import Clock
from trueframe.v1.cameras_pb2 import CAMERA_STATE_DISABLED, CAMERA_STATE_SILENT

_EVERY_S = 1.0
_WINDOW = 10
_LAG_EVERY_S = 0.1
# After a start, what was degraded before it has had time to show itself again.
_TOLD_ALL_AFTER = 15
# A connection begins with a large picture, and often with many at once, which a rate over five seconds still shows.
_SETTLED_AFTER_NS = 7_000_000_000


class LoadWatch:
    """The load of one broker process. `on_change` hears of each limit that begins to be degraded or is good again."""

    def __init__(
        self,
        registry: CameraRegistry,
        subscriptions: Subscriptions,
        hub: Hub,
        clock: Clock,
        capacity: Capacity,
        on_change: Callable[[LoadRow], None] = lambda row: None,
    ) -> None:
        self._registry = registry
        self._subscriptions = subscriptions
        self._hub = hub
        self._clock = clock
        self._capacity = capacity
        self._on_change = on_change
        self._book = LoadBook(
            broker_limits(
                max_cameras=capacity.max_cameras,
                max_subscribers=capacity.max_subscriptions,
                memory_bytes=capacity.memory_bytes,
                cores=usable_cores(),
                descriptors=capacity.descriptors,
            )
        )
        self._times: deque[tuple[int, float, float]] = deque(maxlen=_WINDOW + 1)
        self._worst_lags: deque[float] = deque(maxlen=_WINDOW)
        self._worst_lag_s = 0.0
        self.measured_ns = 0
        """UTC nanoseconds of the last measurement; 0 before the first."""

    @property
    def rows(self) -> list[LoadRow]:
        """One row a limit, by name."""
        return self._book.rows

    def admit_camera(self, camera: str) -> None:
        """Returns if one more camera can be carried. Raises ResourceExhausted."""
        admit_camera(camera, self._occupancy(), self._capacity)

    def admit_subscription(self) -> None:
        """Returns if one more subscription can be carried. Raises ResourceExhausted."""
        admit_subscription(self._occupancy(), self._capacity)

    async def run(self) -> None:
        """Measures until cancelled. To be run on the loop that it is about."""
        loop = asyncio.get_running_loop()
        measurements = 0
        due_s = loop.time() + _EVERY_S
        self._note_times()
        while True:
            asked_s = loop.time()
            await asyncio.sleep(_LAG_EVERY_S)
            now_s = loop.time()
            self._worst_lag_s = max(self._worst_lag_s, now_s - asked_s - _LAG_EVERY_S)
            if now_s < due_s:
                continue
            due_s = now_s + _EVERY_S
            for row in self._measure():
                self._on_change(row)
            measurements += 1
            if measurements == _TOLD_ALL_AFTER:
                # An alarm of a broker that was killed while degraded must not stand for ever.
                for row in self.rows:
                    if not row.degraded:
                        self._on_change(row)

    def _measure(self) -> list[LoadRow]:
        self._note_times()
        self._worst_lags.append(self._worst_lag_s)
        self._worst_lag_s = 0.0
        (then_ns, process_then, loop_then), (now_ns, process_now, loop_now) = self._times[0], self._times[-1]
        elapsed_s = max((now_ns - then_ns) / 1e9, 1e-3)
        self.measured_ns = self._clock.utc_ns()
        used = {
            "cameras": len(self._registry.entries()),
            "subscriptions": len(self._subscriptions.list()),
            "ring_memory": self._hub.used_bytes,
            "cpu": (process_now - process_then) / elapsed_s,
            "loop_cpu": (loop_now - loop_then) / elapsed_s,
            "descriptors": open_descriptors(),
            # Half of the last seconds were as late as this: one pause does not make an alarm.
            "loop_lag": median(self._worst_lags),
        }
        return self._book.measure(used, now_ns)

    def _note_times(self) -> None:
        self._times.append((self._clock.monotonic_ns(), time.process_time(), time.thread_time()))

    def _occupancy(self) -> Occupancy:
        entries = self._registry.entries()
        connected = PLAYING_STATES | {CAMERA_STATE_SILENT, CAMERA_STATE_DISABLED}
        now_ns = self._clock.monotonic_ns()
        settled_before_ns = self._clock.utc_ns() - _SETTLED_AFTER_NS
        rates = (
            entry.rates.rates(now_ns, entry.feed.counters.frames, entry.feed.counters.payload_bytes)[1]
            for entry in entries
            if entry.owner.state.state in PLAYING_STATES and entry.owner.state.since_ns < settled_before_ns
        )
        loop = self._book.row("loop_cpu")
        return Occupancy(
            cameras=len(entries),
            unconnected_cameras=sum(entry.owner.state.state not in connected for entry in entries),
            subscriptions=len(self._subscriptions.list()),
            bit_rates=[rate for rate in rates if rate > 0],
            descriptors=open_descriptors(),
            loop_cpu=loop.used,
            is_loop_full=loop.degraded,
        )


def open_descriptors() -> int:
    """File descriptors of this process."""
    with os.scandir("/proc/self/fd") as listed:
        # Without the one that this listing is read from.
        return sum(1 for _ in listed) - 1


def raise_descriptor_limit() -> int:
    """Takes as many file descriptors as this process may without asking anybody; returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # More than anybody needs here; some systems say "infinity", which others cannot count to.
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return 65_536 if soft == resource.RLIM_INFINITY else soft


def usable_cores(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Cores that this process may use: its affinity, and the quota of its control group."""
    cores = float(len(os.sched_getaffinity(0)))
    with contextlib.suppress(OSError, ValueError):
        quota, period = cpu_max.read_text().split()
        cores = min(cores, int(quota) / int(period))
    return cores

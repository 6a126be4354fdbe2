"""How well the disk takes footage: times of rounds and refusals in, conditions out, with hysteresis. Pure.

What belongs here: when a disk counts as slow, full or failing, and the words for it. What does not: measuring
(`writer`), telling it (`storage_watch`).

A round writes and syncs what all cameras have; its time is what every frame in it waits for the disk. A disk is slow
when more than one round in a hundred of the last minute (and more than one) took longer than `slow_ns`, when the round
under way has taken twice that, or when a quarter of the queue is full. It is good again when none of that was so for a
minute. All of this comes seconds before the queue is full, which is when frames are lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

SLOW_DISK: Final = "slow_disk"
DISK_FULL: Final = "disk_full"
DISK_ERRORS: Final = "disk_errors"
FRAMES_LOST: Final = "frames_lost"
CONDITIONS: Final = (SLOW_DISK, DISK_FULL, DISK_ERRORS, FRAMES_LOST)

WINDOW_NS: Final = 60_000_000_000
_MAX_SAMPLES = 4096
_LOSS_SETTLES_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What the writer shows at one moment."""

    now_ns: int
    """Monotonic."""
    queued_bytes: int
    queue_limit_bytes: int
    lost_frames: int
    """Since the start, whatever the reason."""
    is_full: bool
    refusals: dict[str, str]
    """Cameras whose last write or sync the disk refused, with the reason."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether something ails the disk, and a sentence for an operator."""

    name: str
    holds: bool
    summary: str
    priority: int


class RoundTimes:
    """How long the rounds of the last minute took. The writer's thread writes, any thread reads."""

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._samples: deque[tuple[int, int]] = deque(maxlen=_MAX_SAMPLES)
        self._began_ns = 0

    def begin(self, now_ns: int) -> None:
        """A round begins to write. Monotonic nanoseconds."""
        self._began_ns = now_ns

    def end(self, now_ns: int) -> None:
        """It is synced, or has failed."""
        if self._began_ns:
            self._samples.append((now_ns, now_ns - self._began_ns))
        self._began_ns = 0

    def under_way_ns(self, now_ns: int) -> int:
        """How long the present round has taken so far; 0 between rounds."""
        began_ns = self._began_ns
        return max(0, now_ns - began_ns) if began_ns else 0

    def recent(self, now_ns: int) -> list[int]:
        """Durations of the last minute, sorted; the round under way counts once it is the longest."""
        # A copy: the writer's thread appends.
        durations = sorted(took for ended, took in self._samples.copy() if now_ns - ended <= self._window_ns)
        under_way_ns = self.under_way_ns(now_ns)
        if under_way_ns and (not durations or under_way_ns > durations[-1]):
            durations.append(under_way_ns)
        return durations

    def p99_ns(self, now_ns: int) -> int:
        """The 99th percentile of the last minute (nearest rank); 0 if nothing was written."""
        durations = self.recent(now_ns)
        return durations[-(-99 * len(durations) // 100) - 1] if durations else 0


class StorageHealth:
    """Judges the disk under the footage."""

    def __init__(self, slow_ns: int, times: RoundTimes) -> None:
        self._slow_ns = slow_ns
        self._times = times
        self._is_slow = False
        self._lost_frames = 0
        self._lost_ns: int | None = None

    def judge(self, reading: Reading) -> list[Condition]:
        """Every condition as it is now. Call it a few times a second."""
        self._judge_speed(reading)
        if reading.lost_frames > self._lost_frames:
            self._lost_ns = reading.now_ns
        self._lost_frames = reading.lost_frames
        if self._lost_ns is not None and reading.now_ns - self._lost_ns > _LOSS_SETTLES_NS:
            self._lost_ns = None
        return [
            Condition(
                SLOW_DISK,
                self._is_slow,
                "Footage disk: writing is so slow that frames will be lost if it lasts. Look at what else uses the"
                " disk, record fewer cameras, or use a faster one."
                if self._is_slow
                else "Footage disk: fast enough again.",
                2,
            ),
            Condition(
                DISK_FULL,
                reading.is_full,
                "Footage disk: full, nothing is recorded. Free some space, or shorten retention."
                if reading.is_full
                else "Footage disk: has space.",
                1,
            ),
            Condition(
                DISK_ERRORS,
                bool(reading.refusals),
                f"Footage disk: refuses to write ({_reasons(reading.refusals)}). Look at the system's log, and replace"
                " or remount the disk."
                if reading.refusals
                else "Footage disk: takes everything.",
                1,
            ),
            Condition(
                FRAMES_LOST,
                self._lost_ns is not None,
                "Recording: frames are not recorded; the footage tells how many."
                if self._lost_ns is not None
                else "Recording: every frame is recorded.",
                1,
            ),
        ]

    def _judge_speed(self, reading: Reading) -> None:
        durations = self._times.recent(reading.now_ns)
        slow = sum(1 for took in durations if took > self._slow_ns)
        under_way_ns = self._times.under_way_ns(reading.now_ns)
        fill = reading.queued_bytes / reading.queue_limit_bytes if reading.queue_limit_bytes else 0.0
        if self._is_slow:
            self._is_slow = slow > 0 or fill > 0.125
        else:
            self._is_slow = (
                (slow > 1 and slow > len(durations) / 100) or under_way_ns > 2 * self._slow_ns or fill > 0.25
            )


def _reasons(refusals: dict[str, str]) -> str:
    return ", ".join(sorted(set(refusals.values()))[:3])

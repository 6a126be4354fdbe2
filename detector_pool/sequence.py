"""Verdicts in the order of ids, although pictures come in the order they are shown.

Holds back what came early until what lies before it has come. The source tells of every frame of an epoch exactly
once, as a picture or as missing, so a hole closes by itself; a bound keeps a faulty source from stopping the line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from detector_pool.detector import NoScore, Observation
from mesh.ids import FrameId

# H.264 and H.265 hold back at most 16 pictures: what is further ahead was not reordered, something is missing.
_REORDERED = 16


@dataclass(frozen=True, slots=True)
class FrameVerdict:
    """What was said of a frame; with a reason, of `count` consecutive frames from `id` on."""

    id: FrameId
    received_ns: int
    observation: Observation
    count: int = 1
    alignment: tuple[float, ...] = ()
    """Where the regions are from this frame on; empty where that did not change."""

    @property
    def next_seq(self) -> int:
        """The seq behind the last frame it speaks of."""
        return self.id.seq + self.count


class Sequence:
    """Puts verdicts of one camera in order. At most `depth` of them are held back."""

    def __init__(self, after: FrameId | None = None, depth: int = 64) -> None:
        self._epoch = after.epoch if after else None
        self._next = after.seq + 1 if after else 0
        self._depth = depth
        self._held: dict[int, FrameVerdict] = {}
        self._has_begun = False
        self.late = 0
        """Frames told after their place had been given up; they were given a reason before."""

    @property
    def position(self) -> tuple[int, int] | None:
        """Epoch and seq of the last frame spoken of; None before the first."""
        return None if self._epoch is None else (self._epoch, self._next - 1)

    @property
    def is_even(self) -> bool:
        """Whether nothing is held back."""
        return not self._held

    def put(self, verdict: FrameVerdict) -> list[FrameVerdict]:
        """Takes one verdict; returns those that are in order now."""
        ready: list[FrameVerdict] = []
        epoch = self._epoch
        if epoch is None:
            self._epoch, self._next = verdict.id.epoch, verdict.id.seq
        elif verdict.id.epoch > epoch:
            # Of an epoch that it was there for from the beginning, the source tells from seq 0 on.
            ready += self.flush()
            self._epoch, self._next = verdict.id.epoch, 0
        elif verdict.id.epoch < epoch or verdict.next_seq <= self._next:
            self.late += verdict.count
            return ready
        if verdict.id.seq < self._next:
            verdict = _from(verdict, self._next)
        self._held[verdict.id.seq] = verdict
        if epoch is not None and not self._has_begun and verdict.id.seq - self._next > _REORDERED:
            # Taken over from another worker: what lies between its last frame and this one was seen by nobody.
            ready += self._fill(verdict.id.seq, NoScore.NO_PIXELS)
        self._has_begun = True
        ready += self._in_order()
        if len(self._held) > self._depth:
            ready += self._fill(min(self._held))
            ready += self._in_order()
        return ready

    def flush(self) -> list[FrameVerdict]:
        """All that is held, with reasons in the holes: the epoch is over."""
        ready: list[FrameVerdict] = []
        while self._held:
            ready += self._fill(min(self._held))
            ready += self._in_order()
        return ready

    def _in_order(self) -> list[FrameVerdict]:
        ready: list[FrameVerdict] = []
        while (verdict := self._held.pop(self._next, None)) is not None:
            ready.append(verdict)
            self._next = verdict.next_seq
        return ready

    def _fill(self, until_seq: int, reason: NoScore = NoScore.NOT_DECODED) -> list[FrameVerdict]:
        if until_seq <= self._next or self._epoch is None:
            return []
        following = self._held[until_seq]
        hole = FrameVerdict(
            FrameId(following.id.camera, self._epoch, self._next),
            following.received_ns,
            Observation(reason=reason),
            until_seq - self._next,
        )
        self._next = until_seq
        return [hole]


def _from(verdict: FrameVerdict, seq: int) -> FrameVerdict:
    """What it says of the frames from `seq` on."""
    return replace(verdict, id=replace(verdict.id, seq=seq), count=verdict.next_seq - seq)

"""Verdict blocks: collected, flushed, numbered and kept until they are acknowledged. Pure.

Kept blocks are bounded. When the pool has been away for so long that there is no room, scores are given up and only the
reason OVERRUN is told for their frames: those runs take no room to speak of, and no frame goes without a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from detector_pool.detector import Observation
from detector_pool.reasons import NoScore
from detector_pool.sequence import FrameVerdict
from mesh.ids import FrameId

SECOND = 1_000_000_000
FLUSH_EVERY_NS = SECOND
URGENT_NS = SECOND
MAX_VERDICTS = 256
MAX_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A detector's state behind a frame: all frames up to it, and none behind it, were shown to the detector."""

    after: FrameId
    detector: str
    """Name and version."""
    state: bytes
    received_ns: int = 0
    following: bytes = b""
    """How the regions followed the camera up to there; empty where they are fixed."""


@dataclass(frozen=True, slots=True)
class Block:
    """Verdicts of one inspection, in the order of ids. `number` and `fence` are 0 until it is kept for sending."""

    inspection: str
    detector: str
    verdicts: tuple[FrameVerdict, ...]
    number: int = 0
    fence: int = 0
    checkpoint: Checkpoint | None = None


class BlockBuilder:
    """Collects verdicts until they are due: at once around a crossing of the threshold, else within a second."""

    def __init__(self, inspection: str, detector: str, threshold: float) -> None:
        self.inspection = inspection
        self.detector = detector
        self.threshold = threshold
        self._verdicts: list[FrameVerdict] = []
        self._oldest_ns = 0
        self._urgent_until_ns = -1
        self._is_above = False

    def add(self, verdict: FrameVerdict, now_ns: int) -> None:
        """Takes the next verdict; `now_ns` is monotonic."""
        if not self._verdicts:
            self._oldest_ns = now_ns
        observation = verdict.observation
        if observation.reason is None:
            is_above = observation.score >= self.threshold
            if is_above != self._is_above:
                self._is_above, self._urgent_until_ns = is_above, now_ns + URGENT_NS
        _append(self._verdicts, verdict)

    def is_due(self, now_ns: int) -> bool:
        """Whether what was collected should go now."""
        if not self._verdicts:
            return False
        is_full = len(self._verdicts) >= MAX_VERDICTS
        return is_full or now_ns <= self._urgent_until_ns or now_ns - self._oldest_ns >= FLUSH_EVERY_NS

    def take(self, checkpoint: Checkpoint | None = None) -> Block | None:
        """What was collected, with the state behind the last of it if given; None if nothing was."""
        if not self._verdicts:
            return None
        verdicts, self._verdicts = tuple(self._verdicts), []
        return Block(self.inspection, self.detector, verdicts, checkpoint=checkpoint)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was collected."""
        return not self._verdicts


class KeptBlocks:
    """Blocks on their way, until they are acknowledged, in the order of their numbers."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self._blocks: dict[int, Block] = {}
        self._sent: set[int] = set()
        self._last_number = 0
        self.thinned = 0
        """Frames whose scores were given up for lack of room."""

    def __len__(self) -> int:
        return len(self._blocks)

    def keep(self, block: Block, fence: int) -> Block:
        """Numbers a block, gives it its fence and keeps it; returns what is to be sent."""
        if len(self._blocks) >= self._max_kept:
            block = self._thin(block)
        if block.checkpoint is not None:
            self._forget_checkpoint(block.inspection)
        self._last_number += 1
        block = replace(block, number=self._last_number, fence=fence)
        self._blocks[block.number] = block
        return block

    def acknowledged(self, number: int, fence: int = 0) -> None:
        """A block was judged, or refused for good; `fence`: as which it had been sent.

        One that has another fence by now was refused for its old one: it goes out again.
        """
        block = self._blocks.get(number)
        if block is not None and fence and block.fence != fence:
            return
        self._blocks.pop(number, None)
        self._sent.discard(number)

    def get(self, number: int) -> Block | None:
        """A block that is still kept; it counts as sent from now on."""
        block = self._blocks.get(number)
        if block is not None:
            self._sent.add(number)
        return block

    def assigned(self, inspection: str, fence: int) -> list[int]:
        """The inspection goes on under this fence, on a new stream perhaps: numbers of its blocks, to be sent again."""
        numbers = [number for number, block in self._blocks.items() if block.inspection == inspection]
        for number in numbers:
            self._blocks[number] = replace(self._blocks[number], fence=fence)
        return numbers

    def drop(self, inspection: str) -> None:
        """The inspection is somebody else's now, or nobody's."""
        for number in [number for number, block in self._blocks.items() if block.inspection == inspection]:
            self.acknowledged(number)

    def disconnected(self) -> None:
        """The stream is gone: nothing counts as sent."""
        self._sent.clear()

    def _forget_checkpoint(self, inspection: str) -> None:
        """Only the newest one of an inspection is kept: they are large."""
        for number, block in self._blocks.items():
            if block.inspection == inspection and block.checkpoint is not None:
                self._blocks[number] = replace(block, checkpoint=None)

    def _thin(self, block: Block) -> Block:
        verdicts: list[FrameVerdict] = []
        # The newest block of the inspection, if it was thinned too and waits here, is told together with this one.
        for number in reversed(self._blocks):
            last = self._blocks[number]
            if last.inspection == block.inspection:
                if number not in self._sent and all(v.observation.reason for v in last.verdicts):
                    verdicts += last.verdicts
                    del self._blocks[number]
                break
        for verdict in block.verdicts:
            if verdict.observation.reason is None:
                self.thinned += verdict.count
                verdict = replace(verdict, observation=Observation(reason=NoScore.OVERRUN))
            _append(verdicts, verdict)
        # A state that knows what its verdicts do not say would be the start of other scores.
        return replace(block, verdicts=tuple(verdicts), checkpoint=None)


def frames(verdicts: Iterable[FrameVerdict]) -> int:
    """How many frames they speak of."""
    return sum(verdict.count for verdict in verdicts)


def _append(verdicts: list[FrameVerdict], verdict: FrameVerdict) -> None:
    """Adds a verdict; one with the same reason as the one before it, and next to it, prolongs that."""
    if verdicts and verdict.observation.reason is not None:
        last = verdicts[-1]
        is_next = last.id.epoch == verdict.id.epoch and last.next_seq == verdict.id.seq
        if is_next and last.observation.reason is verdict.observation.reason:
            verdicts[-1] = replace(last, count=last.count + verdict.count)
            return
    verdicts.append(verdict)

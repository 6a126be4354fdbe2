"""The interface of detectors, and the table of those that this pool can run.

A detector is a value without memory: what it remembers of a camera is its state, which it is handed and hands back, so
that a state can be stored, moved to another worker and started from again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from detector_pool.canvas import RegionMask
from detector_pool.picture import Picture
from detector_pool.reasons import NoScore

__all__ = ["Detector", "FoundBox", "NoScore", "Observation"]

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class FoundBox:
    """Something in the picture, in fractions of its width and height."""

    x: float
    y: float
    width: float
    height: float
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Observation:
    """What a detector says of one frame: a score from 0 (normal) to 1 with boxes, or why there is none."""

    score: float = 0.0
    boxes: tuple[FoundBox, ...] = ()
    reason: NoScore | None = None


class Detector(Protocol[State]):
    """Frames in; an observation and a new state out."""

    @property
    def name(self) -> str:
        """Name with version: "motion@1"."""
        ...

    def start(self) -> State:
        """The state before the first frame."""
        ...

    def inspect(self, picture: Picture, state: State, regions: Sequence[RegionMask]) -> tuple[Observation, State]:
        """Looks at one frame. Must not keep the picture's planes. The state given is not used again.

        The planes may be in shared memory: between its last look at them and its first change of the state it calls
        `picture.confirm()`, so that nothing is learnt from a picture that was overwritten meanwhile.
        """
        ...

    def pack(self, state: State) -> bytes:
        """The state as bytes that another process goes on from, to the bit as this one would."""
        ...

    def unpack(self, data: bytes) -> State:
        """The inverse of `pack`. Raises ValueError: not a state of this detector in this version."""
        ...

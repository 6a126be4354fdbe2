"""The interface of detectors: what an outsider writes, and what a worker calls.

A detector is a value without memory: what it remembers of a camera is its state, which it is handed and hands back, so
that a state can be stored, moved to another worker and started from again. A `DetectorType` makes detectors; types are
found by the entry point group `trueframe.detectors` (`registry.py`). The guide is docs/guide/detectors.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from detector_pool.canvas import RegionMask
from detector_pool.options import NO_OPTIONS, Option
from detector_pool.picture import Picture
from detector_pool.reasons import NoScore

__all__ = [
    "Detector", "DetectorType", "FoundBox", "Judging", "KeyPoint", "LoadedModel", "NoScore", "Observation", "Setup",
]  # fmt: skip

State = TypeVar("State")
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KeyPoint:
    """A point of a body, in fractions of the picture's width and height."""

    x: float
    y: float
    score: float


@dataclass(frozen=True, slots=True)
class FoundBox:
    """Something in the picture, in fractions of its width and height."""

    x: float
    y: float
    width: float
    height: float
    label: str
    score: float
    track: int = 0
    """The thing that it shows, followed from frame to frame; 0 if it is not followed."""
    said: str = ""
    """What stands out about it, in words for an operator: "faster than anything seen here"."""
    key_points: tuple[KeyPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """What a detector says of one frame: a score from 0 (normal) to 1 with boxes, or why there is none."""

    score: float = 0.0
    boxes: tuple[FoundBox, ...] = ()
    reason: NoScore | None = None
    said: str = ""
    """What stands out, in words for an operator."""
    series: tuple[tuple[str, float], ...] = ()
    """Named values beside the score, at most 32: ("blur", 0.12), ("count.person", 3.0)."""


@dataclass(frozen=True, slots=True)
class Judging:
    """When a detector's scores make an anomaly, unless an inspection or its calibration says otherwise."""

    threshold: float = 0.5
    closing_share: float = 0.7
    """It goes on while scores stay at or above `threshold * closing_share`."""
    min_duration_ns: int = 300_000_000
    merge_gap_ns: int = 3 * SECOND


class LoadedModel(Protocol):
    """A published model, unpacked. See `detector_pool.models`."""

    @property
    def digest(self) -> str:
        """SHA-256 of its content in hexadecimal."""
        ...

    @property
    def manifest(self) -> Mapping[str, Any]:
        """`detector.toml`."""
        ...

    def read(self, name: str) -> bytes:
        """A file of it. Raises InvalidArgument: there is none of that name."""
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a detector is made from."""

    camera: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """As they stand in the inspection, unchecked; `options.checked` checks them against the type's own."""
    model: LoadedModel | None = None
    timezone: str = "UTC"
    """IANA name of the site's zone: schedules are in it."""
    models: Mapping[str, LoadedModel] = field(default_factory=dict)
    """By name: those that options name (`Option.names_models`)."""


class Detector(Protocol[State]):
    """Frames in; an observation and a new state out."""

    @property
    def name(self) -> str:
        """Name with version, and with the model's digest where there is one: "motion@1", "objects@1:3fa2c1d09b12"."""
        ...

    def start(self) -> State:
        """The state before the first frame."""
        ...

    def inspect(self, picture: Picture, state: State, regions: Sequence[RegionMask]) -> tuple[Observation, State]:
        """Looks at one frame. Must not keep the picture's planes. The state given is not used again.

        `regions` are where the camera shows them now. The planes may be in shared memory: between its last look at them
        and its first change of the state it calls `picture.confirm()`, so that nothing is learnt from a picture that
        was overwritten meanwhile.
        """
        ...

    def pack(self, state: State) -> bytes:
        """The state as bytes, at most 4 MiB, that another process goes on from, to the bit as this one would."""
        ...

    def unpack(self, data: bytes) -> State:
        """The inverse of `pack`. Raises ValueError: not a state of this detector in this version."""
        ...


@dataclass(frozen=True, slots=True)
class DetectorType:
    """A kind of detector, and how one is made."""

    name: str
    """As inspections name it: `[a-z][a-z0-9-]{0,39}`."""
    version: str
    summary: str
    """What it does, in a sentence."""
    make: Maker
    """Makes one. Raises InvalidArgument with a remedy: options or a model that it cannot work with."""
    judging: Judging = field(default_factory=Judging)
    options: tuple[Option, ...] = NO_OPTIONS
    needs_model: bool = False


class Maker(Protocol):
    """Makes a detector."""

    def __call__(self, setup: Setup) -> Detector[Any]:
        """A detector for one camera. Raises InvalidArgument."""
        ...

"""What retention plans with, taken from the archive: segments as the planner sees them, growth, what holds keep.

What belongs here: the bridge from tables and rows to the planner's values. What does not: the plan (`retention`) and
the doing (`retention_keeper`). Reads files seldom; call it in a thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from media_center.catalogue import Segment, View
from media_center.footage import CameraFootage
from media_center.holds import HeldFootage
from media_center.retention import SECOND_NS, CameraStock, HoldOf, Rule, Stored
from trueframe.v1 import frames_pb2

_DAY_NS = 86_400 * SECOND_NS
# Segments before a held one that may be needed to decode it: a GOP of more than an hour is no GOP.
_MAX_LEAD = 16


class StoredSegments(Sequence[Stored]):
    """The closed segments of a view, made when they are asked for."""

    def __init__(
        self, camera: str, view: View, moved: Collection[str], numbers: Sequence[int] | None = None,
        stays: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        """`numbers`: positions in the view; None for all closed segments. `stays`: until when, by name."""
        self._camera = camera
        self._view = view
        self._moved = moved
        self._stays = stays or {}
        self._numbers: Sequence[int] = range(closed_count(view)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, number: int) -> Stored: ...
    @overload
    def __getitem__(self, number: slice) -> list[Stored]: ...
    def __getitem__(self, number: int | slice) -> Stored | list[Stored]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return stored(self._camera, self._view[self._numbers[number]], self._moved, self._stays)


def closed_count(view: View) -> int:
    """Segments that are not being written."""
    return len(view) - (len(view) > 0 and view.is_open(len(view) - 1))


def stored(camera: str, segment: Segment, moved: Collection[str], stays: Mapping[str, int]) -> Stored:
    """A segment as the planner sees it. One without frames counts from the beginning of its epoch."""
    begin, end = (segment.first_ns, segment.last_ns) if segment.frames else (segment.epoch, segment.epoch)
    first = segment.first_seq if segment.frames else segment.opened_seq
    return Stored(
        camera, segment.name, segment.epoch, first, begin, end, segment.size,
        segment.last_seq, segment.frames, segment.name in moved, stays.get(segment.name, 0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a camera has on disk."""

    segments: int
    size_bytes: int
    oldest_ns: int
    growth: float
    """Bytes recorded a second, over the last day."""


def amounts(view: View, now_ns: int) -> Amounts:
    """Figures of a camera."""
    if not len(view):
        return Amounts(0, 0, 0, 0.0)
    sizes, begins, ends = view.column("size"), view.column("first_ns"), view.column("last_ns")
    has_frames = begins > 0
    oldest_ns = int(begins[has_frames].min()) if has_frames.any() else 0
    recent = has_frames & (ends > now_ns - _DAY_NS)
    growth = 0.0
    if recent.any():
        # Over the time since then, pauses included: what a camera that is away half of the day needs.
        span_ns = max(now_ns - int(begins[recent].min()), SECOND_NS)
        growth = float(sizes[recent].sum()) / (span_ns / SECOND_NS)
    return Amounts(len(view), int(np.sum(sizes)), oldest_ns, growth)


def stock_of(
    camera: str, view: View, rule: Rule, moved: Collection[str], now_ns: int, stays: Mapping[str, int] | None = None
) -> CameraStock:
    """What the planner needs of a camera to look ahead."""
    found = amounts(view, now_ns)
    segments = StoredSegments(camera, view, moved, stays=stays)
    return CameraStock(camera, rule, segments, found.size_bytes, found.growth)


def stock_due(
    camera: str, view: View, rule: Rule, moved: Collection[str], held: HeldFootage, *, may_move: bool,
    stays: Mapping[str, int] | None = None,
) -> CameraStock:  # fmt: skip
    """What the planner needs for what is due now: no growth and, where nothing is moved, no held segments.

    Those may be many, and they would be walked over each time.
    """
    numbers = None if may_move else np.flatnonzero(~held_mask(camera, view, held)[: closed_count(view)]).tolist()
    size_bytes = int(view.column("size").sum()) if rule.max_bytes else 0
    return CameraStock(camera, rule, StoredSegments(camera, view, moved, numbers, stays), size_bytes)


def held_mask(camera: str, view: View, held: HeldFootage) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which segments of a view a hold covers; what those need for decoding is not counted."""
    spans = held.spans(camera)
    if not spans:
        return np.zeros(len(view), bool)
    begins = np.array([begin for begin, _ in spans], np.int64)
    reach = np.maximum.accumulate(np.array([end for _, end in spans], np.int64))
    has_frames = view.column("frames") > 0
    first = np.where(has_frames, view.column("first_ns"), view.column("epoch"))
    last = np.where(has_frames, view.column("last_ns"), view.column("epoch"))
    before = np.searchsorted(begins, last, "right")
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]] = (before > 0) & (reach[np.maximum(before - 1, 0)] >= first)
    return mask


def moved_bytes(view: View, moved: Collection[str]) -> int:
    """Bytes of the segments of those names."""
    if not moved:
        return 0
    keys = {(int(name[:19]), int(name[20:32])) for name in moved}
    columns = (view.column(name).tolist() for name in ("epoch", "opened_seq", "size"))
    return sum(size for epoch, seq, size in zip(*columns, strict=True) if (epoch, seq) in keys)


def hold_finder(footages: dict[str, CameraFootage], held: HeldFootage) -> HoldOf:
    """Which hold keeps a segment: one that covers it, or one behind it that cannot be decoded without it."""

    def hold_of(segment: Stored) -> str | None:
        direct = held.hold_of(segment.camera, segment.from_ns, segment.to_ns)
        return direct or _needed_by(footages[segment.camera], segment, held)

    return hold_of


def _needed_by(footage: CameraFootage, segment: Stored, held: HeldFootage) -> str | None:
    view = footage.view
    epoch, opened = (int(part) for part in segment.name.removesuffix(".mp4").split("-"))
    position = view.position_named(epoch, opened)
    if position is None:
        return None
    last = min(position + _MAX_LEAD, len(view) - 1)
    if not held.is_held(segment.camera, segment.to_ns, max(view[last].last_ns, segment.to_ns)):
        return None
    for number in range(position + 1, last + 1):
        follower = view[number]
        if follower.epoch != epoch or _begins_anew(footage, number):
            return None
        if found := held.hold_of(segment.camera, follower.first_ns, follower.last_ns):
            return found
    return None


def _begins_anew(footage: CameraFootage, number: int) -> bool:
    """Whether a segment can be decoded without the one before it; one that cannot be read needs nothing."""
    frames = footage.rows(number).frames
    return not len(frames) or int(frames["join_point"][0]) == frames_pb2.JOIN_POINT_EXACT

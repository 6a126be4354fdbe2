"""From a requested range to the rows it covers.

A range begins and ends at frames. Where it begins or ends at a frame that is not recorded, or at a time, what is told
between that place and the nearest recorded frame belongs to it too: a gap is as much an answer as a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from media_center.expired import Stretch
from media_center.footage import CameraFootage, Position
from mesh.errors import InvalidArgument
from mesh.ids import FrameId, validate_camera_id
from trueframe.v1 import footage_pb2, frames_pb2

_INT64_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """A validated range. None means open."""

    camera: str
    first: FrameId | None
    from_ns: int | None
    last: FrameId | None
    to_ns: int | None

    @property
    def has_end(self) -> bool:
        """Whether it ends somewhere."""
        return self.last is not None or self.to_ns is not None


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows from `begin` up to but without `stop`."""

    begin: Position
    stop: Position | None
    """None: to the end of what is recorded."""
    after: FrameId | None
    """The frame before `begin`, if a gap between them belongs to the selection."""
    before: tuple[FrameId, int] | None
    """The frame at `stop` and when it was received, if a gap right before it belongs to the selection."""
    first: Position | None
    """The first frame in it."""
    last: Position | None
    """The last frame in it, as far as it is recorded now."""
    gone: tuple[Stretch, ...] = ()
    """What was deleted before `begin` and belongs to the selection, too, because it begins there."""
    gone_behind: tuple[Stretch, ...] = ()
    """What was deleted behind all that is left, and belongs to the selection, too."""
    is_gone_whole: bool = True
    """All of both was asked for."""


def parse_range(message: footage_pb2.FootageRange) -> Bounds:
    """Validates a range. Raises InvalidArgument."""
    camera = validate_camera_id(message.camera)
    first = _parse_id(camera, message.first) if message.HasField("first") else None
    last = _parse_id(camera, message.last) if message.HasField("last") else None
    from_ns = message.from_ns if message.HasField("from_ns") else None
    to_ns = message.to_ns if message.HasField("to_ns") else None
    if (from_ns is not None and from_ns < 0) or (to_ns is not None and to_ns < 0):
        raise InvalidArgument("range", "has a time before 1970")
    if first is not None and last is not None and first > last:
        raise InvalidArgument("range", "ends before it begins", "Swap its two ends.")
    if from_ns is not None and to_ns is not None and from_ns > to_ns:
        raise InvalidArgument("range", "ends before it begins", "Swap its two ends.")
    return Bounds(camera, first, from_ns, last, to_ns)


def parse_frame_id(message: frames_pb2.FrameId) -> FrameId:
    """Validates a frame id. Raises InvalidArgument."""
    return _parse_id(validate_camera_id(message.camera), message)


def _parse_id(camera: str, message: frames_pb2.FrameId) -> FrameId:
    found = FrameId.from_proto(message)
    if found.camera not in (camera, ""):
        raise InvalidArgument(f"frame id {found}", f"is not one of camera {camera!r}")
    if found.epoch < 0 or found.seq < 0:
        raise InvalidArgument(f"frame id {found}", "has a negative number")
    return FrameId(camera, found.epoch, found.seq)


def select(footage: CameraFootage, bounds: Bounds, *, with_lead_in: bool = False) -> Selection:
    """The rows that a range covers, and what was deleted at its two ends."""
    selection = _select(footage, bounds, with_lead_in=with_lead_in)
    expired = footage.view.expired
    if not expired:
        return selection
    wanted = [one for one in expired if _touches(bounds, one)]
    gone: tuple[Stretch, ...] = ()
    behind: tuple[Stretch, ...] = ()
    if selection.begin == Position(0, 0) and selection.after is None:
        oldest = _key(footage, 0)
        gone = tuple(one for one in wanted if oldest is None or one.first < oldest)
    if selection.stop is None and (newest := _key(footage, len(footage.view) - 1)) is not None:
        behind = tuple(one for one in wanted if one.first > newest)
    is_whole = all(_is_inside(bounds, one) for one in (*gone, *behind))
    return replace(selection, gone=gone, gone_behind=behind, is_gone_whole=is_whole)


def _key(footage: CameraFootage, segment: int) -> tuple[int, int] | None:
    if not 0 <= segment < len(footage.view):
        return None
    found = footage.view[segment]
    return found.epoch, found.opened_seq


def _ends(bounds: Bounds) -> tuple[tuple[int, int], tuple[int, int], int, int]:
    """First and last id, first and last time of a range."""
    first = (bounds.first.epoch, bounds.first.seq) if bounds.first is not None else (0, 0)
    last = (bounds.last.epoch, bounds.last.seq) if bounds.last is not None else (_INT64_MAX, 0)
    return first, last, bounds.from_ns or 0, _INT64_MAX if bounds.to_ns is None else bounds.to_ns


def _touches(bounds: Bounds, stretch: Stretch) -> bool:
    first, last, from_ns, to_ns = _ends(bounds)
    is_between = stretch.last >= first and stretch.first <= last
    return is_between and stretch.to_ns >= from_ns and stretch.from_ns <= to_ns


def _is_inside(bounds: Bounds, stretch: Stretch) -> bool:
    first, last, from_ns, to_ns = _ends(bounds)
    is_between = stretch.first >= first and stretch.last <= last
    return is_between and stretch.from_ns >= from_ns and stretch.to_ns <= to_ns


def _select(footage: CameraFootage, bounds: Bounds, *, with_lead_in: bool) -> Selection:
    begin, after, first = _beginning(footage, bounds)
    stop, last = _ending(footage, bounds)
    is_exact = last is not None and footage.id_at(last) == bounds.last
    before = _gap_end(footage, stop) if stop is not None and not is_exact else None
    if first is not None and last is not None and last < first:
        # No recorded frame is in the range: what is told between the frames around it is all there is.
        previous = footage.previous(first)
        begin = Position(previous.segment, previous.row + 1) if previous is not None else Position(0, 0)
        after = footage.id_at(previous) if previous is not None else None
        return Selection(begin, first, after, _gap_end(footage, first), None, None)
    if first is None:
        last = None
    elif with_lead_in and (joined := footage.join_point_for(first)) is not None:
        begin, after = joined, None
    return Selection(begin, stop, after, before, first, last)


def _gap_end(footage: CameraFootage, position: Position) -> tuple[FrameId, int]:
    return footage.id_at(position), int(footage.row(position)["received_ns"])


def _beginning(footage: CameraFootage, bounds: Bounds) -> tuple[Position, FrameId | None, Position | None]:
    if bounds.first is None and bounds.from_ns is None:
        return Position(0, 0), None, footage.first_at_or_after(0, 0)
    if bounds.first is not None:
        first = footage.first_at_or_after(bounds.first.epoch, bounds.first.seq)
        if first is not None and footage.id_at(first) == bounds.first:
            return first, None, first
        before = footage.last_at_or_before(bounds.first.epoch, bounds.first.seq)
    else:
        assert bounds.from_ns is not None
        first = footage.first_received_from(bounds.from_ns)
        before = footage.previous(first) if first is not None else footage.last_at_or_before(_INT64_MAX, _INT64_MAX)
    if before is None:
        return Position(0, 0), None, first
    return Position(before.segment, before.row + 1), footage.id_at(before), first


def _ending(footage: CameraFootage, bounds: Bounds) -> tuple[Position | None, Position | None]:
    if not bounds.has_end:
        return None, footage.last_at_or_before(_INT64_MAX, _INT64_MAX)
    if bounds.last is not None:
        last = footage.last_at_or_before(bounds.last.epoch, bounds.last.seq)
        if last is not None and footage.id_at(last) == bounds.last:
            return Position(last.segment, last.row + 1), last
    else:
        assert bounds.to_ns is not None
        last = footage.last_received_until(bounds.to_ns)
    following = footage.following(last) if last is not None else footage.first_at_or_after(0, 0)
    return following, last

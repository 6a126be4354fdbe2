"""Where fragments and segments are cut: a pure state machine, one for each camera.

Items of the live stream and the passing of time go in, closed fragments come out. What does not belong here: bytes of
boxes (`fragment`), files and threads (`segment`, `writer`), subscriptions (`recorder`).

A fragment closes `fragment_ns` after its first item, whatever the GOP. A segment is followed by the next at the first
join point `segment_ns` after its first frame, after `max_segment_ns` at any frame, and always at a new epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.client import WireFrame
from media_center.rows import EPOCH_ENDED, EPOCH_STARTED, GAP
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2

StreamItem = WireFrame | frames_pb2.Gap | frames_pb2.EpochStarted | frames_pb2.EpochEnded

_JOIN_POINT_NONE = frames_pb2.JOIN_POINT_NONE
_MAX_PENDING_NOTES = 64
_REMEMBERED_NOTES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """When to cut. Times in nanoseconds."""

    fragment_ns: int = 1_000_000_000
    segment_ns: int = 60_000_000_000
    max_segment_ns: int = 300_000_000_000
    fragment_bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Note:
    """What the stream told beside frames: a gap, or the beginning or end of an epoch."""

    kind: int
    at_ns: int
    """UTC nanoseconds: when the gap was noticed, the epoch started or ended."""
    data: bytes
    """The encoded `Item`."""


def note_of(item: frames_pb2.Gap | frames_pb2.EpochStarted | frames_pb2.EpochEnded) -> Note:
    """The note for an item that is not a frame."""
    if isinstance(item, frames_pb2.Gap):
        return Note(GAP, item.noticed_ns, frames_pb2.Item(gap=item).SerializeToString(deterministic=True))
    if isinstance(item, frames_pb2.EpochStarted):
        encoded = frames_pb2.Item(epoch_started=item)
        return Note(EPOCH_STARTED, item.started_ns, encoded.SerializeToString(deterministic=True))
    return Note(EPOCH_ENDED, item.ended_ns, frames_pb2.Item(epoch_ended=item).SerializeToString(deterministic=True))


@dataclass(slots=True)
class Fragment:
    """Items of one camera and one epoch that are written in one piece."""

    camera: str
    started: frames_pb2.EpochStarted
    """The epoch that the items belong to."""
    opens_segment: bool
    leading: list[Note]
    """Told before the epoch began; only where a segment opens."""
    items: list[WireFrame | Note] = field(default_factory=list)
    frame_count: int = 0
    payload_bytes: int = 0
    next_monotonic_ns: int | None = None
    """Arrival of the frame behind this fragment in the same segment, when it is known."""
    lost: list[Note] = field(default_factory=list)
    """What could not be handed to the disk right before this fragment."""

    @property
    def frames(self) -> list[WireFrame]:
        """The frames alone."""
        return [item for item in self.items if not isinstance(item, Note)]

    @property
    def first(self) -> FrameId | None:
        """Id of the first frame."""
        return next((item.id for item in self.items if not isinstance(item, Note)), None)

    @property
    def last(self) -> FrameId | None:
        """Id of the last frame."""
        return next((item.id for item in reversed(self.items) if not isinstance(item, Note)), None)

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        return self.payload_bytes + 400 * len(self.items)


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a camera's footage on disk ends, for a cutter that goes on behind it."""

    started: frames_pb2.EpochStarted | None
    """The epoch; None if footage does not tell it any more: then the broker does, and a new segment begins."""
    last: FrameId | None
    """The last frame of that epoch; None if it has none."""
    segment_first_monotonic_ns: int | None
    """Of the first frame of the segment that can be gone on with; None if it has no frame."""
    tail_notes: Sequence[bytes]
    """Notes behind the last frame, encoded: the broker may tell them again."""
    is_ended: bool
    """The epoch's end is recorded."""
    behind: FrameId | None = None
    """The last frame of any epoch: where the broker is asked to go on."""


class Cutter:
    """Cuts one camera's stream. Counts what it leaves out: `repeated` frames that it has already, `stray` ones."""

    def __init__(self, camera: str, limits: Limits, resumption: Resumption | None = None) -> None:
        self.camera = camera
        self.repeated = 0
        self.stray = 0
        self._untold_strays = 0
        self._limits = limits
        self._started: frames_pb2.EpochStarted | None = None
        self._is_ended = False
        self._last_epoch = -1
        self._last_seq = -1
        self._segment_is_open = False
        self._segment_first_ns: int | None = None
        self._fragment: Fragment | None = None
        self._fragment_since_ns = 0
        self._fragment_first_ns: int | None = None
        self._pending: list[Note] = []
        self._recent: list[bytes] = []
        self._behind: FrameId | None = None
        if resumption is not None:
            self._started = resumption.started
            self._is_ended = resumption.is_ended
            self._behind = resumption.behind
            if resumption.last is not None:
                self._last_epoch, self._last_seq = resumption.last.epoch, resumption.last.seq
            elif resumption.started is not None:
                self._last_epoch = resumption.started.epoch
            self._segment_is_open = resumption.started is not None
            self._segment_first_ns = resumption.segment_first_monotonic_ns
            self._recent = list(resumption.tail_notes)[-_REMEMBERED_NOTES:]

    @property
    def open_bytes(self) -> int:
        """About what the open fragment holds in memory."""
        return self._fragment.size_bytes if self._fragment is not None else 0

    @property
    def last(self) -> FrameId | None:
        """The last frame taken, written or not; before the first one, the last on disk."""
        return FrameId(self.camera, self._last_epoch, self._last_seq) if self._last_seq >= 0 else self._behind

    def take(self, item: StreamItem, now_ns: int) -> list[Fragment]:
        """Takes the next item of the stream; returns the fragments that it closes. `now_ns`: local monotonic time."""
        if isinstance(item, frames_pb2.EpochStarted):
            return self._take_epoch(item)
        if isinstance(item, frames_pb2.Gap | frames_pb2.EpochEnded):
            return self._take_note(item, now_ns)
        return self._take_frame(item, now_ns)

    def tick(self, now_ns: int) -> list[Fragment]:
        """Closes the fragment whose time is over although nothing follows it."""
        if self._untold_strays and self._started is not None:
            self._tell_strays(now_ns)
        if self._fragment is not None and now_ns - self._fragment_since_ns >= self._limits.fragment_ns:
            return self.flush()
        return []

    def flush(self) -> list[Fragment]:
        """Closes the open fragment now."""
        closed, self._fragment = self._fragment, None
        return [] if closed is None else [closed]

    def _take_epoch(self, started: frames_pb2.EpochStarted) -> list[Fragment]:
        if self._started is not None and started.epoch <= self._started.epoch:
            return []  # told again to a subscriber that came back
        if started.epoch < self._last_epoch:
            return []
        closed = self.flush()
        self._started = started
        self._is_ended = False
        if started.epoch > self._last_epoch:
            self._last_epoch, self._last_seq = started.epoch, -1
        self._segment_is_open = False
        self._recent.clear()
        return closed

    def _take_note(self, item: frames_pb2.Gap | frames_pb2.EpochEnded, now_ns: int) -> list[Fragment]:
        note = note_of(item)
        if note.data in self._recent:
            return []
        if isinstance(item, frames_pb2.EpochEnded):
            if self._started is None or item.epoch != self._started.epoch or self._is_ended:
                return []
            self._is_ended = True
        self._recent = [*self._recent[-_REMEMBERED_NOTES + 1 :], note.data]
        if self._started is None:
            self._pending = [*self._pending[-_MAX_PENDING_NOTES + 1 :], note]
            return []
        self._open_fragment(now_ns).items.append(note)
        return self.flush() if self._is_ended else []

    def _take_frame(self, frame: WireFrame, now_ns: int) -> list[Fragment]:
        if self._started is None or frame.epoch != self._started.epoch:
            self.stray += 1
            self._untold_strays += 1
            return []
        if frame.seq <= self._last_seq:
            self.repeated += 1
            return []
        closed = self._cut_before(frame)
        fragment = self._open_fragment(now_ns)
        if self._segment_first_ns is None:
            self._segment_first_ns = frame.monotonic_ns
        if self._fragment_first_ns is None:
            self._fragment_first_ns = frame.monotonic_ns
        fragment.items.append(frame)
        fragment.frame_count += 1
        fragment.payload_bytes += len(frame.payload)
        self._last_seq = frame.seq
        self._recent.clear()
        if fragment.payload_bytes >= self._limits.fragment_bytes:
            closed += self.flush()
        return closed

    def _tell_strays(self, now_ns: int) -> None:
        """Frames of an epoch below the recorded one would break the order of ids: they are told, not recorded."""
        assert self._started is not None
        last = self.last
        gap = frames_pb2.Gap(
            camera=self.camera,
            after=last.to_proto() if last is not None else None,
            reason=frames_pb2.GAP_REASON_NOT_RECORDED,
            count=self._untold_strays,
            noticed_ns=self._started.started_ns,
        )
        self._untold_strays = 0
        self._open_fragment(now_ns).items.append(note_of(gap))

    def _cut_before(self, frame: WireFrame) -> list[Fragment]:
        limits = self._limits
        age_ns = frame.monotonic_ns - self._segment_first_ns if self._segment_first_ns is not None else 0
        ends_segment = self._segment_is_open and (
            age_ns >= limits.max_segment_ns or (age_ns >= limits.segment_ns and frame.join_point != _JOIN_POINT_NONE)
        )
        fragment = self._fragment
        if ends_segment:
            self._segment_is_open = False
        elif self._fragment_first_ns is None or frame.monotonic_ns - self._fragment_first_ns < limits.fragment_ns:
            return []
        if fragment is not None:
            fragment.next_monotonic_ns = frame.monotonic_ns
        return self.flush()

    def _open_fragment(self, now_ns: int) -> Fragment:
        if self._fragment is None:
            assert self._started is not None
            leading: list[Note] = []
            if not self._segment_is_open:
                leading, self._pending = self._pending, []
                self._segment_first_ns = None
            self._fragment = Fragment(self.camera, self._started, not self._segment_is_open, leading)
            self._segment_is_open = True
            self._fragment_since_ns = now_ns
            self._fragment_first_ns = None
        return self._fragment

"""Past and live as one stream: what was given out, what comes next, and which of the two has it. Pure.

What belongs here: for each camera the last frame given out, what must not be told twice, gaps that only the two sources
together betray, and when to go back from live to the footage. What does not: calls and waiting (`past_to_live`).

Footage is read until it has nothing newer; then live goes on behind the last frame. When live says that its ring no
longer holds what comes next (OVERRUN), or that a broker died (BROKER_LOST), the footage may have it: it is read again
from the last frame on, and waited for a little. What it does not have by then stays the gap that live told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.client import Start, WireFrame
from media_center.client_calls import FootageItem, footage_range
from media_center.export_parts import Place
from media_center.gap_reasons import TAKES_IDS, may_hide_an_end
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, frames_pb2

_HEALABLE = frozenset({frames_pb2.GAP_REASON_OVERRUN, frames_pb2.GAP_REASON_BROKER_LOST})


@dataclass(slots=True)
class _Camera:
    """How far one camera has come."""

    name: str
    start: Place
    has_lead_in: bool
    last: FrameId | None = None
    started: int = -1
    ended: int = -1
    waiting_epoch: frames_pb2.EpochStarted | None = None
    """Told live before the first frame that is wanted."""
    told: set[object] = field(default_factory=set)
    """Gaps given out since the last frame."""
    missing: int = 0
    """Ids that they explain."""
    has_told_end: bool = False
    """One of them stands for the end of the epoch, too."""
    mark: FrameId | None = None
    """The last frame on disk when the footage was read."""
    mark_is_end: bool = False
    """It is the last of its epoch."""
    reaches_back: bool = False
    """Live has given a frame from before the start: nothing is missing behind the start."""
    read_to: FrameId | None = None
    """The footage was read up to here."""
    behind_since_s: float | None = None
    """Live could not go on; the footage has given nothing since."""

    def take(self, item: FootageItem, *, is_live: bool) -> list[FootageItem]:
        """What of an item goes out."""
        if isinstance(item, WireFrame):
            return self._take_frame(item, is_live=is_live)
        if self.last is None and is_live and not (isinstance(item, frames_pb2.Gap) and item.reason in _HEALABLE):
            # Of a ring read from before the start on: only the epoch of the first frame is wanted.
            self.waiting_epoch = item if isinstance(item, frames_pb2.EpochStarted) else self.waiting_epoch
            if isinstance(item, frames_pb2.EpochEnded) and self.mark is not None:
                self.mark_is_end = (item.epoch, item.last_seq) == (self.mark.epoch, self.mark.seq)
            return []
        if isinstance(item, frames_pb2.EpochStarted):
            if item.epoch <= self.started:
                return []
            self.started = item.epoch
            return [item]
        if isinstance(item, frames_pb2.EpochEnded):
            return self._take_end(item)
        return self._take_gap(item)

    def _take_frame(self, frame: WireFrame, *, is_live: bool) -> list[FootageItem]:
        frame_id: FrameId = frame.id
        if self.last is None and self._is_before_start(frame):
            self.reaches_back = is_live
            self._forget_gaps()  # they lie before the start
            if not self.has_lead_in:
                return []
        if self.last is not None and frame_id <= self.last:
            return []
        out: list[FootageItem] = []
        if self.waiting_epoch is not None and self.waiting_epoch.epoch > self.started:
            self.started = self.waiting_epoch.epoch
            out.append(self.waiting_epoch)
        self.waiting_epoch = None
        gap = self._untold_before(frame, is_live=is_live)
        if gap is not None:
            out.append(gap)
        self.last = frame_id
        self._forget_gaps()
        self.behind_since_s = None
        return [*out, frame]

    def _take_end(self, ended: frames_pb2.EpochEnded) -> list[FootageItem]:
        if ended.epoch <= self.ended or (self.last is not None and ended.epoch < self.last.epoch):
            return []
        out: list[FootageItem] = []
        if self.last is not None and ended.HasField("last_seq"):
            begun = self.last.seq if self.last.epoch == ended.epoch else -1
            if self.last.epoch == ended.epoch or self.ended == self.last.epoch:
                missing = ended.last_seq - begun - self.missing
                if missing > 0:
                    out.append(self._gap(None, missing, ended.ended_ns))
            self.last = FrameId(self.name, ended.epoch, max(ended.last_seq, begun))
        self.ended = ended.epoch
        self._forget_gaps()
        return [*out, ended]

    def _take_gap(self, gap: frames_pb2.Gap) -> list[FootageItem]:
        clipped = self._behind_last(gap)
        if clipped is None:
            return []
        # Live and footage notice the same loss at different times.
        key: object = clipped.reason if clipped.reason in _HEALABLE else clipped.SerializeToString(deterministic=True)
        if key in self.told:
            return []
        self.told.add(key)
        self.has_told_end = self.has_told_end or may_hide_an_end(clipped)
        if clipped.reason in TAKES_IDS:
            self.missing += clipped.count
        return [clipped]

    def _behind_last(self, gap: frames_pb2.Gap) -> frames_pb2.Gap | None:
        """The part of a gap behind the last frame given out; None if there is none."""
        last = self.last
        if last is None:
            return gap
        before = (gap.before.epoch, gap.before.seq) if gap.HasField("before") else None
        if before is not None and before <= (last.epoch, last.seq):
            return None
        after = (gap.after.epoch, gap.after.seq) if gap.HasField("after") else None
        if after is None or after >= (last.epoch, last.seq):
            return gap
        clipped = frames_pb2.Gap()
        clipped.CopyFrom(gap)
        clipped.after.CopyFrom(last.to_proto())
        if before is not None and before[0] == last.epoch:
            count = before[1] - last.seq - 1
        elif after[0] == last.epoch and gap.HasField("count"):
            count = gap.count - (last.seq - after[1])
        elif before is None:
            return None  # of an epoch that is over
        else:
            clipped.ClearField("count")
            return clipped
        clipped.count = count
        return clipped if count > 0 else None

    def _is_before_start(self, frame: WireFrame) -> bool:
        if isinstance(self.start, FrameId):
            return bool((frame.epoch, frame.seq) < (self.start.epoch, self.start.seq))
        return self.start is not None and frame.received_ns < self.start

    def _forget_gaps(self) -> None:
        self.told.clear()
        self.missing = 0
        self.has_told_end = False

    def begins_behind_hole(self, frame: WireFrame) -> bool:
        """Whether live begins behind the start with a frame that the footage on disk does not lead up to.

        Its ring does not reach back to the start, or its broker is another than that of the footage. Of a camera that
        was never recorded nobody knows whether there were frames before.
        """
        if self.last is not None or self.start is None or self.reaches_back or self._is_before_start(frame):
            return False
        if self.mark is None or frame.id == self.start:
            return False
        if frame.epoch == self.mark.epoch:
            return bool(frame.seq > self.mark.seq + 1)
        return not (self.mark_is_end and frame.seq == 0)

    def _untold_before(self, frame: WireFrame, *, is_live: bool) -> frames_pb2.Gap | None:
        """The gap before a frame that the ids betray and nobody told."""
        last = self.last
        if last is None:
            is_hole = is_live and not self.has_told_end and self.begins_behind_hole(frame)
            return self._gap(frame, None, frame.received_ns) if is_hole else None
        if frame.epoch == last.epoch:
            missing = frame.seq - last.seq - 1 - self.missing
        elif self.ended == last.epoch:
            missing = frame.seq - self.missing
        else:
            return None if self.has_told_end else self._gap(frame, None, frame.received_ns)
        return self._gap(frame, missing, frame.received_ns) if missing > 0 else None

    def _gap(self, before: WireFrame | None, count: int | None, noticed_ns: int) -> frames_pb2.Gap:
        after = self.last or self.mark
        return frames_pb2.Gap(
            camera=self.name,
            after=after.to_proto() if after is not None else None,
            before=before.id.to_proto() if before is not None else None,
            reason=frames_pb2.GAP_REASON_RECORDER_LOST,
            count=count,
            noticed_ns=noticed_ns,
        )


class Joint:
    """Puts items of footage and of live together, camera by camera."""

    def __init__(self, starts: Mapping[str, Place], *, with_lead_in: bool = False, patience_s: float = 5.0) -> None:
        """`patience_s`: how long the footage is waited for when live cannot go on."""
        self._cameras = {name: _Camera(name, start, with_lead_in) for name, start in starts.items()}
        self._patience_s = patience_s
        self.has_been_live = False

    @property
    def cameras(self) -> list[str]:
        """All of them."""
        return list(self._cameras)

    def ranges(self, marks: Mapping[str, FrameId]) -> list[footage_pb2.FootageRange]:
        """What to read of the footage, given the last recorded frames; nothing if it has nothing newer."""
        wanted = []
        for camera in self._cameras.values():
            mark = camera.mark = marks.get(camera.name)
            known = max((place for place in (camera.last, camera.read_to) if place is not None), default=None)
            if mark is not None and (known is None or mark > known):
                wanted.append(footage_range(camera.name, camera.last or camera.start))
        return wanted

    def was_read(self, ranges: list[footage_pb2.FootageRange], marks: Mapping[str, FrameId]) -> None:
        """Ranges were read to their end, which is at or behind these marks."""
        for one in ranges:
            self._cameras[one.camera].read_to = marks[one.camera]

    def take_past(self, item: FootageItem) -> list[FootageItem]:
        """What of an item of the footage goes out."""
        return self._cameras[item.camera].take(item, is_live=False)

    def waits(self, now_s: float) -> bool:
        """Whether the footage may still bring what live does not have."""
        return any(self._is_patient(camera, now_s) for camera in self._cameras.values())

    def live_starts(self) -> dict[str, Start]:
        """Where live goes on, for each camera."""
        for camera in self._cameras.values():
            camera.reaches_back = camera.mark_is_end = False
        return {camera.name: _live_start(camera) for camera in self._cameras.values()}

    def take_live(self, item: FootageItem, now_s: float) -> list[FootageItem] | None:
        """What of a live item goes out; None: close live and read the footage first."""
        camera = self._cameras[item.camera]
        is_gap = isinstance(item, frames_pb2.Gap) and item.reason in _HEALABLE
        if is_gap or (isinstance(item, WireFrame) and camera.begins_behind_hole(item)):
            if camera.behind_since_s is None:
                camera.behind_since_s = now_s
            if self._is_patient(camera, now_s):
                return None
        self.has_been_live = True
        return camera.take(item, is_live=True)

    def _is_patient(self, camera: _Camera, now_s: float) -> bool:
        return camera.behind_since_s is not None and now_s - camera.behind_since_s < self._patience_s


def _live_start(camera: _Camera) -> Start:
    if camera.last is not None:
        return camera.last
    if isinstance(camera.start, FrameId):
        start = camera.start
        # Before the first of an epoch there is no id to go on behind: from the oldest that the ring holds.
        return FrameId(camera.name, start.epoch, start.seq - 1) if start.seq else 1
    return camera.start or 1

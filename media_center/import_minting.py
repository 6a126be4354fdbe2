"""Access units of a video file as the frames of an imported epoch: ids, times, damage, gaps. Pure.

What belongs here: what the broker's ingest does for live streams, by the file's own clock. What does not: reading files
(`import_reading`) and writing footage (`import_run`).

The first unit that is shown is received at `start_ns`, the nth one by as much later as the file shows its nth picture:
strictly increasing in the order of decoding, as arrivals are, at the distances at which pictures were taken, whatever
a muxer made of its decoding times. What B-frames hold back is shown a little later than that; `pts` tells when, as
live. A file that tells no presentation times is taken by its decoding times. What an edit list hides is footage, too:
before the first picture it is what that needs for decoding, and is received before `start_ns`. `monotonic_ns` counts
from the first unit: no clock of this machine saw the frames arrive.
"""

from __future__ import annotations

import heapq
from collections import deque
from statistics import median

from broker.sources.client import (
    MAX_UNIT_BYTES,
    DamageTracker,
    FileUnit,
    encode_frame,
    encode_item,
    inspector_for,
    sha256,
)
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2

_JOIN_NONE = frames_pb2.JOIN_POINT_NONE
# A pause is a hole if it is longer than this and much longer than the pauses before it.
HOLE_NS = 1_000_000_000
HOLE_RATIO = 8
_INTERVALS = 32
_JUMP_BACK_NS = 500_000_000
# Units whose presentation times are looked at before the first of them gets its time: deeper than B-frames ever go.
_HELD_UNITS = 32
_HELD_BYTES = 2 * MAX_UNIT_BYTES
_NS = 1_000_000_000
_DEFAULT_INTERVAL_NS = 40_000_000


class Minter:
    """Makes the items of one import. Not thread-safe."""

    def __init__(
        self, camera: str, epoch: int, start_ns: int, codec: frames_pb2.Codec.ValueType, time_base: tuple[int, int],
        parameter_sets: bytes = b"", shown_from_ns: int = 0,
    ) -> None:  # fmt: skip
        """`epoch`: of the first item; `time_base`: of `pts`; `start_ns`: of the first unit shown, UTC nanoseconds.

        `shown_from_ns`: when that is shown by the file's own clock.
        """
        self._camera = camera
        self._next_epoch = epoch
        self._start_ns = start_ns
        self._shown_from_ns = shown_from_ns
        self._first_ns = start_ns
        self._codec = codec
        self._time_base = frames_pb2.Rational(num=time_base[0], den=time_base[1])
        self._inspector = inspector_for(codec, parameter_sets)
        self._held: deque[FileUnit] = deque()
        self._held_bytes = 0
        self._shown: list[int] = []
        self._decoded_ns = 0
        self._epoch = -1
        self._seq = 0
        self._size = (0, 0)
        self._damage = DamageTracker()
        self._last: FrameId | None = None
        self._last_ns: int | None = None
        self._last_due_ns = 0
        self._shift_ns = 0
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._before_sets = 0
        self._refused = 0
        self._has_hole = False
        self.frames = 0
        self.holes = 0
        """Pauses that the file has where pictures should be."""
        self.jumps_back = 0
        """Places where the file's clock went back."""
        self.refused_units = 0
        """Units that are no pictures, or too long."""
        self.undecodable_units = 0
        """Units before the first parameter sets."""
        self.hidden_units = 0
        """Units that the file's edit list does not show."""
        self.damaged_units = 0
        """Units of which the demuxer says that bytes are missing."""

    @property
    def first_ns(self) -> int:
        """When the first unit was received, UTC nanoseconds."""
        return self._first_ns

    @property
    def last_ns(self) -> int:
        """When the last unit was received, UTC nanoseconds."""
        return self._first_ns if self._last_ns is None else self._last_ns

    def unit(self, unit: FileUnit) -> list[bytes]:
        """Takes the next unit of the file. Returns the encoded items that are ready, of earlier ones mostly."""
        items: list[bytes] = []
        step = unit.due_ns - self._decoded_ns
        self._decoded_ns = unit.due_ns
        if step > HOLE_NS or step < -_JUMP_BACK_NS:
            items += self._release(0)  # nothing is held back across a hole or where the clock goes back
        self._held.append(unit)
        self._held_bytes += len(unit.payload)
        heapq.heappush(self._shown, self._shown_ns(unit))
        return items + self._release(_HELD_UNITS)

    def _shown_ns(self, unit: FileUnit) -> int:
        """When the file shows a unit; when it decodes it, if it does not tell."""
        if unit.pts is None:
            return unit.due_ns
        return unit.pts * self._time_base.num * _NS // self._time_base.den

    def _release(self, keep: int) -> list[bytes]:
        items: list[bytes] = []
        while len(self._held) > keep or self._held_bytes > _HELD_BYTES:
            unit = self._held.popleft()
            self._held_bytes -= len(unit.payload)
            items += self._mint(unit, self._time(heapq.heappop(self._shown), is_hidden=unit.is_hidden))
        return items

    def _mint(self, unit: FileUnit, received_ns: int) -> list[bytes]:
        payload = unit.payload
        info = self._inspector.inspect(payload, unit.damaged)
        self.hidden_units += unit.is_hidden
        self.damaged_units += unit.damaged
        if info.nals == 0 or len(payload) > MAX_UNIT_BYTES:
            self._refused += 1
            self.refused_units += 1
            return []
        if not self._inspector.complete:
            self._before_sets += 1
            self.undecodable_units += 1
            return []
        items: list[bytes] = []
        join_point = info.join_point
        tells_size = info.has_sps or (join_point != _JOIN_NONE and info.decodable)
        size = (self._inspector.width, self._inspector.height)
        if self._epoch < 0 or (tells_size and size != self._size):
            if self._epoch >= 0:
                items += self._end(frames_pb2.EPOCH_END_REASON_FORMAT_CHANGED, "The file's picture size changes.")
            items.append(self._announce(received_ns, size))
        items += self._gaps(received_ns)
        if join_point != _JOIN_NONE:
            payload = self._inspector.with_parameter_sets(payload)
        is_damaged = unit.damaged or info.malformed or (info.starts_picture and not info.decodable)
        follows_damage = self._damage.observe(is_damaged, join_point, info.recovers_after, info.recovers_surely)
        items.append(
            encode_frame(
                self._camera, self._epoch, self._seq, received_ns, received_ns - self._first_ns, None, None, unit.pts,
                join_point, info.recovers_after, is_damaged, follows_damage, sha256(payload), payload,
            )
        )  # fmt: skip
        self._last = FrameId(self._camera, self._epoch, self._seq)
        self._seq += 1
        self.frames += 1
        return items

    def end(self, detail: str) -> list[bytes]:
        """The items that are left, and those that end the import; none if there was no frame."""
        items = self._release(0)
        if self._epoch < 0:
            return []
        items += self._gaps(self.last_ns, is_end=True)
        return items + self._end(frames_pb2.EPOCH_END_REASON_END_OF_STREAM, detail)

    def _time(self, due_ns: int, *, is_hidden: bool) -> int:
        """When a unit was received; notes holes, and mends a clock that goes back."""
        if self._last_ns is None:
            self._shift_ns = -self._shown_from_ns if is_hidden else -due_ns
            self._first_ns = self._start_ns + due_ns + self._shift_ns
            self._last_ns, self._last_due_ns = self._first_ns, due_ns
            return self._first_ns
        usual = round(median(self._intervals)) if self._intervals else _DEFAULT_INTERVAL_NS
        interval = due_ns - self._last_due_ns
        if interval < -_JUMP_BACK_NS:
            self.jumps_back += 1
            self._shift_ns += usual - interval
            interval = usual
        elif interval > max(HOLE_NS, HOLE_RATIO * usual) and self._intervals:
            self._has_hole = True
            self.holes += 1
        elif interval > 0:
            self._intervals.append(interval)
        self._last_due_ns = due_ns
        self._last_ns = max(self._last_ns + 1, self._start_ns + due_ns + self._shift_ns)
        return self._last_ns

    def _announce(self, received_ns: int, size: tuple[int, int]) -> bytes:
        self._epoch = self._next_epoch if self._epoch < 0 else max(self._epoch + 1, received_ns)
        self._seq = 0
        self._size = size
        self._damage = DamageTracker()
        return encode_item(
            frames_pb2.EpochStarted(
                camera=self._camera,
                epoch=self._epoch,
                origin=frames_pb2.EPOCH_ORIGIN_IMPORT,
                codec=self._codec,
                width=size[0],
                height=size[1],
                parameter_sets=self._inspector.parameter_sets,
                started_ns=received_ns,
                monotonic_ns=received_ns - self._first_ns,
                time_base=self._time_base,
            )
        )

    def _end(self, reason: frames_pb2.EpochEndReason.ValueType, detail: str) -> list[bytes]:
        ended = frames_pb2.EpochEnded(
            camera=self._camera, epoch=self._epoch, reason=reason, ended_ns=self.last_ns, detail=detail
        )
        if self._seq:
            ended.last_seq = self._seq - 1
        return [encode_item(ended)]

    def _gaps(self, now_ns: int, *, is_end: bool = False) -> list[bytes]:
        """What is missing before the next frame, or before the end."""
        told: list[tuple[frames_pb2.GapReason.ValueType, int | None]] = []
        if self._before_sets:
            told.append((frames_pb2.GAP_REASON_BEFORE_PARAMETER_SETS, self._before_sets))
        if self._refused:
            told.append((frames_pb2.GAP_REASON_REFUSED, self._refused))
        if self._has_hole:
            told.append((frames_pb2.GAP_REASON_RECORDER_LOST, None))
        self._before_sets = self._refused = 0
        self._has_hole = False
        items = []
        for reason, count in told:
            gap = frames_pb2.Gap(camera=self._camera, reason=reason, count=count, noticed_ns=now_ns)
            if self._last is not None:
                gap.after.CopyFrom(self._last.to_proto())
            if not is_end:
                gap.before.CopyFrom(FrameId(self._camera, self._epoch, self._seq).to_proto())
            items.append(encode_item(gap))
        if told:
            self._damage.lost()
        return items

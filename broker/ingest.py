"""Where a frame is minted: an access unit comes in, an encoded item with identity, times and digest goes to the hub.

Belongs here: seq, epochs on one connection, damage, gaps. Does not belong here: what outlives a connection (`feed`),
sockets and files (`rtsp`, `sources`), states and retries (`camera`, `owner`), subscribers (the core's hub). All of it
runs on the event loop's thread; `Ingest.unit` is the hot path and neither awaits nor queues.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from broker.core import MAX_UNIT_BYTES, DamageTracker, encode_frame, inspector_for, sha256
from broker.epochs import CLOCK_STEP_NS, Epoch
from broker.errors import SourceFailure, SourceRefused
from broker.kinds import Codec, EndReason, Reason
from broker.stillness import Stillness
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2
from trueframe.v1.frames_pb2 import (
    CODEC_H264,
    CODEC_H265,
    CODEC_MJPEG,
    EPOCH_END_REASON_CLOCK_STEPPED,
    EPOCH_END_REASON_CONNECTION_LOST,
    EPOCH_END_REASON_FORMAT_CHANGED,
    EPOCH_END_REASON_PROTOCOL_ERROR,
    EPOCH_END_REASON_SILENT,
    EPOCH_ORIGIN_LIVE,
    GAP_REASON_BEFORE_PARAMETER_SETS,
    GAP_REASON_NETWORK_LOSS,
    GAP_REASON_REFUSED,
    EpochEnded,
    EpochStarted,
    Gap,
)

if TYPE_CHECKING:
    from broker.feed import Feed

_HELD_UNITS = 256
_HELD_BYTES = 2 * MAX_UNIT_BYTES
# Cameras with one key frame in a minute exist; beyond that nobody would see a picture.
_PATIENCE_NS = 90_000_000_000
_EPOCHS_AT_ONCE = 5
_EPOCHS_WITHIN_NS = 60_000_000_000
_CODEC_NAMES = {CODEC_H264: "H.264", CODEC_H265: "H.265", CODEC_MJPEG: "Motion JPEG"}
_UNCLEAN_ENDS = frozenset({EPOCH_END_REASON_CONNECTION_LOST, EPOCH_END_REASON_SILENT, EPOCH_END_REASON_PROTOCOL_ERROR})

# payload, pts, damaged, lost_before, monotonic_ns, camera_time_ns, uncertainty_ns
_Unit: TypeAlias = "tuple[bytes, int | None, bool, bool, int, int | None, int | None]"


@dataclass(frozen=True, slots=True)
class Format:
    """How the units of an epoch are to be read. `time_base`: seconds per tick of pts, as a ratio; `parameter_sets`: in
    canonical form, as far as known beforehand.
    """

    codec: Codec
    time_base: tuple[int, int]
    parameter_sets: bytes


class Ingest:
    """Mints the frames of one connection: one epoch, and those that follow on it when format or clock change."""

    def __init__(self, feed: Feed, epoch: Epoch, format_: Format) -> None:
        self._feed = feed
        self._camera = feed.camera
        self._hub = feed.hub
        self._clock = feed.clock
        self._counters = feed.counters
        self._adopt(format_)
        self._next_format: Format | None = None
        self._held: deque[_Unit | Format] | None = None
        self._held_bytes = 0
        self._minting: asyncio.Task[None] | None = None
        self._openings: deque[int] = deque(maxlen=_EPOCHS_AT_ONCE)
        self._has_ended = False
        self._begin(epoch)

    def _begin(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self._number = epoch.number
        self._utc_minus_monotonic = epoch.started_ns - epoch.monotonic_ns
        self._seq = 0
        self._is_announced = False
        self._damage = DamageTracker()
        self._size = (0, 0)
        self._is_loss_pending = False
        self._refused_pending = 0
        self._before_sets = 0
        self._waiting_since_ns = 0
        self._last_join: int | None = None
        self._key_frame_interval = 0

    def _adopt(self, format_: Format) -> None:
        self._codec = format_.codec
        self._time_base = format_.time_base
        self._inspector = inspector_for(format_.codec, format_.parameter_sets)
        self._stillness = Stillness() if format_.codec == CODEC_MJPEG else None

    @property
    def epoch(self) -> int:
        """The open epoch once it was announced, else 0."""
        return self._number if self._is_announced else 0

    @property
    def number(self) -> int:
        """The epoch, announced or not."""
        return self._number

    @property
    def last_seq(self) -> int:
        """Last seq of the open epoch; -1 if none yet."""
        return self._seq - 1

    def received_ns(self, monotonic_ns: int) -> int:
        """UTC of a moment of the open epoch, as frames that arrived then are stamped."""
        return monotonic_ns + self._utc_minus_monotonic

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the open epoch in pixels; zeros before it was announced."""
        return self._size

    @property
    def codec(self) -> Codec:
        """How the units that come are coded."""
        return self._codec

    @property
    def key_frame_interval(self) -> int:
        """Longest distance between join points in the open epoch, in frames; 0 while there were fewer than two."""
        return self._key_frame_interval

    def unit(
        self,
        payload: bytes,
        pts: int | None,
        damaged: bool,
        lost_before: bool,
        monotonic_ns: int,
        camera_time_ns: int | None,
        camera_time_uncertainty_ns: int | None,
    ) -> None:
        """Takes one access unit in canonical form. `monotonic_ns`: when its last packet arrived."""
        if self._has_ended:
            return  # The connection is being torn down, on purpose.
        if self._held is not None:
            self._hold((payload, pts, damaged, lost_before, monotonic_ns, camera_time_ns, camera_time_uncertainty_ns))
            return
        if lost_before:
            self._is_loss_pending = True
        inspector = self._inspector
        info = inspector.inspect(payload, damaged)
        if info.nals == 0 or len(payload) > MAX_UNIT_BYTES:
            self.refuse()
            return
        if not self._is_announced:
            if not inspector.complete:
                self._wait_for_sets(monotonic_ns)
                return
            self._announce(monotonic_ns)
        join_point = info.join_point
        reason = self._reason_for_new_epoch(monotonic_ns, info.has_sps or (join_point != 1 and info.decodable))
        if reason is not None:
            self._hold((payload, pts, damaged, False, monotonic_ns, camera_time_ns, camera_time_uncertainty_ns))
            self._open_next(reason, monotonic_ns)
            return
        received_ns = monotonic_ns + self._utc_minus_monotonic
        seq = self._seq
        if self._is_loss_pending or self._refused_pending:
            self._tell_gaps(received_ns, seq)
        if join_point != 1:  # JOIN_POINT_NONE
            payload = inspector.with_parameter_sets(payload)
            self._note_join(seq)
        # What names sets that nobody knows lacks them.
        is_damaged = damaged or info.malformed or (info.starts_picture and not info.decodable)
        follows_damage = self._damage.observe(is_damaged, join_point, info.recovers_after, info.recovers_surely)
        digest = sha256(payload)
        item = encode_frame(
            self._camera,
            self._number,
            seq,
            received_ns,
            monotonic_ns,
            camera_time_ns,
            camera_time_uncertainty_ns,
            pts,
            join_point,
            info.recovers_after,
            is_damaged,
            follows_damage,
            digest,
            payload,
        )
        self._hub.append_frame(self._camera, self._number, seq, received_ns, monotonic_ns, join_point, is_damaged, item)
        self._seq = seq + 1
        counters = self._counters
        counters.frames += 1
        counters.payload_bytes += len(payload)
        counters.last_received_ns = received_ns
        if is_damaged:
            counters.damaged_frames += 1
        self._feed.last_sign_ns = monotonic_ns
        if seq == 0:
            self._feed.on_first_frame()
        if self._stillness is not None and (change := self._stillness.observe(digest, monotonic_ns)) is not None:
            self._feed.on_frozen(change)

    def _note_join(self, seq: int) -> None:
        if self._last_join is not None:
            self._key_frame_interval = max(self._key_frame_interval, seq - self._last_join)
        self._last_join = seq

    def _wait_for_sets(self, monotonic_ns: int) -> None:
        """Counts a unit that nobody can decode yet. The camera is alive; after a while it is refused all the same."""
        if not self._before_sets:
            self._waiting_since_ns = monotonic_ns
        self._before_sets += 1
        self._counters.units_before_parameter_sets += 1
        self._feed.last_sign_ns = monotonic_ns
        if monotonic_ns - self._waiting_since_ns > _PATIENCE_NS:
            reason = f"sent pictures for {_PATIENCE_NS // 1_000_000_000} s and no parameter sets"
            remedy = "Shorten the interval between key frames in the camera, or restart it."
            self._feed.on_failure(SourceRefused(f"camera {self._camera!r}", reason, remedy))

    def refuse(self, count: int = 1) -> None:
        """Counts units that got no id because they were malformed or too long; told before the next frame."""
        self._counters.refused_units += count
        self._refused_pending += count

    def lose(self) -> None:
        """Packets are missing; told before the next frame, or before the end of the epoch."""
        self._is_loss_pending = True

    def switch(self, codec: Codec, time_base: tuple[int, int], parameter_sets: bytes) -> None:
        """The units from here on are coded otherwise, on the same connection: a new epoch, unless none was announced.

        Arguments as of `Feed.open_epoch`.
        """
        format_ = Format(codec, time_base, parameter_sets)
        if self._has_ended:
            return
        if self._held is not None:
            if len(self._held) < _HELD_UNITS:
                self._held.append(format_)
            else:
                self._feed.on_failure(self._restless())
        elif not self._is_announced:
            self._adopt(format_)
        else:
            self._held = deque()
            self._next_format = format_
            self._open_next(EPOCH_END_REASON_FORMAT_CHANGED, self._clock.monotonic_ns())

    def end(self, reason: EndReason, detail: str) -> None:
        """Ends the epoch; what was held back for an epoch that never opened is counted as refused."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._is_announced and reason in _UNCLEAN_ENDS:
            # What the camera sent into a broken connection is unknown, and is told as that.
            self.lose()
        if self._minting is not None:
            self._minting.cancel()
        if self._held:
            self.refuse(sum(not isinstance(unit, Format) for unit in self._held))
        self._close_epoch(reason, detail, self._clock.monotonic_ns())

    # ---- epochs on the same connection ------------------------------------------------------------------------------

    def _reason_for_new_epoch(self, monotonic_ns: int, tells_size: bool) -> EndReason | None:
        if tells_size and (self._inspector.width, self._inspector.height) != self._size:
            return EPOCH_END_REASON_FORMAT_CHANGED
        if abs(self._clock.utc_ns() - monotonic_ns - self._utc_minus_monotonic) <= CLOCK_STEP_NS:
            return None
        # This process may have been stopped between the read and now: only a fresh pair of clocks proves a step.
        if self._epoch.is_stepped(self._clock.utc_ns(), self._clock.monotonic_ns()):
            return EPOCH_END_REASON_CLOCK_STEPPED
        return None

    def _open_next(self, reason: EndReason, now_ns: int) -> None:
        detail = {
            EPOCH_END_REASON_FORMAT_CHANGED: (
                "The camera changed its picture size."
                if self._next_format is None
                else f"The camera changed from {codec_name(self._codec)} to {codec_name(self._next_format.codec)}."
            ),
            EPOCH_END_REASON_CLOCK_STEPPED: "The wall clock of the broker's host was stepped.",
        }[reason]
        self._close_epoch(reason, detail, now_ns)
        self._is_announced = False
        if len(self._openings) == _EPOCHS_AT_ONCE and now_ns - self._openings[0] < _EPOCHS_WITHIN_NS:
            self._feed.on_failure(self._restless())
            return
        self._openings.append(now_ns)
        self._minting = asyncio.get_running_loop().create_task(self._mint_next())

    def _restless(self) -> SourceRefused:
        reason = f"changed its picture size or its codec {_EPOCHS_AT_ONCE} times within a minute"
        return SourceRefused(f"camera {self._camera!r}", reason, "Check the camera.")

    async def _mint_next(self) -> None:
        try:
            epoch = await self._feed.mint()
        except SourceFailure as error:
            self._feed.on_failure(error)
            return
        held, self._held, self._held_bytes, self._minting = self._held or deque(), None, 0, None
        refused, lost = self._refused_pending, self._is_loss_pending
        self._begin(epoch)
        self._refused_pending, self._is_loss_pending = refused, lost
        if self._next_format is not None:
            self._adopt(self._next_format)
            self._next_format = None
        for unit in held:
            if isinstance(unit, Format):
                self.switch(unit.codec, unit.time_base, unit.parameter_sets)
            else:
                self.unit(*unit)

    def _hold(self, unit: _Unit) -> None:
        """Keeps a unit until the next epoch is stored, some milliseconds; bounded: what does not fit is counted."""
        held = self._held = self._held if self._held is not None else deque()
        if len(held) >= _HELD_UNITS or self._held_bytes + len(unit[0]) > _HELD_BYTES:
            self.refuse()
            return
        held.append(unit)
        self._held_bytes += len(unit[0])

    def _announce(self, monotonic_ns: int) -> None:
        self._is_announced = True
        self._size = (self._inspector.width, self._inspector.height)
        num, den = self._time_base
        self._hub.append_item(
            self._camera,
            EpochStarted(
                camera=self._camera,
                epoch=self._number,
                origin=EPOCH_ORIGIN_LIVE,
                codec=self._codec,
                width=self._size[0],
                height=self._size[1],
                parameter_sets=self._inspector.parameter_sets,
                started_ns=self._epoch.started_ns,
                monotonic_ns=self._epoch.monotonic_ns,
                time_base=frames_pb2.Rational(num=num, den=den),
            ),
        )
        self._tell_before_sets(self._epoch.received_ns(monotonic_ns), 0)
        self._feed.on_epoch()

    def _close_epoch(self, reason: EndReason, detail: str, monotonic_ns: int) -> None:
        now_ns = self._epoch.received_ns(monotonic_ns)
        self._tell_before_sets(now_ns, None)
        if self._refused_pending or self._is_loss_pending:
            self._tell_gaps(now_ns, None)
        if not self._is_announced:
            return
        ended = EpochEnded(camera=self._camera, epoch=self._number, reason=reason, ended_ns=now_ns, detail=detail)
        if self._seq:
            ended.last_seq = self._seq - 1
            self._feed.last_id = FrameId(self._camera, self._number, self._seq - 1)
        self._hub.append_item(self._camera, ended)

    # ---- gaps -------------------------------------------------------------------------------------------------------

    def _tell_before_sets(self, now_ns: int, before: int | None) -> None:
        if self._before_sets:
            self._tell(GAP_REASON_BEFORE_PARAMETER_SETS, self._before_sets, now_ns, before)
            self._before_sets = 0

    def _tell_gaps(self, now_ns: int, before: int | None) -> None:
        """Tells what is missing before frame `before` (None: before the end of the epoch)."""
        if self._is_loss_pending:
            self._is_loss_pending = False
            self._counters.network_gaps += 1
            self._tell(GAP_REASON_NETWORK_LOSS, None, now_ns, before)
        if self._refused_pending:
            self._tell(GAP_REASON_REFUSED, self._refused_pending, now_ns, before)
            self._refused_pending = 0
        self._damage.lost()

    def _tell(self, reason: Reason, count: int | None, now_ns: int, before: int | None) -> None:
        gap = Gap(camera=self._camera, reason=reason, noticed_ns=now_ns, count=count)
        last = FrameId(self._camera, self._number, self._seq - 1) if self._seq else self._feed.last_id
        if last is not None:
            gap.after.CopyFrom(last.to_proto())
        if before is not None:
            gap.before.CopyFrom(FrameId(self._camera, self._number, before).to_proto())
        self._hub.append_item(self._camera, gap)


def codec_name(codec: Codec) -> str:
    """The codec as people write it: "H.264"."""
    return _CODEC_NAMES.get(codec, "an unknown codec")

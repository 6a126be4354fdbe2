"""What was missed: a camera's frames from a given one on, out of the broker's ring and the archive, decoded once more.

Here: which units to fetch from where, without a hole and without asking for one twice. The broker's ring holds the last
half minute; what is older comes out of the footage; from where the two meet the trail goes on live for as long as it is
wanted. Not here: decoding (`decoder.py`), and when to go over to the pixel host's pictures (`live.py`).
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from broker.client import Gap, SyncBrokerClient, WireFrame
from detector_pool.decoder import Decoder
from detector_pool.decoding import CodedUnit, EpochEnd
from detector_pool.picture import Hole, Shot
from detector_pool.reasons import NoScore
from media_center.client import FootageItem, SyncFootageClient
from mesh.channel import Credentials
from mesh.clocks import Clock
from mesh.errors import NotFound, TrueframeError
from mesh.ids import FrameId
from mesh.logs import get_logger
from mesh.metrics import counter
from trueframe.v1 import footage_pb2, frames_pb2

log = get_logger("detector_pool.trail")

SECOND = 1_000_000_000
# What is older is not caught up with: looking at it would keep the worker from looking at what happens now.
MAX_BEHIND_NS = 600 * SECOND
MAX_LEAD_BYTES = 32 << 20
_CONNECT_TIMEOUT_S = 10.0
_SLOWEST_START_NS = 10 * SECOND

_caught_up = counter("detector_pool_frames_caught_up", "Frames decoded late, from the broker's ring or the archive.")


@dataclass(frozen=True, slots=True)
class Places:
    """Where frames are had."""

    broker: str
    media_center: str
    token: Credentials
    worker: str


class Trail:
    """The frames of a camera behind `after`. Read by one thread; any may `close()` it."""

    def __init__(self, camera: str, after: FrameId, places: Places, clock: Clock) -> None:
        self._camera = camera
        self._after = after
        self._places = places
        self._clock = clock
        self._last = after
        self._codec = 0
        self._lead: deque[CodedUnit] = deque()
        self._lead_bytes = 0
        self._lead_is_exact = False
        self._has_ended = False
        self._heard_ns = clock.monotonic_ns() + _SLOWEST_START_NS
        self._closed = threading.Event()
        self._holes: queue.SimpleQueue[Hole] = queue.SimpleQueue()
        self._decoder = Decoder(camera, after)
        self._broker = SyncBrokerClient(places.broker, places.token)
        self._footage = SyncFootageClient(places.media_center, places.token)
        self._thread = threading.Thread(target=self._run, name=f"trail {camera}", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float | None) -> Shot | Hole | None:
        """The next picture or hole; None at the end. Raises queue.Empty after `timeout_s` without one."""
        with contextlib.suppress(queue.Empty):
            return self._holes.get_nowait()
        return self._decoder.get(timeout_s)

    @property
    def silent_ns(self) -> int:
        """How long nothing has come of the camera; 0 while it starts."""
        return max(self._clock.monotonic_ns() - self._heard_ns, 0)

    def close(self) -> None:
        """Ends it."""
        self._closed.set()
        self._decoder.close()
        # Calls under way in the thread end with their channels.
        self._broker.close()
        self._footage.close()
        self._thread.join(5.0)

    # In the thread

    def _run(self) -> None:
        try:
            self._follow()
        except TrueframeError as error:
            if not self._closed.is_set():
                log.warning("cannot catch up", camera=self._camera, after=str(self._last), reason=str(error))
        except Exception as error:
            if not self._closed.is_set():
                log.exception("trail failed", camera=self._camera, error=type(error).__name__)
        finally:
            self._decoder.end()

    def _follow(self) -> None:
        starts = {self._camera: self._clock.utc_ns() - MAX_BEHIND_NS}
        items = self._broker.stream(
            [self._camera], starts=starts, subscriber=f"{self._places.worker} catching up",
            connect_timeout_s=_CONNECT_TIMEOUT_S,
        )  # fmt: skip
        has_begun = False
        for item in items:
            if self._closed.is_set():
                return
            self._heard_ns = self._clock.monotonic_ns()
            if isinstance(item, WireFrame):
                frame = _id(item)
                if frame <= self._after:
                    self._keep_lead(item)
                    continue
                if not has_begun:
                    has_begun = True
                    if not self._begin_with(frame):
                        self._fetch_recorded()
                if frame > self._last and not self._send(item):
                    return
            elif isinstance(item, Gap) and has_begun and item.reason == frames_pb2.GAP_REASON_OVERRUN:
                self._fetch_recorded()
            elif not self._control(item):
                return

    def _begin_with(self, frame: FrameId) -> bool:
        """Whether the broker's ring reaches back far enough; sends what decoding has to begin with."""
        after = self._after
        is_next = frame.epoch == after.epoch and frame.seq == after.seq + 1
        is_next_epoch = frame.epoch > after.epoch and frame.seq == 0 and self._has_ended
        if not is_next and not is_next_epoch:
            return False
        lead, self._lead = list(self._lead), deque()
        return all(self._decoder.feed(unit) for unit in lead)

    def _keep_lead(self, frame: WireFrame) -> None:
        """Keeps what decoding may have to begin with: all from the last join point on."""
        is_exact = frame.join_point == frames_pb2.JOIN_POINT_EXACT
        is_other = frame.join_point == frames_pb2.JOIN_POINT_RECOVERS_AFTER and not self._lead_is_exact
        if is_exact or is_other or self._lead_bytes > MAX_LEAD_BYTES:
            self._lead.clear()
            self._lead_bytes, self._lead_is_exact = 0, is_exact
        self._lead.append(self._unit(frame, bytes(frame.payload)))
        self._lead_bytes += len(frame.payload)

    def _fetch_recorded(self) -> None:
        """Sends what the archive has behind the last frame sent."""
        try:
            start = self._first_wanted()
            if start is None:
                return
            for item in self._footage.replay(self._camera, start=start, with_lead_in=True):
                if self._closed.is_set():
                    return
                if isinstance(item, WireFrame):
                    if not self._send(item):
                        return
                elif not isinstance(item, Gap) and not self._control(item):
                    return
        except NotFound:
            log.info("nothing is recorded of what was missed", camera=self._camera, after=str(self._last))
        except TrueframeError as error:
            log.warning("archive does not answer", camera=self._camera, after=str(self._last), reason=str(error))

    def _first_wanted(self) -> FrameId | None:
        """The first recorded frame to be looked at; those before it that are too old are told as holes."""
        oldest_ns = self._clock.utc_ns() - MAX_BEHIND_NS
        following = FrameId(self._camera, self._last.epoch, self._last.seq + 1)
        wanted: FrameId | None = None
        run: Hole | None = None
        for row in self._footage.frames(self._camera, start=following):
            if not isinstance(row, footage_pb2.IndexRow):
                continue
            frame = FrameId.from_proto(row.id)
            if row.received_ns >= oldest_ns:
                wanted = frame
                break
            if run is not None and (run.id.epoch, run.id.seq + run.count) == (frame.epoch, frame.seq):
                run = Hole(run.id, run.count + 1, run.reason, run.received_ns)
                continue
            self._tell(run)
            run = Hole(frame, 1, NoScore.NO_PIXELS, row.received_ns)
        self._tell(run)
        return wanted

    def _tell(self, hole: Hole | None) -> None:
        if hole is not None:
            self._holes.put(hole)

    def _send(self, frame: WireFrame) -> bool:
        id_ = _id(frame)
        if id_ > self._last:
            self._last = id_
            _caught_up.inc()
        return self._decoder.feed(self._unit(frame, frame.payload))

    def _control(self, item: FootageItem) -> bool:
        if isinstance(item, frames_pb2.EpochStarted):
            self._codec = item.codec
        elif isinstance(item, frames_pb2.EpochEnded) and item.epoch >= self._after.epoch:
            self._has_ended |= (item.epoch, item.last_seq) == (self._after.epoch, self._after.seq)
            return self._decoder.feed(EpochEnd(item.epoch, item.last_seq if item.HasField("last_seq") else -1))
        return True

    def _unit(self, frame: WireFrame, payload: bytes | memoryview) -> CodedUnit:
        return unit_of(frame, payload, self._codec)


def unit_of(frame: WireFrame, payload: bytes | memoryview, codec: int) -> CodedUnit:
    """A frame as the decoder wants it."""
    return CodedUnit(
        codec, frame.epoch, frame.seq, frame.received_ns, frame.monotonic_ns, frame.join_point, frame.recovers_after,
        frame.damaged, frame.follows_damage, payload,
    )  # fmt: skip


def recorded_units(items: Iterable[FootageItem]) -> Iterator[CodedUnit | EpochEnd]:
    """What a replay gives, as the decoder wants it."""
    codec = 0
    for item in items:
        if isinstance(item, WireFrame):
            yield unit_of(item, item.payload, codec)
        elif isinstance(item, frames_pb2.EpochStarted):
            codec = item.codec
        elif isinstance(item, frames_pb2.EpochEnded):
            yield EpochEnd(item.epoch, item.last_seq if item.HasField("last_seq") else -1)


def _id(frame: WireFrame) -> FrameId:
    return FrameId(frame.camera, frame.epoch, frame.seq)

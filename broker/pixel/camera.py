"""One camera being decoded: its thread, which takes units from the inbox and gives pictures to whoever wants them.

Here: the order of things for one camera: epochs, pace, decoding, telling. Not here: when a camera is decoded at all
(host.py), decoding itself (decode.py), rings (outlet.py), scaling (thumbnails.py).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from av.error import FFmpegError

from broker.client import WireFrame
from broker.pixel.covering import Views
from broker.pixel.decode import Decoded, NotDecoded, Outcome, StreamDecoder
from broker.pixel.hardware import CODECS, SOFTWARE, Hardware
from broker.pixel.inbox import Arrival, Dropped, Inbox, Waiting, joins
from broker.pixel.outlet import Outlet
from broker.pixel.pace import Age, Pace, Share
from broker.pixel.picture import MissingReason
from broker.pixel.plane_board import PlaneBoard
from broker.pixel.planes import Planes, planes_of
from broker.pixel.thumbnails import ThumbnailBoard
from mesh.clocks import Clock
from mesh.ids import FrameId
from mesh.logs import get_logger, rate_limited
from mesh.masks import Masks
from trueframe.v1 import frames_pb2

log = get_logger("broker.pixel.camera")

# Under overload the event loop that feeds the decoders, and the broker beside, must go first.
_NICENESS = 5
# A join point every few seconds, and nothing in between that decodes: about three of these.
_FAILURES_BEFORE_SOFTWARE = 50

OnPicture = Callable[[Views, FrameId, int, bool], None]


@dataclass(slots=True)
class DecoderFigures:
    """What ListDecoders tells. Written by the decoder thread, read by the event loop."""

    pictures: int = 0
    skipped_frames: int = 0
    failed_frames: int = 0
    lag_ns: int = 0
    decoder: str = ""
    problem: str = ""
    width: int = 0
    height: int = 0


class CameraDecoder:
    """Decodes one camera from `start` to `stop`. A second start is another CameraDecoder."""

    def __init__(
        self,
        camera: str,
        outlet: Outlet,
        board: ThumbnailBoard,
        plane_board: PlaneBoard,
        clock: Clock,
        *,
        same_machine: bool,
        share: Share | None = None,
        hardware: Hardware = SOFTWARE,
    ) -> None:
        self.camera = camera
        self.figures = DecoderFigures()
        self.masks: Masks = ()
        """Privacy masks of the camera. The host's to set, before it tells the boards to forget."""
        self._outlet = outlet
        self._board = board
        self._plane_board = plane_board
        self._clock = clock
        self._same_machine = same_machine
        self._hardware = hardware
        self._gave_up_hardware = ""
        self._refusal = ""
        self._hardware_problem = ""
        self._format_problem = ""
        self._pictures_of_decoder = 0
        self._failures_of_decoder = 0
        self._age = Age(same_machine)
        self._pace = Pace(share=share)
        self._inbox = Inbox()
        self._once: deque[OnPicture] = deque()
        self._decoder: StreamDecoder | None = None
        self._codec: int = frames_pb2.CODEC_H264
        self._size = (0, 0)
        self._epoch = 0
        self._floor = -1
        # What the broker's ring held before anybody wanted the camera is decoded for the sake of what follows; of its
        # pictures only the newest is shown, since the others would come faster than anybody reads.
        self._started_ns = 0
        self._in_backlog = True
        self._thread = threading.Thread(target=self._run, name=f"decode {camera}", daemon=True)

    def start(self) -> None:
        """Begins to decode what is put."""
        self._started_ns = self._clock.monotonic_ns()
        self._thread.start()

    def put(self, item: Arrival) -> None:
        """An item of the camera's stream, in order. Never blocks."""
        self._inbox.put(item)

    def stop(self) -> None:
        """Ends the thread and waits for it: at most for the decoding of one unit."""
        self._inbox.close()
        if self._thread.ident is not None:
            self._thread.join()

    def next_picture(self, callback: OnPicture) -> Callable[[], None]:
        """Calls back once, on the decoder thread, with the next live picture; returns how to forget it again."""
        self._once.append(callback)

        def forget() -> None:
            with contextlib.suppress(ValueError):
                self._once.remove(callback)

        return forget

    # --- on the decoder thread

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            item, newer_join_point = self._inbox.take()
            if item is None:
                return
            try:
                self._handle(item, newer_join_point)
            except Exception as error:
                # Whatever it is, it is of this camera's bytes: the camera goes on at its next join point.
                if rate_limited(f"decoder {self.camera}", 5.0):
                    log.exception("decoder failed", camera=self.camera, error=type(error).__name__)
                self._recover(item)

    def _handle(self, item: Waiting, newer_join_point: bool) -> None:
        if isinstance(item, WireFrame):
            self._frame(item, newer_join_point)
        elif isinstance(item, Dropped):
            if self._decoder is not None and item.epoch == self._epoch:
                self._tell(self._decoder.skip(item.last_seq, MissingReason.THINNED))
        elif isinstance(item, frames_pb2.EpochStarted):
            self._codec = item.codec
            self._size = (item.width, item.height)
        elif isinstance(item, frames_pb2.EpochEnded):
            self._epoch_ended(item)
        # A Gap needs nothing: ids that are missing show themselves, and unknown ones have none.

    def _frame(self, frame: WireFrame, newer_join_point: bool) -> None:
        if frame.epoch != self._epoch:
            self._begin_epoch(frame)
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = self._new_decoder()
        now_ns = self._clock.monotonic_ns()
        age_ns = self._age.of(frame.monotonic_ns, now_ns)
        if self._pace.admits(age_ns, now_ns, joins=joins(frame), newer_join_point=newer_join_point):
            self._tell(decoder.feed(frame))
        else:
            self._tell(decoder.skip(frame.seq, MissingReason.THINNED))

    def _new_decoder(self) -> StreamDecoder:
        name = CODECS.get(self._codec, "")
        why = self._hardware.refusal(name) if not self._gave_up_hardware else self._gave_up_hardware
        decoder = None
        if name in self._hardware.codecs and not self._gave_up_hardware:
            try:
                decoder = StreamDecoder(self._codec, self._floor, on_hardware=True)
            except FFmpegError as error:
                # Out of sessions or memory, most likely: of this camera's next epoch it is tried again.
                why = f"the GPU cannot be had: {error}"
                log.warning("decoding in software", camera=self.camera, reason=why)
        if decoder is None:
            decoder = StreamDecoder(self._codec, self._floor)
        self._refusal = why
        self._pictures_of_decoder = 0
        self._failures_of_decoder = 0
        self._describe(decoder)
        return decoder

    def _describe(self, decoder: StreamDecoder) -> None:
        note = f" (cuvid not used: {self._refusal})" if self._refusal else ""
        self.figures.decoder = decoder.description + note
        if self._refusal and self._hardware.is_asked_for:
            self._hardware_problem = f"pixels.decoder asks for cuvid, and it is not used: {self._refusal}"
        self.figures.problem = self._format_problem or self._hardware_problem

    def _leave_hardware(self, decoder: StreamDecoder) -> None:
        """A GPU that only fails must not make a camera blind that software can show."""
        self._gave_up_hardware = f"{_FAILURES_BEFORE_SOFTWARE} units failed one after another"
        log.warning("decoding in software from now on", camera=self.camera, reason=self._gave_up_hardware)
        self._floor = decoder.last_seq
        self._decoder = None
        self._pace.wait()

    def _begin_epoch(self, frame: WireFrame) -> None:
        if self._decoder is not None:
            self._tell(self._decoder.flush())
        self._decoder = None
        # A broker that was restarted on another boot of its machine counts from another zero.
        self._age = Age(self._same_machine)
        # Frames before the first that this decoder ever gets are nobody's business; of a later epoch all are.
        self._floor = -1 if self._epoch else frame.seq - 1
        self._epoch = frame.epoch
        self._outlet.begin_epoch(frame.epoch, self._floor, *self._size)

    def _epoch_ended(self, item: frames_pb2.EpochEnded) -> None:
        if self._decoder is None or item.epoch != self._epoch:
            return
        outcomes = self._decoder.flush()
        if item.HasField("last_seq") and item.last_seq > self._decoder.last_seq:
            outcomes += self._decoder.skip(item.last_seq, MissingReason.NOT_RECEIVED)
        self._tell(outcomes)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Decoded):
                self._picture(outcome)
            else:
                self._missing(outcome)
        decoder = self._decoder
        if decoder is not None and decoder.is_hardware and self._failures_of_decoder >= _FAILURES_BEFORE_SOFTWARE:
            self._leave_hardware(decoder)

    def _picture(self, decoded: Decoded) -> None:
        figures = self.figures
        now_ns = self._clock.monotonic_ns()
        age_ns = self._age.of(decoded.monotonic_ns, now_ns)
        figures.pictures += 1
        self._pictures_of_decoder += 1
        self._failures_of_decoder = 0
        if self._pictures_of_decoder == 1 and self._decoder is not None:
            self._describe(self._decoder)
        if self._in_backlog:
            self._in_backlog = age_ns > now_ns - self._started_ns and not self._inbox.is_empty
            if self._in_backlog:
                self._outlet.pass_over(decoded.seq, decoded.seq)
                return
        if not self._pace.publishes(age_ns):
            self._outlet.missing(decoded.seq, decoded.seq, MissingReason.TOO_OLD, decoded.received_ns)
            return
        planes = self._planes(decoded)
        if planes is None:
            self._missing(NotDecoded(decoded.seq, decoded.seq, MissingReason.DECODE_FAILED, decoded.received_ns))
            return
        figures.lag_ns = age_ns
        figures.width, figures.height = planes.width, planes.height
        self._outlet.picture(
            planes,
            seq=decoded.seq,
            received_ns=decoded.received_ns,
            monotonic_ns=decoded.monotonic_ns,
            inexact=decoded.inexact,
        )
        frame_id = FrameId(self.camera, self._epoch, decoded.seq)
        views = Views(planes, lambda: self.masks)
        self._board.picture(views, frame_id, decoded.received_ns, decoded.inexact)
        self._plane_board.picture(views, frame_id, decoded.received_ns, decoded.monotonic_ns, decoded.inexact)
        while self._once:
            self._once.popleft()(views, frame_id, decoded.received_ns, decoded.inexact)

    def _planes(self, decoded: Decoded) -> Planes | None:
        figures, frame = self.figures, decoded.frame
        if decoded.inexact and figures.width and (frame.width, frame.height) != (figures.width, figures.height):
            return None  # a damaged parameter set must not make a new ring
        try:
            planes = planes_of(frame)
        except (ValueError, FFmpegError) as error:
            self._format_problem = figures.problem = str(error)
            if rate_limited(f"planes {self.camera}", 60.0):
                log.warning("pictures refused", camera=self.camera, reason=str(error))
            return None
        if self._format_problem:
            self._format_problem, figures.problem = "", self._hardware_problem
        return planes

    def _missing(self, missing: NotDecoded) -> None:
        count = missing.last - missing.first + 1
        if missing.reason is MissingReason.DECODE_FAILED:
            self._failures_of_decoder += count
        if self._in_backlog:
            self.figures.skipped_frames += count
            self._outlet.pass_over(missing.first, missing.last)
            return
        if missing.reason is MissingReason.DECODE_FAILED:
            self.figures.failed_frames += count
        else:
            self.figures.skipped_frames += count
        if missing.reason is MissingReason.THINNED and rate_limited(f"thinned {self.camera}", 5.0):
            log.warning("pictures thinned: decoding cannot keep up", camera=self.camera, frames=count)
        self._outlet.missing(missing.first, missing.last, missing.reason, missing.received_ns)

    def _recover(self, item: Waiting) -> None:
        last_seq = self._decoder.last_seq if self._decoder is not None else self._floor
        if isinstance(item, WireFrame) and item.epoch == self._epoch:
            last_seq = max(last_seq, item.seq)
        if last_seq >= 0:
            # What the decoder held back is lost with it.
            self._outlet.missing(0, last_seq, MissingReason.DECODE_FAILED)
        self.figures.failed_frames += 1
        self._floor = last_seq
        self._decoder = None
        self._pace.wait()

"""One camera's way into the hub, for all its connections: what its sources are given, and what they tell.

Belongs here: counters, signs of life, the epoch that is open. Does not belong here: minting frames (`ingest`), states
and retries (`camera`, `owner`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from broker.core import Hub
from broker.epochs import Epoch, EpochBook
from broker.errors import SourceFailure, SourceUnreachable
from broker.ingest import Format, Ingest
from broker.kinds import Codec, EndReason
from broker.rtsp.clock import ClockState
from mesh.clocks import Clock
from mesh.ids import FrameId
from mesh.logs import get_logger
from trueframe.v1.frames_pb2 import CODEC_H264

log = get_logger("broker.feed")


@dataclass(slots=True)
class FeedCounters:
    """What one camera gave since the broker started: frames, and what got no id, by reason."""

    frames: int = 0
    damaged_frames: int = 0
    payload_bytes: int = 0
    network_gaps: int = 0
    refused_units: int = 0
    units_before_parameter_sets: int = 0
    epochs: int = 0
    connections: int = 0
    audio_packets_dropped: int = 0
    packets_lost: int = 0
    packets_reordered: int = 0
    datagrams_dropped: int = 0
    foreign_datagrams: int = 0
    last_received_ns: int = 0


@dataclass(slots=True)
class Feed:
    """One camera's way into the hub, for all its connections. Owned by the camera's task."""

    camera: str
    hub: Hub
    book: EpochBook
    clock: Clock
    on_connected: Callable[[], None]
    on_first_frame: Callable[[], None]
    on_epoch: Callable[[], None]
    on_failure: Callable[[SourceFailure], None]
    counters: FeedCounters = field(default_factory=FeedCounters)
    clock_state: ClockState = field(default_factory=ClockState)
    last_id: FrameId | None = None
    last_sign_ns: int = 0
    ingest: Ingest | None = None
    # How packets come now ("tcp", "udp", "tls", "http", "https", "file"), set by the source; empty if not connected.
    transport_used: str = ""
    # What the server calls itself and the frame rate it claims (0 if none), set by the source: told to who probes.
    server: str = ""
    claimed_frame_rate: float = 0.0
    # The picture froze (True) or moves again.
    on_frozen: Callable[[bool], None] = lambda is_frozen: None
    # What a source learnt of its camera and will try first next time; empty if nothing.
    transport_that_worked: str = ""
    # Connections in a row that played and gave nothing: the next is waited for longer.
    waits_in_vain: int = 0

    @property
    def newest_id(self) -> FrameId | None:
        """Id of the newest frame, or None before the first."""
        if self.ingest is not None and self.ingest.last_seq >= 0:
            return FrameId(self.camera, self.ingest.number, self.ingest.last_seq)
        return self.last_id

    async def open_epoch(self, time_base: tuple[int, int], parameter_sets: bytes, codec: Codec = CODEC_H264) -> Ingest:
        """Begins an epoch, stored before this returns. Call once a connection, just before frames can arrive.

        `time_base`: seconds per tick of pts, as a ratio; `parameter_sets`: in canonical form, as far as known
        beforehand.
        """
        self.ingest = Ingest(self, await self.mint(), Format(codec, time_base, parameter_sets))
        return self.ingest

    async def mint(self) -> Epoch:
        """A stored epoch. Raises SourceUnreachable if it cannot be stored; trying again later can heal that."""
        try:
            epoch = await self.book.mint(self.camera)
        except Exception as error:
            log.exception("epoch cannot be stored", camera=self.camera)
            reason = f"a new epoch cannot be stored ({type(error).__name__}: {error})"
            raise SourceUnreachable(f"camera {self.camera!r}", reason, "Check the disk of the broker.") from error
        self.counters.epochs += 1
        return epoch

    def connected(self) -> None:
        """The source said that it plays."""
        self.counters.connections += 1
        self.sign_of_life()
        self.on_connected()

    def sign_of_life(self) -> None:
        """The source is there, though no frame is due yet."""
        self.last_sign_ns = self.clock.monotonic_ns()

    def end_epoch(self, reason: EndReason, detail: str) -> None:
        """Ends the open epoch, if there is one. `detail` holds no credentials."""
        if self.ingest is not None:
            self.ingest.end(reason, detail)
            self.ingest = None

"""What is looked at once a second while a camera plays: whether packets come, what was lost, whether a report is due.

Belongs here: slow glances at counters that the hot path only increments. Does not belong here: frames (`receiver`),
requests (`session`), states (`camera`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from broker.errors import SourceFailure, SourceRefused, SourceUnreachable
from broker.feed import Feed
from broker.rtsp.receiver import Receiver
from mesh.logs import get_logger

log = get_logger("broker.rtsp.pulse")

_BEAT_S = 1.0
_REPORT_EVERY_BEATS = 5
# Packets that never make a picture are no life; a picture as large as they come takes a slow line this long.
_PATIENCE_NS = 30_000_000_000
# So many packets where the video should be, and none of it among them.
_FOREIGN_PACKETS = 20


class Pulse:
    """The glances at one playing connection. `also` is called at every one, for what its transport wants to do."""

    def __init__(self, thing: str, feed: Feed, receiver: Receiver, also: Callable[[], None] = lambda: None) -> None:
        self._thing = thing
        self._feed = feed
        self._receiver = receiver
        self._also = also
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._beats = 0
        self._packets = self._units = self._lost = self._reordered = 0
        self._progress_ns = feed.clock.monotonic_ns()
        self._goodbye_at = -1

    def start(self) -> None:
        """Begins to look."""
        self._timer = self._loop.call_later(_BEAT_S, self._beat)

    def stop(self) -> None:
        """Ends it, and counts what came since the last look; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._count()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(_BEAT_S, self._beat)
        try:
            self.look()
        except Exception as error:  # A fault of ours must end this connection only.
            log.exception("pulse failed", camera=self._feed.camera)
            self._feed.on_failure(SourceFailure(self._thing, f"internal fault ({type(error).__name__})"))

    def look(self) -> None:
        """One glance."""
        self._beats += 1
        now_ns = self._feed.clock.monotonic_ns()
        depacketiser = self._receiver.depacketiser
        packets, units = depacketiser.packets, depacketiser.units + depacketiser.refused_units
        has_packets = packets != self._packets
        if units != self._units or not has_packets:
            self._progress_ns = now_ns
        if has_packets:
            # A large key frame on a slow line, or a smart codec's long pause in the middle of one: not silence.
            self._feed.sign_of_life()
            self._receiver.has_said_goodbye = False
            if now_ns - self._progress_ns > _PATIENCE_NS:
                reason = f"sent packets for {_PATIENCE_NS // 1_000_000_000} s and no picture among them"
                self._feed.on_failure(SourceRefused(self._thing, reason, "Check the camera's encoder; restart it."))
        elif not packets and depacketiser.foreign_packets >= _FOREIGN_PACKETS:
            reason = "sends packets of another payload type than the one it described"
            self._feed.on_failure(SourceRefused(self._thing, reason, "Set the stream anew in the camera."))
        elif self._receiver.has_said_goodbye:
            self._feed.on_failure(
                SourceUnreachable(self._thing, "said that the stream ends", "The broker connects again by itself.")
            )
        self._packets, self._units = packets, units
        self._count()
        if self._beats % _REPORT_EVERY_BEATS == 0:
            self._receiver.answer(now_ns)
        self._also()

    def _count(self) -> None:
        """Adds to the camera's counters what the depacketiser counted since the last time."""
        depacketiser, counters = self._receiver.depacketiser, self._feed.counters
        lost, reordered = depacketiser.lost_packets, depacketiser.reordered_packets
        counters.packets_lost += lost - self._lost
        counters.packets_reordered += reordered - self._reordered
        self._lost, self._reordered = lost, reordered

"""What arrives on a playing connection, made into units with times: RTP timestamps, sender reports, receiver reports.

Belongs here: the glue between depacketiser, camera clock and ingest. Does not belong here: sockets, requests.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from broker.core import TimestampUnwrapper, Unit, depacketiser_for
from broker.core.rtp import Goodbye, RtcpParser, SenderReport, receiver_report
from broker.feed import FeedCounters
from broker.ingest import Ingest
from broker.rtsp.clock import CameraClock, ClockState
from broker.rtsp.session import VideoStream

# Packets on a channel that nobody agreed on, before they are believed to be the video.
_ADOPT_AFTER = 4


class Receiver:
    """One playing stream. `send_report` sends an RTCP packet to the camera.

    `reorder_packets`, `reorder_ns`: how long packets may wait for one before them (over UDP). `adopt` is called with a
    channel that the video seems to come on, though the camera had named another.
    """

    def __init__(
        self,
        stream: VideoStream,
        ingest: Ingest,
        counters: FeedCounters,
        send_report: Callable[[bytes], None],
        clock_state: ClockState | None = None,
        *,
        reorder_packets: int = 0,
        reorder_ns: int = 0,
        adopt: Callable[[int], None] = lambda channel: None,
    ) -> None:
        self._stream = stream
        self._ingest = ingest
        self._counters = counters
        self._send_report = send_report
        self._clock_state = clock_state
        self._own_ssrc = secrets.randbits(32)
        self._rtcp = RtcpParser()
        self._sequences = TimestampUnwrapper(16)
        self._sources_seen = 0
        self._adopt = adopt
        self._stray: dict[int, int] = {}
        self._last_report: SenderReport | None = None
        self._last_report_ns = 0
        self.has_said_goodbye = False
        """The camera said by RTCP that this stream ends; frames that follow all the same outrank it."""
        self.depacketiser = depacketiser_for(
            stream.codec, stream.payload_type, reorder_packets=reorder_packets, reorder_ns=reorder_ns
        )
        self._start_timeline()

    def _start_timeline(self) -> None:
        self._timestamps = TimestampUnwrapper()
        self._clock = CameraClock(self._stream.clock_rate, self._clock_state)

    def unit(self, unit: Unit) -> None:
        """An access unit is complete. The hot path."""
        if unit.lost_before and self.depacketiser.ssrc_changes != self._sources_seen:
            # The camera started anew on the same connection: its timestamps have nothing to do with those before.
            self._sources_seen = self.depacketiser.ssrc_changes
            self._start_timeline()
        if unit.refused_before:
            self._ingest.refuse(unit.refused_before)
        pts = self._timestamps.unwrap(unit.rtp_timestamp)
        # First: a jump of the timestamps must be known before they are given a time.
        self._clock.observe(pts, unit.monotonic_ns, self._ingest.received_ns(unit.monotonic_ns))
        if unit.extension_ntp_ns is not None:
            self._clock.extension(unit.extension_ntp_ns, pts)
        camera_time = self._clock.at(pts)
        if camera_time is None:
            self._ingest.unit(unit.payload, pts, unit.damaged, unit.lost_before, unit.monotonic_ns, None, None)
        else:
            self._ingest.unit(
                unit.payload, pts, unit.damaged, unit.lost_before, unit.monotonic_ns, camera_time[0], camera_time[1]
            )

    def packet(self, channel: int, packet: bytes, monotonic_ns: int = 0) -> None:
        """A packet of any other channel: RTCP, or audio, which is dropped and counted."""
        if channel == self._stream.rtcp_channel or (len(packet) > 1 and 200 <= packet[1] <= 204):
            self.report(packet, monotonic_ns)
        elif channel in self._stream.audio_channels:
            self._counters.audio_packets_dropped += 1
        elif not self.depacketiser.packets and self._looks_like_video(packet):
            # The answer to SETUP named one channel, and the camera uses another.
            self._stray[channel] = self._stray.get(channel, 0) + 1
            if self._stray[channel] == _ADOPT_AFTER:
                self._adopt(channel)

    def _looks_like_video(self, packet: bytes) -> bool:
        return len(packet) > 12 and packet[0] >> 6 == 2 and packet[1] & 0x7F == self._stream.payload_type

    def report(self, packet: bytes, monotonic_ns: int = 0) -> None:
        """RTCP of the camera; it is answered with how its packets come."""
        for report in self._rtcp.parse(packet):
            if self.depacketiser.ssrc not in (None, report.ssrc):
                continue
            if isinstance(report, Goodbye):
                self.has_said_goodbye = True
            elif isinstance(report, SenderReport):
                self._last_report, self._last_report_ns = report, monotonic_ns
                self._take_report(report)
                self.answer(monotonic_ns)

    def end(self) -> None:
        """The connection is gone: what there is of an unfinished unit is minted as damaged."""
        while (unit := self.depacketiser.flush()) is not None:
            self.unit(unit)
        if self.depacketiser.untold_refused:
            self._ingest.refuse(self.depacketiser.untold_refused)
        if self.depacketiser.untold_loss:
            self._ingest.lose()

    def _take_report(self, report: SenderReport) -> None:
        timestamps = self._timestamps
        rtp = timestamps.peek(report.rtp) if timestamps.last is not None else timestamps.unwrap(report.rtp)
        if report.ntp_ns is not None:
            self._clock.report(report.ntp_ns, rtp)

    def answer(self, monotonic_ns: int) -> None:
        """Sends a receiver report, which some cameras take for the only sign of life. Nothing before the first
        packet.
        """
        depacketiser = self.depacketiser
        if depacketiser.next_sequence is None or depacketiser.ssrc is None:
            return
        highest = max(0, self._sequences.unwrap(depacketiser.next_sequence) - 1)
        delay_ns = max(0, monotonic_ns - self._last_report_ns)
        self._send_report(
            receiver_report(
                self._own_ssrc, depacketiser.ssrc, highest, depacketiser.lost_packets, self._last_report, delay_ns
            )
        )

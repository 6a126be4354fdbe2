"""What arrives on a playing connection, made into units with times: RTP timestamps, sender reports, receiver reports.

Belongs here: the glue between depacketiser, camera clock and ingest. Does not belong here: sockets, requests.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from broker.core import (
    H264Depacketiser,
    RtcpParser,
    SenderReport,
    TimestampUnwrapper,
    Unit,
    receiver_report,
)
from broker.ingest import FeedCounters, Ingest
from broker.rtsp.clock import CameraClock, ClockState
from broker.rtsp.session import VideoStream


class Receiver:
    """One playing stream. `send_report` sends an RTCP packet to the camera."""

    def __init__(
        self,
        stream: VideoStream,
        ingest: Ingest,
        counters: FeedCounters,
        send_report: Callable[[bytes], None],
        clock_state: ClockState | None = None,
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
        self.depacketiser = H264Depacketiser(payload_type=stream.payload_type)
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
        camera_time = self._clock.at(pts)
        if camera_time is None:
            self._ingest.unit(unit.payload, pts, unit.damaged, unit.lost_before, unit.monotonic_ns, None, None)
        else:
            self._ingest.unit(
                unit.payload, pts, unit.damaged, unit.lost_before, unit.monotonic_ns, camera_time[0], camera_time[1]
            )
        self._clock.observe(pts, unit.monotonic_ns, self._ingest.received_ns(unit.monotonic_ns))

    def packet(self, channel: int, packet: bytes) -> None:
        """A packet of any other channel: RTCP, or audio, which is dropped and counted."""
        if channel != self._stream.rtcp_channel:
            self._counters.audio_packets_dropped += channel in self._stream.audio_channels
            return
        for report in self._rtcp.parse(packet):
            if isinstance(report, SenderReport) and self.depacketiser.ssrc in (None, report.ssrc):
                self._take_report(report)

    def end(self) -> None:
        """The connection is gone: what there is of an unfinished unit is minted as damaged."""
        unit = self.depacketiser.flush()
        if unit is not None:
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
        sequence = self.depacketiser.next_sequence
        if sequence is not None:
            highest = max(0, self._sequences.unwrap(sequence) - 1)
            self._send_report(
                receiver_report(self._own_ssrc, report.ssrc, highest, self.depacketiser.lost_packets, report, 0)
            )

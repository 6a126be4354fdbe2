"""The camera's own clock: RTP timestamps to UTC nanoseconds through RTCP sender reports.

Belongs here: arithmetic on integers. Does not belong here: parsing packets.
"""

from __future__ import annotations

_NS = 1_000_000_000
# A crystal is good to about 50 ppm; the RTP clock and the wall clock of a camera may run on one each.
_DRIFT_PPM = 100


class CameraClock:
    """Maps unwrapped RTP timestamps of one stream to the camera's UTC time, with the half-width of its uncertainty.

    The uncertainty holds one tick of the RTP clock, what the last report differed from the one before (a step of the
    camera's clock shows up here), and drift since the last report.
    """

    def __init__(self, clock_rate: int) -> None:
        self._rate = clock_rate
        self._ntp_ns: int | None = None
        self._rtp = 0
        self._residual_ns = 0
        self.reports = 0

    def report(self, ntp_ns: int, rtp: int) -> None:
        """Takes a sender report: UTC nanoseconds and the unwrapped RTP timestamp of the same moment."""
        if ntp_ns <= 0:
            return  # A camera without a clock sends zero.
        if self._ntp_ns is not None:
            self._residual_ns = abs(ntp_ns - self._predicted(rtp))
        self._ntp_ns, self._rtp = ntp_ns, rtp
        self.reports += 1

    def at(self, rtp: int) -> tuple[int, int] | None:
        """(camera_time_ns, uncertainty_ns) of an unwrapped RTP timestamp; None before the first report."""
        if self._ntp_ns is None:
            return None
        elapsed_ns = abs(rtp - self._rtp) * _NS // self._rate
        tick_ns = -(-_NS // self._rate)
        return self._predicted(rtp), tick_ns + self._residual_ns + elapsed_ns * _DRIFT_PPM // 1_000_000

    def _predicted(self, rtp: int) -> int:
        assert self._ntp_ns is not None
        return self._ntp_ns + (rtp - self._rtp) * _NS // self._rate

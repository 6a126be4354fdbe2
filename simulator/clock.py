"""A camera's own clock: wrong, drifting or jumping, as cameras' clocks are.

What belongs here: what the camera believes about time, as arithmetic. What does not: when units are really sent
(`camera`: a drifting camera keeps this host's pace), the bytes of reports (`rtcp`).
"""

from __future__ import annotations

from simulator.clip import CLOCK_HZ

_BILLION = 1_000_000_000


class Clock:
    """Wall clock and RTP clock of one camera, driven by one crystal."""

    def __init__(self, rtp_base: int, offset_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        self._rtp_base = rtp_base
        self._offset_ns = round(offset_s * 1e9)
        self._drift_ppb = round(drift_ppm * 1000)
        self._start_utc_ns = 0

    def start(self, utc_ns: int) -> None:
        """Both clocks begin now; this is the true time."""
        self._start_utc_ns = utc_ns

    def utc_ns(self, elapsed_ns: int) -> int:
        """What the camera takes for UTC when this time has passed since its start."""
        return self._start_utc_ns + self._offset_ns + self._drifted(elapsed_ns)

    def utc_of_ticks_ns(self, ticks: int) -> int:
        """What the camera takes for UTC at a moment of its media, in 90 kHz ticks of true time."""
        return self.utc_ns(ticks * _BILLION // CLOCK_HZ)

    def rtp(self, ticks: int) -> int:
        """RTP timestamp of a moment of its media, in 90 kHz ticks of true time."""
        return self._rtp_base + self._drifted(ticks) & 0xFFFFFFFF

    def jump_wall(self, by_s: float) -> None:
        """The wall clock is set; the RTP clock runs on."""
        self._offset_ns += round(by_s * 1e9)

    def jump_rtp(self, by_s: float) -> None:
        """RTP timestamps jump, and reports with them."""
        self._rtp_base += round(by_s * CLOCK_HZ)

    def _drifted(self, amount: int) -> int:
        return amount + amount * self._drift_ppb // _BILLION

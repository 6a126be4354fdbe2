"""The camera's own clock: RTP timestamps to UTC, and what is known of that clock's error, jumps and drift.

Belongs here: arithmetic on integers. Does not belong here: parsing packets, and what is to be alarmed (`clock_watch`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.rtsp.drift import Drift, DriftEstimator

_NS = 1_000_000_000
# A crystal is good to about 50 ppm; the RTP clock and the wall clock of a camera may run on one each.
_DRIFT_PPM = 100
# Cheap cameras pair the two clocks of a sender report to some 10 ms only.
JUMP_NS = 100_000_000
# What two clocks that do not jump may part by between two readings: a slewing NTP client does 500 ppm.
_PART_PPM = 1000
# Timestamps of pictures go back and forth by B-frames, and arrivals by congestion; more than this is a jump.
_RTP_JUMP_NS = 1 * _NS
_OFFSET_WINDOW_NS = 10 * _NS
# A camera that stamps every unit and then stops is believed by its sender reports again.
_EXTENSION_HOLDS_NS = 10 * _NS

SENDER_REPORT, RTP_EXTENSION = "sender-report", "rtp-extension"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What is known of a camera's clock. `source` and `offset_ns` are "" and None while the camera tells no time."""

    source: str
    offset_ns: int | None
    drift: Drift | None
    jumps: int
    last_jump_ns: int
    last_jump_at_ns: int


@dataclass(slots=True)
class ClockState:
    """One camera's clock over all its connections."""

    jumps: int = 0
    last_jump_ns: int = 0
    last_jump_at_ns: int = 0
    detail: str = ""
    """What is wrong with it, for a human; set by whoever watches, empty while it is good."""
    clock: CameraClock | None = field(default=None, repr=False)
    """Of the present connection, or of the last one."""

    def reading(self) -> ClockReading | None:
        """What is known now; None for a camera that never gave RTP timestamps."""
        clock = self.clock
        if clock is None:
            return None
        return ClockReading(
            clock.source, clock.offset_ns, clock.drift, self.jumps, self.last_jump_ns, self.last_jump_at_ns
        )

    def jumped(self, by_ns: int, at_ns: int) -> None:
        """The clock jumped by so much, noticed at that UTC time."""
        self.jumps += 1
        self.last_jump_ns, self.last_jump_at_ns = by_ns, at_ns


class CameraClock:
    """Maps unwrapped RTP timestamps of one stream to the camera's UTC time, with the half-width of its uncertainty.

    The uncertainty holds one tick of the RTP clock, what the last reading differed from the one before (a step of the
    camera's clock shows up here), and drift since the last reading. `observe` is told of every unit's arrival; without
    it the mapping works all the same, and nothing is known of offset and drift.
    """

    def __init__(self, clock_rate: int, state: ClockState | None = None) -> None:
        self._rate = clock_rate
        self._tick_ns = -(-_NS // clock_rate)
        self._ntp_ns: int | None = None
        self._rtp = 0
        self._residual_ns = 0
        self._drift = DriftEstimator()
        self._state = state or ClockState()
        self._state.clock = self
        self._last_media_ns: int | None = None
        self._monotonic_ns = 0
        self._received_ns = 0
        # When the reading was taken by the host's clock, to tell which of two clocks jumped.
        self._read_at_ns = 0
        self._extension_until_ns = 0
        # Largest (camera time - received time), so that of the quickest frame, in this stretch and the one before.
        self._best_ns: int | None = None
        self._best_before_ns: int | None = None
        self._window_ends_ns = 0
        self.reports = 0
        self.source = ""

    # ---- the camera's time ------------------------------------------------------------------------------------------

    def report(self, ntp_ns: int, rtp: int) -> None:
        """Takes a sender report: UTC nanoseconds and the unwrapped RTP timestamp of the same moment."""
        if ntp_ns <= 0:
            return  # A camera without a clock sends zero.
        self.reports += 1
        if self._monotonic_ns < self._extension_until_ns:
            return  # Every unit says its own time, which a report can only blur.
        self._believe(SENDER_REPORT)
        self._take(ntp_ns, rtp)

    def extension(self, ntp_ns: int, rtp: int) -> None:
        """Takes the UTC time that a unit carries itself (ONVIF RTP header extension)."""
        if ntp_ns <= 0:
            return
        self._believe(RTP_EXTENSION)
        self._extension_until_ns = self._monotonic_ns + _EXTENSION_HOLDS_NS
        self._take(ntp_ns, rtp)

    def at(self, rtp: int) -> tuple[int, int] | None:
        """(camera_time_ns, uncertainty_ns) of an unwrapped RTP timestamp; None before the first report."""
        if self._ntp_ns is None:
            return None
        elapsed_ns = abs(rtp - self._rtp) * _NS // self._rate
        return self._predicted(rtp), self._tick_ns + self._residual_ns + elapsed_ns * _DRIFT_PPM // 1_000_000

    def _believe(self, source: str) -> None:
        if source != self.source:
            self.source = source
            self._ntp_ns = None  # Another clock of the camera, perhaps: their difference is no jump.
            self._residual_ns = 0
            self._forget_offset()

    def _take(self, ntp_ns: int, rtp: int) -> None:
        if self._ntp_ns is not None:
            error_ns = ntp_ns - self._predicted(rtp)
            self._residual_ns = abs(error_ns)
            elapsed_ns = abs(rtp - self._rtp) * _NS // self._rate
            if self._residual_ns > JUMP_NS + elapsed_ns * _PART_PPM // 1_000_000:
                self._note_jump(error_ns, ntp_ns)
        self._ntp_ns, self._rtp = ntp_ns, rtp
        self._read_at_ns = self._monotonic_ns

    def _note_jump(self, error_ns: int, ntp_ns: int) -> None:
        assert self._ntp_ns is not None
        host_ns = self._monotonic_ns - self._read_at_ns
        ntp_error_ns = abs(ntp_ns - self._ntp_ns - host_ns)
        if self._read_at_ns and ntp_error_ns < abs(error_ns) // 4 and abs(error_ns) > _RTP_JUMP_NS:
            return  # UTC went on and the timestamps jumped: `observe` tells that, once.
        self._forget_offset()
        self._state.jumped(error_ns, self._received_ns)

    def _predicted(self, rtp: int) -> int:
        assert self._ntp_ns is not None
        return self._ntp_ns + (rtp - self._rtp) * _NS // self._rate

    # ---- against the host -------------------------------------------------------------------------------------------

    def observe(self, rtp: int, monotonic_ns: int, received_ns: int) -> None:
        """A unit with this unwrapped timestamp arrived; both times are the host's. The hot path.

        To be called before the unit's own stamp is given and its time asked for.
        """
        media_ns = rtp * _NS // self._rate
        last_ns = self._last_media_ns
        if last_ns is not None:
            step_ns = media_ns - last_ns
            if not -_RTP_JUMP_NS <= step_ns - (monotonic_ns - self._monotonic_ns) <= _RTP_JUMP_NS:
                self._check_timestamps(media_ns, step_ns, monotonic_ns, received_ns)
        self._last_media_ns = media_ns
        self._monotonic_ns = monotonic_ns
        self._received_ns = received_ns
        self._drift.observe(media_ns, monotonic_ns)
        if self._ntp_ns is None:
            return
        offset_ns = self._ntp_ns + (rtp - self._rtp) * _NS // self._rate - received_ns
        if monotonic_ns >= self._window_ends_ns:
            self._best_before_ns, self._best_ns = self._best_ns, None
            self._window_ends_ns = monotonic_ns + _OFFSET_WINDOW_NS
        if self._best_ns is None or offset_ns > self._best_ns:
            self._best_ns = offset_ns

    def _check_timestamps(self, media_ns: int, step_ns: int, monotonic_ns: int, received_ns: int) -> None:
        """Timestamps and arrivals part by more than a second: a stall of the network, or a jump of the camera."""
        ahead_ns = step_ns - (monotonic_ns - self._monotonic_ns)
        floor_ns = self._drift.floor_ns
        # What is held up comes late and then in a hurry, but never before its time and never backwards.
        came_early = floor_ns is not None and monotonic_ns - media_ns < floor_ns - _RTP_JUMP_NS
        if not (step_ns < -_RTP_JUMP_NS or (came_early and ahead_ns > 0)):
            return
        self._state.jumped(ahead_ns, received_ns)
        self._drift = DriftEstimator()
        known_ns = self.offset_ns
        if self._ntp_ns is not None and known_ns is not None:
            offset_ns = self._ntp_ns + media_ns - self._rtp * _NS // self._rate - received_ns
            if abs(offset_ns - known_ns) < _RTP_JUMP_NS:
                self._residual_ns = 0
                return  # The last report came before the frame, and told of the new timestamps already.
        # What a report said of the old timestamps is worth nothing for the new ones.
        self._ntp_ns = None
        self._residual_ns = 0
        self._forget_offset()

    def _forget_offset(self) -> None:
        self._best_ns = self._best_before_ns = None
        self._window_ends_ns = 0

    @property
    def offset_ns(self) -> int | None:
        """Camera time minus received time of the quickest frame of the last ten to twenty seconds; None if unknown."""
        known = [best for best in (self._best_ns, self._best_before_ns) if best is not None]
        return max(known) if known else None

    @property
    def drift(self) -> Drift | None:
        """Rate error of the RTP clock against the host's monotonic clock; None while it is too early to tell."""
        return self._drift.estimate()

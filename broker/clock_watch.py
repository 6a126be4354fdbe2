"""When a camera's clock is wrong enough for a human to know: the verdict with hysteresis, and who is told.

Belongs here: `ClockJudge`, pure, one for each camera, and `ClockWatch`, which looks at all of them once a second. Does
not belong here: measuring (`rtsp.clock`, `rtsp.drift`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.camera import PLAYING_STATES
from broker.registry import CameraRegistry, Entry
from broker.rtsp.clock import ClockReading
from mesh.clocks import Clock
from mesh.logs import get_logger

log = get_logger("broker.clock")

_NS = 1_000_000_000
_JUMP_ALARM_NS = 1 * _NS
# A jump is over in a moment; its alarm stays until the clock has gone on without another for so long.
_QUIET_AFTER_JUMP_NS = 60 * _NS
_DRIFT_ALARM_PPM = 500.0
# What set an alarm off has to be better by a fifth before it is over: a value at the limit must not chatter.
_RELIEF = 0.8
_UNTOLD_FOR_NS = 30 * _NS
_REMEDY = "Set its time server (NTP), or its time."


class ClockJudge:
    """Says what is wrong with one camera's clock. `offset_alarm_ns`: from which error on it is wrong."""

    def __init__(self, offset_alarm_ns: int) -> None:
        self._offset_alarm_ns = offset_alarm_ns
        self._jumps_seen = 0
        # What is wrong, and in which words: a sentence stays as it was when its trouble began.
        self._troubles: dict[str, str] = {}
        self._jump_alarmed_ns = 0
        self._has_told = False
        self._untold_since_ns: int | None = None

    def look(self, reading: ClockReading | None, is_live: bool, now_ns: int) -> str | None:
        """What is wrong, "" if nothing is, None while nothing is known. `now_ns`: UTC."""
        if reading is None:
            return None
        self._judge_jump(reading, now_ns)
        if not is_live:
            self._untold_since_ns = None
        elif reading.offset_ns is not None:
            self._has_told, self._untold_since_ns = True, None
            self._judge_offset(reading.offset_ns)
        else:
            self._untold_since_ns = self._untold_since_ns or now_ns
            if now_ns - self._untold_since_ns > _UNTOLD_FOR_NS:
                self._troubles.pop("offset", None)  # It tells no time any more: that cannot be wrong.
        if is_live and reading.drift is not None:
            self._judge_drift(reading.drift.ppm, reading.drift.uncertainty_ppm)
        if not self._has_told and not self._troubles:
            return None
        return " ".join(self._troubles.values())

    def _judge_jump(self, reading: ClockReading, now_ns: int) -> None:
        if reading.jumps != self._jumps_seen:
            self._jumps_seen = reading.jumps
            if abs(reading.last_jump_ns) > _JUMP_ALARM_NS:
                self._jump_alarmed_ns = now_ns
                self._troubles["jump"] = f"Its clock jumped by {_signed(reading.last_jump_ns)}."
        elif "jump" in self._troubles and now_ns - self._jump_alarmed_ns > _QUIET_AFTER_JUMP_NS:
            del self._troubles["jump"]

    def _judge_offset(self, offset_ns: int) -> None:
        if "offset" in self._troubles:
            if abs(offset_ns) < self._offset_alarm_ns * _RELIEF:
                del self._troubles["offset"]
        elif abs(offset_ns) > self._offset_alarm_ns:
            where = "ahead of" if offset_ns > 0 else "behind"
            self._troubles["offset"] = f"Its clock is {_length(offset_ns)} {where} this host's. {_REMEDY}"

    def _judge_drift(self, ppm: float, uncertainty_ppm: float) -> None:
        if "drift" in self._troubles:
            if abs(ppm) < _DRIFT_ALARM_PPM * _RELIEF:
                del self._troubles["drift"]
        elif abs(ppm) - uncertainty_ppm > _DRIFT_ALARM_PPM:
            pace = "fast" if ppm > 0 else "slow"
            self._troubles["drift"] = (
                f"Its timestamps run {abs(ppm):.0f} ppm {pace} (give or take {uncertainty_ppm:.0f})."
            )


@dataclass(frozen=True, slots=True)
class ClockVerdict:
    """A camera's clock became wrong, wrong in another way, or good again (`detail` is empty). Times in UTC."""

    camera: str
    detail: str
    since_ns: int


@dataclass(slots=True)
class _Watched:
    judge: ClockJudge
    verdict: str | None = None
    jumps: int = 0
    source: str = ""


class ClockWatch:
    """Looks at the clocks of all cameras; call `look` once a second. `on_verdict` hears of each change."""

    def __init__(
        self,
        registry: CameraRegistry,
        clock: Clock,
        offset_alarm_ns: int,
        on_verdict: Callable[[ClockVerdict], None],
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._offset_alarm_ns = offset_alarm_ns
        self._on_verdict = on_verdict
        self._watched: dict[str, _Watched] = {}

    def look(self) -> None:
        """Judges every camera."""
        for entry in self._registry.entries():
            self._look_at(entry)

    def forget(self, camera: str) -> None:
        """The camera was removed: what was wrong with its clock is over."""
        watched = self._watched.pop(camera, None)
        if watched is not None and watched.verdict:
            self._on_verdict(ClockVerdict(camera, "", self._clock.utc_ns()))

    def _look_at(self, entry: Entry) -> None:
        camera, state = entry.stored.id, entry.feed.clock_state
        if entry.stored.is_disabled:
            self.forget(camera)
            state.detail = ""
            return
        reading = state.reading()
        if reading is None:
            return
        watched = self._watched.get(camera)
        if watched is None:
            watched = self._watched[camera] = _Watched(ClockJudge(self._offset_alarm_ns))
        # At most once a second and camera, however often it jumps.
        if reading.jumps != watched.jumps:
            watched.jumps = reading.jumps
            log.warning("camera clock jumped", camera=camera, by_ns=reading.last_jump_ns, jumps=reading.jumps)
        if reading.source != watched.source:
            watched.source = reading.source
            self._registry.notify(camera)
        now_ns = self._clock.utc_ns()
        detail = watched.judge.look(reading, entry.owner.state.state in PLAYING_STATES, now_ns)
        # The first verdict after a start is told even if it is good: an alarm of before may be open.
        if detail is None or detail == watched.verdict:
            return
        watched.verdict = state.detail = detail
        if detail:
            log.warning("camera clock is wrong", camera=camera, detail=detail)
        else:
            log.info("camera clock is good", camera=camera, offset_ns=reading.offset_ns)
        self._on_verdict(ClockVerdict(camera, detail, now_ns))
        self._registry.notify(camera)


def _signed(length_ns: int) -> str:
    return f"{'+' if length_ns > 0 else '-'}{_length(length_ns)}"


def _length(length_ns: int) -> str:
    seconds = abs(length_ns) / _NS
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"

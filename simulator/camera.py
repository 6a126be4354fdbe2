"""A simulated camera: a clip sent round and round at its own pace, numbered and logged.

What belongs here: pace, running numbers, what a fault does to sending. A camera is a camera: pace and numbers go on
whether or not anybody is connected. What does not: requests (`rtsp_server`, `http_server`), the bytes of a packet
(`show`, `packets`), its clock (`clock`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import audio, log, rtcp
from simulator.clip import CLOCK_HZ, Clip
from simulator.clock import Clock
from simulator.faults import CUTS, MOMENTS, Fault, FaultError
from simulator.show import Show
from simulator.traits import Traits
from simulator.viewers import Viewer

_NS_PER_TICK_NUM, _NS_PER_TICK_DEN = 100_000, 9  # 1e9 / 90000
_REPORT_EVERY_NS = 1_000_000_000
_HOPELESSLY_LATE_NS = 2_000_000_000
"""Units that are overdue by more (the machine slept) are never sent; their numbers pass."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A clip that a camera shows once round instead of its own."""

    show: Show
    before: int
    """Index of the unit before which it has to come in."""
    begins: Callable[[int], None]
    """Told as it comes in: the running number of the loop's first unit."""


class Camera:
    """One camera. Used from one event loop only."""

    def __init__(
        self,
        camera_id: str,
        show: Show,
        log_folder: Path,
        traits: Traits,
        *,
        other: Show | None = None,
        phase: int = 0,
        stagger_ns: int = 0,
    ) -> None:
        self.id = camera_id
        self.show = show
        self.traits = traits
        self.audio = audio.tone(traits.audio)
        self.phase = phase
        self.viewers: dict[Viewer, Callable[[], None]] = {}
        self.peak_viewers = 0
        self.describes = 0
        self.units_sent = 0
        self.packets_dropped = 0
        self.fault = Fault()
        self._other = other
        self._is_resizing = False
        self._home = show
        self._guest: Guest | None = None
        self._stagger_ns = stagger_ns
        self._log = log.LogWriter(log.path_of(log_folder, camera_id))
        self._first_number = self._log.next_number
        self.plays = self._log.last_connection
        self._position = phase
        self._clock = Clock(secrets.randbits(32), traits.clock_offset_s, traits.drift_ppm)
        self._start_monotonic_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def clip(self) -> Clip:
        """What it shows now."""
        return self.show.clip

    # Pace

    def start(self) -> None:
        """Begins with unit 0, now (less a stagger that keeps many cameras from sending in step)."""
        self._start_monotonic_ns = time.monotonic_ns() + self._stagger_ns
        # The clocks count from the beginning of the loop that the camera stands in.
        self._clock.start(time.time_ns() + self._stagger_ns - _ns(self._ticks(self.phase, pts=True)))
        self._schedule()

    def close(self) -> None:
        """Stops for good; cuts every connection."""
        if self._timer:
            self._timer.cancel()
        self._cut()
        self._log.close()

    def _schedule(self) -> None:
        due_s = self._due_ns(self._position) / 1e9
        self._timer = asyncio.get_running_loop().call_at(due_s, self._tick)

    def _tick(self) -> None:
        now = time.monotonic_ns()
        while (due := self._due_ns(self._position)) <= now:
            if now - due < _HOPELESSLY_LATE_NS:
                self._send(self._position)
            self._position += 1
        self._schedule()

    def _due_ns(self, position: int) -> int:
        ticks = self._ticks(position, pts=False) - self._ticks(self.phase, pts=False)
        return self._start_monotonic_ns + _ns(ticks)

    def _ticks(self, position: int, *, pts: bool) -> int:
        loop, index = divmod(position, len(self.clip.units))
        unit = self.clip.units[index]
        return loop * self.clip.duration_ticks + (unit.pts_ticks if pts else unit.due_ticks)

    def rtp_timestamp(self, position: int) -> int:
        """RTP timestamp of the unit at this position."""
        return self._clock.rtp(self._ticks(position, pts=True))

    @property
    def number(self) -> int:
        """Running number of the next unit."""
        return self._number_at(self._position)

    def _number_at(self, position: int) -> int:
        return position - self.phase + self._first_number

    # Viewers

    def next_start(self) -> int:
        """Position of the unit that a connection made now begins with: the next join point, or simply the next."""
        position = self._position
        if self.traits.start == "join":
            units = self.clip.units
            while not units[position % len(units)].joins:
                position += 1
        return position

    def play(self, viewer: Viewer, cut: Callable[[], None]) -> None:
        """From its start position on, the viewer gets every unit. `cut` ends its connection."""
        viewer.set_fault(self.fault)
        self.viewers[viewer] = cut
        self.peak_viewers = max(self.peak_viewers, len(self.viewers))

    def leave(self, viewer: Viewer) -> None:
        """Ends sending to a viewer; unknown ones are ignored."""
        if self.viewers.pop(viewer, None):
            viewer.close()

    def next_connection(self) -> int:
        """The number of a new connection, from 1."""
        self.plays += 1
        return self.plays

    # Faults

    def set_fault(self, fault: Fault) -> None:
        """Acts the fault out from now on; `faults.MOMENTS` are over as soon as they have happened.

        Raises FaultError for a change that the camera has no other side for, and then has done nothing.
        """
        if fault.kind in ("resize", "recode"):
            other = self._other.clip if self._other else None
            if other is None or (other.codec == self.clip.codec) != (fault.kind == "resize"):
                needed = "size" if fault.kind == "resize" else "codec"
                raise FaultError(f"fault {fault.kind}: camera {self.id} has no other {needed}; give it trait other=…")
        self.fault = Fault() if fault.kind in MOMENTS else fault
        if fault.kind == "jump":
            self._clock.jump_rtp(fault.by_s)
        elif fault.kind == "clock-jump":
            self._clock.jump_wall(fault.by_s)
        elif fault.kind == "resize":
            self._is_resizing = True
        for viewer in self.viewers:
            viewer.set_fault(self.fault)
            if fault.kind == "cut-short":
                viewer.cut_short()
        if fault.kind in CUTS:
            self._cut()
        if fault.kind == "recode":
            self._change()

    def _cut(self) -> None:
        for viewer, cut in list(self.viewers.items()):
            viewer.close()
            cut()
        self.viewers.clear()

    def _change(self) -> None:
        if self._guest:
            self.show, self._guest = self._home, None
        if self._other:
            self.show, self._other = self._other, self.show
        self._is_resizing = False

    # Shows for one round

    @property
    def index(self) -> int:
        """The unit of the loop that is sent next."""
        return self._position % len(self.clip.units)

    def invite(self, guest: Guest) -> None:
        """Shows another clip of the same form from a join point before its incident to the end of the loop, once.

        Raises ValueError: it has another form, or the camera does not show its own clip.
        """
        own, clip = self._home.clip, guest.show.clip
        if self.show is not self._home:
            raise ValueError(f"camera {self.id} shows something else")
        if (len(clip.units), clip.codec, clip.parameter_sets) != (len(own.units), own.codec, own.parameter_sets):
            raise ValueError(f"camera {self.id} cannot show a clip of another form")
        self._guest = guest

    def _welcome(self, position: int, index: int) -> None:
        guest = self._guest
        if guest and self.show is guest.show and index == 0:
            self.show, self._guest = self._home, None
        elif guest and self.show is self._home and index <= guest.before and self.clip.units[index].joins:
            self.show = guest.show
            guest.begins(self._number_at(position - index))

    # Sending

    def _send(self, position: int) -> None:
        index = position % len(self.clip.units)
        if self._is_resizing and self.clip.units[index].joins:
            self._change()
        if self._guest:
            self._welcome(position, index)
        unit = self.clip.units[index]
        if not self.viewers or self.fault.kind in ("stall", "hang") or unit.silent:
            return
        sendable = self.show.units[index]
        number = self._number_at(position)
        ticks = self._ticks(position, pts=True)
        timestamp = self._clock.rtp(ticks)
        ntp = rtcp.ntp(self._clock.utc_of_ticks_ns(ticks)) if self.traits.onvif else 0
        digest = b""
        sent_ns = time.time_ns()
        for viewer in list(self.viewers):
            if position < viewer.start_position:
                continue
            self._report_when_due(viewer)
            sending = viewer.send_unit(sendable, number, sent_ns, timestamp, ntp)
            digest = digest or sendable.digest(number, sent_ns)
            self._log.append(
                number,
                sent_ns,
                sending.monotonic_ns,
                digest,
                unit.frame,
                sending.packets,
                sending.dropped,
                viewer.connection,
            )
            self.units_sent += 1
            self.packets_dropped += sending.dropped

    def _report_when_due(self, viewer: Viewer) -> None:
        now = time.monotonic_ns()
        if now < viewer.next_report_ns:
            return
        viewer.next_report_ns = now + _REPORT_EVERY_NS
        elapsed_ns = now - self._start_monotonic_ns
        ticks = self._ticks(self.phase, pts=True) + elapsed_ns * CLOCK_HZ // 1_000_000_000
        viewer.report(self._clock.utc_of_ticks_ns(ticks), self._clock.rtp(ticks))

    def status(self) -> dict[str, Any]:
        """Counters, for the control port."""
        return {
            "number": self.number,
            "fault": self.fault.kind,
            "codec": self.clip.codec,
            "size": f"{self.clip.width}x{self.clip.height}",
            "viewers": len(self.viewers),
            "peak_viewers": self.peak_viewers,
            "plays": self.plays,
            "describes": self.describes,
            "units_sent": self.units_sent,
            "packets_dropped": self.packets_dropped,
        }


def _ns(ticks: int) -> int:
    return ticks * _NS_PER_TICK_NUM // _NS_PER_TICK_DEN

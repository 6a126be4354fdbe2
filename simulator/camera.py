"""A simulated camera: a clip sent round and round at its own pace, numbered and logged.

What belongs here: pace, running numbers, the camera's clock, what a fault does to sending. A camera is a camera: pace
and numbers go on whether or not anybody is connected. What does not: RTSP (`rtsp`), the bytes of a packet (`packets`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import bitstream, log, sei
from simulator.clip import CLOCK_HZ, Clip
from simulator.faults import CUTS, Fault
from simulator.packets import UnitPackets
from simulator.viewers import Viewer

_NS_PER_TICK_NUM, _NS_PER_TICK_DEN = 100_000, 9  # 1e9 / 90000
_REPORT_EVERY_NS = 1_000_000_000
_HOPELESSLY_LATE_NS = 2_000_000_000
"""Units that are overdue by more (the machine slept) are never sent; their numbers pass."""


@dataclass(frozen=True, slots=True)
class Packetised:
    """A clip with its units cut into packets; shared by all cameras that show it."""

    clip: Clip
    units: tuple[UnitPackets, ...]

    @classmethod
    def of(cls, clip: Clip, mtu: int = 1400, aggregate: bool = False, pad_bytes: int = 0) -> Packetised:
        """Cuts every unit; with `pad_bytes`, units are first made about that long."""
        return cls(
            clip,
            tuple(
                UnitPackets(
                    bitstream.padded(bitstream.with_stamp(unit.nals), pad_bytes), sei.PLACEHOLDER, mtu, aggregate
                )
                for unit in clip.units
            ),
        )


class Camera:
    """One camera. Used from one event loop only."""

    def __init__(
        self,
        camera_id: str,
        show: Packetised,
        log_folder: Path,
        *,
        phase: int = 0,
        stagger_ns: int = 0,
        clock_offset_ns: int = 0,
    ) -> None:
        self.id = camera_id
        self.show = show
        self.clip = show.clip
        self.phase = phase
        self.viewers: dict[Viewer, Callable[[], None]] = {}
        self.peak_viewers = 0
        self.describes = 0
        self.units_sent = 0
        self.packets_dropped = 0
        self.fault = Fault()
        self._stagger_ns = stagger_ns
        self._clock_offset_ns = clock_offset_ns
        self._log = log.LogWriter(log.path_of(log_folder, camera_id))
        self._first_number = self._log.next_number
        self.plays = self._log.last_connection
        self._position = phase
        self._rtp_base = secrets.randbits(32)
        self._start_monotonic_ns = 0
        self._start_utc_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    # Pace

    def start(self) -> None:
        """Begins with unit 0, now (less a stagger that keeps many cameras from sending in step)."""
        self._start_monotonic_ns = time.monotonic_ns() + self._stagger_ns
        self._start_utc_ns = time.time_ns() + self._stagger_ns
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
        return self._start_monotonic_ns + ticks * _NS_PER_TICK_NUM // _NS_PER_TICK_DEN

    def _ticks(self, position: int, *, pts: bool) -> int:
        loop, index = divmod(position, len(self.clip.units))
        unit = self.clip.units[index]
        return loop * self.clip.duration_ticks + (unit.pts_ticks if pts else unit.due_ticks)

    def rtp_timestamp(self, position: int) -> int:
        """RTP timestamp of the unit at this position."""
        return self._rtp_base + self._ticks(position, pts=True) & 0xFFFFFFFF

    @property
    def number(self) -> int:
        """Running number of the next unit."""
        return self._number_at(self._position)

    def _number_at(self, position: int) -> int:
        return position - self.phase + self._first_number

    # Viewers

    def next_start(self, anywhere: bool) -> int:
        """Position of the unit that a connection made now begins with: the next join point, or simply the next."""
        position = self._position
        if not anywhere:
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
        self.viewers.pop(viewer, None)

    def next_connection(self) -> int:
        """The number of a new connection, from 1."""
        self.plays += 1
        return self.plays

    # Faults

    def set_fault(self, fault: Fault) -> None:
        """Acts the fault out from now on. `drop` is over as soon as it has happened."""
        self.fault = Fault() if fault.kind == "drop" else fault
        for viewer in self.viewers:
            viewer.set_fault(self.fault)
        if fault.kind in CUTS:
            self._cut()

    def _cut(self) -> None:
        for cut in list(self.viewers.values()):
            cut()
        self.viewers.clear()

    # Sending

    def _send(self, position: int) -> None:
        if not self.viewers or self.fault.kind in ("stall", "hang"):
            return
        index = position % len(self.clip.units)
        unit = self.clip.units[index]
        if unit.silent:
            return
        packets = self.show.units[index]
        number = self._number_at(position)
        timestamp = self.rtp_timestamp(position)
        digest = b""
        sent_ns = time.time_ns()
        for viewer in list(self.viewers):
            if position < viewer.start_position:
                continue
            self._report_when_due(viewer)
            sending = viewer.send_unit(packets, number, sent_ns, timestamp)
            digest = digest or packets.digest(number, sent_ns)
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
        utc_ns = self._start_utc_ns + elapsed_ns + self._clock_offset_ns
        viewer.report(utc_ns, self._rtp_base + ticks & 0xFFFFFFFF)

    def status(self) -> dict[str, Any]:
        """Counters, for the control port."""
        return {
            "number": self.number,
            "fault": self.fault.kind,
            "viewers": len(self.viewers),
            "peak_viewers": self.peak_viewers,
            "plays": self.plays,
            "describes": self.describes,
            "units_sent": self.units_sent,
            "packets_dropped": self.packets_dropped,
        }

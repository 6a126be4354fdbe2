"""What ails the media center, told to the bus as `trueframe.system.media-center`."""

from __future__ import annotations

from mesh.bus import Bus
from mesh.clocks import Clock
from mesh.system_events import SystemEvents as Told

SERVICE = "media-center"


class SystemEvents(Told):
    """Conditions of the media center."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        super().__init__(SERVICE, bus, clock)

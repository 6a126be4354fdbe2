"""How far footage is on disk, and which events still wait for theirs: a memory by camera. Pure.

What does not belong here: what a watermark makes of an event (`folding`), storing (`book`).
"""

from __future__ import annotations

from event_center.event import Event
from mesh.ids import FrameId

# Footage that has not come within a day does not come any more.
AWAIT_FOOTAGE_NS = 24 * 3600 * 1_000_000_000


class Awaiting:
    """Watermarks as they were told last, and events whose footage is not confirmed."""

    def __init__(self) -> None:
        self._watermarks: dict[str, FrameId] = {}
        # By camera: ids with their last frame and the time of their last change, the oldest change first.
        self._events: dict[str, dict[str, tuple[FrameId, int]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._events.values()))

    def watermark(self, camera: str) -> FrameId | None:
        """How far footage of a camera is; None if nobody told."""
        return self._watermarks.get(camera)

    def note(self, event: Event) -> None:
        """An event is stored so. What waits in vain is let go: a camera may never be recorded."""
        self.forget(event.camera, event.id)
        if event.last is None or event.is_confirmed:
            return
        of_camera = self._events.setdefault(event.camera, {})
        of_camera[event.id] = event.last, event.changed_ns
        while of_camera and next(iter(of_camera.values()))[1] < event.changed_ns - AWAIT_FOOTAGE_NS:
            del of_camera[next(iter(of_camera))]

    def forget(self, camera: str, event_id: str) -> None:
        """An event waits no more."""
        of_camera = self._events.get(camera, {})
        of_camera.pop(event_id, None)
        if not of_camera:
            self._events.pop(camera, None)

    def reached(self, watermark: FrameId) -> list[str]:
        """Events whose footage a watermark confirms; none for one that was told already."""
        known = self._watermarks.get(watermark.camera)
        if known is not None and watermark <= known:
            return []
        return [event_id for event_id, (last, _) in self._events.get(watermark.camera, {}).items() if last <= watermark]

    def told(self, watermark: FrameId) -> None:
        """What it reached is stored: it need not be told again."""
        known = self._watermarks.get(watermark.camera)
        if known is None or watermark > known:
            self._watermarks[watermark.camera] = watermark

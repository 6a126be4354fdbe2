"""Following things from frame to frame, by their boxes alone.

tracker = Tracker(TrackerSettings(max_lost_s=2.0))
state = tracker.start()
boxes, state = tracker.step(boxes, picture.received_ns, state)      # the same boxes, with `track` set
"""

from __future__ import annotations

from detector_pool.tracking.tracker import Tracker, TrackerSettings, Tracks

__all__ = ["Tracker", "TrackerSettings", "Tracks"]

"""Footage inspected as if it were live and judged by the same rules, as fast as it decodes: what happened, and when.

What belongs here: recorded pictures shown to detectors from nothing, and their scores judged. What does not: comparing
with what was said then (`reinspect`), reports (`trueframe`). Nothing of this goes into the ledger or becomes an event:
those are of what was seen live.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aggregate.client import Anomaly, Area, Inspection, JudgeState, Rules, Verdict, end, judge_all
from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, Judging, Setup
from detector_pool.options import parsed
from detector_pool.picture import Shot
from detector_pool.reasons import NoScore
from detector_pool.registry import detector_types
from detector_pool.reinspect import recorded_pictures
from detector_pool.wire import task_from_proto
from media_center.client import SyncFootageClient
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from mesh.logs import get_logger
from trueframe.v1.inspection_pb2 import Assignment

log = get_logger("detector_pool.footage_inspection")

# With B-frames pictures come in the order they are shown in; the judge wants that of ids.
_HELD_BACK = 64

InspectionProgress = Callable[[int, int], None]
"""Called with the arrival of the picture looked at last, and that of the last one, as nanoseconds since the first."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that a detector found, judged by its rules."""

    detector: str
    """Name and version."""
    anomaly: Anomaly


@dataclass(slots=True)
class Inspected:
    """What an inspection of footage found."""

    moments: list[Moment] = field(default_factory=list)
    """In the order of their beginnings."""
    pictures: int = 0
    """Frames that were looked at."""
    inexact: int = 0
    """Of these, damaged ones and those that rest on something damaged."""
    learning: dict[str, int] = field(default_factory=dict)
    """Frames without a score by detector, because it was still learning what is normal."""
    failed: int = 0
    """Scores that a detector did not come to."""
    seconds: float = 0.0
    """How long it took."""


class _Desk:
    """One detector and the judge over it."""

    def __init__(
        self, camera: str, name: str, detector: Detector[Any], rules: Rules, regions: Sequence[RegionMask]
    ) -> None:
        self.name = detector.name
        self._inspection = f"{camera}.{name}"
        self._detector = detector
        self._rules = rules
        self._regions = regions
        self._state = detector.start()
        self._judged = JudgeState()
        self._waiting: list[tuple[FrameId, Verdict]] = []
        self.learning = 0
        self.anomalies: dict[str, Anomaly] = {}

    def look(self, shot: Shot) -> bool:
        """Looks at a picture. False if the detector fails on it: it then begins again."""
        try:
            observation, self._state = self._detector.inspect(shot, self._state, self._regions)
        except Exception as error:
            log.info("detector fails on it", frame=str(shot.id), error=str(error))
            self._state = self._detector.start()
            return False
        self.learning += observation.reason is NoScore.WARMING_UP
        if observation.reason is None:
            boxes = tuple(
                Area(box.x, box.y, box.width, box.height, box.label, box.score, box.track, box.said)
                for box in observation.boxes
            )
            verdict = Verdict(shot.id, shot.received_ns, observation.score, boxes, said=observation.said)
            heapq.heappush(self._waiting, (shot.id, verdict))
            if len(self._waiting) > _HELD_BACK:
                self._judge(heapq.heappop(self._waiting)[1])
        return True

    def end(self) -> None:
        """Nothing more comes."""
        while self._waiting:
            self._judge(heapq.heappop(self._waiting)[1])
        self._judged, findings = end(self._judged, self._judged.scored_ns)
        for finding in findings:
            self.anomalies[finding.anomaly.id] = finding.anomaly

    def _judge(self, verdict: Verdict) -> None:
        self._judged, findings = judge_all(self._judged, self._rules, self._inspection, [verdict])
        for finding in findings:
            self.anomalies[finding.anomaly.id] = finding.anomaly


def inspect_footage(
    footage: SyncFootageClient,
    first: FrameId,
    last: FrameId,
    detectors: Sequence[str],
    *,
    like: Sequence[Inspection] = (),
    progress: InspectionProgress | None = None,
) -> Inspected:
    """Shows the frames from `first` to `last` to detectors that begin from nothing, decoded once for all of them.

    `like`: inspections, of another camera perhaps, whose regions and thresholds count for their detectors. Raises
    InvalidArgument for an unknown detector.
    """
    desks = [_desk(first.camera, name, like) for name in dict.fromkeys(detectors)]
    done = Inspected()
    began_s = time.monotonic()
    first_ns, last_ns = _arrival(footage, first), _arrival(footage, last)
    for shot, is_inexact in _pictures(footage, first, last):
        done.pictures += 1
        done.inexact += is_inexact
        for desk in desks:
            done.failed += not desk.look(shot)
        if progress is not None:
            progress(shot.received_ns - first_ns, last_ns - first_ns)
    for desk in desks:
        desk.end()
        done.learning[desk.name] = desk.learning
        done.moments += [Moment(desk.name, anomaly) for anomaly in desk.anomalies.values()]
    done.moments.sort(key=lambda moment: (moment.anomaly.started_ns, moment.detector))
    done.seconds = time.monotonic() - began_s
    return done


def _arrival(footage: SyncFootageClient, frame: FrameId) -> int:
    """When a recorded frame was received, UTC nanoseconds. Raises NotFound."""
    return footage.step(frame, 0).frame.received_ns


def _pictures(footage: SyncFootageClient, first: FrameId, last: FrameId) -> Iterator[tuple[Shot, bool]]:
    behind = replace(first, seq=first.seq - 1)
    for shot, is_inexact in recorded_pictures(footage, first.camera, behind, last, None):
        if first <= shot.id <= last:
            yield shot, is_inexact


def _desk(camera: str, name: str, like: Sequence[Inspection]) -> _Desk:
    kind = detector_types().get(name)
    if kind is None:
        there_are = ", ".join(sorted(detector_types()))
        raise InvalidArgument(f"detector {name!r}", "is not known", f"There are: {there_are}.")
    found = next((one for one in like if one.detector == name), Inspection(detector=name))
    task = task_from_proto(Assignment(inspection=found))
    detector = kind.make(Setup(camera, parsed(f"inspection {found.id}", task.options)))
    return _Desk(camera, name, detector, _rules(kind.judging).with_threshold(task.threshold), task.regions)


def _rules(judging: Judging) -> Rules:
    return Rules(judging.threshold, judging.closing_share, judging.min_duration_ns, judging.merge_gap_ns)

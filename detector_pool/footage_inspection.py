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

from aggregate.client import Anomaly, Area, Inspection, JudgeState, Rules, Verdict, end, judge_all
from detector_pool.detector import Judging, LoadedModel
from detector_pool.looking import Look, made_for, models_of
from detector_pool.picture import Shot
from detector_pool.rate import Rate
from detector_pool.reasons import NoScore
from detector_pool.registry import detector_types
from detector_pool.reinspect import recorded_pictures
from detector_pool.wire import task_from_proto
from media_center.client import SyncFootageClient
from mesh.ids import FrameId
from trueframe.v1.inspection_pb2 import Assignment

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
    """One inspection and the judge over it."""

    def __init__(self, inspection: str, look: Look, rules: Rules, max_fps: float) -> None:
        self.name = look.detector.name
        self._inspection = inspection
        self._look = look
        self._rules = rules
        self._rate = Rate(max_fps)
        self._judged = JudgeState()
        self._waiting: list[tuple[FrameId, Verdict]] = []
        self.learning = 0
        self.anomalies: dict[str, Anomaly] = {}

    def look(self, shot: Shot) -> bool:
        """Looks at a picture, if it is due. False if the detector fails on it: it then begins again."""
        if not self._rate.is_due(shot.received_ns):
            return True
        observation = self._look.look(shot)
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
        return observation.reason is not NoScore.DETECTOR_FAILED

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
    inspections: Sequence[Inspection],
    *,
    models: Callable[[str], LoadedModel],
    progress: InspectionProgress | None = None,
) -> Inspected:
    """Carries out inspections, of another camera perhaps, on the frames from `first` to `last`: from nothing, decoded
    once for all of them, whatever their schedules say.

    `models`: gives a model by its name. Raises InvalidArgument: an inspection that cannot be carried out.
    """
    desks = [_desk(inspection, models) for inspection in inspections]
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
        done.learning[desk.name] = done.learning.get(desk.name, 0) + desk.learning
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


def _desk(inspection: Inspection, models: Callable[[str], LoadedModel]) -> _Desk:
    detector = made_for(inspection, [models(name) for name in models_of(inspection)])
    task = task_from_proto(Assignment(inspection=inspection))
    rules = _rules(detector_types()[inspection.detector].judging).with_threshold(task.threshold)
    return _Desk(inspection.id, Look(task, detector), rules, inspection.max_fps)


def _rules(judging: Judging) -> Rules:
    return Rules(judging.threshold, judging.closing_share, judging.min_duration_ns, judging.merge_gap_ns)

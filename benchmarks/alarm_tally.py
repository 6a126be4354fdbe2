"""What the alarms of a run were worth: set against the truth of the simulated cameras, detector by detector.

What belongs here: whose business an incident was, whether it was found, how late, and which alarms were false; the
figures of all runs. What does not: starting and watching an instance (`alarm_latency`).

An incident is found if an anomaly of a detector whose business it is (`simulator.truth.SEEN_BY`) overlaps its ground
truth in time and, at its peak frame, in place. Those too short for a detector are not held against it, and counted. An
alarm that overlaps an incident without telling it (another's business, another place) is "beside", any other is false.
An alarm that was open when the measurement began has no latency and hides what comes after it: it is counted.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import coverage
from benchmarks.harness import Simulation, percentile
from benchmarks.observers import Alarm, Minted, Seen
from broker.client import FrameId
from detector_pool.registry import detector_types
from simulator import log, truth
from trueframe.v1.events_pb2 import EVENT_KIND_ANOMALY

BY_DESIGN = {
    "motion": "0.3 s above its threshold",
    "normality": "0.3 s above its threshold",
    "signal": "3 s of rest and 0.5 s; at once for an empty picture, and 0.5 s",
    "health": "5 s covered or moved, 8 s blurred, 15 s badly exposed or noisy; and 0.5 s",
}
"""What a detector waits for: not part of the latency, but of the time from an incident's beginning to its alarm."""


@dataclass(slots=True)
class Share:
    """One detector's part. Latencies in milliseconds."""

    incidents: int = 0
    """Whole ones that are its business and last long enough for it."""
    found: int = 0
    too_short: int = 0
    """Its business, but over before it could speak: in no denominator."""
    latencies: list[float] = field(default_factory=list)
    begun_to_alarm: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    """Alarms at the time of an incident that they do not tell."""
    open_before: list[str] = field(default_factory=list)
    """Alarms that were open when the measurement began, and for how long of it."""


@dataclass(slots=True)
class Run:
    """What one run gave. Latencies in milliseconds."""

    shares: dict[str, Share] = field(default_factory=dict)
    told: list[tuple[float, str]] = field(default_factory=list)
    """Each alarm's latency, with what it was and where the time went."""
    hops: dict[str, list[float]] = field(default_factory=dict)
    places: list[float] = field(default_factory=list)
    incidents: int = 0
    found: int = 0
    begun_to_alarm: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    other_events: int = 0
    camera_hours: float = 0.0
    pairs: int = 0
    scored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unspoken: int = 0
    cpu_share: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def share(self, detector: str) -> Share:
        """That of a detector, "motion@1" or "motion"."""
        return self.shares.setdefault(name_of(detector), Share())


def name_of(detector: str) -> str:
    """A detector without its version."""
    return detector.partition("@")[0]


def judge_alarms(
    run: Run, seen: Seen, cameras: Simulation, ledger: dict[str, coverage.Book], start_ns: int, end_ns: int
) -> None:
    """Sets alarms against the truth, and takes their latencies."""
    told = truth.read(cameras.log_dir)
    for camera in cameras.urls:
        frames = {frame.id: frame for frame in seen.frames[camera]}
        received = {frame.number: frame for frame in seen.frames[camera]}
        known = [alarm for alarm in seen.alarms.values() if alarm.event.camera == camera]
        run.other_events += sum(
            alarm.event.kind != EVENT_KIND_ANOMALY and start_ns <= alarm.event.started_ns < end_ns for alarm in known
        )
        known = [alarm for alarm in known if alarm.event.kind == EVENT_KIND_ANOMALY]
        for alarm in known:
            _note_if_open(run, alarm, start_ns, end_ns)
        alarms = [alarm for alarm in known if start_ns <= alarm.event.started_ns < end_ns]
        claims = {alarm.event.id: as_found(alarm, frames) for alarm in alarms}
        happened = truth.occurrences(camera, told[camera], log.read(log.path_of(cameras.log_dir, camera)))
        explained = {
            key for key, claim in claims.items() if any(one.overlap(claim) > 0 for one in happened)
        }  # fmt: skip
        for one in happened:
            first, last = received.get(one.first), received.get(one.last)
            # One that the beginning or end of the measurement cuts in two is nobody's merit and nobody's fault.
            if first and last and one.is_whole and start_ns <= first.received_ns <= last.received_ns < end_ns:
                _take_incident(run, one, first, last, [(alarm, claims[alarm.event.id]) for alarm in alarms])
        for alarm in alarms:
            if alarm.event.id not in explained:
                event = alarm.latest
                is_beside = any(one.is_during(claims[event.id]) for one in happened)
                share = run.share(event.detector)
                text = f"{event.detector} {FrameId.from_proto(event.first)} to {event.last.seq}"
                (share.beside if is_beside else share.false).append(text)
            take_latency(run, seen, alarm, ledger)


def _take_incident(
    run: Run, one: truth.Occurrence, first: Minted, last: Minted, alarms: Iterable[tuple[Alarm, truth.Found]]
) -> None:
    seconds = (last.received_ns - first.received_ns) / 1e9
    where = f"{one.camera} {one.kind} {first.id} to {last.id}"
    overlaps = [(alarm, one.overlap(claim)) for alarm, claim in alarms]
    told_of = [(alarm, overlap) for alarm, overlap in overlaps if overlap > 0]
    is_due = False
    for name, share in run.shares.items():
        if name not in truth.SEEN_BY.get(one.kind, {}):
            continue
        own = [alarm.monotonic_ns for alarm, _ in told_of if name_of(alarm.event.detector) == name]
        if not truth.is_due(one.kind, name, seconds):
            share.too_short += 1
            continue
        is_due = True
        share.incidents += 1
        share.found += bool(own)
        if own:
            share.begun_to_alarm.append((min(own) - first.monotonic_ns) / 1e6)
        else:
            share.missed.append(where)
    if not is_due:
        return
    run.incidents += 1
    run.found += bool(told_of)
    if not told_of:
        run.missed.append(where)
        return
    run.begun_to_alarm.append((min(alarm.monotonic_ns for alarm, _ in told_of) - first.monotonic_ns) / 1e6)
    if one.boxes:
        run.places.append(max(overlap for _, overlap in told_of))


def _note_if_open(run: Run, alarm: Alarm, start_ns: int, end_ns: int) -> None:
    event = alarm.latest
    if event.started_ns >= start_ns or (event.ended_ns and event.ended_ns <= start_ns):
        return
    seconds = (min(event.ended_ns or end_ns, end_ns) - start_ns) / 1e9
    run.share(event.detector).open_before.append(f"{event.detector} on {event.camera}: {seconds:.0f} s of it")


def as_found(alarm: Alarm, frames: dict[FrameId, Minted]) -> truth.Found:
    """The event, as it came last, in the camera's running numbers."""
    event = alarm.latest
    first, peak, last = (
        frames[key].number if key in frames else -1
        for key in (FrameId.from_proto(frame) for frame in (event.first, event.peak, event.last))
    )
    boxes = tuple((box.x, box.y, box.x + box.width, box.y + box.height) for box in event.boxes)
    return truth.Found(event.detector, first, peak, last, boxes)


def take_latency(run: Run, seen: Seen, alarm: Alarm, ledger: dict[str, coverage.Book]) -> None:
    """The time from the frame that completed the condition to the alarm, and to the places on the way."""
    event = alarm.event
    min_duration_ns = detector_types()[name_of(event.detector)].judging.min_duration_ns
    book = ledger[f"{event.camera}.{event.detector.partition('@')[0]}"]
    first = FrameId.from_proto(event.first)
    for frame in seen.frames[event.camera]:
        if frame.id < first or frame.received_ns - event.started_ns < min_duration_ns:
            continue
        if not book.has_score(frame.id):
            continue
        latency_ms = (alarm.monotonic_ns - frame.monotonic_ns) / 1e6
        judged_ns, bus_ns = seen.on_bus.get(event.id, (0, 0))
        moments_ns = {"judged": judged_ns, "bus": bus_ns, "event_stored": event.changed_ns}
        hops = {name: (at_ns - frame.received_ns) / 1e6 for name, at_ns in moments_ns.items() if at_ns}
        for name, value_ms in hops.items():
            run.hops.setdefault(name, []).append(value_ms)
        way = ", ".join(f"{name} {value_ms:.0f}" for name, value_ms in hops.items())
        run.share(event.detector).latencies.append(latency_ms)
        run.told.append((latency_ms, f"{latency_ms:.0f} ms {event.detector} {first} on {frame.id.seq}: {way}"))
        return
    run.failures.append(f"no frame completes the condition of {event.id} ({first})")


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median and the slow end."""
    return {f"p{share}": round(percentile(values, share / 100), 1) for share in (50, 95, 99)}


def result_of(runs: Sequence[Run]) -> dict[str, Any]:
    """All runs together; `detectors` has each one's own part."""
    shares = [share for run in runs for share in run.shares.values()]
    latencies = [value for share in shares for value in share.latencies]
    pairs = sum(run.pairs for run in runs)
    spoken = sum(run.scored + run.reasons.total() for run in runs)
    hours = sum(run.camera_hours for run in runs)
    false = [text for share in shares for text in share.false]
    hops = {name: [v for run in runs for v in run.hops.get(name, ())] for run in runs for name in run.hops}
    places = [value for run in runs for value in run.places]
    return {
        **{f"{name}_ms": value for name, value in spread(latencies).items()},
        "alarms": len(latencies),
        "incidents": sum(run.incidents for run in runs),
        "found": sum(run.found for run in runs),
        "false_per_camera_hour": round(len(false) / hours, 2) if hours else 0.0,
        "detectors": {name: _part(name, runs, hours) for name in dict.fromkeys(n for run in runs for n in run.shares)},
        "coverage": round(spoken / pairs, 6) if pairs else 0.0,
        "pairs": pairs,
        "scored": sum(run.scored for run in runs),
        "reasons": dict(sum((run.reasons for run in runs), Counter[str]())),
        "unspoken": sum(run.unspoken for run in runs),
        "begun_to_alarm_ms": spread([value for run in runs for value in run.begun_to_alarm]),
        "hops_ms": {name: spread(values) for name, values in hops.items()},
        "slowest": [text for _, text in sorted((one for run in runs for one in run.told), reverse=True)[:5]],
        "place_iou": round(statistics.median(places), 3) if places else None,
        "missed": [text for run in runs for text in run.missed],
        "false": false,
        "other_events": sum(run.other_events for run in runs),
        "cpu_share": {n: round(statistics.mean(r.cpu_share.get(n, 0.0) for r in runs), 3) for n in runs[0].cpu_share},
        "failures": [text for run in runs for text in run.failures],
    }


def _part(name: str, runs: Sequence[Run], hours: float) -> dict[str, Any]:
    shares = [run.shares[name] for run in runs if name in run.shares]
    latencies = [value for share in shares for value in share.latencies]
    false = [text for share in shares for text in share.false]
    return {
        "incidents": sum(share.incidents for share in shares),
        "found": sum(share.found for share in shares),
        "too_short_for_it": sum(share.too_short for share in shares),
        "waits_by_design": BY_DESIGN.get(name, ""),
        "alarms": len(latencies),
        "latency_ms": spread(latencies),
        "begun_to_alarm_ms": spread([value for share in shares for value in share.begun_to_alarm]),
        "false_per_camera_hour": round(len(false) / hours, 2) if hours else 0.0,
        "beside_an_incident": sum(len(share.beside) for share in shares),
        "open_before": [text for share in shares for text in share.open_before],
        "missed": [text for share in shares for text in share.missed],
    }

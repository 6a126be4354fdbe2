"""How incidents and false alarms are counted. Pure; the rule below was written down before anything was run by it.

An incident counts as found by a detector whose business it is (`is_business`) if one of its alarms is told between the
incident's first frame and ten seconds behind its last, and touches it where both have a place. Its delay is from that
first frame to the frame at which the judge opens the alarm; an alarm that runs already when the incident begins is no
find. A rule finds only incidents of its own kind.

An alarm is false if it overlaps no incident's time, from when those who act in it come into the picture until twenty
seconds behind its end (people go, pictures recover). So that this excuses nothing, rates of false alarms are told of
quiet hours alone, in which nothing happens at all; those beside incidents are listed apart.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.incident_desks import Alarm
from benchmarks.incident_scenes import MOVED, SPOILT, Happened

BEHIND_S = 10.0
RECOVERS_S = 20.0
FROZEN = ("freeze", "signal-lost")
ACTED = ("intrusion", "running", "wrong-way", "left-object", "crowd", "fall", "loitering")


def is_business(detector: str, kind: str) -> bool:
    """Whether a detector, or a rule ("rules: fall"), is there to find incidents of this kind."""
    name, _, rule = detector.partition(": ")
    kinds = {
        "motion": ("intrusion",),
        "signal": FROZEN,
        "health": (*SPOILT, *MOVED),
        "normality": ACTED,
        "rules": (rule,),
    }
    return kind in kinds.get(name, ())


def tells(alarm: Alarm, happened: Happened, fps: float) -> bool:
    """Whether an alarm was told of an incident, in time and in place."""
    if not happened.first <= alarm.told <= happened.last + BEHIND_S * fps:
        return False
    if not happened.boxes or not alarm.boxes:
        return True
    nearest = min(happened.boxes, key=lambda at: abs(at - alarm.peak))
    return any(_touch(box, happened.boxes[nearest]) for box in alarm.boxes)


def belongs(alarm: Alarm, happened: Happened, fps: float) -> bool:
    """Whether an alarm overlaps an incident's time, from who comes to it until what is left of it."""
    return alarm.first <= happened.last + RECOVERS_S * fps and alarm.last >= happened.comes


def outcome(
    layout: str, seed: int, frames: int, fps: float, happened: Sequence[Happened], alarms: Mapping[str, Sequence[Alarm]]
) -> dict[str, Any]:
    """What became of one take, as a JSON object; `alarms` by detector or rule."""
    incidents = []
    for one in happened:
        delays = {}
        for name, raised in alarms.items():
            if is_business(name, one.kind):
                told = [alarm.told for alarm in raised if tells(alarm, one, fps)]
                if told:
                    delays[name] = round((min(told) - one.first) / fps, 1)
        incidents.append({"kind": one.kind, "at_s": round(one.first / fps, 1), "delays_s": delays})
    false = {
        name: [
            f"{alarm.first / fps:.0f} to {alarm.last / fps:.0f} s, {alarm.score:.2f} {alarm.said}".rstrip()
            for alarm in raised
            if not any(belongs(alarm, one, fps) for one in happened)
        ]
        for name, raised in alarms.items()
    }
    return {
        "layout": layout, "seed": seed, "hours": frames / fps / 3600, "is_quiet": not happened,
        "incidents": incidents, "false": false,
    }  # fmt: skip


def summary(outcomes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The table: by kind what was found, by whom, how late and what was missed; by detector its false alarms."""
    kinds: dict[str, dict[str, Any]] = {}
    quiet_h = busy_h = 0.0
    false: dict[str, dict[str, list[str]]] = {"quiet": {}, "busy": {}}
    for one in outcomes:
        where = f"{one['layout']} seed {one['seed']}"
        quiet_h += one["hours"] if one["is_quiet"] else 0.0
        busy_h += 0.0 if one["is_quiet"] else one["hours"]
        for incident in one["incidents"]:
            kind = kinds.setdefault(
                incident["kind"], {"incidents": 0, "found": 0, "by": {}, "delays": [], "missed": []}
            )
            kind["incidents"] += 1
            for name in incident["delays_s"]:
                kind["by"][name] = kind["by"].get(name, 0) + 1
            if incident["delays_s"]:
                kind["found"] += 1
                kind["delays"].append(min(incident["delays_s"].values()))
            else:
                kind["missed"].append(f"{where} at {incident['at_s']:.0f} s")
        for name, told in one["false"].items():
            listed = false["quiet" if one["is_quiet"] else "busy"].setdefault(name, [])
            listed += [f"{where}: {words}" for words in told]
    for kind in kinds.values():
        delays = kind.pop("delays")
        kind["median_delay_s"] = round(statistics.median(delays), 1) if delays else None
    return {
        "kinds": kinds,
        "quiet_hours": round(quiet_h, 2),
        "hours_with_incidents": round(busy_h, 2),
        "false_per_quiet_hour": {
            name: round(len(told) / quiet_h, 2) if quiet_h else None for name, told in false["quiet"].items()
        },
        "false_in_quiet_hours": {name: told for name, told in false["quiet"].items() if told},
        "false_beside_incidents": {name: told for name, told in false["busy"].items() if told},
    }


def _touch(a: Sequence[float], b: Sequence[float]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])

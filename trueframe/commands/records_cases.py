"""What commands print of cases: as JSON objects and as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from trueframe.commands.records import deed_record
from trueframe.times import when
from trueframe.v1 import cases_pb2, events_pb2


def case_record(case: cases_pb2.Case) -> dict[str, object]:
    """A case."""
    return {
        "id": case.id,
        "title": case.title,
        "open": case.open,
        "outcome": case.outcome,
        "events": list(case.events),
        "clips": [clip_record(clip) for clip in case.clips],
        "opened_ns": case.opened_ns,
        "opened": when(case.opened_ns),
        "changed_ns": case.changed_ns,
        "changed": when(case.changed_ns),
        "records": [
            {
                "number": one.number, "at_ns": one.at_ns, "at": when(one.at_ns), "actor": one.actor,
                "deed": cases_pb2.CaseDeed.Name(one.deed).removeprefix("CASE_DEED_").lower(), "text": one.text,
                "event": one.event, "clip": clip_record(one.clip) if one.HasField("clip") else None,
            }
            for one in case.records
        ],
    }  # fmt: skip


def clip_record(clip: cases_pb2.CaseClip) -> dict[str, object]:
    """Footage of a case."""
    return {
        "camera": clip.camera, "from_ns": clip.from_ns, "from": when(clip.from_ns), "to_ns": clip.to_ns,
        "to": when(clip.to_ns),
    }  # fmt: skip


def case_lines(case: cases_pb2.Case) -> list[str]:
    """A case for people."""
    lines = [
        f"case: {case.id}",
        f"title: {case.title}",
        f"state: {'open' if case.open else f'closed: {case.outcome}'}",
        *(f"event: {event}" for event in case.events),
        *(f"clip: {clip.camera} {when(clip.from_ns)} to {when(clip.to_ns)}" for clip in case.clips),
    ]
    for one in case.records:
        deed = cases_pb2.CaseDeed.Name(one.deed).removeprefix("CASE_DEED_").lower().replace("_", " ")
        clip = f"{one.clip.camera} {when(one.clip.from_ns)} to {when(one.clip.to_ns)}" if one.HasField("clip") else ""
        said = " ".join(part for part in (one.event, clip, one.text.replace("\n", "\n    ")) if part)
        lines.append(f"record: {one.number}. {when(one.at_ns)}  {deed} by {one.actor}{f': {said}' if said else ''}")
    return lines


def event_lines(event: events_pb2.Event, deeds: Iterable[events_pb2.EventRecord]) -> list[str]:
    """An event with its records for people."""
    ended = when(event.ended_ns) if event.ended_ns else "goes on"
    lines = [f"event: {event.id}", f"what: {event.summary}", f"camera: {event.camera or '-'}",
             f"when: {when(event.started_ns)} to {ended}"]  # fmt: skip
    for one in map(deed_record, deeds):
        said = str(one["text"] or one["reference"]).replace("\n", "\n    ")
        lines.append(
            f"record: {one['number']}. {one['at']}  {one['deed']} by {one['actor']}{f': {said}' if said else ''}"
        )
    return lines

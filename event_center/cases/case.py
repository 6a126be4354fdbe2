"""A case as its records tell it: title, open or closed with an outcome, events, clips, notes. Pure.

Records are never changed and never removed; taking something out of a case is a record, too. What does not belong here:
storing (`book`), who sees which case (`service`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from mesh.errors import FailedPrecondition, InvalidArgument, ResourceExhausted

MAX_TITLE, MAX_OUTCOME, MAX_NOTE = 200, 500, 4000
MAX_EVENTS, MAX_CLIPS, MAX_RECORDS = 1000, 200, 4000
MAX_TEXT_BYTES = 1 << 20
_WEEK_NS = 7 * 86_400 * 1_000_000_000


class Deed(StrEnum):
    """What is done to a case."""

    OPENED = "opened"
    RENAMED = "renamed"
    EVENT_ADDED = "event_added"
    EVENT_REMOVED = "event_removed"
    CLIP_ADDED = "clip_added"
    CLIP_REMOVED = "clip_removed"
    NOTED = "noted"
    CLOSED = "closed"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Clip:
    """Footage of a camera between two times, UTC nanoseconds."""

    camera: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed. `text`: the title, the note, the outcome, or why; `camera`: of the event."""

    at_ns: int
    actor: str
    deed: Deed
    text: str = ""
    event: str = ""
    camera: str = ""
    clip: Clip | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A case. Times in UTC nanoseconds."""

    id: str
    title: str = ""
    is_open: bool = True
    outcome: str = ""
    """Of a closed one: what was found."""
    events: tuple[tuple[str, str], ...] = ()
    """Ids and cameras, in the order they came."""
    clips: tuple[Clip, ...] = ()
    records: tuple[Entry, ...] = ()

    @property
    def opened_ns(self) -> int:
        """When."""
        return self.records[0].at_ns

    @property
    def changed_ns(self) -> int:
        """Of the last record."""
        return self.records[-1].at_ns

    @property
    def cameras(self) -> frozenset[str]:
        """Cameras that it ever concerned: whoever sees it sees what stands in its records."""
        named = {record.camera for record in self.records} | {one.clip.camera for one in self.records if one.clip}
        return frozenset(named - {""})

    @property
    def texts(self) -> list[str]:
        """What can be searched for."""
        notes = [one.text for one in reversed(self.records) if one.text]
        return [self.title, self.outcome, *notes, *sorted(self.cameras)]


def opened(case_id: str, title: str, actor: str, now_ns: int) -> Case:
    """A new case. Raises InvalidArgument."""
    return apply(Case(case_id), Entry(now_ns, actor, Deed.OPENED, line("title", title, MAX_TITLE)))


def apply(case: Case, entry: Entry) -> Case:
    """The case after a deed, with one more record. Raises FailedPrecondition (closed), ResourceExhausted (full)."""
    if not case.is_open and entry.deed not in (Deed.NOTED, Deed.REOPENED):
        raise FailedPrecondition(f"case {case.id}", "is closed", "Reopen it, or write a note.")
    if case.is_open and entry.deed is Deed.REOPENED:
        raise FailedPrecondition(f"case {case.id}", "is open")
    _check_room(case, entry)
    return _after(case, entry)


def _after(case: Case, entry: Entry) -> Case:
    records = (*case.records, entry)
    item = (entry.event, entry.camera)
    match entry.deed:
        case Deed.OPENED | Deed.RENAMED:
            case = replace(case, title=entry.text)
        case Deed.EVENT_ADDED:
            case = replace(case, events=(*case.events, item))
        case Deed.EVENT_REMOVED:
            case = replace(case, events=tuple(one for one in case.events if one[0] != entry.event))
        case Deed.CLIP_ADDED if entry.clip:
            case = replace(case, clips=(*case.clips, entry.clip))
        case Deed.CLIP_REMOVED:
            case = replace(case, clips=tuple(one for one in case.clips if one != entry.clip))
        case Deed.CLOSED:
            case = replace(case, is_open=False, outcome=entry.text)
        case Deed.REOPENED:
            case = replace(case, is_open=True, outcome="")
        case _:
            pass
    return replace(case, records=records)


def replay(case_id: str, records: Iterable[Entry]) -> Case:
    """The case that these records tell: they were checked when they were made."""
    case = Case(case_id)
    for entry in records:
        case = _after(case, entry)
    return case


def checked_clip(clip: Clip) -> Clip:
    """The clip. Raises InvalidArgument: it ends before it begins, or is longer than a week."""
    if not 0 < clip.from_ns <= clip.to_ns or clip.to_ns - clip.from_ns > _WEEK_NS:
        raise InvalidArgument(f"clip of {clip.camera}", "does not go from a time to a later one, a week at most")
    return clip


def line(what: str, text: str, most: int) -> str:
    """A text on one line. Raises InvalidArgument: empty, over-long, or it would steer a terminal."""
    return _plain(what, " ".join(text.split()), most)


def note(text: str) -> str:
    """A note of several lines. Raises InvalidArgument, as `line`."""
    return _plain("note", text.replace("\r\n", "\n").strip(), MAX_NOTE)


def _plain(what: str, text: str, most: int) -> str:
    if not 0 < len(text) <= most:
        raise InvalidArgument(what, f"has {len(text)} characters; 1 to {most} are needed")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in text):
        raise InvalidArgument(what, "holds a control character", "Write plain text.")
    return text


def _check_room(case: Case, entry: Entry) -> None:
    full = {
        f"{MAX_RECORDS} records": len(case.records) >= MAX_RECORDS,
        f"{MAX_EVENTS} events": entry.deed is Deed.EVENT_ADDED and len(case.events) >= MAX_EVENTS,
        f"{MAX_CLIPS} clips": entry.deed is Deed.CLIP_ADDED and len(case.clips) >= MAX_CLIPS,
        f"{MAX_TEXT_BYTES >> 10} KiB of text": bool(entry.text)
        and sum(len(one.text.encode()) for one in (*case.records, entry)) > MAX_TEXT_BYTES,
    }
    for what, is_full in full.items():
        if is_full:
            raise ResourceExhausted(f"case {case.id}", f"has {what} already", "Go on in another case.")

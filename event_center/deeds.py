"""What people do to events: acknowledge and comment. Pure; a deed that was done already changes nothing.

Bounds live here: what a human writes ends up in a document, on the bus and on other people's terminals.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from event_center.alarm import WAITING, Alarm, Deed, State, Stimulus, apply
from event_center.errors import NoAlarm, TooManyComments, TooManyRecords
from event_center.event import Event
from mesh.errors import InvalidArgument

MAX_CHARACTERS = 4000
MAX_COMMENTS = 200
# Of all comments of an event together: its document has a bound.
MAX_TEXT_BYTES = 256 << 10
MAX_REQUEST_ID_CHARACTERS = 100
MAX_REASON_CHARACTERS = 500
# Of one event: what could be done to and fro for ever ends there. Seeing it, and what it leaves the shelf by, does not.
MAX_RECORDS = 1000


def acknowledge(event: Event, actor: str, text: str, now_ns: int) -> Event | None:
    """The event, seen by `actor`; None if that changes nothing. `text`: a remark or "".

    On an alarm that somebody has acknowledged already a remark that is new is a comment. Raises NoAlarm,
    InvalidArgument (the text), TooManyComments.
    """
    text = checked_text(text) if text else ""
    alarm = event.alarm
    if alarm.state is State.NONE:
        raise NoAlarm(event.id, "acknowledge", event.folded_into)
    if alarm.state in WAITING:
        return done(event, Stimulus(Deed.ACKNOWLEDGED, actor, now_ns, text))
    if text and not any((said.actor, said.text) == (actor, text) for said in alarm.comments):
        return done(event, Stimulus(Deed.COMMENTED, actor, now_ns, text))
    return None


def comment(event: Event, actor: str, text: str, request_id: str, now_ns: int) -> Event | None:
    """The event with a comment; None if `actor` sent the same request before. Raises as `acknowledge`."""
    text = checked_text(text)
    if len(request_id) > MAX_REQUEST_ID_CHARACTERS or not request_id.isprintable():
        raise InvalidArgument("request_id", f"is not at most {MAX_REQUEST_ID_CHARACTERS} printable characters")
    if request_id and any(
        (record.stimulus.actor, record.stimulus.request_id) == (actor, request_id) for record in event.alarm.records
    ):
        return None
    return done(event, Stimulus(Deed.COMMENTED, actor, now_ns, text, request_id))


def checked_text(text: str) -> str:
    """The text without space around it. Raises InvalidArgument: empty, over-long, or it would steer a terminal."""
    text = text.replace("\r\n", "\n").strip()
    if not 0 < len(text) <= MAX_CHARACTERS:
        raise InvalidArgument("comment", f"has {len(text)} characters; 1 to {MAX_CHARACTERS} are possible")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in text):
        raise InvalidArgument("comment", "holds a control character", "Write plain text.")
    return text


def checked_reason(text: str) -> str:
    """A reason on one line. Raises InvalidArgument: empty, over-long, or it would steer a terminal."""
    text = " ".join(text.split())
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise InvalidArgument("reason", f"has {len(text)} characters; 1 to {MAX_REASON_CHARACTERS} are needed")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidArgument("reason", "holds a control character", "Write plain text.")
    return text


def done(event: Event, stimulus: Stimulus, *, is_same_change: bool = False) -> Event:
    """The event after a deed: a new version, unless it belongs to a change that has one already."""
    if stimulus.text and stimulus.deed in (Deed.ACKNOWLEDGED, Deed.COMMENTED):
        _check_room(event.id, event.alarm, stimulus.text)
    alarm = apply(event.alarm, stimulus)
    return replace(event, alarm=alarm, version=event.version + (not is_same_change), changed_ns=stimulus.at_ns)


def check_records(event: Event) -> None:
    """Raises TooManyRecords: shelving and taking back have a bound."""
    if len(event.alarm.records) >= MAX_RECORDS:
        raise TooManyRecords(event.id, MAX_RECORDS)


def _check_room(event_id: str, alarm: Alarm, text: str) -> None:
    said = [one.text for one in alarm.comments]
    if len(said) >= MAX_COMMENTS:
        raise TooManyComments(event_id, f"has {MAX_COMMENTS} comments already")
    if sum(len(one.encode()) for one in [*said, text]) > MAX_TEXT_BYTES:
        raise TooManyComments(event_id, f"would have more than {MAX_TEXT_BYTES >> 10} KiB of comments")

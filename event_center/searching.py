"""What of an event can be searched for, in any script. Pure.

Its own words (what, where, which detector), what people wrote, how they labelled it, who has it. Names of cameras and
regions stand in the summary as they were then.
"""

from __future__ import annotations

from event_center.event import Event
from mesh.search_tokens import words_of


def texts_of(event: Event) -> list[str]:
    """The texts, the most telling first: of very many words the last cannot be found."""
    marks = event.alarm.marks
    label = marks.label
    return [
        event.summary,
        event.camera,
        event.detector,
        event.group,
        *(label.texts if label else ()),
        marks.owner,
        *dict.fromkeys(text for box in event.boxes for text in (box.label, box.said) if text),
        *(said.text for said in reversed(event.alarm.comments)),
    ]


def words(event: Event) -> list[str]:
    """The words that its document carries."""
    return words_of(*texts_of(event))

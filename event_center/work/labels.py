"""What people call an event: true, false or unsure, with a region and tags. Pure values.

What does not belong here: what a calibration makes of them (the aggregate hears of labels by its own rpc).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from mesh.errors import InvalidArgument

MAX_TAGS = 20
MAX_NAME_CHARACTERS = 100


class Verdict(StrEnum):
    """Whether it was what it said it is."""

    TRUE = "true"
    FALSE = "false"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Label:
    """A label. Who gave it and when is in the record that it came with."""

    verdict: Verdict
    region: str = ""
    """Where in the picture, by the name that people use; may be empty."""
    tags: tuple[str, ...] = ()
    """Sorted, each once."""

    @property
    def texts(self) -> tuple[str, ...]:
        """What of it can be searched for."""
        return (self.region, *self.tags)


def checked_label(verdict: Verdict, region: str, tags: tuple[str, ...]) -> Label:
    """The label, its names on one line each. Raises InvalidArgument: over-long, too many, or control characters."""
    named = sorted({name for tag in tags if (name := _name("tag", tag))})
    if len(named) > MAX_TAGS:
        raise InvalidArgument("tags", f"are {len(named)}; {MAX_TAGS} at most are possible")
    return Label(verdict, _name("region", region), tuple(named))


def _name(what: str, text: str) -> str:
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    if len(text) > MAX_NAME_CHARACTERS:
        raise InvalidArgument(what, f"has {len(text)} characters; {MAX_NAME_CHARACTERS} at most are possible")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidArgument(what, "holds a control character", "Write plain text.")
    return text

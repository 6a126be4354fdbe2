"""What a rule says, as values: the tree that the parser makes and the printer, the check and the evaluation read.

Times are nanoseconds, times of day minutes from midnight, days 0 (Monday) to 6. What does not belong here: words and
punctuation (`lexer`, `parser`, `printer`), and what a rule does (`conditions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_RULES = 64
MAX_BYTES = 64 << 10
MAX_NAME = 60
MAX_LIST = 8
"""Most classes, and most zones, that one condition names."""
MAX_STEPS = 4
MAX_COUNT = 10_000
MAX_RATE = 1_000
"""Most crossings that are counted within a time."""
ANY_CLASS = "object"
"""The class that every thing has."""
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MAX_DURATION = 24 * 3600 * SECOND
MAX_SPEED = 100.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Things of any of these classes; `object` is all of them."""

    classes: tuple[str, ...]

    def has(self, label: str) -> bool:
        """Whether a thing of that class is meant."""
        return ANY_CLASS in self.classes or label in self.classes


@dataclass(frozen=True, slots=True)
class Where:
    """In any of these zones; without any: anywhere in the picture."""

    zones: tuple[str, ...] = ()
    is_outside: bool = False
    """In none of them."""


class Than(Enum):
    """How a count is compared. The value is how it is written."""

    MORE = "more than"
    LEAST = "at least"
    FEWER = "fewer than"
    MOST = "at most"
    EXACTLY = "exactly"
    NONE = "no"


@dataclass(frozen=True, slots=True)
class Count:
    """How many."""

    than: Than
    number: int = 0
    """0 with NONE."""

    def holds(self, number: int) -> bool:
        """Whether that many are as many as wanted."""
        return {
            Than.MORE: number > self.number,
            Than.LEAST: number >= self.number,
            Than.FEWER: number < self.number,
            Than.MOST: number <= self.number,
            Than.EXACTLY: number == self.number,
            Than.NONE: number == 0,
        }[self.than]

    @property
    def holds_of_none(self) -> bool:
        """Whether an empty picture is enough."""
        return self.holds(0)

    @property
    def fewest(self) -> int:
        """The smallest number that it holds of."""
        return self.number + 1 if self.than is Than.MORE else 0 if self.holds_of_none else self.number


class Direction(Enum):
    """Which way across a line. The value is how it is written."""

    FORWARDS = "forwards"
    """From the left to the right of somebody who looks from its first corner to its last."""
    BACKWARDS = "backwards"
    EITHER = ""


class Unit(Enum):
    """What speeds are measured in. The value is how it is written."""

    PICTURE = "picture heights/s"
    BODY = "body heights/s"
    """Heights of the moving thing itself: the same near and far, without calibration."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody is there; or, with a count, so many are."""

    subject: Subject
    where: Where = Where()
    count: Count | None = None
    """None: each thing is looked at for itself, and has to stay for as long as the rule says."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Somebody crosses a line; or, with a count, so many did within a time."""

    subject: Subject
    line: str
    direction: Direction = Direction.EITHER
    count: Count | None = None
    per_ns: int = 0
    """Only with a count."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody goes into a zone, or out of it."""

    subject: Subject
    zones: tuple[str, ...]
    is_entering: bool = True


@dataclass(frozen=True, slots=True)
class Speed:
    """Somebody moves faster, or slower, than that."""

    subject: Subject
    limit: float
    unit: Unit
    is_faster: bool = True
    where: Where = Where()


@dataclass(frozen=True, slots=True)
class Left:
    """Something was put down by somebody who went away."""

    subject: Subject
    where: Where = Where()


@dataclass(frozen=True, slots=True)
class Fall:
    """Somebody goes down and stays down."""

    subject: Subject
    where: Where = Where()


@dataclass(frozen=True, slots=True)
class Filling:
    """Things take up more than that part of a zone, as it is seen: a crowd that cannot be counted."""

    subject: Subject
    percent: float
    zones: tuple[str, ...]
    """Any of them."""


Condition = Presence | Crossing | Passage | Speed | Left | Fall | Filling


@dataclass(frozen=True, slots=True)
class Step:
    """One condition, how long it has to hold, and how soon after the step before it."""

    condition: Condition
    for_ns: int = 0
    within_ns: int = 0
    """0 in the first step only."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a rule is in force, in the zone of the site."""

    days: tuple[int, ...] = ()
    """Sorted; empty: every day. A span that crosses midnight belongs to the day on which it begins."""
    from_minute: int = 0
    to_minute: int = 0
    """At or before `from_minute`: on the following day. Both 0: the whole day."""

    @property
    def is_whole_day(self) -> bool:
        """Whether it goes from midnight to midnight."""
        return self.from_minute == self.to_minute == 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    name: str
    steps: tuple[Step, ...]
    schedule: Schedule | None = None
    score_above: float = 0.0
    """Boxes that their detector is less sure of do not count."""

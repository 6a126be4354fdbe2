"""Stretches of the week, in the zone of the site: when an inspection is carried out, or a rule holds. Pure.

parse_window("mon-fri 08:00-18:00"), parse_window("22:00-06:00")
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from mesh.errors import InvalidArgument

DAY_MINUTES = 24 * 60
MAX_WINDOWS = 50
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(?:([a-z,\-]+)\s+)?(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
_REMEDY = 'Write "mon-fri 08:00-18:00", "sat,sun 00:00-24:00", or "22:00-06:00" for every night.'


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of some days. It ends on the following day if `to_minute` is at or before `from_minute`."""

    days: tuple[int, ...]
    """1 (Monday) to 7; empty means every day."""
    from_minute: int
    """Minutes from midnight."""
    to_minute: int

    def problem(self) -> str:
        """Why this is no window, as a part of a sentence; empty if it is one."""
        if any(not 1 <= day <= 7 for day in self.days):
            return f"names the day {next(d for d in self.days if not 1 <= d <= 7)}; days are 1 (Monday) to 7"
        if not (0 <= self.from_minute < DAY_MINUTES and 0 <= self.to_minute < DAY_MINUTES):
            return "has a time outside the day; minutes from midnight are 0 to 1439"
        return ""

    def holds(self, weekday: int, minute: int) -> bool:
        """Whether it covers a minute of a day of the week (1 to 7)."""
        yesterday = (weekday - 2) % 7 + 1
        is_today = not self.days or weekday in self.days
        if self.from_minute < self.to_minute:
            return is_today and self.from_minute <= minute < self.to_minute
        was_yesterday = not self.days or yesterday in self.days
        return (is_today and minute >= self.from_minute) or (was_yesterday and minute < self.to_minute)

    def __str__(self) -> str:
        days = ",".join(_DAYS[day - 1] for day in self.days)
        times = f"{_clock(self.from_minute)}-{_clock(self.to_minute)}"
        return f"{days} {times}" if days else times


def holds(windows: Sequence[Window], at_ns: int, zone: tzinfo) -> bool:
    """Whether any window covers a moment in UTC nanoseconds; no windows cover all moments."""
    if not windows:
        return True
    at = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).astimezone(zone)
    return any(window.holds(at.isoweekday(), at.hour * 60 + at.minute) for window in windows)


def parse_window(text: str) -> Window:
    """A window as people write it. Raises InvalidArgument."""
    found = _FORM.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidArgument(f"schedule {text[:60]!r}", "is no time of the week", _REMEDY)
    named, *numbers = found.groups()
    from_hour, from_minute, to_hour, to_minute = map(int, numbers)
    begin, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if not (from_minute < 60 and to_minute < 60 and begin < DAY_MINUTES and end <= DAY_MINUTES):
        raise InvalidArgument(f"schedule {text[:60]!r}", "has a time outside the day", _REMEDY)
    return Window(tuple(sorted(set(_days(named, text)))) if named else (), begin, end % DAY_MINUTES)


def _days(named: str, text: str) -> Iterable[int]:
    for part in named.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise InvalidArgument(f"schedule {text[:60]!r}", f"names the day {part!r}", _REMEDY)
        at = _DAYS.index(first)
        span = (_DAYS.index(last) - at) % 7 if last else 0
        yield from ((at + step) % 7 + 1 for step in range(span + 1))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"

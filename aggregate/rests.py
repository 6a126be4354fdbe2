"""When an inspection was not carried out, and why, as its history tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aggregate.history import Change


@dataclass(frozen=True, slots=True)
class Rest:
    """A time without inspection, UTC nanoseconds; the end is not part of it."""

    from_ns: int
    to_ns: int
    why: str


def rests(before: Change | None, changes: Iterable[Change], from_ns: int, to_ns: int) -> list[Rest]:
    """The rests of a range. `before`: the last change at or before its beginning; `changes`: those inside, in order."""
    found: list[Rest] = []
    begun_ns, why = from_ns, _why(before)
    for change in changes:
        if why and change.at_ns > begun_ns:
            found.append(Rest(begun_ns, change.at_ns, why))
        begun_ns, why = max(change.at_ns, from_ns), _why(change)
    if why and to_ns > begun_ns:
        found.append(Rest(begun_ns, to_ns, why))
    return found


def cut(found: Iterable[Rest], from_ns: int, to_ns: int) -> list[Rest]:
    """What of the rests lies in a range, both ends included."""
    parts = (Rest(max(rest.from_ns, from_ns), min(rest.to_ns, to_ns + 1), rest.why) for rest in found)
    return [part for part in parts if part.from_ns < part.to_ns]


def _why(change: Change | None) -> str:
    """Why nothing is inspected behind a change; empty if it is."""
    if change is None:
        return "there was no such inspection yet"
    if change.order.is_disabled:
        return f"stopped by {change.by}"
    return change.why if change.is_resting else ""

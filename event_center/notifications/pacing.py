"""How much a rule says at once: so many within a time, none in quiet hours, and what was held back as a digest. Pure.

Giving the same telling twice changes nothing the second time: whoever was killed between two writes does it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import tzinfo

from event_center.notifications.rules import Rule

MAX_HELD = 200
"""Held back with a line of their own; what is more is counted."""


@dataclass(frozen=True, slots=True)
class Held:
    """A telling that waits for the digest."""

    id: str
    line: str


@dataclass(frozen=True, slots=True)
class Pace:
    """What a rule said lately, and what it holds back. Times in UTC nanoseconds."""

    said: tuple[tuple[str, int], ...] = ()
    held: tuple[Held, ...] = ()
    more: int = 0
    """Held back beyond `held`."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What was held back, together. `id` is the same whenever the same is told again, and another once it is more."""

    id: str
    count: int
    lines: tuple[str, ...]


def admit(pace: Pace, rule: Rule, telling: Held, now_ns: int, zone: tzinfo) -> tuple[Pace, bool]:
    """The pace after a telling, and whether it may be told by itself now; if not, it is held back."""
    if any(one == telling.id for one, _ in pace.said):
        return pace, True
    if any(one.id == telling.id for one in pace.held):
        return pace, False
    pace = _recent(pace, rule, now_ns)
    if not rule.is_quiet(now_ns, zone) and not pace.held and _has_room(pace, rule):
        return replace(pace, said=(*pace.said, (telling.id, now_ns))), True
    if len(pace.held) >= MAX_HELD:
        return replace(pace, more=pace.more + 1), False
    return replace(pace, held=(*pace.held, telling)), False


def digest(pace: Pace, rule: Rule, now_ns: int, zone: tzinfo) -> Digest | None:
    """The digest that is due now, if one is."""
    if not pace.held or rule.is_quiet(now_ns, zone) or not _has_room(_recent(pace, rule, now_ns), rule):
        return None
    count = len(pace.held) + pace.more
    # By its number, too: of what joined after one that was sent, and not noted to be, nobody would hear.
    return Digest(f"{pace.held[0].id} of {count}", count, tuple(one.line for one in pace.held))


def told(pace: Pace, rule: Rule, digest: Digest, now_ns: int) -> Pace:
    """The pace once the digest is on its way."""
    return replace(_recent(pace, rule, now_ns), held=(), more=0, said=(*pace.said, (f"digest {digest.id}", now_ns)))


def _recent(pace: Pace, rule: Rule, now_ns: int) -> Pace:
    # What lies in the future was said before the clock was set back.
    said = tuple((one, at_ns) for one, at_ns in pace.said if now_ns - rule.within_ns < at_ns <= now_ns)
    return replace(pace, said=said if rule.at_most else said[-MAX_HELD:])


def _has_room(pace: Pace, rule: Rule) -> bool:
    return not rule.at_most or len(pace.said) < rule.at_most

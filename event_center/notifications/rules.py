"""Which alarms a rule concerns, and when it may speak. Pure.

What does not belong here: what of an alarm's story is told (`deciding`), how much at once (`pacing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from fnmatch import fnmatchcase

from mesh.config_notifications import NotificationRule, NotificationsConfig
from mesh.schedule import Window, holds, parse_window

_SECOND = 1_000_000_000


class Occasion(StrEnum):
    """What of an alarm is told."""

    RAISE = "raise"
    ESCALATE = "escalate"
    RETURN = "return"
    UNACKNOWLEDGED = "unacknowledged"
    """Nobody acknowledged it in time: the next channels are told."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules ask of an alarm."""

    camera: str
    group: str
    kind: str
    detector: str
    """Without its version."""
    priority: int
    """As escalation raised it."""
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the core takes it. Empty tuples let everything through; times in nanoseconds."""

    id: str
    channels: tuple[str, ...]
    on: frozenset[Occasion] = frozenset({Occasion.RAISE, Occasion.ESCALATE})
    priorities: tuple[int, ...] = ()
    cameras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    schedule: tuple[Window, ...] = ()
    quiet: tuple[Window, ...] = ()
    lasting_ns: int = 0
    at_most: int = 0
    within_ns: int = 600 * _SECOND
    unacknowledged_ns: int = 0
    then: tuple[str, ...] = ()

    def concerns(self, facts: Facts) -> bool:
        """Whether it is about such an alarm."""
        return (
            (not self.priorities or facts.priority in self.priorities)
            and (not self.cameras or any(fnmatchcase(facts.camera, one) for one in self.cameras))
            and (not self.groups or facts.group in self.groups)
            and (not self.regions or any(one in self.regions for one in facts.regions))
            and (not self.kinds or facts.kind in self.kinds)
            and (not self.detectors or facts.detector in self.detectors)
        )

    def is_scheduled(self, at_ns: int, zone: tzinfo) -> bool:
        """Whether alarms of that moment are its business."""
        return holds(self.schedule, at_ns, zone)

    def is_quiet(self, at_ns: int, zone: tzinfo) -> bool:
        """Whether it has to hold its tongue."""
        return bool(self.quiet) and holds(self.quiet, at_ns, zone)

    def channels_of(self, occasion: Occasion) -> tuple[str, ...]:
        """Who is told."""
        return self.then if occasion is Occasion.UNACKNOWLEDGED else self.channels


def rules_of(config: NotificationsConfig) -> Mapping[str, Rule]:
    """The rules of a configuration, by id."""
    return {one.id: _rule(one) for one in config.rules}


def _rule(one: NotificationRule) -> Rule:
    return Rule(
        id=one.id,
        channels=one.channels,
        on=frozenset(Occasion(word) for word in one.on),
        priorities=one.priorities,
        cameras=one.cameras,
        groups=one.groups,
        regions=one.regions,
        kinds=one.kinds,
        detectors=one.detectors,
        schedule=tuple(parse_window(text) for text in one.schedule),
        quiet=tuple(parse_window(text) for text in one.quiet),
        lasting_ns=round(one.lasting_s * _SECOND),
        at_most=one.at_most,
        within_ns=round(one.within_s * _SECOND),
        unacknowledged_ns=round(one.unacknowledged_s * _SECOND),
        then=one.then,
    )

"""Errors of the event center. All map to a gRPC status through `mesh.errors`.

NotFound
├── UnknownEvent
└── UnknownRule         no suppression rule, or nothing out of service, of that name
FailedPrecondition
├── InvalidStimulus     the alarm machine does not take it in this state
└── NoAlarm             there is nothing to acknowledge or shelve
ResourceExhausted
├── TooManyComments
├── TooManyRecords      an alarm was shelved and taken back without end
├── TooManyRules        suppression rules, or entries out of service
└── WatcherTooSlow      the stream ends; open another one with `since_ns`
"""

from __future__ import annotations

from collections.abc import Sequence

from mesh.errors import FailedPrecondition, NotFound, ResourceExhausted


class UnknownEvent(NotFound):
    """There is no event of this id."""

    def __init__(self, event_id: str) -> None:
        super().__init__(f"event {event_id[:80]!r}", "does not exist", "`trueframe events list` shows those that do.")

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.thing,)


class UnknownRule(NotFound):
    """There is no suppression rule of this id, or nothing of this name is out of service."""


def no_rule(rule_id: str) -> UnknownRule:
    """The error of a suppression rule that is not there, or not for the caller."""
    remedy = "`trueframe events suppress list` shows those that there are."
    return UnknownRule(f"suppression rule {rule_id[:80]!r}", "does not exist", remedy)


class TooManyRules(ResourceExhausted):
    """So many suppression rules, or things out of service, are kept and no more."""


class InvalidStimulus(FailedPrecondition):
    """A stimulus that the state of an alarm does not take. `story`: what happened to the alarm before."""

    def __init__(self, state: str, deed: str, story: Sequence[str]) -> None:
        told = "; ".join(story) or "nothing happened to it yet"
        super().__init__("alarm", f"cannot be {deed} while it is {state}", f"Its story: {told}.")
        self.state = state
        self.deed = deed
        self.story = tuple(story)

    def __reduce__(self) -> tuple[type, tuple[str, str, tuple[str, ...]]]:
        return type(self), (self.state, self.deed, self.story)


class NoAlarm(FailedPrecondition):
    """An event that is no alarm cannot be acknowledged or shelved. `folded_into`: the alarm that it belongs to."""

    def __init__(self, event_id: str, deed: str = "acknowledge", folded_into: str = "") -> None:
        remedy = f"It is one occurrence of alarm {folded_into}." if folded_into else ""
        super().__init__(f"event {event_id[:80]!r}", f"is no alarm: there is nothing to {deed}", remedy)
        self.event_id = event_id
        self.deed = deed
        self.folded_into = folded_into

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.event_id, self.deed, self.folded_into)


class TooManyComments(ResourceExhausted):
    """An event takes so many comments and no more."""

    def __init__(self, event_id: str, reason: str) -> None:
        super().__init__(f"event {event_id[:80]!r}", reason, "Write on in a later event.")
        self.event_id = event_id

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.event_id, self.reason)


class TooManyRecords(ResourceExhausted):
    """So many deeds of one event are kept, and no more of those that can be done to and fro."""

    def __init__(self, event_id: str, most: int) -> None:
        remedy = "Take what raises it out of service, or suppress it by a rule."
        super().__init__(f"event {event_id[:80]!r}", f"has {most} records already", remedy)
        self.event_id = event_id
        self.most = most

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return type(self), (self.event_id, self.most)


class WatcherTooSlow(ResourceExhausted):
    """More events changed than a watcher that does not read may leave waiting."""

    def __init__(self, waiting: int) -> None:
        super().__init__("watch", f"{waiting} changed events wait to be read", "Open it again with since_ns.")
        self.waiting = waiting

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.waiting,)

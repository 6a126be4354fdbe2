"""The four states of an alarm, what may happen to it, and the one table of transitions. Pure; no logic beside it.

`docs/design/0010-alarms.md` has the table as a picture. What stands beside the state (shelved, suppressed, stale, …) is
in `marks.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from event_center.work.labels import Label


class State(StrEnum):
    """Where an alarm stands (OPC UA Part 9, ISA-18.2)."""

    NONE = "none"
    """No alarm: the event needs no human."""
    UNACKNOWLEDGED = "unacknowledged"
    """The condition holds and nobody has seen it."""
    ACKNOWLEDGED = "acknowledged"
    """The condition holds and a human has seen it."""
    RETURNED = "returned_unacknowledged"
    """The condition is over and nobody has seen it."""
    NORMAL = "normal"
    """The condition is over and a human has seen it."""


class Deed(StrEnum):
    """What happens to an event."""

    RAISED = "raised"
    RETURNED = "returned"
    RAISED_AGAIN = "raised_again"
    """It came again, whether it was over, seen, or neither: nobody has seen this time."""
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    TAKEN_OUT = "taken_out_of_service"
    BROUGHT_BACK = "returned_to_service"
    STALE = "became_stale"
    ESCALATED = "escalated"
    REALARMED = "realarmed"
    GROUPED = "grouped"
    ASSIGNED = "assigned"
    HANDED_BACK = "handed_back"
    LABELLED = "labelled"
    UNACKNOWLEDGED = "unacknowledged"
    """An acknowledgement was taken back."""
    UNDONE = "undone"
    """A shelving, a label or an owner was taken back."""


WAITING = frozenset({State.UNACKNOWLEDGED, State.RETURNED})
"""States that wait for a human."""
HOLDING = frozenset({State.UNACKNOWLEDGED, State.ACKNOWLEDGED})
"""States whose condition holds."""
STANDING = WAITING | HOLDING
"""States that are not laid to rest."""
ALARMS = STANDING | {State.NORMAL}
"""States of alarms; the other is that of events which are none."""

_ASIDE = (Deed.SHELVED, Deed.SUPPRESSED, Deed.TAKEN_OUT, Deed.GROUPED)
# What is said of an event, whether it is an alarm or not.
_SAID = (Deed.COMMENTED, Deed.ASSIGNED, Deed.HANDED_BACK, Deed.LABELLED, Deed.UNDONE)
_BACK = (Deed.UNSHELVED, Deed.UNSUPPRESSED, Deed.BROUGHT_BACK)

# What is not in here is refused. What is said changes no state, not even that of an event which is no alarm.
TRANSITIONS: dict[tuple[State, Deed], State] = {
    (State.NONE, Deed.RAISED): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Deed.RETURNED): State.RETURNED,
    (State.UNACKNOWLEDGED, Deed.ACKNOWLEDGED): State.ACKNOWLEDGED,
    (State.ACKNOWLEDGED, Deed.RETURNED): State.NORMAL,
    (State.RETURNED, Deed.ACKNOWLEDGED): State.NORMAL,
    **{(state, Deed.RAISED_AGAIN): State.UNACKNOWLEDGED for state in ALARMS},
    **{(state, deed): state for deed in _SAID for state in State},
    **{(state, deed): state for deed in _ASIDE for state in ALARMS},
    # What comes back while it holds was not seen by those who watch the queue now.
    **{(state, deed): state for deed in _BACK for state in ALARMS - {State.ACKNOWLEDGED}},
    **{(State.ACKNOWLEDGED, deed): State.UNACKNOWLEDGED for deed in _BACK},
    **{(state, Deed.STALE): state for state in STANDING},
    **{(state, Deed.ESCALATED): state for state in WAITING},
    (State.ACKNOWLEDGED, Deed.REALARMED): State.UNACKNOWLEDGED,
    (State.ACKNOWLEDGED, Deed.UNACKNOWLEDGED): State.UNACKNOWLEDGED,
    (State.NORMAL, Deed.UNACKNOWLEDGED): State.RETURNED,
}


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Something that is done to an alarm. `actor`: a user, or the name of a service. `at_ns`: UTC nanoseconds."""

    deed: Deed
    actor: str
    at_ns: int
    text: str = ""
    """What a human wrote with it: a comment, or the reason."""
    request_id: str = ""
    """Chosen by a client, so that the same comment sent twice is one."""
    until_ns: int = 0
    """Of a shelving: its end, UTC nanoseconds."""
    reference: str = ""
    """The other thing it is about: the event folded in, the rule, what is out of service, the flood; "once" of a
    shelving that ends with the condition; the owner; the number of the record that is taken back."""
    label: Label | None = None
    """Of a labelling: the label; None takes it away."""

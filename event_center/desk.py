"""What the event center knows of all alarms together: leaders of chatter, floods, what stands, the situation. No I/O.

`greet` gives an alarm that is raised its place among the others, `note` keeps the memory true once something is stored.
The book stores, and fills this again at a start (`recall`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from event_center.alarm import Deed, State
from event_center.chatter import Source, inherited, source_of
from event_center.event import Event, Kind
from event_center.flood import Begun, Flood, FloodWatch, Raised, grouped
from event_center.policy import NO_LABELS, Policy
from event_center.standing import Standing
from event_center.states import ALARMS
from event_center.suppression import CAMERA_STATE, Judgement, Situation, settled

_ASIDE = (Deed.SHELVED, Deed.SUPPRESSED, Deed.TAKEN_OUT)


class Desk:
    """Memory of one event center."""

    def __init__(self, policy: Policy, situation: Situation) -> None:
        self.policy = policy
        self.standing = Standing(policy)
        self.flood_watch = FloodWatch(policy)
        self.labels: Mapping[str, Mapping[str, str]] = {}
        """Labels of cameras, as the broker last told them."""
        self._situation = situation
        self._leaders: dict[Source, tuple[int, str]] = {}
        self._judged: tuple[object, ...] = ()

    def leader_id(self, event: Event) -> str:
        """The newest alarm of the same source; "" if none is remembered."""
        source = source_of(event)
        return self._leaders.get(source, (0, ""))[1] if source else ""

    def greet(self, event: Event, last: Event | None) -> tuple[Event, Begun | None]:
        """An alarm that was raised just now, with its group, its marks and its flood; and a flood that begins with it.

        `last`: the alarm that its source raised before.
        """
        now_ns = event.changed_ns
        group = self.policy.group_of(event.camera, event.detector, self.labels.get(event.camera, NO_LABELS))
        event = replace(event, group=group, first_out=self.flood_watch.first_out(group, event.id, now_ns))
        if last is not None:
            event = inherited(event, last)
        event = self.placed(event)
        if event.alarm.marks.is_set_aside or event.flood_scope:
            return event, None
        found = self.flood_watch.raised(Raised(now_ns, event.id, group, event.camera))
        flood = found.flood if isinstance(found, Begun) else found
        if flood is not None:
            event = replace(event, alarm=grouped(event.alarm, flood.id, now_ns))
        return event, found if isinstance(found, Begun) else None

    def placed(self, event: Event) -> Event:
        """An alarm that was raised, or raised again, just now, with the marks that the situation gives it."""
        judgement = self._situation.judge(event.changed_ns)
        return settled(event, judgement, event.changed_ns, is_same_change=True) or event

    def note(self, event: Event) -> None:
        """An event is stored so."""
        self.standing.note(event)
        source = source_of(event)
        if source is not None and event.alarm.state in ALARMS:
            self._leaders[source] = max(self._leaders.get(source, (0, "")), (event.started_ns, event.id))
        if event.kind is Kind.CAMERA and event.detector == CAMERA_STATE:
            self._situation.lost = self.standing.lost_cameras()

    def recall(self, event: Event) -> None:
        """An alarm that was raised in the last minutes before a start, told oldest first."""
        marks = event.alarm.marks
        if event.alarm.state is State.NONE or event.flood_scope:
            return
        was_aside = any(r.stimulus.deed in _ASIDE and r.stimulus.at_ns == marks.raised_ns for r in event.alarm.records)
        if not was_aside:
            self.flood_watch.remember(Raised(marks.raised_ns, event.id, event.group, event.camera), event.first_out)

    def recall_flood(self, flood: Flood) -> None:
        """A flood that went on before a start."""
        self.flood_watch.floods[flood.scope] = flood

    def judgement_if_new(self, now_ns: int) -> Judgement | None:
        """What the situation says, if that is not what it said when this was asked last."""
        judgement = self._situation.judge(now_ns)
        judged = (judgement.rules, judgement.entries)
        if judged == self._judged:
            return None
        self._judged = judged
        return judgement

    def forget_judgement(self) -> None:
        """What was judged was not carried out: it is to be judged again."""
        self._judged = ()

    def unsettled(self, judgement: Judgement) -> list[str]:
        """Ids of alarms whose marks are not those that the situation gives them."""
        return [
            row.id for row in self.standing
            if judgement.of(row.kind, row.camera, row.detector, row.marks.suppressed_by)
            != (row.marks.suppressed_by, row.marks.out_of_service)
        ]  # fmt: skip

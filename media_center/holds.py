"""Footage that nothing may delete: what a hold is, how one follows its event, and the question retention asks. Pure.

The hold of an event covers it from pre-roll to post-roll. It is made when the event begins, only ever grows, and is
confirmed when the event is over and all recorded footage of it is on disk. Holds may be told of an event in any order
and any number of times. It ends a configured time after the event was closed. Others are made, changed and released by
hand; every hold may have a term. What does not belong here: storing, telling, clocks (`hold_book`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from mesh.ids import FrameId

OWNER = "event-center"
# While an event goes on, it is told each time its clip has grown by this.
_TELL_EVERY_NS = 10_000_000_000
_MAX_REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Rolls:
    """What is held before and after an event, in nanoseconds."""

    pre_ns: int
    post_ns: int
    keep_ns: int = 0
    """How long the clip of an event is held after the event was closed; 0 for ever."""


@dataclass(frozen=True, slots=True)
class EventReport:
    """An anomaly as the event center told of it. Times in UTC nanoseconds, 0 where there is none."""

    id: str
    version: int
    camera: str
    summary: str
    started_ns: int
    peak_ns: int
    ended_ns: int
    last: FrameId | None
    is_closed: bool = False
    """It is over, and its alarm, if it has one, waits for nobody."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Footage of one camera that is kept. Times in UTC nanoseconds, the ends included."""

    id: str
    event: str
    """The event that it follows; empty for one made by hand."""
    camera: str
    from_ns: int
    to_ns: int
    reason: str
    created_ns: int
    owner: str = OWNER
    is_confirmed: bool = False
    """The event is over, and everything of it that was recorded is on disk."""
    version: int = 1
    event_version: int = 0
    """Of the event, when it was last heard whether it goes on."""
    is_over: bool = False
    last: FrameId | None = None
    """Last frame of the event so far: its time is looked up once it is recorded."""
    told_to_ns: int = 0
    """The end that was told last."""
    expires_ns: int = 0
    """When it ends by itself; 0 for never."""
    ended_ns: int = 0
    """When it ended; 0 while it holds. What has ended is kept as a record and holds nothing."""
    ended_by: str = ""
    """Who released it; empty if its term was over."""
    ended_why: str = ""


def made_by_hand(
    hold_id: str, camera: str, from_ns: int, to_ns: int, *, reason: str, owner: str, expires_ns: int, now_ns: int
) -> Hold:
    """A hold that a user asks for. `to_ns` may lie ahead. Raises InvalidArgument."""
    hold = Hold(hold_id, "", camera, from_ns, to_ns, reason.strip(), now_ns, owner, is_over=True, expires_ns=expires_ns)
    return _checked(hold, now_ns)


def changed_by_hand(hold: Hold, asked: Hold, now_ns: int) -> Hold:
    """A hold after a user has changed it: range, reason, term. Raises FailedPrecondition, InvalidArgument, NotFound."""
    if hold.event:
        raise FailedPrecondition(
            f"hold {hold.id!r}",
            "follows an event and is not changed by hand",
            "Make one of your own over the same time.",
        )
    if hold.ended_ns:
        raise NotFound(f"hold {hold.id!r}", "has ended", "Make a new one.")
    if asked.camera != hold.camera:
        raise InvalidArgument(f"hold {hold.id!r}", f"is one of camera {hold.camera!r}", "Make one for the other.")
    return _checked(
        replace(
            hold, from_ns=asked.from_ns, to_ns=asked.to_ns, reason=asked.reason, expires_ns=asked.expires_ns,
            version=hold.version + 1, is_confirmed=False,
        ),
        now_ns,
    )  # fmt: skip


def ended(hold: Hold, by: str, why: str, now_ns: int) -> Hold:
    """The hold, released by somebody or, with an empty `by`, because its term is over."""
    return replace(hold, ended_ns=now_ns, ended_by=by, ended_why=why[:_MAX_REASON_CHARACTERS], version=hold.version + 1)


def is_expired(hold: Hold, now_ns: int) -> bool:
    """Whether its term is over."""
    return 0 < hold.expires_ns <= now_ns


def _checked(hold: Hold, now_ns: int) -> Hold:
    if not 0 < hold.from_ns < hold.to_ns:
        raise InvalidArgument("hold", "has an empty range", "Its end must lie behind its beginning.")
    if hold.expires_ns and hold.expires_ns <= now_ns:
        raise InvalidArgument("hold", "has a term in the past", "Give a later one, or none for ever.")
    if not hold.reason:
        raise InvalidArgument("hold", "has no reason", "Say why this footage is kept.")
    if len(hold.reason) > _MAX_REASON_CHARACTERS:
        raise InvalidArgument("hold", f"has a reason of more than {_MAX_REASON_CHARACTERS} characters")
    return hold


def hold_id(event: str) -> str:
    """The id of an event's hold."""
    return f"event:{event}"


def fold_event(hold: Hold | None, report: EventReport, rolls: Rolls, now_ns: int) -> Hold | None:
    """The hold after an event was told; None if that changes nothing."""
    from_ns = max(report.started_ns - rolls.pre_ns, 0)
    to_ns = max(report.started_ns, report.peak_ns, report.ended_ns) + rolls.post_ns
    is_over = report.ended_ns != 0
    expires_ns = now_ns + rolls.keep_ns if report.is_closed and rolls.keep_ns else 0
    if hold is None:
        return Hold(
            hold_id(report.id), report.id, report.camera, from_ns, to_ns, report.summary[:_MAX_REASON_CHARACTERS],
            now_ns, event_version=report.version, is_over=is_over, last=report.last, told_to_ns=to_ns,
            expires_ns=expires_ns,
        )  # fmt: skip
    if hold.ended_ns:
        return None  # released or run out: what is told of the event afterwards does not bring it back
    is_newer = report.version > hold.event_version
    if is_newer and report.is_closed and hold.expires_ns:
        expires_ns = hold.expires_ns  # closed before, and commented or labelled since: its term runs on
    grown = replace(
        hold,
        from_ns=min(hold.from_ns, from_ns),
        to_ns=max(hold.to_ns, to_ns),
        last=_later(hold.last, report.last),
        is_over=is_over if is_newer else hold.is_over,
        expires_ns=expires_ns if is_newer else hold.expires_ns,
    )
    if grown == hold:
        return None
    if replace(grown, expires_ns=hold.expires_ns) == hold:  # its term began or was called off: nobody else needs it
        return replace(grown, event_version=report.version)
    return _told(hold, replace(grown, event_version=max(hold.event_version, report.version)))


def fold_last_frame(hold: Hold, received_ns: int, rolls: Rolls) -> Hold | None:
    """The hold once it is known when its event's last frame was received; None if it reaches that far already."""
    to_ns = received_ns + rolls.post_ns
    return _told(hold, replace(hold, to_ns=to_ns)) if to_ns > hold.to_ns else None


def confirmed(hold: Hold) -> Hold:
    """The hold, all recorded footage of it on disk."""
    return replace(hold, is_confirmed=True, version=hold.version + 1, told_to_ns=hold.to_ns)


def is_on_disk(hold: Hold, newest_ns: int, settled_ns: int) -> bool:
    """Whether everything in it that was recorded, or still will be, is on disk.

    `newest_ns`: when the newest frame on disk of its camera came in, 0 without one. `settled_ns`: what was received
    up to then is on disk or lost, whichever camera it is of; a camera that sends nothing any more has no newer frame.
    """
    return hold.is_over and max(newest_ns, settled_ns) >= hold.to_ns


def is_to_be_told(before: Hold | None, after: Hold) -> bool:
    """Whether others hear of this change now; of mere growth they hear from time to time."""
    return before is None or after.version > before.version


def _told(before: Hold, after: Hold) -> Hold:
    """The changed hold with its next version, if it is worth telling."""
    after = replace(after, is_confirmed=False)
    is_worth_it = (
        after.is_over != before.is_over
        or after.is_over
        or before.is_confirmed
        or after.from_ns != before.from_ns
        or after.to_ns - before.told_to_ns >= _TELL_EVERY_NS
    )
    return replace(after, version=before.version + 1, told_to_ns=after.to_ns) if is_worth_it else after


def _later(one: FrameId | None, other: FrameId | None) -> FrameId | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


class HeldFootage:
    """Which footage is held: what everything that deletes footage must ask first. Not thread-safe."""

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        self._spans: dict[str, dict[str, tuple[int, int]]] = {}
        self._sorted: dict[str, tuple[list[int], list[int]]] = {}
        for hold in holds:
            self.put(hold)

    def put(self, hold: Hold) -> None:
        """A hold was made, has changed or has ended."""
        spans = self._spans.setdefault(hold.camera, {})
        if hold.ended_ns:
            spans.pop(hold.id, None)
        else:
            spans[hold.id] = (hold.from_ns, hold.to_ns)
        self._sorted.pop(hold.camera, None)

    def is_held(self, camera: str, from_ns: int, to_ns: int) -> bool:
        """Whether any footage of the camera received from one moment to the other, both included, must be kept."""
        begins, ends = self._of(camera)
        before = bisect_right(begins, to_ns)
        return before > 0 and ends[before - 1] >= from_ns

    def hold_of(self, camera: str, from_ns: int, to_ns: int) -> str | None:
        """The id of a hold that keeps that footage, the one that begins first; None if none does."""
        if not self.is_held(camera, from_ns, to_ns):
            return None
        found = ((span, name) for name, span in self._spans[camera].items() if span[0] <= to_ns and span[1] >= from_ns)
        return min(found)[1]

    def spans(self, camera: str) -> list[tuple[int, int]]:
        """From when to when footage of a camera is held, in order of beginning."""
        return sorted(self._spans.get(camera, {}).values())

    def copy(self) -> HeldFootage:
        """The same at this moment, for another thread."""
        other = HeldFootage()
        other._spans = {camera: dict(spans) for camera, spans in self._spans.items()}
        return other

    def _of(self, camera: str) -> tuple[list[int], list[int]]:
        """Beginnings in order, and how far those up to each reach."""
        known = self._sorted.get(camera)
        if known is None:
            spans = sorted(self._spans.get(camera, {}).values())
            known = ([begin for begin, _ in spans], list(accumulate((end for _, end in spans), max)))
            self._sorted[camera] = known
        return known

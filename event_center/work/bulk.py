"""Deeds on many events in two steps: what was previewed is what is confirmed, once, soon, by the same person. No I/O.

Previews and what was done last live in memory: after a restart a preview is asked for again, and what a bulk did can be
taken back record by record. What does not belong here: the deeds themselves.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from event_center.event import Event
from event_center.marks import UNDO_NS
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted

MAX_EVENTS = 5000
PREVIEW_NS = 60 * 1_000_000_000
# Of all people together; the oldest go.
MAX_PREVIEWS = 200
MAX_DONE = 50

Deed = Callable[[Event, int], Event | None]


@dataclass(frozen=True, slots=True)
class Preview:
    """What is to be confirmed."""

    actor: str
    ids: tuple[str, ...]
    deed: Deed
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Bulk:
    """What was done."""

    id: str
    actor: str
    done_ns: int
    changed: tuple[tuple[str, int], ...]
    """Events and the numbers of their records."""
    unchanged: int
    failures: tuple[tuple[str, str], ...]
    """Events and why it failed."""


@dataclass(slots=True)
class BulkDesk:
    """Previews that wait, and what was done last."""

    _previews: OrderedDict[str, Preview] = field(default_factory=OrderedDict)
    _done: OrderedDict[str, Bulk] = field(default_factory=OrderedDict)

    def preview(self, actor: str, ids: Sequence[str], deed: Deed, now_ns: int) -> tuple[str, Preview]:
        """The token, and what it confirms. Raises InvalidArgument (no events), ResourceExhausted (too many)."""
        chosen = tuple(dict.fromkeys(ids))
        if not chosen:
            raise InvalidArgument("bulk", "concerns no event", "Name events, or a filter that lists some.")
        if len(chosen) > MAX_EVENTS:
            raise ResourceExhausted("bulk", f"concerns more than {MAX_EVENTS} events", "Narrow the filter.")
        preview = Preview(actor, chosen, deed, now_ns + PREVIEW_NS)
        token = secrets.token_urlsafe(18)
        self._previews[token] = preview
        while len(self._previews) > MAX_PREVIEWS:
            self._previews.popitem(last=False)
        return token, preview

    def take(self, token: str, actor: str, now_ns: int) -> Preview:
        """What a token confirms; it serves once. Raises NotFound: unknown, used, too old, or another person's."""
        preview = self._previews.get(token)
        if preview is None or preview.actor != actor or preview.expires_ns < now_ns:
            raise NotFound("preview of this token", "does not exist, was confirmed already, or is older than a minute",
                           "Preview again.")  # fmt: skip
        del self._previews[token]
        return preview

    def note(self, bulk: Bulk) -> None:
        """It was done."""
        self._done[bulk.id] = bulk
        while len(self._done) > MAX_DONE:
            self._done.popitem(last=False)

    def undoable(self, bulk_id: str, actor: str, now_ns: int) -> Bulk:
        """The bulk, if this person may take it back now. Raises NotFound, PermissionDenied, FailedPrecondition."""
        bulk = self._done.get(bulk_id)
        if bulk is None:
            raise NotFound(f"bulk {bulk_id[:80]!r}", "is not known any more", "Records can be undone one by one.")
        if bulk.actor != actor:
            raise PermissionDenied(f"bulk {bulk_id}", f"was done by {bulk.actor}", "Who did it may undo it.")
        if now_ns - bulk.done_ns > UNDO_NS:
            raise FailedPrecondition(f"bulk {bulk_id}", f"was done {(now_ns - bulk.done_ns) / 1e9:.0f} s ago",
                                     f"Only {UNDO_NS // 10**9} s are given.")  # fmt: skip
        return bulk

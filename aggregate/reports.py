"""How inspections fare, as their workers report it, and what of that is an alarm: a detector that fails, regions that
cannot follow or had to be moved, a rate that had to be lowered.

Law 10: what ails trueframe is an alarm like any other. Each is told when it begins and when it is over, once.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from aggregate.orders import Order
from trueframe.v1 import inspection_pb2

MAX_SENTENCE = 500
_LONGEST_WORD = 25
VIEWS = {"view-lost": ("regions are lost: ", 2), "view-moved": ("", 3)}
"""What can befall a camera's view: words before what is said of it, and the priority."""


class Tells(Protocol):
    """Who tells the world of conditions: `mesh.system_events.SystemEvents`."""

    def tell(
        self, condition: str, *, holds: bool, summary: str, camera: str = "", priority: int = 3,
        facts: dict[str, object] | None = None,
    ) -> bool:  # fmt: skip
        """Tells that a condition begins or is over; False if that was told already."""
        ...


class Silent:
    """Tells nobody."""

    def tell(
        self, condition: str, *, holds: bool, summary: str, camera: str = "", priority: int = 3,
        facts: dict[str, object] | None = None,
    ) -> bool:  # fmt: skip
        """Nothing happens."""
        return False


class Reports:
    """The last report of each inspection."""

    def __init__(self, tells: Tells) -> None:
        self._tells = tells
        self._last: dict[str, inspection_pb2.InspectionReport] = {}
        self._costs: dict[str, float] = {}
        self._costs_together: dict[str, float] = {}
        """Of inspections that run several models."""
        self._views: dict[tuple[str, str], dict[str, str]] = {}
        """By what befell which camera: what each inspection with regions says of it."""

    def heard(self, order: Order, report: inspection_pb2.InspectionReport) -> None:
        """A worker's report of an inspection that it has."""
        self._last[order.id] = report
        if report.cost_us > 0:
            further = [one.digest for one in report.further_models]
            costs = self._costs_together if further else self._costs
            costs |= dict.fromkeys((report.model, *further), report.cost_us)
        if order.shadow_of:
            # Of a version on trial `trueframe models` tells; nobody is got out of bed for it.
            return
        self._say(order, "failed", report.problem, f"Inspection {order.id} fails", 2)
        self._see(order, "view-lost", report.view_lost)
        self._see(order, "view-moved", report.view_moved)

    def lowered(self, order: Order, fps: float) -> None:
        """Its frames are looked at less often: `fps` a second, or as ordered for 0."""
        why = f"the pool has too much to do, {fps:g} frames a second are looked at" if fps else ""
        if order.priority != "background":
            self._say(order, "slowed", why, f"Inspection {order.id} is slowed", 3)

    def of(self, inspection: str) -> inspection_pb2.InspectionReport | None:
        """The last report; None if there is none."""
        return self._last.get(inspection)

    def cost_us(self, digest: str) -> float:
        """What a frame costs with a version of a model, if need be with others beside it; 0 if nobody knows."""
        return self._costs.get(digest, 0.0) or self._costs_together.get(digest, 0.0)

    def ended(self, order: Order) -> None:
        """It is not carried out any more: nothing ails it."""
        self._last.pop(order.id, None)
        for kind in ("failed", "slowed"):
            self._say(order, kind, "", "", 3)
        for kind in VIEWS:
            self._see(order, kind, "")

    def _see(self, order: Order, kind: str, said: str) -> None:
        """What befell a camera is one condition, of however many inspections its regions are."""
        views = self._views.setdefault((kind, order.camera), {})
        views.pop(order.id, None)
        if said:
            views[order.id] = said
        what, priority = VIEWS[kind]
        said = next(iter(views.values()), "")
        summary = f"{what}{said}"[:MAX_SENTENCE] if views else ""
        if summary:
            summary = f"{summary[0].upper()}{summary[1:]} ({', '.join(sorted(views))[:MAX_SENTENCE]})"
        self._tells.tell(
            kind, holds=bool(views), summary=summary, camera=order.camera, priority=priority,
            facts={"inspections": sorted(views)},
        )  # fmt: skip

    def _say(self, order: Order, kind: str, problem: str, what: str, priority: int) -> None:
        summary = f"{what}: {problem[:MAX_SENTENCE]}" if problem else ""
        facts: dict[str, object] = {"inspection": order.id, "detector": order.detector}
        self._tells.tell(
            condition_word(kind, order), holds=bool(problem), summary=summary, camera=order.camera,
            priority=priority, facts=facts,
        )  # fmt: skip


def condition_word(kind: str, order: Order) -> str:
    """What the condition is called: of one camera it is each inspection's own."""
    is_usual = order.id == f"{order.camera}.{order.detector}" and len(order.detector) <= _LONGEST_WORD
    return f"{kind}-{order.detector if is_usual else hashlib.sha256(order.id.encode()).hexdigest()[:8]}"

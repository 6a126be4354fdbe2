"""An inspection as people see it: who carries it out, how far it has come, and why it does not run. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aggregate.bench import Docket
from aggregate.orders import Order
from aggregate.resting import Resting
from aggregate.scheduler import Seat
from trueframe.v1 import inspection_pb2


@dataclass(frozen=True, slots=True)
class Status:
    """An inspection, who carries it out, and how far it has come."""

    order: Order
    docket: Docket | None
    worker: str
    problem: str = ""
    """Why it is not carried out as ordered."""
    is_resting: bool = False
    lowered_to_fps: float = 0.0
    report: inspection_pb2.InspectionReport | None = None


def status_of(
    order: Order,
    docket: Docket | None,
    seat: Seat | None,
    worker: str,
    report: inspection_pb2.InspectionReport | None,
    resting: Resting | None,
) -> Status:
    """The status. `worker`: who has it and is there; `resting`: who knows why it rests, if it does."""
    report = report if worker else None
    problem = report.problem if report is not None else ""
    if resting is not None:
        # Out of hours all is as ordered.
        problem = "" if order.is_disabled or resting.is_out_of_hours(order) else resting.why(order)
    elif seat is not None and not worker:
        problem = f"no worker that can run {order.detector} has taken it up yet"
    lowered = seat.lowered_fps if seat is not None else 0.0
    return Status(order, docket, worker, problem, resting is not None, lowered, report)

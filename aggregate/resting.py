"""Why an inspection that nobody stopped is not carried out now: outside its schedule, or without a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

from aggregate.model_store import Models
from aggregate.offers import Offers
from aggregate.orders import Order
from mesh.clocks import Clock
from mesh.schedule import holds

OUT_OF_HOURS = "outside its schedule"


@dataclass(frozen=True, slots=True)
class Resting:
    """What decides whether an inspection rests."""

    offers: Offers
    models: Models | None
    clock: Clock
    zone: tzinfo = UTC

    def why(self, order: Order) -> str:
        """Why it rests, as a part of a sentence; empty if it does not."""
        if self.is_out_of_hours(order):
            return OUT_OF_HOURS
        name = self.model_name(order)
        if not name or self.models is None:
            return ""
        version = self.models.version_for(order)
        if version is None:
            remedy = "train one, or publish one with `trueframe models publish`"
            return f"no version of model {name} was promoted: {remedy}"
        if version.detector != order.detector:
            return f"model {name} is for detector {version.detector}, not for {order.detector}"
        return ""

    def is_out_of_hours(self, order: Order) -> bool:
        """Whether no window of its schedule covers this moment."""
        return not holds(order.schedule, self.clock.utc_ns(), self.zone)

    def may_rest(self, order: Order) -> bool:
        """Whether it depends on anything."""
        return bool(order.schedule or self.model_name(order))

    def model_name(self, order: Order) -> str:
        """The model that an order is carried out with; empty for none."""
        return order.model_name if order.model or self.offers.needs_model(order.detector) else ""

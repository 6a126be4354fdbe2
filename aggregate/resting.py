"""Why an inspection that nobody stopped is not carried out now: outside its schedule, or without a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

from aggregate.model_store import Models
from aggregate.models import Version
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
        if self.models is None:
            return ""
        wanted = self._wanted(order)
        if order.shadow_of and wanted and not any(self.models.rollout(name).shadow for _, name in wanted):
            return "no version is being tried any more"
        for detector, name in wanted:
            version = self.models.version_for(order, name)
            if version is None:
                remedy = "train one, or publish one with `trueframe models publish`"
                return f"no version of model {name} was promoted: {remedy}"
            # A detector that runs others takes the model of any of them, and says so itself if it has no use for it.
            is_for_another = detector == order.detector and self.offers.takes_models(detector)
            if version.detector != detector and not is_for_another:
                return f"model {name} is for detector {version.detector}, not for {detector}"
        return ""

    def is_out_of_hours(self, order: Order) -> bool:
        """Whether no window of its schedule covers this moment."""
        return not holds(order.schedule, self.clock.utc_ns(), self.zone)

    def may_rest(self, order: Order) -> bool:
        """Whether it depends on anything."""
        return bool(order.schedule or self._wanted(order))

    def model_names(self, order: Order) -> tuple[str, ...]:
        """The models that an order is carried out with, its own first."""
        return tuple(dict.fromkeys(name for _, name in self._wanted(order)))

    def versions(self, order: Order) -> tuple[Version, ...]:
        """The versions that it runs, its own model's first; those that are not there are left out."""
        if self.models is None:
            return ()
        found = (self.models.version_for(order, name) for name in self.model_names(order))
        return tuple(version for version in found if version is not None)

    def _wanted(self, order: Order) -> tuple[tuple[str, str], ...]:
        """Detector and model, of all that it takes."""
        has_own = order.model or self.offers.needs_model(order.detector)
        own = ((order.detector, order.model_name),) if has_own else ()
        return (*own, *self.offers.named_models(order))

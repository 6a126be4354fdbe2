"""What is to be watched: inspections as the aggregate thinks of them, and which of them apply to which cameras.

Pure values and choices. Where they are stored and how they travel does not belong here (`store.py`, `service.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aggregate.errors import BadInspection
from aggregate.rules import RULES

RegionUse = Literal["inspect", "ignore"]
Corner = tuple[float, float]

MAX_REGIONS = 64
MAX_CORNERS = 256


@dataclass(frozen=True, slots=True)
class Region:
    """A named polygon in fractions of the picture's width and height."""

    name: str
    use: RegionUse
    corners: tuple[Corner, ...]

    def contains(self, x: float, y: float) -> bool:
        """Whether the point lies inside, by the even-odd rule."""
        inside = False
        ax, ay = self.corners[-1]
        for bx, by in self.corners:
            if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
                inside = not inside
            ax, ay = bx, by
        return inside


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in fractions of the picture, with what a detector called it and how sure it was."""

    x: float
    y: float
    width: float
    height: float
    label: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """One inspection: the order to watch a camera with a detector. `threshold` 0 means the detector's default."""

    id: str
    camera: str
    detector: str
    threshold: float = 0.0
    regions: tuple[Region, ...] = ()
    is_disabled: bool = False

    def problem(self) -> str:
        """Why this order cannot be carried out, as a sentence; empty if it can."""
        if not 0 < len(self.id) <= 200 or not self.id.isprintable():
            return "its id must have 1 to 200 printable characters"
        if self.detector not in RULES:
            return f"there is no detector {self.detector!r}; there are: {', '.join(sorted(RULES))}"
        if not 0.0 <= self.threshold <= 1.0:
            return f"its threshold {self.threshold} is not between 0 and 1"
        if len(self.regions) > MAX_REGIONS:
            return f"it has {len(self.regions)} regions; at most {MAX_REGIONS} are allowed"
        for region in self.regions:
            # Names of regions stand in the words of alarms, on other people's terminals.
            if not region.name.isprintable():
                return f"the name of region {region.name!r} holds control characters"
            if not 3 <= len(region.corners) <= MAX_CORNERS:
                return f"region {region.name!r} has {len(region.corners)} corners; 3 to {MAX_CORNERS} are needed"
            if any(not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0) for x, y in region.corners):
                return f"region {region.name!r} has a corner outside the picture; corners are fractions, 0 to 1"
        return ""


def default_orders(camera: str, existing: Iterable[Order]) -> list[Order]:
    """Orders that a camera gets by itself: one for every detector that no existing order of the camera names."""
    named = {order.detector for order in existing if order.camera == camera}
    return [Order(f"{camera}.{detector}", camera, detector) for detector in sorted(RULES) if detector not in named]


@dataclass(slots=True)
class Catalogue:
    """All orders, and which cameras exist. An order applies while its camera exists and it is not disabled."""

    orders: dict[str, Order] = field(default_factory=dict)
    cameras: set[str] = field(default_factory=set)

    def applies(self, order: Order) -> bool:
        """Whether the order is to be carried out now."""
        return order.camera in self.cameras and not order.is_disabled

    def visible(self) -> list[Order]:
        """Orders of existing cameras, by id."""
        return [order for _, order in sorted(self.orders.items()) if order.camera in self.cameras]

    def camera_came(self, camera: str) -> list[Order]:
        """Takes note of a camera and returns the default orders that it still needs (not yet put)."""
        self.cameras.add(camera)
        return default_orders(camera, self.orders.values())

    def camera_left(self, camera: str) -> list[Order]:
        """Takes note that a camera is gone and returns its orders, which apply no longer."""
        self.cameras.discard(camera)
        return [order for order in self.orders.values() if order.camera == camera]


def touched(regions: Iterable[Region], areas: Iterable[Area]) -> tuple[str, ...]:
    """Names of inspected regions in which one of the areas stands: its foot, its centre or a corner lies inside."""
    names: list[str] = []
    listed = list(areas)
    for region in regions:
        if region.use != "inspect" or region.name in names:
            continue
        if any(region.contains(x, y) for area in listed for x, y in _probes(area)):
            names.append(region.name)
    return tuple(names)


def _probes(area: Area) -> tuple[Corner, ...]:
    left, top, right, bottom = area.x, area.y, area.x + area.width, area.y + area.height
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    return (
        (middle_x, bottom - area.height * 0.02), (middle_x, middle_y),
        (left, bottom), (right, bottom), (left, top), (right, top), (left, middle_y), (right, middle_y),
    )  # fmt: skip


def area_document(area: Area) -> dict[str, object]:
    """The area as a JSON object."""
    return {"x": area.x, "y": area.y, "w": area.width, "h": area.height, "label": area.label, "score": area.score}


def area_from_document(document: Mapping[str, object]) -> Area:
    """The inverse of `area_document`."""
    x, y, w, h, score = (float(str(document[key])) for key in ("x", "y", "w", "h", "score"))
    return Area(x, y, w, h, str(document["label"]), score)


def order_document(order: Order) -> dict[str, Any]:
    """The order as a JSON object, without its id."""
    return {
        "camera": order.camera,
        "detector": order.detector,
        "threshold": order.threshold,
        "is_disabled": order.is_disabled,
        "regions": [
            {"name": region.name, "use": region.use, "corners": [list(corner) for corner in region.corners]}
            for region in order.regions
        ],
    }


def order_from_document(order_id: str, body: Mapping[str, Any]) -> Order:
    """The inverse of `order_document`. Raises BadInspection."""
    regions = tuple(
        Region(one["name"], one["use"], tuple((float(x), float(y)) for x, y in one["corners"]))
        for one in body["regions"]
    )
    return checked(Order(order_id, body["camera"], body["detector"], body["threshold"], regions, body["is_disabled"]))


def checked(order: Order) -> Order:
    """The order, if it can be carried out. Raises BadInspection."""
    if problem := order.problem():
        raise BadInspection(f"inspection {order.id[:80]!r}", problem)
    return order

"""What is to be watched: inspections as the aggregate thinks of them, and which of them apply to which cameras.

Pure values and choices. Where they are stored and how they travel does not belong here (`archive.py`, `wire.py`), nor
which detectors there are and what options they know (`offers.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aggregate.errors import BadInspection
from mesh.schedule import MAX_WINDOWS, Window

RegionUse = Literal["inspect", "ignore", "line"]
Priority = Literal["high", "normal", "background"]
Corner = tuple[float, float]

MAX_REGIONS = 64
MAX_CORNERS = 256
MAX_OPTIONS_BYTES = 64 << 10
MAX_FALSE_ALARMS_PER_HOUR = 3600.0
MAX_FPS = 1000.0
_DETECTOR = re.compile(r"[a-z][a-z0-9-]{0,39}")
_MODEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Region:
    """A named polygon, or line, in fractions of the picture's width and height."""

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
    track: int = 0
    """The thing that it shows, followed from frame to frame; 0 if it is not followed."""
    said: str = ""
    key_points: tuple[tuple[float, float, float], ...] = ()
    """Points of a body: x, y in fractions of the picture, score."""


@dataclass(frozen=True, slots=True)
class Order:
    """One inspection: the order to watch a camera with a detector. `threshold` 0 means the detector's default."""

    id: str
    camera: str
    detector: str
    threshold: float = 0.0
    regions: tuple[Region, ...] = ()
    is_disabled: bool = False
    options: str = ""
    """Of the detector: a TOML document."""
    model: str = ""
    """Name of a published model; empty: CAMERA.DETECTOR, where the detector takes one."""
    schedule: tuple[Window, ...] = ()
    """Only then; empty means always."""
    false_alarms_per_hour: float = 0.0
    """What the threshold is calibrated to; 0 leaves it alone."""
    max_fps: float = 0.0
    """Frames a second that are looked at, at most; 0 for all."""
    priority: Priority = "normal"
    has_fixed_regions: bool = False
    """Regions stay where they are in the picture, whatever the camera does."""
    shadow_of: str = ""
    """The inspection that this one runs beside, silently."""

    @property
    def model_name(self) -> str:
        """The model that it would run, where its detector takes one."""
        return self.model or f"{self.camera}.{self.detector}"

    def problem(self) -> str:
        """What about this order is wrong in itself, as a sentence; empty if nothing is."""
        if not 0 < len(self.id) <= 200 or not self.id.isprintable():
            return "its id must have 1 to 200 printable characters"
        if not _DETECTOR.fullmatch(self.detector):
            return f"{self.detector[:60]!r} is no name of a detector"
        if not 0.0 <= self.threshold <= 1.0:
            return f"its threshold {self.threshold} is not between 0 and 1"
        if self.model and not is_model_name(self.model):
            return f"{self.model[:60]!r} is no name of a model; small letters, digits, '.' and '-' make one"
        if len(self.options.encode()) > MAX_OPTIONS_BYTES:
            return f"its options are longer than {MAX_OPTIONS_BYTES >> 10} KiB"
        if not 0.0 <= self.false_alarms_per_hour <= MAX_FALSE_ALARMS_PER_HOUR:
            return f"{self.false_alarms_per_hour:g} false alarms an hour are not between 0 and 3600"
        if not (math.isfinite(self.max_fps) and 0.0 <= self.max_fps <= MAX_FPS):
            return f"{self.max_fps:g} frames a second are not between 0 and 1000"
        return self._problem_of_schedule() or self._problem_of_regions()

    def _problem_of_schedule(self) -> str:
        if len(self.schedule) > MAX_WINDOWS:
            return f"its schedule has {len(self.schedule)} windows; at most {MAX_WINDOWS} are allowed"
        return next((f"a window of its schedule {p}" for window in self.schedule if (p := window.problem())), "")

    def _problem_of_regions(self) -> str:
        if len(self.regions) > MAX_REGIONS:
            return f"it has {len(self.regions)} regions; at most {MAX_REGIONS} are allowed"
        for region in self.regions:
            # Names of regions stand in the words of alarms, on other people's terminals.
            if not region.name.isprintable():
                return f"the name of region {region.name!r} holds control characters"
            fewest = 2 if region.use == "line" else 3
            if not fewest <= len(region.corners) <= MAX_CORNERS:
                kind = "line" if region.use == "line" else "region"
                return f"{kind} {region.name!r} has {len(region.corners)} corners; {fewest} to {MAX_CORNERS} are needed"
            if any(not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0) for x, y in region.corners):
                return f"region {region.name!r} has a corner outside the picture; corners are fractions, 0 to 1"
        return ""


def is_model_name(name: str) -> bool:
    """Whether a model can be called so."""
    return _MODEL.fullmatch(name) is not None


def default_orders(camera: str, existing: Iterable[Order], detectors: Iterable[str]) -> list[Order]:
    """Orders that a camera gets by itself: one for each of these detectors that no existing order of it names."""
    named = {order.detector for order in existing if order.camera == camera}
    return [Order(f"{camera}.{detector}", camera, detector) for detector in sorted(detectors) if detector not in named]


@dataclass(slots=True)
class Catalogue:
    """All orders, which cameras exist, and which inspections rest.

    An order applies while its camera exists, it is not disabled, and it does not rest (by schedule, or for want of a
    model).
    """

    orders: dict[str, Order] = field(default_factory=dict)
    cameras: set[str] = field(default_factory=set)
    resting: set[str] = field(default_factory=set)

    def applies(self, order: Order) -> bool:
        """Whether the order is to be carried out now."""
        return order.camera in self.cameras and not order.is_disabled and order.id not in self.resting

    def visible(self) -> list[Order]:
        """Orders of existing cameras, by id; shadows only while they run."""
        return [
            order
            for _, order in sorted(self.orders.items())
            if order.camera in self.cameras and not (order.shadow_of and order.is_disabled)
        ]

    def camera_came(self, camera: str, detectors: Iterable[str]) -> list[Order]:
        """Takes note of a camera and returns the default orders that it still needs (not yet put)."""
        self.cameras.add(camera)
        return default_orders(camera, self.orders.values(), detectors)

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
    document: dict[str, object] = {
        "x": area.x, "y": area.y, "w": area.width, "h": area.height, "label": area.label, "score": area.score,
    }  # fmt: skip
    if area.track or area.said:
        document |= {"track": area.track, "said": area.said}
    if area.key_points:
        document["points"] = [list(point) for point in area.key_points]
    return document


def area_from_document(document: Mapping[str, Any]) -> Area:
    """The inverse of `area_document`."""
    x, y, w, h, score = (float(document[key]) for key in ("x", "y", "w", "h", "score"))
    points = tuple((float(px), float(py), float(sure)) for px, py, sure in document.get("points", ()))
    track, said = int(document.get("track", 0)), str(document.get("said", ""))
    return Area(x, y, w, h, str(document["label"]), score, track, said, points)


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
        "options": order.options,
        "model": order.model,
        "schedule": [[list(window.days), window.from_minute, window.to_minute] for window in order.schedule],
        "false_alarms_per_hour": order.false_alarms_per_hour,
        "max_fps": order.max_fps,
        "priority": order.priority,
        "has_fixed_regions": order.has_fixed_regions,
        "shadow_of": order.shadow_of,
    }


def order_from_document(order_id: str, body: Mapping[str, Any]) -> Order:
    """The inverse of `order_document`; also of documents from before orders had options. Raises BadInspection."""
    regions = tuple(
        Region(one["name"], one["use"], tuple((float(x), float(y)) for x, y in one["corners"]))
        for one in body["regions"]
    )
    order = Order(
        order_id,
        body["camera"],
        body["detector"],
        body["threshold"],
        regions,
        body["is_disabled"],
        options=body.get("options", ""),
        model=body.get("model", ""),
        schedule=tuple(Window(tuple(days), begin, end) for days, begin, end in body.get("schedule", ())),
        false_alarms_per_hour=body.get("false_alarms_per_hour", 0.0),
        max_fps=body.get("max_fps", 0.0),
        priority=body.get("priority", "normal"),
        has_fixed_regions=body.get("has_fixed_regions", False),
        shadow_of=body.get("shadow_of", ""),
    )
    return checked(order)


def checked(order: Order) -> Order:
    """The order, if it can be carried out. Raises BadInspection."""
    if problem := order.problem():
        raise BadInspection(f"inspection {order.id[:80]!r}", problem)
    return order

"""Vehicles: cars, vans and lorries as faces in the world, and how they are drawn.

What belongs here: shapes and their projection. What does not: where vehicles go (`paths`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from simulator.scene.backdrop import to_yuv
from simulator.scene.people import BoxPx, joined
from simulator.scene.raster import Canvas
from simulator.scene.textures import Colour
from simulator.scene.view import Point, View

GLASS: Colour = (0.13, 0.16, 0.19)
TYRE: Colour = (0.06, 0.06, 0.06)


@dataclass(frozen=True, slots=True)
class Make:
    """A vehicle's shape and colour."""

    length_m: float = 4.3
    width_m: float = 1.8
    bonnet_m: float = 0.85
    """Height of the lower body."""
    roof_m: float = 1.45
    cabin: tuple[float, float, float, float] = (-0.42, -0.30, 0.12, 0.28)
    """Where the cabin stands, as shares of the length: its foot and head behind, its head and foot ahead."""
    colour: Colour = (0.55, 0.56, 0.58)


CAR = Make()
VAN = Make(5.2, 2.0, 1.1, 2.2, (-0.49, -0.48, 0.22, 0.36), (0.80, 0.80, 0.78))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vehicle is: its centre on the ground and where it points."""

    x: float
    y: float
    heading: float


def _world(place: Place, forward: float, aside: float, up: float) -> Point:
    cos, sin = math.cos(place.heading), math.sin(place.heading)
    return place.x + cos * forward - sin * aside, place.y + sin * forward + cos * aside, up


def draw(
    canvas: Canvas,
    view: View,
    make: Make,
    place: Place,
    brightness: float,
    saturation: float,
    with_lights: bool = False,
) -> BoxPx | None:
    """Draws a vehicle; returns its box in pixels, None when it is out of sight."""
    half, side = make.length_m / 2, make.width_m / 2
    low, belt, roof = 0.28, make.bonnet_m, make.roof_m
    rear_foot, rear_head, front_head, front_foot = (share * make.length_m for share in make.cabin)
    inset = 0.12 * make.width_m
    faces: list[tuple[list[Point], Colour, float]] = []

    def face(corners: list[tuple[float, float, float]], colour: Colour, light: float) -> None:
        faces.append(([_world(place, *corner) for corner in corners], colour, light))

    cos, sin = math.cos(place.heading), math.sin(place.heading)
    for way in (-1.0, 1.0):
        # Sides face along (-sin, cos) * way, ends along (cos, sin) * way; light comes from the camera's left and front.
        flank = 0.82 + 0.18 * (-(-sin * way) * 0.6 - cos * way * 0.8)
        end = 0.82 + 0.18 * (-cos * way * 0.6 - sin * way * 0.8)
        a, b = side * way, (side - inset) * way
        face([(-half, a, low), (half, a, low), (half * 0.97, a, belt), (-half, a, belt)], make.colour, flank)
        face(
            [(rear_foot, a, belt), (front_foot, a, belt), (front_head, b, roof), (rear_head, b, roof)],
            make.colour,
            flank,
        )
        glass = [(rear_foot * 0.93, a, belt + 0.05), (front_foot * 0.9, a, belt + 0.05),
                 (front_head * 0.93, b * 1.02, roof - 0.1), (rear_head * 0.95, b * 1.02, roof - 0.1)]  # fmt: skip
        face(glass, GLASS, 1.0)
        top = belt if way > 0 else min(belt + 0.05, roof)
        face([(half * way, -side, low), (half * way, side, low), (half * way, side, top), (half * way, -side, top)],
             make.colour, end)  # fmt: skip
        foot, head = (front_foot, front_head) if way > 0 else (rear_foot, rear_head)
        face(
            [(foot, -side, belt), (foot, side, belt), (head, side - inset, roof), (head, inset - side, roof)],
            GLASS,
            1.1,
        )
    face(
        [(-half, -side, belt), (rear_foot, -side, belt), (rear_foot, side, belt), (-half, side, belt)],
        make.colour,
        1.08,
    )
    face(
        [(front_foot, -side, belt), (half, -side, belt), (half, side, belt), (front_foot, side, belt)],
        make.colour,
        1.08,
    )
    face([(rear_head, inset - side, roof), (front_head, inset - side, roof), (front_head, side - inset, roof),
          (rear_head, side - inset, roof)], make.colour, 1.12)  # fmt: skip

    box = _wheels(canvas, view, make, place, brightness)
    for corners, colour, light in sorted(
        faces, key=lambda item: (item[1] is GLASS) * 0.12 - _mean_distance(view, item[0])
    ):
        seen = [view.project(corner) for corner in corners]
        if any(point is None for point in seen):
            continue
        points = [(point[0], point[1]) for point in seen if point]
        shade = brightness * light
        y, u, v = to_yuv(tuple(min(1.0, part * shade) for part in colour))  # type: ignore[arg-type]
        distance = min(point[2] for point in seen if point)
        canvas.polygon(points, (y, 128 + (u - 128) * saturation, 128 + (v - 128) * saturation), distance)
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        box = joined(box, (min(xs), min(ys), max(xs), max(ys)))
    if with_lights:
        _lights(canvas, view, make, place)
    return box


def cast_shadow(canvas: Canvas, view: View, make: Make, place: Place, sun: Point) -> None:
    """Lays the vehicle's shadow into the shadow mask: that of its body and of its roof, and the dark below it."""
    half, side = make.length_m / 2, make.width_m / 2
    levels = ((0.0, half), (make.bonnet_m, half), (make.roof_m, half * 0.7))
    for (low, low_half), (high, high_half) in pairwise(levels):
        rings = []
        for up, reach in ((low, low_half), (high, high_half)):
            corners = [(-reach, -side), (reach, -side), (reach, side), (-reach, side)]
            ground = [_world(place, f, a, up) for f, a in corners]
            rings += [(x - sun[0] * z / sun[2], y - sun[1] * z / sun[2]) for x, y, z in ground]
        seen = [view.project((x, y, 0.0)) for x, y in hull(rings)]
        points = [(point[0], point[1]) for point in seen if point]
        if len(points) == len(seen):
            canvas.shadow_polygon(points[:8])


def _wheels(canvas: Canvas, view: View, make: Make, place: Place, brightness: float) -> BoxPx | None:
    box: BoxPx | None = None
    y, u, v = to_yuv(tuple(part * brightness for part in TYRE))  # type: ignore[arg-type]
    for forward in (-0.32, 0.33):
        for way in (-1.0, 1.0):
            hub = view.project(_world(place, forward * make.length_m, way * (make.width_m / 2 - 0.1), 0.31))
            if hub:
                radius = 0.31 * view.focal_px / hub[2]
                canvas.capsule(hub[0], hub[1], radius, hub[0], hub[1], radius, (y, u, v), hub[2], 0.1)
                box = joined(box, (hub[0] - radius, hub[1] - radius, hub[0] + radius, hub[1] + radius))
    return box


def _lights(canvas: Canvas, view: View, make: Make, place: Place) -> None:
    half, side = make.length_m / 2, make.width_m * 0.36
    pool = view.project(_world(place, half + 5.0, 0.0, 0.0))
    if pool:
        reach = view.focal_px / pool[2]
        canvas.glow(pool[0], pool[1], 4.5 * reach, 1.2 * reach, 70.0)
    for aside in (-side, side):
        for forward, amount, size in ((half, 190.0, 0.5), (-half, 60.0, 0.3)):
            cos, sin = math.cos(place.heading) * forward, math.sin(place.heading) * forward
            if cos * (place.x + cos) + sin * (place.y + sin) > 0:
                continue  # this end looks away from the camera
            lamp = view.project(_world(place, forward, aside, 0.65))
            if lamp:
                radius = size * view.focal_px / lamp[2]
                canvas.glow(lamp[0], lamp[1], radius, radius, amount)


def _mean_distance(view: View, corners: list[Point]) -> float:
    distances = [point[2] for point in map(view.project, corners) if point]
    return sum(distances) / len(distances) if distances else 0.0


def hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Convex hull, counter-clockwise."""
    points = sorted(set(points))

    def chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
        out: list[tuple[float, float]] = []
        for p in ordered:
            while len(out) > 1 and _turn(out[-2], out[-1], p) <= 0:
                out.pop()
            out.append(p)
        return out[:-1]

    return chain(points) + chain(points[::-1])


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

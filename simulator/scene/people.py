"""People: where every limb is at a moment of a walk, and how that is drawn.

What belongs here: the gait (hips, knees, arms, the bob of the body) and its projection. What does not: where people go
(`paths`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.scene.backdrop import to_yuv
from simulator.scene.raster import Canvas
from simulator.scene.textures import Colour
from simulator.scene.view import Point, View

BoxPx = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """What a person looks like."""

    height_m: float = 1.75
    skin: Colour = (0.72, 0.55, 0.45)
    hair: Colour = (0.15, 0.11, 0.08)
    jacket: Colour = (0.20, 0.25, 0.40)
    trousers: Colour = (0.15, 0.15, 0.18)
    shoes: Colour = (0.08, 0.08, 0.08)
    bag: Colour | None = None


@dataclass(frozen=True, slots=True)
class Stance:
    """Where a person is and how they move at a moment."""

    x: float
    y: float
    heading: float
    """Radians; 0 is along x."""
    speed: float
    """Metres a second."""
    travelled_m: float
    down: float = 0.0
    """0 upright, 1 lying on the ground, face down along the heading."""


@dataclass(frozen=True, slots=True)
class Limb:
    """A capsule in the world."""

    a: Point
    a_radius: float
    b: Point
    b_radius: float
    colour: Colour
    order: float
    """Drawn later if greater."""


def limbs(look: Look, stance: Stance) -> list[Limb]:
    """The body at this moment."""
    size = look.height_m / 1.75
    is_running = stance.speed > 2.4
    stride = (2.5 if is_running else 1.45) * size
    vigour = min(1.0, stance.speed / 1.1)
    phase = 2 * math.pi * stance.travelled_m / stride
    fx, fy = math.cos(stance.heading), math.sin(stance.heading)
    sx, sy = -fy, fx
    lean = (0.16 if is_running else 0.03) * vigour
    bob = (0.05 if is_running else 0.025) * vigour * abs(math.cos(phase)) * size

    angle = 1.5 * stance.down
    cos, sin = math.cos(angle), math.sin(angle)
    buckled = 1 - 0.35 * math.sin(math.pi * stance.down)

    def at(forward: float, aside: float, up: float) -> Point:
        if stance.down > 0:
            # Knees give way while the body turns over its feet; on the ground it is as thick as it is.
            forward, up = forward * cos + up * buckled * sin, up * buckled * cos - forward * sin
            up = max(up, 0.1)
        return (
            stance.x + (fx * forward + sx * aside) * size,
            stance.y + (fy * forward + sy * aside) * size,
            max(0.03, up * size + bob - 0.02 * vigour),
        )

    # Limbs on the side away from the camera (greater y) are drawn first.
    near = -1.0 if sy > 0 else 1.0
    parts = []
    for side in (-1.0, 1.0):
        swing = math.sin(phase + (math.pi if side > 0 else 0.0)) * vigour
        order = 3.0 if side == near else 0.0
        hip = swing * (0.75 if is_running else 0.42)
        lift = max(0.0, math.cos(phase + (math.pi if side > 0 else 0.0))) * vigour
        bend = lift * (1.5 if is_running else 0.75) + 0.05
        knee_f, knee_u = 0.45 * math.sin(hip), 0.90 - 0.45 * math.cos(hip)
        foot_f = knee_f + 0.43 * math.sin(hip - bend)
        foot_u = knee_u - 0.43 * math.cos(hip - bend)
        hip_at, knee = at(0, 0.10 * side, 0.90), at(knee_f, 0.10 * side, knee_u)
        foot, toe = at(foot_f, 0.10 * side, foot_u), at(foot_f + 0.17, 0.11 * side, foot_u - 0.02)
        parts.append(Limb(hip_at, 0.095 * size, knee, 0.065 * size, look.trousers, order + 0.1))
        parts.append(Limb(knee, 0.065 * size, foot, 0.05 * size, look.trousers, order))
        parts.append(Limb(foot, 0.05 * size, toe, 0.04 * size, look.shoes, order + 0.05))
        arm = -swing * (0.8 if is_running else 0.5) + (1.4 + 0.5 * side) * stance.down
        elbow_bend = (1.5 if is_running else 0.25) * vigour + 0.1
        elbow_f, elbow_u = lean + 0.29 * math.sin(arm), 1.42 - 0.29 * math.cos(arm)
        hand_f, hand_u = elbow_f + 0.27 * math.sin(arm + elbow_bend), elbow_u - 0.27 * math.cos(arm + elbow_bend)
        shoulder, elbow = at(lean, 0.21 * side, 1.42), at(elbow_f, 0.25 * side, elbow_u)
        hand = at(hand_f, 0.23 * side, hand_u)
        parts.append(Limb(shoulder, 0.065 * size, elbow, 0.05 * size, look.jacket, order + 0.3))
        parts.append(Limb(elbow, 0.05 * size, hand, 0.038 * size, look.jacket, order + 0.35))
        parts.append(Limb(hand, 0.045 * size, hand, 0.045 * size, look.skin, order + 0.4))
    parts.append(Limb(at(0, 0, 0.95), 0.16 * size, at(lean, 0, 1.36), 0.19 * size, look.jacket, 1.5))
    parts.append(Limb(at(lean, 0, 1.45), 0.06 * size, at(lean * 1.2, 0, 1.55), 0.06 * size, look.skin, 1.6))
    parts.append(Limb(at(lean * 1.3, 0, 1.60), 0.10 * size, at(lean * 1.3, 0, 1.65), 0.105 * size, look.skin, 1.7))
    back = 1.8 if fy > 0 else 1.65  # whoever walks away shows hair, not face
    parts.append(
        Limb(at(lean * 1.3 - 0.03, 0, 1.66), 0.105 * size, at(lean - 0.02, 0, 1.69), 0.1 * size, look.hair, back)
    )
    if look.bag:
        parts.append(
            Limb(at(-0.22, 0, 1.12), 0.12 * size, at(-0.2, 0, 1.32), 0.13 * size, look.bag, 1.9 if fy > 0 else 1.2)
        )
    return sorted(parts, key=lambda limb: limb.order)


def bag(x: float, y: float, colour: Colour) -> list[Limb]:
    """A travelling bag on the ground."""
    handle: Colour = (0.5 * colour[0], 0.5 * colour[1], 0.5 * colour[2])
    return [
        Limb((x - 0.2, y, 0.16), 0.16, (x + 0.2, y, 0.16), 0.16, colour, 0.0),
        Limb((x - 0.17, y, 0.27), 0.13, (x + 0.17, y, 0.27), 0.13, colour, 0.1),
        Limb((x - 0.12, y, 0.42), 0.025, (x + 0.12, y, 0.42), 0.025, handle, 0.2),
    ]


def draw(canvas: Canvas, view: View, body: list[Limb], brightness: float, saturation: float) -> BoxPx | None:
    """Draws a body; returns its box in pixels (not cut to the picture), None when it is behind the camera."""
    box: BoxPx | None = None
    for limb in body:
        a, b = view.project(limb.a), view.project(limb.b)
        if a is None or b is None:
            return box
        ar, br = view.focal_px * limb.a_radius / a[2], view.focal_px * limb.b_radius / b[2]
        y, u, v = to_yuv(tuple(min(1.0, part * brightness) for part in limb.colour))  # type: ignore[arg-type]
        colour = (y, 128 + (u - 128) * saturation, 128 + (v - 128) * saturation)
        canvas.capsule(a[0], a[1], ar, b[0], b[1], br, colour, min(a[2], b[2]))
        box = joined(box, (min(a[0] - ar, b[0] - br), min(a[1] - ar, b[1] - br),
                           max(a[0] + ar, b[0] + br), max(a[1] + ar, b[1] + br)))  # fmt: skip
    return box


def cast_shadow(canvas: Canvas, view: View, body: list[Limb], sun: Point) -> BoxPx | None:
    """Lays the body's shadow on the ground into the shadow mask; returns its box in pixels."""
    box: BoxPx | None = None
    for limb in body:
        a, b = view.project(_on_ground(limb.a, sun)), view.project(_on_ground(limb.b, sun))
        if a is None or b is None:
            continue
        # Radii shrink a little: the ground is seen at a flat angle.
        ar, br = 0.8 * view.focal_px * limb.a_radius / a[2], 0.8 * view.focal_px * limb.b_radius / b[2]
        canvas.shadow_capsule(a[0], a[1], ar, b[0], b[1], br)
        box = joined(box, (min(a[0] - ar, b[0] - br), min(a[1] - ar, b[1] - br),
                           max(a[0] + ar, b[0] + br), max(a[1] + ar, b[1] + br)))  # fmt: skip
    return box


def joined(one: BoxPx | None, other: BoxPx | None) -> BoxPx | None:
    """The box around both."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _on_ground(point: Point, sun: Point) -> Point:
    steps = point[2] / sun[2]
    return point[0] - sun[0] * steps, point[1] - sun[1] * steps, 0.0

"""The places: what stands where, who walks and drives where, and which area is restricted.

What belongs here: one function per layout, data only. Ordinary traffic keeps out of the restricted area and out of the
part of the picture where somebody standing in it would be seen; a test holds every layout to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.scene import textures as tx
from simulator.scene.backdrop import Box, Lamp, Light, Patch
from simulator.scene.textures import Texture
from simulator.scene.vehicles import CAR, VAN, Make, Place
from simulator.scene.view import View
from simulator.spec import IncidentSpec

Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Traffic:
    """People or vehicles that use one way, again and again."""

    points: tuple[tuple[float, ...], ...]
    speed: tuple[float, float]
    """Slowest and fastest, metres a second."""
    every_s: float
    spread_m: float = 0.4
    """How far aside of the way they keep, at most."""
    both_ways: bool = True
    makes: tuple[Make, ...] = ()
    """Vehicles of these makes; nobody: people."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One place."""

    name: str
    height_m: float
    tilt_deg: float
    field_deg: float
    light: Light
    ground: Texture
    patches: tuple[Patch, ...]
    boxes: tuple[Box, ...]
    traffic: tuple[Traffic, ...]
    restricted: tuple[Corner, ...]
    """On the ground: near left, near right, far right, far left."""
    intrusion: tuple[Corner, ...]
    """The intruder's way: from out of the picture to two or more places inside and out again."""
    run: tuple[Corner, ...]
    """The runner's way."""
    incidents: tuple[IncidentSpec, ...]
    """What happens in a loop of 60 s unless told otherwise."""
    parked: tuple[tuple[Make, Place], ...] = ()
    headlights: bool = False

    def view(self, width: int, height: int) -> View:
        """The camera for a picture size."""
        return View(width, height, self.height_m, self.tilt_deg, self.field_deg)


def rectangle(x0: float, x1: float, y0: float, y1: float) -> tuple[Corner, ...]:
    """A rectangle on the ground."""
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


def outline(corners: Sequence[Corner], width: float, texture: Texture) -> list[Patch]:
    """Painted lines along the sides of a rectangle that is aligned to the axes."""
    x0, x1 = min(c[0] for c in corners), max(c[0] for c in corners)
    y0, y1 = min(c[1] for c in corners), max(c[1] for c in corners)
    return [
        Patch(rectangle(x0, x1, y0, y0 + width), texture),
        Patch(rectangle(x0, x1, y1 - width, y1), texture),
        Patch(rectangle(x0, x0 + width, y0, y1), texture),
        Patch(rectangle(x1 - width, x1, y0, y1), texture),
    ]


def hatched(corners: Sequence[Corner], texture: Texture, step: float = 1.6, width: float = 0.16) -> list[Patch]:
    """Slanting stripes over a rectangle."""
    x0, x1 = min(c[0] for c in corners), max(c[0] for c in corners)
    y0, y1 = min(c[1] for c in corners), max(c[1] for c in corners)
    stripes, deep = [], y1 - y0
    x = x0
    while x + deep * 0.6 < x1:
        stripes.append(Patch(((x, y0), (x + width, y0), (x + width + deep * 0.6, y1), (x + deep * 0.6, y1)), texture))
        x += step
    return stripes


YELLOW = tx.plain((0.72, 0.60, 0.16), 0.25)
WHITE = tx.plain((0.74, 0.74, 0.72), 0.25)
CONCRETE = tx.plain((0.52, 0.51, 0.49), 0.16)
DARK = tx.plain((0.12, 0.12, 0.13), 0.1)
FENCE = tx.plain((0.42, 0.45, 0.46), 0.05)

RED = Make(colour=(0.55, 0.10, 0.09))
BLUE = Make(colour=(0.12, 0.20, 0.42))
BLACK = Make(colour=(0.10, 0.10, 0.11))
WHITE_CAR = Make(colour=(0.78, 0.78, 0.76))


def post(x: float, y: float, height_m: float, thick_m: float = 0.12) -> Box:
    """A post."""
    return Box((x, x + thick_m), (y, y + thick_m), (0, height_m), FENCE, FENCE)


def yard() -> Layout:
    """A works yard by day; the loading bay on the right is restricted."""
    bay = rectangle(2.9, 11.0, 6.0, 12.5)
    wall = tx.ribbed((0.60, 0.62, 0.60), 0.5)
    doors = [
        Box((x, x + 3.4), (26.8, 27.2), (0, 3.6), tx.ribbed((0.30, 0.36, 0.42), 0.4), DARK) for x in (-11, -5.5, 3)
    ]
    office = tx.windows(tx.plain((0.66, 0.62, 0.55)), 2.4, 3.0)
    return Layout(
        "yard", 5.0, 21.0, 68.0, Light(), tx.slabs(3.0, (0.50, 0.49, 0.47), -0.18),
        (*hatched(bay, YELLOW), *outline(bay, 0.18, YELLOW), Patch(rectangle(-30, 30, 24.6, 27), tx.asphalt())),
        (
            Box((-16, 9), (27, 40), (0, 6.2), wall, CONCRETE),
            Box((9, 22), (24.5, 40), (0, 9.0), office, CONCRETE),
            *doors,
            Box((-14.5, -12.1), (13, 19), (0, 2.6), tx.ribbed((0.16, 0.30, 0.42)), CONCRETE),
            Box((-14.3, -11.9), (20, 26), (0, 5.2), tx.ribbed((0.50, 0.22, 0.14)), CONCRETE),
            Box((-8.6, -7.2), (13.0, 14.1), (0, 1.1), tx.bricks((0.55, 0.42, 0.26)), CONCRETE),
            Box((-7.0, -5.9), (13.2, 14.2), (0, 0.9), tx.bricks((0.52, 0.40, 0.25)), CONCRETE),
            post(2.7, 12.6, 1.1), post(2.7, 9.3, 1.1), post(2.7, 6.1, 1.1),
        ),
        (
            Traffic(((-17, 23.6), (16, 23.6)), (1.15, 1.5), 9.0),
            Traffic(((-3.2, 3.0), (-4.2, 14), (-2.5, 26.5)), (1.1, 1.4), 13.0),
            Traffic(((-18, 25.8), (19, 25.8)), (4.0, 5.5), 24.0, 0.1, makes=(VAN, WHITE_CAR)),
        ),
        bay,
        ((12.0, 9.6), (6.3, 9.2), (4.6, 8.0), (12.0, 8.6)),
        ((-16, 23.4), (14, 22.9)),
        (IncidentSpec("intrusion", 16, 10),),
    )  # fmt: skip


def street() -> Layout:
    """A street by day; the fenced garden in front is restricted."""
    garden = rectangle(-7.5, 0.6, 5.6, 8.2)
    house = tx.windows(tx.bricks(), 3.0, 3.2)
    plaster = tx.windows(tx.plain((0.70, 0.66, 0.56)), 2.6, 3.1)
    grey = tx.windows(tx.plain((0.55, 0.56, 0.58)), 2.2, 3.0)
    lane = [Patch(rectangle(x, x + 2.0, 19.45, 19.6), WHITE) for x in range(-30, 31, 5)]
    return Layout(
        "street", 6.0, 24.0, 66.0, Light(sun_direction=(0.55, -0.35, 0.75)),
        tx.slabs(0.6, (0.52, 0.51, 0.50), -0.14, 0.14),
        (
            Patch(rectangle(-60, 60, 16.0, 23.0), tx.asphalt()), *lane,
            Patch(rectangle(-60, 60, 15.8, 16.0), CONCRETE), Patch(rectangle(-60, 60, 23.0, 23.2), CONCRETE),
            Patch(garden, tx.grass()), *outline(garden, 0.12, CONCRETE),
        ),
        (
            Box((-40, -9), (27.5, 40), (0, 10), house, CONCRETE),
            Box((-9, 6), (28, 40), (0, 12), plaster, CONCRETE),
            Box((6, 40), (27, 40), (0, 9), grey, CONCRETE),
            Box((-9.0, -7.5), (5.0, 8.2), (0, 1.2), tx.grass((0.16, 0.24, 0.11)), tx.grass((0.2, 0.3, 0.14))),
            Box((4.6, 5.5), (13.0, 13.9), (0, 1.1), tx.plain((0.20, 0.33, 0.24)), CONCRETE),
            post(9.2, 15.4, 7.0, 0.16), post(-9.8, 15.4, 7.0, 0.16),
        ),
        (
            Traffic(((-17, 13.2), (17, 13.2)), (1.1, 1.5), 7.0, 0.7),
            Traffic(((-22, 25.3), (22, 25.3)), (1.1, 1.5), 14.0, 0.6),
            Traffic(((-26, 17.8), (26, 17.8)), (7.0, 9.0), 9.0, 0.1, False, (CAR, RED, VAN)),
            Traffic(((26, 21.2), (-26, 21.2)), (7.0, 9.0), 11.0, 0.1, False, (BLUE, BLACK, WHITE_CAR)),
        ),
        garden,
        ((-4.5, 1.0), (-4.0, 6.6), (-1.8, 7.3), (-2.2, 1.0)),
        ((-15, 12.6), (15, 12.9)),
        (IncidentSpec("running", 27, 8),),
        ((WHITE_CAR, Place(-6.0, 22.1, 0.0)),),
    )  # fmt: skip


def hall() -> Layout:
    """An indoor corridor; the area before the staff door on the left is restricted."""
    staff = rectangle(-5.0, -2.1, 5.0, 9.5)
    wall = tx.plain((0.66, 0.65, 0.60), 0.06)
    skirting = tx.plain((0.30, 0.31, 0.33), 0.06)
    doors = [Box((4.9, 5.2), (y, y + 1.3), (0, 2.1), tx.plain((0.42, 0.30, 0.20)), DARK) for y in (8, 14, 20)]
    lamps = tuple(Lamp(x, y, 3.5, 1.9) for y in (4, 9, 14, 19, 24) for x in (-2.0, 2.0))
    return Layout(
        "hall", 3.3, 16.0, 76.0,
        Light(ambient=0.42, sun=0.0, lamps=lamps, haze_m=400, saturation=0.6, gamma=0.8, noise=2.0),
        tx.slabs(0.6, (0.60, 0.59, 0.56), -0.12, 0.06),
        (Patch(rectangle(-0.1, 0.1, 0, 30), tx.plain((0.30, 0.40, 0.52), 0.05)), *outline(staff, 0.12, YELLOW),
         *hatched(staff, YELLOW, 1.3, 0.1)),
        (
            Box((-9, -5), (0, 30), (0.12, 6), wall, wall), Box((5, 9), (0, 30), (0.12, 6), wall, wall),
            Box((-9, -4.98), (0, 30), (0, 0.12), skirting, skirting),
            Box((4.98, 9), (0, 30), (0, 0.12), skirting, skirting),
            Box((-9, 9), (28, 30), (0, 6), tx.windows(wall, 2.5, 3.4), wall),
            Box((-9, 9), (0, 30), (3.7, 4), tx.slabs(1.2, (0.72, 0.72, 0.70), -0.1, 0.03), DARK),
            Box((-5.2, -4.9), (6.6, 7.9), (0, 2.1), tx.plain((0.25, 0.32, 0.38)), DARK),
            Box((-4.9, -4.2), (14, 15.6), (0, 1.0), tx.plain((0.30, 0.24, 0.16)), tx.plain((0.40, 0.32, 0.22))),
            *doors,
        ),
        (
            Traffic(((1.6, 1.0), (1.9, 26.5)), (1.1, 1.5), 9.0, 0.9),
            Traffic(((4.4, 14.6), (1.0, 12.0), (0.9, 26.8)), (1.0, 1.3), 19.0, 0.2),
        ),
        staff,
        ((-3.4, 0.6), (-3.6, 6.8), (-4.2, 7.4), (-3.2, 0.6)),
        ((2.4, 0.8), (0.9, 26.8)),
        (IncidentSpec("freeze", 40, 7),),
    )  # fmt: skip


def carpark() -> Layout:
    """A car park at night, grey as infrared cameras are; the service bay in front on the left is restricted."""
    bay = rectangle(-8.5, -2.6, 6.6, 10.0)
    lamps = (Lamp(-7, 17, 7, 42), Lamp(7, 17, 7, 46), Lamp(0, 30, 7, 40), Lamp(-6, 7.5, 6.5, 30))
    lines = [
        Patch(rectangle(x, x + 0.12, 19.0, 24.0), WHITE)
        for x in (-14, -11.3, -8.6, -5.9, -3.2, -0.5, 2.2, 4.9, 7.6, 10.3)
    ]
    lines += [Patch(rectangle(x, x + 0.12, 6.5, 11.5), WHITE) for x in (3.0, 5.7, 8.4)]
    rows = ((CAR, -12.6), (BLACK, -7.2), (WHITE_CAR, -1.8), (RED, 0.9), (VAN, 6.3))
    parked = tuple((make, Place(x, 21.6, 1.57)) for make, x in rows)
    return Layout(
        "carpark", 6.5, 23.0, 70.0,
        Light(ambient=0.13, sun=0.0, lamps=lamps, sky_low=(0.10, 0.11, 0.13), sky_high=(0.03, 0.04, 0.06), haze_m=140,
              saturation=0.12, gamma=0.75, noise=3.6),
        tx.asphalt((0.40, 0.40, 0.40)),
        (*lines, *outline(bay, 0.15, WHITE), *hatched(bay, WHITE, 1.5, 0.14)),
        (
            Box((-30, 30), (34, 36), (0, 5), tx.windows(tx.plain((0.45, 0.42, 0.40)), 3.2, 2.8, 0.12), CONCRETE),
            Box((-30, 30), (27.5, 27.6), (0, 1.8), FENCE, FENCE, 0.65),
            post(-7, 17.5, 7.0, 0.18), post(7, 17.5, 7.0, 0.18),
        ),
        (
            Traffic(((-24, 16.4), (24, 16.6)), (3.5, 4.5), 21.0, 0.2, True, (CAR, BLUE, BLACK)),
            Traffic(((15, 18.3), (-15, 18.5)), (1.1, 1.4), 15.0, 0.4),
            Traffic(((2.0, 26.0), (3.6, 18.4), (14.0, 18.2)), (1.1, 1.3), 31.0, 0.2),
        ),
        bay,
        ((-12.5, 8.4), (-5.4, 8.2), (-4.0, 8.8), (-12.5, 8.0)),
        ((13, 18.4), (-13, 18.2)),
        (IncidentSpec("signal-lost", 47, 5),),
        (*parked, (BLUE, Place(4.4, 9.2, 1.57)), (CAR, Place(9.8, 9.3, 1.57))),
        True,
    )  # fmt: skip


def platform() -> Layout:
    """A railway platform on a dull day; the tracks are restricted."""
    tracks = rectangle(2.3, 7.4, 5.5, 24.0)
    rail = tx.plain((0.42, 0.38, 0.35), 0.1)
    sleepers = [Patch(rectangle(2.7, 5.3, y * 0.7, y * 0.7 + 0.26), tx.plain((0.34, 0.31, 0.28))) for y in range(4, 90)]
    rails = [Patch(rectangle(x, x + 0.09, 0, 90), rail) for x in (3.25, 4.7)]
    return Layout(
        "platform", 4.6, 19.0, 70.0,
        Light(ambient=0.86, sun=0.0, sky_low=(0.78, 0.79, 0.80), sky_high=(0.66, 0.68, 0.70), saturation=0.55,
              noise=1.8),
        tx.slabs(0.8, (0.55, 0.54, 0.53), -0.16, 0.12),
        (
            Patch(rectangle(1.9, 60, 0, 300), tx.plain((0.40, 0.37, 0.34), 0.5, 0.3)), *sleepers, *rails,
            Patch(rectangle(1.6, 1.9, 0, 300), CONCRETE), Patch(rectangle(1.0, 1.2, 0, 300), YELLOW),
        ),
        (
            Box((-16, -6.5), (4, 60), (0, 4.4), tx.windows(tx.bricks((0.50, 0.34, 0.26)), 3.4, 4.0), CONCRETE),
            Box((-5.2, -4.6), (15, 17), (0, 0.5), tx.plain((0.30, 0.22, 0.14)), tx.plain((0.36, 0.26, 0.17))),
            Box((12, 13), (0, 120), (0, 2.4), CONCRETE, CONCRETE),
            post(-2.6, 18, 6.0, 0.2), post(-2.6, 30, 6.0, 0.2), post(-2.6, 42, 6.0, 0.2),
        ),
        (
            Traffic(((-2.2, 2.0), (-1.6, 40)), (1.1, 1.5), 11.0, 0.8),
            Traffic(((-3.6, 34), (-1.0, 15.5, 14.0), (-0.6, 36)), (1.0, 1.3), 21.0, 0.3),
            Traffic(((-5.8, 11), (-4.2, 13.5, 9.0), (-3.0, 3.0)), (1.0, 1.3), 27.0, 0.2),
        ),
        tracks,
        ((10.8, 12.5), (4.6, 11.6), (3.4, 10.0), (10.8, 9.2)),
        ((-2.0, 40), (-1.4, 3.0)),
        (IncidentSpec("intrusion", 20, 11),),
    )  # fmt: skip


def gate() -> Layout:
    """A works gate at dusk; the strip inside the fence on the left is restricted."""
    strip = rectangle(-9.0, -2.4, 6.2, 11.0)
    lamps = (Lamp(-4, 15, 6, 26), Lamp(4.5, 15, 6, 28), Lamp(0, 28, 7, 26))
    booth = tx.windows(tx.plain((0.62, 0.60, 0.55)), 1.5, 2.6, 0.5)
    return Layout(
        "gate", 5.2, 21.0, 68.0,
        Light(ambient=0.34, sun=0.0, lamps=lamps, sky_low=(0.62, 0.52, 0.50), sky_high=(0.26, 0.29, 0.40), haze_m=160,
              saturation=0.5, noise=2.6),
        tx.grass((0.24, 0.28, 0.17)),
        (
            Patch(rectangle(-1.2, 8.0, 0, 90), tx.asphalt()), Patch(rectangle(3.3, 3.45, 0, 90), WHITE),
            Patch(strip, tx.plain((0.48, 0.44, 0.38), 0.3)), Patch(rectangle(-60, 60, 40, 50), tx.asphalt()),
        ),
        (
            Box((8.6, 11.0), (15.5, 18.0), (0, 2.7), booth, CONCRETE),
            Box((-30, -1.6), (14.4, 14.5), (0, 2.2), FENCE, FENCE, 0.7),
            Box((11.2, 30), (16.4, 16.5), (0, 2.2), FENCE, FENCE, 0.7),
            Box((-1.7, -1.2), (14.3, 14.8), (0, 2.4), tx.bricks(), CONCRETE),
            Box((-40, -12), (55, 70), (0, 9), tx.windows(tx.plain((0.4, 0.38, 0.36)), 3, 3, 0.3), CONCRETE),
            Box((-8, 30), (60, 70), (0, 7), tx.ribbed((0.36, 0.38, 0.40)), CONCRETE),
        ),
        (
            Traffic(((1.2, 60), (1.2, 1.0)), (4.5, 6.0), 23.0, 0.2, False, (CAR, VAN, RED)),
            Traffic(((5.4, 1.0), (5.4, 60)), (4.5, 6.0), 29.0, 0.2, False, (BLUE, BLACK)),
            Traffic(((7.4, 2.0), (7.5, 42)), (1.1, 1.4), 17.0, 0.2),
        ),
        strip,
        ((-12.5, 9.4), (-5.8, 8.8), (-4.2, 9.2), (-12.5, 8.4)),
        ((7.4, 40), (7.2, 2.5)),
        (IncidentSpec("intrusion", 12, 9), IncidentSpec("silence", 36, 8)),
        headlights=True,
    )  # fmt: skip


_MAKERS: tuple[Callable[[], Layout], ...] = (yard, street, hall, carpark, platform, gate)
LAYOUTS: dict[str, Callable[[], Layout]] = {maker.__name__: maker for maker in _MAKERS}

"""The static background: ground, walls and boxes in perspective, lit by sun or lamps, painted once per scene.

What belongs here: casting a ray per (sub)pixel, choosing the nearest surface, lighting it. Gives the picture without
actors, how far every pixel is (so that actors go behind things) and where the sun shines (so that they cast shadows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulator.scene.textures import Colour, Floats, Texture
from simulator.scene.view import View

FAR_M = 1e5


@dataclass(frozen=True, slots=True)
class Patch:
    """Part of the ground: a convex polygon with a texture. Later patches lie upon earlier ones."""

    corners: tuple[tuple[float, float], ...]
    texture: Texture


@dataclass(frozen=True, slots=True)
class Box:
    """An upright block: a building, a container, a wall, a post. Textures get metres along and up (on top: x and y)."""

    x: tuple[float, float]
    y: tuple[float, float]
    z: tuple[float, float]
    side: Texture
    top: Texture
    see_through: float = 0.0
    """Share of the sides that is open, as a wire fence's: 0 is solid."""


@dataclass(frozen=True, slots=True)
class Lamp:
    """A lamp: where, and how bright."""

    x: float
    y: float
    z: float
    power: float


@dataclass(frozen=True, slots=True)
class Light:
    """What lights the scene."""

    ambient: float = 0.55
    sun: float = 0.5
    sun_direction: tuple[float, float, float] = (-0.5, -0.45, 0.74)
    """Towards the sun."""
    lamps: tuple[Lamp, ...] = ()
    sky_low: Colour = (0.80, 0.84, 0.88)
    sky_high: Colour = (0.52, 0.64, 0.80)
    haze_m: float = 220.0
    saturation: float = 0.75
    gamma: float = 0.82
    """Tone curve of the picture; less than 1 lifts the shadows."""
    noise: float = 1.6
    """Sensor noise, standard deviation in grey levels."""

    def at(self, x: float, y: float, z: float = 1.0) -> float:
        """How bright an upright thing is at a place, without direct sun."""
        total = self.ambient
        for lamp in self.lamps:
            away2 = (lamp.x - x) ** 2 + (lamp.y - y) ** 2 + (lamp.z - z) ** 2
            total += lamp.power * 0.6 / (1.0 + away2)
        return total


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The painted background."""

    picture: npt.NDArray[np.uint8]
    """I420."""
    depth: npt.NDArray[np.float32]
    sunlit: npt.NDArray[np.float32]
    """0 where the sun (if any) does not reach, else 1."""


@dataclass(slots=True)
class _Hits:
    """The nearest surface found so far, per subpixel."""

    distance: Floats
    colour: Floats
    normal: Floats
    point: Floats = field(default_factory=lambda: np.empty(0, np.float32))


def paint(view: View, ground: Texture, patches: Sequence[Patch], boxes: Sequence[Box], light: Light) -> Backdrop:
    """Paints the scene without actors."""
    scale = 2 if view.width <= 1280 else 1
    rx, ry, rz = (part.ravel() for part in view.rays(scale))
    hits = _Hits(np.full(rx.shape, FAR_M, np.float32), _sky(rz, light), np.zeros((rx.size, 3), np.float32))
    _ground(view, rx, ry, rz, ground, patches, hits)
    for box in boxes:
        _box(view, rx, ry, rz, box, hits)
    solid = hits.distance < FAR_M / 2
    t = np.where(solid, hits.distance, 1.0)
    hits.point = np.stack([rx * t, ry * t, view.height_m + rz * t], 1)
    sunlit = _lighten(hits, solid, boxes, light)
    haze = np.exp(-hits.distance[solid] / light.haze_m)[:, None]
    hits.colour[solid] = hits.colour[solid] * haze + np.asarray(light.sky_low, np.float32) * light.ambient * (1 - haze)
    shape = (view.height * scale, view.width * scale)
    colour = np.clip(_smaller(hits.colour.reshape(*shape, 3), scale), 0, None) ** light.gamma
    depth = hits.distance.reshape(shape)[scale // 2 :: scale, scale // 2 :: scale]
    return Backdrop(
        picture=to_i420(_lens(np.clip(colour, 0, 1), light.saturation)),
        depth=np.ascontiguousarray(depth, np.float32),
        sunlit=np.ascontiguousarray(_smaller(sunlit.reshape(*shape, 1), scale)[:, :, 0], np.float32),
    )


def _sky(rz: Floats, light: Light) -> Floats:
    share = np.clip(rz * 3, 0, 1)[:, None]
    low, high = np.asarray(light.sky_low, np.float32), np.asarray(light.sky_high, np.float32)
    sky: Floats = (low * (1 - share) + high * share).astype(np.float32)
    return sky


def _ground(
    view: View, rx: Floats, ry: Floats, rz: Floats, ground: Texture, patches: Sequence[Patch], hits: _Hits
) -> None:
    below = np.flatnonzero(rz < -1e-3)
    t = (-view.height_m / rz[below]).astype(np.float32)
    x, y = rx[below] * t, ry[below] * t
    colour = ground(x, y)
    for patch in patches:
        inside = np.ones(x.shape, bool)
        corners = np.asarray(patch.corners, np.float32)
        area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, np.roll(corners, -1, 0), strict=True))
        for a, b in zip(corners, np.roll(corners, -1, 0), strict=True):
            inside &= ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) * np.sign(area) >= 0
        colour[inside] = patch.texture(x[inside], y[inside])
    hits.distance[below], hits.colour[below] = t, colour
    hits.normal[below] = (0, 0, 1)


def _box(view: View, rx: Floats, ry: Floats, rz: Floats, box: Box, hits: _Hits) -> None:
    (x0, x1), (y0, y1), (z0, z1) = box.x, box.y, box.z
    high = view.height_m
    _face(
        y0 / np.where(np.abs(ry) < 1e-6, 1e-6, ry),
        (0, -1, 0),
        box,
        hits,
        rx,
        ry,
        rz,
        high,
        lambda x, y, z: (x >= x0) & (x <= x1) & (z >= z0) & (z <= z1),
        lambda x, y, z: (x - x0, z - z0),
        box.side,
    )
    edge, normal = (x0, (-1, 0, 0)) if x0 > 0 else (x1, (1, 0, 0))
    if x0 > 0 or x1 < 0:
        _face(
            edge / np.where(np.abs(rx) < 1e-6, 1e-6, rx),
            normal,
            box,
            hits,
            rx,
            ry,
            rz,
            high,
            lambda x, y, z: (y >= y0) & (y <= y1) & (z >= z0) & (z <= z1),
            lambda x, y, z: (y - y0, z - z0),
            box.side,
        )
    if z0 > high:
        _face(
            (z0 - high) / np.where(np.abs(rz) < 1e-6, 1e-6, rz),
            (0, 0, -1),
            box,
            hits,
            rx,
            ry,
            rz,
            high,
            lambda x, y, z: (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1),
            lambda x, y, z: (x, y),
            box.side,
        )
    if z1 < high:
        _face(
            (z1 - high) / np.where(np.abs(rz) < 1e-6, -1e-6, rz),
            (0, 0, 1),
            box,
            hits,
            rx,
            ry,
            rz,
            high,
            lambda x, y, z: (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1),
            lambda x, y, z: (x, y),
            box.top,
        )


def _face(t, normal, box, hits, rx, ry, rz, high, within, along, texture) -> None:  # type: ignore[no-untyped-def]
    near = np.flatnonzero((t > 0.05) & (t < hits.distance))
    step = t[near]
    x, y, z = rx[near] * step, ry[near] * step, high + rz[near] * step
    inside = within(x, y, z)
    a, b = along(x[inside], y[inside], z[inside])
    chosen = near[inside]
    if box.see_through:
        # A wire mesh is finer than a pixel: it veils what is behind instead of hiding it.
        veil = texture(a, b)
        hits.colour[chosen] = hits.colour[chosen] * box.see_through + veil * (1 - box.see_through)
        return
    hits.distance[chosen], hits.colour[chosen] = step[inside], texture(a, b)
    hits.normal[chosen] = normal


def _lighten(hits: _Hits, solid: npt.NDArray[np.bool_], boxes: Sequence[Box], light: Light) -> Floats:
    """Multiplies surfaces by the light that falls on them; returns where the sun shines."""
    point, normal = hits.point[solid], hits.normal[solid]
    sun = np.asarray(light.sun_direction, np.float32)
    sun /= np.linalg.norm(sun)
    lit = np.zeros(hits.distance.shape, np.float32)
    total = np.full(len(point), light.ambient, np.float32)
    if light.sun > 0:
        facing = np.clip(normal @ sun, 0, 1)
        free = np.ones(len(point), np.float32)
        for box in boxes:
            if not box.see_through:
                free[_hidden(point + normal * 0.02, sun, box)] = 0
        total += light.sun * facing * free
        lit[solid] = free * (facing > 0)
    for lamp in light.lamps:
        to_lamp = np.asarray((lamp.x, lamp.y, lamp.z), np.float32) - point
        away2 = (to_lamp**2).sum(1)
        facing = np.clip((normal * to_lamp).sum(1) / np.sqrt(away2 + 1e-6), 0.05, 1)
        total += lamp.power * facing / (1.0 + away2)
    hits.colour[solid] *= total[:, None]
    return lit


def _hidden(point: Floats, sun: Floats, box: Box) -> npt.NDArray[np.bool_]:
    """Whether the box stands between the points and the sun."""
    enter = np.full(len(point), 1e-3, np.float32)
    leave = np.full(len(point), FAR_M, np.float32)
    for axis, (low, high) in enumerate((box.x, box.y, box.z)):
        speed = sun[axis] if abs(sun[axis]) > 1e-6 else np.float32(1e-6)
        a, b = (low - point[:, axis]) / speed, (high - point[:, axis]) / speed
        enter, leave = np.maximum(enter, np.minimum(a, b)), np.minimum(leave, np.maximum(a, b))
    return np.asarray(enter < leave)


def _smaller(picture: Floats, scale: int) -> Floats:
    rows, columns, parts = picture.shape
    if scale == 1:
        return picture
    small: Floats = picture.reshape(rows // scale, scale, columns // scale, scale, parts).mean((1, 3))
    return small


def _lens(colour: Floats, saturation: float) -> Floats:
    """What cheap optics and a cheap sensor do: softness, darker corners, pale colours."""
    padded = np.pad(colour, ((1, 1), (1, 1), (0, 0)), mode="edge")
    soft = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    soft = (soft[:, :-2] + 2 * soft[:, 1:-1] + soft[:, 2:]) / 4
    rows, columns, _ = colour.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    soft = soft * (1 - 0.16 * (x**2 + y**2) ** 1.2 / 2)[:, :, None]
    grey = soft @ np.asarray((0.299, 0.587, 0.114), np.float32)
    result: Floats = (grey[:, :, None] * (1 - saturation) + soft * saturation).astype(np.float32)
    return result


def to_yuv(colour: Colour) -> tuple[float, float, float]:
    """RGB, 0 to 1, as BT.601 limited range."""
    red, green, blue = colour
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    return 16 + 219 * grey, 128 + 224 * (blue - grey) / 1.772, 128 + 224 * (red - grey) / 1.402


def to_i420(colour: Floats) -> npt.NDArray[np.uint8]:
    """An RGB picture, 0 to 1, as I420."""
    rows, columns, _ = colour.shape
    y, u, v = to_yuv((colour[:, :, 0], colour[:, :, 1], colour[:, :, 2]))  # type: ignore[arg-type]
    out = np.empty((rows * 3 // 2, columns), np.uint8)
    out[:rows] = np.clip(np.asarray(y) + 0.5, 16, 235)
    chroma = [np.asarray(plane).reshape(rows // 2, 2, columns // 2, 2).mean((1, 3)) for plane in (u, v)]
    out[rows:] = np.clip(np.stack(chroma) + 0.5, 16, 240).astype(np.uint8).reshape(rows // 2, columns)
    return out

"""What happens between a scene and the picture that is sent: a camera that shakes or is bumped, and spoilt pictures.

What belongs here: moves of the camera (the scene is drawn larger, and the picture is taken out of it where the camera
points), things before the lens, focus, exposure and sensor noise, each with its truth. What does not: what the scene
itself shows (`scene`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.scene.layouts import LAYOUTS
from simulator.scene.scene import Scene, cut
from simulator.scene.view import View
from simulator.spec import IncidentSpec, SceneSpec

Picture = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

MOVES = frozenset({"bump", "turn-away", "shake"})
SPOILS = frozenset({"blur", "cover", "dark", "glare", "noise"})
_MARGIN = 0.22
"""Of the width: how much more is drawn on each side of a scene whose camera moves."""
_BUMP_SHARE, _BUMP_DEG = 40 / 640, 3.0
_TURN_SHARE = 0.2
_SHAKE_SHARE = 3 / 640
"""Of the width: root mean square of the incident `shake`."""
_BLUR_SHARE = 3 / 640
_COVERED_TO = 0.75
_DARK, _GLARE, _NOISE = 0.35, 2.3, 9.0


class FilmedScene:
    """A scene through a lens with faults. Its pictures and truth are as those of `Scene`."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec
        self.view = LAYOUTS[spec.layout]().view(spec.width, spec.height)
        kinds = {incident.kind for incident in spec.incidents or ()}
        moves = bool(kinds & MOVES) or spec.shake_px > 0
        self._margin = 2 * math.ceil(_MARGIN * spec.width / 2) if moves else 0
        self._scene = Scene(replace(spec, shake_px=0.0), _widened(self.view, self._margin))
        self.incidents = self._scene.incidents
        self._rng = np.random.default_rng([spec.seed, 7])
        self._side = 1.0 if self._rng.random() < 0.5 else -1.0
        self._shake = _unrest(spec, self._rng)
        self._stain = _stain(spec, self._rng)

    # Pictures

    def picture(self, index: int) -> Picture:
        """Frame `index` as I420, height * 3 / 2 rows, uint8, without the counter."""
        drawn = self._scene.picture(index)
        active = {incident.kind: index - start for incident, start, end in self._spans() if start <= index < end}
        if "signal-lost" in active:
            return _cropped(drawn, self.spec, self._margin)
        seen_at = index - active.get("freeze", 0)
        planes = _planes(drawn, self.spec.height + 2 * self._margin)
        if self._margin:
            inverse: Matrix = np.linalg.inv(self._pixels(seen_at)).astype(np.float64)
            planes = [_taken(plane, inverse, self._margin, self.spec, 1 + (n > 0)) for n, plane in enumerate(planes)]
        for kind in SPOILS:
            if kind in active and "freeze" not in active:
                planes = self._spoilt(planes, kind, active[kind] / self.spec.fps, index)
        return np.concatenate([_rounded(plane).reshape(-1, self.spec.width) for plane in planes])

    def alignment(self, index: int) -> Matrix:
        """Where the camera shows at frame `index` what it shows at rest: 3x3, in fractions of width and height."""
        scale = np.diag((self.spec.width, self.spec.height, 1.0))
        return np.linalg.inv(scale) @ self._pixels(index) @ scale

    def _pixels(self, index: int) -> Matrix:
        width, height = self.spec.width, self.spec.height
        dx, dy = self._shake[index % len(self._shake)] * self.spec.shake_px
        turn = 0.0
        for incident, start, end in self._spans():
            if not start <= index < end:
                continue
            if incident.kind == "shake":
                dx, dy = np.array((dx, dy)) + self._shake[index % len(self._shake)] * _SHAKE_SHARE * width
            elif incident.kind == "bump":
                dx, dy = dx + self._side * _BUMP_SHARE * width * 0.94, dy + _BUMP_SHARE * width * 0.34
                turn += math.radians(self._side * _BUMP_DEG)
            elif incident.kind == "turn-away":
                dx += self._side * _TURN_SHARE * width
        cos, sin = math.cos(turn), math.sin(turn)
        middle = np.array(((1, 0, width / 2), (0, 1, height / 2), (0, 0, 1.0)))
        turned = np.array(((cos, -sin, dx), (sin, cos, dy), (0, 0, 1.0)))
        return np.asarray(middle @ turned @ np.linalg.inv(middle), np.float64)

    def _spoilt(self, planes: list[Picture], kind: str, since_s: float, index: int) -> list[Picture]:
        """The planes with a fault that came within a second."""
        amount = min(1.0, since_s + 1.0 / self.spec.fps)
        luma = planes[0].astype(np.float32)
        if kind == "blur":
            sigma = _BLUR_SHARE * self.spec.width * amount
            return [_rounded(blurred(plane, sigma / (1 + (n > 0)))) for n, plane in enumerate(planes)]
        if kind == "cover":
            edge = (np.arange(self.spec.width, dtype=np.float32) / self.spec.width - amount * _COVERED_TO) / 0.03
            clear = (1.0 / (1.0 + np.exp(-np.clip(edge, -30, 30))))[:: int(self._side)]
            covered = luma * clear + self._stain * (1.0 - clear)
            half = clear[::2]
            chroma = [128 + (plane.astype(np.float32) - 128) * half for plane in planes[1:]]
            return [_rounded(covered), *(_rounded(plane) for plane in chroma)]
        if kind == "noise":
            rng = np.random.default_rng([self.spec.seed, 8, index])
            luma += rng.standard_normal(luma.shape, np.float32) * (_NOISE * amount)
        else:
            gain = 1.0 + ((_DARK if kind == "dark" else _GLARE) - 1.0) * amount
            luma = 16 + (luma - 16) * gain
        return [_rounded(luma), *planes[1:]]

    # Truth

    def silent_frames(self) -> frozenset[int]:
        """Frames at which the camera sends nothing."""
        return self._scene.silent_frames()

    def region(self) -> list[tuple[float, float]]:
        """The restricted area as it is seen while the camera rests."""
        return cut([self._narrow(x, y) for x, y in self._scene.region()])

    def truth(self) -> dict[str, Any]:
        """As that of the scene, and where moves of the camera lead: `alignment` of an incident, or of every frame."""
        told = self._scene.truth()
        for place in (*told["regions"], *told.get("places", ())):
            corners = [self._narrow(x, y) for x, y in place["corners"]]
            place["corners"] = [list(corner) for corner in (corners if place["use"] == "line" else cut(corners))]
        for place in told["places"]:
            corners = [self._narrow(x, y) for x, y in place["corners"]]
            place["corners"] = [list(corner) for corner in (corners if place["use"] == "line" else cut(corners))]
        told["counter_box"] = Scene.counter_box(self.spec)
        for incident in told["incidents"]:
            if incident["boxes"]:
                indices = range(incident["start"], incident["end"])
                incident["boxes"] = [self._box(box, at) for box, at in zip(incident["boxes"], indices, strict=True)]
            if incident["kind"] in MOVES:
                incident["alignment"] = self._alignments(range(incident["start"], incident["end"]))
        if self.spec.shake_px > 0:
            told["alignment"] = self._alignments(range(self.spec.frames))
        return told

    def _alignments(self, indices: range) -> list[list[float]]:
        return [[round(float(v), 7) for v in self.alignment(index).ravel()] for index in indices]

    def _box(self, box: list[float] | None, index: int) -> list[float] | None:
        if not box:
            return None
        left, top, right, bottom = box
        matrix = self.alignment(index)
        corners = [
            matrix @ (*self._narrow(x, y), 1.0) for x, y in ((left, top), (right, top), (left, bottom), (right, bottom))
        ]
        xs, ys = [c[0] / c[2] for c in corners], [c[1] / c[2] for c in corners]
        sides = [min(max(float(v), 0.0), 1.0) for v in (min(xs), min(ys), max(xs), max(ys))]
        return [round(v, 5) for v in sides] if sides[0] < sides[2] and sides[1] < sides[3] else None

    def _narrow(self, x: float, y: float) -> tuple[float, float]:
        """Fractions of the wide picture as fractions of the one that is sent."""
        spec, margin = self.spec, self._margin
        return (
            (x * (spec.width + 2 * margin) - margin) / spec.width,
            (y * (spec.height + 2 * margin) - margin) / spec.height,
        )

    def _spans(self) -> list[tuple[IncidentSpec, int, int]]:
        return [(incident, *self._scene.span(incident)) for incident in self.incidents]


def filmed(spec: SceneSpec) -> Scene | FilmedScene:
    """What a spec asks for: a scene, through a lens if anything happens to that."""
    kinds = {incident.kind for incident in spec.incidents or ()}
    return FilmedScene(spec) if kinds & (MOVES | SPOILS) or spec.shake_px > 0 else Scene(spec)


def blurred(plane: npt.NDArray[Any], sigma: float) -> npt.NDArray[np.float32]:
    """The plane out of focus: a Gaussian of `sigma` pixels, edges repeated. float32."""
    out = plane.astype(np.float32)
    if sigma <= 0.0:
        return out
    reach = math.ceil(3 * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    for _ in range(2):
        wide = np.pad(out, ((reach, reach), (0, 0)), mode="edge")
        summed = np.zeros_like(out)
        for at, tap in enumerate(taps):
            summed += np.float32(tap) * wide[at : at + out.shape[0]]
        out = np.ascontiguousarray(summed.T)
    return out


def taken(plane: Picture, inverse: Matrix, width: int, height: int) -> Picture:
    """A picture of this size out of the plane: pixel (x, y) shows what is at `inverse` times (x, y, 1). Bilinear."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float64) + 0.5, np.arange(height, dtype=np.float64) + 0.5)
    over = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
    from_x = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) / over - 0.5
    from_y = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) / over - 0.5
    from_x, from_y = np.clip(from_x, 0, plane.shape[1] - 1.001), np.clip(from_y, 0, plane.shape[0] - 1.001)
    left, top = from_x.astype(np.int32), from_y.astype(np.int32)
    across, down = (from_x - left).astype(np.float32), (from_y - top).astype(np.float32)
    upper = plane[top, left] * (1 - across) + plane[top, left + 1] * across
    lower = plane[top + 1, left] * (1 - across) + plane[top + 1, left + 1] * across
    return _rounded(upper * (1 - down) + lower * down)


def _taken(plane: Picture, inverse: Matrix, margin: int, spec: SceneSpec, step: int) -> Picture:
    scale = np.diag((float(step), float(step), 1.0))
    shifted = np.array(((1.0, 0.0, margin), (0.0, 1.0, margin), (0.0, 0.0, 1.0)))
    return taken(plane, np.linalg.inv(scale) @ shifted @ inverse @ scale, spec.width // step, spec.height // step)


def _widened(view: View, margin: int) -> View:
    width = view.width + 2 * margin
    field_deg = math.degrees(2 * math.atan(width / 2 / view.focal_px))
    return View(width, view.height + 2 * margin, view.height_m, view.tilt_deg, field_deg)


def _unrest(spec: SceneSpec, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Where a shaking camera points, frame by frame, about 1 in root mean square on each axis; loops without a jump."""
    count = spec.frames
    rates = np.fft.rfftfreq(count, 1.0 / spec.fps)
    # A pole in the wind sways below 1 Hz and trembles above it.
    strength = 1.0 / (1.0 + (rates / 0.8) ** 2) + 0.08
    strength[0] = 0.0
    both: list[npt.NDArray[np.float64]] = []
    for _ in range(2):
        spectrum = strength * (rng.standard_normal(rates.size) + 1j * rng.standard_normal(rates.size))
        path = np.fft.irfft(spectrum, count)
        both.append(path / max(float(path.std()), 1e-9))
    return np.stack(both, axis=1)


def _stain(spec: SceneSpec, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """What is before the lens: out of focus, unevenly lit."""
    coarse = rng.uniform(40, 110, (spec.height // 40 + 2, spec.width // 40 + 2)).astype(np.float32)
    rows = np.linspace(0, coarse.shape[0] - 1.01, spec.height)
    columns = np.linspace(0, coarse.shape[1] - 1.01, spec.width)
    fine = coarse[rows.astype(int)][:, columns.astype(int)]
    return blurred(fine, 14.0)


def _planes(picture: Picture, height: int) -> list[Picture]:
    half = picture[height:].reshape(2, height // 2, picture.shape[1] // 2)
    return [picture[:height], half[0], half[1]]


def _cropped(picture: Picture, spec: SceneSpec, margin: int) -> Picture:
    planes = _planes(picture, spec.height + 2 * margin)
    steps = (1, 2, 2)
    parts = [
        plane[
            margin // step : margin // step + spec.height // step, margin // step : margin // step + spec.width // step
        ]
        for plane, step in zip(planes, steps, strict=True)
    ]
    return np.concatenate([np.ascontiguousarray(part).reshape(-1, spec.width) for part in parts])


def _rounded(plane: npt.NDArray[Any]) -> Picture:
    return plane if plane.dtype == np.uint8 else np.clip(np.rint(plane), 0, 255).astype(np.uint8)

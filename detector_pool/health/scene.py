"""The scene that a camera ordinarily shows, and how much of it can still be seen. Explicit state, bounded.

Two backgrounds are kept, since day and infrared pictures look different: one for colour, one for grey. The present is
smoothed over half a second, so that night noise does not hide the scene. A picture that seems to show something else
is first shifted onto the background, as a pole in the wind shifts it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey, reduction
from detector_pool.health.structure import WHITE, Edges, Resemblance, compare, edges, noise_energy
from detector_pool.picture import Picture
from detector_pool.stabilise import moved, shift_between

COLOUR, GREY = 0, 1
_GREY_LEVELS = 2.5
"""Mean distance of chroma from grey below which a picture has no colour."""
_SMOOTH_S = 0.4
_BACKGROUND_S = 120.0
_YOUNG_S = 5.0
"""A background is compared with from this age on."""
_LOOK_CLOSER = 0.12
"""Share of lost blocks from which a shift is looked for."""
_BY_CHANCE = 18.0
"""Peaks of phase correlation lower than this over the square root of the count of pixels may be chance."""
_LEAST_CONTRAST = 2.0
"""A picture with less contrast is nobody's scene."""
_BLACK = 16.0
_ARRAYS = ("colour", "grey", "smooth", "previous")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is left of the scene in a picture."""

    is_known: bool
    """Whether there is a background old enough, with edges, to compare with."""
    lost: float = 0.0
    """Share of the scene's blocks that show something else, once shifted."""
    lost_edges: float = 1.0
    """Energy of edges in the lost blocks over that of the scene's in this light: near 0 behind something plain."""
    shift_px: float = 0.0
    """How far the picture is moved against the background, in pixels of the canvas."""
    where: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, width, height of the lost blocks, in fractions of the picture."""


@dataclass(slots=True, eq=False)
class SceneMemory:
    """All that is remembered of one camera's scene."""

    mode: int = COLOUR
    backgrounds: list[Grey | None] = field(default_factory=lambda: [None, None])
    ages_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    smooth: Grey | None = None
    previous: Grey | None = None
    noise_left: float = 1.0
    """Share of one picture's noise energy that is left in `smooth`."""
    _edges: list[Edges | None] = field(default_factory=lambda: [None, None])
    _raw: Edges | None = None
    """Of `previous`, once made."""
    _aligned: Grey | None = None
    """The smoothed present, shifted onto the background if that was needed: between `look` and `learn` only."""

    @property
    def background(self) -> Grey | None:
        """That of the present mode."""
        return self.backgrounds[self.mode]

    def look(self, canvas: Grey, is_grey: bool | None, noise: float, factor: int, elapsed_s: float) -> Seen:
        """Compares the next picture's canvas with the background.

        `noise` is its sensor noise in grey levels, `factor` how many pixels make one of the canvas, `elapsed_s` the
        time since the one before; 0 or more than five: nothing is smoothed over.
        """
        if self.smooth is not None and self.smooth.shape != canvas.shape:
            self.forget()
        raw = edges(canvas)
        noise_now = self._noise(raw, noise, factor, elapsed_s)
        self._smooth(canvas, elapsed_s)
        assert self.smooth is not None
        self.previous, self._raw = canvas, raw
        self._aligned = self.smooth
        self._change_mode(is_grey, float(canvas[::4, ::4].std()))
        background = self.background
        if background is None or self.ages_s[self.mode] < _YOUNG_S:
            return Seen(False)
        scene = self._scene_edges(background)
        gain = min(1.0, max(0.5, float(canvas.std()) / max(float(background.std()), 0.5)))
        found = compare(scene, edges(self.smooth), noise_now, gain)
        shift_px = 0.0
        if found.is_known and found.lost_share > _LOOK_CLOSER:
            shift = shift_between(background, self.smooth)
            if shift.peak * math.sqrt(canvas.size) > _BY_CHANCE:
                aligned = moved(self.smooth, shift.dx, shift.dy)
                shifted = compare(scene, edges(aligned), noise_now, gain)
                if shifted.lost_share < 0.8 * found.lost_share:
                    found, shift_px = shifted, math.hypot(shift.dx, shift.dy)
                    self._aligned = aligned
        light = (float(canvas.mean()) - _BLACK) / max(float(background.mean()) - _BLACK, 1.0)
        return _seen(found, shift_px, min(max(light, 0.15), 1.0))

    def learn(self, elapsed_s: float) -> None:
        """The present picture is one of the scene: the background follows it slowly."""
        aligned = self._aligned
        if aligned is None or float(aligned[::4, ::4].std()) < _LEAST_CONTRAST:
            return
        background = self.background
        if background is None:
            self.backgrounds[self.mode] = aligned.copy()
            self.ages_s[self.mode] = 0.0
        else:
            age_s = self.ages_s[self.mode] = min(self.ages_s[self.mode] + elapsed_s, 1e6)
            share = max(elapsed_s / max(age_s, elapsed_s, 0.04), 1.0 - math.exp(-elapsed_s / _BACKGROUND_S))
            background += (aligned - background) * np.float32(min(share, 1.0))
        self._edges[self.mode] = None

    def forget(self) -> None:
        """Begins anew."""
        self.mode = COLOUR
        self.backgrounds, self.ages_s, self._edges = [None, None], [0.0, 0.0], [None, None]
        self.smooth = self.previous = self._raw = None

    def parts(self) -> tuple[dict[str, int | float], dict[str, NDArray[Any] | None]]:
        """All of it as numbers and arrays, for a checkpoint."""
        numbers = {"mode": self.mode, "age_colour": self.ages_s[0], "age_grey": self.ages_s[1],
                   "noise_left": self.noise_left}  # fmt: skip
        return numbers, dict(zip(_ARRAYS, (*self.backgrounds, self.smooth, self.previous), strict=True))

    @classmethod
    def from_parts(cls, numbers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SceneMemory:
        """The inverse. Raises KeyError: a number is missing."""
        colour, grey, smooth, previous = (arrays.get(name) for name in _ARRAYS)
        ages = [float(numbers["age_colour"]), float(numbers["age_grey"])]
        return cls(int(numbers["mode"]), [colour, grey], ages, smooth, previous, float(numbers["noise_left"]))

    def _noise(self, raw: Edges, noise: float, factor: int, elapsed_s: float) -> float:
        """Mean squared gradient that noise makes in the smoothed picture."""
        # Codecs make noise coarser than white; a scene that changes as a whole must not pass for it.
        most = 4.0 * WHITE * (noise / factor) ** 2 + 0.2
        energy = most / 4.0
        if self.previous is not None and 0.0 < elapsed_s <= 5.0:
            energy = min(most, noise_energy(raw, self._raw or edges(self.previous)))
        share = _share(elapsed_s, _SMOOTH_S)
        self.noise_left = (1.0 - share) ** 2 * self.noise_left + share**2 if self.smooth is not None else 1.0
        return energy * self.noise_left

    def _smooth(self, canvas: Grey, elapsed_s: float) -> None:
        if self.smooth is None or not 0.0 < elapsed_s <= 5.0:
            self.smooth = canvas.copy()
            self.noise_left = 1.0
        else:
            self.smooth += (canvas - self.smooth) * np.float32(_share(elapsed_s, _SMOOTH_S))

    def _change_mode(self, is_grey: bool | None, contrast: float) -> None:
        """Goes over to the other background where colour comes or goes, unless what is seen is no scene of ours."""
        wanted = self.mode if is_grey is None else int(is_grey)
        if wanted == self.mode or self.previous is None:
            return
        here, there = self.background, self.backgrounds[wanted]
        if here is None:
            self.mode = wanted
            return
        if contrast < _LEAST_CONTRAST:
            return
        known = here if there is None or self.ages_s[wanted] < _YOUNG_S else there
        if shift_between(known, self.previous).peak * math.sqrt(self.previous.size) > _BY_CHANCE:
            self.mode = wanted
            self.smooth = self._aligned = self.previous.copy()
            self.noise_left = 1.0

    def _scene_edges(self, background: Grey) -> Edges:
        known = self._edges[self.mode]
        if known is None:
            known = self._edges[self.mode] = edges(background)
        return known


def is_grey(picture: Picture) -> bool | None:
    """Whether a picture has no colour; None where chroma is not at hand."""
    if picture.u is None or picture.v is None:
        return None
    distance = sum(float(np.abs(plane[::8, ::8].astype(np.int16) - 128).mean()) for plane in (picture.u, picture.v))
    return distance < 2 * _GREY_LEVELS


def canvas_factor(picture: Picture) -> int:
    """How many pixels of the picture make one of its canvas."""
    return reduction(picture.y.shape[1], picture.y.shape[0])


def _seen(found: Resemblance, shift_px: float, light: float) -> Seen:
    lost = found.lost
    if not found.is_known or not lost.any():
        return Seen(found.is_known, shift_px=shift_px)
    rows, columns = np.nonzero(lost)
    height, width = lost.shape
    top, left = float(rows.min()) / height, float(columns.min()) / width
    where = (left, top, float(columns.max() + 1) / width - left, float(rows.max() + 1) / height - top)
    return Seen(True, found.lost_share, float(np.median(found.kept[lost])) / light**2, shift_px, where)


def _share(elapsed_s: float, constant_s: float) -> float:
    return 1.0 - math.exp(-elapsed_s / constant_s)

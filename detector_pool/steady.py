"""A camera held still: each picture is shifted back to where the camera points on average.

The usual case costs little: a few steps of Gauss and Newton (Lucas and Kanade, 1981) on pictures of half the size, from
where the camera rests, with the influence of things that move kept small. Where that ends in a bad fit, phase
correlation (`stabilise.py`) looks further. All against one slowly renewed reference, so that errors do not add up.
Pure and deterministic; what is remembered is in `SteadyState`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey
from detector_pool.stabilise import SEARCH_PX, Shift, moved, shift_between

_MARGIN = 6
"""Half-size pixels at each side that are not compared."""


@dataclass(frozen=True, slots=True)
class SteadySettings:
    """What can be tuned. Times are in frames."""

    search_px: int = SEARCH_PX
    steps: int = 4
    enough_px: float = 0.03
    """A step that is shorter is the last one."""
    renewal: float = 1 / 64
    """Share of the reference that each picture replaces: it follows light within seconds."""
    renew_every: int = 4
    misfit: float = 1.4
    """A fit that is so much worse than usual is looked into by phase correlation."""
    lost_after: int = 50
    """After as many frames in a row that fit nowhere the present picture becomes the reference."""
    still_px: float = 0.15
    """A camera that moves less than this, on average, stands still: its pictures stay as they are, to the bit."""
    sudden_px: float = 1.0
    """But for a single shift from here on: a bump."""
    unrest_frames: float = 12.0
    better: float = 0.93
    """A camera that stood still is believed to shake if the shift fits so much better than its opposite."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A reference, and what follows from it, inside the margin."""

    inner: Grey
    across: Grey
    down: Grey
    """Central differences."""
    edges: NDArray[np.intp]
    """Flat indices of a thousand of the strongest."""

    def misfit(self, difference: Grey) -> float:
        """Median difference where there are edges."""
        return float(np.median(np.abs(difference.ravel()[self.edges])))


@dataclass(slots=True)
class SteadyState:
    """All that is remembered of one camera."""

    reference: Grey | None = None
    """Mean of the pictures shifted back, half the size."""
    shift: Shift = field(default_factory=Shift)
    """Of the last picture against the reference, as it was shifted back: 0 while the camera stands still."""
    rest_dx: float = 0.0
    rest_dy: float = 0.0
    """Where it has been of late."""
    unrest: float = 0.0
    """Mean square of the last shifts."""
    usual: float = 0.0
    """Misfit of well-fitting pictures."""
    frames: int = 0
    lost: int = 0
    known: _Known | None = None
    """What follows from the reference alone; made when it is needed."""


_NUMBERS = ("rest_dx", "rest_dy", "unrest", "usual", "frames", "lost")


@dataclass(frozen=True, slots=True)
class _Fit:
    dx: float
    dy: float
    misfit: float
    """Median difference where the reference has edges."""
    picture: Grey
    """The half-size picture shifted back."""


class Steady:
    """Shifts pictures back. Holds settings, no memory of any camera."""

    def __init__(self, settings: SteadySettings | None = None) -> None:
        self._settings = settings or SteadySettings()

    def start(self) -> SteadyState:
        """Nothing known yet: the first picture becomes the reference."""
        return SteadyState()

    def step(self, grey: Grey, state: SteadyState) -> tuple[Grey, SteadyState]:
        """The picture shifted back, and the state behind it, whose `shift` says by how much.

        `grey` is float32 (height, width), at least 64 by 64. The same array comes back where the camera stands still.
        """
        settings = self._settings
        half = _halved(grey)
        if state.reference is None or state.reference.shape != half.shape or state.lost >= settings.lost_after:
            # Held to shake until it has stood still for a moment: the first shifts are undone as well.
            return grey, SteadyState(reference=half, frames=1, unrest=2 * settings.still_px**2)
        fit = self._found(half, state)
        state.frames += 1
        is_doubtful = self._is_still(state) or state.frames <= settings.unrest_frames
        if is_doubtful and not self._is_evident(fit, half, state):
            fit = _Fit(0.0, 0.0, fit.misfit, half)
        is_lost = state.frames > 8 and fit.misfit > 2.0 * state.usual + 1.0
        state.lost = state.lost + 1 if is_lost else 0
        if is_lost:
            back = _back(half, state.rest_dx, state.rest_dy)
            fit = _Fit(state.rest_dx, state.rest_dy, fit.misfit, back)
        else:
            weight = 1 / min(state.frames, 32)
            state.usual += weight * (fit.misfit - state.usual)
            if state.frames < 4 * settings.renew_every or state.frames % settings.renew_every == 0:
                # Fast at first, so that who went past the very first picture does not stay in the reference.
                share = max(settings.renewal * settings.renew_every, 1 / state.frames)
                state.reference = state.reference + np.float32(share) * (fit.picture - state.reference)
                state.known = None
        squared = fit.dx * fit.dx + fit.dy * fit.dy
        state.unrest += (squared - state.unrest) / settings.unrest_frames
        state.rest_dx += (fit.dx - state.rest_dx) / settings.unrest_frames
        state.rest_dy += (fit.dy - state.rest_dy) / settings.unrest_frames
        if self._is_still(state) and squared < settings.sudden_px**2:
            state.shift = Shift()
            return grey, state
        state.shift = Shift(fit.dx, fit.dy, 0.0 if is_lost else 1.0)
        return moved(grey, fit.dx, fit.dy), state

    def parts(self, state: SteadyState) -> tuple[dict[str, float], dict[str, NDArray[Any] | None]]:
        """The state as numbers and arrays, for a checkpoint."""
        numbers = {name: getattr(state, name) for name in _NUMBERS}
        shift = {"dx": state.shift.dx, "dy": state.shift.dy, "peak": state.shift.peak}
        return {**numbers, **shift}, {"reference": state.reference}

    def from_parts(self, numbers: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> SteadyState:
        """The inverse of `parts`. Raises KeyError: a number is missing."""
        shift = Shift(float(numbers["dx"]), float(numbers["dy"]), float(numbers["peak"]))
        return SteadyState(arrays.get("reference"), shift, **{name: numbers[name] for name in _NUMBERS})

    def _found(self, half: Grey, state: SteadyState) -> _Fit:
        """The best fit from where the camera rests, or from where phase correlation sees it."""
        assert state.reference is not None
        settings = self._settings
        if state.known is None:
            state.known = _known(state.reference)
        rest = (0.0, 0.0) if self._is_still(state) else (state.rest_dx, state.rest_dy)
        fit = self._fitted(half, state.known, *rest)
        if state.frames > 4 and fit.misfit <= settings.misfit * state.usual + 0.2:
            return fit
        seen = shift_between(state.reference, half, settings.search_px // 2)
        far = self._fitted(half, state.known, 2 * seen.dx, 2 * seen.dy)
        return far if far.misfit < 0.95 * fit.misfit else fit

    def _is_still(self, state: SteadyState) -> bool:
        return state.unrest < self._settings.still_px**2

    def _is_evident(self, fit: _Fit, half: Grey, state: SteadyState) -> bool:
        """Whether a shift is more than noise and passers-by.

        Asked of the opposite shift, which must fit worse: resampling alone takes noise away and flatters both alike.
        """
        if max(abs(fit.dx), abs(fit.dy)) < self._settings.still_px:
            return False
        assert state.known is not None
        difference = _difference(_back(half, -fit.dx, -fit.dy), state.known)
        return fit.misfit < self._settings.better * state.known.misfit(difference)

    def _fitted(self, half: Grey, known: _Known, dx: float, dy: float) -> _Fit:
        most = self._settings.search_px
        for left in reversed(range(self._settings.steps)):
            back = _back(half, dx, dy)
            difference = _difference(back, known)
            if not left:
                break
            spread = float(np.median(np.abs(difference[::4, ::4])))
            # What differs more has moved by itself: it has no say, however strong its edges are.
            agreeing = np.abs(difference) <= np.float32(4.5 * spread + 2.0)
            x, y = known.across * agreeing, known.down * agreeing
            xx, xy, yy = float(np.vdot(x, x)) + 1.0, float(np.vdot(x, y)), float(np.vdot(y, y)) + 1.0
            along_x, along_y = float(np.vdot(x, difference)), float(np.vdot(y, difference))
            determinant = xx * yy - xy * xy
            by_x = min(max((yy * along_x - xy * along_y) / determinant, -1.5), 1.5)
            by_y = min(max((xx * along_y - xy * along_x) / determinant, -1.5), 1.5)
            if 2 * max(abs(by_x), abs(by_y)) < self._settings.enough_px:
                break
            dx = min(max(dx - 2 * by_x, -most), most)
            dy = min(max(dy - 2 * by_y, -most), most)
        return _Fit(dx, dy, known.misfit(difference), back)


def _known(reference: Grey) -> _Known:
    wide = reference[_MARGIN - 1 : 1 - _MARGIN, _MARGIN - 1 : 1 - _MARGIN]
    across = (wide[1:-1, 2:] - wide[1:-1, :-2]) * np.float32(0.5)
    down = (wide[2:, 1:-1] - wide[:-2, 1:-1]) * np.float32(0.5)
    strength = (np.abs(across) + np.abs(down)).ravel()
    edges = np.flatnonzero(strength >= np.quantile(strength[::7], 0.85))
    return _Known(np.ascontiguousarray(wide[1:-1, 1:-1]), across, down, edges[:: max(1, len(edges) // 1000)])


def _difference(back: Grey, known: _Known) -> Grey:
    """Of the picture and the reference inside the margin, without that of light."""
    difference: Grey = back[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] - known.inner
    difference -= np.median(difference[::4, ::4])
    return difference


def _back(half: Grey, dx: float, dy: float) -> Grey:
    """The half-size picture shifted back by whole-size pixels."""
    return moved(half, dx / 2, dy / 2) if dx or dy else half


def _halved(grey: Grey) -> Grey:
    rows, columns = grey.shape[0] // 2 * 2, grey.shape[1] // 2 * 2
    sums = grey[0:rows:2] + grey[1:rows:2]
    half = sums[:, 0:columns:2] + sums[:, 1:columns:2]
    half *= np.float32(0.25)
    return half

"""Signal: a picture that shows nothing (black, blown out, one colour) or that stands still while frames go on.

Looks at levels and at differences between pictures, never at content. Standing still is judged against the camera
itself: one whose picture often rests for some seconds (no noise, strong compression) must rest longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import RegionMask, cell_means, reduction
from detector_pool.detector import FoundBox, NoScore, Observation
from detector_pool.packing import pack, unpack
from detector_pool.picture import Luma, Picture, shared

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """What can be tuned. Grey levels are of 0 to 255, times in seconds."""

    warm_up_s: float = 1.0
    black_level: float = 30.0
    """Black if 98 % of the picture are below; limited-range black is 16."""
    white_level: float = 228.0
    """Blown out if 98 % of the picture are above; limited-range white is 235."""
    ramp: float = 8.0
    """Levels over which a score rises from 0.5 to 1 beyond these limits."""
    uniform_spread: float = 5.0
    """One colour if 90 % of the picture lie within so many levels."""
    still_difference: float = 0.5
    """A block rests if its mean difference is below: a codec goes on refining a picture that stands still."""
    still_share: float = 0.03
    """A picture rests although this share of its blocks changes: the camera's own clock runs on."""
    refresh_difference: float = 4.0
    """A key frame of a resting picture may differ by so much, in no more than a picture or two at a time."""
    refresh_share: float = 0.25
    """More key frames than this share of its pictures has no resting picture."""
    freeze_after_s: float = 3.0
    """Rest of this length reaches the default threshold, if the camera is never at rest otherwise."""
    ordinary_factor: float = 3.0
    """Rest must be so many times longer than the longest that is ordinary for this camera."""
    lively_s: float = 10.0
    """A camera is known once it has been seen to change for so long."""
    unknown_after_s: float = 12.0
    """Rest of this length reaches the default threshold while a camera is not known."""


@dataclass(slots=True)
class SignalState:
    """All that is remembered of one camera."""

    previous: NDArray[np.int16] | None = None
    first_ns: int = 0
    last_ns: int = 0
    still_from_ns: int = 0
    """Since when the picture has been at rest; 0 if it is not."""
    refreshes: int = 0
    """Pictures in a row that differ by no more than a key frame may."""
    rested: int = 0
    """Pictures since then."""
    refreshed: int = 0
    """Of these, those that differ by no more than a key frame may."""
    lively_s: float = 0.0
    """Seconds in which the picture changed."""
    ordinary_still_s: float = 0.0


_NUMBERS = (
    "first_ns", "last_ns", "still_from_ns", "refreshes", "rested", "refreshed", "lively_s", "ordinary_still_s",
)  # fmt: skip


class SignalHealth:
    """The detector. Holds settings, no memory of any camera."""

    name = "signal@1"

    def __init__(self, settings: SignalSettings | None = None) -> None:
        self._settings = settings or SignalSettings()

    def start(self) -> SignalState:
        """Nothing known yet."""
        return SignalState()

    def inspect(
        self, picture: Picture, state: SignalState, regions: Sequence[RegionMask]
    ) -> tuple[Observation, SignalState]:
        """Score and what is wrong. Regions do not matter: the signal is that of the whole picture."""
        thin = thinned(picture)
        picture.confirm()
        previous, now_ns = state.previous, picture.received_ns
        state.previous, last_ns, state.last_ns = thin, state.last_ns, now_ns
        if previous is None or previous.shape != thin.shape or now_ns - last_ns > 10 * SECOND:
            # After a break nothing is known of what was between: a picture that is the same may have changed.
            state.first_ns, state.still_from_ns, state.refreshes = state.first_ns or now_ns, 0, 0
            return self._said(level(thin, self._settings), now_ns, state), state
        self._compare(thin, previous, last_ns, now_ns, state)
        worst = max(level(thin, self._settings), self._rest(now_ns, state), key=lambda found: found[0])
        return self._said(worst, now_ns, state), state

    def pack(self, state: SignalState) -> bytes:
        """The state as bytes."""
        return pack(self.name, {name: getattr(state, name) for name in _NUMBERS}, {"previous": state.previous})

    def unpack(self, data: bytes) -> SignalState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        if set(numbers) != set(_NUMBERS) or not set(arrays) <= {"previous"}:
            raise ValueError(f"is no state of {self.name}")
        return SignalState(previous=arrays.get("previous"), **numbers)

    def _said(self, worst: tuple[float, str], now_ns: int, state: SignalState) -> Observation:
        if now_ns - state.first_ns < self._settings.warm_up_s * SECOND:
            return Observation(reason=NoScore.WARMING_UP)
        score, label = round(min(max(worst[0], 0.0), 1.0), 4), worst[1]
        boxes = (FoundBox(0.0, 0.0, 1.0, 1.0, label, score),) if score >= 0.2 else ()
        return Observation(score, boxes)

    def _rest(self, now_ns: int, state: SignalState) -> tuple[float, str]:
        if not state.still_from_ns:
            return 0.0, ""
        return 0.7 * (now_ns - state.still_from_ns) / SECOND / self._freeze_after_s(state), "frozen"

    def _freeze_after_s(self, state: SignalState) -> float:
        settings = self._settings
        ordinary_s = max(settings.freeze_after_s, settings.ordinary_factor * state.ordinary_still_s)
        return ordinary_s if state.lively_s >= settings.lively_s else max(ordinary_s, settings.unknown_after_s)

    def _compare(
        self, thin: NDArray[np.int16], previous: NDArray[np.int16], last_ns: int, now_ns: int, state: SignalState
    ) -> None:
        settings = self._settings
        blocks = cell_means(np.abs(thin - previous).astype(np.float32), 8)
        state.rested += 1
        if float((blocks > settings.still_difference).mean()) <= settings.still_share:
            if not state.still_from_ns:
                state.still_from_ns, state.rested, state.refreshed = last_ns, 1, 0
            state.refreshes = 0
            return
        state.refreshes += 1
        state.refreshed += 1
        is_refresh = float((blocks > settings.refresh_difference).mean()) <= settings.still_share
        is_rare = state.refreshes <= 2 and state.refreshed <= 2 + settings.refresh_share * state.rested
        if state.still_from_ns and is_refresh and is_rare:
            return
        if state.still_from_ns:
            self._learn((now_ns - state.still_from_ns) / SECOND, state)
        state.still_from_ns = 0
        state.lively_s += (now_ns - last_ns) / SECOND

    def _learn(self, rest_s: float, state: SignalState) -> None:
        """A rest has ended by itself: how long rests ordinarily are. One that was called frozen teaches little."""
        if rest_s > state.ordinary_still_s:
            weight = 0.02 if rest_s >= self._freeze_after_s(state) else 0.15
            state.ordinary_still_s += weight * (rest_s - state.ordinary_still_s)
        else:
            state.ordinary_still_s += 0.002 * (rest_s - state.ordinary_still_s)


def level(thin: NDArray[np.int16], settings: SignalSettings) -> tuple[float, str]:
    """How surely a picture shows nothing, 0.5 at the limit, and what it is: "black", "overexposed", "no picture"."""
    p2, p5, p95, p98 = (float(v) for v in np.percentile(thin, (2, 5, 95, 98)))
    found = [
        (0.5 + 0.5 * (settings.black_level - p98) / settings.ramp, "black"),
        (0.5 + 0.5 * (p2 - settings.white_level) / settings.ramp, "overexposed"),
        (0.5 + 0.5 * (settings.uniform_spread - (p95 - p5)) / settings.uniform_spread, "no picture"),
    ]
    # A black picture is of one colour as well: the name that says more comes first.
    named = [entry for entry in found if entry[0] >= 0.5]
    score = max(entry[0] for entry in found)
    return score, named[0][1] if named else ""


def thinned(picture: Picture) -> NDArray[np.int16]:
    """Pixels of a raster over the picture, as `level` wants them."""
    return shared(picture, "thin", lambda one: _raster(one.y))


def _raster(luma: Luma) -> NDArray[np.int16]:
    factor = reduction(luma.shape[1], luma.shape[0])
    thin: NDArray[np.int16] = luma[::factor, ::factor].astype(np.int16)
    return thin

"""Follows where a camera points, so that regions stay on what they were drawn on.

Every frame: how far the picture is shifted against a reference, within 16 pixels of the canvas. Twice a second: whether
it still shows the reference's scene. If for five seconds it does not, the scene is looked for (`search`): at most one
look at each of these times, five that agree, at most nine; then a pause that grows from half a minute to ten minutes.

The first reference is the picture that regions were drawn on, and is never renewed: shifts are always against a fixed
picture, so that their errors do not add up. Others are added for other light, for infrared, and after a bump, each
aligned with one that was there (`references`).

A scene that is not found is lost: regions stay where they were, and that is said until the scene is seen again or a
human draws the regions anew (`start`). It is not taken for the new scene by itself, however steady it is: nothing in a
picture says where a region belongs in another scene, and a camera that was turned away would be called well.

Cost: about 2 ms a frame at any size (canvas 320 wide), 1 to 3 ms more at two frames a second; 0.1 to 0.6 s for one
look with features, of which a bump takes five.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.canvas import Grey, to_canvas
from detector_pool.following import search
from detector_pool.following.geometry import Matrix, carried, shifted, turn_deg
from detector_pool.following.references import MOST_DEPTH, Bytes, Reference, add, as_bytes, detail_of, reference
from detector_pool.health.scene import is_grey
from detector_pool.health.structure import Resemblance, compare, edges, white_noise_energy
from detector_pool.packing import pack, unpack
from detector_pool.picture import Picture, shared
from detector_pool.stabilise import Shift, edge_spectrum, moved, shift_of_spectra

SECOND = 1_000_000_000
NAME = "follower@1"
_IDENTITY: Matrix = np.eye(3)


@dataclass(frozen=True, slots=True)
class FollowerSettings:
    """What can be tuned. Shares are of blocks that show something else than the reference."""

    check_every_s: float = 0.5
    taught_from: int = 5
    """Pictures that the first reference is the mean of."""
    lost_share: float = 0.35
    found_share: float = 0.25
    weak_share: float = 0.15
    """A reference that resembles the present less than this has become old: the light is another."""
    weak_s: float = 60.0
    evidence_s: float = 5.0
    far_px: float = 10.0
    """A shift of so many pixels of the canvas, of the 16 that are searched, is evidence of a move as well."""
    lost_after: int = 2
    """Searches without success after which the scene is lost."""
    pause_s: float = 30.0
    longest_pause_s: float = 600.0
    said_s: float = 60.0
    least_contrast: float = 2.0
    """A picture with less says nothing."""
    by_chance: float = 18.0
    """Peaks of phase correlation below this over the square root of the count of pixels may be chance."""
    grid: float = 2.0
    """Shifts are told in steps of one over this many pixels of the canvas, so that regions move in steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Where regions are now."""

    matrix: Matrix
    """Takes fractions of the picture that regions were drawn on to where the present one shows them, 3x3 float64."""
    is_lost: bool = False
    """The scene is not found again: regions may be wrong."""
    said: str = ""
    """What happened to the camera, in words, for a minute; while the scene is lost, as long as it is."""
    was_bumped: bool = False
    """What is said is that the camera was moved, and that regions follow."""


@dataclass(slots=True, eq=False)
class FollowerState:
    """All that is remembered of one camera."""

    references: list[Reference] = field(default_factory=list)
    at: int = 0
    """The reference that the present is compared with."""
    dx: float = 0.0
    """Shift of the present against it, in pixels of the canvas."""
    dy: float = 0.0
    is_doubtful: bool = False
    """The picture showed something else when it was last looked at: what a shift of it is worth is not known."""
    good_dx: float = 0.0
    """Shift when it last showed the scene: what counts while it is doubtful."""
    good_dy: float = 0.0
    first: Bytes | None = None
    """Canvas of the first picture, while the first reference is made."""
    total: NDArray[np.int16] | None = None
    """Sum of the details of `taught` pictures, shifted onto the first."""
    taught: int = 0
    base: Matrix = field(default_factory=lambda: _IDENTITY.copy())
    """Of the first reference, once it is made."""
    search: search.SearchState = field(default_factory=search.SearchState)
    last_ns: int = 0
    checked_ns: int = 0
    evidence_s: float = 0.0
    weak_s: float = 0.0
    other: int = 0
    """The reference that was compared with beside the present one."""
    next_ns: int = 0
    """The scene is not looked for before."""
    failed: int = 0
    """Searches without success, one after another."""
    is_lost: bool = False
    moved_px: float = -1.0
    """Of the last bump, in pixels of the picture; -1 if there was none."""
    moved_deg: float = 0.0
    told_ns: int = 0
    """When the last change was told."""


class Follower:
    """Holds settings, no memory of any camera."""

    name = NAME

    def __init__(self, settings: FollowerSettings | None = None) -> None:
        self._settings = settings or FollowerSettings()

    def start(self) -> FollowerState:
        """Nothing known yet: the first pictures are what regions are drawn on."""
        return FollowerState()

    def step(self, picture: Picture, state: FollowerState) -> tuple[Alignment, FollowerState]:
        """Where regions are in this picture. Confirms the picture; raises DataLoss, and then has learnt nothing."""
        settings = self._settings
        now_ns = picture.received_ns
        canvas = shared(picture, "canvas", lambda one: to_canvas(one.y))
        is_due = now_ns - state.checked_ns >= settings.check_every_s * SECOND or now_ns < state.checked_ns
        detail = detail_of(picture.y) if is_due and min(canvas.shape) >= 40 else None
        grey = is_grey(picture) if is_due else None
        picture.confirm()
        size = (picture.y.shape[1], picture.y.shape[0])
        if min(canvas.shape) < 40 or float(canvas[::4, ::4].std()) < settings.least_contrast:
            return self._told(state, size, now_ns), state
        if state.references and state.references[0].canvas.shape != canvas.shape:
            state = self._resized(state)
        elapsed_s = min(max((now_ns - state.checked_ns) / SECOND, 0.0), 2.0) if state.checked_ns else 0.0
        state.last_ns = now_ns
        if is_due:
            state.checked_ns = now_ns
        if not state.references:
            self._teach(canvas, detail, bool(grey), state)
            return self._told(state, size, now_ns), state
        if not state.is_lost or is_due:
            self._shift(canvas, state)
        if detail is not None:
            self._check(canvas, detail, grey, elapsed_s, size, state)
        return self._told(state, size, now_ns), state

    def pack(self, state: FollowerState) -> bytes:
        """The state as bytes, below 1 MiB."""
        numbers: dict[str, int | float] = {name: getattr(state, name) for name in _NUMBERS}
        numbers["references"] = len(state.references)
        arrays: dict[str, NDArray[Any] | None] = {"first": state.first, "total": state.total, "base": state.base}
        for number, one in enumerate(state.references):
            more, planes = one.parts(str(number))
            numbers |= more
            arrays |= planes
        search_numbers, search_planes = state.search.parts()
        return pack(self.name, {**numbers, **search_numbers}, {**arrays, **search_planes})

    def unpack(self, data: bytes) -> FollowerState:
        """The inverse. Raises ValueError."""
        numbers, arrays = unpack(self.name, data)
        try:
            state = FollowerState(first=arrays.get("first"), total=arrays.get("total"), base=arrays["base"])
            for name in _NUMBERS:
                setattr(state, name, type(getattr(state, name))(numbers[name]))
            state.references = [
                Reference.from_parts(str(number), numbers, arrays) for number in range(numbers["references"])
            ]
            state.search = search.SearchState.from_parts(numbers, arrays)
        except (KeyError, TypeError) as error:
            raise ValueError(f"is no state of {self.name} ({type(error).__name__})") from None
        return state

    # The first reference

    def _teach(self, canvas: Grey, detail: Grey | None, grey: bool, state: FollowerState) -> None:
        if state.first is None:
            if detail is None:
                return
            state.first, state.total = as_bytes(canvas), np.zeros(detail.shape, np.int16)
        first = edge_spectrum(state.first.astype(np.float32))
        shift = self._located(shift_of_spectra(first, edge_spectrum(canvas)), canvas)
        if shift is not None:
            state.dx, state.dy = shift.dx, shift.dy
        if detail is None or state.total is None or shift is None:
            return
        scale = detail.shape[1] / canvas.shape[1]
        back = (-round(shift.dy * scale), -round(shift.dx * scale))
        state.total += np.roll(np.rint(detail), back, (0, 1)).astype(np.int16)
        state.taught += 1
        if state.taught < self._settings.taught_from:
            return
        mean = state.total.astype(np.float32) / np.float32(state.taught)
        state.references = [Reference(as_bytes(mean), state.first, state.base, 0, grey)]
        state.first = state.total = None

    def _resized(self, state: FollowerState) -> FollowerState:
        """The camera sends pictures of another size: the next ones are the reference, where the old one was last."""
        return FollowerState(
            base=self._matrix(state), is_lost=state.is_lost, told_ns=state.told_ns, moved_px=state.moved_px
        )  # fmt: skip

    # Every frame, and twice a second

    def _shift(self, canvas: Grey, state: FollowerState) -> None:
        shift = self._located(shift_of_spectra(state.references[state.at].spectrum, edge_spectrum(canvas)), canvas)
        if shift is not None:
            state.dx, state.dy = shift.dx, shift.dy

    def _located(self, shift: Shift, canvas: Grey) -> Shift | None:
        """The shift, unless it may be chance."""
        return shift if shift.peak * math.sqrt(canvas.size) > self._settings.by_chance else None

    def _check(
        self,
        canvas: Grey,
        detail: Grey,
        grey: bool | None,
        elapsed_s: float,
        size: tuple[int, int],
        state: FollowerState,
    ) -> None:
        settings = self._settings
        noise = white_noise_energy(canvas)
        if grey is not None and grey != state.references[state.at].is_grey:
            self._change_light(canvas, detail, grey, state)
        found = _resemblance(canvas, state.references[state.at], state.dx, state.dy, noise)
        if found.lost_share > settings.weak_share:
            found = self._try_another(canvas, found, noise, state)
        if not found.is_known:
            state.is_doubtful = True
            return
        share = found.lost_share
        if share < settings.found_share and state.is_lost:
            state.is_lost, state.failed, state.told_ns, state.moved_px = False, 0, state.last_ns, -1.0
        state.is_doubtful = share > settings.lost_share
        if not state.is_doubtful:
            state.good_dx, state.good_dy = state.dx, state.dy
        is_far = max(abs(state.dx), abs(state.dy)) > settings.far_px
        if share <= settings.lost_share and not is_far:
            state.evidence_s = max(0.0, state.evidence_s - 2.0 * elapsed_s)
            state.search.clear()
            self._age(share, canvas, detail, elapsed_s, state)
            return
        if _is_plain(found, canvas, state.references[state.at]):
            # Something plain is before the lens: nothing can be said of where the camera points.
            return
        state.evidence_s += elapsed_s
        if state.evidence_s >= settings.evidence_s and state.last_ns >= state.next_ns:
            self._search(canvas, detail, bool(grey), size, state)

    def _try_another(self, canvas: Grey, found: Resemblance, noise: float, state: FollowerState) -> Resemblance:
        """Compares with one of the other references, a different one each time, and goes over to it if it is better."""
        if len(state.references) < 2:
            return found
        state.other = (state.other + 1) % len(state.references)
        if state.other == state.at:
            state.other = (state.other + 1) % len(state.references)
        one = state.references[state.other]
        shift = self._located(shift_of_spectra(one.spectrum, edge_spectrum(canvas)), canvas)
        if shift is None:
            return found
        there = _resemblance(canvas, one, shift.dx, shift.dy, noise)
        if there.is_known and there.lost_share < min(0.8 * found.lost_share, self._settings.found_share):
            _go_over(state, state.other, shift.dx, shift.dy)
            return there
        return found

    def _change_light(self, canvas: Grey, detail: Grey, grey: bool, state: FollowerState) -> None:
        """Colour came or went: the camera switched its filter, and points where it did a moment ago."""
        others = [number for number, one in enumerate(state.references) if one.is_grey == grey]
        if not others:
            if state.evidence_s == 0.0 and not state.is_lost:
                self._add(canvas, detail, self._matrix(state), state.references[state.at].depth + 1, grey, state)
            return
        shifts = [shift_of_spectra(state.references[number].spectrum, edge_spectrum(canvas)) for number in others]
        best, shift = max(zip(others, shifts, strict=True), key=lambda pair: pair[1].peak)
        if self._located(shift, canvas) is not None:
            _go_over(state, best, shift.dx, shift.dy)

    def _age(self, share: float, canvas: Grey, detail: Grey, elapsed_s: float, state: FollowerState) -> None:
        """A reference that resembles the present less and less, while it can still be aligned, gets a younger one."""
        state.weak_s = state.weak_s + elapsed_s if share > self._settings.weak_share else 0.0
        depth = state.references[state.at].depth + 1
        if state.weak_s >= self._settings.weak_s:
            state.weak_s = 0.0
            if depth <= MOST_DEPTH:
                self._add(canvas, detail, self._matrix(state), depth, state.references[state.at].is_grey, state)

    def _add(self, canvas: Grey, detail: Grey, matrix: Matrix, depth: int, grey: bool, state: FollowerState) -> None:
        _go_over(state, add(state.references, reference(detail, canvas, matrix, depth, grey)), 0.0, 0.0)

    # After a move

    def _search(self, canvas: Grey, detail: Grey, grey: bool, size: tuple[int, int], state: FollowerState) -> None:
        settings = self._settings
        present = reference(detail, canvas, _IDENTITY, 0, grey)
        outcome = search.look(present, state.references, size, state.search)
        if outcome is search.Outcome.GOES_ON:
            return
        candidate, depth = state.search.candidate, state.search.depth
        matrix = state.search.middle() if outcome is search.Outcome.FOUND else None
        state.search.clear()
        state.evidence_s = 0.0
        if candidate is None or matrix is None:
            state.failed += 1
            pause_s = min(settings.pause_s * 2.0 ** (state.failed - 1), settings.longest_pause_s)
            state.next_ns = state.last_ns + int(pause_s * SECOND)
            if state.failed >= settings.lost_after and not state.is_lost:
                state.is_lost, state.told_ns = True, state.last_ns
            return
        before = self._matrix(state)
        state.next_ns = state.last_ns + int(settings.pause_s * SECOND)
        state.failed, was_lost, state.is_lost = 0, state.is_lost, False
        candidate.matrix, candidate.depth = matrix, depth
        _go_over(state, add(state.references, candidate), 0.0, 0.0)
        self._shift(canvas, state)
        px, degrees = _difference(before, matrix, size)
        if px > 3.0 or abs(degrees) > 0.5 or was_lost:
            state.moved_px, state.moved_deg, state.told_ns = round(px, 1), round(degrees, 1), state.last_ns

    # What is said

    def _matrix(self, state: FollowerState) -> Matrix:
        """Of the present picture."""
        if state.references:
            one = state.references[state.at]
            shape, matrix = one.canvas.shape, one.matrix
        elif state.first is not None:
            shape, matrix = state.first.shape, state.base
        else:
            return state.base
        grid = self._settings.grid
        dx, dy = (state.good_dx, state.good_dy) if state.is_doubtful else (state.dx, state.dy)
        dx, dy = round(dx * grid) / grid, round(dy * grid) / grid
        if dx == 0.0 and dy == 0.0:
            return matrix
        return np.asarray(shifted(dx / shape[1], dy / shape[0]) @ matrix, np.float64)

    def _told(self, state: FollowerState, size: tuple[int, int], now_ns: int) -> Alignment:
        matrix = self._matrix(state)
        if state.is_lost:
            return Alignment(matrix, True, "cannot find the scene again: regions may be wrong")
        if not state.told_ns or now_ns - state.told_ns > self._settings.said_s * SECOND:
            return Alignment(matrix)
        if state.moved_px < 0.0:
            return Alignment(matrix, said="the scene is found again: regions are where they were drawn")
        turn = f" and {abs(state.moved_deg):.0f} degrees" if abs(state.moved_deg) >= 0.5 else ""
        said = f"camera was bumped: regions follow by {state.moved_px:.0f} px{turn}"
        return Alignment(matrix, said=said, was_bumped=True)


_NUMBERS = (
    "at", "dx", "dy", "taught", "last_ns", "checked_ns", "evidence_s", "weak_s", "other", "next_ns", "failed",
    "is_lost", "moved_px", "moved_deg", "told_ns", "is_doubtful", "good_dx", "good_dy",
)  # fmt: skip


def _go_over(state: FollowerState, to: int, dx: float, dy: float) -> None:
    """Another reference is compared with from now on."""
    state.at, state.dx, state.dy = to, dx, dy
    state.good_dx, state.good_dy, state.is_doubtful = dx, dy, False


def _resemblance(canvas: Grey, one: Reference, dx: float, dy: float, noise: float) -> Resemblance:
    aligned = moved(canvas, dx, dy) if max(abs(dx), abs(dy)) > 0.25 else canvas
    gain = float(canvas.std()) / max(float(one.canvas.std()), 0.5)
    return compare(one.edges, edges(aligned), noise, min(1.0, max(0.5, gain)))


def _is_plain(found: Resemblance, canvas: Grey, one: Reference) -> bool:
    """Whether most of what is lost has no edges at all, in the present light."""
    lost = found.lost
    light = min(max(float(canvas.mean()) - 16.0, 1.0) / max(one.brightness - 16.0, 1.0), 1.0)
    return bool(lost.any()) and float(np.median(found.kept[lost])) < 0.1 * max(light, 0.15) ** 2


def _difference(before: Matrix, after: Matrix, size: tuple[int, int]) -> tuple[float, float]:
    """How far the middle of the picture went, in pixels, and by how many degrees it was turned."""
    width, height = size
    between = after @ np.linalg.inv(before)
    (middle,) = carried(np.array(((0.5, 0.5),)), between)
    px = math.hypot((middle[0] - 0.5) * width, (middle[1] - 0.5) * height)
    return px, turn_deg(between, width / height)

"""What the auto-encoder of posture is fitted to: every person's way through the footage, and windows of it.

What belongs here: collecting steps by person, and cutting windows out of them just as the graph's state would have
them. What does not: pictures (`posture`), fitting (`posture_network`). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector_pool.posture.body import PLACES, Floats
from detector_pool.posture.graph import WIDTH
from detector_pool.posture.pace import STEPS
from detector_pool.posture.people import FEWEST_STEPS, ROWS, Step


@dataclass(slots=True)
class _Way:
    """One person's steps, from the first in which they were seen."""

    track: int
    times_ns: list[int] = field(default_factory=list)
    places: list[Floats] = field(default_factory=list)
    seen: list[Floats] = field(default_factory=list)

    def push(self, time_ns: int, places: Floats, seen: Floats) -> None:
        self.times_ns.append(time_ns)
        self.places.append(places)
        self.seen.append(seen)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """All windows of some footage, by number; each ends with the step whose time it has."""

    places: Floats
    """(S, 2 P): steps of all people, one person after the other, each behind STEPS in which nobody is seen."""
    seen: Floats
    """(S, P)."""
    ends: NDArray[np.int64]
    """(N,): in which step each window ends."""
    times_ns: NDArray[np.int64]
    """(N,)."""
    tracks: NDArray[np.int64]
    """(N,): whose it is."""
    begins_ns: NDArray[np.int64]
    """(N,): when that person was seen first."""

    def __len__(self) -> int:
        return len(self.ends)

    def batch(self, numbers: NDArray[np.int64], back: int = 0) -> tuple[Floats, Floats]:
        """Windows (T, B, 2 P) and what of them is seen (T, B, P), ending `back` steps earlier."""
        steps = self.ends[numbers][None, :] + np.arange(1 - STEPS - back, 1 - back)[:, None]
        return self.places[steps], self.seen[steps]


class Collecting:
    """Takes the steps of people one after the other (`people.step`)."""

    def __init__(self) -> None:
        self._ways: list[_Way] = []
        self._now: dict[int, _Way] = {}

    def add(self, step: Step, time_ns: int) -> int:
        """Takes a step; returns how many people have a window that ends with it."""
        nothing = np.zeros((PLACES, 2), np.float32), np.zeros(PLACES, np.float32)
        for way in self._now.values():
            for _ in range(step.missed):
                way.push(time_ns, *nothing)
        for row, box in step.boxes.items():
            if row in step.begun:
                self._now[row] = _Way(box.track)
                self._ways.append(self._now[row])
        for row, way in self._now.items():
            way.push(time_ns, step.places[row], step.seen[row])
        for row in [row for row, way in self._now.items() if not any(one.any() for one in way.seen[-STEPS:])]:
            del self._now[row]
        return sum(_is_window(self._now[row].seen) for row in step.boxes)

    def windows(self) -> Windows:
        """All that was collected."""
        places, seen = [np.zeros((0, WIDTH), np.float32)], [np.zeros((0, PLACES), np.float32)]
        ends, times, tracks, begins = list[int](), list[int](), list[int](), list[int]()
        at = 0
        for way in self._ways:
            places += [np.zeros((STEPS, WIDTH), np.float32), np.stack(way.places).reshape(-1, WIDTH)]
            seen += [np.zeros((STEPS, PLACES), np.float32), np.stack(way.seen)]
            often = np.array([one.any() for one in way.seen]).cumsum()
            for index, time_ns in enumerate(way.times_ns):
                in_window = int(often[index]) - (int(often[index - STEPS]) if index >= STEPS else 0)
                if way.seen[index].any() and in_window >= FEWEST_STEPS:
                    ends.append(at + STEPS + index)
                    times.append(time_ns)
                    tracks.append(way.track)
                    begins.append(way.times_ns[0])
            at += STEPS + len(way.times_ns)
        return Windows(
            np.concatenate(places), np.concatenate(seen),
            *(np.array(one, np.int64) for one in (ends, times, tracks, begins)),
        )  # fmt: skip


def _is_window(seen: list[Floats]) -> bool:
    return bool(seen[-1].any()) and sum(bool(one.any()) for one in seen[-STEPS:]) >= FEWEST_STEPS


def rows_of(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Numbers of windows by ROWS, as many as the graph takes at a time."""
    return [numbers[at : at + ROWS] for at in range(0, len(numbers), ROWS)]

"""What some verdicts of a page say beside score and boxes: words, named values, tracks, key points, alignments. Pure.

Values by name are a column each, NaN where a verdict has none; texts are kept once. A page without any of it has none
of these columns, as all pages had before verdicts could say this.
"""

from __future__ import annotations

import base64
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_NAMES = 256
MAX_POINTS = 1 << 18
_NAN = float("nan")


@dataclass(slots=True, eq=False)
class Extras:
    """Columns that grow with a page. Verdicts and boxes are named by their numbers, which only grow."""

    texts: dict[str, int] = field(default_factory=dict)
    said: dict[int, int] = field(default_factory=dict)
    """Verdict to text."""
    series: dict[str, array[float]] = field(default_factory=dict)
    alignments: dict[int, tuple[float, ...]] = field(default_factory=dict)
    tracks: dict[int, int] = field(default_factory=dict)
    """Box to track."""
    box_said: dict[int, int] = field(default_factory=dict)
    point_counts: dict[int, int] = field(default_factory=dict)
    points: array[float] = field(default_factory=lambda: array("f"))
    _first_points: dict[int, int] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether the next verdict needs another page."""
        return len(self.series) > MAX_NAMES - 32 or len(self.points) > MAX_POINTS or len(self.texts) > MAX_NAMES * 16

    def add_verdict(
        self, at: int, said: str, series: Sequence[tuple[str, float]], alignment: tuple[float, ...]
    ) -> None:
        """What the verdict of this number says."""
        if said:
            self.said[at] = self._text(said)
        if alignment:
            self.alignments[at] = alignment
        for name, value in series:
            column = self.series.setdefault(name, array("f"))
            column.extend([_NAN] * (at - len(column)))
            column.append(value)

    def add_box(self, number: int, track: int, said: str, points: Sequence[tuple[float, float, float]]) -> None:
        """What the box of this number says."""
        if track:
            self.tracks[number] = track
        if said:
            self.box_said[number] = self._text(said)
        if points:
            self.point_counts[number] = len(points)
            self._first_points[number] = len(self.points)
            for point in points:
                self.points.extend(point)

    def series_of(self, at: int) -> tuple[tuple[str, float], ...]:
        """Values of the verdict of this number, by name."""
        return tuple(
            (name, column[at])
            for name, column in sorted(self.series.items())
            if at < len(column) and column[at] == column[at]
        )

    def points_of(self, number: int) -> tuple[tuple[float, float, float], ...]:
        """Key points of the box of this number."""
        at = self._first_points.get(number, 0)
        end = at + 3 * self.point_counts.get(number, 0)
        return tuple((self.points[n], self.points[n + 1], self.points[n + 2]) for n in range(at, end, 3))

    def _text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def document(self) -> dict[str, Any]:
        """A JSON object; empty if there is nothing."""
        names = sorted(self.series)
        columns = b"".join([*(_planes(self.series[name]) for name in names), _planes(self.points)])
        body = {
            "texts": list(self.texts),
            "said": _pairs(self.said),
            "series": [[name, len(self.series[name])] for name in names],
            "alignments": [[at, *numbers] for at, numbers in self.alignments.items()],
            "tracks": _pairs(self.tracks),
            "box_said": _pairs(self.box_said),
            "point_counts": _pairs(self.point_counts),
        }
        if not any(body.values()):
            return {}
        return body | {"columns": base64.b64encode(zlib.compress(columns, 1)).decode()}


def extras_from_document(body: Mapping[str, Any]) -> Extras:
    """The inverse of `Extras.document`."""
    extras = Extras()
    if not body:
        return extras
    rest = memoryview(zlib.decompress(base64.b64decode(body["columns"])))
    extras.texts = {text: number for number, text in enumerate(body["texts"])}
    extras.said, extras.tracks = _from_pairs(body["said"]), _from_pairs(body["tracks"])
    extras.box_said = _from_pairs(body["box_said"])
    extras.alignments = {int(at): tuple(map(float, numbers)) for at, *numbers in body["alignments"]}
    for name, size in body["series"]:
        extras.series[name], rest = _column(rest[: 4 * size]), rest[4 * size :]
    extras.points = _column(rest)
    at = 0
    for number, count in _from_pairs(body["point_counts"]).items():
        extras.point_counts[number], extras._first_points[number] = count, at
        at += 3 * count
    return extras


def _pairs(values: Mapping[int, int]) -> list[int]:
    """Numbers and values, numbers as differences: small, and alike."""
    flat: list[int] = []
    last = 0
    for number, value in values.items():
        flat += [number - last, value]
        last = number
    return flat


def _from_pairs(flat: Sequence[int]) -> dict[int, int]:
    numbers = np.cumsum(flat[::2], dtype=np.int64).tolist()
    return dict(zip(numbers, flat[1::2], strict=True))


def _planes(values: array[float]) -> bytes:
    raw: NDArray[np.uint8] = np.frombuffer(values, np.uint8).reshape(-1, 4) if values else np.zeros((0, 4), np.uint8)
    return np.ascontiguousarray(raw.T).tobytes()


def _column(data: memoryview) -> array[float]:
    planes = np.frombuffer(data, np.uint8).reshape(4, -1)
    return array("f", np.ascontiguousarray(planes.T).tobytes())

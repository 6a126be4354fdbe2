"""Regions as people write them: in a TOML or JSON file, or on a command line. Pure. Mistakes name their region.

[[regions]]
name = "yard"
use = "inspect"                       # or "ignore", or "line"
corners = [[0.1, 0.4], [0.6, 0.4], [0.6, 1.0], [0.1, 1.0]]

What should not be in this module: asking an aggregate, or showing anything (`commands.regions`).
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from mesh.errors import InvalidArgument

USES = ("inspect", "ignore", "line")
MAX_NAME, MAX_REGIONS, MAX_CORNERS = 100, 64, 256
_FEWEST = {"inspect": 3, "ignore": 3, "line": 2}
_LEAST_AREA = 1e-5
"""Of the picture: about four pixels of 640x360."""
_LEAST_LENGTH = 1e-3
_EXAMPLE = (
    'For example "yard: 0.1,0.4 0.6,0.4 0.6,1 0.1,1": a name, then the corners as x,y in fractions of the picture.'
)

Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class DrawnRegion:
    """A polygon, or a line, in fractions of the picture's width and height."""

    name: str
    use: str
    corners: tuple[Corner, ...]

    @property
    def direction(self) -> str:
        """Of a line, how one goes who crosses it forwards; empty for a polygon.

        That is from the left to the right of somebody who looks along it, from its first corner to its last.
        """
        if self.use != "line":
            return ""
        (ax, ay), (bx, by) = self.corners[0], self.corners[-1]
        # The picture's y goes down: to the right of (dx, dy) is (-dy, dx).
        right, down = ay - by, bx - ax
        words = ["downwards" if down > 0 else "upwards"] if abs(down) > 0.4 * math.hypot(right, down) else []
        if abs(right) > 0.4 * math.hypot(right, down):
            words.append("to the right" if right > 0 else "to the left")
        return " and ".join(words)

    def reversed(self) -> DrawnRegion:
        """The line with its direction turned round."""
        return DrawnRegion(self.name, self.use, self.corners[::-1])

    def document(self) -> dict[str, object]:
        """As it stands in a file."""
        return {"name": self.name, "use": self.use, "corners": [list(corner) for corner in self.corners]}


def read_file(text: str, file: str) -> list[DrawnRegion]:
    """Regions of a TOML or JSON document: a list, or a table with `regions`. Raises InvalidArgument."""
    what = f"file {file}"
    body: Any
    try:
        body = json.loads(text) if text.lstrip()[:1] in ("{", "[") and not text.lstrip().startswith("[[") else None
        body = tomllib.loads(text) if body is None else body
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgument(
            what, f"cannot be read: {error}", "Write TOML or JSON; see docs/guide/detection.md."
        ) from None
    listed = body.get("regions") if isinstance(body, Mapping) else body
    if not isinstance(listed, list):
        raise InvalidArgument(what, "holds no regions", "Write each as [[regions]] with name, use and corners.")
    return checked([_of_table(one, number, what) for number, one in enumerate(listed, 1)])


def read_text(use: str, text: str) -> DrawnRegion:
    """A region on a command line: "NAME: X,Y X,Y X,Y". Raises InvalidArgument."""
    name, colon, places = text.rpartition(":")
    what = f"{use} region {text!r:.60}"
    if not colon:
        raise InvalidArgument(what, "has no name", _EXAMPLE)
    corners = []
    for place in places.split():
        x, comma, y = place.partition(",")
        try:
            corners.append((float(x), float(y)) if comma else (math.nan, math.nan))
        except ValueError:
            corners.append((math.nan, math.nan))
        if not all(map(math.isfinite, corners[-1])):
            raise InvalidArgument(what, f"has the corner {place!r:.30}, which is no x,y", _EXAMPLE)
    return DrawnRegion(name.strip(), use, tuple(corners))


def checked(regions: Sequence[DrawnRegion]) -> list[DrawnRegion]:
    """The regions, if all of them can be inspected. Raises InvalidArgument naming the first that cannot."""
    if len(regions) > MAX_REGIONS:
        raise InvalidArgument("regions", f"are {len(regions)}; at most {MAX_REGIONS} are allowed")
    names = [region.name for region in regions]
    for region in regions:
        what = f"region {region.name!r:.60}"
        if problem := _problem(region):
            raise InvalidArgument(what, *problem)
        if names.count(region.name) > 1:
            raise InvalidArgument(what, "is there twice", "Rules and alarms name regions: give each a name of its own.")
    return [*regions]


def _of_table(table: Any, number: int, what: str) -> DrawnRegion:
    thing = f"region {number} of {what}"
    if not isinstance(table, Mapping):
        raise InvalidArgument(thing, "is no table", "Write each as [[regions]] with name, use and corners.")
    if isinstance(table.get("name"), str):
        thing = f"region {table['name']!r:.60} of {what}"
    if unknown := sorted(set(table) - {"name", "use", "corners"}):
        raise InvalidArgument(thing, f"has {unknown[0]!r:.40}", "A region has name, use and corners.")
    name, use, corners = table.get("name", ""), table.get("use", "inspect"), table.get("corners", [])
    if not isinstance(name, str) or not isinstance(use, str):
        raise InvalidArgument(thing, "has a name or a use that is no text", 'Write "quotation marks" round them.')
    if not isinstance(corners, list) or not all(map(_is_corner, corners)):
        raise InvalidArgument(thing, "has corners that are no pairs of numbers", "Write corners = [[0.1, 0.4], …].")
    return DrawnRegion(name, use, tuple((float(x), float(y)) for x, y in corners))


def _is_corner(one: Any) -> bool:
    is_pair = isinstance(one, list) and len(one) == 2
    return is_pair and all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in one)


def _problem(region: DrawnRegion) -> tuple[str, str] | None:
    """What is wrong, and what helps."""
    corners = region.corners
    if not 0 < len(region.name) <= MAX_NAME or not region.name.isprintable():
        return "has no name, or one that cannot be shown", f"1 to {MAX_NAME} printable characters make one."
    if region.use not in USES:
        return f"has the use {region.use!r:.30}", f"There are: {', '.join(USES)}."
    if not _FEWEST[region.use] <= len(corners) <= MAX_CORNERS:
        kind = "A line" if region.use == "line" else "A polygon"
        return f"has {len(corners)} corners", f"{kind} has {_FEWEST[region.use]} to {MAX_CORNERS}."
    for x, y in corners:
        if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
            remedy = (
                "Corners are fractions, 0 to 1 from the upper left: divide pixels by the picture's width and height."
            )
            return f"has the corner {x:g},{y:g} outside of the picture", remedy
    if region.use == "line":
        length = sum(math.dist(one, other) for one, other in pairwise(corners))
        return ("is a line without length", "Give two corners that differ.") if length < _LEAST_LENGTH else None
    if crossing := _crossing(corners):
        return f"crosses itself between {crossing}", "List the corners in the order of a walk around it."
    if _area(corners) < _LEAST_AREA:
        return "has no area", "Its corners lie on one line, or on one place."
    return None


def _area(corners: Sequence[Corner]) -> float:
    following = [*corners[1:], corners[0]]
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(corners, following, strict=True))) / 2


def _crossing(corners: Sequence[Corner]) -> str:
    """Two sides of a polygon that cross, in words; empty if none do."""
    sides = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    for (a, b), (c, d) in combinations(sides, 2):
        if len({a, b, c, d}) == 4 and _turns(a, b, c) * _turns(a, b, d) < 0 and _turns(c, d, a) * _turns(c, d, b) < 0:
            return f"{_shown(a, b)} and {_shown(c, d)}"
    return ""


def _turns(a: Corner, b: Corner, c: Corner) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _shown(*corners: Corner) -> str:
    return " to ".join(f"{x:g},{y:g}" for x, y in corners)


def changed(
    present: Iterable[DrawnRegion],
    drawn: Sequence[DrawnRegion],
    *,
    removed: Sequence[str] = (),
    turned: Sequence[str] = (),
    is_all: bool = False,
) -> list[DrawnRegion]:
    """Regions with some drawn anew or added, by name, and some removed, or lines turned round.

    `is_all`: those that were there go. Raises InvalidArgument: a name that is not there, a region that is wrong.
    """
    by_name = {} if is_all else {region.name: region for region in present}
    for name in (*removed, *turned):
        if name not in by_name:
            there_are = ", ".join(sorted(by_name)) or "none"
            raise InvalidArgument(f"region {name!r:.60}", "is not there", f"There are: {there_are}.")
    for name in turned:
        if by_name[name].use != "line":
            raise InvalidArgument(f"region {name!r:.60}", "has no direction", "Lines have one.")
        by_name[name] = by_name[name].reversed()
    for name in removed:
        by_name.pop(name, None)
    checked(drawn)
    return checked([*(by_name | {region.name: region for region in drawn}).values()])

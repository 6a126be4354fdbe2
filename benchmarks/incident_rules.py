"""The rules that find simulated incidents, without any model: one rule for a kind, the same in every layout.

Places are those that a scene's truth tells: the region `restricted`, and of `places` the zones `square` and `walk` and
the line `way`. `incidents.py` runs them over many scenes; tests run them over a few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detector_pool.canvas import RegionMask

SOURCES = ["static"]
RULES = {
    "intrusion": 'object in "restricted" for 1 s',
    "running": 'object faster than {speed} body heights/s in "walk" for 1 s',
    "left-object": 'object left in "square" for 12 s',
    "crowd": 'object fills more than 35 % of "square" for 4 s',
    "fall": 'object falls in "square"',
    "wrong-way": 'object crosses "way" backwards',
    "loitering": 'object in "square" for 20 s',
}
"""By kind of incident."""
ACROSS, ALONG = 1.7, 0.95
SPEEDS = {"hall": 0.85, "platform": ALONG, "gate": ALONG}
"""Limits in body heights a second. Where people walk away from the camera and towards it, they look slower than those
who walk across the picture: whoever sets up a camera sees that, so the limit is the layout's, not the seed's."""


def text(layout: str, *kinds: str) -> str:
    """The rules for these kinds, each named as its kind; for all of them without any."""
    chosen = {kind: RULES[kind].format(speed=SPEEDS.get(layout, ACROSS)) for kind in kinds or RULES}
    return "".join(f"{kind}: {rule}\n" for kind, rule in chosen.items())


def regions(truth: Mapping[str, Any]) -> list[RegionMask]:
    """The regions and places of a scene's truth."""
    told = [*truth["regions"], *truth["places"]]
    return [
        RegionMask(
            one["use"] == "ignore", tuple((x, y) for x, y in one["corners"]), one["name"], one["use"] == "line"
        )
        for one in told
    ]  # fmt: skip

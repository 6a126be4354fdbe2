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
    "running": 'object faster than 1.7 body heights/s in "walk" for 1 s',
    "left-object": 'object left in "square" for 12 s',
    "crowd": 'object fills more than 35 % of "square" for 4 s',
    "fall": 'object falls in "square"',
    "wrong-way": 'object crosses "way" backwards',
    "loitering": 'object in "square" for 20 s',
}
"""By kind of incident."""


def text(*kinds: str) -> str:
    """The rules for these kinds, each named as its kind; for all of them without any."""
    return "".join(f"{kind}: {RULES[kind]}\n" for kind in kinds or RULES)


def regions(truth: Mapping[str, Any]) -> list[RegionMask]:
    """The regions and places of a scene's truth."""
    told = [*truth["regions"], *truth["places"]]
    return [
        RegionMask(
            one["use"] == "ignore", tuple((x, y) for x, y in one["corners"]), one["name"], one["use"] == "line"
        )
        for one in told
    ]  # fmt: skip

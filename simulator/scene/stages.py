"""Where incidents take place in each layout: a square where people may gather, and a line that is one way.

What belongs here: data only. Ordinary traffic may cross the square and never stays there; it crosses the line forwards
or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.scene.layouts import BLUE, RED, Corner, rectangle
from simulator.scene.vehicles import Make


@dataclass(frozen=True, slots=True)
class Stage:
    """One layout's places for incidents, in metres on the ground."""

    square: tuple[Corner, ...]
    spot: Corner
    """In it: where somebody falls, waits, or puts something down."""
    enters: Corner
    """Out of the picture: where people of incidents come from, and go back to."""
    line: tuple[Corner, Corner]
    """From the left to the right of whoever goes along it is the right way."""
    wrong_way: tuple[Corner, ...]
    """The way of somebody who crosses it backwards."""
    walk: tuple[Corner, ...]
    """Where people walk and nobody drives; who runs, runs here."""
    make: Make | None = None
    """What goes the wrong way; None: a person."""
    wrong_speed: float = 1.4


STAGES: dict[str, Stage] = {
    "yard": Stage(
        rectangle(-2.2, 2.4, 11.0, 17.0), (0.2, 13.0), (0.4, 2.0),
        ((-1.2, 12.0), (1.8, 12.0)), ((0.3, 2.0), (0.8, 20.0), (4.6, 26.7)),
        rectangle(-15.0, 13.0, 21.4, 23.9),
    ),
    "street": Stage(
        rectangle(1.2, 6.4, 7.8, 11.8), (3.8, 9.8), (3.6, 2.6),
        ((2.0, 16.4), (2.0, 19.4)), ((26.0, 18.6), (-26.0, 18.6)),
        rectangle(-14.0, 14.0, 11.4, 15.2), RED, 7.5,
    ),
    "hall": Stage(
        rectangle(-3.6, -0.3, 10.0, 16.0), (-1.8, 12.0), (-0.9, 0.5),
        ((-2.0, 10.0), (-0.2, 10.0)), ((-1.1, 0.5), (-1.1, 26.8)),
        rectangle(-1.9, 4.8, 3.0, 27.0),
    ),
    "carpark": Stage(
        rectangle(-2.0, 2.6, 8.6, 14.2), (0.4, 11.0), (0.2, 3.0),
        ((-1.0, 12.0), (1.8, 12.0)), ((0.4, 3.0), (0.6, 15.0), (16.0, 18.8)),
        rectangle(-12.5, 12.5, 17.3, 19.4),
    ),
    "platform": Stage(
        rectangle(-4.4, 0.8, 9.0, 15.5), (-0.2, 11.5), (0.2, 1.6),
        ((-0.9, 10.0), (0.9, 10.0)), ((0.2, 1.6), (0.2, 40.0)),
        rectangle(-5.9, 0.9, 5.0, 40.0),
    ),
    "gate": Stage(
        rectangle(2.3, 4.4, 8.0, 16.0), (3.4, 11.0), (3.3, 2.4),
        ((-0.4, 13.0), (2.8, 13.0)), ((1.2, 1.0), (1.2, 60.0)),
        rectangle(6.6, 8.3, 5.0, 40.0), BLUE, 5.0,
    ),
}  # fmt: skip

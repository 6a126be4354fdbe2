"""What the graph sees of things that move."""

from __future__ import annotations

import numpy as np
import pytest

from detector_pool.canvas import Grey
from detector_pool.normality.graph import features_graph
from detector_pool.normality.grid import STATE_CHANNELS, Canvas
from detector_pool.normality.heads import FLOW, HEADS, SPEED
from detector_pool.normality.runtime import Session
from detector_pool.normality.view import cells

CANVAS = Canvas(192, 96)
_DISPLACEMENT = 1


def displacement(head: int, px: float) -> float:
    """What a head makes of a figure that moves so far to the right from one frame to the next: median, in pixels."""
    session = Session(features_graph(CANVAS, 0.0).SerializeToString(), "features")
    exists = cells(CANVAS, ())
    state = np.zeros((1, STATE_CHANNELS, CANVAS.rows, CANVAS.columns), np.float32)
    y, x = np.mgrid[0 : CANVAS.height, 0 : CANVAS.width].astype(np.float32)

    def picture(number: int) -> Grey:
        # A slim figure, 5 by 30 pixels.
        along, down = (x - 60 - px * number) / 2.5, (y - 48) / 15
        shown: Grey = (120 - 80 * np.exp(-(along**4) - down**4))[None, None].astype(np.float32)
        return shown

    for number in range(4):
        out = session.run({"previous": picture(number), "current": picture(number + 1), "seen": exists.seen,
                           "judged": exists.judged, "state": state})  # fmt: skip
        state = out["new_state"]
    at = sum(len(one.attributes) for one in HEADS[:head]) + _DISPLACEMENT
    found = out["attributes"][0, at][out["active"][0, head] > 0]
    return float(np.expm1(np.median(found)))


@pytest.mark.parametrize("px", [1.0, 2.0])
def test_small_steps_are_measured_by_flow(px: float) -> None:
    assert displacement(HEADS.index(FLOW), px) == pytest.approx(px, rel=0.5)


def test_speed_still_tells_a_walker_from_a_bicycle_where_flow_takes_it_for_slower() -> None:
    walker, bicycle = (displacement(HEADS.index(SPEED), px) for px in (3.0, 8.0))
    assert bicycle > 2 * walker
    walker, bicycle = (displacement(HEADS.index(FLOW), px) for px in (3.0, 8.0))
    assert bicycle < walker


def test_dots_that_flicker_are_nothing_that_moves_for_any_head() -> None:
    session = Session(features_graph(CANVAS, 0.0).SerializeToString(), "features")
    exists = cells(CANVAS, ())
    state = np.zeros((1, STATE_CHANNELS, CANVAS.rows, CANVAS.columns), np.float32)
    calm = np.full((1, 1, CANVAS.height, CANVAS.width), 120, np.float32)
    dots = calm.copy()
    # As a camera's compression leaves them: a quarter of the picture, by seven grey levels.
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        dots[:, :, down::4, across::4] += 7
    for previous, current in ((calm, dots), (dots, calm)) * 2:
        out = session.run({"previous": previous, "current": current, "seen": exists.seen, "judged": exists.judged,
                           "state": state})  # fmt: skip
        state = out["new_state"]
    assert not out["active"].any()

"""Regions as people write them: what is read, what is refused and why, and which way a line is crossed forwards."""

from __future__ import annotations

import json
import math

import pytest

from detector_pool.rules.geometry import beside
from mesh.errors import InvalidArgument
from trueframe.region_text import DrawnRegion, changed, checked, read_file, read_text

SQUARE = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5), (0.1, 0.5))
YARD, DOOR = DrawnRegion("yard", "inspect", SQUARE), DrawnRegion("door", "line", ((0.2, 0.5), (0.8, 0.5)))
TOML = """
[[regions]]
name = "yard"
corners = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.5]]

[[regions]]
name = "door"
use = "line"
corners = [[0.2, 0.5], [0.8, 0.5]]
"""


def test_toml_and_json_and_the_commands_own_output_say_the_same() -> None:
    listed = [YARD.document(), DOOR.document()]
    for text in (TOML, json.dumps(listed), json.dumps({"inspection": "gate.rules", "regions": listed})):
        assert read_file(text, "r") == [YARD, DOOR]
    assert read_file("regions = []", "r") == []


def test_a_region_on_a_command_line_is_a_name_and_corners() -> None:
    assert read_text("line", "door: 0.2,0.5 0.8,0.5") == DOOR
    assert read_text("inspect", "left: half:0,0 .5,0 .5,1").name == "left: half"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[regions]]\nname = ", "cannot be read"),
        ("{", "cannot be read"),
        ("x = 1", "holds no regions"),
        ("[1]", "region 1 of file r: is no table"),
        ('[[regions]]\nname = "a"\ncorner = []', "region 'a' of file r: has 'corner'. A region has name"),
        ('[[regions]]\nname = "a"\ncorners = [[1, "x"]]', "no pairs of numbers"),
        ('[[regions]]\nname = "a"\ncorners = [[nan, 0]]', "no pairs of numbers"),
        ("[[regions]]\nname = 5", "no text"),
        (TOML + TOML, "is there twice"),
        (TOML.replace('"line"', '"lime"'), "has the use 'lime'. There are: inspect, ignore, line"),
        (TOML.replace("0.8, 0.5", "1024, 0.5"), "region 'door': has the corner 1024,0.5 outside of the picture"),
        (TOML.replace("0.8, 0.5", "0.2, 0.5"), "without length"),
        (TOML.replace("[0.5, 0.5], [0.1, 0.5]]", "[0.1, 0.5], [0.5, 0.5]]"), "crosses itself between 0.5,0.1"),
        (TOML.replace(", [0.5, 0.5], [0.1, 0.5]]", "]"), "has 2 corners. A polygon has 3 to 256"),
        (TOML.replace("[0.5, 0.5], [0.1, 0.5]]", "[0.9, 0.1]]"), "has no area"),
        (TOML.replace('"yard"', '""'), "has no name"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as told:
        read_file(text, "r")
    assert words in str(told.value)


@pytest.mark.parametrize("text", ["0,0 1,0 1,1", "a: 0,0 1;0", "a: 0,0 x,1", "a: 0,0 nan,1"])
def test_what_is_wrong_on_a_command_line_is_told_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument, match="For example"):
        read_text("inspect", text)


def test_regions_are_drawn_anew_by_name_added_removed_turned_and_cleared() -> None:
    small = read_text("inspect", "yard: 0.1,0.1 0.2,0.1 0.2,0.2")
    assert changed([YARD, DOOR], [small]) == [small, DOOR]
    assert changed([YARD], [DOOR], removed=["yard"]) == [DOOR]
    assert changed([YARD, DOOR], [], turned=["door"])[1].corners == DOOR.corners[::-1]
    assert changed([YARD, DOOR], [], is_all=True) == []
    for wrong, words in (({"removed": ["yrad"]}, "There are: door, yard"), ({"turned": ["yard"]}, "no direction")):
        with pytest.raises(InvalidArgument, match=words):
            changed([YARD, DOOR], [], **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="at most 64"):
        checked([DrawnRegion(str(n), "inspect", SQUARE) for n in range(65)])


@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_the_direction_in_words_is_the_one_that_rules_call_forwards(angle: int) -> None:
    along = (math.cos(math.radians(angle)) * 0.3, math.sin(math.radians(angle)) * 0.3)
    line = DrawnRegion("x", "line", ((0.5 - along[0], 0.5 - along[1]), (0.5 + along[0], 0.5 + along[1])))
    steps = {"downwards": (0.0, 0.1), "upwards": (0.0, -0.1), "to the right": (0.1, 0.0), "to the left": (-0.1, 0.0)}
    assert line.direction
    for words in line.direction.split(" and "):
        dx, dy = steps[words]
        # Forwards is from the left of the line to its right.
        assert beside((0.5 - dx, 0.5 - dy), line.corners) < 0 < beside((0.5 + dx, 0.5 + dy), line.corners)
        assert words not in line.reversed().direction

"""The guide of rules says what is so: its examples are read, and its messages are those that users get."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from detector_pool.options import checked
from detector_pool.rules import RuleError, parse, printed
from detector_pool.rules.detector import OPTIONS
from detector_pool.rules.terms import Crossing, Fall, Filling, Left, Passage, Presence, Speed

GUIDE = Path(__file__).parents[3] / "docs/guide/rules.md"
EXAMPLES = re.findall(r"^```rules\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


def test_every_example_of_the_guide_is_read_and_stays_what_it_is() -> None:
    assert len(EXAMPLES) > 10
    for text in EXAMPLES:
        rules = parse(text)
        assert parse(printed(rules)) == rules


def test_the_guide_has_an_example_of_every_kind() -> None:
    steps = [step for text in EXAMPLES for rule in parse(text) for step in rule.steps]
    kinds = {type(step.condition) for step in steps}
    assert kinds == {Presence, Crossing, Passage, Speed, Left, Fall, Filling}


def test_the_options_of_the_guide_are_options() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    options = checked("rules", OPTIONS, tomllib.loads(text))
    assert [rule.name for rule in parse(options["rules"])] == ["intruder", "left"]


def test_the_mistake_of_the_guide_is_shown_so() -> None:
    with pytest.raises(RuleError) as caught:
        parse('wrong way: person crosses "gate" backwards\na: person inn "yard"')
    place, shown, mark = str(caught.value).split("\n")
    guide = GUIDE.read_text()
    assert place.split(": ")[0] + ": expected" in guide
    assert place.endswith('not "inn"; did you mean "in"?')
    assert f"    {shown}\n    {mark}\n" in guide

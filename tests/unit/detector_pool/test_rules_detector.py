"""The detector type `rules`: what it is made of, what it refuses, how boxes of several sources become things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, DetectorType, FoundBox, KeyPoint, NoScore, Observation, Setup
from detector_pool.picture import Picture, Shot
from detector_pool.registry import detector_types
from detector_pool.rules.detector import NEAR, Rules, State
from detector_pool.rules.ruleset import RuleSet
from detector_pool.rules.sources import Source, chosen, fused, made
from detector_pool.tracking import Tracker, TrackerSettings
from mesh.errors import DataLoss, InvalidArgument
from mesh.ids import FrameId
from tests.tiny_models import bright_finder, model_of
from tests.tiny_models import shot as bright_shot

SECOND = 1_000_000_000
YARD = RegionMask(False, ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)), "yard")
MASK = RegionMask(True, ((0.0, 0.0), (0.1, 0.0), (0.1, 0.1)), "mask")


def rules_type() -> DetectorType:
    return detector_types()["rules"]


@dataclass
class Script:
    """A source that says what it is told to, and counts in its state how often it was asked."""

    name: str
    observations: Sequence[Observation]
    regions: Sequence[RegionMask] = ()

    def start(self) -> int:
        return 0

    def inspect(self, picture: Picture, state: int, regions: Sequence[RegionMask]) -> tuple[Observation, int]:
        picture.confirm()
        self.regions = regions
        return self.observations[min(state, len(self.observations) - 1)], state + 1

    def pack(self, state: int) -> bytes:
        return str(state).encode()

    def unpack(self, data: bytes) -> int:
        return int(data)


def source(name: str, *observations: Observation, follows: bool = False) -> Source:
    script: Detector[Any] = Script(f"{name}@1", observations)
    return Source(name, script, Tracker(TrackerSettings(sure_score=0.3)) if follows else None)


def there(x: float, label: str = "person", track: int = 1, **more: Any) -> FoundBox:
    return FoundBox(x, 0.4, 0.05, 0.3, label, 0.8, track, **more)


def shot(index: int, *, epoch: int = 1) -> Shot:
    return Shot(
        FrameId("cam-1", epoch, index), 1_700_000_000 * SECOND + index * SECOND // 10, np.zeros((90, 160), np.uint8)
    )


def played(rules: Rules, count: int, state: State | None = None, *, epoch: int = 1) -> tuple[list[Observation], State]:
    state = state or rules.start()
    said = []
    for index in range(count):
        observation, state = rules.inspect(shot(index, epoch=epoch), state, [YARD, MASK])
        said.append(observation)
    return said, state


def test_a_rule_that_is_true_scores_one_and_one_that_is_near_less_than_half() -> None:
    rules = Rules(RuleSet.of('in: person in "yard" for 1 s'), [source("objects", Observation(0.8, (there(0.7),)))])
    said, _ = played(rules, 14)
    assert [one.score for one in said[:3]] == [0.0, 0.049, 0.098]
    assert max(one.score for one in said[:10]) <= NEAR
    assert said[10].score == 1.0
    assert said[10].said == "in: person in yard since 22:13:20, for 1 s"
    assert [(box.label, box.score, box.said) for box in said[10].boxes] == [("person", 1.0, said[10].said)]
    assert said[10].series == (("things", 1.0),)


def test_sources_see_the_whole_picture_less_what_is_ignored() -> None:
    one = source("objects", Observation())
    played(Rules(RuleSet.of('in: person in "yard"'), [one]), 1)
    assert isinstance(one.detector, Script)
    assert one.detector.regions == [MASK]


def test_a_frame_that_a_source_has_no_score_for_has_none_and_is_no_absence() -> None:
    pauses = [Observation(reason=NoScore.WARMING_UP)] * 30 + [Observation()] * 30
    text = 'gone: no person in "yard" for 1 s'
    said, _ = played(Rules(RuleSet.of(text), [source("objects", *pauses), source("static", Observation())]), 45)
    assert {one.reason for one in said[:30]} == {NoScore.WARMING_UP}
    assert next(index for index, one in enumerate(said) if one.score == 1.0) == 40


def test_boxes_without_a_number_are_followed() -> None:
    moving = [Observation(0.5, (replace(there(0.55 + 0.01 * n, "motion"), track=0),)) for n in range(20)]
    said, _ = played(Rules(RuleSet.of('in: object in "yard" for 1 s'), [source("motion", *moving, follows=True)]), 20)
    assert said[-1].score == 1.0
    assert len({box.track for one in said for box in one.boxes}) == 1


def test_a_thing_that_several_sources_see_is_one() -> None:
    body = (KeyPoint(0.5, 0.5, 0.9),)
    things = fused(
        [
            ("objects", [there(0.7), there(0.2, "car", 2)]),
            ("pose", [there(0.701, key_points=body, track=5)]),
            ("static", [there(0.7, "object", 9), there(0.45, "object", 10), there(0.2, "left object", 3)]),
        ]
    )
    assert [(one.label, bool(one.key_points)) for one in things] == [
        ("person", True), ("car", False), ("object", False), ("left object", False),
    ]  # fmt: skip
    assert len({one.track for one in things}) == 4


def test_a_new_epoch_cuts_ways() -> None:
    line = RegionMask(False, ((0.5, 0.0), (0.5, 1.0)), "gate", is_line=True)
    rules = Rules(
        RuleSet.of('a: person crosses "gate"'),
        [source("objects", *[Observation(0.8, (there(x),)) for x in (0.3, 0.6)])],
    )
    state = rules.start()
    _, state = rules.inspect(shot(0), state, [line])
    observation, _ = rules.inspect(shot(1, epoch=2), state, [line])
    assert observation.score == 0.0


def test_a_state_holds_those_of_its_sources() -> None:
    def make() -> Rules:
        moving = [Observation(0.5, (replace(there(0.55 + 0.01 * n, "motion"), track=0),)) for n in range(60)]
        found = [source("objects", Observation(0.8, (there(0.2),))), source("motion", *moving, follows=True)]
        return Rules(RuleSet.of('in: object in "yard" for 1 s'), found)

    whole, _ = played(make(), 30)
    begun, state = played(make(), 7)
    other = make()
    state = other.unpack(make().pack(state))
    for index in range(7, 30):
        observation, state = other.inspect(shot(index), state, [YARD, MASK])
        begun.append(observation)
    assert begun == whole
    with pytest.raises(ValueError, match="state"):
        Rules(RuleSet.of("a: person"), []).unpack(make().pack(state))


def test_a_picture_that_is_overwritten_changes_no_source() -> None:
    rules = Rules(RuleSet.of("a: person"), [source("objects", Observation()), source("static", Observation())])
    state = rules.start()
    bad = shot(0)
    bad.still_valid = lambda: False
    with pytest.raises(DataLoss):
        rules.inspect(bad, state, [])
    assert state.sources == [0, 0]


def test_rules_of_which_none_has_its_zone_fail_and_say_which() -> None:
    rules = Rules(RuleSet.of('a: person in "yrad"'), [source("objects", Observation())])
    with pytest.raises(InvalidArgument, match='no zone is called "yrad"; did you mean "yard"'):
        rules.inspect(shot(0), rules.start(), [YARD])
    some = Rules(RuleSet.of('a: person in "yrad"\nb: person'), [source("objects", Observation())])
    observation, _ = some.inspect(shot(0), some.start(), [YARD])
    assert observation.said.startswith('rule "a" rests: no zone is called "yrad"')


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rules": "a: persn"}, 'did you mean "person"'),
        ({"rules": ""}, "are empty"),
        ({"rules": "a: person"}, "nothing that is looked at has classes"),
        ({"rules": "a: object", "sources": ["objects"]}, "objects needs a model"),
        ({"rules": "a: object", "sources": ["moton"]}, 'did you mean "motion"'),
        ({"rules": "a: object", "sources": ["rules"]}, "to take boxes from"),
        ({"rules": "a: object", "sources": ["motion", "static", "signal", "a", "b"]}, "more than 4"),
        ({"rules": "a: object", "source": {"motion": {"x": 1}}, "sources": ["static"]}, "none of the sources"),
        ({"rules": "a: object", "source": {"static": {"after": 5}}}, "has no option 'after'"),
        ({"rules": "a: object", "source": {"static": 5}}, "is no table"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_with_a_remedy(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        rules_type().make(Setup(options=options))
    assert says in str(caught.value)


def test_two_models_of_objects_are_sources_of_one_inspection_each_asked_for_what_it_knows(tmp_path: Path) -> None:
    toml = 'detector = "objects"\nname = "{}"\ndecoder = "yolox"\nlabels = {}\n'
    first = model_of(tmp_path / "a", toml.format("lamps", '["lamp", "dark"]'), bright_finder())
    second = model_of(tmp_path / "b", toml.format("signs", '["sign", "dark"]'), bright_finder())
    options = {
        "rules": 'lit: "lamp"\nshown: "sign" in "yard"',
        "sources": ["objects@lamps", "objects@signs"],
        "source": {"objects@signs": {"score_threshold": 0.9}},
    }
    setup = Setup("gate", options, models={"lamps": first, "signs": second})
    detector = rules_type().make(setup)
    assert detector.name == f"rules@1:{first.digest[:12]}+{second.digest[:12]}"
    state, said = detector.start(), []
    for index in range(12):
        # Not sure enough for the second model's own option, at first.
        level = 200 if index < 6 else 255
        observation, state = detector.inspect(bright_shot(index, [(6, 3)], level=level), state, [YARD])
        said.append(observation.said)
        state = detector.unpack(detector.pack(state))
    assert "lit" in said[5]
    assert "shown" not in said[5]
    assert "lit" in said[-1]
    assert "shown" in said[-1]
    by_digest = detector.of_models  # type: ignore[attr-defined]
    assert {digest: one.name[-12:] for digest, one in by_digest.items()} == {
        model.digest: model.digest[:12] for model in (first, second)
    }
    for wrong, says in (
        ({"sources": ["objects@lamps", "objects@sings"], "source": {}}, "objects@sings needs a model"),
        ({"sources": ["motion@lamps"], "rules": "a: object", "source": {}}, "takes no model"),
        ({"rules": 'a: "sing"'}, "Did you mean 'sign'"),
        ({"source": {"objects": {"fps": 1}}}, "none of the sources"),
    ):
        with pytest.raises(InvalidArgument, match=says):
            rules_type().make(replace(setup, options={**options, **wrong}))


def test_sources_are_chosen_as_rules_need_them() -> None:
    rules = RuleSet.of("a: object left for 10 s")
    assert rules.looks_for_left_things
    assert chosen([], None, needs_left=False) == ["static"]
    assert chosen(["motion"], None, needs_left=True) == ["static", "motion"]
    assert [one.name for one in made(["static", "motion"], Setup(), {}, detector_types(), rules.rules)] == [
        "static",
        "motion",
    ]
    assert rules_type().make(Setup(options={"rules": "a: object"}, timezone="Europe/Berlin")).name == "rules@1"
    with pytest.raises(InvalidArgument, match="zone of the site"):
        rules_type().make(Setup(options={"rules": "a: object"}, timezone="Mars/Olympus"))

"""The detector `rules` without a model over simulated scenes of seeds that nothing was tuned on."""

from __future__ import annotations

import pytest

from benchmarks import incident_rules
from detector_pool.detector import Observation, Setup
from detector_pool.picture import Shot
from detector_pool.registry import detector_types
from mesh.ids import FrameId
from simulator.scene import Scene
from simulator.spec import IncidentSpec, SceneSpec

FPS = 5
START_NS = 1_700_000_000_000_000_000


def watched(layout: str, seed: int, loop_s: float, *incidents: IncidentSpec) -> tuple[Scene, list[Observation]]:
    """A scene shown to all rules, frame by frame."""
    scene = Scene(SceneSpec(layout, seed, 320, 180, FPS, loop_s, incidents=incidents))
    text = incident_rules.text()
    rules = detector_types()["rules"].make(Setup(options={"rules": text, "sources": incident_rules.SOURCES}))
    state, regions, said = rules.start(), incident_rules.regions(scene.truth()), []
    for index in range(scene.spec.frames):
        luma = scene.picture(index)[:180]
        shot = Shot(FrameId("cam-1", 1, index), START_NS + index * 1_000_000_000 // FPS, luma)
        observation, state = rules.inspect(shot, state, regions)
        said.append(observation)
    return scene, said


def told(said: list[Observation], kind: str) -> list[int]:
    """Frames at which the rule of a kind is true."""
    return [index for index, one in enumerate(said) if any(box.said.startswith(f"{kind}:") for box in one.boxes)]


@pytest.mark.parametrize(
    ("layout", "kind", "start", "length", "loop_s", "within_s"),
    [
        ("yard", "intrusion", 6, 8, 18, 4),
        ("street", "running", 6, 8, 16, 5),
        ("hall", "left-object", 5, 26, 42, 21),
        ("platform", "crowd", 5, 18, 26, 5),
        ("carpark", "fall", 6, 10, 24, 4),
        ("gate", "wrong-way", 5, 8, 20, 9),
        ("hall", "loitering", 5, 34, 42, 24),
    ],
)
def test_an_incident_is_told_soon_and_shown_where_it_is(
    layout: str, kind: str, start: int, length: int, loop_s: float, within_s: float
) -> None:
    scene, said = watched(layout, 31, loop_s, IncidentSpec(kind, start, length))
    (truth,) = scene.truth()["incidents"]
    at = told(said, kind)
    assert at, f"{kind} was not told; truth {truth['start']} to {truth['end']}"
    assert truth["start"] <= at[0] <= truth["start"] + within_s * FPS
    left, top, right, bottom = truth["boxes"][min(at[0], truth["end"] - 1) - truth["start"]]
    boxes = [box for box in said[at[0]].boxes if box.said.startswith(f"{kind}:")]
    assert any(
        box.x < right and box.x + box.width > left and box.y < bottom and box.y + box.height > top for box in boxes
    )
    assert said[at[0]].score == 1.0
    assert said[at[0]].said.count(kind) >= 1


@pytest.mark.parametrize("layout", ["hall", "gate"])
def test_ordinary_traffic_raises_no_alarm(layout: str) -> None:
    _, said = watched(layout, 32, 30)
    assert [one.said for one in said if one.score >= 0.5] == []


def test_a_checkpoint_in_the_middle_changes_nothing() -> None:
    scene = Scene(SceneSpec("hall", 33, 160, 90, FPS, 12, incidents=(IncidentSpec("intrusion", 5, 5),)))
    options = {"rules": incident_rules.text(), "sources": ["static", "motion"]}
    regions = incident_rules.regions(scene.truth())
    whole, parted = (detector_types()["rules"].make(Setup(options=options)) for _ in range(2))
    state, other = whole.start(), parted.start()
    for index in range(scene.spec.frames):
        luma = scene.picture(index)[:90]
        shots = [Shot(FrameId("cam-1", 1, index), START_NS + index * 200_000_000, luma.copy()) for _ in range(2)]
        one, state = whole.inspect(shots[0], state, regions)
        if index % 7 == 3:
            data = parted.pack(other)
            assert len(data) < 4 << 20
            parted = detector_types()["rules"].make(Setup(options=options))
            other = parted.unpack(data)
            assert parted.pack(other) == data
        two, other = parted.inspect(shots[1], other, regions)
        assert one == two

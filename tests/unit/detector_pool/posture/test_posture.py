"""The detector posture, on weights made by hand: no torch anywhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector_pool.canvas import RegionMask
from detector_pool.detector import NoScore, Observation, Setup
from detector_pool.golden import write_golden
from detector_pool.models import ModelFiles, check_model, open_files
from detector_pool.normality.runtime import Session
from detector_pool.picture import Shot
from detector_pool.posture.body import PLACES, body_of
from detector_pool.posture.detector import TYPE, Posture, PostureState, pose_detector
from detector_pool.posture.graph import WIDTH, posture_graph
from detector_pool.posture.pace import STEPS
from detector_pool.posture.people import FEWEST_STEPS, ROWS
from detector_pool.registry import detector_types
from mesh.errors import InvalidArgument
from tests.bodies import ARMS, LEVEL, ODD, by_chance, lit, nothing_learnt, posture_model, swinging_pose

LEFT = RegionMask(False, ((0, 0), (0.3, 0), (0.3, 1), (0, 1)))
RIGHT = RegionMask(False, ((0.3, 0), (1, 0), (1, 1), (0.3, 1)))


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return swinging_pose(tmp_path_factory.mktemp("pose"))


@pytest.fixture(scope="module")
def standing(pose: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of somebody who stands still with the arms down: what it tells back is always that."""
    detector = pose_detector(pose)
    state = detector.start()
    for index in range(2):
        seen, state = detector.inspect(lit(index, 0), state, ())
    body = body_of(seen.boxes[0], 1.0)
    assert body is not None
    folder: Path = tmp_path_factory.mktemp("posture")
    posture_model(folder, nothing_learnt(body.places.reshape(-1)), pose, LEVEL)
    return folder


@pytest.fixture(scope="module")
def chance(pose: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return posture_model(tmp_path_factory.mktemp("chance"), by_chance(1), pose, LEVEL)


def watched(
    detector: Posture, shots: list[Shot], regions: tuple[RegionMask, ...] = (), state: PostureState | None = None
) -> tuple[list[Observation], PostureState]:
    state, said = state or detector.start(), []
    for one in shots:
        observation, state = detector.inspect(one, state, regions)
        said.append(observation)
    return said, state


def swings(count: int, first: int = 0) -> list[Shot]:
    """With a pause of half a second behind every ninth picture."""
    return [lit(first + index + index // 9 * 5, 40 + 30 * (index % 5)) for index in range(count)]


def test_who_does_what_was_learnt_scores_nothing_and_who_does_not_is_shown_with_the_part(standing: Path) -> None:
    detector = Posture(Setup("gate", {}, open_files(standing)))
    said, _ = watched(detector, [lit(index, 0) for index in range(20)] + [lit(20 + index, ODD) for index in range(16)])
    assert [one.score for one in said[:20]] == [0.0] * 20
    assert not said[19].boxes
    # The more of the window is odd, the higher; the arms are what is odd.
    scores = [one.score for one in said[20:]]
    assert scores == sorted(scores)
    assert scores[-1] > 0.5
    (box,) = said[-1].boxes
    assert (box.label, box.track, box.said) == ("person", 1, "the arms move as nobody's did here")
    assert (box.x, box.y, box.width, box.height) == pytest.approx((0.4, 0.2, 0.2, 0.6), abs=1e-6)
    assert len(box.key_points) == 17
    assert said[-1].said == box.said
    assert dict(said[-1].series) == {"people": 1.0, "judged": 1.0, "waiting": 0.0}


def test_the_score_is_what_its_sentence_says(standing: Path) -> None:
    detector = Posture(Setup("gate", {}, open_files(standing)))
    said, _ = watched(detector, [lit(index, ODD) for index in range(STEPS + 5)])
    # Of 17 points, and the way from the second step on, four are out of their place by more than six deviations in x.
    seen = 17 * STEPS + STEPS
    error = np.sqrt(len(ARMS) * STEPS * 6.0**2 / 2 / seen)
    value = (error - LEVEL.median) / (LEVEL.high - LEVEL.median)
    assert said[-1].score == pytest.approx(value**2 / (1 + value**2), abs=1e-4)


def test_nobody_is_judged_before_half_a_window_was_seen_nor_when_too_small_or_elsewhere(standing: Path) -> None:
    model = open_files(standing)
    bright = [lit(index, ODD) for index in range(20)]
    said, _ = watched(Posture(Setup("gate", {}, model)), bright)
    # A number is given at the second sighting.
    assert [one.score > 0.1 for one in said].index(True) == FEWEST_STEPS
    assert dict(said[FEWEST_STEPS - 1].series) == {"people": 1.0, "judged": 0.0, "waiting": 0.0}
    small, _ = watched(Posture(Setup("gate", {"min_height": 0.7}, model)), bright)
    assert max(one.score for one in small) == 0.0
    assert max(one.score for one in watched(Posture(Setup("gate", {}, model)), bright, (LEFT,))[0]) == 0.0
    assert max(one.score for one in watched(Posture(Setup("gate", {}, model)), bright, (RIGHT,))[0]) > 0.5


def test_a_state_goes_on_to_the_bit_wherever_it_was_packed(chance: ModelFiles) -> None:
    shots = swings(30)
    whole, end = watched(Posture(Setup("gate", {}, chance)), shots)
    assert len({one.score for one in whole[FEWEST_STEPS:]}) > 10
    for cut in (1, 5, 9, 18, 29):
        first, other = Posture(Setup("gate", {}, chance)), Posture(Setup("gate", {}, chance))
        _, state = watched(first, shots[:cut])
        rest, last = watched(other, shots[cut:], state=other.unpack(first.pack(state)))
        assert rest == whole[cut:]
        assert other.pack(last) == Posture(Setup("gate", {}, chance)).pack(end)


def test_another_day_begins_everybody_anew(standing: Path) -> None:
    detector = Posture(Setup("gate", {}, open_files(standing)))
    said, state = watched(detector, [lit(index, ODD) for index in range(12)])
    assert said[-1].score > 0.3
    earlier = [replace(one, received_ns=one.received_ns - 5_000_000_000) for one in (lit(12 + n, 0) for n in range(9))]
    said, _ = watched(detector, earlier, state=state)
    assert {one.score for one in said} == {0.0}
    assert [dict(one.series)["judged"] for one in said] == [0.0] * 7 + [1.0] * 2


def test_equal_frames_give_equal_scores_in_another_process(chance: ModelFiles, tmp_path: Path) -> None:
    packed = tmp_path / "model.zip"
    packed.write_bytes(chance.packed())
    here, _ = watched(Posture(Setup("gate", {}, chance)), swings(20))
    program = (
        "import sys, pathlib; from detector_pool.detector import Setup; from detector_pool.models import open_files; "
        "from detector_pool.posture.detector import Posture; "
        "from tests.unit.detector_pool.posture.test_posture import swings, watched; "
        "said, _ = watched(Posture(Setup('gate', {}, open_files(pathlib.Path(sys.argv[1])))), swings(20)); "
        "assert 'torch' not in sys.modules; print([one.score for one in said])"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, str(packed)], capture_output=True, text=True, timeout=100, check=True
    )
    assert there.stdout.strip() == str([one.score for one in here])


def test_a_state_of_another_model_or_garbage_is_refused(chance: ModelFiles, standing: Path) -> None:
    detector, other = Posture(Setup("gate", {}, chance)), Posture(Setup("gate", {}, open_files(standing)))
    state = detector.pack(watched(detector, swings(5))[1])
    with pytest.raises(ValueError, match="is a state of posture@1"):
        other.unpack(state)
    for broken in (b"", state[:40], state[:-7]):
        with pytest.raises(ValueError, match=r".+"):
            detector.unpack(broken)


def test_ten_frames_a_second_are_looked_at(chance: ModelFiles) -> None:
    said, _ = watched(Posture(Setup("gate", {}, chance)), [lit(index, 90, fps=25.0) for index in range(100)])
    looked = [one for one in said if one.reason is None]
    assert {one.reason for one in said} == {None, NoScore.NOT_SAMPLED}
    assert len(looked) == pytest.approx(40, abs=2)


def test_what_is_masked_does_not_count_and_rows_do_not_see_each_other() -> None:
    session = Session(posture_graph(by_chance(2)), "graph")
    rng = np.random.default_rng(0)
    inputs = {
        "window": rng.normal(0, 1, (STEPS, ROWS, WIDTH)).astype(np.float32),
        "window_seen": (rng.random((STEPS, ROWS, PLACES)) < 0.7).astype(np.float32),
        "pose": rng.normal(0, 1, (ROWS, WIDTH)).astype(np.float32),
        "pose_seen": np.ones((ROWS, PLACES), np.float32),
    }
    told = session.run(inputs)
    assert (told["new_window"][:-1] == inputs["window"][1:]).all()
    assert (told["new_window"][-1] == inputs["pose"]).all()
    changed = {name: value.copy() for name, value in inputs.items()}
    hidden = np.repeat(inputs["window_seen"], 2, axis=2) == 0
    changed["window"][hidden] += 100.0
    assert (session.run(changed)["error"] == told["error"]).all()
    changed["pose"][3] += 1.0
    differs = session.run(changed)["error"] != told["error"]
    assert differs.nonzero()[0].tolist() == [3]
    nobody = {name: np.zeros_like(value) for name, value in inputs.items()}
    assert not session.run(nobody)["error"].any()


def test_golden_frames_hold_and_a_model_that_says_something_else_is_refused(standing: Path, tmp_path: Path) -> None:
    for file in standing.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_golden(tmp_path, Posture(Setup("gate", {}, open_files(tmp_path))), [lit(index, ODD) for index in range(12)])
    checked = check_model(open_files(tmp_path))
    assert (checked.golden.frames, checked.golden.is_exact) == (12, True)
    text = (tmp_path / "detector.toml").read_text()
    (tmp_path / "detector.toml").write_text(text.replace("high = 1.1", "high = 9.1"))
    with pytest.raises(InvalidArgument, match="not what is stored"):
        check_model(open_files(tmp_path))


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("schema = 1", "schema = 9", "has schema 9; this is 1"),
        ("median = 0.1", "median = 2.0", "the levels are no levels"),
        ("median = 0.1", "", "lacks or garbles its levels"),
        ("usual = [1.0, ", "usual = [", "the levels are no levels"),
    ],
)
def test_what_is_no_model_of_posture_is_told_with_the_remedy(
    standing: Path, tmp_path: Path, was: str, becomes: str, told: str
) -> None:
    for file in standing.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (tmp_path / "detector.toml").read_text()
    assert was in text
    (tmp_path / "detector.toml").write_text(text.replace(was, becomes, 1))
    with pytest.raises(InvalidArgument) as refused:
        Posture(Setup("gate", {}, open_files(tmp_path)))
    assert told in str(refused.value)
    assert "Train the model again." in str(refused.value)


def test_files_that_are_missing_or_of_another_kind_are_told(standing: Path, pose: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="trueframe train CAMERA --kind posture"):
        Posture(Setup("gate"))
    for file in standing.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.onnx").write_bytes(posture_graph(by_chance(1), rows=4))
    with pytest.raises(InvalidArgument, match="other inputs"):
        Posture(Setup("gate", {}, open_files(tmp_path)))
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InvalidArgument, match="cannot be loaded"):
        Posture(Setup("gate", {}, open_files(tmp_path)))
    (tmp_path / "model.onnx").write_bytes(posture_graph(by_chance(1)))
    (tmp_path / "pose.zip").write_bytes(b"PK")
    with pytest.raises(InvalidArgument, match=r"pose.zip of model gate.posture"):
        Posture(Setup("gate", {}, open_files(tmp_path)))
    (tmp_path / "pose.zip").unlink()
    with pytest.raises(InvalidArgument, match=r"has no file 'pose.zip'"):
        Posture(Setup("gate", {}, open_files(tmp_path)))


def test_it_is_found_by_its_name() -> None:
    assert detector_types()["posture"] is TYPE
    assert TYPE.needs_model

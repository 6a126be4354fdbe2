from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from detector_pool.canvas import RegionMask
from detector_pool.detector import Observation, Setup
from detector_pool.evaluation.shake import shaking
from detector_pool.models import check_model, open_model
from detector_pool.normality.detector import Normality
from detector_pool.normality.heads import Level
from detector_pool.normality.view import SECOND, Pace, PaceState
from detector_pool.reasons import NoScore
from detector_pool.training import TrainedModel, train_normality
from mesh.errors import InvalidArgument
from tests.normal_traffic import FPS, HEIGHT, WIDTH, traffic

# The model that most tests share takes a minute of one core to learn: several on a busy machine.
pytestmark = pytest.mark.timeout(900)

RUNS_S = (4.0, 7.0)
UPPER_HALF = RegionMask(False, ((0, 0), (1, 0), (1, 0.45), (0, 0.45)))
MIDDLE_IGNORED = RegionMask(True, ((0, 0.45), (1, 0.45), (1, 1), (0, 1)))


def detector(folder: Path) -> Normality:
    return Normality(Setup("yard", {}, open_model(folder)))


def watched(one: Normality, shots: object, regions: tuple[RegionMask, ...] = ()) -> list[Observation]:
    state, seen = one.start(), []
    for shot in shots:  # type: ignore[attr-defined]
        observation, state = one.inspect(shot, state, regions)
        seen.append(observation)
    return seen


def highest(seen: list[Observation], from_s: float, to_s: float) -> float:
    return max(one.score for one in seen[round(from_s * FPS) : round(to_s * FPS)])


def test_a_runner_stands_out_where_people_walk(model_folder: Path) -> None:
    seen = watched(detector(model_folder), traffic(12, seed=5, runner_s=RUNS_S))
    assert highest(seen, *RUNS_S) > 0.7
    assert highest(seen, 0, RUNS_S[0]) < 0.5
    assert np.median([one.score for one in seen]) < 0.4


def test_what_is_odd_is_said_and_shown_where_it_is(model_folder: Path) -> None:
    seen = watched(detector(model_folder), traffic(12, seed=5, runner_s=RUNS_S))
    middle = seen[round(5.5 * FPS)]
    assert middle.said == "faster than anything seen here"
    box = middle.boxes[0]
    assert box.label in ("motion", "flow", "speed")
    assert box.said == middle.said
    x = 5.0 * 15 / WIDTH
    assert box.x - 0.06 < x < box.x + box.width + 0.06
    assert box.y < 62 / HEIGHT < box.y + box.height
    heads = dict(middle.series)
    agreeing = [heads[name] for name in ("motion", "flow", "speed")]
    assert min(agreeing) < middle.score < max(agreeing)


def test_something_left_behind_is_told_while_people_go_on_walking(model_folder: Path) -> None:
    seen = watched(detector(model_folder), traffic(60, seed=7, left_s=28.0))
    dwell = [dict(one.series).get("dwell", 0.0) for one in seen]
    assert max(dwell[: 30 * FPS]) < 0.2
    assert max(dwell[40 * FPS : 55 * FPS]) > 0.6
    shown = [box for one in seen[45 * FPS : 55 * FPS] for box in one.boxes if box.label == "dwell"]
    assert shown
    assert {box.said for box in shown} <= {
        "something stands where nothing stood", "stands longer than anything seen here"
    }  # fmt: skip
    assert all(box.x < 80 / WIDTH < box.x + box.width and box.y < 90 / HEIGHT for box in shown)


def test_ordinary_traffic_leaves_all_heads_calm(model_folder: Path) -> None:
    seen = watched(detector(model_folder), traffic(40, seed=9))
    for head in ("motion", "flow", "speed", "direction", "dwell"):
        values = [dict(one.series).get(head, 0.0) for one in seen]
        assert np.quantile(values, 0.97) < 0.6, head
    assert np.median([one.score for one in seen]) < 0.4


def test_the_first_frame_has_no_score_and_says_so(model_folder: Path) -> None:
    seen = watched(detector(model_folder), traffic(1, seed=5))
    assert [one.reason for one in seen] == [NoScore.WARMING_UP] + [None] * (FPS - 1)


def test_every_second_frame_of_a_fast_camera_is_looked_at_and_the_others_are_explained(model_folder: Path) -> None:
    shots = [replace(shot, received_ns=shot.received_ns - number * 50_000_000)
             for number, shot in enumerate(traffic(8, seed=5))]  # fmt: skip
    reasons = [one.reason for one in watched(detector(model_folder), shots)][20:]
    assert set(reasons) == {None, NoScore.NOT_SAMPLED}
    assert reasons[::2].count(reasons[0]) == len(reasons[::2])
    assert reasons.count(None) == len(reasons) / 2


def test_frames_that_arrive_unevenly_are_all_looked_at(model_folder: Path) -> None:
    rng = np.random.default_rng(0)
    shots = [replace(shot, received_ns=shot.received_ns + int(rng.uniform(0, 90e6))) for shot in traffic(5, seed=5)]
    reasons = [one.reason for one in watched(detector(model_folder), shots)]
    assert reasons[1:].count(None) == len(shots) - 1


def test_with_b_frames_scores_are_as_without(model_folder: Path) -> None:
    # Shown as I B B P B B P ..., each P arrives before the two B that are shown ahead of it.
    shots = list(traffic(6, seed=5, runner_s=(3.0, 5.0)))
    came = [0] + [n - 2 if n % 3 == 0 else n + 1 for n in range(1, len(shots))]
    late = [replace(shot, received_ns=shots[0].received_ns + at * SECOND // FPS)
            for shot, at in zip(shots, came, strict=True)]  # fmt: skip
    there, seen = watched(detector(model_folder), shots), watched(detector(model_folder), late)
    assert [one.score for one in seen] == [one.score for one in there]
    assert [one.reason for one in seen] == [one.reason for one in there]


def test_as_many_frames_are_looked_at_however_deep_b_frames_lie() -> None:
    # A camera of 25 frames a second, three B-frames between two others, the middle one shown last of what it needs.
    came = [0] + [4 * group + at for group in range(100) for at in (3, 2, 4, 1)]
    pace, state = Pace(0.1 * SECOND), PaceState()
    due = [pace.is_due(SECOND + at * SECOND // 25, state) for at in came]
    assert sum(due[100:]) == pytest.approx(len(due[100:]) * 0.5, abs=2)


def test_shake_of_half_a_pixel_is_not_news(model_folder: Path) -> None:
    shots = shaking(traffic(12, seed=5, runner_s=RUNS_S), 0.5, seed=3)
    seen = watched(detector(model_folder), shots)
    calm = [one.score for one in seen[: round(RUNS_S[0] * FPS)]]
    assert highest(seen, *RUNS_S) > 0.7
    assert np.quantile(calm, 0.9) < 0.55
    # Not stabilised, each shift would be motion of the whole picture.
    assert max(calm) < highest(seen, *RUNS_S)


def test_regions_decide_where_something_can_be_odd(model_folder: Path) -> None:
    one = detector(model_folder)
    for regions in ((UPPER_HALF,), (MIDDLE_IGNORED,)):
        seen = watched(one, traffic(12, seed=5, runner_s=RUNS_S), regions)
        assert highest(seen, *RUNS_S) < 0.55
        for observation in seen:
            for box in observation.boxes:
                assert box.y < 0.5


def test_a_state_that_was_stored_goes_on_to_the_bit(model_folder: Path) -> None:
    one, other = detector(model_folder), detector(model_folder)
    shots = list(shaking(traffic(8, seed=5, runner_s=RUNS_S), 0.4, seed=3))
    state = one.start()
    for shot in shots[:45]:
        _, state = one.inspect(shot, state, ())
    packed = one.pack(state)
    assert len(packed) < 4 << 20
    again = other.unpack(packed)
    for shot in shots[45:]:
        here, state = one.inspect(shot, state, ())
        there, again = other.inspect(shot, again, ())
        assert here == there


_SCRIPT = """
import sys
from pathlib import Path
from detector_pool.detector import Setup
from detector_pool.models import open_model
from detector_pool.normality.detector import Normality
from detector_pool.normality.heads import Level
from detector_pool.normality.view import SECOND, Pace, PaceState
from tests.normal_traffic import traffic
one = Normality(Setup("yard", {}, open_model(Path(sys.argv[1]))))
state = one.unpack(sys.stdin.buffer.read())
for number, shot in enumerate(traffic(8, seed=5, runner_s=(4.0, 7.0))):
    if number >= 45:
        observation, state = one.inspect(shot, state, ())
        print(observation.score.hex())
"""


def test_another_process_goes_on_with_equal_scores(model_folder: Path) -> None:
    one = detector(model_folder)
    state, scores = one.start(), []
    for number, shot in enumerate(traffic(8, seed=5, runner_s=RUNS_S)):
        observation, state = one.inspect(shot, state, ())
        if number == 44:
            packed = one.pack(state)
        scores.append(observation.score.hex())
    told = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(model_folder)], input=packed, capture_output=True, check=True, timeout=60
    )
    assert told.stdout.decode().split() == scores[45:]


def test_a_state_of_another_model_is_refused(model_folder: Path, trained: TrainedModel, tmp_path: Path) -> None:
    mode = replace(trained.modes[0], levels=tuple(Level(one.now * 2, one.event) for one in trained.modes[0].levels))
    replace(trained, modes=(mode,)).write(tmp_path / "other")
    other = detector(tmp_path / "other")
    with pytest.raises(ValueError, match="is a state of"):
        other.unpack(detector(model_folder).pack(detector(model_folder).start()))


def test_a_pause_starts_anew_without_a_score(model_folder: Path) -> None:
    one = detector(model_folder)
    shots = [*traffic(2, seed=5), *traffic(2, seed=6, start_ns=1_700_000_900_000_000_000)]
    assert [number for number, seen in enumerate(watched(one, shots)) if seen.reason] == [0, 20]


def test_pictures_of_another_size_are_refused_with_a_remedy(model_folder: Path) -> None:
    one, shot = detector(model_folder), next(traffic(1, seed=5))
    with pytest.raises(InvalidArgument, match="does not fit the model's canvas"):
        one.inspect(replace(shot, y=shot.y[:48]), one.start(), ())


def test_a_written_model_passes_its_golden_frames_and_has_a_card(model_folder: Path, trained: TrainedModel) -> None:
    found = check_model(open_model(model_folder))
    assert found.golden.frames == 12
    assert found.golden.is_exact
    card = json.loads((model_folder / "card.json").read_text())
    assert card["camera"] == "yard"
    assert card["canvas"] == [WIDTH, HEIGHT]
    assert card["fps"] == FPS
    assert card["is_provisional"] is True
    assert "provisional" in trained.sentence
    assert len(card["left_out"]) == len(trained.odd) > 0


def test_the_graph_is_small_and_has_no_shape_left_open(model_folder: Path) -> None:
    model = onnx.load(str(model_folder / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert {one.name for one in model.graph.input} == {
        "previous", "current", "seen", "judged", "state", "accumulator"
    }  # fmt: skip
    assert len(model.SerializeToString()) < 2 << 20


def test_what_stands_out_in_the_footage_is_left_out_and_listed(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector_pool.training.fitting.STEPS", 5)
    monkeypatch.setattr("detector_pool.training.gathering.SHAKES_PX", (0.0,))
    odd = train_normality(traffic(70, seed=1, runner_s=(30.0, 33.0)), camera="yard", fps=FPS).odd
    start_s = [(one.from_ns - trained.from_ns) / 1e9 for one in odd]
    assert any(28 < start < 34 for start in start_s)
    assert all("stands out" in str(one) for one in odd)


def test_by_infrared_another_model_judges(trained: TrainedModel, tmp_path: Path) -> None:
    by_day = trained.modes[0]
    # Levels far out of reach, so that it can be told which of the two has judged.
    blind = replace(by_day, light="infrared", levels=tuple(Level(1e6, 1e6) for _ in by_day.levels))
    replace(trained, modes=(replace(by_day, light="day"), blind)).write(tmp_path / "both")
    one, state = detector(tmp_path / "both"), detector(tmp_path / "both").start()
    scores = []
    for number, shot in enumerate(traffic(16, seed=5)):
        chroma = np.full((HEIGHT // 2, WIDTH // 2), 128 if number >= 80 else 150, np.uint8)
        observation, state = one.inspect(replace(shot, u=chroma, v=chroma), one.unpack(one.pack(state)), ())
        scores.append(observation.score)
        assert (observation.reason is NoScore.WARMING_UP) == (number in (0, 89)), number
    assert max(scores[20:89]) > 0.1
    assert max(scores[90:]) < 0.001


def test_a_covered_minute_is_not_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector_pool.training.fitting.STEPS", 2)
    monkeypatch.setattr("detector_pool.training.gathering.SHAKES_PX", (0.0,))
    shots = [
        replace(shot, y=np.full_like(shot.y, 20)) if 600 <= number < 760 else shot
        for number, shot in enumerate(traffic(90, seed=1))
    ]
    found = [one for one in train_normality(shots, camera="yard", fps=FPS).odd if "picture fault" in one.why]
    assert found
    start_s = (found[0].from_ns - shots[0].received_ns) / 1e9
    assert 58 < start_s < 72


def test_less_than_a_minute_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="needs a minute"):
        train_normality(traffic(20, seed=1), camera="yard", fps=FPS)


def test_footage_in_which_nothing_moves_is_refused() -> None:
    still = [replace(shot, y=np.full((HEIGHT, WIDTH), 90, np.uint8)) for shot in traffic(65, seed=1)]
    with pytest.raises(InvalidArgument, match="moves"):
        train_normality(still, camera="yard", fps=FPS)

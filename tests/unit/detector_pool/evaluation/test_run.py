"""Detectors over test clips: states of their own, frames without scores, measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector_pool.canvas import RegionMask
from detector_pool.detector import FoundBox, Observation
from detector_pool.evaluation.dataset import open_dataset
from detector_pool.evaluation.run import evaluate, sampled
from detector_pool.picture import Picture, Shot
from detector_pool.reasons import NoScore
from mesh.ids import FrameId


class Brightness:
    """Scores how bright the picture is; the first of each run is not scored; its state counts frames."""

    name = "brightness@1"

    def __init__(self, fails_at: int = -1) -> None:
        self.seen: list[int] = []
        self._fails_at = fails_at

    def start(self) -> int:
        return 0

    def inspect(self, picture: Picture, state: int, regions: Sequence[RegionMask]) -> tuple[Observation, int]:
        self.seen.append(state)
        if state == 0:
            return Observation(reason=NoScore.WARMING_UP), 1
        if state == self._fails_at:
            raise RuntimeError("broken")
        score = float(picture.y.mean()) / 255
        box = FoundBox(0.0, 0.0, 0.5, 0.5, "bright", score)
        return Observation(score, (box,) if score > 0.5 else ()), state + 1

    def pack(self, state: int) -> bytes:
        return bytes([state])

    def unpack(self, data: bytes) -> int:
        return data[0]


def benchmark(folder: Path, clips: dict[str, list[int]], boxes: bool = False) -> Path:
    for name, levels in clips.items():
        (folder / "test" / name).mkdir(parents=True)
        for number, level in enumerate(levels):
            Image.new("L", (16, 12), level).save(folder / "test" / name / f"{number}.png")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{name}.csv").write_text("".join(f"{int(level > 100)}\n" for level in levels))
        if boxes:
            (folder / "boxes").mkdir(exist_ok=True)
            rows = [f"{n},1,0,0,8,6\n" for n, level in enumerate(levels) if level > 100]
            (folder / "boxes" / f"{name}.csv").write_text("".join(rows))
    return folder


def test_states_begin_anew_with_each_clip_and_scores_are_not_normalised(tmp_path: Path) -> None:
    detector = Brightness()
    found = evaluate(open_dataset(benchmark(tmp_path, {"a": [0, 10, 200, 220], "b": [0, 20, 240, 30]})), detector)
    assert detector.seen == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [one.name for one in found.clips] == ["a", "b"]
    assert found.clips[0].timed.scored.scores.tolist() == [10 / 255, 10 / 255, 200 / 255, 220 / 255]
    assert found.clips[0].shown.scored.scores.tolist() == [0, 10 / 255, 200 / 255, 220 / 255]
    assert (found.micro_auc, found.macro_auc, found.macro_clips) == (1.0, 1.0, 2)
    assert (found.frames, found.abnormal, dict(found.unscored)) == (8, 3, {"warming up": 2})
    assert found.frames_per_second > 0


def test_frames_without_a_score_keep_the_last_and_failures_are_told(tmp_path: Path) -> None:
    found = evaluate(open_dataset(benchmark(tmp_path, {"a": [0, 10, 200, 220, 230, 240]})), Brightness(fails_at=2))
    # Scored, failed, begun anew and not scored, scored.
    scores = found.clips[0].timed.scored.scores
    assert [round(score * 255) for score in scores] == [10, 10, 10, 10, 230, 230]
    assert found.unscored["detector failed"] == 2
    assert any("failed" in warning for warning in found.warnings)


def test_a_clip_that_begins_with_an_event_is_not_held_against_who_warms_up_but_the_delay_is(tmp_path: Path) -> None:
    clips = {"a": [240, 240, 240, 20, 20], "b": [20] * 5, "c": [10] * 5}
    found = evaluate(open_dataset(benchmark(tmp_path, clips)), Brightness())
    assert (found.micro_auc, found.macro_auc) == (1.0, 1.0)
    assert [row.delay_s for row in found.rates] == [pytest.approx(0.1)] * 3


def test_a_clip_without_any_score_has_none(tmp_path: Path) -> None:
    found = evaluate(open_dataset(benchmark(tmp_path, {"a": [0], "b": [200]})), Brightness())
    assert [one.timed.scored.scores.tolist() for one in found.clips] == [[0.0], [0.0]]


def test_boxes_are_compared_in_pixels_of_the_clip(tmp_path: Path) -> None:
    found = evaluate(open_dataset(benchmark(tmp_path, {"a": [0, 10, 200, 220]}, boxes=True)), Brightness())
    assert found.regions is not None
    assert found.regions.rbdc == 1.0
    assert evaluate(open_dataset(benchmark(tmp_path / "b", {"a": [0, 10, 200]})), Brightness()).regions is None


def test_labels_that_lie_late_are_warned_of(tmp_path: Path) -> None:
    found = evaluate(open_dataset(benchmark(tmp_path, {"a": [0, 10, 200, 220]})), Brightness())
    assert found.leakage == 1.0
    assert any("position" in warning for warning in found.warnings)


def test_shake_moves_what_the_detector_is_shown_repeatably(tmp_path: Path) -> None:
    folder = tmp_path / "test" / "a"
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    for number in range(4):
        Image.fromarray(random.integers(0, 255, (24, 32), dtype=np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.csv").write_text("0\n0\n1\n1\n")
    dataset = open_dataset(tmp_path)
    still, once, again = (
        evaluate(dataset, Brightness(), shake=shake, seed=7).clips[0].timed.scored.scores for shake in (0, 0.5, 0.5)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(still, once)


@pytest.mark.parametrize(("fps", "max_fps", "looked_at"), [(25, 0, 100), (25, 5, 20), (30, 10, 34), (10, 12, 100)])
def test_no_more_pictures_than_asked_for_are_shown(fps: int, max_fps: float, looked_at: int) -> None:
    shots = [Shot(FrameId("c", 1, n), 10**18 + round(n / fps * 1e9), np.zeros((4, 4), np.uint8)) for n in range(100)]
    due = [is_due for _, is_due in sampled(shots, max_fps)]
    assert abs(sum(due) - looked_at) <= 1
    assert due[0]

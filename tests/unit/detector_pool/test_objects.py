"""Detectors of users' models: objects followed, clips scored, and what does not fit told with the remedy."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector_pool.canvas import RegionMask
from detector_pool.detector import Detector, NoScore, Observation, Setup
from detector_pool.golden import write_golden
from detector_pool.models import ModelFiles, check_model, open_files
from detector_pool.onnx_models import clip, objects, places, pose
from detector_pool.picture import Shot
from detector_pool.registry import detector_types
from detector_pool.soundness import sound
from mesh.errors import DataLoss, InvalidArgument
from tests.tiny_models import CLIP_TOML, TINY_TOML, bright_finder, change_scorer, constant_graph, model_of, shot


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return model_of(tmp_path_factory.mktemp("tiny"), TINY_TOML, bright_finder())


def made(model: ModelFiles, **options: Any) -> Detector[Any]:
    return objects.make(Setup("gate", options, model))


def watched(detector: Detector[Any], shots: list[Shot], regions: tuple[RegionMask, ...] = ()) -> list[Observation]:
    state = detector.start()
    said = []
    for one in shots:
        observation, state = detector.inspect(one, state, regions)
        said.append(observation)
    return said


def test_a_bright_square_is_found_where_it_is_and_keeps_its_number(tiny: ModelFiles) -> None:
    detector = made(tiny)
    said = watched(detector, [shot(i, [(2, 4)]) for i in range(5)])
    assert detector.name == f"objects@1:{tiny.digest[:12]}"
    box = said[-1].boxes[0]
    assert (box.x, box.y, box.width, box.height) == pytest.approx((2 / 8, 4 / 8, 1 / 8, 1 / 8))
    assert (box.label, box.track, said[-1].score) == ("bright", 1, 1.0)
    assert said[-1].series == (("count.bright", 1.0), ("count.dark", 0.0))
    assert said[0].boxes[0].track == 0
    assert [one.said for one in watched(detector, [shot(0, [(2, 4)]), shot(0, [(2, 4), (6, 6)])])] == [
        "bright",
        "2 x bright",
    ]


def test_nothing_in_the_picture_scores_nothing(tiny: ModelFiles) -> None:
    assert watched(made(tiny), [shot(0)]) == [Observation(0.0, series=(("count.bright", 0.0), ("count.dark", 0.0)))]


def test_a_class_that_is_not_wanted_is_not_found(tiny: ModelFiles) -> None:
    assert watched(made(tiny, classes=["dark"]), [shot(0, [(2, 4)])])[0].score == 0.0


def test_a_weak_thing_has_a_score_but_no_box(tiny: ModelFiles) -> None:
    said = watched(made(tiny), [shot(i, [(2, 4)], level=64) for i in range(3)])[-1]
    assert said.score == pytest.approx(64 / 255, abs=0.01)
    assert said.boxes == ()


def test_only_what_lies_in_a_region_counts(tiny: ModelFiles) -> None:
    left = RegionMask(False, ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
    said = watched(made(tiny), [shot(i, [(6, 2)]) for i in range(3)], (left,))
    assert all(one.score == 0.0 and not one.boxes for one in said)
    said = watched(made(tiny), [shot(i, [(i, 2)], fps=4) for i in range(6)], (left,))
    assert [one.score for one in said] == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    ignored = RegionMask(True, left.corners)
    assert watched(made(tiny), [shot(0, [(1, 2)])], (ignored,))[0].score == 0.0
    assert watched(made(tiny), [shot(0, [(6, 2)])], (ignored,))[0].score == 1.0


@pytest.mark.parametrize(
    ("ignored_from", "counts_there"),
    [(0.0, False), (0.3, False), (0.45, False), (0.75, True), (1.0, True)],
)
def test_what_stands_in_an_ignored_region_counts_if_most_of_it_is_seen(ignored_from: float, counts_there: bool) -> None:
    below = RegionMask(True, ((0.0, ignored_from), (1.0, ignored_from), (1.0, 1.1), (0.0, 1.1)))
    assert places.counts(0.4, 0.0, 0.2, 1.0, (below,)) is counts_there


def test_lines_bound_nothing_and_what_lies_half_in_a_region_counts() -> None:
    line = RegionMask(False, ((0.0, 0.0), (1.0, 1.0)), is_line=True)
    assert places.counts(0.1, 0.1, 0.1, 0.1, (line,))
    upper = RegionMask(False, ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)))
    assert places.counts(0.4, 0.2, 0.2, 0.5, (upper, line))
    assert not places.counts(0.4, 0.4, 0.2, 0.5, (upper, line))


def test_small_things_do_not_count_where_they_shall_not(tiny: ModelFiles) -> None:
    assert watched(made(tiny, min_size=0.6), [shot(0, [(2, 4)])])[0].score == 0.0


def test_frames_beyond_the_rate_are_told_as_not_sampled(tiny: ModelFiles) -> None:
    said = watched(made(tiny, fps=5), [shot(i, [(2, 4)], fps=25) for i in range(26)])
    looked_at = [i for i, one in enumerate(said) if one.reason is None]
    assert looked_at == [0, 5, 10, 15, 20, 25]
    assert all(one.reason in (None, NoScore.NOT_SAMPLED) for one in said)


def test_a_picture_that_was_overwritten_teaches_nothing(tiny: ModelFiles) -> None:
    detector = made(tiny)
    lost = shot(0, [(2, 4)])
    lost.still_valid = lambda: False
    with pytest.raises(DataLoss):
        detector.inspect(lost, detector.start(), ())


def test_the_graph_runs_once_a_picture_for_all_its_detectors(tiny: ModelFiles) -> None:
    one, other = made(tiny), made(tiny, score_threshold=0.6)
    picture = shot(0, [(2, 4)])
    runs = one._model.runs  # type: ignore[attr-defined]
    assert runs is other._model.runs  # type: ignore[attr-defined]
    before = sum(runs.batches.values())
    one.inspect(picture, one.start(), ())
    other.inspect(picture, other.start(), ())
    assert sum(runs.batches.values()) == before + 1


def test_cameras_that_share_a_graph_get_what_each_would_get_alone(tiny: ModelFiles) -> None:
    def film(camera: int) -> list[Shot]:
        return [shot(i, [((i + camera) % 8, camera % 8)], level=100 + 7 * camera) for i in range(40)]

    alone = [watched(made(tiny), film(camera)) for camera in range(6)]
    together: dict[int, list[Observation]] = {}
    threads = [
        threading.Thread(target=lambda camera=camera: together.update({camera: watched(made(tiny), film(camera))}))
        for camera in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [together[camera] for camera in range(6)] == alone


def test_a_state_goes_on_elsewhere_to_the_bit_and_not_with_another_model(tiny: ModelFiles, tmp_path: Path) -> None:
    model_of(tmp_path, TINY_TOML, bright_finder(), labels__txt=b"bright\ndark\n")
    detector = made(tiny, fps=7)
    state = detector.start()
    for index in range(30):
        one = shot(index, [(index // 4, 2), (7 - index // 5, 5)][: 1 + index % 2])
        again, other = detector.inspect(one, detector.unpack(detector.pack(state)), ())
        said, state = detector.inspect(one, state, ())
        assert said == again
        assert detector.pack(state) == detector.pack(other)
    with pytest.raises(ValueError, match="is a state of objects"):
        made(open_files(tmp_path)).unpack(detector.pack(state))


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('detector = "objects"\nname = "x"\nlabels = "coco"', "decoder in detector.toml of model x: is missing"),
        (TINY_TOML.replace("yolox", "yolxo"), "Did you mean 'yolox'?"),
        (TINY_TOML.replace('"dark"', '"dark", "grey"'), "expects one output 1x84x8"),
        (TINY_TOML.replace("yolox", "yolov8"), "expects one output 1x6x84"),
        (TINY_TOML.replace("yolox", "yolov8"), 'say decoder = "yolox"'),
        (TINY_TOML + "lables = 5", "that is not known: 'lables'. Did you mean labels?"),
        (TINY_TOML + "[input]\nwidth = 32", "Leave it out, or say 64"),
        (TINY_TOML + '[input]\ncolours = "gbr"', "is 'gbr'"),
        (TINY_TOML + "[input]\nrange = [0]", "Write 2 numbers"),
        (TINY_TOML + "[input]\ndeviation = [0]", "Values are divided by it"),
        (TINY_TOML + "[input]\nhieght = 5", "Did you mean height?"),
        (TINY_TOML + "[output]\nstride = [8]", "Did you mean strides?"),
        (TINY_TOML + "input = 5", "Write it as a table"),
        (TINY_TOML.replace('["bright", "dark"]', '"lables.txt"'), "has no file 'lables.txt'"),
        (TINY_TOML.replace('["bright", "dark"]', "[]"), "1 to 4096 labels"),
        (TINY_TOML + 'classes = ["brihgt"]', "Did you mean 'bright'?"),
        (TINY_TOML + 'file = "other.onnx"', "has no file 'other.onnx'"),
        (TINY_TOML.replace('"objects"', '"pose"'), 'Say detector = "pose"'),
    ],
)
def test_a_detector_toml_that_does_not_fit_is_told_with_the_remedy(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        made(model_of(tmp_path, toml, bright_finder()))
    assert says in str(refused.value)


def test_a_file_that_is_no_graph_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"model\.onnx of model tiny: cannot be loaded"):
        made(model_of(tmp_path, TINY_TOML, b"not a graph"))


def test_without_a_model_the_remedy_is_to_name_one() -> None:
    for kind in (objects.TYPE, pose.TYPE, clip.TYPE):
        with pytest.raises(InvalidArgument, match="trueframe models list"):
            kind.make(Setup("gate"))


def test_the_types_are_registered_and_need_a_model() -> None:
    for name in ("objects", "pose", "clip"):
        assert detector_types()[name].needs_model


def test_golden_frames_that_give_what_is_stored_pass_and_others_do_not(tmp_path: Path) -> None:
    model = model_of(tmp_path, TINY_TOML, bright_finder())
    write_golden(tmp_path, made(model), [shot(i, [(2, 4)], level=200) for i in range(3)])
    model = open_files(tmp_path)
    checked = check_model(model)
    assert (checked.golden.frames, checked.golden.greatest_difference) == (3, 0.0)
    index = tmp_path / "golden.json"
    index.write_text(index.read_text().replace('"score": 0.78', '"score": 0.75'))
    with pytest.raises(InvalidArgument, match=r"golden frame 0 of model tiny: scores 0\.78"):
        check_model(open_files(tmp_path))
    index.write_text("{")
    with pytest.raises(InvalidArgument, match=r"golden\.json of model tiny: cannot be read"):
        check_model(open_files(tmp_path))


def test_a_pose_brings_its_key_points(tmp_path: Path) -> None:
    person = np.zeros((1, 6, 56), np.float32)
    person[0, 0, :51] = np.tile([0.25, 0.5, 0.9], 17)
    person[0, 0, 51:] = [0.25, 0.25, 0.75, 0.5, 0.8]
    toml = 'detector = "pose"\nname = "poses"\ndecoder = "movenet"\n'
    detector = pose.make(Setup(model=model_of(tmp_path, toml, constant_graph([person]))))
    said = watched(detector, [shot(0), shot(1)])[-1]
    box = said.boxes[0]
    assert (box.x, box.y, box.width, box.height) == pytest.approx((0.25, 0.25, 0.25, 0.5))
    assert (box.label, box.track) == ("person", 1)
    assert len(box.key_points) == 17
    assert (box.key_points[0].x, box.key_points[0].y) == pytest.approx((0.5, 0.25))
    assert said.score == pytest.approx(0.8)


def test_whatever_a_graph_puts_out_what_is_said_of_it_is_sound(tmp_path: Path) -> None:
    persons = np.zeros((1, 6, 56), np.float32)
    persons[0, :, 51:] = [0.2, 0.2, 0.8, 0.8, 1.0005]
    persons[0, 0, :51], persons[0, 1, 5] = np.nan, np.inf
    persons[0, 2, 51:55], persons[0, 3, 51:55] = np.nan, [-1e30, -1e30, 1e30, 1e30]
    persons[0, 4, 51:55], persons[0, 5, 51:55] = [0.9, 0.9, 0.1, 0.1], [-0.1, -0.1, 0.15, 0.15]
    persons[0, 1, 51:55] = [0.85, 0.85, 1.3, 1.3]
    toml = 'detector = "pose"\nname = "poses"\ndecoder = "movenet"\n'
    detector = pose.make(Setup(model=model_of(tmp_path, toml, constant_graph([persons]))))
    for said in watched(detector, [shot(i) for i in range(3)]):
        assert sound(said) == said
        assert said.score == 1.0
        assert len(said.boxes) == 3


def grey(index: int, level: int) -> Shot:
    one = shot(index)
    one.y[:] = level
    return one


def test_a_clip_is_scored_when_it_is_full_and_every_stride_frames(tmp_path: Path) -> None:
    detector = clip.make(Setup(model=model_of(tmp_path, CLIP_TOML, change_scorer()), options={"stride": 2}))
    said = watched(detector, [grey(i, i * i * 3) for i in range(9)])
    assert [one.reason for one in said[:3]] == [NoScore.WARMING_UP] * 3
    assert said[3].score == pytest.approx(27 / 255, abs=0.01)
    assert said[4].score == said[3].score
    assert said[5].score == pytest.approx((75 - 12) / 255, abs=0.01)
    steady = watched(detector, [grey(i, 100) for i in range(9)])
    assert steady[-1].score == pytest.approx(0.0, abs=1e-6)


def test_a_clips_state_goes_on_elsewhere_to_the_bit(tmp_path: Path) -> None:
    detector = clip.make(Setup(model=model_of(tmp_path, CLIP_TOML, change_scorer())))
    state = detector.start()
    for index in range(12):
        one = grey(index, (index * 53) % 256)
        again, _ = detector.inspect(one, detector.unpack(detector.pack(state)), ())
        said, state = detector.inspect(one, state, ())
        assert said == again
        assert len(detector.pack(state)) < 4 << 20


def test_after_a_pause_a_clip_begins_again(tmp_path: Path) -> None:
    detector = clip.make(Setup(model=model_of(tmp_path, CLIP_TOML, change_scorer())))
    said = watched(detector, [grey(i if i < 5 else i + 50, 100) for i in range(7)])
    assert [one.reason is None for one in said] == [False, False, False, True, True, False, False]


def test_a_classifier_scores_by_its_abnormal_classes(tmp_path: Path) -> None:
    logits = np.log(np.array([[0.4, 0.4, 0.2]], np.float32))
    toml = CLIP_TOML.replace('"score"', '"classes"\nlabels = ["walk", "fight", "fall"]\nabnormal = ["fight", "fall"]')
    graph = constant_graph([logits], (3, 4, 16, 16))
    detector = clip.make(Setup(model=model_of(tmp_path, toml, graph)))
    said = watched(detector, [grey(i, 100) for i in range(4)])[-1]
    assert said.score == pytest.approx(0.6)
    assert dict(said.series) == pytest.approx({"class.fight": 0.4, "class.fall": 0.2})
    assert said.said == "fight"
    with pytest.raises(InvalidArgument, match="does not know"):
        clip.make(Setup(model=model_of(tmp_path, toml.replace('["fight', '["fihgt'), graph)))
    with pytest.raises(InvalidArgument, match="expects 1x2, one for each label, but it puts out 1x3"):
        clip.make(Setup(model=model_of(tmp_path, toml.replace('"walk", ', ""), graph)))


def test_a_clip_that_would_not_fit_into_a_state_is_refused(tmp_path: Path) -> None:
    graph = constant_graph([np.zeros((1, 1), np.float32)], (3, 32, 224, 224))
    with pytest.raises(InvalidArgument, match=r"keeps 32 frames of 224x224: 4\.6 MiB"):
        clip.make(Setup(model=model_of(tmp_path, CLIP_TOML, graph)))

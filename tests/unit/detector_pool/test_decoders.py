"""Decoders read what each kind of model puts out, and refuse what another one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from detector_pool.onnx_models.candidates import Candidates, best_classes, from_centres, suppressed
from detector_pool.onnx_models.decoders import OBJECTS, POSES, Decoder, Frame, checked_decoder
from detector_pool.onnx_models.fields import Fields
from mesh.errors import InvalidArgument

FRAME = Frame(64, 32, 3)
CELLS = 8 * 4 + 4 * 2 + 2 * 1
BOX = (10.0, 8.0, 30.0, 24.0)
"""Left, top, right, bottom of the one thing in all of these, of class 1 with a score of 0.72."""


def decoder(name: str, outputs: Sequence[np.ndarray], frame: Frame = FRAME, **said: Any) -> Decoder:
    makers: Mapping[str, Any] = OBJECTS if name in OBJECTS else POSES
    return checked_decoder(name, makers, Fields("m", said, "output"), frame, outputs, "model.onnx of model m")


def centred(box: Sequence[float] = BOX) -> list[float]:
    left, top, right, bottom = box
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def yolox() -> list[np.ndarray]:
    out = np.zeros((1, CELLS, 8), np.float32)
    # The cell in column 2, row 1 of stride 8: its corner lies at 16, 8, and centre and size are in cells.
    out[0, 1 * 8 + 2] = [(20 - 16) / 8, (16 - 8) / 8, np.log(20 / 8), np.log(16 / 8), 0.9, 0.1, 0.8, 0.1]
    return [out]


def nanodet() -> list[np.ndarray]:
    outputs = []
    for stride, rows, columns in ((8, 4, 8), (16, 2, 4), (32, 1, 2)):
        scores = np.zeros((1, rows * columns, 3), np.float32)
        sides = np.zeros((1, rows * columns, 4, 8), np.float32)
        if stride == 8:
            # From the middle of that cell, 20 and 12: 10, 4, 10 and 12 pixels to the sides, as whole and half bins.
            scores[0, 10] = [0.1, 0.72, 0.1]
            sides[0, 10] = -60.0
            for side, bins in enumerate(((1, 1, 1, 2), (0, 1), (1, 1, 1, 2), (1, 2))):
                for one in bins:
                    sides[0, 10, side, one] = np.log(bins.count(one))
        outputs += [sides.reshape(1, rows * columns, 32), scores]
    return outputs


def yolov5() -> list[np.ndarray]:
    out = np.zeros((1, 3 * CELLS, 8), np.float32)
    out[0, 50] = [*centred(), 0.9, 0.1, 0.8, 0.1]
    return [out]


def yolov8() -> list[np.ndarray]:
    out = np.zeros((1, 7, CELLS), np.float32)
    out[0, :, 20] = [*centred(), 0.1, 0.72, 0.1]
    return [out]


def yolov10() -> list[np.ndarray]:
    out = np.zeros((1, 300, 6), np.float32)
    out[0, 0] = [*BOX, 0.72, 1]
    return [out]


def rtdetr(form: int) -> list[np.ndarray]:
    boxes, scores = np.zeros((1, 30, 4), np.float32), np.zeros((1, 30, 3), np.float32)
    boxes[0, 5], scores[0, 5] = np.array(centred()) / (64, 32, 64, 32), [0.1, 0.72, 0.1]
    if form == 1:
        return [np.concatenate([boxes, scores], axis=2)]
    if form == 2:
        logits = np.full_like(scores, -20.0)
        logits[0, 5] = np.log(scores[0, 5] / (1 - scores[0, 5]))
        return [logits, boxes]
    labels, corners, sure = np.zeros((1, 30), np.int64), np.zeros((1, 30, 4), np.float32), np.zeros((1, 30), np.float32)
    labels[0, 5], corners[0, 5], sure[0, 5] = 1, BOX, 0.72
    return [labels, corners, sure]


KINDS = [
    ("yolox", yolox()), ("nanodet", nanodet()), ("yolov5", yolov5()), ("yolov8", yolov8()), ("yolov10", yolov10()),
    ("rtdetr", rtdetr(1)), ("rtdetr", rtdetr(2)), ("rtdetr", rtdetr(3)), ("rtdetr", rtdetr(2)[::-1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "outputs"), KINDS)
def test_each_decoder_finds_the_thing_where_it_is(name: str, outputs: list[np.ndarray]) -> None:
    found = decoder(name, outputs).decode(outputs, 0.3, None)
    assert found.corners.tolist() == [pytest.approx(BOX, abs=1e-3)]
    assert (found.classes.tolist(), found.scores.tolist()) == ([1], [pytest.approx(0.72, abs=1e-3)])


@pytest.mark.parametrize(("name", "outputs"), KINDS)
def test_classes_that_are_not_wanted_and_scores_that_are_too_low_are_left_out(
    name: str, outputs: list[np.ndarray]
) -> None:
    made = decoder(name, outputs)
    assert len(made.decode(outputs, 0.3, np.array([True, False, True]))) == 0
    assert len(made.decode(outputs, 0.3, np.array([False, True, False]))) == 1
    assert len(made.decode(outputs, 0.8, None)) == 0


@pytest.mark.parametrize(("name", "outputs"), KINDS[:6])
def test_a_graph_of_another_kind_is_refused_with_what_was_expected_and_what_would_fit(
    name: str, outputs: list[np.ndarray]
) -> None:
    for other in OBJECTS:
        if other == name:
            continue
        with pytest.raises(InvalidArgument) as refused:
            decoder(other, outputs)
        assert f"decoder {other}: expects " in str(refused.value)
        assert "puts out " + "x".join(map(str, outputs[0].shape)) in str(refused.value)
        assert "It has the form of " in refused.value.remedy
        assert name in refused.value.remedy


@pytest.mark.parametrize(("name", "outputs"), [KINDS[i] for i in (0, 1, 2, 3, 5, 6)])
def test_too_many_labels_are_told(name: str, outputs: list[np.ndarray]) -> None:
    with pytest.raises(InvalidArgument, match="labels too many or too few"):
        decoder(name, outputs, Frame(64, 32, 80))


@pytest.mark.parametrize(("name", "outputs"), [KINDS[0], KINDS[1], KINDS[2], KINDS[3]])
def test_logits_are_read_as_such_and_told_where_scores_were_expected(name: str, outputs: list[np.ndarray]) -> None:
    def logits(values: np.ndarray) -> np.ndarray:
        bounded: np.ndarray = np.clip(values, 1e-6, 1 - 1e-6)
        turned: np.ndarray = -np.log(1 / bounded - 1)
        return turned

    changed = [one.copy() for one in outputs]
    if name == "nanodet":
        changed[1::2] = [logits(one) for one in changed[1::2]]
    elif name == "yolov8":
        changed[0][:, 4:] = logits(changed[0][:, 4:])
    else:
        changed[0][..., 4:] = logits(changed[0][..., 4:])
    with pytest.raises(InvalidArgument, match='say scores = "logits"'):
        decoder(name, changed)
    found = decoder(name, changed, scores="logits").decode(changed, 0.3, None)
    assert found.scores.tolist() == [pytest.approx(0.72, abs=1e-3)]


def test_yolox_decoded_inside_is_read_in_pixels() -> None:
    outputs = yolox()
    outputs[0][0, 10, :4] = centred()
    found = decoder("yolox", outputs, boxes="pixels").decode(outputs, 0.3, None)
    assert found.corners.tolist() == [pytest.approx(BOX)]


def test_nanodet_with_one_output_measures_from_where_it_is_told() -> None:
    pairs = nanodet()
    whole = [np.concatenate([np.concatenate([pairs[i + 1], pairs[i]], axis=2) for i in (0, 2, 4)], axis=1)]
    found = decoder("nanodet", whole, centre=0.0).decode(whole, 0.3, None)
    assert found.corners.tolist() == [pytest.approx([one - 4 for one in BOX], abs=1e-3)]


def test_movenet_and_yolo_pose_bring_points_in_pixels() -> None:
    multi = np.zeros((1, 6, 56), np.float32)
    multi[0, 2, :51] = np.tile([0.5, 0.25, 0.9], 17)
    multi[0, 2, 51:] = [BOX[1] / 32, BOX[0] / 64, BOX[3] / 32, BOX[2] / 64, 0.72]
    yolo = np.zeros((1, 56, CELLS), np.float32)
    yolo[0, :, 20] = [*centred(), 0.72, *([16.0, 16.0, 0.9] * 17)]
    for name, outputs in (("movenet", [multi]), ("yolo-pose", [yolo])):
        found = decoder(name, outputs).decode(outputs, 0.3, None)
        assert found.points is not None
        assert found.corners.tolist() == [pytest.approx(BOX)]
        assert found.points[0, 16].tolist() == pytest.approx([16.0, 16.0, 0.9])
    with pytest.raises(InvalidArgument, match='say decoder = "yolo-pose"'):
        decoder("movenet", [yolo])


def test_movenet_of_one_person_makes_its_box_of_the_points() -> None:
    single = np.full((1, 1, 17, 3), 0.05, np.float32)
    single[0, 0, 0], single[0, 0, 16] = [0.25, 0.25, 0.9], [0.75, 0.5, 0.8]
    found = decoder("movenet", [single]).decode([single], 0.05, None)
    assert found.corners.tolist() == [pytest.approx([16, 8, 32, 24])]


@pytest.mark.parametrize("seed", range(20))
def test_of_overlapping_boxes_of_a_class_the_best_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = from_centres(rng.uniform([0, 0, 5, 5], [40, 40, 30, 30], (60, 4)).astype(np.float32))
    scores = (rng.integers(1, 20, 60) / 20).astype(np.float32)
    classes = rng.integers(0, 2, 60)
    found = suppressed(Candidates(corners, scores, classes), 0.4)
    kept: list[int] = []
    for i in sorted(range(60), key=lambda i: (-scores[i], i)):
        if all(classes[i] != classes[j] or share(corners[i], corners[j]) <= 0.4 for j in kept):
            kept.append(i)
    assert found.corners.tolist() == corners[kept].tolist()


def share(a: np.ndarray, b: np.ndarray) -> float:
    inside = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(inside / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inside))


def test_what_is_a_dog_before_it_is_a_person_is_a_dog() -> None:
    scores = np.array([[0.4, 0.6], [0.5, 0.2]], np.float32)
    rows, _, classes = best_classes(scores, 0.3, np.array([True, False]))
    assert (rows.tolist(), classes.tolist()) == ([1], [0])

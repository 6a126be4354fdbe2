"""Pictures prepared once, batched where cameras meet, and equal to the bit whatever the batch."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from detector_pool.onnx_models.batches import CPU_SIZES, GPU_SIZES, next_batch, stacked
from detector_pool.onnx_models.gathering import Gathering, equal_sizes
from detector_pool.onnx_models.graph import CPU, Graph, has_cuda_device, providers_here
from detector_pool.onnx_models.prepare import Placement, Preparation
from detector_pool.onnx_models.sampling import SECOND, is_due
from mesh.errors import InvalidArgument, Unavailable
from tests.tiny_models import bright_finder, saved, shot, tensor

WAIT_S = 30.0


@given(st.integers(1, 200), st.sampled_from([(1,), (4,), CPU_SIZES, GPU_SIZES]), st.booleans())
def test_every_batch_takes_somebody_and_is_of_a_size_that_was_proven(
    waiting: int, sizes: Sequence[int], fills: bool
) -> None:
    count, size = next_batch(waiting, sizes, fills=fills)
    assert 1 <= count <= waiting
    assert size in sizes
    assert count <= size
    assert fills or sizes[0] > 1 or count == size


def test_on_a_gpu_a_batch_is_filled_up_and_on_a_cpu_it_is_split() -> None:
    assert next_batch(3, GPU_SIZES, fills=True) == (3, 4)
    assert next_batch(3, CPU_SIZES, fills=False) == (2, 2)
    assert next_batch(3, (8,), fills=True) == (3, 8)
    assert next_batch(50, GPU_SIZES, fills=True) == (32, 32)


def test_what_stays_empty_in_a_batch_repeats_the_last_row() -> None:
    rows = [np.full((1, 2), i) for i in range(2)]
    assert stacked(rows, 4).tolist() == [[0, 0], [1, 1], [1, 1], [1, 1]]


class Held:
    """A graph that runs when it is told to, and doubles what it is given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.began = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, rows: np.ndarray) -> list[np.ndarray]:
        self.sizes.append(len(rows))
        self.began.release()
        assert self.go.acquire(timeout=WAIT_S)
        if (rows == 13).any():
            raise Unavailable("graph", "fails")
        return [rows * 2]


def asking(gathering: Gathering, values: Sequence[int]) -> tuple[list[threading.Thread], dict[int, Any]]:
    answers: dict[int, Any] = {}

    def ask(value: int) -> None:
        try:
            answers[value] = gathering.run(np.full((1, 3), value))[0].tolist()
        except Unavailable as error:
            answers[value] = str(error)

    threads = [threading.Thread(target=ask, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    return threads, answers


def wait_for_waiting(gathering: Gathering, count: int) -> None:
    deadline = threading.Event()
    for _ in range(3000):
        if len(gathering._waiting) == count:
            return
        deadline.wait(0.01)
    raise AssertionError(f"{len(gathering._waiting)} wait, not {count}")


def test_one_camera_never_waits_and_those_that_come_meanwhile_go_together() -> None:
    held = Held()
    gathering = Gathering("graph", held, sizes=(1, 2, 4))
    first, answers = asking(gathering, [1])
    assert held.began.acquire(timeout=WAIT_S)
    others, more = asking(gathering, [2, 3, 4, 5, 6])
    wait_for_waiting(gathering, 5)
    for _ in range(3):
        held.go.release()
    for thread in first + others:
        thread.join(WAIT_S)
    assert held.sizes == [1, 4, 1]
    assert answers | more == {value: [[value * 2] * 3] for value in range(1, 7)}
    assert gathering.batches == {1: 2, 4: 1}


def test_a_picture_that_the_graph_fails_on_fails_alone() -> None:
    held = Held()
    gathering = Gathering("graph", held, sizes=(1, 2, 4))
    first, answers = asking(gathering, [1])
    assert held.began.acquire(timeout=WAIT_S)
    others, more = asking(gathering, [2, 13])
    wait_for_waiting(gathering, 2)
    for _ in range(4):
        held.go.release()
    for thread in first + others:
        thread.join(WAIT_S)
    assert held.sizes == [1, 2, 1, 1]
    assert answers | more == {1: [[2] * 3], 2: [[4] * 3], 13: "graph: fails"}


def test_lanes_run_side_by_side() -> None:
    held = Held()
    gathering = Gathering("graph", held, sizes=(1,), lanes=2)
    threads, answers = asking(gathering, [1, 2, 3])
    assert held.began.acquire(timeout=WAIT_S)
    assert held.began.acquire(timeout=WAIT_S)
    wait_for_waiting(gathering, 1)
    for _ in range(3):
        held.go.release()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(answers) == 3


def test_lanes_that_come_free_at_once_all_go_on() -> None:
    held = Held()
    gathering = Gathering("graph", held, sizes=(1,), lanes=2)
    threads, answers = asking(gathering, [1, 2, 3, 4])
    wait_for_waiting(gathering, 2)
    for _ in range(2):
        assert held.began.acquire(timeout=WAIT_S)
    for _ in range(2):
        held.go.release()
    # Nobody is let go any more: both others run, or one of them was forgotten.
    for _ in range(2):
        assert held.began.acquire(timeout=WAIT_S)
    for _ in range(2):
        held.go.release()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(answers) == 4


def test_many_threads_all_get_their_own_answers() -> None:
    gathering = Gathering("graph", lambda rows: [rows * 2], sizes=(1, 2, 4), lanes=2)
    wrong: list[int] = []

    def ask(value: int) -> None:
        for step in range(200):
            row = np.full((1, 3), value * 1000 + step)
            if not np.array_equal(gathering.run(row)[0], row * 2):
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not wrong
    assert sum(size * count for size, count in gathering.batches.items()) == 1600


def test_a_batch_size_that_changes_a_single_bit_is_not_used() -> None:
    row = np.arange(8, dtype=np.float32)[None]
    assert equal_sizes(lambda rows: [rows * 3], row, (1, 2, 4)) == (1, 2, 4)
    assert equal_sizes(
        lambda rows: [np.nextafter(rows, 99, dtype=np.float32) if len(rows) == 4 else rows], row, (1, 2, 4)
    ) == (1, 2)
    assert equal_sizes(lambda rows: [rows[:1]], row, (1, 2, 4)) == (1,)


@pytest.fixture(scope="module")
def rows() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.uniform(0, 255, (1, 3, 64, 64)).astype(np.float32) for _ in range(4)]


@pytest.mark.parametrize("binds", [False, True])
def test_a_graph_gives_the_same_bits_in_every_batch_and_with_bound_memory(rows: list[np.ndarray], binds: bool) -> None:
    graph = Graph("tiny", "model.onnx", bright_finder(), binds=binds)
    plain = Graph("tiny", "model.onnx", bright_finder(), binds=False)
    assert graph.provider == CPU
    alone = [plain.run({"images": row})[0] for row in rows]
    for _ in range(2):
        together = graph.run({"images": np.concatenate(rows)})[0]
        assert together.tobytes() == np.concatenate(alone).tobytes()
        assert graph.run({"images": rows[2]})[0].tobytes() == alone[2].tobytes()
    assert equal_sizes(lambda batch: graph.run({"images": batch}), rows[0], CPU_SIZES) == CPU_SIZES


def test_the_provider_that_really_runs_is_told_and_one_that_does_not_is_refused() -> None:
    graph = Graph("tiny", "model.onnx", bright_finder(), provider="cpu")
    assert graph.settings["provider"] == graph.provider == CPU
    assert graph.settings["threads"] == "1"
    assert graph.runs_on == "CPU"
    if not has_cuda_device():
        assert providers_here("auto") == providers_here("cpu") == ("CPU",)
        with pytest.raises(Unavailable, match="CUDA for graph of model trial: was asked for and does not run"):
            providers_here("cuda")


def test_a_row_that_does_not_fit_fails_with_the_graphs_name(rows: list[np.ndarray]) -> None:
    graph = Graph("tiny", "model.onnx", bright_finder())
    with pytest.raises(Unavailable, match=r"model\.onnx of model tiny: fails"):
        graph.run({"images": rows[0][:, :1]})


def test_a_graph_that_does_not_come_to_an_end_is_stopped_on_its_trial() -> None:
    graph = Graph("endless", "model.onnx", endless())
    with pytest.raises(InvalidArgument, match=r"model\.onnx of model endless: takes longer than 0\.2 s"):
        graph.try_out({"x": np.ones(1, np.float32)}, 0.2)


def endless() -> bytes:
    """A loop of more rounds than anybody waits for."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Neg", ["value"], ["turned"])],
        "body",
        [helper.make_tensor_value_info("round", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []), tensor("value", 1)],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), tensor("turned", 1)],
    )  # fmt: skip
    weights = {"rounds": np.array(2**62, np.int64), "yes": np.array(True)}
    return saved(
        [helper.make_node("Loop", ["rounds", "yes", "x"], ["y"], body=body)],
        [tensor("x", 1)],
        [tensor("y", 1)],
        weights,
    )


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_done_to_a_graph_it_loads_or_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        data = bytearray(bright_finder())
        for _ in range(rng.choice((1, 1, 4))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(InvalidArgument):
            Graph("spoilt", "model.onnx", bytes(data))


def test_a_graph_with_weights_elsewhere_is_refused() -> None:
    model = onnx.load_from_string(bright_finder())
    for one in model.graph.initializer:
        one.data_location = onnx.TensorProto.EXTERNAL
        one.external_data.add(key="location", value="/etc/passwd")
        one.ClearField("raw_data")
    with pytest.raises(InvalidArgument, match="weights inside"):
        Graph("tiny", "model.onnx", model.SerializeToString())


# Preparation


def test_a_wide_picture_lies_in_the_middle_or_in_the_corner() -> None:
    assert Preparation(416, 416).placement(768, 432) == Placement(0, 91, 416, 234)
    assert Preparation(416, 416, place="corner").placement(768, 432) == Placement(0, 0, 416, 234)
    assert Preparation(416, 416).placement(432, 768) == Placement(91, 0, 234, 416)
    assert Preparation(416, 416, fit="stretch").placement(768, 432) == Placement(0, 0, 416, 416)


@given(st.integers(16, 2000), st.integers(16, 2000))
def test_a_point_of_the_input_is_the_same_point_of_the_picture(width: int, height: int) -> None:
    place = Preparation(320, 192).placement(width, height)
    assert place.left >= 0
    assert place.top >= 0
    assert place.left + place.width <= 320
    assert place.top + place.height <= 192
    corners = np.array([[place.left, place.top], [place.left + place.width, place.top + place.height]])
    assert place.fractions(corners).tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_colours_range_and_layout_are_as_the_model_wants_them() -> None:
    rgb = np.array([[[255, 51, 0]]], np.uint8)
    whole = Placement(0, 0, 1, 1)
    assert Preparation(1, 1).row(rgb, whole).ravel().tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert Preparation(1, 1, colours="bgr", high=255.0).row(rgb, whole).ravel().tolist() == [0.0, 51.0, 255.0]
    odd = Preparation(1, 1, mean=(0.5, 0.1, 0.0), deviation=(0.5, 0.1, 1.0)).row(rgb, whole)
    assert odd.ravel().tolist() == pytest.approx([1.0, 1.0, 0.0])
    pixels = Preparation(2, 1, is_planar=False, dtype="int32", high=255.0, padding=7).row(rgb, whole)
    assert pixels.dtype == np.int32
    assert pixels.tolist() == [[[[255, 51, 0], [7, 7, 7]]]]


def test_a_picture_is_prepared_once_for_all_who_want_it_alike() -> None:
    picture = shot(0, [(1, 1)])
    one, place = Preparation(32, 32, high=255.0).of(picture)
    other, _ = Preparation(32, 32, high=255.0).of(picture)
    third, _ = Preparation(32, 32, high=1.0).of(picture)
    assert one is other
    assert third is not one
    assert sum(name.startswith("rgb") for name in picture.derived) == 1
    assert place == Placement(0, 0, 32, 32)
    assert one[0, 0, 4:8, 4:8].tolist() == [[255.0] * 4] * 4


def test_luma_alone_is_a_grey_picture() -> None:
    picture = shot(0, [(1, 1)], level=99)
    coloured, _ = Preparation(64, 64, high=255.0).of(picture)
    picture.u = picture.v = None
    picture.derived.clear()
    alone, _ = Preparation(64, 64, high=255.0).of(picture)
    assert alone.tobytes() == coloured.tobytes()
    single, _ = Preparation(64, 64, channels=1, high=255.0).of(picture)
    assert single.shape == (1, 1, 64, 64)
    assert single[0, 0].tobytes() == coloured[0, 0].tobytes()


@pytest.mark.parametrize(("camera_fps", "fps"), [(25, 10), (30, 7), (10, 10), (10, 25), (12.5, 5)])
def test_so_many_frames_a_second_are_looked_at_whatever_the_camera_sends(camera_fps: float, fps: float) -> None:
    due, taken = 0, 0
    for index in range(int(camera_fps * 20)):
        is_taken, due = is_due(10**18 + round(index * SECOND / camera_fps), due, fps)
        taken += is_taken
    assert taken == pytest.approx(min(fps, camera_fps) * 20, abs=2)


def test_after_a_pause_and_when_time_goes_back_a_frame_is_looked_at_at_once() -> None:
    _, due = is_due(10**18, 0, 1.0)
    assert not is_due(10**18 + SECOND // 2, due, 1.0)[0]
    assert is_due(10**18 + 60 * SECOND, due, 1.0)[0]
    assert is_due(10**18 - 60 * SECOND, due, 1.0)[0]

"""A benchmark's folder: pictures and videos of all kinds in order, labels, and errors that name file and remedy."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from detector_pool.evaluation.clips import CAMERA, open_clip, read_picture
from detector_pool.evaluation.dataset import open_dataset, read_boxes, read_labels
from detector_pool.evaluation.shake import moved, shaking
from mesh.errors import InvalidArgument


def write_pictures(folder: Path, names: list[str], mode: str = "L", size: tuple[int, int] = (16, 12)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new(mode, size, (number * 10 if mode == "L" else (number * 10,) * 3)).save(folder / name)


def write_video(file: Path, frames: int, rate: int = 25) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuvj420p"
        for number in range(frames):
            picture = np.full((16, 32, 3), number * 20, dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def benchmark(folder: Path, labels: str = "0\n1\n1\n") -> Path:
    write_pictures(folder / "train" / "01", ["1.png", "2.png"])
    write_pictures(folder / "test" / "01", ["1.png", "2.png", "3.png"])
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "01.csv").write_text(labels)
    return folder


def test_pictures_come_in_natural_order_with_times_by_their_numbers(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", ["frame_9.png", "frame_10.png", "frame_11.png", "frame_14.png"])
    clip = open_clip(tmp_path / "a", 0, 5.0)
    assert [file.name for file in clip.files] == ["frame_9.png", "frame_10.png", "frame_11.png", "frame_14.png"]
    assert clip.gaps == ("12 to 13",)
    shots = list(clip.pictures())
    assert [int(shot.y[0, 0]) for shot in shots] == [0, 10, 20, 30]
    assert [(shot.received_ns - shots[0].received_ns) // 10**8 for shot in shots] == [0, 2, 4, 10]
    assert shots[0].id.camera == CAMERA
    assert shots[0].full_range


def test_every_tenth_number_is_no_gap(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", ["000.bmp", "010.bmp", "020.bmp"])
    clip = open_clip(tmp_path / "a", 0, None)
    assert (clip.gaps, clip.numbers, clip.fps) == ((), (0, 1, 2), 10.0)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_grey_and_colour_pictures_of_each_kind_are_read(tmp_path: Path, suffix: str) -> None:
    write_pictures(tmp_path, [f"grey.{suffix}"], size=(15, 9))
    Image.new("RGB", (15, 9), (200, 30, 30)).save(tmp_path / f"red.{suffix}")
    y, u, v = read_picture(tmp_path / f"grey.{suffix}")
    assert (y.shape, u, v) == ((9, 15), None, None)
    y, u, v = read_picture(tmp_path / f"red.{suffix}")
    assert y.shape == (9, 15)
    assert u is not None
    assert v is not None
    assert u.shape == v.shape == (5, 8)
    assert int(v[2, 2]) > 180 > int(y[2, 2]) > int(u[2, 2]) - 60
    assert y.dtype == np.uint8


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 257 * 100, dtype=np.uint16)).save(tmp_path / "a.tif")
    assert int(read_picture(tmp_path / "a.tif")[0][0, 0]) == 100


def test_hidden_files_and_other_kinds_are_no_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", ["1.png", "2.png"])
    (tmp_path / "a" / "._1.png").write_bytes(b"x")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    assert open_clip(tmp_path / "a", 0, None).count() == 2


def test_a_video_is_read_in_its_folder_or_as_it_stands_at_its_own_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "test" / "a" / "clip.avi", 6)
    write_video(tmp_path / "test" / "b.avi", 6)
    (tmp_path / "labels").mkdir()
    for name in "ab":
        (tmp_path / "labels" / f"{name}.csv").write_text("label\n0\n0\n1\n1\n0\n0\n")
    dataset = open_dataset(tmp_path)
    assert [one.clip.name for one in dataset.test] == ["a", "b"]
    for one in dataset.test:
        shots = list(one.clip.pictures())
        assert len(shots) == one.labels.size == 6
        assert one.clip.fps == 25.0
        assert [abs(int(shot.y[3, 3]) - 20 * n) < 8 for n, shot in enumerate(shots)] == [True] * 6
        assert shots[5].received_ns - shots[0].received_ns == 200_000_000
    assert open_dataset(tmp_path, 5.0).test[0].clip.fps == 5.0


def test_a_folder_is_read_with_labels_and_what_is_odd_is_noted(tmp_path: Path) -> None:
    benchmark(tmp_path)
    write_pictures(tmp_path / "test" / "02", ["1.png", "3.png", "4.png"])
    (tmp_path / "labels" / "02.csv").write_text("0\n0\n1\n")
    (tmp_path / "labels" / "03.csv").write_text("0\n")
    dataset = open_dataset(tmp_path)
    assert [clip.name for clip in dataset.train] == ["01"]
    assert [one.labels.tolist() for one in dataset.test] == [[False, True, True], [False, False, True]]
    assert any("numbers 2 are missing" in note for note in dataset.notes)
    assert any("03.csv" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "text",
    [
        "0\n1\n1\n",
        "label\n0\n1\n1",
        "\ufeff0\r\n1\r\n1\r\n\r\n",
        "frame,label\n0,0\n1,1\n2,1",
        "0,1,1\n",
        "0.0\n1.0\n1.0",
    ],
)
def test_labels_are_read_as_people_write_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / "a.csv").tolist() == [False, True, True]


def test_a_length_that_differs_names_file_and_counts(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"01\.csv: has 2 labels for the 3 frames of .*test/01"):
        open_dataset(benchmark(tmp_path, "0\n1\n"))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda f: (f / "labels" / "01.csv").unlink(), ["no labels", "01.csv", "line per frame"]),
        (lambda f: (f / "labels" / "01.csv").write_text("0\n2\n1\n"), ["01.csv", "line 2", "neither 0 nor 1"]),
        (lambda f: (f / "labels" / "01.csv").write_bytes(b"\xff\xfe\x00"), ["01.csv", "plain CSV"]),
        (lambda f: (f / "test" / "02").mkdir(), ["test/02", "no pictures and no video", "png"]),
        (lambda f: (f / "test" / "01" / "02.png").write_bytes(b""), ["twice", "2.png", "Keep one"]),
        (lambda f: (f / "test" / "01" / "x.avi").write_bytes(b""), ["1 videos and 3 pictures"]),
        (lambda f: (f / "test").rename(f / "tests"), ["no folder test", "labels/CLIP.csv"]),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_with_file_and_remedy(
    tmp_path: Path, break_it: object, words: list[str]
) -> None:
    benchmark(tmp_path)
    assert callable(break_it)
    break_it(tmp_path)
    with pytest.raises(InvalidArgument) as told:
        open_dataset(tmp_path)
    assert all(word in str(told.value) for word in words), str(told.value)


def test_a_folder_that_is_not_there_says_what_a_benchmark_looks_like(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="train/CLIP"):
        open_dataset(tmp_path / "nowhere")


def test_a_broken_picture_and_one_of_another_size_are_named_when_they_are_read(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", ["1.png", "2.png"])
    write_pictures(tmp_path / "a", ["3.png"], size=(20, 12))
    with pytest.raises(InvalidArgument, match="picture 3 is 20x12, those before are 16x12"):
        list(open_clip(tmp_path / "a", 0, None).pictures())
    (tmp_path / "a" / "2.png").write_bytes((tmp_path / "a" / "2.png").read_bytes()[:40])
    with pytest.raises(InvalidArgument, match=r"2\.png.*(Mend|cannot)"):
        list(open_clip(tmp_path / "a", 0, None).pictures())


def test_a_broken_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(b"no video")
    with pytest.raises(InvalidArgument, match=r"a\.avi"):
        open_clip(tmp_path / "a.avi", 0, None)


def test_boxes_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    file = tmp_path / "b.csv"
    file.write_text("frame,track,left,top,width,height\n0,1,2,3,4,5.5\n")
    assert [(one.frame, one.track, one.height) for one in read_boxes(file)] == [(0, 1, 5.5)]
    file.write_text("0,1,2,3,4,5\n0,1,2,3\n")
    with pytest.raises(InvalidArgument, match="line 2 is no box"):
        read_boxes(file)


def test_boxes_beyond_the_clip_are_refused(tmp_path: Path) -> None:
    benchmark(tmp_path)
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "01.csv").write_text("3,1,0,0,4,4\n")
    with pytest.raises(InvalidArgument, match="speaks of frame 3, and the clip has 3"):
        open_dataset(tmp_path)


# Shake


def ramp() -> NDArray[np.uint8]:
    x, y = np.meshgrid(np.arange(40), np.arange(30))
    return (3 * x + 2 * y).astype(np.uint8)


def test_a_ramp_is_moved_by_parts_of_a_pixel() -> None:
    inner = (slice(5, -5), slice(5, -5))
    assert np.array_equal(moved(ramp(), 0.0, 0.0), ramp())
    assert np.array_equal(moved(ramp(), 2.0, -1.0)[inner], (ramp().astype(int) - 6 + 2)[inner])
    assert np.abs(moved(ramp(), 0.4, 0.0)[inner].astype(float) - (ramp() - 1.2)[inner]).max() <= 0.51


def test_shake_is_repeatable_and_of_the_size_asked_for(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", ["1.png"])
    (shot,) = open_clip(tmp_path / "a", 0, None).pictures()
    shot.y = ramp()
    once = [one.y for one in shaking([shot] * 200, 0.5, seed=1)]
    again = [one.y for one in shaking([shot] * 200, 0.5, seed=1)]
    other = [one.y for one in shaking([shot] * 200, 0.5, seed=2)]
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(once, other, strict=True))
    # 3 grey levels a pixel across and 2 down: the ramp's level moves by sqrt(13) times the shift's deviation.
    levels = np.array([float(one[10:20, 10:30].mean()) for one in once])
    assert levels.std() == pytest.approx(0.5 * 13**0.5, rel=0.15)

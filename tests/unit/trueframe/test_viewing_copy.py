"""A viewing copy shows the asked frames with their boxes, says what it is, and keeps the pace of the camera."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from broker.client import WireFrame
from mesh.errors import NotFound
from mesh.ids import FrameId
from tests.footage import EPOCH, EXACT, NONE, Script, clip_script, coded_clip, read_bars
from trueframe.drawing import strip_height
from trueframe.v1 import frames_pb2
from trueframe.v1.events_pb2 import Box
from trueframe.viewing_copy import MARK, ViewingCopy, _Decoder, write_viewing_copy


def frame(seq: int) -> FrameId:
    return FrameId("gate", EPOCH, seq)


def copy(script: Script, path: Path, first: int = 0, boxes: dict[FrameId, list[Box]] | None = None) -> ViewingCopy:
    return write_viewing_copy(script.items, path, boxes or {}, lambda one, _: one >= frame(first))


def shown(path: Path) -> list[npt.NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


def numbers(path: Path) -> list[int]:
    return [read_bars(picture[:64].mean(axis=2)) for picture in shown(path)]


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_the_asked_frames_are_shown_in_order_from_the_first(tmp_path: Path, b_frames: int, codec: str) -> None:
    clip = coded_clip(30, b_frames=b_frames, codec=codec)
    path = tmp_path / "clip-viewing.mp4"
    done = copy(clip_script(30, b_frames=b_frames, codec=codec), path, first=15)
    assert numbers(path) == sorted(unit.shown for unit in clip[15:])
    assert (done.frames, done.gaps, done.path) == (15, 0, path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_file_says_that_it_is_a_viewing_copy(tmp_path: Path) -> None:
    copy(clip_script(12), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.metadata["title"] == MARK
        assert "exact footage" in container.metadata["comment"]
    picture = shown(tmp_path / "clip.mp4")[5]
    assert picture.shape == (64 + strip_height(64), 128, 3)
    assert picture[64:].max() > 150  # something stands there


def test_pictures_come_at_the_pace_at_which_they_were_received(tmp_path: Path) -> None:
    script = Script().start(parameter_sets=b"")
    for number, unit in enumerate(coded_clip(12)):
        script.frame(unit.payload, step_s=0.04 if number < 5 else 0.5, join=EXACT if unit.is_key else NONE)
    copy(script, tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        times = [float(picture.time) for picture in container.decode(video=0)]
    assert np.diff(times)[:4] == pytest.approx(0.04, abs=0.001)
    assert np.diff(times)[6:] == pytest.approx(0.5, abs=0.001)


def test_boxes_are_drawn_on_exactly_the_frames_that_they_were_given_for(tmp_path: Path) -> None:
    plain, drawn = tmp_path / "plain.mp4", tmp_path / "drawn.mp4"
    copy(clip_script(24), plain)
    box = Box(x=0.25, y=0.25, width=0.5, height=0.5, score=0.9)
    done = copy(clip_script(24), drawn, boxes={frame(7): [box], frame(8): [box, Box(x=2, y=2, width=1, height=1)]})
    assert done.boxes == 3
    red = [int((picture[:64, :, 0].astype(int) - picture[:64, :, 2] > 80).sum()) for picture in shown(drawn)]
    assert [number for number, amount in enumerate(red) if amount > 20] == [7, 8]
    assert all(int((p[:64, :, 0].astype(int) - p[:64, :, 2] > 80).sum()) == 0 for p in shown(plain))


def test_a_gap_is_a_dark_picture_in_the_place_of_what_is_missing(tmp_path: Path) -> None:
    script = clip_script(24)
    script.gap(frames_pb2.GAP_REASON_NETWORK_LOSS, count=5)
    script.seq += 5
    script.now_ns += 10_000_000_000
    for unit in coded_clip(24)[12:]:
        script.frame(unit.payload, step_s=0.04, join=EXACT if unit.is_key else NONE)
    done = copy(script, tmp_path / "clip.mp4")
    assert (done.frames, done.gaps) == (36, 1)
    pictures = shown(tmp_path / "clip.mp4")
    assert pictures[24][:64].max() < 100 < pictures[23][:64].max()
    with av.open(str(tmp_path / "clip.mp4")) as container:
        times = [float(picture.time) for picture in container.decode(video=0)]
    assert times[25] - times[23] > 10


def test_a_range_without_a_picture_leaves_no_file(tmp_path: Path) -> None:
    for script in (Script().start(), Script().start().frames(9)):
        with pytest.raises(NotFound):
            copy(script, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_decoder_finds_zeros_behind_a_unit_whatever_stands_behind_it_in_memory() -> None:
    behind: list[bytes] = []

    class Reads:
        def decode(self, packet: Any) -> list[Any]:
            behind.append(ctypes.string_at(packet.buffer_ptr + packet.buffer_size, 32))
            return []

    script = Script().start(parameter_sets=b"")
    for size in range(1000, 9000, 16):
        script.frame(b"\xff" * size, step_s=0.04)
    decoder = _Decoder(context=Reads())
    for item in script.items:
        if isinstance(item, WireFrame):
            list(decoder.decode(item, lambda _frame, _ns: True))
    assert len(behind) == 500
    assert set(behind) == {bytes(32)}

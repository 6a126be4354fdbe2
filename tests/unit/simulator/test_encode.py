"""Scenes as clips: every decoded picture shows the counter its unit promises."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from simulator import bitstream, clip, counter, encode, files, jpeg
from simulator.clip import Clip
from simulator.jpeg import JpegForm
from simulator.spec import IncidentSpec, SceneSpec


def decoded_counters(shown: Clip) -> list[int]:
    decoder = av.CodecContext.create({"h265": "hevc"}.get(shown.codec, shown.codec), "r")
    units = [bitstream.canonical(unit.nals) for unit in shown.units]
    if shown.codec == "mjpeg":
        form, size = shown.form, (shown.width, shown.height)
        units = [jpeg.file(unit.nals[0], form.tables(), form, *size) for unit in shown.units]
    frames = [f for unit in units for f in decoder.decode(av.Packet(unit))]
    frames += decoder.decode(None)
    return [counter.read(luma(frame)) for frame in frames]


def luma(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("delimiters", [False, True])
def test_every_unit_decodes_to_its_counter(codec: str, bframes: int, delimiters: bool) -> None:
    spec = SceneSpec("yard", 1, 160, 90, 10, 4, 1, bframes, delimiters, codec=codec)
    made = encode.render(spec)
    assert decoded_counters(made) == list(range(40))
    assert sorted(unit.frame for unit in made.units) == list(range(40))
    assert [unit.due_ticks for unit in made.units] == [9000 * i for i in range(40)]
    assert all(unit.pts_ticks == (unit.frame + (bframes > 0)) * 9000 for unit in made.units)
    assert all(unit.pts_ticks >= unit.due_ticks for unit in made.units)
    assert [unit.frame for unit in made.units if unit.joins] == [0, 10, 20, 30]
    assert ([unit.frame for unit in made.units] != list(range(40))) == (bframes > 0)
    syntax = bitstream.of(codec)
    assert all((syntax.kind(unit.nals[0]) == syntax.delimiter) == delimiters for unit in made.units)
    assert len(made.parameter_sets) == len(syntax.sets)


@pytest.mark.parametrize("form", [JpegForm(), JpegForm(40, 0, 0), JpegForm(200, 1, 5)])
def test_every_jpeg_decodes_to_its_counter(form: JpegForm) -> None:
    made = encode.render(SceneSpec("yard", 1, 160, 96, 10, 2, 1, codec="mjpeg", form=form))
    assert decoded_counters(made) == list(range(20))
    assert [unit.frame for unit in made.units if unit.joins] == ([0, 10] if form.q == 200 else list(range(20)))


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_smart_codec_has_a_join_point_every_thirty_seconds(codec: str) -> None:
    made = encode.render(SceneSpec("yard", 1, 160, 90, fps=2, loop_s=60, gop_s=30, bframes=1, codec=codec))
    assert [unit.frame for unit in made.units if unit.joins] == [0, 60]


def test_the_counter_can_be_read_on_a_black_picture() -> None:
    lost = (IncidentSpec("signal-lost", 1, 1),)
    made = encode.render(SceneSpec("yard", 1, 160, 90, loop_s=3, gop_s=1, incidents=lost))
    assert decoded_counters(made) == list(range(30))


def test_the_same_spec_gives_the_same_bytes_and_comes_from_the_cache(tmp_path: Path) -> None:
    spec = SceneSpec("hall", 1, 160, 90, loop_s=2, gop_s=1)
    (first,) = encode.cached([spec], tmp_path)
    (path,) = tmp_path.glob("*.clip")
    written = path.stat().st_ino
    again, twice = encode.cached([spec, spec], tmp_path)
    assert again == first == encode.render(spec)
    assert again is twice
    assert path.stat().st_ino == written


def test_a_clip_that_was_cut_short_is_rendered_again(tmp_path: Path) -> None:
    spec = SceneSpec("hall", 1, 160, 90, loop_s=2, gop_s=1)
    (first,) = encode.cached([spec], tmp_path)
    (path,) = tmp_path.glob("*.clip")
    path.write_bytes(path.read_bytes()[:-100])
    assert encode.cached([spec], tmp_path) == [first]


def test_several_missing_scenes_are_rendered_side_by_side(tmp_path: Path) -> None:
    specs = [SceneSpec(name, 1, 160, 90, loop_s=2, gop_s=1) for name in ("yard", "gate")]
    assert [made.name for made in encode.cached(specs, tmp_path)] == ["yard", "gate"]


def test_the_cache_keeps_what_is_in_use_and_forgets_the_oldest(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "older", "oldest", "used")):
        path = tmp_path / f"{name}.clip"
        path.write_bytes(bytes(1000))
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / ".clip-crashed").write_bytes(b"x")
    os.utime(tmp_path / ".clip-crashed", (1000, 1000))
    encode.prune(tmp_path, {"used"}, keep_bytes=2000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.clip", "older.clip", "used.clip"]


def write_mp4(path: Path, source: Clip, codec: str = "h264") -> None:
    """The clip's pictures coded again into an MP4 with B-frames."""
    with av.open(str(path), "w") as out:
        name = {"h264": "x264", "h265": "x265"}[codec]
        stream = out.add_stream(f"lib{name}", rate=10)
        stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
        settings = "keyint=10:bframes=2:b-adapt=0:scenecut=0" + (
            ":log-level=none:open-gop=0" if codec == "h265" else ""
        )
        stream.codec_context.options = {f"{name}-params": settings, "crf": "30"}
        decoder = av.CodecContext.create("h264", "r")
        frames = [f for unit in source.units for f in decoder.decode(av.Packet(bitstream.canonical(unit.nals)))]
        for index, frame in enumerate([*frames, *decoder.decode(None)]):
            frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, 10), 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_file_keeps_its_order_times_and_bytes(tmp_path: Path, codec: str) -> None:
    source = encode.render(SceneSpec("yard", 1, 160, 90, loop_s=4, gop_s=1))
    write_mp4(tmp_path / "a.mp4", source, codec)
    made = files.load(tmp_path / "a.mp4")
    assert decoded_counters(made) == list(range(40))
    assert sorted(unit.frame for unit in made.units) == list(range(40))
    assert [unit.frame for unit in made.units] != list(range(40))
    assert [unit.due_ticks for unit in made.units] == [9000 * i for i in range(40)]
    assert made.duration_ticks == 360_000
    assert all(bitstream.of(codec).sets_in(unit.nals) for unit in made.units if unit.joins)
    assert len([unit for unit in made.units if unit.joins]) == 4
    assert (made.width, made.height) == (160, 90)


def test_files_that_cannot_be_served_are_refused_with_reason_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(files.FileError, match="cannot be read as video"):
        files.load(tmp_path / "text.mp4")
    with pytest.raises(files.FileError, match="no such file"):
        files.load(tmp_path / "absent.mp4")
    with av.open(str(tmp_path / "other.avi"), "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        out.mux(stream.encode(av.VideoFrame(64, 64, "yuvj420p")))
        out.mux(stream.encode(None))
    with pytest.raises(files.FileError, match=r"only H\.264 and H\.265 are served; convert it"):
        files.load(tmp_path / "other.avi")


def test_a_clip_keeps_its_truth_through_the_cache(tmp_path: Path) -> None:
    made = encode.render(SceneSpec("yard", 1, 160, 90, loop_s=10))
    clip.save(made, tmp_path / "x.clip")
    (incident,) = clip.load(tmp_path / "x.clip").truth["incidents"]
    assert incident["kind"] == "intrusion"
    assert len(incident["boxes"]) == incident["end"] - incident["start"] > 5

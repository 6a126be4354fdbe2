"""Models that a user brings work by the texts of docs/guide/models.md, on real footage, with the same bits again."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from broker.pixel.client import planes_of
from detector_pool.detector import Detector, Observation, Setup
from detector_pool.golden import write_golden
from detector_pool.models import check_model, detector_of, open_files, open_model, packed
from detector_pool.onnx_models import objects
from detector_pool.picture import Shot
from mesh.errors import InvalidArgument
from mesh.ids import FrameId

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared"
GUIDE = ROOT / "docs/guide/models.md"
GRAPHS = {"yolox-nano": "yolox_nano.onnx", "nanodet": "nanodet.onnx", "movenet-multipose": "movenet-multipose.onnx"}
PERSONS, CARS = "one-by-one-person-detection.mp4", "car-detection.mp4"
START_NS = 1_800_000_000_000_000_000

pytestmark = pytest.mark.skipif(
    not (SHARED / "models/yolox_nano.onnx").exists() or not (SHARED / "footage" / PERSONS).exists(),
    reason="models and footage are not in ../shared",
)


def tomls() -> dict[str, str]:
    """The guide's texts by the model's name."""
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return {name.group(1): block for block in blocks if (name := re.search(r'^name = "([^"]+)"', block, re.MULTILINE))}


def folder_of(path: Path, name: str) -> Path:
    """What a user makes: a copy of the graph, and the guide's text."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "model.onnx").write_bytes((SHARED / "models" / GRAPHS[name]).read_bytes())
    (path / "detector.toml").write_text(tomls()[name])
    return path


def shots(clip: str, indices: range) -> Iterator[Shot]:
    with av.open(str(SHARED / "footage" / clip)) as container:
        container.streams.video[0].thread_type = "NONE"
        for index, frame in enumerate(container.decode(video=0)):
            if index >= indices.stop:
                return
            if index in indices:
                y, u, v = planes_of(frame).views()
                yield Shot(FrameId("gate", 1, index), START_NS + index * 100_000_000, y, u=u, v=v)


def watched(detector: Detector[Any], clip: str, indices: range) -> list[Observation]:
    state = detector.start()
    said = []
    for shot in shots(clip, indices):
        observation, state = detector.inspect(shot, state, ())
        said.append(observation)
    return said


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_a_model_with_the_guides_text_finds_the_person_and_keeps_the_number(name: str, tmp_path: Path) -> None:
    model = open_model(folder_of(tmp_path / name, name))
    detector = detector_of(model)
    assert detector.name.endswith(f"@1:{model.digest[:12]}")
    said = watched(detector, PERSONS, range(75, 175, 10))
    assert min(one.score for one in said) >= 0.5
    assert {len(one.boxes) for one in said} == {1}
    box = said[3].boxes[0]
    assert box.label == "person"
    # Somebody fills most of the picture's height, a little right of its middle.
    assert 0.35 < box.x + box.width / 2 < 0.75
    assert box.height > 0.6
    assert {one.boxes[0].track for one in said[1:]} == {1}
    if name.startswith("movenet"):
        nose, ankle = box.key_points[0], box.key_points[15]
        assert box.y - 0.05 <= nose.y < ankle.y <= box.y + box.height + 0.05
    # Nobody is there.
    assert max(one.score for one in watched(detector, PERSONS, range(465, 480, 5))) < 0.3


@pytest.mark.parametrize(("name", "least"), [("yolox-nano", 0.5), ("nanodet", 0.25)])
def test_vehicles_are_found_from_above_where_there_are_some(name: str, least: float, tmp_path: Path) -> None:
    setup = Setup(options={"classes": ["car", "truck", "bus"]}, model=open_model(folder_of(tmp_path, name)))
    assert max(one.score for one in watched(objects.make(setup), CARS, range(214, 228, 2))) >= least
    assert max(one.score for one in watched(objects.make(setup), CARS, range(120, 140, 4))) < 0.2


def test_a_decoder_for_another_model_says_what_was_expected_found_and_fits(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "yolox-nano")
    (folder / "detector.toml").write_text(tomls()["yolox-nano"].replace('"yolox"', '"yolov8"'))
    with pytest.raises(InvalidArgument) as refused:
        check_model(open_model(folder))
    assert "decoder yolov8: expects one output 1x84x3549" in str(refused.value)
    assert "puts out 1x3549x85" in str(refused.value)
    assert 'say decoder = "yolox"' in str(refused.value)


def test_golden_frames_of_a_real_model_are_equal_to_the_bit_out_of_its_zip(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "yolox", "yolox-nano")
    write_golden(folder, detector_of(open_model(folder)), shots(PERSONS, range(60, 90, 10)))
    zipped = tmp_path / "yolox.zip"
    zipped.write_bytes(packed(folder))
    checked = check_model(open_model(zipped))
    assert (checked.golden.frames, checked.golden.is_exact) == (3, True)
    assert checked.digest == open_files(folder).digest == hashlib.sha256(zipped.read_bytes()).hexdigest()


def test_equal_frames_give_equal_bits_in_another_process(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "yolox-nano")
    here = hashes(folder)
    program = (
        "import json, pathlib, runpy; "
        f"print(json.dumps(runpy.run_path({__file__!r})['hashes'](pathlib.Path({str(folder)!r}))))"
    )
    command = [sys.executable, "-c", program]
    there = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(there.stdout) == here
    assert len(set(here)) > 1


def hashes(folder: Path) -> list[str]:
    """All that a detector says and remembers of some frames."""
    detector = detector_of(open_model(folder))
    state = detector.start()
    told = []
    for shot in shots(PERSONS, range(60, 100, 10)):
        observation, state = detector.inspect(shot, state, ())
        told.append(hashlib.sha256(repr(observation).encode() + detector.pack(state)).hexdigest())
    return told

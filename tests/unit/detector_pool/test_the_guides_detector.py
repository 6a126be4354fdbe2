"""The detector of docs/guide/detectors.md, installed as an outsider's package would be, does what the guide says."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detector_pool.detector import DetectorType, Setup
from detector_pool.picture import Shot
from detector_pool.registry import detector_types
from mesh.errors import InvalidArgument
from mesh.ids import FrameId

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "detectors.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DetectorType]:
    """Its type, as the registry finds it among installed packages."""
    (tmp_path / "lights_out.py").write_text(block("python"))
    project = tomllib.loads(block("toml"))["project"]
    info = tmp_path / "lights_out-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {place}" for name, place in project["entry-points"]["trueframe.detectors"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[trueframe.detectors]", *lines, ""]))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    detector_types.cache_clear()
    yield detector_types()["lights-out"]
    detector_types.cache_clear()
    sys.modules.pop("lights_out", None)


def shot(number: int, level: int) -> Shot:
    return Shot(FrameId("gate", 1, number), 10**18 + number * 10**8, np.full((90, 160), level, np.uint8))


def test_it_takes_about_thirty_lines() -> None:
    lines = [line for line in block("python").splitlines() if line.strip()]
    assert len(lines) <= 33


def test_lights_that_go_out_score_high_and_it_says_so(kind: DetectorType) -> None:
    detector = kind.make(Setup("gate"))
    state = detector.start()
    for number in range(20):
        seen, state = detector.inspect(shot(number, 120), state, ())
        assert seen.score == 0.0
    seen, state = detector.inspect(shot(20, 30), state, ())
    assert seen.score > kind.judging.threshold
    assert seen.said == "brightness fell from 120 to 30"
    assert dict(seen.series)["level"] == pytest.approx(30 / 255)


def test_its_state_goes_on_in_another_process_to_the_bit(kind: DetectorType) -> None:
    one, other = kind.make(Setup("gate")), kind.make(Setup("gate"))
    state = one.start()
    for number in range(7):
        _, state = one.inspect(shot(number, 100 + number), state, ())
    copy = other.unpack(one.pack(state))
    for number in range(7, 20):
        seen, state = one.inspect(shot(number, 80 + number), state, ())
        again, copy = other.inspect(shot(number, 80 + number), copy, ())
        assert seen == again


def test_its_options_are_checked(kind: DetectorType) -> None:
    with pytest.raises(InvalidArgument, match="must be at most 0"):
        kind.make(Setup("gate", {"loss": 2.0}))
    with pytest.raises(InvalidArgument, match="Did you mean loss"):
        kind.make(Setup("gate", {"los": 0.5}))


def test_pictures_are_confirmed_before_anything_is_learnt(kind: DetectorType) -> None:
    detector = kind.make(Setup("gate"))
    torn = shot(0, 100)
    torn.still_valid = lambda: False
    with pytest.raises(Exception, match="overwritten"):
        detector.inspect(torn, detector.start(), ())

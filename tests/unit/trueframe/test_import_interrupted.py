"""Ctrl-C in the middle of `trueframe import` says how it left things."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mesh.errors import NotFound
from trueframe.commands import import_footage


class Footage:
    """Stands for the media center: has footage of a camera or not."""

    def __init__(self, *recorded: str) -> None:
        self.recorded = recorded

    def recordings(self, cameras: list[str], from_ns: int, to_ns: int) -> Any:
        if cameras[0] not in self.recorded:
            raise NotFound(f"camera {cameras[0]!r}", "was never recorded here")
        return SimpleNamespace(recordings=[1])


@pytest.mark.parametrize(
    ("recorded", "said"), [((), "Nothing of clip.mp4 became footage."), (("door",), "had become footage of door")]
)
def test_an_interrupted_import_says_whether_it_had_happened(
    recorded: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    footage: Any = Footage(*recorded)
    with (
        pytest.raises(KeyboardInterrupt),
        import_footage._told_if_interrupted(lambda: import_footage._how_far(footage, Path("clip.mp4"), "door", 1)),
    ):
        raise KeyboardInterrupt
    assert f"Interrupted. {said}" in capsys.readouterr().err.replace("clip.mp4 had", "had")


def test_what_is_not_interrupted_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with import_footage._told_if_interrupted(lambda: "left"):
        pass
    assert capsys.readouterr().err == ""

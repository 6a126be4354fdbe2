"""Evidence by command: exports with a manifest, viewing copies, contact sheets, who looked, backup and restore."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from simulator.testing import running
from tests.embedded import Embedded, embedded
from tests.support import until
from trueframe.viewing_copy import MARK

CAMERAS = ("cam-1", "cam-2")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("evidence")
    with running(len(CAMERAS), log=folder / "sent") as simulator:
        sources = [f"{camera}={url}" for camera, url in simulator.urls.items()]
        short = ("--set", "media_center.segment_s=2", "--set", "media_center.max_segment_s=4")
        with embedded(folder / "data", *sources, *short) as started:
            with started.client() as client:
                until(lambda: len(list(client.footage.segments())) >= 4, 90, "closed segments of both cameras")
            yield started


def command(data: Path | str, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "trueframe", *arguments],
        env={**os.environ, "TRUEFRAME_DATA": str(data)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == expect, (arguments, done.returncode, done.stdout[-800:], done.stderr[-800:])
    assert "Traceback" not in done.stderr
    return done


def test_two_cameras_are_exported_into_a_folder_that_verify_proves(instance: Embedded, tmp_path: Path) -> None:
    target = tmp_path / "case"
    told = command(
        instance.data, "export", *CAMERAS, "--from", "-4s", "--purpose", "case 17", "-o", str(target), "--json"
    )
    files = json.loads(told.stdout)
    assert [Path(one["file"]).name.split("_")[0] for one in files] == list(CAMERAS)
    for one in files:
        assert hashlib.sha256(Path(one["file"]).read_bytes()).hexdigest() == one["sha256"]
    assert "good" in command(instance.data, "verify", str(target)).stdout
    path = Path(files[0]["file"])
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    command(instance.data, "verify", str(target), expect=2)
    again = command(instance.data, "export", *CAMERAS, "--from", "-4s", "-o", str(target), expect=1)
    assert "is there already" in again.stderr


def test_a_viewing_copy_says_what_it_is_in_its_name_and_in_itself(instance: Embedded, tmp_path: Path) -> None:
    told = command(
        instance.data, "export", "cam-1", "--viewing", "--from", "-4s", "--to", "-2s",
        "-o", str(tmp_path / "clip.mp4"), "--json",
    )  # fmt: skip
    done = json.loads(told.stdout)
    assert Path(done["file"]).name == "clip-viewing.mp4"
    with av.open(done["file"]) as container:
        assert container.metadata["title"] == MARK
        assert sum(1 for _ in container.decode(video=0)) == done["frames"] + done["gaps"] > 5


def test_stills_of_a_stretch_come_on_one_picture(instance: Embedded, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    told = command(
        instance.data, "contact", "--camera", "cam-1", "--from", "-4s", "--stills", "4", "-o", str(target), "--json"
    )
    stills = json.loads(told.stdout)["stills"]
    assert 1 <= len(stills) <= 4
    with Image.open(target) as picture:
        assert picture.width > 480
    assert "Name an event" in command(instance.data, "contact", expect=2).stderr


def test_who_looked_at_what_is_told_and_verify_proves_it(instance: Embedded, tmp_path: Path) -> None:
    command(instance.data, "export", "cam-2", "--from", "-3s", "-o", str(tmp_path / "clip.mp4"))
    (newest, *_) = command(instance.data, "access", "--json", "--limit", "5").stdout.splitlines()
    found = json.loads(newest)
    assert (found["action"], found["camera"]) == ("package", "cam-2")
    assert "clip.mp4" in found["detail"]
    assert "package" in command(instance.data, "access", "--camera", "cam-2").stdout
    assert "good" in command(instance.data, "verify", str(instance.data / "media-center" / "access")).stdout


def test_footage_is_backed_up_and_restored_into_another_data_folder(instance: Embedded, tmp_path: Path) -> None:
    backup, other = tmp_path / "backup", tmp_path / "other"
    done = json.loads(command(instance.data, "backup", str(backup), "--json").stdout)
    assert done["copied"] >= 4
    assert done["findings"] == []
    assert "none of them" in command(instance.data, "backup", str(backup), "--check").stdout
    assert "trueframe runs on it" in command(instance.data, "restore", str(backup), expect=1).stderr
    restored = json.loads(command(other, "restore", str(backup), "--json").stdout)
    assert (restored["restored"], restored["findings"]) == (done["copied"], [])
    for path in sorted((other / "media").rglob("*.mp4")):
        source = instance.data / path.relative_to(other)
        assert path.read_bytes() == source.read_bytes()
    assert "good" in command(other, "verify", str(other / "media")).stdout
    shutil.rmtree(other)

"""An import on a disk that fills up or refuses while the file is read ends with what is the matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_center.chain import Chain
from media_center.cutter import Limits
from media_center.errors import DiskFull
from media_center.import_run import FileImport
from media_center.keys import FootageSigner
from mesh.clocks import SystemClock
from tests.clips import make_clip

START = 1_700_000_000_000_000_000


def importing(tmp_path: Path, folder: Path, min_free_bytes: int) -> FileImport:
    file = make_clip(tmp_path / "clip.mp4", frames=500, size=(64, 48))
    signer = FootageSigner.of_folder(tmp_path / "keys", START)
    return FileImport(
        file, "clip.mp4", folder, Chain("gate", folder, signer), START, START, Limits(), SystemClock(), min_free_bytes
    )


def test_a_disk_that_has_no_space_left_ends_an_import(tmp_path: Path) -> None:
    folder = tmp_path / "part"
    folder.mkdir()
    run = importing(tmp_path, folder, 1 << 60)
    with pytest.raises(DiskFull, match="does not fit"):
        run.run()
    assert run.progress.segments == []


def test_a_disk_that_refuses_ends_an_import(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"a file where a folder should be")
    with pytest.raises(OSError, match="exists"):
        importing(tmp_path, tmp_path / "part", 0).run()


def test_an_import_that_fits_is_sealed_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "part"
    folder.mkdir()
    run = importing(tmp_path, folder, 0)
    done = run.run()
    assert done.frames == 500
    assert sum(segment.frames for segment in done.segments) == 500
    assert (folder / "chain-head").exists()

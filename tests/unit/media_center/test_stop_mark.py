"""A start after a stop in order believes the catalogue, unless a folder is not as it was left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media_center.archive import Archive
from media_center.catalogue import CATALOGUE_NAME
from media_center.index import index_path
from media_center.recovery import recover
from media_center.stop_mark import MARK_NAME, leave_marks
from tests.footage import Script, close, footage_of, record, replayed, seqs_in


def left_in_order(root: Path) -> Script:
    """Footage of twenty seconds, with the mark of a stop in order."""
    script = Script().start().frames(200)
    record(root, script.items)
    recovered = recover(root)
    archive = Archive(root, {camera: found.table for camera, found in recovered.items()}, {})
    close(recovered)
    leave_marks(root, archive.left())
    assert (root / MARK_NAME).exists()
    return script


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders whose names a recovery looked at."""
    seen: list[str] = []
    scandir = os.scandir

    def noting(path: Path) -> object:
        seen.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noting)
    return seen


def test_after_a_stop_in_order_no_name_is_looked_at_and_all_footage_is_there(tmp_path: Path, listed: list[str]) -> None:
    root = tmp_path / "media"
    left_in_order(root)
    listed.clear()
    footage = footage_of(root)
    assert listed == []
    assert seqs_in(replayed(footage)) == list(range(200))


def test_a_mark_is_good_for_one_start(tmp_path: Path, listed: list[str]) -> None:
    root = tmp_path / "media"
    left_in_order(root)
    listed.clear()
    footage_of(root)
    assert not (root / MARK_NAME).exists()
    footage_of(root)
    assert listed == ["gate"]


def test_recording_goes_on_behind_what_was_left(tmp_path: Path) -> None:
    root = tmp_path / "media"
    script = left_in_order(root)
    record(root, script.frames(100).items[201:])
    assert seqs_in(replayed(footage_of(root))) == list(range(300))


def remove_a_segment(folder: Path) -> None:
    sorted(folder.glob("*.mp4"))[1].unlink()


def add_a_file(folder: Path) -> None:
    (folder / "note").write_text("I was here")


def cut_the_last_segment(folder: Path) -> None:
    path = max(folder.glob("*.mp4"))
    os.truncate(path, path.stat().st_size - 1)


def cut_the_catalogue(folder: Path) -> None:
    path = folder / CATALOGUE_NAME
    os.truncate(path, path.stat().st_size - 84)


def empty_the_last_index(folder: Path) -> None:
    index_path(max(folder.glob("*.mp4"))).write_bytes(b"")


@pytest.mark.parametrize(
    "change", [remove_a_segment, add_a_file, cut_the_last_segment, cut_the_catalogue, empty_the_last_index]
)
def test_a_folder_that_is_not_as_it_was_left_is_looked_through(
    tmp_path: Path, listed: list[str], change: Callable[[Path], None]
) -> None:
    root = tmp_path / "media"
    left_in_order(root)
    change(root / "gate")
    expected_root = tmp_path / "copy"
    shutil.copytree(root, expected_root)
    (expected_root / MARK_NAME).unlink()
    listed.clear()
    seqs = seqs_in(replayed(footage_of(root)))
    assert listed == ["gate"]
    assert seqs == seqs_in(replayed(footage_of(expected_root)))
    assert len(seqs) > 150


def test_a_record_that_rotted_in_the_catalogue_is_made_again(tmp_path: Path, listed: list[str]) -> None:
    root = tmp_path / "media"
    left_in_order(root)
    path = root / "gate" / CATALOGUE_NAME
    data = bytearray(path.read_bytes())
    data[84 + 20] ^= 1
    path.write_bytes(data)
    listed.clear()
    assert seqs_in(replayed(footage_of(root))) == list(range(200))


def test_a_mark_that_is_garbage_is_none(tmp_path: Path, listed: list[str]) -> None:
    root = tmp_path / "media"
    left_in_order(root)
    for garbage in (b"", b"{", b"[]", b'{"form": 1}', b'{"form": 1, "cameras": {"gate": {"x": 1}}}'):
        (root / MARK_NAME).write_bytes(garbage)
        listed.clear()
        assert seqs_in(replayed(footage_of(root))) == list(range(200))
        assert listed == ["gate"]

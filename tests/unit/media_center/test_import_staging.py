"""An import becomes footage whole or not at all, wherever the cable was pulled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from media_center.catalogue import parse_name
from media_center.import_staging import STAGING_NAME, Staging, finish_imports
from mesh.errors import Cancelled, FailedPrecondition
from tests.footage import Script, footage_of, record, replayed, seqs_in


def staged(root: Path) -> Staging:
    """An import of four segments, written and not yet footage."""
    root.mkdir()
    staging = Staging(root, "gate").__enter__()
    staging.source("../../a film?.mp4").write_bytes(b"film")
    made = root.parent / "made"
    record(made, Script("gate").start().frames(120).end().items)
    for path in (made / "gate").iterdir():
        path.rename(staging.folder / path.name)
    return staging


def segments_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if parse_name(path.name)) if folder.is_dir() else []


def test_what_was_put_in_place_is_footage_and_nothing_else_is_left(tmp_path: Path) -> None:
    staging = staged(tmp_path / "media")
    assert staging.source("../../a film?.mp4").parent.parent == staging.folder
    staging.put_in_place()
    staging.__exit__()
    assert len(segments_in(tmp_path / "media" / "gate")) == 4
    assert not any((tmp_path / "media" / STAGING_NAME).iterdir())
    assert seqs_in(replayed(footage_of(tmp_path / "media"))) == list(range(120))


def test_what_was_given_up_is_not_put_in_place(tmp_path: Path) -> None:
    staging = staged(tmp_path / "media")
    staging.remove()
    with pytest.raises(Cancelled, match="given up"):
        staging.put_in_place()
    assert not (tmp_path / "media" / "gate").exists()


def test_an_import_that_was_not_finished_is_removed_at_the_next_start(tmp_path: Path) -> None:
    staged(tmp_path / "media")
    finish_imports(tmp_path / "media")
    assert list((tmp_path / "media").iterdir()) == []


@pytest.mark.parametrize("moved", [0, 1, 3, 4])
def test_an_import_that_had_happened_is_put_in_place_at_the_next_start(tmp_path: Path, moved: int) -> None:
    root = tmp_path / "media"
    staging = staged(root)
    ready = staging.folder.with_suffix(".ready")
    staging.remove_source()
    staging.folder.rename(ready)
    if moved:
        (root / "gate").mkdir()
    for name in segments_in(ready)[:moved]:  # the cable was pulled while segments were moved
        shutil.move(ready / name, root / "gate" / name)
    finish_imports(root)
    assert len(segments_in(root / "gate")) == 4
    assert [path.name for path in root.iterdir()] == ["gate"]
    assert seqs_in(replayed(footage_of(root))) == list(range(120))


def test_two_imports_of_a_camera_at_once_are_refused(tmp_path: Path) -> None:
    with (
        Staging(tmp_path, "gate") as first,
        pytest.raises(FailedPrecondition, match="by somebody else"),
        Staging(tmp_path, "gate"),
    ):
        raise AssertionError("not reached")
    assert not first.folder.exists()


def test_what_else_lies_in_the_folder_of_imports_is_no_footage(tmp_path: Path) -> None:
    folder = tmp_path / STAGING_NAME
    (folder / "..ready").mkdir(parents=True)
    (folder / "Bad Name.ready").mkdir()
    (folder / "file").write_bytes(b"")
    finish_imports(tmp_path)
    assert list(tmp_path.iterdir()) == []

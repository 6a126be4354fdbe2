from __future__ import annotations

import os
from pathlib import Path

import pytest

from mesh.errors import FailedPrecondition, NotFound, PermissionDenied
from mesh.files import private_folder, read_secret, write_atomic, write_private


def test_a_private_file_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "token"
    os.umask(old := os.umask(0))
    write_private(path, b"one")
    write_private(path, b" two \n")
    os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secret(path) == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mesh.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("x")
    path.chmod(0o644)
    with pytest.raises(PermissionDenied, match=r"others can read it\. chmod 600"):
        read_secret(path)
    with pytest.raises(NotFound):
        read_secret(tmp_path / "absent")
    write_private(path, b"\xff\xfe")
    with pytest.raises(FailedPrecondition, match="not text"):
        read_secret(path)


def test_a_private_folder_is_made_or_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    assert private_folder(folder) == folder
    folder.chmod(0o755)
    private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_name_taken_by_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link"):
        with pytest.raises(FailedPrecondition, match="taken by something else"):
            private_folder(tmp_path / name)

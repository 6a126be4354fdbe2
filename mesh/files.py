"""Files that must be private, or must be whole after a crash. No formats, no paths of anybody."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mesh.errors import FailedPrecondition, NotFound, PermissionDenied

_MAX_SECRET_BYTES = 65_536


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces a file: afterwards, and after any crash, it holds the old bytes or the new ones, durably.

    Syncs the file before and its folder after the rename. Raises OSError as the system gives it.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_private(path: Path, data: bytes) -> None:
    """`write_atomic` for secrets: mode 0600, never readable by others at any moment."""
    write_atomic(path, data, mode=0o600)


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable: creations, renames, removals."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def durable_folder(path: Path) -> Path:
    """Makes sure of a folder, with its parents, that outlives a power cut, and returns it. Raises OSError."""
    if not path.is_dir():
        durable_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
    return path


def private_folder(path: Path) -> Path:
    """Makes sure of a folder that only this user can enter (0700), with its parents, and returns it.

    Raises PermissionDenied if it belongs to somebody else (a prepared folder in /tmp), FailedPrecondition if the name
    is taken by something that is not a folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        status = path.lstat()
        if not path.is_dir() or path.is_symlink():
            raise FailedPrecondition(f"folder {path}", "the name is taken by something else", "Remove it.") from None
        if status.st_uid != os.geteuid():
            raise PermissionDenied(f"folder {path}", f"belongs to user {status.st_uid}", "Remove it.") from None
        if status.st_mode & 0o077:
            path.chmod(0o700)
    return path


def read_secret(path: Path, max_bytes: int = _MAX_SECRET_BYTES) -> str:
    """A secret text without surrounding white space. Raises NotFound, PermissionDenied (also: others can read it)."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise PermissionDenied(f"secret file {path}", "others can read it", f"chmod 600 {path}")
            return file.read(max_bytes).decode().strip()
    except FileNotFoundError:
        remedy = "`trueframe up` makes those of a data folder, `trueframe token create` others."
        raise NotFound(f"secret file {path}", "does not exist", remedy) from None
    except UnicodeDecodeError:
        raise FailedPrecondition(f"secret file {path}", "is not text") from None
    except PermissionDenied:
        raise
    except PermissionError:
        raise PermissionDenied(f"secret file {path}", "may not be read by this user") from None

"""A case as a folder that can be handed over: what happened, as JSON and text, the clips, and a manifest of it all.

    case.json, case.txt      the case with its records
    events.json, events.txt  its events with theirs
    clips/1-gate/            an export of the media center: MP4 files, its signed manifest
    manifest.json            every file with size and SHA-256; clips that could not be had, and why

What does not belong here: asking for it (`commands/cases`), the check of footage (the media center's).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesh.errors import DataLoss, InvalidArgument

MANIFEST = "manifest.json"
_FORM = "trueframe case 1"
_CHUNK = 1 << 20


@dataclass(slots=True)
class CaseFolder:
    """A folder under way."""

    path: Path
    missing: list[dict[str, str]] = field(default_factory=list)
    """Clips that could not be had, and why."""

    def write(self, name: str, content: object, text: Sequence[str]) -> None:
        """name.json and name.txt."""
        body = json.dumps(content, ensure_ascii=False, indent=1)
        (self.path / f"{name}.json").write_text(body + "\n", encoding="utf-8")
        (self.path / f"{name}.txt").write_text("\n".join(text) + "\n", encoding="utf-8")

    def finish(self, case_id: str, made_ns: int) -> dict[str, Any]:
        """Writes the manifest of what is there; returns it."""
        manifest = {
            "form": _FORM, "case": case_id, "made_ns": made_ns, "files": list(_listed(self.path)),
            "missing": self.missing,
        }  # fmt: skip
        (self.path / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return manifest


def check(folder: Path) -> dict[str, Any]:
    """The manifest, if every file is what it says and there is no other. Raises DataLoss, InvalidArgument."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        named = {str(one["file"]): (int(one["size_bytes"]), str(one["sha256"])) for one in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"folder {folder}", f"holds no manifest of a case ({type(error).__name__})") from None
    there = {str(one["file"]): (one["size_bytes"], one["sha256"]) for one in _listed(folder)}
    for name in sorted(named.keys() | there.keys()):
        if name not in there:
            raise DataLoss(f"file {folder / name}", "is not there, and the manifest names it", "Export the case again.")
        if name not in named:
            raise DataLoss(f"file {folder / name}", "is not named by the manifest", "Export the case again.")
        if named[name] != there[name]:
            raise DataLoss(f"file {folder / name}", "is not what the manifest says", "Export the case again.")
    return dict(manifest)


def _listed(folder: Path) -> Iterable[dict[str, object]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            yield {"file": name, "size_bytes": path.stat().st_size, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

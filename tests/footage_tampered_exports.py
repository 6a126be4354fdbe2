"""Tampering with exports and their manifests."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

from media_center.manifest import parse_manifest, sign_manifest
from tests.footage_evidence import Evidence
from tests.footage_thief import (
    Kind,
    flip,
)


def export_flipped(e: Evidence) -> list[Path]:
    flip(e.export, e.rng)
    return [e.export]


def export_truncated(e: Evidence) -> list[Path]:
    with e.export.open("r+b") as file:
        file.truncate(e.rng.randrange(e.export.stat().st_size))
    return [e.manifest]


def export_exchanged(e: Evidence) -> list[Path]:
    shutil.copy(e.export.with_name("other.mp4"), e.export)
    return [e.rng.choice([e.export, e.manifest, e.export.parent])]


def export_removed(e: Evidence) -> list[Path]:
    e.export.unlink()
    return [e.rng.choice([e.manifest, e.export.parent, e.export])]


def manifest_edited(e: Evidence) -> list[Path]:
    """One value of the manifest, the file itself being as it was."""
    whole = json.loads(e.manifest.read_bytes())
    file = whole["statement"]["files"][0]
    which = e.rng.randrange(7)
    frame = e.rng.choice(file["frames"])
    if which == 0:
        frame[2] += 1_000_000
    elif which == 1:
        frame[3] = hashlib.sha256(b"other").hexdigest()
    elif which == 2:
        file["frames"].remove(frame)
    elif which == 3:
        whole["statement"]["purpose"] = "nothing"
    elif which == 4:
        file["seals"].pop()
    elif which == 5:
        file["first"] = "gate/1/1"
    else:
        whole["statement"]["made_ns"] += 1
    e.manifest.write_bytes(json.dumps(whole).encode())
    return [e.rng.choice([e.export, e.manifest])]


def manifest_flipped(e: Evidence) -> list[Path]:
    flip(e.manifest, e.rng)
    return [e.rng.choice([e.export, e.manifest])]


def manifest_signed_by_another(e: Evidence) -> list[Path]:
    """The thief changes the export and makes a manifest that fits, with his own key."""
    manifest, _ = parse_manifest(e.manifest.read_bytes())
    data = e.export.read_bytes() + b"\0\0\0\x08free"
    e.export.write_bytes(data)
    file = replace(manifest.files[0], size_bytes=len(data), sha256=hashlib.sha256(data).digest())
    e.manifest.write_bytes(sign_manifest(replace(manifest, files=(file,)), e.thief))
    return [e.export]


def export_forged_with_its_manifest(e: Evidence) -> list[Path]:
    """A frame of the export, its rows and the manifest's row and hash are made to fit; only the signature is old."""
    data = e.export.read_bytes()
    whole = json.loads(e.manifest.read_bytes())
    changed = bytearray(data)
    changed[e.rng.randrange(len(data) // 3, len(data) // 2)] ^= 1
    e.export.write_bytes(changed)
    whole["statement"]["files"][0]["sha256"] = hashlib.sha256(changed).hexdigest()
    e.manifest.write_bytes(json.dumps(whole).encode())
    return [e.export]


EXPORTS: list[Kind] = [
    export_flipped,
    export_truncated,
    export_exchanged,
    export_removed,
    manifest_edited,
    manifest_flipped,
    manifest_signed_by_another,
    export_forged_with_its_manifest,
]

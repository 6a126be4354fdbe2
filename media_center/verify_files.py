"""Whatever somebody hands over, verified: files and folders told apart, manifests and proofs found beside them.

What belongs here: which check a path needs. What does not: the checks (`verify_segment`, `verify_camera`,
`verify_export`). Needs no running instance, raises nothing for what is in the files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from media_center.catalogue import parse_name
from media_center.keys import TrustedKeys
from media_center.manifest import FORM as MANIFEST_FORM
from media_center.manifest import PREFIX, manifest_name, parse_manifest
from media_center.proof import FORM as PROOF_FORM
from media_center.proof import SUFFIX, parse_proof
from media_center.seal_files import read_seal
from media_center.statement import MAX_BYTES, MalformedStatement
from media_center.verify_access import is_access_log, verify_access
from media_center.verify_camera import verify_camera
from media_center.verify_export import judge_statement, verify_export, verify_manifest
from media_center.verify_report import Finding, Report
from media_center.verify_segment import judge_signature, verify_segment

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_PNG = 512 << 20


def verify_paths(paths: Sequence[Path], trusted: TrustedKeys) -> list[Report]:
    """The reports of files and folders. Folders of the same name are tiers of one camera and verified as one."""
    reports: list[Report] = []
    done: set[Path] = set()
    for path in paths:
        if path in done:
            continue
        same = [path]
        if path.is_dir() and _has_segments(path):
            same = [other for other in paths if other.is_dir() and other.resolve().name == path.resolve().name]
            done.update(same)
        try:
            reports += _verify(same, trusted)
        except OSError as error:
            reports.append(_broken(path, "unreadable", f"cannot be read ({error.strerror})"))
    return reports


def _verify(paths: Sequence[Path], trusted: TrustedKeys) -> list[Report]:
    path = paths[0]
    if path.is_dir():
        return _verify_folder([one.resolve() for one in paths], trusted)
    if not path.exists() and not (path.is_symlink() and parse_name(path.name) is not None):
        return [_broken(path, "missing", "does not exist")]
    if path.is_symlink() and parse_name(path.name) is not None:  # moved to the second tier
        return [verify_segment(path, trusted)]
    if not path.is_file():
        return [_broken(path, "unreadable", "is neither file nor folder")]
    with path.open("rb") as file:
        head = file.read(64)
    if head.lstrip().startswith(b"{"):
        return _verify_json(path, trusted)
    if head.startswith(_PNG) or path.suffix == ".png":
        return [_verify_png(path, path.with_name(path.stem + SUFFIX), trusted)]
    if parse_name(path.name) is not None or read_seal(path) is not None:
        return [verify_segment(path, trusted)]
    if head[4:8] == b"ftyp" or path.suffix == ".mp4":
        return _verify_mp4(path, trusted)
    return [_broken(path, "unreadable", "is no segment, export, manifest, snapshot or proof of ours")]


def _verify_folder(folders: Sequence[Path], trusted: TrustedKeys) -> list[Report]:
    if any(_has_segments(folder) for folder in folders):
        return [verify_camera(folders, trusted)]
    reports: list[Report] = []
    (folder,) = folders
    if is_access_log(folder):
        return [verify_access(folder, trusted)]
    named: set[str] = set()
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and _has_segments(entry):
            reports.append(verify_camera([entry], trusted))
        elif entry.is_file() and entry.name.startswith(PREFIX) and entry.suffix == ".json":
            found = _verify_json(entry, trusted)
            named.update(Path(report.path).name for report in found)
            reports += found
    for entry in sorted(folder.iterdir()):
        if entry.is_file() and entry.suffix in (".mp4", ".png") and entry.name not in named:
            reports += _verify([entry], trusted)
    return reports or [_broken(folder, "missing", "holds no segment, export or snapshot")]


def _has_segments(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(parse_name(entry.name) is not None for entry in entries)
    except OSError:
        return False


def _verify_json(path: Path, trusted: TrustedKeys) -> list[Report]:
    data = _read(path, MAX_BYTES)
    if PROOF_FORM.encode() in data[:200]:
        name = path.name.removesuffix(SUFFIX) + ".png"
        return [_verify_png(path.with_name(name), path, trusted)]
    if MANIFEST_FORM.encode() not in data[:200]:
        return [_broken(path, "unreadable", "is no manifest or proof of ours")]
    try:
        manifest, statement = parse_manifest(data)
    except MalformedStatement as error:
        return [_broken(path, "manifest", str(error))]
    return verify_manifest(path, manifest, statement, trusted)


def _verify_mp4(path: Path, trusted: TrustedKeys) -> list[Report]:
    """An export: with the manifest of its name, or with any beside it that names it."""
    candidates = [path.with_name(manifest_name(path.name))]
    candidates += [one for one in sorted(path.parent.glob(f"{PREFIX}*.json")) if one not in candidates]
    for candidate in candidates:
        try:
            manifest, statement = parse_manifest(_read(candidate, MAX_BYTES))
        except FileNotFoundError:
            continue
        except MalformedStatement as error:
            if candidate == candidates[0]:
                return [_broken(candidate, "manifest", str(error)), verify_export(path, trusted)]
            continue
        if any(file.name == path.name for file in manifest.files):
            return verify_manifest(candidate, manifest, statement, trusted, only=path.name)
        if candidate == candidates[0]:
            return [_broken(candidate, "manifest", f"does not name {path.name}"), verify_export(path, trusted)]
    return [verify_export(path, trusted)]


def _verify_png(path: Path, proof_path: Path, trusted: TrustedKeys) -> Report:
    report = Report(str(path), "snapshot")
    try:
        png = _read(path, _MAX_PNG)
    except FileNotFoundError:
        report.findings.append(Finding("missing", "does not exist", path.name))
        png = b""
    try:
        proof, statement = parse_proof(_read(proof_path, MAX_BYTES))
    except FileNotFoundError:
        report.notes.append(f"no {proof_path.name} beside it; nothing proves it")
        return report
    except MalformedStatement as error:
        report.findings.append(Finding("proof", f"cannot be used: {error}", proof_path.name))
        return report
    judge_statement(report, statement, trusted, proof.made_ns, "proof")
    report.frames = 1
    frame = proof.frame
    if png and (len(png) != proof.png_bytes or hashlib.sha256(png).digest() != proof.png_sha256):
        report.findings.append(Finding("proof", "is not the picture that the proof is of", path.name, frame, frame))
    if proof.seal is None:
        report.notes.append("its segment had no seal yet when the picture was made")
    else:
        judge_signature(report, proof.seal, trusted, proof.seal.segment)
        seal = proof.seal
        is_of_it = (seal.camera, seal.epoch, seal.segment) == (frame.camera, frame.epoch, proof.segment)
        if not is_of_it or not seal.first_seq <= frame.seq <= seal.last_seq:
            report.findings.append(Finding("proof", "its seal does not cover the frame", proof_path.name, frame, frame))
    if proof.inexact:
        report.notes.append("not exact: the frame is damaged or follows damage")
    return report


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)


def _broken(path: Path, kind: str, detail: str) -> Report:
    return Report(str(path), "unknown", [Finding(kind, detail, path.name)])

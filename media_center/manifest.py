"""The manifest of an export: which files belong to it, which frames they hold, where these came from, signed. Pure.

What belongs here: the statement and taking one apart with every bound checked. What does not: reading the files that it
names (`verify_files`), making exports (`export`, `package`).

The statement (form `trueframe-manifest-1`, in the envelope of `statement`):

    made_ns, made_for (who asked), purpose, and files: a list of
      name, size_bytes, sha256 (hex)
      camera, codec, first and last ("camera/epoch/seq" of the asked range), shown, hidden (numbers of frames)
      frames: [epoch, seq, received_ns, digest (hex)] of every frame in the file, in its order, hidden ones too
      gaps: [reason, count, noticed_ns, id of the frame before or ""]
      seals: the seals (base64 of the whole box) of the segments that the frames came from; a segment that was still
             being written has none
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from media_center.seal import MalformedSeal, Seal, Signer, parse_seal
from media_center.statement import MalformedStatement, Statement, parse_statement, sign_statement

FORM: Final = "trueframe-manifest-1"
PREFIX: Final = "manifest_"


@dataclass(frozen=True, slots=True)
class ManifestFrame:
    """A frame in a file."""

    epoch: int
    seq: int
    received_ns: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class ManifestGap:
    """A gap inside a range."""

    reason: str
    count: int
    noticed_ns: int
    after: str
    """Id of the frame before it, or empty."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of an export."""

    name: str
    size_bytes: int
    sha256: bytes
    camera: str
    codec: str
    first: str
    last: str
    shown: int
    hidden: int
    frames: tuple[ManifestFrame, ...]
    gaps: tuple[ManifestGap, ...] = ()
    seals: tuple[Seal, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export consists of."""

    made_ns: int
    made_for: str
    purpose: str
    files: tuple[ManifestFile, ...]


def manifest_name(file_name: str) -> str:
    """The name of the manifest beside a file: `manifest_clip.json` beside `clip.mp4`."""
    return f"{PREFIX}{file_name.rsplit('.', 1)[0]}.json"


def sign_manifest(manifest: Manifest, signer: Signer) -> bytes:
    """The manifest as a signed JSON file."""
    body = {
        "form": FORM,
        "made_ns": manifest.made_ns,
        "made_for": manifest.made_for,
        "purpose": manifest.purpose,
        "files": [_file_body(file) for file in manifest.files],
    }
    return sign_statement(body, signer)


def _file_body(file: ManifestFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256.hex(),
        "camera": file.camera,
        "codec": file.codec,
        "first": file.first,
        "last": file.last,
        "shown": file.shown,
        "hidden": file.hidden,
        "frames": [[frame.epoch, frame.seq, frame.received_ns, frame.digest.hex()] for frame in file.frames],
        "gaps": [[gap.reason, gap.count, gap.noticed_ns, gap.after] for gap in file.gaps],
        "seals": [base64.b64encode(seal.encode()).decode() for seal in file.seals],
    }


def parse_manifest(data: bytes) -> tuple[Manifest, Statement]:
    """A manifest and its envelope; the signature is not checked here. Raises MalformedStatement."""
    statement = parse_statement(data, FORM)
    body = statement.body
    try:
        made_ns, texts = body["made_ns"], (body["made_for"], body["purpose"])
        files = tuple(_file(item) for item in _items(body["files"]))
        _check(made_ns, int)
        for text in texts:
            _check(text, str)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedStatement(f"a manifest without what a manifest has ({error})") from None
    return Manifest(made_ns, *texts, files), statement


def _file(item: Any) -> ManifestFile:
    for name in ("name", "camera", "codec", "first", "last", "sha256"):
        _check(item[name], str)
    for name in ("size_bytes", "shown", "hidden"):
        _check(item[name], int)
    if "/" in item["name"] or item["name"] in ("", ".", "..") or "\0" in item["name"]:
        raise ValueError("a file name that leads out of the folder")
    return ManifestFile(
        item["name"], item["size_bytes"], _hash(item["sha256"]), item["camera"], item["codec"], item["first"],
        item["last"], item["shown"], item["hidden"], tuple(_frame(row) for row in _items(item["frames"])),
        tuple(_gap(row) for row in _items(item["gaps"])), tuple(_seal(text) for text in _items(item["seals"])),
    )  # fmt: skip


def _frame(row: Any) -> ManifestFrame:
    epoch, seq, received_ns, digest = _items(row)
    for number in (epoch, seq, received_ns):
        _check(number, int)
    return ManifestFrame(epoch, seq, received_ns, _hash(digest))


def _gap(row: Any) -> ManifestGap:
    reason, count, noticed_ns, after = _items(row)
    for value, kind in ((reason, str), (count, int), (noticed_ns, int), (after, str)):
        _check(value, kind)
    return ManifestGap(reason, count, noticed_ns, after)


def _seal(text: Any) -> Seal:
    try:
        return parse_seal(base64.b64decode(text, validate=True))
    except MalformedSeal as error:
        raise ValueError(str(error)) from None


def _hash(text: Any) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != 32:
        raise ValueError("a hash of a wrong length")
    return value


def _items(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _check(value: Any, kind: type) -> None:
    if type(value) is not kind:
        raise TypeError(f"a field is no {kind.__name__}")

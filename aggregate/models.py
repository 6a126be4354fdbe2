"""Models as the aggregate thinks of them: versions named by their content, and where the roll-out of each stands.

Pure values and choices; also what can be said of a zip without loading what is in it. A graph is never loaded here: the
command checks it before it is sent, and the worker that runs it reports what the golden frames give.
"""

from __future__ import annotations

import re
import stat
import tomllib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from aggregate.orders import Order
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from trueframe.v1 import models_pb2

MANIFEST, CARD = "detector.toml", "card.json"
MAX_FILES = 1024
MAX_TEXT_BYTES = 64 << 10
MAX_CANARY_CAMERAS = 1000
SHORT = 12
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_DETECTOR = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BEGINNING = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model."""

    model: str
    digest: str
    """SHA-256 of its zip in hexadecimal."""
    size: int
    detector: str
    added_ns: int
    added_by: str
    card: str = ""
    golden: str = ""
    """What its golden frames gave at a worker, as a sentence; empty while none has reported it."""
    golden_differs: bool = False

    @property
    def short(self) -> str:
        """As the names of detectors end: "objects@1:3fa2c1d09b12"."""
        return self.digest[:SHORT]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Which versions of a model speak. Digests; empty for none."""

    promoted: str = ""
    previous: str = ""
    """The one before, kept warm."""
    shadow: str = ""
    """Runs beside it, silently."""
    canary: str = ""
    """Speaks on some cameras already."""
    canary_cameras: tuple[str, ...] = ()
    changed_ns: int = 0
    changed_by: str = ""

    def digest_for(self, order: Order) -> str:
        """The version that an inspection runs; empty if there is none for it."""
        if order.shadow_of and self.shadow:
            return self.shadow
        return self.canary if self.canary and order.camera in self.canary_cameras else self.promoted

    def shadowed(self, digest: str) -> Rollout:
        """With a version beside the promoted one. Raises FailedPrecondition."""
        if not self.promoted:
            raise FailedPrecondition("shadow", "has nothing to run beside", "`trueframe models promote` comes first.")
        if digest == self.promoted:
            raise FailedPrecondition(f"version {digest[:SHORT]}", "is the promoted one already")
        return replace(self, shadow=digest)

    def with_canary(self, digest: str, cameras: Iterable[str]) -> Rollout:
        """With a version that speaks on some cameras. Raises FailedPrecondition, InvalidArgument."""
        chosen = tuple(sorted(set(cameras)))
        if not chosen or len(chosen) > MAX_CANARY_CAMERAS:
            raise InvalidArgument("canary", "names no cameras, or too many", "Name those that try it: --camera gate.")
        if not self.promoted:
            raise FailedPrecondition("canary", "needs a version for the other cameras", "Promote one first.")
        return replace(self, canary=digest, canary_cameras=chosen)

    def promote(self, digest: str) -> Rollout:
        """With a version that speaks everywhere. Raises FailedPrecondition."""
        if digest == self.promoted and not self.canary:
            raise FailedPrecondition(f"version {digest[:SHORT]}", "is the promoted one already")
        previous = self.previous if digest == self.promoted else self.promoted
        shadow = "" if self.shadow == digest else self.shadow
        return replace(self, promoted=digest, previous=previous, shadow=shadow, canary="", canary_cameras=())

    def rolled_back(self) -> Rollout:
        """With the version before. Raises FailedPrecondition."""
        if not self.previous:
            raise FailedPrecondition("roll-back", "has no version to go back to", "Promote another one.")
        return replace(self, promoted=self.previous, previous=self.promoted, canary="", canary_cameras=())

    def without_trial(self) -> Rollout:
        """With neither shadow nor canary."""
        return replace(self, shadow="", canary="", canary_cameras=())


def shorts_of(detector: str) -> tuple[str, ...]:
    """Beginnings of the digests that a detector's full name ends with: "rules@1:3fa2c1d09b12+0c9d12aa41fe"."""
    return tuple(short for short in detector.partition(":")[2].split("+") if short)


def checked_name(model: str) -> str:
    """The name of a model. Raises InvalidArgument."""
    if not _NAME.fullmatch(model):
        remedy = "Small letters, digits, '.' and '-', at most 100: \"yolox-nano\"."
        raise InvalidArgument(f"model {model[:60]!r}", "is no name of a model", remedy)
    return model


def checked_digest(digest: str) -> str:
    """A whole digest. Raises InvalidArgument."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidArgument(f"digest {digest[:80]!r}", "is no SHA-256 of 64 hexadecimal digits")
    return digest


def chosen(model: str, versions: Iterable[Version], beginning: str) -> Version:
    """The version whose digest begins so; the newest one for nothing. Raises NotFound, InvalidArgument."""
    known = sorted(versions, key=lambda version: -version.added_ns)
    if not known:
        raise NotFound(f"model {model}", "does not exist", "`trueframe models list` shows those that do.")
    if not beginning:
        return known[0]
    if not _BEGINNING.fullmatch(beginning):
        raise InvalidArgument(f"version {beginning[:80]!r}", "is no beginning of a digest", "Give 8 digits or more.")
    found = [version for version in known if version.digest.startswith(beginning)]
    if len(found) != 1:
        there_are = ", ".join(version.short for version in known[:10])
        reason = "is there more than once" if found else "does not exist"
        raise NotFound(f"version {beginning} of model {model}", reason, f"There are: {there_are}.")
    return found[0]


@dataclass(frozen=True, slots=True)
class Content:
    """What a model's zip says of itself."""

    name: str
    detector: str
    card: str


def read_zip(path: Path, max_bytes: int) -> Content:
    """Looks into a zip without loading a graph. Raises InvalidArgument."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(entries, max_bytes)
            manifest = tomllib.loads(_text(archive, MANIFEST))
            card = _text(archive, CARD) if CARD in archive.namelist() else ""
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InvalidArgument("model", f"is no zip that can be read ({str(error)[:120]})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{MANIFEST} of the model", f"cannot be read: {str(error)[:120]}") from None
    name, detector = manifest.get("name"), manifest.get("detector")
    if not isinstance(detector, str) or not _DETECTOR.fullmatch(detector):
        raise InvalidArgument(
            f"{MANIFEST} of the model", "names no detector", 'Add a line like `detector = "objects"`.'
        )
    if not isinstance(name, str):
        raise InvalidArgument(f"{MANIFEST} of the model", "names no model", 'Add a line like `name = "yolox-nano"`.')
    return Content(checked_name(name), detector, card)


def _check_entries(entries: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > max_bytes:
        raise InvalidArgument("model", f"holds more than {MAX_FILES} files or {max_bytes >> 20} MiB")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise InvalidArgument("model", "holds a file twice")
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not parts or ".." in parts or entry.filename.startswith("/") or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InvalidArgument("model", f"holds {entry.filename!r:.80}, which is no plain file inside of it")
    if MANIFEST not in names:
        raise InvalidArgument("model", f"has no {MANIFEST}", "See docs/guide/models.md.")


def _text(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise InvalidArgument(f"{name} of the model", f"is longer than {MAX_TEXT_BYTES >> 10} KiB")
    return data.decode()


# As documents and messages


def version_document(version: Version) -> dict[str, Any]:
    """The version as a JSON object, without its digest."""
    return {
        "model": version.model,
        "size": version.size,
        "detector": version.detector,
        "added_ns": version.added_ns,
        "added_by": version.added_by,
        "card": version.card,
        "golden": version.golden,
        "golden_differs": version.golden_differs,
    }


def version_from_document(digest: str, body: Mapping[str, Any]) -> Version:
    """The inverse of `version_document`."""
    return Version(
        body["model"], digest, body["size"], body["detector"], body["added_ns"], body["added_by"], body["card"],
        body.get("golden", ""), body.get("golden_differs", False),
    )  # fmt: skip


def rollout_document(rollout: Rollout) -> dict[str, Any]:
    """The roll-out as a JSON object."""
    return {
        "promoted": rollout.promoted,
        "previous": rollout.previous,
        "shadow": rollout.shadow,
        "canary": rollout.canary,
        "canary_cameras": list(rollout.canary_cameras),
        "changed_ns": rollout.changed_ns,
        "changed_by": rollout.changed_by,
    }


def rollout_from_document(body: Mapping[str, Any]) -> Rollout:
    """The inverse of `rollout_document`."""
    return Rollout(**{**body, "canary_cameras": tuple(body["canary_cameras"])})


def version_to_proto(version: Version) -> models_pb2.ModelVersion:
    """For lists, and for assignments."""
    return models_pb2.ModelVersion(
        model=version.model,
        digest=version.digest,
        size=version.size,
        detector=version.detector,
        added_ns=version.added_ns,
        added_by=version.added_by,
        card=version.card,
    )


def rollout_to_proto(rollout: Rollout) -> models_pb2.Rollout:
    """For lists."""
    return models_pb2.Rollout(**rollout_document(rollout))

"""Model folders: opened from a folder or a zip, packed so that equal content has equal bytes, and checked.

    model = open_model(Path("yolox-nano"))      # or a zip of it
    model.digest, model.manifest["detector"], model.read("model.onnx")

A folder holds `detector.toml` and the files that it names. What comes in is from outside: it is bounded before it is
read, and nothing of it is ever written to a disk or run here. What `detector.toml` must say beyond `detector` and
`name` is the detector's affair (docs/guide/models.md); golden frames are in `golden.py`.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import tomllib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from detector_pool.detector import Detector, LoadedModel, Setup
from detector_pool.golden import GoldenResult, compared
from mesh.errors import InvalidArgument, NotFound

MANIFEST = "detector.toml"
MAX_MODEL_BYTES = 512 << 20
MAX_FILES = 1024
MAX_MANIFEST_BYTES = 64 << 10
_DETECTOR = re.compile(r"[a-z][a-z0-9-]{0,39}")
_MODEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_PART = re.compile(r"[\w][\w .+@=-]{0,99}")
_MAX_DEPTH = 4
_DATE = (1980, 1, 1, 0, 0, 0)
_ZIP_END = struct.Struct("<4s4H2LH")
_MAX_COMMENT = 1 << 16
_MAX_ENTRY_BYTES = 1024


@dataclass(frozen=True, slots=True, repr=False)
class ModelFiles:
    """A model, unpacked in memory. A `LoadedModel`."""

    digest: str
    """SHA-256 of `packed` of its content in hexadecimal, whatever it was opened from."""
    manifest: Mapping[str, Any]
    """`detector.toml`."""
    files: Mapping[str, bytes]
    """All files by name, `/` between folders."""

    @property
    def name(self) -> str:
        """The model's name, as `detector.toml` says it."""
        return str(self.manifest["name"])

    @property
    def detector(self) -> str:
        """The detector that it is for."""
        return str(self.manifest["detector"])

    def read(self, name: str) -> bytes:
        """A file of it. Raises InvalidArgument: there is none of that name."""
        if name not in self.files:
            there_are = ", ".join(sorted(self.files)[:20])
            raise InvalidArgument(f"model {self.name}", f"has no file {name!r:.80}", f"There are: {there_are}.")
        return self.files[name]

    def packed(self) -> bytes:
        """The zip that `digest` is of."""
        return _zipped(self.files)


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """What a check found."""

    name: str
    digest: str
    detector: str
    """Name with version and digest, as it will stand in the ledger."""
    golden: GoldenResult


def open_model(path: Path) -> LoadedModel:
    """A model from its folder, or from a zip of it. Raises NotFound, InvalidArgument naming the file and the remedy."""
    return open_files(path)


def open_files(path: Path) -> ModelFiles:
    """As `open_model`, with all that is known of it."""
    if path.is_dir():
        return _model(_of_folder(path), str(path))
    if not path.is_file():
        raise NotFound(f"model {path}", "does not exist", "Name a folder with a detector.toml in it, or a zip of one.")
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise _too_large(str(path), size)
    return opened(path.read_bytes(), str(path))


def opened(data: bytes, what: str = "model") -> ModelFiles:
    """A model from the bytes of a zip. Raises InvalidArgument."""
    if len(data) > MAX_MODEL_BYTES:
        raise _too_large(what, len(data))
    return _model(_of_zip(data, what), what)


def packed(folder: Path) -> bytes:
    """The folder as a zip: equal content gives equal bytes. Raises NotFound, InvalidArgument."""
    if not folder.is_dir():
        raise NotFound(f"model folder {folder}", "does not exist")
    return _zipped(_of_folder(folder))


def check_model(model: LoadedModel) -> CheckedModel:
    """Makes its detector, which loads the graph and checks what goes in and out, and shows it the golden frames.

    Raises InvalidArgument: no such detector, a graph that does not fit its decoder, golden frames that give something
    else than what is stored.
    """
    detector = detector_of(model)
    return CheckedModel(str(model.manifest["name"]), model.digest, detector.name, compared(model, detector))


def detector_of(model: LoadedModel) -> Detector[Any]:
    """The model's detector with its own defaults. Raises InvalidArgument."""
    # The registry imports the detector types, and those may import this module.
    from detector_pool.registry import detector_types

    name = str(model.manifest["detector"])
    kind = detector_types().get(name)
    if kind is None:
        with_model = sorted(one.name for one in detector_types().values() if one.needs_model)
        what, reason = (
            f"{MANIFEST} of model {model.manifest['name']}",
            f"names the detector {name!r}, which is not known",
        )
        raise InvalidArgument(what, reason, f"Detectors that take a model: {', '.join(with_model)}.")
    return kind.make(Setup(model=model))


def _model(files: dict[str, bytes], what: str) -> ModelFiles:
    manifest = _manifest(files, what)
    digest = hashlib.sha256(_zipped(files)).hexdigest()
    return ModelFiles(digest, MappingProxyType(manifest), MappingProxyType(files))


def _manifest(files: Mapping[str, bytes], what: str) -> dict[str, Any]:
    thing = f"{MANIFEST} of {what}"
    data = files.get(MANIFEST)
    if data is None:
        there_are = f"There are: {', '.join(sorted(files)[:10])}. " if files else "It is empty. "
        remedy = f'{there_are}Write one with `detector = "objects"` and `name = "my-model"`, see docs/guide/models.md.'
        raise InvalidArgument(what, f"has no {MANIFEST}", remedy)
    if len(data) > MAX_MANIFEST_BYTES:
        raise InvalidArgument(thing, f"is longer than {MAX_MANIFEST_BYTES >> 10} KiB")
    try:
        manifest = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = 'Write it as TOML, one `name = value` in a line; texts stand in "quotation marks".'
        raise InvalidArgument(thing, f"cannot be read: {error}", remedy) from None
    for field, pattern, example in (("detector", _DETECTOR, "objects"), ("name", _MODEL, "yolox-nano")):
        value = manifest.get(field)
        if value is None:
            raise InvalidArgument(thing, f"says no {field}", f'Add a line like `{field} = "{example}"`.')
        if not isinstance(value, str) or not pattern.fullmatch(value):
            remedy = f'Small letters, digits and "-", like `{field} = "{example}"`.'
            raise InvalidArgument(thing, f"has {field} = {value!r:.60}, which is no name", remedy)
    return manifest


def _of_folder(folder: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    total = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in PurePosixPath(name).parts):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            remedy = "Put the file itself into the folder."
            raise InvalidArgument(f"file {name} of {folder}", "is a link or no plain file", remedy)
        _check_name(name, str(folder))
        total += path.lstat().st_size
        _check_bounds(str(folder), len(files) + 1, total)
        with path.open("rb") as file:
            # What was looked at may have grown meanwhile.
            files[name] = file.read(MAX_MODEL_BYTES + 1)
    _check_bounds(str(folder), len(files), sum(map(len, files.values())))
    return files


def _of_zip(data: bytes, what: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    _check_directory(data, what)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = [one for one in archive.infolist() if not one.is_dir() and not _is_hidden(one.filename)]
            _check_bounds(what, len(listed), sum(one.file_size for one in listed))
            inside = _common_folder([one.filename for one in listed])
            for one in listed:
                name = one.filename.removeprefix(inside)
                kind = stat.S_IFMT(one.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise InvalidArgument(f"file {name!r:.80} of {what}", "is a link or no plain file")
                if one.flag_bits & 1:
                    raise InvalidArgument(f"file {name!r:.80} of {what}", "is encrypted", "Zip it without a password.")
                if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    remedy = "Zip it with the usual method (deflate)."
                    raise InvalidArgument(f"file {name!r:.80} of {what}", "is compressed in an unusual way", remedy)
                _check_name(name, what)
                if name in files:
                    raise InvalidArgument(f"file {name} of {what}", "is in it twice")
                with archive.open(one) as file:
                    # A size that lies ends in BadZipFile or in fewer bytes, never in more than it says.
                    content = file.read(one.file_size + 1)
                if len(content) != one.file_size:
                    raise InvalidArgument(f"file {name} of {what}", "has another size than the zip says")
                files[name] = content
    except InvalidArgument:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        OSError,
        EOFError,
        LookupError,
        ValueError,
        RuntimeError,
    ) as error:
        # The library has no error of its own for much of what can be wrong with a zip.
        remedy = "Make it again: `zip -r model.zip FOLDER`, or give the folder itself."
        raise InvalidArgument(what, f"is no zip that can be read ({str(error)[:120]})", remedy) from None
    return files


def _check_directory(data: bytes, what: str) -> None:
    """Bounds the zip's list of files before it is read: it takes far more memory than it has bytes."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - _MAX_COMMENT - _ZIP_END.size))
    if end >= 0 and len(data) - end >= _ZIP_END.size:
        size = _ZIP_END.unpack_from(data, end)[5]
        if size > MAX_FILES * _MAX_ENTRY_BYTES or data[max(0, end - 20) : end].startswith(b"PK\x06\x07"):
            raise InvalidArgument(
                what, f"holds more than {MAX_FILES} files", "A model needs its graph and detector.toml."
            )


def _common_folder(names: list[str]) -> str:
    """The one folder that everything lies in, if `detector.toml` lies there: a folder was zipped, not its content."""
    first = names[0].partition("/")[0] + "/" if names else ""
    is_all = MANIFEST not in names and f"{first}{MANIFEST}" in names and all(name.startswith(first) for name in names)
    return first if is_all else ""


def _is_hidden(name: str) -> bool:
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in name.split("/"))


def _check_name(name: str, what: str) -> None:
    parts = name.split("/")
    if len(parts) > _MAX_DEPTH or not all(_PART.fullmatch(part) for part in parts):
        remedy = f"Letters, digits, '_', '-', '.' and at most {_MAX_DEPTH - 1} folders deep."
        raise InvalidArgument(f"file name {name!r:.80} of {what}", "will not do", remedy)


def _check_bounds(what: str, count: int, total: int) -> None:
    if count > MAX_FILES:
        raise InvalidArgument(what, f"holds more than {MAX_FILES} files", "A model needs its graph and detector.toml.")
    if total > MAX_MODEL_BYTES:
        raise _too_large(what, total)


def _too_large(what: str, size: int) -> InvalidArgument:
    return InvalidArgument(what, f"has {size >> 20} MiB; a model has at most {MAX_MODEL_BYTES >> 20}")


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """Stored, not compressed: what a compressor makes of the same bytes depends on its version."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=True) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name])
    return target.getvalue()

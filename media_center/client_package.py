"""A package of exported files on its way into a folder: whole or absent. Part of both clients."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO

from media_center.client_calls import Export, errors
from media_center.manifest import manifest_name, parse_manifest
from media_center.statement import MalformedStatement
from mesh.errors import DataLoss
from mesh.ids import FrameId
from trueframe.v1 import footage_pb2, footage_pb2_grpc

PackageProgress = Callable[[str, int, int], None]
"""Called with the name of the file at work, its bytes so far and those of the whole file."""


@dataclass(frozen=True, slots=True)
class Package:
    """Files that were exported together."""

    files: list[Export]
    manifest: Path
    """The signed manifest that names them; `trueframe verify` reads it."""


class ExportCalls:
    """Part of FootageClient."""

    _stub: footage_pb2_grpc.FootageServiceAsyncStub

    async def export_package(
        self,
        ranges: Iterable[footage_pb2.FootageRange],
        folder: Path | str,
        *,
        file_name: str = "",
        purpose: str = "",
        progress: PackageProgress | None = None,
    ) -> Package:
        """Writes an MP4 of each range, and of each codec where a camera changed it, with one signed manifest.

        A folder that is not there yet is made when everything is whole; into one that is there, files are put then.
        `file_name`: of the file if it is one, with numbers if there are more; empty for telling names.
        """
        request = footage_pb2.ExportPackageRequest(ranges=ranges, purpose=purpose, file_name=file_name)
        call: Any = self._stub.ExportPackage(request)
        with PackageFiles(Path(folder), file_name, progress) as files, errors():
            async for part in call:
                files.take(part)
            return files.finish()


class SyncExportCalls:
    """Part of SyncFootageClient."""

    _stub: Any

    def export_package(
        self,
        ranges: Iterable[footage_pb2.FootageRange],
        folder: Path | str,
        *,
        file_name: str = "",
        purpose: str = "",
        progress: PackageProgress | None = None,
    ) -> Package:
        """As FootageClient.export_package."""
        request = footage_pb2.ExportPackageRequest(ranges=ranges, purpose=purpose, file_name=file_name)
        call = self._stub.ExportPackage(request)
        with PackageFiles(Path(folder), file_name, progress) as files, errors():
            for part in call:
                files.take(part)
            return files.finish()


class PackageFiles:
    """Writes the files of a package beside their folder, and puts them there when all are whole."""

    def __init__(self, folder: Path, file_name: str, progress: PackageProgress | None) -> None:
        self._folder = folder
        self._file_name = file_name
        self._progress = progress
        self._is_new = not folder.exists()
        self._work: Path | None = None
        self._file: BinaryIO | None = None
        self._header = footage_pb2.ExportHeader()
        self._digest = hashlib.sha256()
        self._written = 0
        self._done: list[Export] = []
        self._manifest = bytearray()

    def take(self, part: footage_pb2.ExportPackageResponse) -> None:
        """Takes the next part. Raises DataLoss if a file is not what the server says, OSError from the disk."""
        kind = part.WhichOneof("part")
        if kind == "header":
            self._begin(part.header)
        elif kind == "chunk" and self._file is not None:
            self._file.write(part.chunk)
            self._digest.update(part.chunk)
            self._written += len(part.chunk)
            if self._progress is not None:
                self._progress(self._header.file_name, self._written, self._header.size_bytes)
        elif kind == "summary" and self._file is not None:
            self._end(part.summary)
        elif kind == "manifest":
            self._manifest += part.manifest

    def finish(self) -> Package:
        """Puts everything into its place. Raises DataLoss if it ended early or is not what its manifest says."""
        data = bytes(self._manifest)
        try:
            manifest, _ = parse_manifest(data)
        except MalformedStatement as error:
            raise DataLoss(f"export {self._folder}", f"ended early: {error}", "Export it again.") from None
        named = [(file.name, file.size_bytes, file.sha256) for file in manifest.files]
        if not self._done or named != [(file.path.name, file.size_bytes, file.digest) for file in self._done]:
            raise DataLoss(f"export {self._folder}", "is not what its manifest says", "Export it again.")
        work = self._workplace()
        name = manifest_name(self._file_name or self._done[0].path.name)
        (work / name).write_bytes(data)
        if self._is_new:
            work.chmod(0o755)
            work.rename(self._folder)
        else:
            for file in self._done:
                (work / file.path.name).replace(file.path)
            (work / name).replace(self._folder / name)
        return Package(self._done, self._folder / name)

    def _workplace(self) -> Path:
        if self._work is None:
            place = self._folder.parent if self._is_new else self._folder
            self._work = Path(mkdtemp(prefix=f".{self._folder.name}.", suffix=".part", dir=place))
        return self._work

    def _begin(self, header: footage_pb2.ExportHeader) -> None:
        name = header.file_name
        if Path(name).name != name or name in ("", ".", ".."):
            raise DataLoss(f"export {name!r}", "has a name that leads out of the folder")
        self._header = header
        self._digest = hashlib.sha256()
        self._written = 0
        self._file = (self._workplace() / name).open("wb")

    def _end(self, summary: footage_pb2.ExportSummary) -> None:
        header, path = self._header, self._folder / self._header.file_name
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._digest.digest() != summary.digest or self._written != header.size_bytes:
            raise DataLoss(f"export {path}", "did not arrive as it was sent", "Export it again.")
        self._done.append(
            Export(
                path, FrameId.from_proto(header.first), FrameId.from_proto(header.last), header.frames,
                header.lead_in_frames, self._written, summary.digest, list(summary.gaps),
            )
        )  # fmt: skip

    def __enter__(self) -> PackageFiles:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)

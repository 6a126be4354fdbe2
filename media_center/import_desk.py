"""Which imports may begin, and the moment at which one becomes footage.

What belongs here: the rules between an import and what is recorded already, and entering it into writer and archive.
What does not: the call (`service_import`) and the writing (`import_run`). Lives in the event loop.

A camera's footage is in the order of time, and a camera comes either live or by import. So an import lies behind
everything recorded of its camera, and is refused where a live stream may still go on: its last epoch could go on too,
with ids before those of the import.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from media_center.archive import Archive
from media_center.catalogue import epoch_started
from media_center.chain import Chain
from media_center.cutter import Limits
from media_center.errors import DiskFull, NeverRecorded
from media_center.footage import CameraFootage
from media_center.import_run import FileImport, Imported
from media_center.import_staging import Staging
from media_center.lane import Commit, Lane
from media_center.retention import Rule
from media_center.seal import NO_SEAL, Signer
from media_center.writer import FootageWriter, free_bytes
from mesh.clocks import Clock
from mesh.errors import AlreadyExists, Conflict, FailedPrecondition, InvalidArgument
from mesh.ids import validate_camera_id
from trueframe.v1 import footage_pb2, frames_pb2

# The file itself, and its footage beside it.
_COPIES = 2
_ANOTHER_NAME = "Import it under another name with --camera."


@dataclass(frozen=True, slots=True)
class Wanted:
    """An import that may begin."""

    camera: str
    start_ns: int
    name: str
    size_bytes: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Begun:
    """An import under way."""

    wanted: Wanted
    staging: Staging
    run: FileImport
    chain: Chain
    """Of its seals; goes on behind those of the camera."""
    lane: Lane | None
    """The camera's, when the import began."""
    began: tuple[int, bytes]
    """Number and hash of the camera's newest seal then."""


class ImportDesk:
    """Begins imports and makes footage of them."""

    def __init__(
        self, root: Path, archive: Archive, writer: FootageWriter, signer: Signer, limits: Limits, clock: Clock,
        min_free_bytes: int, rule_of: Callable[[str], Rule] = lambda _: Rule(),
    ) -> None:  # fmt: skip
        """`min_free_bytes`: what the disk must keep; `rule_of`: how long footage of a camera is kept."""
        self._root = root
        self._archive = archive
        self._writer = writer
        self._signer = signer
        self._limits = limits
        self._clock = clock
        self._min_free_bytes = min_free_bytes
        self._rule_of = rule_of

    def check(self, header: footage_pb2.ImportHeader) -> Wanted:
        """What is to be imported. Raises InvalidArgument, AlreadyExists, FailedPrecondition, DiskFull."""
        camera = validate_camera_id(header.camera)
        name = Path(header.file_name).name or "file"
        if header.size_bytes <= 0:
            raise InvalidArgument(f"file {name!r}", "is empty", "Give a video file.")
        if header.start_ns <= 0:
            raise InvalidArgument("start", "is before 1970 or missing", "Tell when the first picture was taken.")
        if header.start_ns > self._clock.utc_ns():
            raise InvalidArgument("start", "is in the future", "Tell when the first picture was taken.")
        self._check_age(camera, header.start_ns)
        epoch = max(header.start_ns, self._last_epoch(camera, header.start_ns) + 1)
        free = free_bytes(self._root)
        needed = self._min_free_bytes + _COPIES * header.size_bytes
        if free is not None and free < needed:
            raise DiskFull.for_import(name, free, needed)
        return Wanted(camera, header.start_ns, name, header.size_bytes, epoch)

    def _check_age(self, camera: str, start_ns: int) -> None:
        """Raises FailedPrecondition for what retention would delete as soon as it is there."""
        max_age_s = self._rule_of(camera).max_age_s
        if max_age_s and self._clock.utc_ns() - start_ns >= max_age_s * 1_000_000_000:
            raise FailedPrecondition(
                f"camera {camera!r}",
                f"keeps footage for {max_age_s / 86_400:.3g} days, and the file is older",
                f"Let it be kept first: trueframe retention set {camera} --age none.",
            )

    def _last_epoch(self, camera: str, start_ns: int) -> int:
        """The last epoch that footage of a camera had. Raises if a file from `start_ns` on cannot follow on it."""
        try:
            footage = self._archive.footage(camera)
        except NeverRecorded:
            return -1
        view = footage.view
        gone = max((one.last[0] for one in view.expired), default=-1)
        if not len(view):
            return gone
        firsts, lasts = view.column("first_ns"), view.column("last_ns")
        recorded = view.column("frames") > 0
        if bool((recorded & (firsts <= start_ns) & (lasts >= start_ns)).any()):
            raise AlreadyExists(f"footage of {camera!r}", "exists of that time already", _ANOTHER_NAME)
        if bool((recorded & (firsts > start_ns)).any()):
            raise FailedPrecondition(
                f"camera {camera!r}", "has later footage, and footage is kept in the order of time", _ANOTHER_NAME
            )
        if not _is_imported(footage):
            raise FailedPrecondition(f"camera {camera!r}", "is recorded live", _ANOTHER_NAME)
        return max(gone, view[len(view) - 1].epoch)

    def staging(self, wanted: Wanted) -> Staging:
        """The private folder for it."""
        return Staging(self._root, wanted.camera)

    def begin(self, wanted: Wanted, staging: Staging, source: Path) -> Begun:
        """The import of a file that is in the staging folder."""
        lane = self._writer.lane(wanted.camera)
        began = _chain_end(lane)
        chain = Chain(wanted.camera, staging.folder, self._signer, *began)
        running = FileImport(
            source, wanted.name, staging.folder, chain, wanted.epoch, wanted.start_ns, self._limits, self._clock,
            self._min_free_bytes,
        )  # fmt: skip
        return Begun(wanted, staging, running, chain, lane, began)

    async def put_in_place(self, begun: Begun, done: Imported) -> None:
        """Makes footage of what was imported. Raises AlreadyExists, Conflict if its camera was recorded meanwhile."""
        wanted = begun.wanted

        def job(lanes: dict[str, Lane]) -> None:
            lane = lanes.get(wanted.camera)
            is_same = lane is begun.lane and (lane is None or not lane.is_open) and _chain_end(lane) == begun.began
            if not is_same or self._last_epoch(wanted.camera, wanted.start_ns) >= wanted.epoch:
                raise Conflict(f"camera {wanted.camera!r}", "was recorded meanwhile", _ANOTHER_NAME)
            begun.staging.put_in_place()
            chain = Chain(wanted.camera, self._root / wanted.camera, self._signer, begun.chain.number, begun.chain.last)
            lane = lanes[wanted.camera] = Lane(wanted.camera, chain.folder, done.last, chain)
            lane.is_catalogued = False  # nobody looks whether all of it is: the next start does

        await asyncio.wrap_future(self._writer.between_rounds(job))
        self._archive.apply([Commit(wanted.camera, done.segments, None, done.last)])


def _chain_end(lane: Lane | None) -> tuple[int, bytes]:
    """Number and hash of the newest seal of a camera."""
    chain = lane.chain if lane is not None else None
    return (chain.number, chain.last) if chain is not None else (0, NO_SEAL)


def _is_imported(footage: CameraFootage) -> bool:
    """Whether the last that is recorded was imported."""
    started = epoch_started(footage.rows(len(footage.view) - 1))
    return started is not None and started.origin == frames_pb2.EPOCH_ORIGIN_IMPORT

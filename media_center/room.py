"""What the rooms of the gRPC face share: the archive behind them, and whose footage a caller may ask for.

Each room (`service_*`) answers the calls of one concept; `service` puts them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from media_center.access_log import AccessLog
from media_center.access_span import span_of
from media_center.archive import Archive
from media_center.bring_back import BringBack
from media_center.decoder import Decoder
from media_center.errors import NeverRecorded
from media_center.footage import CameraFootage
from media_center.hold_book import HoldBook
from media_center.import_desk import ImportDesk
from media_center.mask_book import MaskBook
from media_center.ranges import Bounds
from media_center.retention_keeper import RetentionKeeper
from media_center.scrub import Scrubber
from media_center.seal import Signer
from media_center.storage_report import StorageReport
from mesh.clocks import Clock
from mesh.ids import validate_camera_id
from mesh.masks import Masks
from mesh.security import Principal


@dataclass(frozen=True, slots=True)
class House:
    """What stands behind every room."""

    archive: Archive
    decoder: Decoder
    clock: Clock
    signer: Signer
    holds: HoldBook
    access: AccessLog
    storage: StorageReport
    imports: ImportDesk
    retention: RetentionKeeper
    scrubber: Scrubber
    bring_back: BringBack
    masks: MaskBook


class Room:
    """One part of the gRPC face."""

    def __init__(self, house: House) -> None:
        self._archive = house.archive
        self._decoder = house.decoder
        self._clock = house.clock
        self._signer = house.signer
        self._holds = house.holds
        self._access = house.access
        self._storage = house.storage
        self._retention = house.retention
        self._imports = house.imports
        self._scrubber = house.scrubber
        self._bring_back = house.bring_back
        self._masks = house.masks

    def _cameras(self, principal: Principal, asked: Iterable[str]) -> list[str]:
        named = sorted({validate_camera_id(camera) for camera in asked})
        for camera in named:
            principal.require(camera)
        return named or principal.visible(self._archive.cameras())

    def _footage(self, principal: Principal, camera: str) -> CameraFootage:
        principal.require(validate_camera_id(camera))
        return self._archive.footage(camera)

    async def _masks_for(self, principal: Principal, camera: str, *, is_asked: bool = False) -> Masks:
        """What is covered in pictures of a camera for this caller. Raises Unavailable while that is not known."""
        return await self._masks.of(camera) if is_asked or not principal.sees_unmasked else ()

    async def _require_unmasked(self, principal: Principal, cameras: Iterable[str]) -> None:
        """For what hands out recorded bytes. Raises PermissionDenied (masks, and no right), Unavailable."""
        if not principal.sees_unmasked:
            for camera in cameras:
                if await self._masks.of(camera):
                    principal.require_unmasked(camera)

    def _note(
        self, principal: Principal, action: str, camera: str, from_ns: int = 0, to_ns: int = 0, detail: str = ""
    ) -> None:
        """Records in the access log what a caller looks at, takes or changes. Times in UTC nanoseconds, 0 for open."""
        self._access.record(principal.name, action, camera, from_ns, to_ns, detail)

    async def _note_range(self, principal: Principal, action: str, bounds: Bounds, detail: str = "") -> None:
        """As `_note`, of a range; nothing is noted of a camera that was never recorded."""
        try:
            footage = self._archive.footage(bounds.camera)
        except NeverRecorded:
            return
        from_ns, to_ns, named = await asyncio.to_thread(span_of, footage, bounds)
        self._note(principal, action, bounds.camera, from_ns, to_ns, "; ".join(filter(None, (named, detail))))

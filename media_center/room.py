"""What the rooms of the gRPC face share: the archive behind them, and whose footage a caller may ask for.

Each room (`service_*`) answers the calls of one concept; `service` puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from media_center.archive import Archive
from media_center.decoder import Decoder
from media_center.footage import CameraFootage
from media_center.hold_book import HoldBook
from mesh.clocks import Clock
from mesh.ids import validate_camera_id
from mesh.security import Principal


@dataclass(frozen=True, slots=True)
class House:
    """What stands behind every room."""

    archive: Archive
    decoder: Decoder
    clock: Clock
    holds: HoldBook


class Room:
    """One part of the gRPC face."""

    def __init__(self, house: House) -> None:
        self._archive = house.archive
        self._decoder = house.decoder
        self._clock = house.clock
        self._holds = house.holds

    def _cameras(self, principal: Principal, asked: Iterable[str]) -> list[str]:
        named = sorted({validate_camera_id(camera) for camera in asked})
        for camera in named:
            principal.require(camera)
        return named or principal.visible(self._archive.cameras())

    def _footage(self, principal: Principal, camera: str) -> CameraFootage:
        principal.require(validate_camera_id(camera))
        return self._archive.footage(camera)

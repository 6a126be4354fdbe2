"""The gRPC face of the media center, put together from its rooms. Thin: rooms check, ask the archive, shape answers."""

from __future__ import annotations

import grpc

from media_center.room import House
from media_center.service_archive import ArchiveRoom
from media_center.service_custody import CustodyRoom
from media_center.service_export import ExportRoom
from media_center.service_holds import HoldsRoom
from media_center.service_import import ImportRoom
from media_center.service_proof import ProofRoom
from media_center.service_reading import ReadingRoom
from media_center.service_retention import RetentionRoom
from mesh.grpc_bytes import bytes_handler
from trueframe.v1 import footage_pb2, footage_pb2_grpc

SERVICE_NAME = "trueframe.v1.FootageService"


class FootageServicer(  # type: ignore[misc]  # Replay is a coroutine that writes, not a generator
    ReadingRoom,
    ExportRoom,
    HoldsRoom,
    RetentionRoom,
    ArchiveRoom,
    CustodyRoom,
    ImportRoom,
    ProofRoom,
    footage_pb2_grpc.FootageServiceServicer,
):
    """Implements trueframe.v1.FootageService over an archive."""

    def __init__(self, house: House) -> None:
        super().__init__(house)

    def generic_handlers(self) -> list[grpc.GenericRpcHandler]:
        """Handlers for what is sent as ready-made bytes."""
        return [bytes_handler(SERVICE_NAME, "Replay", self.Replay, footage_pb2.ReplayRequest)]

"""What each rpc does: changes something, shows pictures, hands out recorded bytes, or looks. One row an rpc.

A test compares the table with the descriptors, and one calls every rpc that shows pictures or hands out bytes: privacy
masks hold for it, or it fails. Who may call an rpc stands in `mesh.roles`.
"""

from __future__ import annotations

from enum import StrEnum


class RpcKind(StrEnum):
    """What an rpc does."""

    CHANGE = "change"
    """It changes something, or has something done."""
    PICTURE = "picture"
    """It shows pictures: with privacy masks covered, for those who may not see what is beneath."""
    RECORDED = "recorded"
    """It hands out packets or files as they came from the camera: of a masked camera only by the right `unmasked`."""
    LOOK = "look"
    """It tells how things are, in words and figures."""


RPC_KINDS: dict[str, RpcKind] = {
    "/trueframe.v1.BrokerService/GetLoad": RpcKind.LOOK,
    "/trueframe.v1.BrokerService/ListSubscriptions": RpcKind.LOOK,
    "/trueframe.v1.BrokerService/StreamFrames": RpcKind.RECORDED,
    "/trueframe.v1.CameraService/AddCamera": RpcKind.CHANGE,
    "/trueframe.v1.CameraService/GetCamera": RpcKind.LOOK,
    "/trueframe.v1.CameraService/ListCameras": RpcKind.LOOK,
    "/trueframe.v1.CameraService/RemoveCamera": RpcKind.CHANGE,
    "/trueframe.v1.CameraService/SetPrivacyMasks": RpcKind.CHANGE,
    "/trueframe.v1.CameraService/UpdateCamera": RpcKind.CHANGE,
    "/trueframe.v1.CameraService/WatchCameras": RpcKind.LOOK,
    "/trueframe.v1.CaseService/ChangeCase": RpcKind.CHANGE,
    "/trueframe.v1.CaseService/GetCase": RpcKind.LOOK,
    "/trueframe.v1.CaseService/ListCases": RpcKind.LOOK,
    "/trueframe.v1.CaseService/OpenCase": RpcKind.CHANGE,
    "/trueframe.v1.DiscoveryService/DiscoverDevices": RpcKind.LOOK,
    "/trueframe.v1.DiscoveryService/ListDeviceProfiles": RpcKind.LOOK,
    "/trueframe.v1.DiscoveryService/ProbeSource": RpcKind.LOOK,
    "/trueframe.v1.EventService/AcknowledgeEvent": RpcKind.CHANGE,
    "/trueframe.v1.EventService/AssignEvent": RpcKind.CHANGE,
    "/trueframe.v1.EventService/CommentEvent": RpcKind.CHANGE,
    "/trueframe.v1.EventService/ConfirmBulk": RpcKind.CHANGE,
    "/trueframe.v1.EventService/DeleteSuppressionRule": RpcKind.CHANGE,
    "/trueframe.v1.EventService/GetAlarmLoad": RpcKind.LOOK,
    "/trueframe.v1.EventService/GetEvent": RpcKind.LOOK,
    "/trueframe.v1.EventService/LabelEvent": RpcKind.CHANGE,
    "/trueframe.v1.EventService/ListEventRecords": RpcKind.LOOK,
    "/trueframe.v1.EventService/ListEvents": RpcKind.LOOK,
    "/trueframe.v1.EventService/ListOutOfService": RpcKind.LOOK,
    "/trueframe.v1.EventService/ListSuppressionRules": RpcKind.LOOK,
    "/trueframe.v1.EventService/PreviewBulk": RpcKind.LOOK,
    "/trueframe.v1.EventService/PutSuppressionRule": RpcKind.CHANGE,
    "/trueframe.v1.EventService/ReturnToService": RpcKind.CHANGE,
    "/trueframe.v1.EventService/ShelveEvent": RpcKind.CHANGE,
    "/trueframe.v1.EventService/TakeOutOfService": RpcKind.CHANGE,
    "/trueframe.v1.EventService/UndoDeed": RpcKind.CHANGE,
    "/trueframe.v1.EventService/UnshelveEvent": RpcKind.CHANGE,
    "/trueframe.v1.EventService/WatchEvents": RpcKind.LOOK,
    "/trueframe.v1.FootageService/BringBackFootage": RpcKind.CHANGE,
    "/trueframe.v1.FootageService/Export": RpcKind.RECORDED,
    "/trueframe.v1.FootageService/ExportPackage": RpcKind.RECORDED,
    "/trueframe.v1.FootageService/GetRetention": RpcKind.LOOK,
    "/trueframe.v1.FootageService/GetSnapshot": RpcKind.PICTURE,
    "/trueframe.v1.FootageService/GetStorage": RpcKind.LOOK,
    "/trueframe.v1.FootageService/ImportFootage": RpcKind.CHANGE,
    "/trueframe.v1.FootageService/ListAccess": RpcKind.LOOK,
    "/trueframe.v1.FootageService/ListFrames": RpcKind.LOOK,
    "/trueframe.v1.FootageService/ListHolds": RpcKind.LOOK,
    "/trueframe.v1.FootageService/ListRecordings": RpcKind.LOOK,
    "/trueframe.v1.FootageService/ListSegments": RpcKind.LOOK,
    "/trueframe.v1.FootageService/LocateFrame": RpcKind.LOOK,
    "/trueframe.v1.FootageService/PlanRetention": RpcKind.LOOK,
    "/trueframe.v1.FootageService/PutHold": RpcKind.CHANGE,
    "/trueframe.v1.FootageService/PutRetention": RpcKind.CHANGE,
    "/trueframe.v1.FootageService/ReadSegment": RpcKind.RECORDED,
    "/trueframe.v1.FootageService/ReleaseHold": RpcKind.CHANGE,
    "/trueframe.v1.FootageService/Replay": RpcKind.RECORDED,
    "/trueframe.v1.FootageService/ScrubFootage": RpcKind.CHANGE,
    "/trueframe.v1.FootageService/StepFrame": RpcKind.LOOK,
    "/trueframe.v1.FootageService/WatchPersisted": RpcKind.LOOK,
    "/trueframe.v1.InspectionService/LabelAnomaly": RpcKind.CHANGE,
    "/trueframe.v1.InspectionService/ListInspections": RpcKind.LOOK,
    "/trueframe.v1.InspectionService/PutInspection": RpcKind.CHANGE,
    "/trueframe.v1.LedgerService/ExplainFrame": RpcKind.LOOK,
    "/trueframe.v1.LedgerService/GetCheckpoint": RpcKind.LOOK,
    "/trueframe.v1.LedgerService/GetCoverage": RpcKind.LOOK,
    "/trueframe.v1.LedgerService/ReadLedger": RpcKind.LOOK,
    "/trueframe.v1.ModelService/AddModel": RpcKind.CHANGE,
    "/trueframe.v1.ModelService/DiffModels": RpcKind.LOOK,
    "/trueframe.v1.ModelService/FetchModel": RpcKind.LOOK,
    "/trueframe.v1.ModelService/ListModels": RpcKind.LOOK,
    "/trueframe.v1.ModelService/RollOutModel": RpcKind.CHANGE,
    "/trueframe.v1.NotificationService/ListChannels": RpcKind.LOOK,
    "/trueframe.v1.NotificationService/ListDeliveries": RpcKind.LOOK,
    "/trueframe.v1.NotificationService/ListNotificationRules": RpcKind.LOOK,
    "/trueframe.v1.NotificationService/TestChannel": RpcKind.CHANGE,
    "/trueframe.v1.PixelService/GetLivePicture": RpcKind.PICTURE,
    "/trueframe.v1.PixelService/ListDecoders": RpcKind.LOOK,
    "/trueframe.v1.PixelService/StreamPixels": RpcKind.PICTURE,
    "/trueframe.v1.PixelService/WatchThumbnails": RpcKind.PICTURE,
    "/trueframe.v1.PoolService/JoinPool": RpcKind.LOOK,
    "/trueframe.v1.ReportService/MakeReport": RpcKind.LOOK,
    "/trueframe.v1.ShiftService/DeleteSavedSearch": RpcKind.CHANGE,
    "/trueframe.v1.ShiftService/DraftHandover": RpcKind.LOOK,
    "/trueframe.v1.ShiftService/GiveHandover": RpcKind.CHANGE,
    "/trueframe.v1.ShiftService/ListHandovers": RpcKind.LOOK,
    "/trueframe.v1.ShiftService/ListSavedSearches": RpcKind.LOOK,
    "/trueframe.v1.ShiftService/PutSavedSearch": RpcKind.CHANGE,
    "/trueframe.v1.ShiftService/TakeHandover": RpcKind.CHANGE,
}


def kind_of(method: str) -> RpcKind:
    """What "/package.Service/Method" does; one without a row is taken for a change, which nobody overlooks."""
    return RPC_KINDS.get(method, RpcKind.CHANGE)

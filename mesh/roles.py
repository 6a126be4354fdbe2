"""Roles, and the one table that says which of them may call which rpc. A test compares it with the generated stubs.

    viewer          sees: lists, watches, streams, snapshots, replays
    operator        and acts on what is seen: exports, inspections, alarms
    maintainer      and looks inside: subscriptions, decoders; takes out of service, suppresses by rule
    administrator   and changes cameras
    service         one part of trueframe to another: everything

Cameras are a second, independent bound: see `mesh.tokens.Principal`.
"""

from __future__ import annotations

from enum import StrEnum

from mesh.errors import InvalidArgument


class Role(StrEnum):
    """What a caller is."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    MAINTAINER = "maintainer"
    ADMINISTRATOR = "administrator"
    SERVICE = "service"

    @classmethod
    def parse(cls, text: object) -> Role:
        """The role of that name. Raises InvalidArgument."""
        try:
            return cls(str(text))
        except ValueError:
            raise InvalidArgument(f"role {str(text)[:40]!r}", f"is none of {', '.join(cls)}") from None


UNMASKED_ROLES = frozenset({Role.MAINTAINER, Role.ADMINISTRATOR, Role.SERVICE})
"""Who sees pictures without privacy masks, unless their token says otherwise."""

_SEE = frozenset(Role)
_ACT = frozenset({Role.OPERATOR, Role.MAINTAINER, Role.ADMINISTRATOR, Role.SERVICE})
_LOOK_INSIDE = frozenset({Role.MAINTAINER, Role.ADMINISTRATOR, Role.SERVICE})
_CHANGE_CAMERAS = frozenset({Role.ADMINISTRATOR, Role.SERVICE})
_SERVE = frozenset({Role.SERVICE})

ROLE_TABLE: dict[str, frozenset[Role]] = {
    "/trueframe.v1.BrokerService/StreamFrames": _SEE,
    "/trueframe.v1.BrokerService/ListSubscriptions": _LOOK_INSIDE,
    "/trueframe.v1.BrokerService/GetLoad": _LOOK_INSIDE,
    "/trueframe.v1.DiscoveryService/DiscoverDevices": _CHANGE_CAMERAS,
    "/trueframe.v1.DiscoveryService/ListDeviceProfiles": _CHANGE_CAMERAS,
    "/trueframe.v1.DiscoveryService/ProbeSource": _CHANGE_CAMERAS,
    "/trueframe.v1.CameraService/AddCamera": _CHANGE_CAMERAS,
    "/trueframe.v1.CameraService/UpdateCamera": _CHANGE_CAMERAS,
    "/trueframe.v1.CameraService/RemoveCamera": _CHANGE_CAMERAS,
    "/trueframe.v1.CameraService/SetPrivacyMasks": _CHANGE_CAMERAS,
    "/trueframe.v1.CameraService/GetCamera": _SEE,
    "/trueframe.v1.CameraService/ListCameras": _SEE,
    "/trueframe.v1.CameraService/WatchCameras": _SEE,
    "/trueframe.v1.PixelService/WatchThumbnails": _SEE,
    "/trueframe.v1.PixelService/StreamPixels": _SEE,
    "/trueframe.v1.PixelService/GetLivePicture": _SEE,
    "/trueframe.v1.PixelService/ListDecoders": _LOOK_INSIDE,
    "/trueframe.v1.FootageService/ListRecordings": _SEE,
    "/trueframe.v1.FootageService/LocateFrame": _SEE,
    "/trueframe.v1.FootageService/ListFrames": _SEE,
    "/trueframe.v1.FootageService/Replay": _SEE,
    "/trueframe.v1.FootageService/GetSnapshot": _SEE,
    "/trueframe.v1.FootageService/Export": _ACT,
    "/trueframe.v1.FootageService/WatchPersisted": _SEE,
    "/trueframe.v1.FootageService/ListHolds": _SEE,
    "/trueframe.v1.FootageService/PutHold": _ACT,
    "/trueframe.v1.FootageService/ReleaseHold": _ACT,
    "/trueframe.v1.FootageService/GetRetention": _SEE,
    "/trueframe.v1.FootageService/PutRetention": _CHANGE_CAMERAS,
    "/trueframe.v1.FootageService/PlanRetention": _SEE,
    "/trueframe.v1.FootageService/GetStorage": _SEE,
    "/trueframe.v1.FootageService/ScrubFootage": _LOOK_INSIDE,
    "/trueframe.v1.FootageService/ListAccess": _LOOK_INSIDE,
    "/trueframe.v1.FootageService/ListSegments": _LOOK_INSIDE,
    "/trueframe.v1.FootageService/ReadSegment": _LOOK_INSIDE,
    "/trueframe.v1.FootageService/ExportPackage": _ACT,
    "/trueframe.v1.FootageService/StepFrame": _SEE,
    "/trueframe.v1.FootageService/ImportFootage": _ACT,
    "/trueframe.v1.FootageService/BringBackFootage": _CHANGE_CAMERAS,
    "/trueframe.v1.InspectionService/ListInspections": _SEE,
    "/trueframe.v1.InspectionService/PutInspection": _ACT,
    "/trueframe.v1.InspectionService/LabelAnomaly": _ACT,
    "/trueframe.v1.ModelService/ListModels": _SEE,
    "/trueframe.v1.ModelService/AddModel": _LOOK_INSIDE,
    "/trueframe.v1.ModelService/FetchModel": _LOOK_INSIDE,
    "/trueframe.v1.ModelService/RollOutModel": _LOOK_INSIDE,
    "/trueframe.v1.ModelService/DiffModels": _LOOK_INSIDE,
    "/trueframe.v1.LedgerService/ReadLedger": _SEE,
    "/trueframe.v1.LedgerService/ExplainFrame": _SEE,
    "/trueframe.v1.LedgerService/GetCoverage": _SEE,
    "/trueframe.v1.LedgerService/GetCheckpoint": _LOOK_INSIDE,
    "/trueframe.v1.PoolService/JoinPool": _SERVE,
    "/trueframe.v1.EventService/ListEvents": _SEE,
    "/trueframe.v1.EventService/GetEvent": _SEE,
    "/trueframe.v1.EventService/WatchEvents": _SEE,
    "/trueframe.v1.EventService/AcknowledgeEvent": _ACT,
    "/trueframe.v1.EventService/CommentEvent": _ACT,
    "/trueframe.v1.EventService/ListEventRecords": _SEE,
    "/trueframe.v1.EventService/ShelveEvent": _ACT,
    "/trueframe.v1.EventService/UnshelveEvent": _ACT,
    "/trueframe.v1.EventService/TakeOutOfService": _LOOK_INSIDE,
    "/trueframe.v1.EventService/ReturnToService": _LOOK_INSIDE,
    "/trueframe.v1.EventService/ListOutOfService": _SEE,
    "/trueframe.v1.EventService/PutSuppressionRule": _LOOK_INSIDE,
    "/trueframe.v1.EventService/ListSuppressionRules": _SEE,
    "/trueframe.v1.EventService/DeleteSuppressionRule": _LOOK_INSIDE,
    "/trueframe.v1.EventService/GetAlarmLoad": _SEE,
    "/trueframe.v1.EventService/AssignEvent": _ACT,
    "/trueframe.v1.NotificationService/ListChannels": _LOOK_INSIDE,
    "/trueframe.v1.NotificationService/ListNotificationRules": _LOOK_INSIDE,
    "/trueframe.v1.NotificationService/ListDeliveries": _LOOK_INSIDE,
    "/trueframe.v1.NotificationService/TestChannel": _LOOK_INSIDE,
    "/trueframe.v1.ReportService/MakeReport": _SEE,
    "/trueframe.v1.ShiftService/PutSavedSearch": _SEE,
    "/trueframe.v1.ShiftService/ListSavedSearches": _SEE,
    "/trueframe.v1.ShiftService/DeleteSavedSearch": _SEE,
    "/trueframe.v1.ShiftService/DraftHandover": _SEE,
    "/trueframe.v1.ShiftService/GiveHandover": _ACT,
    "/trueframe.v1.ShiftService/TakeHandover": _ACT,
    "/trueframe.v1.ShiftService/ListHandovers": _SEE,
    "/trueframe.v1.CaseService/OpenCase": _ACT,
    "/trueframe.v1.CaseService/GetCase": _SEE,
    "/trueframe.v1.CaseService/ListCases": _SEE,
    "/trueframe.v1.CaseService/ChangeCase": _ACT,
    "/trueframe.v1.EventService/LabelEvent": _ACT,
    "/trueframe.v1.EventService/UndoDeed": _ACT,
    "/trueframe.v1.EventService/PreviewBulk": _ACT,
    "/trueframe.v1.EventService/ConfirmBulk": _ACT,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _SEE,
}

# Whether a service lives is told to anybody who reaches it: probes carry no token.
ANONYMOUS_SERVICES = frozenset({"grpc.health.v1.Health"})


def roles_for(method: str) -> frozenset[Role] | None:
    """Roles that may call "/package.Service/Method"; None for the anonymous ones; empty for an rpc without a row."""
    if method.strip("/").partition("/")[0] in ANONYMOUS_SERVICES:
        return None
    return ROLE_TABLE.get(method, frozenset())

"""What can go wrong between the broker and a camera, and with the set of cameras.

    TrueframeError (mesh.errors)
    ├── SourceFailure                 a source cannot be read now; `state` is what its camera becomes
    │   ├── SourceUnreachable         LOST: nobody answers, or a working connection broke; retried soon
    │   ├── SourceSilent              SILENT: it plays, and nothing arrives; retried soon
    │   ├── SourceRefused             REFUSED: answered, and cannot give a stream that we carry; retried seldom
    │   │   ├── TransportRefused      … by this transport; another is tried at once where the camera's settings let us
    │   │   ├── StreamMoved           … here: it names another place, where it is looked for at once
    │   │   ├── SourceUntrusted       … to us: its certificate is not one that we believe
    │   │   └── SourceSpokeNonsense   … because it is not the protocol that it claims
    │   ├── SourceUnauthorised        UNAUTHORISED: credentials missing or wrong; retried seldom, cameras lock accounts
    │   └── SourceEnded               ENDED: a file was played to its end; not retried
    ├── CameraIdUsed (AlreadyExists)  the id names a camera, or once did
    └── NoSuchCamera (NotFound)

Failures of sources never reach a gRPC caller as a status: they become camera states, with their text as detail.
"""

from __future__ import annotations

from typing import ClassVar

from broker.kinds import EndReason, State
from mesh.errors import AlreadyExists, NotFound, TrueframeError
from trueframe.v1 import cameras_pb2, frames_pb2


class SourceFailure(TrueframeError):
    """A source cannot be read now. Texts hold no credentials."""

    state: ClassVar[State] = cameras_pb2.CAMERA_STATE_LOST
    end_reason: ClassVar[EndReason] = frames_pb2.EPOCH_END_REASON_CONNECTION_LOST


class SourceUnreachable(SourceFailure, ConnectionError):
    """Nobody answers, or a working connection broke."""


class SourceSilent(SourceFailure, ConnectionError):
    """The camera says that it plays, and nothing arrives."""

    state = cameras_pb2.CAMERA_STATE_SILENT
    end_reason = frames_pb2.EPOCH_END_REASON_SILENT


class SourceRefused(SourceFailure, ConnectionError):
    """The host answers, and gives no stream that the broker can carry."""

    state = cameras_pb2.CAMERA_STATE_REFUSED
    end_reason = frames_pb2.EPOCH_END_REASON_PROTOCOL_ERROR


class TransportRefused(SourceRefused):
    """The camera does not send packets this way."""


class StreamMoved(SourceRefused):
    """The camera names another place for its stream: `location`, empty if it wants to be asked again where it is.

    `is_proxy`: the place is to be asked for the stream under its old name (305).
    """

    end_reason = frames_pb2.EPOCH_END_REASON_CONNECTION_LOST

    def __init__(self, thing: str, reason: str, remedy: str = "", location: str = "", is_proxy: bool = False) -> None:
        super().__init__(thing, reason, remedy)
        self.location = location
        self.is_proxy = is_proxy


class SourceUntrusted(SourceRefused):
    """The camera's certificate is not one that we believe."""


class SourceUnauthorised(SourceFailure, ConnectionError):
    """Credentials are missing or wrong."""

    state = cameras_pb2.CAMERA_STATE_UNAUTHORISED


class SourceSpokeNonsense(SourceRefused):
    """The bytes are not the protocol that the source claims."""


class SourceEnded(SourceFailure):
    """A file was played to its end."""

    state = cameras_pb2.CAMERA_STATE_ENDED
    end_reason = frames_pb2.EPOCH_END_REASON_END_OF_STREAM


class CameraIdUsed(AlreadyExists):
    """The id names a camera, or once did."""

    def __init__(self, thing: str, reason: str = "", remedy: str = "Choose another id.") -> None:
        super().__init__(thing, reason, remedy)


class NoSuchCamera(NotFound):
    """No camera has this id."""

    def __init__(self, thing: str, reason: str = "does not exist", remedy: str = "") -> None:
        super().__init__(thing, reason, remedy or "`trueframe cameras list` shows those that do.")

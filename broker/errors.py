"""What can go wrong between the broker and a camera, and with the set of cameras.

    TrueframeError (mesh.errors)
    ├── SourceFailure                 a source cannot be read now; `state` is what its camera becomes
    │   ├── SourceUnreachable         LOST: nobody answers, or a working connection broke; retried soon
    │   ├── SourceRefused             REFUSED: answered, and cannot give a stream that we carry; retried seldom
    │   ├── SourceUnauthorised        UNAUTHORISED: credentials missing or wrong; retried seldom, cameras lock accounts
    │   ├── SourceSpokeNonsense       REFUSED: not the protocol it claims
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


class SourceRefused(SourceFailure, ConnectionError):
    """The host answers, and gives no stream that the broker can carry."""

    state = cameras_pb2.CAMERA_STATE_REFUSED
    end_reason = frames_pb2.EPOCH_END_REASON_PROTOCOL_ERROR


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

"""What calls of both kinds of client share: deadlines, names, errors as those of mesh.errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Unpack

import grpc

from broker.kinds import Transport
from mesh.errors import InvalidArgument, from_rpc_error
from trueframe.v1.cameras_pb2 import (
    TRANSPORT_TCP,
    TRANSPORT_UDP,
    TRANSPORT_UNSPECIFIED,
    AddCameraRequest,
    Camera,
    CameraSpec,
)

SERVICE = "trueframe.v1.BrokerService"
DEADLINE_S = 10.0
PAGE = 500

_TRANSPORTS: dict[str, Transport] = {"auto": TRANSPORT_UNSPECIFIED, "tcp": TRANSPORT_TCP, "udp": TRANSPORT_UDP}


class _Described(TypedDict, total=False):
    display_name: str
    disabled: bool
    tls_sha256: str
    device: str


class CameraOptions(_Described, total=False):
    """What may be said of a new camera, by keyword. `transport`: "auto" (if you do not say), "tcp" or "udp"."""

    labels: Mapping[str, str] | None
    transport: str


def add_camera_request(
    camera: str,
    source: str,
    *,
    labels: Mapping[str, str] | None = None,
    transport: str = "auto",
    **said: Unpack[_Described],
) -> AddCameraRequest:
    """Raises InvalidArgument."""
    if transport not in _TRANSPORTS:
        raise InvalidArgument(f"transport {transport!r}", "is not known", f"Use one of: {', '.join(_TRANSPORTS)}.")
    spec = CameraSpec(id=camera, source=source, labels=labels or {}, transport=_TRANSPORTS[transport], **said)
    return AddCameraRequest(spec=spec)


def one_camera(answer: Any) -> Camera:
    """The camera in an answer of an untyped stub."""
    camera: Camera = answer.camera
    return camera


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """A status of gRPC becomes the error it stands for."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None

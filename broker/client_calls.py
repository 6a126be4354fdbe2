"""What calls of both kinds of client share: deadlines, names, errors as those of mesh.errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc

from broker.kinds import Transport
from mesh.errors import InvalidArgument, from_rpc_error
from trueframe.v1.cameras_pb2 import TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_UNSPECIFIED, Camera

SERVICE = "trueframe.v1.BrokerService"
DEADLINE_S = 10.0
PAGE = 500

_TRANSPORTS: dict[str, Transport] = {"auto": TRANSPORT_UNSPECIFIED, "tcp": TRANSPORT_TCP, "udp": TRANSPORT_UDP}


def transport_named(name: str) -> Transport:
    """Raises InvalidArgument."""
    if name not in _TRANSPORTS:
        raise InvalidArgument(f"transport {name!r}", "is not known", f"Use one of: {', '.join(_TRANSPORTS)}.")
    return _TRANSPORTS[name]


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

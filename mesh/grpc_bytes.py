"""Handlers and calls whose messages are ready-made bytes: encoded once, shared by all subscribers (DESIGN 5, law 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import grpc
import grpc.aio


class _Request(Protocol):
    @classmethod
    def FromString(cls, data: bytes) -> Any: ...  # noqa: N802 - protobuf's name


def bytes_handler(
    service: str,
    method: str,
    behaviour: Callable[[Any, Any], Any],
    request_type: type[_Request],
    *,
    request_streaming: bool = False,
) -> grpc.GenericRpcHandler:
    """A handler for one server-streaming or bidirectional rpc whose responses are `bytes`, passed through as they are.

    `service` is the full name ("trueframe.v1.BrokerService"). `behaviour(request_or_iterator, context)` is a coroutine
    function that awaits `context.write(data)`, or an asynchronous generator of bytes. Give the result to
    `serve(..., generic=[...])`: it outranks the servicer's method of the same name.
    """
    make = grpc.stream_stream_rpc_method_handler if request_streaming else grpc.unary_stream_rpc_method_handler
    handler: Any = make(behaviour, request_deserializer=request_type.FromString, response_serializer=None)
    return grpc.method_handlers_generic_handler(service, {method: handler})


def bytes_unary_stream(channel: Any, service: str, method: str) -> Any:
    """A server-streaming call whose responses come as `bytes`. For both kinds of channel."""
    return channel.unary_stream(f"/{service}/{method}", request_serializer=_serialize, response_deserializer=None)


def bytes_stream_stream(channel: Any, service: str, method: str) -> Any:
    """A bidirectional call whose responses come as `bytes`. For both kinds of channel."""
    return channel.stream_stream(f"/{service}/{method}", request_serializer=_serialize, response_deserializer=None)


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data

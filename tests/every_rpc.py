"""Every rpc there is, out of the descriptors of `trueframe.v1`, and requests that name what a test wants named."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

import trueframe.v1

# Longer than any answer of a service that is at hand; streams that stay open are left then.
PATIENCE_S = 0.4


@dataclass(frozen=True)
class Rpc:
    """One rpc and how it is called with bytes."""

    service: str
    name: str
    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"

    def __str__(self) -> str:
        return f"{self.service.rpartition('.')[2]}.{self.name}"

    def call(self, channel: grpc.Channel, token: str | None, request: bytes = b"", *, answers: int = 3) -> Outcome:
        """Calls it and gives status, text and up to so many answers. A stream that says nothing is left."""
        streams_in, streams_out = self.descriptor.client_streaming, self.descriptor.server_streaming
        kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
        made = getattr(channel, kind)(self.path, request_serializer=None, response_deserializer=None)
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        given: Any = iter([request]) if streams_in else request
        got: list[bytes] = []
        try:
            if not streams_out:
                got.append(made(given, metadata=metadata, timeout=20))
            else:
                call = made(given, metadata=metadata, timeout=PATIENCE_S)
                for answer in call:
                    got.append(answer)
                    if len(got) == answers:
                        call.cancel()
                        break
        except grpc.RpcError as error:
            trailing = b" ".join(
                value if isinstance(value, bytes) else value.encode()
                for _, value in error.trailing_metadata() or ()  # type: ignore[attr-defined]
            )
            code = error.code().name  # type: ignore[attr-defined]
            return Outcome(code, str(error.details()), trailing, tuple(got))  # type: ignore[attr-defined]
        return Outcome("OK", "", b"", tuple(got))


@dataclass(frozen=True)
class Outcome:
    """What a call gave."""

    status: str
    details: str
    trailing: bytes
    answers: tuple[bytes, ...]

    @property
    def seen(self) -> bytes:
        """All that a caller saw."""
        return b" ".join((self.details.encode(), self.trailing, *self.answers))


def every_rpc() -> list[Rpc]:
    """All rpcs of all services."""
    found = []
    for module in pkgutil.iter_modules(trueframe.v1.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"trueframe.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                found += [Rpc(service.full_name, method.name, method) for method in service.methods]
    return sorted(found, key=lambda rpc: rpc.path)


def request_of(rpc: Rpc, names: Mapping[str, str]) -> bytes:
    """A request with every field filled in that one can guess. `names`: what to call things, by the field's name.

    "camera" also stands for ids of cameras; "Message.field" outranks "field".
    """
    return _filled(rpc.descriptor.input_type, names).SerializeToString()  # type: ignore[no-any-return]


def names_a_camera(rpc: Rpc) -> bool:
    """Whether the request that `request_of` makes can name a camera, or a thing that belongs to one."""
    return _can_name_a_camera(rpc.descriptor.input_type)


_NAMING = ("camera", "cameras", "id", "anomaly", "inspection")
_DEEPEST = 4


def _can_name_a_camera(message: Descriptor, depth: int = 0) -> bool:
    return any(
        field.name in _NAMING
        or (field.message_type is not None and depth < _DEEPEST and _can_name_a_camera(field.message_type, depth + 1))
        for field in _first_of_oneofs(message)
    )


def _first_of_oneofs(message: Descriptor) -> Iterator[FieldDescriptor]:
    """The fields; of a oneof the first one: what a stream begins with."""
    chosen: set[str] = set()
    for field in message.fields:
        if field.containing_oneof is not None:
            if field.containing_oneof.name in chosen:
                continue
            chosen.add(field.containing_oneof.name)
        yield field


def _filled(message: Descriptor, names: Mapping[str, str], depth: int = 0) -> Any:
    made = message_factory.GetMessageClass(message)()
    for field in _first_of_oneofs(message):
        value = _value(message, field, names, depth)
        if value is None:
            continue
        if field.is_repeated:
            getattr(made, field.name).append(value)
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(value)
        else:
            setattr(made, field.name, value)
    return made


def _value(message: Descriptor, field: FieldDescriptor, names: Mapping[str, str], depth: int) -> Any:
    if field.message_type is not None:
        # Regions, labels and the like may be left out; what names a camera may not.
        if depth >= _DEEPEST or (field.is_repeated and not _can_name_a_camera(field.message_type)):
            return None
        return _filled(field.message_type, names, depth + 1)
    named = names.get(f"{message.name}.{field.name}", names.get(field.name))
    if field.type == FieldDescriptor.TYPE_STRING:
        return named if named is not None else None
    if named is not None:
        return int(named)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return 1 if len(field.enum_type.values) > 1 and not field.is_repeated else None
    return None

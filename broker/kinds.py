"""Names for the types of protobuf enum values, as annotations need them. Nothing else belongs here."""

from __future__ import annotations

from typing import TypeAlias

from trueframe.v1 import broker_pb2, cameras_pb2, frames_pb2

State: TypeAlias = "cameras_pb2.CameraState.ValueType"
EndReason: TypeAlias = "frames_pb2.EpochEndReason.ValueType"
Reason: TypeAlias = "frames_pb2.GapReason.ValueType"
Transport: TypeAlias = "cameras_pb2.Transport.ValueType"
Codec: TypeAlias = "frames_pb2.Codec.ValueType"
DeliveryMode: TypeAlias = "broker_pb2.Delivery.ValueType"

"""The broker's clients: what other parts, and programs, import.

    async with BrokerClient(endpoint, token) as client:
        async for item in client.stream(["gate"]):
            if isinstance(item, WireFrame):
                print(item.id, item.join_point, len(item.payload))

A stream outlives the broker: it reconnects by itself and resumes behind the last ids it gave out; what was lost
meanwhile comes as a Gap. `SyncBrokerClient` is the same as a plain iterator. What does not belong here: anything but
names (`client_async`, `client_sync`, `frame_stream` and `frame_stream_sync` hold what they stand for).
"""

from __future__ import annotations

from broker.client_async import BrokerClient
from broker.client_calls import CameraOptions
from broker.client_sync import SyncBrokerClient
from broker.core import (
    BatchReader,
    H264Inspector,
    WireFrame,
    encode_frame,
    encode_item,
    from_length_prefixed,
    to_length_prefixed,
)
from broker.frame_stream import BatchStream, FrameStream
from broker.frame_stream_sync import SyncFrameStream
from broker.stream_options import Delivery, Start, StreamOptions
from broker.stream_state import StreamItem
from mesh.ids import FrameId
from trueframe.v1.broker_pb2 import Load, Subscription
from trueframe.v1.cameras_pb2 import Camera, CameraSpec, CameraState, WatchCamerasResponse
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap

__all__ = [
    "BatchReader",
    "BatchStream",
    "BrokerClient",
    "Camera",
    "CameraOptions",
    "CameraSpec",
    "CameraState",
    "Delivery",
    "EpochEnded",
    "EpochStarted",
    "FrameId",
    "FrameStream",
    "Gap",
    "H264Inspector",
    "Load",
    "Start",
    "StreamItem",
    "StreamOptions",
    "Subscription",
    "SyncBrokerClient",
    "SyncFrameStream",
    "WatchCamerasResponse",
    "WireFrame",
    "encode_frame",
    "encode_item",
    "from_length_prefixed",
    "to_length_prefixed",
]

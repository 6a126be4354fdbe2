"""Lists the cameras of a broker and streams their frames, with nothing but grpcio and stubs generated from proto/.

    python -m grpc_tools.protoc -Iproto --python_out=stubs --grpc_python_out=stubs proto/trueframe/v1/*.proto
    PYTHONPATH=stubs python examples/stream_frames.py unix:/path/to/broker.sock /path/to/token [NUMBER OF FRAMES]

No package of trueframe is needed: this is what a program in any other language does as well. It takes the broker's
first items of every camera, checks the SHA-256 of each frame, prints one line per item, and ends after the wanted
number of frames. The token's file is `keys/operator.token` in the data folder of `trueframe up`.
"""

import hashlib
import sys
from pathlib import Path

import grpc

from trueframe.v1 import broker_pb2, broker_pb2_grpc, cameras_pb2, cameras_pb2_grpc, frames_pb2


def describe(item):
    """One line for one item of a stream."""
    kind = item.WhichOneof("kind")
    if kind == "frame":
        frame = item.frame
        intact = hashlib.sha256(frame.payload).digest() == frame.digest
        join = frames_pb2.JoinPoint.Name(frame.join_point).removeprefix("JOIN_POINT_").lower()
        state = "damaged" if frame.damaged else "follows damage" if frame.follows_damage else "whole"
        return (
            f"frame {frame.id.camera}/{frame.id.epoch}/{frame.id.seq} received_ns={frame.received_ns} "
            f"{len(frame.payload)} bytes join={join} {state} digest={'equal' if intact else 'DIFFERENT'}"
        )
    if kind == "gap":
        count = str(item.gap.count) if item.gap.HasField("count") else "unknown"
        return f"gap {item.gap.camera} {frames_pb2.GapReason.Name(item.gap.reason)} count={count}"
    if kind == "epoch_started":
        started = item.epoch_started
        return f"epoch {started.camera}/{started.epoch} started {started.width}x{started.height}"
    if kind == "epoch_ended":
        ended = item.epoch_ended
        return f"epoch {ended.camera}/{ended.epoch} ended {frames_pb2.EpochEndReason.Name(ended.reason)}"
    return "an item of a kind that these stubs do not know: skipped"


def main():
    """Lists, then streams."""
    if len(sys.argv) not in (3, 4):
        sys.exit("two arguments are needed, the broker's address and the token's file: the head of this file shows how")
    endpoint, token_file, *rest = sys.argv[1:]
    wanted = int(rest[0]) if rest else 100
    metadata = [("authorization", f"Bearer {Path(token_file).read_text().strip()}")]
    # A frame may have 16 MiB; gRPC's own limit for a message is 4.
    with grpc.insecure_channel(endpoint, options=[("grpc.max_receive_message_length", 64 << 20)]) as channel:
        cameras = cameras_pb2_grpc.CameraServiceStub(channel)
        for camera in cameras.ListCameras(cameras_pb2.ListCamerasRequest(), metadata=metadata).cameras:
            state = cameras_pb2.CameraState.Name(camera.state).removeprefix("CAMERA_STATE_").lower()
            print(f"camera {camera.spec.id} {state} {camera.width}x{camera.height} {camera.spec.source}")
        request = broker_pb2.StreamFramesRequest(all_cameras=True, subscriber="example")
        stream = broker_pb2_grpc.BrokerServiceStub(channel).StreamFrames(iter([request]), metadata=metadata)
        frames = different = 0
        for batch in stream:
            for item in batch.items:
                line = describe(item)
                print(line)
                frames += item.WhichOneof("kind") == "frame"
                different += line.endswith("DIFFERENT")
            if frames >= wanted:
                break
        stream.cancel()
        print(f"{frames} frames, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

"""Orders and verdicts between protobuf and the worker's own values."""

from __future__ import annotations

import hashlib

from detector_pool.blocks import Block, Checkpoint
from detector_pool.canvas import RegionMask
from detector_pool.reasons import NoScore
from detector_pool.runner import Task
from mesh.ids import FrameId
from trueframe.v1 import events_pb2, inspection_pb2

REASONS: dict[NoScore, inspection_pb2.NoVerdictReason.ValueType] = {
    NoScore.WARMING_UP: inspection_pb2.NO_VERDICT_REASON_WARMING_UP,
    NoScore.NOT_DECODED: inspection_pb2.NO_VERDICT_REASON_NOT_DECODED,
    NoScore.OVERRUN: inspection_pb2.NO_VERDICT_REASON_OVERRUN,
    NoScore.DETECTOR_FAILED: inspection_pb2.NO_VERDICT_REASON_DETECTOR_FAILED,
    NoScore.NOT_SAMPLED: inspection_pb2.NO_VERDICT_REASON_NOT_SAMPLED,
    NoScore.THINNED: inspection_pb2.NO_VERDICT_REASON_THINNED,
    NoScore.NO_PIXELS: inspection_pb2.NO_VERDICT_REASON_NO_PIXELS,
}


def task_from_proto(assignment: inspection_pb2.Assignment) -> Task:
    """An assignment as orders."""
    inspection = assignment.inspection
    return Task(
        inspection=inspection.id,
        camera=inspection.camera,
        detector=inspection.detector,
        threshold=inspection.threshold,
        regions=tuple(
            RegionMask(
                region.use == inspection_pb2.REGION_USE_IGNORE, tuple((corner.x, corner.y) for corner in region.corners)
            )
            for region in inspection.regions
            if len(region.corners) >= 3
        ),
        after=FrameId.from_proto(assignment.after) if assignment.HasField("after") else None,
        checkpoint=checkpoint_from_proto(assignment.checkpoint) if assignment.HasField("checkpoint") else None,
        unseen=tuple((FrameId.from_proto(run.id), run.count) for run in assignment.unseen),
    )


def checkpoint_from_proto(message: inspection_pb2.Checkpoint) -> Checkpoint | None:
    """A stored state; None if it did not arrive as it was handed in."""
    if hashlib.sha256(message.state).digest() != message.digest:
        return None
    return Checkpoint(FrameId.from_proto(message.after), message.detector, message.state, message.received_ns)


def block_to_proto(block: Block) -> inspection_pb2.VerdictBlock:
    """A block for the pool."""
    message = inspection_pb2.VerdictBlock(
        number=block.number, inspection=block.inspection, fence=block.fence, detector=block.detector
    )
    checkpoint = block.checkpoint
    if checkpoint is not None:
        message.checkpoint.CopyFrom(
            inspection_pb2.Checkpoint(
                after=checkpoint.after.to_proto(),
                detector=checkpoint.detector,
                state=checkpoint.state,
                digest=hashlib.sha256(checkpoint.state).digest(),
                received_ns=checkpoint.received_ns,
            )
        )
    for verdict in block.verdicts:
        observation = verdict.observation
        added = message.verdicts.add(received_ns=verdict.received_ns)
        added.id.camera, added.id.epoch, added.id.seq = verdict.id.camera, verdict.id.epoch, verdict.id.seq
        if observation.reason is not None:
            added.reason = REASONS[observation.reason]
            added.count = verdict.count
        else:
            added.score = observation.score
            added.boxes.extend(
                events_pb2.Box(x=b.x, y=b.y, width=b.width, height=b.height, label=b.label, score=b.score)
                for b in observation.boxes
            )
    return message

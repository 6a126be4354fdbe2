"""Orders and verdicts between protobuf and the worker's own values."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from detector_pool.blocks import Block, Checkpoint
from detector_pool.canvas import RegionMask
from detector_pool.detector import DetectorType, FoundBox
from detector_pool.fare import Report
from detector_pool.reasons import NoScore
from detector_pool.runner import Task
from mesh.ids import FrameId
from trueframe.v1 import events_pb2, inspection_pb2

MAX_SAID = 500

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
        threshold=assignment.threshold_now or inspection.threshold,
        regions=tuple(
            RegionMask(
                region.use == inspection_pb2.REGION_USE_IGNORE,
                tuple((corner.x, corner.y) for corner in region.corners),
                region.name,
                region.use == inspection_pb2.REGION_USE_LINE,
            )
            for region in inspection.regions
            if len(region.corners) >= (2 if region.use == inspection_pb2.REGION_USE_LINE else 3)
        ),
        after=FrameId.from_proto(assignment.after) if assignment.HasField("after") else None,
        checkpoint=checkpoint_from_proto(assignment.checkpoint) if assignment.HasField("checkpoint") else None,
        unseen=tuple((FrameId.from_proto(run.id), run.count) for run in assignment.unseen),
        begin=FrameId.from_proto(assignment.begin) if assignment.HasField("begin") else None,
        options=inspection.options,
        max_fps=assignment.frames_per_second,
        has_fixed_regions=inspection.fixed_regions,
    )


def checkpoint_from_proto(message: inspection_pb2.Checkpoint) -> Checkpoint | None:
    """A stored state; None if it did not arrive as it was handed in."""
    if hashlib.sha256(message.state + message.following).digest() != message.digest:
        return None
    after = FrameId.from_proto(message.after)
    return Checkpoint(after, message.detector, message.state, message.received_ns, message.following)


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
                digest=hashlib.sha256(checkpoint.state + checkpoint.following).digest(),
                received_ns=checkpoint.received_ns,
                following=checkpoint.following,
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
            added.said = observation.said[:MAX_SAID]
            added.boxes.extend(_box(box) for box in observation.boxes)
            added.series.extend(inspection_pb2.NamedValue(name=name, value=value) for name, value in observation.series)
        added.alignment.extend(verdict.alignment)
    return message


def report_to_proto(report: Report, fence: int) -> inspection_pb2.InspectionReport:
    """How an inspection fares, for the pool."""
    return inspection_pb2.InspectionReport(
        inspection=report.inspection,
        fence=fence,
        problem=report.problem[:1000],
        running=report.running,
        provider=report.provider,
        cost_us=report.cost_us,
        frames_per_second=report.looked_fps,
        frames_came_per_second=report.came_fps,
        model=report.model,
        golden=report.golden[:500],
        golden_differs=report.golden_differs,
        view_lost=report.lost[:500],
        alignment=report.alignment,
        view_moved=report.bumped[:500],
        further_models=[
            inspection_pb2.ModelReport(digest=one.digest, golden=one.golden[:500], golden_differs=one.golden_differs)
            for one in report.further
        ],
    )


def offer_to_proto(kind: DetectorType) -> inspection_pb2.DetectorOffer:
    """A detector that this worker can run."""
    judging = kind.judging
    offer = inspection_pb2.DetectorOffer(
        name=kind.name,
        version=kind.version,
        summary=kind.summary,
        needs_model=kind.needs_model,
        threshold=judging.threshold,
        closing_share=judging.closing_share,
        min_duration_ms=judging.min_duration_ns // 1_000_000,
        merge_gap_ms=judging.merge_gap_ns // 1_000_000,
    )
    for option in kind.options:
        added = offer.options.add(
            name=option.name, kind=option.kind, default_value=_toml(option.default), summary=option.summary,
            choices=option.choices, names_models=option.names_models,
        )  # fmt: skip
        if option.low is not None:
            added.low = option.low
        if option.high is not None:
            added.high = option.high
    return offer


def _box(box: FoundBox) -> events_pb2.Box:
    message = events_pb2.Box(
        x=box.x, y=box.y, width=box.width, height=box.height, label=box.label, score=box.score,
        track=box.track, said=box.said[:MAX_SAID],
    )  # fmt: skip
    for point in box.key_points:
        message.key_points.add(x=point.x, y=point.y, score=point.score)
    return message


def _toml(value: Any) -> str:
    """A default as TOML; JSON writes numbers, texts, truths and lists alike."""
    return "{}" if isinstance(value, dict) else json.dumps(value, ensure_ascii=False)

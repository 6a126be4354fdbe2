"""Inspections, verdicts and anomalies to and from protobuf, checked where they come from outside."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aggregate.checkpoints import Checkpoint
from aggregate.errors import BadInspection, BadVerdicts
from aggregate.judge import Anomaly, Phase, Verdict
from aggregate.orders import Area, Order, Priority, Region, RegionUse, checked
from mesh.config import InspectionSeed
from mesh.ids import FrameId, validate_camera_id
from mesh.schedule import Window, parse_window
from trueframe.v1 import events_pb2, inspection_pb2

MAX_VERDICTS = 4096
MAX_BOXES = 64
MAX_KEY_POINTS = 64
MAX_SERIES = 32
MAX_SAID = 500
MAX_TRACK = 1 << 53
MAX_RUN = 1 << 40
MAX_CHECKPOINT_BYTES = 4 << 20
MAX_TIME_NS = 1 << 62

# Such a frame had no picture: no detector was shown it.
UNSEEN_REASONS = frozenset(
    {
        inspection_pb2.NO_VERDICT_REASON_NOT_DECODED,
        inspection_pb2.NO_VERDICT_REASON_OVERRUN,
        inspection_pb2.NO_VERDICT_REASON_NOT_SAMPLED,
        inspection_pb2.NO_VERDICT_REASON_THINNED,
        inspection_pb2.NO_VERDICT_REASON_NO_PIXELS,
    }
)

_USES: dict[inspection_pb2.RegionUse.ValueType, RegionUse] = {
    inspection_pb2.REGION_USE_INSPECT: "inspect",
    inspection_pb2.REGION_USE_IGNORE: "ignore",
    inspection_pb2.REGION_USE_LINE: "line",
}
_PRIORITIES: dict[inspection_pb2.InspectionPriority.ValueType, Priority] = {
    inspection_pb2.INSPECTION_PRIORITY_UNSPECIFIED: "normal",
    inspection_pb2.INSPECTION_PRIORITY_HIGH: "high",
    inspection_pb2.INSPECTION_PRIORITY_NORMAL: "normal",
    inspection_pb2.INSPECTION_PRIORITY_BACKGROUND: "background",
}


def order_from_proto(message: inspection_pb2.Inspection) -> Order:
    """Raises BadInspection."""
    thing = f"inspection {message.id[:80]!r}"
    regions = []
    for region in message.regions:
        use = _USES.get(region.use)
        if use is None:
            raise BadInspection(thing, f"region {region.name[:80]!r} does not say whether to inspect or to ignore")
        corners = tuple((corner.x, corner.y) for corner in region.corners)
        regions.append(Region(region.name[:100], use, corners))
    priority = _PRIORITIES.get(message.priority)
    if priority is None:
        raise BadInspection(thing, f"has the unknown priority {message.priority}")
    order = Order(
        id=message.id or f"{message.camera}.{message.detector}",
        camera=validate_camera_id(message.camera),
        detector=message.detector,
        threshold=message.threshold,
        regions=tuple(regions),
        is_disabled=message.disabled,
        options=message.options,
        model=message.model,
        schedule=tuple(Window(tuple(one.days), one.from_minute, one.to_minute) for one in message.schedule),
        false_alarms_per_hour=message.false_alarms_per_hour,
        max_fps=message.max_fps,
        priority=priority,
        has_fixed_regions=message.fixed_regions,
        shadow_of=message.shadow_of,
    )
    return checked(order)


def order_to_proto(order: Order) -> inspection_pb2.Inspection:
    """The inverse of `order_from_proto`."""
    uses = {use: number for number, use in _USES.items()}
    # UNSPECIFIED, which comes first, gives way to NORMAL.
    priorities = {priority: number for number, priority in _PRIORITIES.items()}
    return inspection_pb2.Inspection(
        id=order.id,
        camera=order.camera,
        detector=order.detector,
        threshold=order.threshold,
        disabled=order.is_disabled,
        regions=[
            inspection_pb2.Region(
                name=region.name,
                use=uses[region.use],
                corners=[inspection_pb2.Point(x=x, y=y) for x, y in region.corners],
            )
            for region in order.regions
        ],
        options=order.options,
        model=order.model,
        schedule=[
            inspection_pb2.ScheduleWindow(days=one.days, from_minute=one.from_minute, to_minute=one.to_minute)
            for one in order.schedule
        ],
        false_alarms_per_hour=order.false_alarms_per_hour,
        max_fps=order.max_fps,
        priority=priorities[order.priority],
        fixed_regions=order.has_fixed_regions,
        shadow_of=order.shadow_of,
    )


def order_from_seed(seed: InspectionSeed) -> Order:
    """An inspection of the configuration. Raises InvalidArgument."""
    camera = validate_camera_id(seed.camera)
    uses: dict[str, RegionUse] = {use: use for use in _USES.values()}
    priorities: dict[str, Priority] = {one: one for one in _PRIORITIES.values()}
    order = Order(
        seed.id or f"{camera}.{seed.detector}",
        camera,
        seed.detector,
        seed.threshold,
        tuple(Region(region.name, uses[region.use], tuple(region.corners)) for region in seed.regions),
        options=seed.options,
        model=seed.model,
        schedule=tuple(parse_window(text) for text in seed.schedule),
        false_alarms_per_hour=seed.false_alarms_per_hour,
        max_fps=seed.max_fps,
        priority=priorities[seed.priority],
        has_fixed_regions=seed.fixed_regions,
    )
    return checked(order)


def verdicts_from_proto(camera: str, block: inspection_pb2.VerdictBlock) -> list[Verdict]:
    """Verdicts of a block, in the order of ids. Raises BadVerdicts."""
    thing = f"block {block.number} of {block.inspection[:80]}"
    if len(block.verdicts) > MAX_VERDICTS:
        raise BadVerdicts(thing, f"holds more than {MAX_VERDICTS} verdicts")
    verdicts: list[Verdict] = []
    for message in block.verdicts:
        id_ = FrameId.from_proto(message.id)
        count = max(message.count, 1)
        if id_.camera != camera or id_.epoch < 0 or id_.seq < 0 or not 1 <= count <= MAX_RUN:
            raise BadVerdicts(thing, f"speaks of a frame that is not of camera {camera}")
        has_score = message.reason == inspection_pb2.NO_VERDICT_REASON_UNSPECIFIED
        if has_score and (not 0.0 <= message.score <= 1.0 or count != 1):
            raise BadVerdicts(thing, f"scores frame {id_} {message.score}, or several frames at once")
        if len(message.boxes) > MAX_BOXES:
            raise BadVerdicts(thing, f"has more than {MAX_BOXES} boxes for frame {id_}")
        verdict = Verdict(
            id_, message.received_ns, message.score, tuple(_area(thing, box) for box in message.boxes),
            message.reason, count, message.said[:MAX_SAID] if has_score else "",
            _series(thing, message) if has_score else (), _alignment(thing, message.alignment),
        )  # fmt: skip
        if verdicts and id_ <= verdicts[-1].last_id:
            raise BadVerdicts(thing, f"is not in the order of ids at {id_}")
        verdicts.append(verdict)
    return verdicts


def verdict_to_proto(verdict: Verdict) -> inspection_pb2.Verdict:
    """The inverse, for one verdict."""
    message = inspection_pb2.Verdict(received_ns=verdict.received_ns)
    message.id.camera, message.id.epoch, message.id.seq = verdict.id.camera, verdict.id.epoch, verdict.id.seq
    if verdict.has_score:
        message.score = verdict.score
        message.boxes.extend(_box(area) for area in verdict.boxes)
        message.said = verdict.said
        message.series.extend(inspection_pb2.NamedValue(name=name, value=value) for name, value in verdict.series)
    else:
        message.reason = inspection_pb2.NoVerdictReason.ValueType(verdict.reason)
        message.count = verdict.count
    message.alignment.extend(verdict.alignment)
    return message


def checkpoint_from_proto(camera: str, block: inspection_pb2.VerdictBlock) -> Checkpoint | None:
    """The checkpoint of a block, if there is one. Raises BadVerdicts."""
    if not block.HasField("checkpoint"):
        return None
    message, thing = block.checkpoint, f"checkpoint of block {block.number} of {block.inspection[:80]}"
    after = FrameId.from_proto(message.after)
    # Its model may be another one than the block's: that which took over behind it.
    if after.camera != camera or message.detector.partition("@")[0] != block.detector.partition("@")[0]:
        raise BadVerdicts(thing, "is not of this camera, or not of this detector")
    if not block.verdicts or FrameId.from_proto(block.verdicts[-1].id) > after:
        raise BadVerdicts(thing, "holds less than its block speaks of")
    # Of a block of holes only the worker may know when their frames came.
    received_ns = max(message.received_ns, *(verdict.received_ns for verdict in block.verdicts))
    if not 0 < received_ns < MAX_TIME_NS:
        return None
    checkpoint = Checkpoint(
        after, received_ns, message.detector[:100], message.state, message.digest, message.following
    )
    is_large = len(message.state) > MAX_CHECKPOINT_BYTES or len(message.following) > MAX_CHECKPOINT_BYTES
    if is_large or not checkpoint.is_whole:
        raise BadVerdicts(thing, "is too large, or its digest is not that of its state")
    return checkpoint


def checkpoint_to_proto(checkpoint: Checkpoint) -> inspection_pb2.Checkpoint:
    """For an assignment."""
    return inspection_pb2.Checkpoint(
        after=checkpoint.after.to_proto(),
        detector=checkpoint.detector,
        state=checkpoint.state,
        digest=checkpoint.digest,
        received_ns=checkpoint.received_ns,
        following=checkpoint.following,
    )


def anomaly_to_proto(
    anomaly: Anomaly, phase: Phase, order: Order, detector: str, camera_name: str, regions: tuple[str, ...], now_ns: int
) -> inspection_pb2.Anomaly:
    """What is published."""
    return inspection_pb2.Anomaly(
        id=anomaly.id,
        version=anomaly.version,
        inspection=order.id,
        camera=order.camera,
        detector=detector,
        first=anomaly.first.to_proto(),
        peak=anomaly.peak.to_proto(),
        last=anomaly.last.to_proto(),
        started_ns=anomaly.started_ns,
        peak_ns=anomaly.peak_ns,
        ended_ns=anomaly.last_ns if phase == "closed" else 0,
        score=anomaly.score,
        boxes=[_box(area) for area in anomaly.boxes],
        regions=list(regions),
        changed_ns=now_ns,
        camera_name=camera_name,
        said=anomaly.said,
    )


def _box(area: Area) -> events_pb2.Box:
    box = events_pb2.Box(
        x=area.x, y=area.y, width=area.width, height=area.height, label=area.label, score=area.score,
        track=area.track, said=area.said,
    )  # fmt: skip
    for x, y, score in area.key_points:
        box.key_points.add(x=x, y=y, score=score)
    return box


def _area(thing: str, box: events_pb2.Box) -> Area:
    numbers = (box.x, box.y, box.width, box.height, box.score)
    if not all(math.isfinite(number) and 0.0 <= number <= 1.0 for number in numbers):
        raise BadVerdicts(thing, "has a box outside the picture")
    points = tuple((point.x, point.y, point.score) for point in box.key_points)
    if len(points) > MAX_KEY_POINTS or not all(math.isfinite(number) for point in points for number in point):
        raise BadVerdicts(thing, f"has more than {MAX_KEY_POINTS} key points in a box, or one that is no number")
    if not 0 <= box.track <= MAX_TRACK:
        raise BadVerdicts(thing, f"has a box of the track {box.track}")
    return Area(box.x, box.y, box.width, box.height, box.label[:100], box.score, box.track, box.said[:MAX_SAID], points)


def _series(thing: str, message: inspection_pb2.Verdict) -> tuple[tuple[str, float], ...]:
    """By name, so that a page gives them back as they came."""
    if not message.series:
        return ()
    values = {one.name: one.value for one in message.series}
    if len(values) != len(message.series) or len(values) > MAX_SERIES:
        raise BadVerdicts(thing, f"has more than {MAX_SERIES} values beside a score, or one of them twice")
    if not all(0 < len(name) <= 60 and math.isfinite(value) for name, value in values.items()):
        raise BadVerdicts(thing, "has a value beside a score without a name, or one that is no number")
    return tuple(sorted(values.items()))


def _alignment(thing: str, numbers: Sequence[float]) -> tuple[float, ...]:
    if len(numbers) not in (0, 9) or not all(math.isfinite(number) for number in numbers):
        raise BadVerdicts(thing, "moves its regions by something that is no 3x3 matrix")
    return tuple(numbers)

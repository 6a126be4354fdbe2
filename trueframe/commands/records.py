"""What commands print of messages: as JSON objects and as rows of tables. Pure.

Times stand in JSON twice: as integers (`*_ns`, UTC) and as text in the local zone.
"""

from __future__ import annotations

from broker.client import WireFrame
from mesh.ids import FrameId
from trueframe.commands.records_alarms import label_record, mark_fields
from trueframe.sights import alarm_state, camera_state, codec_name, event_kind, transport_name
from trueframe.times import when
from trueframe.v1 import cameras_pb2, events_pb2, footage_pb2, frames_pb2, inspection_pb2


def frame_id(message: frames_pb2.FrameId) -> str:
    """camera/epoch/seq."""
    return str(FrameId.from_proto(message))


def camera_record(camera: cameras_pb2.Camera) -> dict[str, object]:
    """A camera."""
    return {
        "id": camera.spec.id,
        "display_name": camera.spec.display_name,
        "source": camera.spec.source,
        "labels": dict(camera.spec.labels),
        "state": camera_state(camera.state),
        "state_since_ns": camera.state_since_ns,
        "state_since": when(camera.state_since_ns),
        "detail": camera.detail,
        "epoch": camera.epoch,
        "last_seq": camera.last_seq,
        "width": camera.width,
        "height": camera.height,
        "frame_rate": round(camera.frame_rate, 2),
        "bit_rate": round(camera.bit_rate),
        "frames": camera.frames,
        "damaged_frames": camera.damaged_frames,
        "network_gaps": camera.network_gaps,
        "connections": camera.connections,
        "last_received_ns": camera.last_received_ns,
        "transport": transport_name(camera.spec.transport),
        "tls_sha256": camera.spec.tls_sha256,
        "device": camera.spec.device,
        "codec": codec_name(camera.codec),
        "transport_used": camera.transport_used,
        "packets_lost": camera.packets_lost,
        "packets_reordered": camera.packets_reordered,
        "key_frame_interval": camera.key_frame_interval,
        "clock": clock_record(camera.clock) if camera.HasField("clock") else None,
        "masks": [mask.name for mask in camera.masks],
        "version": camera.version,
    }


def clock_record(clock: cameras_pb2.CameraClock) -> dict[str, object]:
    """What is known of a camera's own clock."""
    return {
        "source": clock.source,
        "offset_ns": clock.offset_ns if clock.source else None,
        "drift_ppm": round(clock.drift_ppm, 3) if clock.drift_uncertainty_ppm else None,
        "drift_uncertainty_ppm": round(clock.drift_uncertainty_ppm, 3) if clock.drift_uncertainty_ppm else None,
        "jumps": clock.jumps,
        "last_jump_ns": clock.last_jump_ns,
        "last_jump_at_ns": clock.last_jump_at_ns,
        "detail": clock.detail,
    }


def event_record(event: events_pb2.Event) -> dict[str, object]:
    """An event."""
    ids = {name: frame_id(getattr(event, name)) if event.HasField(name) else None for name in ("first", "peak", "last")}
    return {
        "id": event.id,
        "kind": event_kind(event.kind),
        "camera": event.camera,
        "detector": event.detector,
        "summary": event.summary,
        "priority": event.priority,
        "score": round(event.score, 4),
        **ids,
        "started_ns": event.started_ns,
        "started": when(event.started_ns),
        "ended_ns": event.ended_ns,
        "ended": when(event.ended_ns),
        "peak_ns": event.peak_ns,
        "boxes": [box_record(box) for box in event.boxes],
        "inspection": event.inspection,
        "alarm_state": alarm_state(event.alarm_state),
        "acknowledged_by": event.acknowledged_by,
        "acknowledged_ns": event.acknowledged_ns,
        "acknowledged": when(event.acknowledged_ns),
        "comments": [
            {
                "author": comment.author,
                "written_ns": comment.written_ns,
                "written": when(comment.written_ns),
                "text": comment.text,
            }
            for comment in event.comments
        ],
        **mark_fields(event),
        "clip": clip_record(event.clip) if event.HasField("clip") else None,
        "footage_confirmed": event.footage_confirmed,
        "version": event.version,
    }


def box_record(box: events_pb2.Box) -> dict[str, object]:
    """A rectangle, in fractions of the picture."""
    return {
        "x": round(box.x, 4),
        "y": round(box.y, 4),
        "width": round(box.width, 4),
        "height": round(box.height, 4),
        "label": box.label,
        "score": round(box.score, 4),
    }


def clip_record(clip: events_pb2.ClipHold) -> dict[str, object]:
    """The footage that is kept for an event."""
    return {
        "from_ns": clip.from_ns,
        "from": when(clip.from_ns),
        "to_ns": clip.to_ns,
        "to": when(clip.to_ns),
        "confirmed": clip.confirmed,
    }


def deed_record(record: events_pb2.EventRecord) -> dict[str, object]:
    """One deed of an event."""
    return {
        "number": record.number,
        "at_ns": record.at_ns,
        "at": when(record.at_ns),
        "actor": record.actor,
        "deed": events_pb2.EventDeed.Name(record.deed).removeprefix("EVENT_DEED_").lower(),
        "from_state": alarm_state(record.from_state),
        "to_state": alarm_state(record.to_state),
        "text": record.text,
        "until_ns": record.until_ns,
        "reference": record.reference,
        "marks": [_mark(mark) for mark in record.marks],
        **({"label": label_record(record.label)} if record.HasField("label") else {}),
    }


def _mark(number: int) -> str:
    known = {int(one): name for name, one in events_pb2.AlarmMark.items()}
    return known.get(number, f"mark {number}").removeprefix("ALARM_MARK_").lower()


def gap_record(gap: frames_pb2.Gap) -> dict[str, object]:
    """A gap; `count` is None where it cannot be known."""
    return {
        "kind": "gap",
        "camera": gap.camera,
        "after": frame_id(gap.after) if gap.HasField("after") else None,
        "before": frame_id(gap.before) if gap.HasField("before") else None,
        "reason": frames_pb2.GapReason.Name(gap.reason).removeprefix("GAP_REASON_").lower(),
        "count": gap.count if gap.HasField("count") else None,
        "noticed_ns": gap.noticed_ns,
    }


def item_record(
    item: WireFrame | frames_pb2.Gap | frames_pb2.EpochStarted | frames_pb2.EpochEnded,
) -> dict[str, object]:
    """One item of a stream, without its payload."""
    if isinstance(item, WireFrame):
        join = frames_pb2.JoinPoint.Name(frames_pb2.JoinPoint.ValueType(item.join_point))
        return {
            "kind": "frame",
            "id": str(FrameId(item.camera, item.epoch, item.seq)),
            "received_ns": item.received_ns,
            "received": when(item.received_ns),
            "join_point": join.removeprefix("JOIN_POINT_").lower(),
            "damaged": bool(item.damaged),
            "follows_damage": bool(item.follows_damage),
            "size_bytes": len(item.payload),
            "digest": bytes(item.digest).hex(),
        }
    if isinstance(item, frames_pb2.Gap):
        return gap_record(item)
    if isinstance(item, frames_pb2.EpochStarted):
        return {
            "kind": "epoch_started",
            "camera": item.camera,
            "epoch": item.epoch,
            "codec": codec_name(item.codec),
            "width": item.width,
            "height": item.height,
            "started_ns": item.started_ns,
        }
    return {
        "kind": "epoch_ended",
        "camera": item.camera,
        "epoch": item.epoch,
        "last_seq": item.last_seq if item.HasField("last_seq") else None,
        "reason": frames_pb2.EpochEndReason.Name(item.reason).removeprefix("EPOCH_END_REASON_").lower(),
        "ended_ns": item.ended_ns,
        "detail": item.detail,
    }


def recording_record(recording: footage_pb2.Recording) -> dict[str, object]:
    """A stretch of footage."""
    return {
        "camera": recording.camera,
        "first": frame_id(recording.first),
        "last": frame_id(recording.last),
        "first_ns": recording.first_ns,
        "last_ns": recording.last_ns,
        "frames": recording.frames,
        "size_bytes": recording.size_bytes,
        "codec": codec_name(recording.codec),
        "width": recording.width,
        "height": recording.height,
    }


def inspection_record(status: inspection_pb2.InspectionStatus) -> dict[str, object]:
    """An inspection and who carries it out.

    `state`: "running", "failing" (it has a problem), "waiting" (for a worker, or a model), "resting" (outside its
    schedule) or "stopped".
    """
    order = status.inspection
    state = "stopped" if order.disabled else "running" if status.worker else "waiting"
    if not order.disabled and status.resting and not status.problem:
        state = "resting"
    elif status.worker and status.problem:
        state = "failing"
    priority = inspection_pb2.InspectionPriority.Name(order.priority or inspection_pb2.INSPECTION_PRIORITY_NORMAL)
    return {
        "id": order.id,
        "camera": order.camera,
        "detector": order.detector,
        "state": state,
        "problem": status.problem or None,
        "worker": status.worker,
        "fence": status.fence,
        "threshold": round(order.threshold, 4),
        "regions": [
            {
                "name": region.name,
                "use": inspection_pb2.RegionUse.Name(region.use).removeprefix("REGION_USE_").lower(),
                "corners": [[round(corner.x, 4), round(corner.y, 4)] for corner in region.corners],
            }
            for region in order.regions
        ],
        "threshold_now": round(status.threshold_now, 4),
        "threshold_is_provisional": status.threshold_is_provisional,
        "false_alarms_per_hour": round(order.false_alarms_per_hour, 4),
        "options": order.options,
        "model": order.model,
        "model_digest": status.model_digest or None,
        "running": status.running or None,
        "provider": status.provider or None,
        "cost_us": round(status.cost_us, 1) or None,
        "max_fps": round(order.max_fps, 3) or None,
        "lowered_to_fps": round(status.lowered_to_fps, 3) or None,
        "priority": priority.removeprefix("INSPECTION_PRIORITY_").lower(),
        "schedule": [[list(one.days), one.from_minute, one.to_minute] for one in order.schedule],
        "fixed_regions": order.fixed_regions,
        "alignment": [round(number, 6) for number in status.alignment] or None,
        "shadow_of": order.shadow_of or None,
        "frames_scored": status.frames_scored,
        "frames_skipped": status.frames_skipped,
        "last": frame_id(status.last) if status.HasField("last") else None,
    }


def no_verdict_reason(number: inspection_pb2.NoVerdictReason.ValueType) -> str:
    """The lower-case name of a reason why a frame has no score."""
    names = inspection_pb2.NoVerdictReason
    known = number in names.values()
    return names.Name(number).removeprefix("NO_VERDICT_REASON_").lower() if known else f"reason_{number}"


def explanation_record(explanation: inspection_pb2.FrameExplanation) -> dict[str, object]:
    """What one inspection has to say of a frame. `score` is None where there is none."""
    verdict = explanation.verdict if explanation.HasField("verdict") else None
    has_score = verdict is not None and not verdict.reason
    return {
        "inspection": explanation.inspection,
        "standing": inspection_pb2.FrameStanding.Name(explanation.standing).removeprefix("FRAME_STANDING_").lower(),
        "detector": explanation.detector,
        "fence": explanation.fence,
        "score": round(verdict.score, 4) if verdict is not None and has_score else None,
        "reason": no_verdict_reason(verdict.reason) if verdict is not None and not has_score else None,
        "threshold": round(explanation.threshold, 4),
        "boxes": [box_record(box) for box in verdict.boxes] if verdict is not None else [],
        "anomaly": explanation.anomaly or None,
        "sentence": explanation.sentence,
        "changed_by": explanation.changed_by or None,
        "changed_ns": explanation.changed_ns,
        "changed": when(explanation.changed_ns),
    }


def coverage_record(
    row: inspection_pb2.CoverageRow, captured: int, recorded: int, captured_is_known: bool, rested: dict[str, int]
) -> dict[str, object]:
    """One inspection over one stretch of time, beside what the footage holds of it.

    `rested`: recorded frames of times in which it was not carried out, by why.
    """
    not_scored = {no_verdict_reason(one.reason): one.frames for one in row.not_scored}
    spoken_of = row.scored + sum(not_scored.values())
    return {
        "inspection": row.inspection,
        "from_ns": row.from_ns,
        "from": when(row.from_ns),
        "to_ns": row.to_ns,
        "to": when(row.to_ns),
        # Inspection runs ahead of the disk by a second or two: what was inspected was captured.
        "captured": max(captured, spoken_of),
        "captured_is_known": captured_is_known,
        "recorded": recorded,
        "scored": row.scored,
        "not_scored": not_scored,
        "spoken_of": spoken_of,
        "not_inspected": rested,
        "unspoken": max(0, recorded - spoken_of - sum(rested.values())),
    }

"""Why a frame raised an alarm, or why not, in one sentence. Pure: what is known of the frame comes in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from aggregate.history import Change
from aggregate.judge import Verdict
from mesh.ids import FrameId
from trueframe.v1 import inspection_pb2

REASONS: dict[int, str] = {
    inspection_pb2.NO_VERDICT_REASON_WARMING_UP: "the detector was still learning the scene",
    inspection_pb2.NO_VERDICT_REASON_NOT_DECODED: "the frame could not be decoded",
    inspection_pb2.NO_VERDICT_REASON_OVERRUN: "the worker was too slow and the picture was overwritten",
    inspection_pb2.NO_VERDICT_REASON_DETECTOR_FAILED: "the detector failed on it",
    inspection_pb2.NO_VERDICT_REASON_NOT_SAMPLED: "the inspection asks for fewer frames",
    inspection_pb2.NO_VERDICT_REASON_THINNED: "the pixel host could not keep up and left it out",
    inspection_pb2.NO_VERDICT_REASON_NO_PIXELS: "nobody decoded the camera then and the frame is not in the footage",
}


@dataclass(frozen=True, slots=True)
class Known:
    """All that the aggregate knows of one inspection and one frame."""

    verdict: Verdict | None
    threshold: float
    """At which an anomaly began at that time, calibrated or ordered."""
    closing_threshold: float
    anomaly: str
    """The anomaly that the frame is part of; empty if none."""
    change: Change | None
    """The last change of the inspection before the frame."""
    stop: Change | None
    """The stop that the frame fell into, or that came before it was spoken of."""
    last: FrameId | None
    """Last frame that the inspection spoke of."""
    following: FrameId | None
    """First frame behind this one that it spoke of."""
    applies: bool
    """Whether the inspection is carried out now."""


def standing_of(frame: FrameId, known: Known) -> inspection_pb2.FrameStanding.ValueType:
    """How the inspection stands to the frame."""
    if known.verdict is not None:
        if not known.verdict.has_score:
            return inspection_pb2.FRAME_STANDING_NOT_SCORED
        has_fired = known.verdict.score >= known.threshold
        return inspection_pb2.FRAME_STANDING_FIRED if has_fired else inspection_pb2.FRAME_STANDING_NORMAL
    is_to_come = known.last is None or frame > known.last
    if known.stop is None and known.change is not None and known.applies and is_to_come:
        return inspection_pb2.FRAME_STANDING_PENDING
    return inspection_pb2.FRAME_STANDING_NOT_INSPECTED


def sentence_of(frame: FrameId, known: Known) -> str:
    """What a human is told."""
    verdict = known.verdict
    if verdict is None:
        return _without_verdict(frame, known)
    if not verdict.has_score:
        return f"Not scored: {REASONS.get(verdict.reason, f'reason {verdict.reason}')}."
    score, threshold = f"Scored {verdict.score:.3f}", f"threshold {known.threshold:.3f}"
    if verdict.score >= known.threshold:
        if known.anomaly:
            return f"{score}, at or above the {threshold}: part of anomaly {known.anomaly}."
        return f"{score}, at or above the {threshold}, but not for long enough: no anomaly."
    if known.anomaly:
        return (
            f"{score}, below the {threshold}, inside anomaly {known.anomaly}, "
            f"which closes only when scores stay below {known.closing_threshold:.3f}."
        )
    return f"{score}, below the {threshold}: normal."


def _without_verdict(frame: FrameId, known: Known) -> str:
    stop, change = known.stop, known.change
    if stop is not None and stop.is_resting and not stop.order.is_disabled:
        return f"Not inspected: {stop.why}."
    if stop is not None:
        return f"Not inspected: stopped by {stop.by} at {time_text(stop.at_ns)}."
    if change is None:
        return "Not inspected: there was no such inspection yet."
    if standing_of(frame, known) == inspection_pb2.FRAME_STANDING_PENDING:
        so_far = f"; it has spoken of frames up to {known.last}" if known.last else ""
        return f"Nobody has spoken of this frame yet{so_far}."
    if known.following is not None:
        return (
            f"Not inspected: {change.what} by {change.by} at {time_text(change.at_ns)}, with frame {known.following}."
        )
    return "Not inspected: the inspection was over."


def time_text(utc_ns: int) -> str:
    """A time for people, in UTC with milliseconds."""
    return datetime.fromtimestamp(utc_ns / 1e9, UTC).isoformat(sep=" ", timespec="milliseconds")

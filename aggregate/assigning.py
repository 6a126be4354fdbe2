"""What a worker is told when it takes up an inspection: orders, where to go on, from which state, with which model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aggregate.archive import Archive
from aggregate.bench import Docket
from aggregate.checkpoints import Checkpoint
from aggregate.model_store import Models
from aggregate.models import Version, version_to_proto
from aggregate.orders import Order
from aggregate.pages import page_from_document
from aggregate.scheduler import Assign
from aggregate.wire import UNSEEN_REASONS, checkpoint_to_proto, order_to_proto
from mesh.ids import FrameId
from trueframe.v1 import inspection_pb2

# Further back it is not shown again what came before the first stored state.
LONGEST_BEGINNING_NS = 60_000_000_000


def beginning(docket: Docket) -> FrameId | None:
    """The frame with which the detector began, where its successor can begin so again: no state was stored since."""
    began, last = docket.began, docket.resume_after
    if began is None or last is None or began > last or began.epoch != last.epoch or began.seq < 1:
        return None
    return began if 0 <= docket.spoken_ns - docket.began_ns <= LONGEST_BEGINNING_NS else None


async def assignment_of(
    instruction: Assign,
    docket: Docket,
    archive: Archive,
    models: Models | None,
    versions: Sequence[Version],
    checkpoint: Checkpoint | None,
    begin: FrameId | None = None,
) -> inspection_pb2.Assignment:
    """The message. `versions`: of the models that it runs; `checkpoint`: what the worker starts from; None if it goes
    on, or begins from nothing.

    `begin`: see `beginning`.
    """
    order = instruction.order
    threshold = docket.rules.threshold
    message = order_to_proto(order)
    if message.threshold <= 0.0:
        message.threshold = threshold
    assignment = inspection_pb2.Assignment(
        inspection=message,
        fence=instruction.fence,
        threshold_now=threshold,
        frames_per_second=_fewer(order.max_fps, instruction.fps),
    )
    own, further = _parted(order, versions)
    if own is not None:
        assignment.model.CopyFrom(version_to_proto(own))
    assignment.further_models.extend(map(version_to_proto, further))
    last = docket.resume_after
    if last is None:
        return assignment
    assignment.after.CopyFrom(last.to_proto())
    if checkpoint is not None:
        assignment.checkpoint.CopyFrom(checkpoint_to_proto(checkpoint))
        assignment.unseen.extend(await _unseen(archive, order, checkpoint.after, checkpoint.received_ns, last))
        _add_earlier(assignment, order, models, checkpoint.detector, versions)
    elif begin is not None:
        assignment.begin.CopyFrom(begin.to_proto())
        before = replace(begin, seq=begin.seq - 1)
        assignment.unseen.extend(await _unseen(archive, order, before, docket.began_ns, last))
        _add_earlier(assignment, order, models, docket.detector, versions)
    return assignment


def _parted(order: Order, versions: Sequence[Version]) -> tuple[Version | None, list[Version]]:
    """The version of the order's own model, and the others."""
    own = next((version for version in versions if version.model == order.model_name), None)
    return own, [version for version in versions if version is not own]


def _add_earlier(
    assignment: inspection_pb2.Assignment, order: Order, models: Models | None, spoke: str, versions: Sequence[Version]
) -> None:
    """The versions whose state it begins from, where these are others than those that it runs."""
    earlier = models.versions_named(spoke) if models is not None else ()
    if set(earlier) <= set(versions):
        return
    own, further = _parted(order, earlier)
    if own is not None:
        assignment.checkpoint_model.CopyFrom(version_to_proto(own))
    assignment.further_checkpoint_models.extend(map(version_to_proto, further))


async def _unseen(
    archive: Archive, order: Order, after: FrameId, received_ns: int, last: FrameId
) -> list[inspection_pb2.FrameRun]:
    """Frames behind one that was received then, up to another one, that no detector was shown."""
    runs = []
    async for body in archive.ledger.between(order.id, received_ns):
        for verdict in page_from_document(body).verdicts():
            is_between = after < verdict.last_id and verdict.id <= last
            if is_between and verdict.reason in UNSEEN_REASONS:
                runs.append(inspection_pb2.FrameRun(id=verdict.id.to_proto(), count=verdict.count))
    return runs


def _fewer(*rates: float) -> float:
    """The lowest of the rates that are set; 0 if none is."""
    return min((rate for rate in rates if rate > 0), default=0.0)

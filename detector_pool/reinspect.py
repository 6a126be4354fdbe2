"""Recorded frames inspected again: what a detector says of them now, beside what the ledger says it said then.

Starts from the stored state before the range, is fed the frames that the detector was shown then, in the same order,
decoded as then: the same detector on the same execution provider gives the same scores to the bit. Frames that had no
picture then are left out. A damaged frame, and what follows it up to the next join point, may decode otherwise; such
frames are told as inexact.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aggregate.client import LedgerEntry, SyncLedgerClient
from broker.client import WireFrame
from detector_pool.decoder import Decoder
from detector_pool.detector import Detector, LoadedModel, Observation
from detector_pool.looking import Look, made_for
from detector_pool.picture import Shot
from detector_pool.runner import Task
from detector_pool.trail import recorded_units
from detector_pool.wire import REASONS, checkpoint_from_proto, task_from_proto
from media_center.client import FootageItem, SyncFootageClient
from mesh.errors import NotFound, Unavailable, Unsupported
from mesh.ids import FrameId
from mesh.logs import get_logger
from trueframe.v1 import inspection_pb2

log = get_logger("detector_pool.reinspect")

SHOWN = frozenset(
    {
        inspection_pb2.NO_VERDICT_REASON_UNSPECIFIED,
        inspection_pb2.NO_VERDICT_REASON_WARMING_UP,
        inspection_pb2.NO_VERDICT_REASON_DETECTOR_FAILED,
    }
)
_WAIT_S = 60.0
_SHOWN_EARLIER_NS = 20_000_000_000

Progress = Callable[[int, int], None]
"""Called with the frames looked at so far and those of the whole range."""


@dataclass(frozen=True, slots=True)
class Again:
    """One frame, then and now."""

    id: FrameId
    received_ns: int
    detector: str
    """Name and version that spoke then."""
    then: Observation
    now: Observation | None
    """None: there is no recorded picture of it."""
    is_inexact: bool = False
    """Damaged, or resting on something damaged: it may decode otherwise."""

    @property
    def is_equal(self) -> bool:
        """Whether score, or reason, are the same to the bit."""
        return self.now is not None and (self.then.score, self.then.reason) == (self.now.score, self.now.reason)


@dataclass(frozen=True, slots=True)
class Start:
    """Where inspecting again begins."""

    after: FrameId | None
    """The last frame that the state holds; None: a detector that begins from nothing."""
    received_ns: int


def reinspect(
    ledger: SyncLedgerClient,
    footage: SyncFootageClient,
    camera: str,
    inspection: str,
    from_ns: int,
    to_ns: int,
    *,
    detector: Detector[Any] | None = None,
    models: Callable[[str], LoadedModel] | None = None,
    progress: Progress | None = None,
) -> Iterator[Again]:
    """Inspects frames received in the range again, in the order they were shown in.

    `detector`: another one than that of the inspection; it starts from nothing at the same place. `models`: gives a
    version by the first twelve digits of its digest. Raises NotFound (never inspected, nothing of it in the ledger, not
    recorded), InvalidArgument (the detector is not known here), Unsupported (its models cannot be had).
    """
    entries = [*ledger.read(camera, inspection=inspection, from_ns=from_ns, to_ns=to_ns)]
    if not entries:
        remedy = f"`trueframe coverage {camera}` tells when it did."
        raise NotFound(f"inspection {inspection}", "spoke of no frame in this range", remedy)
    first, last = FrameId.from_proto(entries[0].verdict.id), _last_id(entries[-1])
    before = replace(first, seq=first.seq - 1)
    found = ledger.checkpoint(inspection, before)
    task = task_from_proto(inspection_pb2.Assignment(inspection=found.inspection))
    looker = detector if detector is not None else _same_detector(entries[0].detector, found.inspection, models)
    look, start = _start(found, before, looker, from_ns, task)
    # And a little behind: with B-frames, frames of later ids were shown before the last of the range.
    lead = ledger.read(camera, inspection=inspection, from_ns=start.received_ns, to_ns=to_ns + _SHOWN_EARLIER_NS)
    said = _Said([entry for entry in lead if start.after is None or _last_id(entry) > start.after])
    total = sum(max(entry.verdict.count, 1) for entry in entries)
    done = 0
    for shot, is_inexact in recorded_pictures(footage, camera, start.after or said.first_shown(), last, start.after):
        if shot.id > last and not said.left_out(first, last):
            break
        entry = said.of(shot.id)
        if entry is None or entry.verdict.reason not in SHOWN:
            continue
        if entry.began and FrameId.from_proto(entry.verdict.id) == shot.id:
            look.begin_anew()
        observation = look.look(shot)
        said.looked_at(shot.id)
        if first <= shot.id <= last:
            done += 1
            if progress is not None:
                progress(done, total)
            then = _observation(entry)
            now = replace(observation, score=float(np.float32(observation.score)))
            yield Again(shot.id, shot.received_ns, entry.detector, then, now, is_inexact)
    for frame, entry in said.left_out(first, last):
        yield Again(frame, entry.verdict.received_ns, entry.detector, _observation(entry), None)


def _same_detector(
    spoke: str, inspection: inspection_pb2.Inspection, models: Callable[[str], LoadedModel] | None
) -> Detector[Any]:
    """The detector that spoke then, with the options and models of that time. Raises Unsupported, InvalidArgument."""
    shorts = [short for short in spoke.partition(":")[2].split("+") if short]
    if shorts and models is None:
        raise Unsupported(f"detector {spoke}", "spoke with a model", "Name the version: --model.")
    return made_for(inspection, [models(short) for short in shorts] if models is not None else [])


def _start(
    found: inspection_pb2.GetCheckpointResponse, before: FrameId, looker: Detector[Any], from_ns: int, task: Task
) -> tuple[Look, Start]:
    """What looks, with the state and the regions that it had at the place to begin with."""
    if not found.HasField("checkpoint"):
        return Look(task, looker), Start(None, 0)
    checkpoint = checkpoint_from_proto(found.checkpoint)
    if checkpoint is None or checkpoint.detector != looker.name:
        following = checkpoint.following if checkpoint is not None else b""
        return Look(task, looker, following=following), Start(before, from_ns)
    start = Start(checkpoint.after, checkpoint.received_ns)
    return Look(task, looker, looker.unpack(checkpoint.state), checkpoint.following), start


class _Said:
    """What the ledger says of frames, looked up by frame. Entries come in the order of ids."""

    def __init__(self, entries: list[LedgerEntry]) -> None:
        self._entries: dict[FrameId, LedgerEntry] = {}
        for entry in entries:
            if entry.verdict.reason in SHOWN:
                id_ = FrameId.from_proto(entry.verdict.id)
                for offset in range(max(entry.verdict.count, 1)):
                    self._entries[replace(id_, seq=id_.seq + offset)] = entry

    def first_shown(self) -> FrameId:
        """The first frame that a detector was shown. Raises NotFound."""
        for frame in self._entries:
            return replace(frame, seq=frame.seq - 1)
        raise NotFound("frames of this range", "were shown to no detector")

    def of(self, frame: FrameId) -> LedgerEntry | None:
        """What was said of a frame that the detector was shown."""
        return self._entries.get(frame)

    def looked_at(self, frame: FrameId) -> None:
        """It was looked at again."""
        self._entries.pop(frame, None)

    def left_out(self, first: FrameId, last: FrameId) -> list[tuple[FrameId, LedgerEntry]]:
        """Frames of a range that were not looked at again."""
        return [(frame, entry) for frame, entry in self._entries.items() if first <= frame <= last]


def recorded_pictures(
    footage: SyncFootageClient, camera: str, behind: FrameId, last: FrameId, after: FrameId | None
) -> Iterator[tuple[Shot, bool]]:
    """Recorded pictures behind a frame, a few beyond `last`, and whether each may decode otherwise than it did live.

    Raises what the media center raises, and Unavailable if it or the decoder says nothing for a minute: who counts the
    pictures must not take what is cut short for all there is.
    """
    inexact: set[FrameId] = set()
    failures: list[Exception] = []
    start = replace(behind, seq=behind.seq + 1)
    decoder = Decoder(camera, behind)

    def noted() -> Iterator[FootageItem]:
        # A little beyond the last: with B-frames it comes out of the decoder only then.
        left = 32
        for item in footage.replay(camera, start=start, with_lead_in=True):
            if isinstance(item, WireFrame):
                frame = FrameId(item.camera, item.epoch, item.seq)
                if item.damaged or item.follows_damage:
                    inexact.add(frame)
                left -= frame > last
            yield item
            if left <= 0:
                return

    def send() -> None:
        try:
            for unit in recorded_units(noted()):
                if not decoder.feed(unit):
                    return
        except Exception as error:
            log.warning("footage ends early", camera=camera, reason=str(error))
            failures.append(error)
        finally:
            decoder.end()

    sender = threading.Thread(target=send, name=f"reinspect {camera}", daemon=True)
    sender.start()
    try:
        while True:
            try:
                item = decoder.get(_WAIT_S)
            except queue.Empty:
                raise Unavailable(
                    f"footage of camera {camera}", f"gave no picture for {_WAIT_S:g} s", "Try again."
                ) from None
            if item is None:
                if failures:
                    raise failures[0]
                return
            if isinstance(item, Shot) and (after is None or item.id > after):
                yield item, item.id in inexact
    finally:
        decoder.close()
        sender.join(10.0)


def _observation(entry: LedgerEntry) -> Observation:
    if entry.verdict.reason:
        reason = next(reason for reason, number in REASONS.items() if number == entry.verdict.reason)
        return Observation(reason=reason)
    return Observation(score=entry.verdict.score)


def _last_id(entry: LedgerEntry) -> FrameId:
    id_ = FrameId.from_proto(entry.verdict.id)
    return replace(id_, seq=id_.seq + max(entry.verdict.count, 1) - 1)

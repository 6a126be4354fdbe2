"""Calls about how long footage is kept: rules, what there is, and what will go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from media_center.bring_back import BroughtBack
from media_center.footage import CameraFootage
from media_center.holds import HeldFootage
from media_center.ranges import parse_range
from media_center.retention import DELETE, HELD, MOVE, SECOND_NS, Rule, Step
from media_center.retention_stock import amounts, held_mask, moved_bytes
from media_center.room import Room
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.security import principal_of
from trueframe.v1 import footage_pb2, frames_pb2

_DEFAULT_AHEAD_S = 7 * 86_400
_DEFAULT_KEEP_S = 7 * 86_400
_MAX_AHEAD_S = 10 * 366 * 86_400
_MAX_STEPS = 5_000
_ACTIONS = {
    DELETE: footage_pb2.RETENTION_ACTION_DELETE,
    MOVE: footage_pb2.RETENTION_ACTION_MOVE,
    HELD: footage_pb2.RETENTION_ACTION_HELD,
}


class RetentionRoom(Room):
    """Retention."""

    async def GetRetention(  # noqa: N802
        self, request: footage_pb2.GetRetentionRequest, context: Any
    ) -> footage_pb2.GetRetentionResponse:
        """Rules and what there is."""
        cameras = self._cameras(principal_of(context), request.cameras)
        footages = await asyncio.to_thread(self._retention.footages, cameras)
        held = self._holds.held.copy()
        answer = footage_pb2.GetRetentionResponse(common=_rule("", self._retention.rules.common))
        for camera, footage in footages.items():
            answer.cameras.append(await asyncio.to_thread(self._state, camera, footage, held))
        return answer

    async def PutRetention(  # noqa: N802
        self, request: footage_pb2.PutRetentionRequest, context: Any
    ) -> footage_pb2.PutRetentionResponse:
        """Changes a rule."""
        principal, asked, rules = principal_of(context), request.rule, self._retention.rules
        if asked.camera:
            principal.require(validate_camera_id(asked.camera))
        elif principal.cameras is not None:
            raise InvalidArgument("retention rule", "of all cameras is outside the scope", "Name a camera.")
        if request.reset:
            rule = await rules.reset(asked.camera, principal.name)
        else:
            wanted = Rule(asked.max_age_s, asked.max_bytes, asked.move_after_s)
            rule = await rules.put(asked.camera, wanted, principal.name)
        detail = f"age {rule.max_age_s} s, size {rule.max_bytes} bytes, moved after {rule.move_after_s} s"
        self._note(principal, "retention", asked.camera, detail=f"reset: {detail}" if request.reset else detail)
        return footage_pb2.PutRetentionResponse(rule=_rule(asked.camera, rule))

    async def PlanRetention(  # noqa: N802
        self, request: footage_pb2.PlanRetentionRequest, context: Any
    ) -> footage_pb2.PlanRetentionResponse:
        """What will go. The plan is made for all cameras, for they share a disk, and shown for those asked for."""
        shown = frozenset(self._cameras(principal_of(context), request.cameras))
        if not 0 <= request.ahead_s <= _MAX_AHEAD_S:
            raise InvalidArgument("ahead_s", f"is {request.ahead_s}; 0 to {_MAX_AHEAD_S} are possible")
        until_ns = self._clock.utc_ns() + (request.ahead_s or _DEFAULT_AHEAD_S) * SECOND_NS
        footages = await asyncio.to_thread(self._retention.footages, self._archive.cameras())
        steps = await asyncio.to_thread(
            self._retention.preview, footages, self._holds.held.copy(), until_ns, _MAX_STEPS, shown
        )
        return footage_pb2.PlanRetentionResponse(steps=[_step(step) for step in steps])

    async def BringBackFootage(  # noqa: N802
        self, request: footage_pb2.BringBackFootageRequest, context: Any
    ) -> AsyncIterator[footage_pb2.BringBackFootageResponse]:
        """Progress after every segment."""
        principal = principal_of(context)
        bounds = parse_range(request.range)
        footage = self._footage(principal, bounds.camera)
        if not 0 <= request.keep_s <= _MAX_AHEAD_S:
            raise InvalidArgument("keep_s", f"is {request.keep_s}; 0 to {_MAX_AHEAD_S} are possible")
        await self._note_range(principal, "bring back", bounds)
        keep_ns = (request.keep_s or _DEFAULT_KEEP_S) * SECOND_NS
        async with contextlib.aclosing(self._bring_back.run(footage, bounds, keep_ns)) as work:
            async for done in work:
                yield _brought_back(done)

    def _state(self, camera: str, footage: CameraFootage, held: HeldFootage) -> footage_pb2.RetentionState:
        view, rules = footage.view, self._retention.rules
        found = amounts(view, self._clock.utc_ns())
        mask = held_mask(camera, view, held)
        return footage_pb2.RetentionState(
            rule=_rule(camera, rules.rule_of(camera)),
            is_common=not rules.has_own(camera),
            bytes=found.size_bytes,
            held_bytes=int(view.column("size")[mask].sum()),
            moved_bytes=moved_bytes(view, self._retention.moved(camera)),
            oldest_ns=found.oldest_ns,
            segments=found.segments,
            bytes_per_day=round(found.growth * 86_400),
        )


def _brought_back(done: BroughtBack) -> footage_pb2.BringBackFootageResponse:
    return footage_pb2.BringBackFootageResponse(
        segments=done.segments,
        segments_done=done.segments_done,
        size_bytes=done.size_bytes,
        bytes_done=done.bytes_done,
        present=done.present,
        until_ns=done.until_ns,
        problems=done.problems,
    )


def _rule(camera: str, rule: Rule) -> footage_pb2.RetentionRule:
    return footage_pb2.RetentionRule(
        camera=camera, max_age_s=rule.max_age_s, max_bytes=rule.max_bytes, move_after_s=rule.move_after_s
    )


def _step(step: Step) -> footage_pb2.RetentionStep:
    segment = step.segment
    return footage_pb2.RetentionStep(
        action=_ACTIONS[step.action],
        camera=segment.camera,
        first=frames_pb2.FrameId(camera=segment.camera, epoch=segment.epoch, seq=segment.first_seq),
        from_ns=segment.from_ns,
        to_ns=segment.to_ns,
        size_bytes=segment.size_bytes,
        due_ns=step.due_ns,
        reason=step.reason,
    )

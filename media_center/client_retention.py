"""The part of both clients that asks for, changes and plans how long footage is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from media_center.client_calls import DEADLINE_S, errors
from trueframe.v1 import footage_pb2, footage_pb2_grpc


class RetentionCalls:
    """Part of FootageClient."""

    _stub: footage_pb2_grpc.FootageServiceAsyncStub

    async def retention(self, cameras: Iterable[str] = ()) -> footage_pb2.GetRetentionResponse:
        """The rules in force and what there is; of all cameras in scope if none is named."""
        with errors():
            return await self._stub.GetRetention(footage_pb2.GetRetentionRequest(cameras=cameras), timeout=DEADLINE_S)

    async def put_retention(
        self, camera: str = "", *, max_age_s: int = 0, max_bytes: int = 0, move_after_s: int = 0
    ) -> footage_pb2.RetentionRule:
        """Changes the rule of a camera, without one the common rule; 0 for no bound."""
        request = _put(camera, max_age_s, max_bytes, move_after_s)
        with errors():
            return (await self._stub.PutRetention(request, timeout=DEADLINE_S)).rule

    async def reset_retention(self, camera: str = "") -> footage_pb2.RetentionRule:
        """A camera gives up its own rule; returns the common one, which it then has."""
        with errors():
            return (await self._stub.PutRetention(_reset(camera), timeout=DEADLINE_S)).rule

    async def plan_retention(self, cameras: Iterable[str] = (), ahead_s: int = 0) -> list[footage_pb2.RetentionStep]:
        """What will be deleted or moved and when, soonest first, and what is held; 0 looks seven days ahead."""
        request = footage_pb2.PlanRetentionRequest(cameras=cameras, ahead_s=ahead_s)
        with errors():
            return list((await self._stub.PlanRetention(request, timeout=DEADLINE_S)).steps)


class SyncRetentionCalls:
    """Part of SyncFootageClient."""

    _stub: Any

    def retention(self, cameras: Iterable[str] = ()) -> footage_pb2.GetRetentionResponse:
        """As FootageClient.retention."""
        with errors():
            found: footage_pb2.GetRetentionResponse = self._stub.GetRetention(
                footage_pb2.GetRetentionRequest(cameras=cameras), timeout=DEADLINE_S
            )
            return found

    def put_retention(
        self, camera: str = "", *, max_age_s: int = 0, max_bytes: int = 0, move_after_s: int = 0
    ) -> footage_pb2.RetentionRule:
        """As FootageClient.put_retention."""
        request = _put(camera, max_age_s, max_bytes, move_after_s)
        with errors():
            rule: footage_pb2.RetentionRule = self._stub.PutRetention(request, timeout=DEADLINE_S).rule
            return rule

    def reset_retention(self, camera: str = "") -> footage_pb2.RetentionRule:
        """As FootageClient.reset_retention."""
        with errors():
            rule: footage_pb2.RetentionRule = self._stub.PutRetention(_reset(camera), timeout=DEADLINE_S).rule
            return rule

    def plan_retention(self, cameras: Iterable[str] = (), ahead_s: int = 0) -> list[footage_pb2.RetentionStep]:
        """As FootageClient.plan_retention."""
        request = footage_pb2.PlanRetentionRequest(cameras=cameras, ahead_s=ahead_s)
        with errors():
            return list(self._stub.PlanRetention(request, timeout=DEADLINE_S).steps)


def _put(camera: str, max_age_s: int, max_bytes: int, move_after_s: int) -> footage_pb2.PutRetentionRequest:
    rule = footage_pb2.RetentionRule(camera=camera, max_age_s=max_age_s, max_bytes=max_bytes, move_after_s=move_after_s)
    return footage_pb2.PutRetentionRequest(rule=rule)


def _reset(camera: str) -> footage_pb2.PutRetentionRequest:
    return footage_pb2.PutRetentionRequest(rule=footage_pb2.RetentionRule(camera=camera), reset=True)

"""The part of both clients that makes, changes, lists and releases holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from media_center.client_calls import DEADLINE_S, errors
from trueframe.v1 import footage_pb2, footage_pb2_grpc


class HoldCalls:
    """Part of FootageClient."""

    _stub: footage_pb2_grpc.FootageServiceAsyncStub

    async def holds(self, cameras: Iterable[str] = ()) -> list[footage_pb2.Hold]:
        """Footage that nothing may delete, by camera and beginning; of all cameras in scope if none is named.

        The clip of an event has the id `event:` and the event's.
        """
        with errors():
            answer = await self._stub.ListHolds(footage_pb2.ListHoldsRequest(cameras=cameras), timeout=DEADLINE_S)
            return list(answer.holds)

    async def put_hold(
        self, camera: str, from_ns: int, to_ns: int, reason: str, *, expires_ns: int = 0, hold: str = ""
    ) -> footage_pb2.Hold:
        """Makes a hold, or with the id of one changes it. `expires_ns`: when it ends by itself, 0 for never."""
        request = _put(camera, from_ns, to_ns, reason, expires_ns, hold)
        with errors():
            return (await self._stub.PutHold(request, timeout=DEADLINE_S)).hold

    async def release_hold(self, hold: str, reason: str) -> None:
        """Ends a hold; from then on retention decides."""
        with errors():
            await self._stub.ReleaseHold(footage_pb2.ReleaseHoldRequest(id=hold, reason=reason), timeout=DEADLINE_S)


class SyncHoldCalls:
    """Part of SyncFootageClient."""

    _stub: Any

    def holds(self, cameras: Iterable[str] = ()) -> list[footage_pb2.Hold]:
        """As FootageClient.holds."""
        with errors():
            answer = self._stub.ListHolds(footage_pb2.ListHoldsRequest(cameras=cameras), timeout=DEADLINE_S)
            return list(answer.holds)

    def put_hold(
        self, camera: str, from_ns: int, to_ns: int, reason: str, *, expires_ns: int = 0, hold: str = ""
    ) -> footage_pb2.Hold:
        """As FootageClient.put_hold."""
        request = _put(camera, from_ns, to_ns, reason, expires_ns, hold)
        with errors():
            made: footage_pb2.Hold = self._stub.PutHold(request, timeout=DEADLINE_S).hold
            return made

    def release_hold(self, hold: str, reason: str) -> None:
        """As FootageClient.release_hold."""
        with errors():
            self._stub.ReleaseHold(footage_pb2.ReleaseHoldRequest(id=hold, reason=reason), timeout=DEADLINE_S)


def _put(
    camera: str, from_ns: int, to_ns: int, reason: str, expires_ns: int, hold: str
) -> footage_pb2.PutHoldRequest:  # fmt: skip
    return footage_pb2.PutHoldRequest(
        id=hold, camera=camera, from_ns=from_ns, to_ns=to_ns, reason=reason, expires_ns=expires_ns
    )

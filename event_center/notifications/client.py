"""Notifications for programs: channels, rules, deliveries, tests.

    with SyncNotificationClient(endpoint, token) as notifications:
        print(notifications.test("duty").delivered)

Channels, rules and deliveries are the wire's own messages (`trueframe.v1.notifications_pb2`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

from mesh.channel import Token, connect_sync
from mesh.errors import from_rpc_error
from trueframe.v1.notifications_pb2 import (
    ChannelStatus,
    DeliveryProgress,
    ListChannelsRequest,
    ListDeliveriesRequest,
    ListNotificationRulesRequest,
    NotificationDelivery,
    NotificationRule,
    TestChannelRequest,
    TestChannelResponse,
)
from trueframe.v1.notifications_pb2_grpc import NotificationServiceStub

__all__ = ["ChannelStatus", "DeliveryProgress", "NotificationDelivery", "NotificationRule", "SyncNotificationClient"]

DEADLINE_S = 10.0
TEST_DEADLINE_S = 90.0
_PAGE = 500


class SyncNotificationClient:
    """The event center's notifications. Raises errors of `mesh.errors`: Unavailable, NotFound, PermissionDenied, …"""

    def __init__(self, endpoint: str, token: Token | None, **options: Any) -> None:
        self._channel = connect_sync(endpoint, token, **options)
        self._stub: Any = NotificationServiceStub(self._channel)

    def __enter__(self) -> SyncNotificationClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the channel."""
        self._channel.close()

    def channels(self) -> list[ChannelStatus]:
        """The channels, and how they do."""
        return list(self._ask("ListChannels", ListChannelsRequest()).channels)

    def rules(self) -> list[NotificationRule]:
        """The rules."""
        return list(self._ask("ListNotificationRules", ListNotificationRulesRequest()).rules)

    def deliveries(
        self, *, limit: int = 100, channels: Iterable[str] = (),
        progress: Iterable[DeliveryProgress.ValueType] = (), event: str = "",
    ) -> list[NotificationDelivery]:  # fmt: skip
        """What was told to whom, newest first, `limit` at most."""
        found: list[NotificationDelivery] = []
        request = ListDeliveriesRequest(
            channels=channels, progress=progress, event=event, page_size=max(1, min(limit, _PAGE))
        )
        while True:
            answer = self._ask("ListDeliveries", request)
            found += answer.deliveries
            if len(found) >= limit or not answer.next_page_token:
                return found[:limit]
            request.page_token = answer.next_page_token

    def test(self, channel: str) -> TestChannelResponse:
        """Sends a test message; says whether it arrived. Raises NotFound."""
        answer: TestChannelResponse = self._ask("TestChannel", TestChannelRequest(channel=channel), TEST_DEADLINE_S)
        return answer

    def _ask(self, rpc: str, request: Any, timeout_s: float = DEADLINE_S) -> Any:
        try:
            return getattr(self._stub, rpc)(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

"""The gRPC face of notifications. Thin: checks requests and scope, asks, converts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from event_center.notifications.delivery import Content, Delivery, Progress
from event_center.notifications.journal import DeliveryFilter, Journal
from event_center.notifications.outlet import Outlet
from mesh.clocks import Clock
from mesh.config_notifications import NotificationChannel, NotificationsConfig
from mesh.errors import InvalidArgument, NotFound
from mesh.ids import new_event_id
from mesh.security import principal_of
from trueframe.v1 import notifications_pb2, notifications_pb2_grpc

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000

_PROGRESS: dict[Progress, notifications_pb2.DeliveryProgress.ValueType] = {
    Progress.PENDING: notifications_pb2.DELIVERY_PROGRESS_PENDING,
    Progress.SENT: notifications_pb2.DELIVERY_PROGRESS_SENT,
    Progress.REFUSED: notifications_pb2.DELIVERY_PROGRESS_REFUSED,
    Progress.GIVEN_UP: notifications_pb2.DELIVERY_PROGRESS_GIVEN_UP,
    Progress.SUPERSEDED: notifications_pb2.DELIVERY_PROGRESS_SUPERSEDED,
    Progress.DROPPED: notifications_pb2.DELIVERY_PROGRESS_DROPPED,
}


class NotificationService(notifications_pb2_grpc.NotificationServiceServicer):
    """Channels, rules, deliveries, tests."""

    def __init__(
        self, config: NotificationsConfig, journal: Journal, outlets: Mapping[str, Outlet], clock: Clock
    ) -> None:
        self._config = config
        self._journal = journal
        self._outlets = outlets
        self._clock = clock

    async def ListChannels(  # noqa: N802 - the rpc's name
        self, request: notifications_pb2.ListChannelsRequest, context: Any
    ) -> notifications_pb2.ListChannelsResponse:
        """How the channels do."""
        return notifications_pb2.ListChannelsResponse(
            channels=[
                notifications_pb2.ChannelStatus(
                    id=one.id, kind=one.kind, target=target_of(one), waiting=self._outlets[one.id].waiting,
                    failing_since_ns=self._outlets[one.id].failing_since_ns, reason=self._outlets[one.id].reason,
                )
                for one in self._config.channels
            ]
        )  # fmt: skip

    async def ListNotificationRules(  # noqa: N802 - the rpc's name
        self, request: notifications_pb2.ListNotificationRulesRequest, context: Any
    ) -> notifications_pb2.ListNotificationRulesResponse:
        """Who is told of what."""
        return notifications_pb2.ListNotificationRulesResponse(
            rules=[
                notifications_pb2.NotificationRule(
                    id=one.id, channels=one.channels, on=one.on, priorities=one.priorities, cameras=one.cameras,
                    groups=one.groups, regions=one.regions, kinds=one.kinds, detectors=one.detectors,
                    schedule=one.schedule, quiet=one.quiet, lasting_s=one.lasting_s, at_most=one.at_most,
                    within_s=one.within_s, unacknowledged_s=one.unacknowledged_s, then=one.then,
                )
                for one in self._config.rules
            ]
        )  # fmt: skip

    async def ListDeliveries(  # noqa: N802 - the rpc's name
        self, request: notifications_pb2.ListDeliveriesRequest, context: Any
    ) -> notifications_pb2.ListDeliveriesResponse:
        """A page of deliveries, newest first."""
        if not 0 <= request.page_size <= LARGEST_PAGE:
            raise InvalidArgument(f"page_size {request.page_size}", f"is not between 0 and {LARGEST_PAGE}")
        cameras = principal_of(context).cameras
        by_number = {number: progress for progress, number in _PROGRESS.items()}
        if unknown := [one for one in request.progress if one not in by_number]:
            raise InvalidArgument("progress", f"holds {unknown[0]}, which is none")
        wanted = DeliveryFilter(
            channels=list(request.channels),
            progress=[by_number[one] for one in request.progress],
            cameras=None if cameras is None else sorted(cameras),
            event=request.event,
        )
        found, token = await self._journal.page(wanted, request.page_size or DEFAULT_PAGE, request.page_token)
        return notifications_pb2.ListDeliveriesResponse(
            deliveries=[delivery_to_proto(one) for one in found], next_page_token=token
        )

    async def TestChannel(  # noqa: N802 - the rpc's name
        self, request: notifications_pb2.TestChannelRequest, context: Any
    ) -> notifications_pb2.TestChannelResponse:
        """Sends a test message."""
        outlet = self._outlets.get(request.channel)
        if outlet is None:
            known = ", ".join(sorted(self._outlets)) or "none"
            raise NotFound(f"channel {request.channel[:40]!r}", "does not exist", f"Known: {known}.")
        now_ns = self._clock.utc_ns()
        asker = principal_of(context).name
        content = Content("test", f"trueframe can reach you over {outlet.channel.id} ({asker} asked)", at_ns=now_ns)
        delivery = Delivery(f"test.{new_event_id()}.{outlet.channel.id}", outlet.channel.id, "", content, now_ns)
        is_delivered, reason = await outlet.try_now(delivery)
        return notifications_pb2.TestChannelResponse(delivered=is_delivered, reason=reason)


def delivery_to_proto(delivery: Delivery) -> notifications_pb2.NotificationDelivery:
    """A delivery for clients."""
    content = delivery.content
    return notifications_pb2.NotificationDelivery(
        id=delivery.id, channel=delivery.channel, rule=delivery.rule, occasion=content.occasion, event=content.event,
        camera=content.camera, title=content.title, priority=content.priority, progress=_PROGRESS[delivery.progress],
        attempts=delivery.attempts, reason=delivery.reason, made_ns=delivery.made_ns, done_ns=delivery.done_ns,
    )  # fmt: skip


def target_of(channel: NotificationChannel) -> str:
    """Where a channel leads, without anything that opens it: of a URL only the host."""
    match channel.kind:
        case "webhook":
            if channel.url_file is not None:
                return f"{channel.form}, URL in {channel.url_file.name}"
            parts = urlsplit(channel.url)
            return f"{channel.form}, {parts.scheme}://{parts.hostname}"
        case "email":
            return f"{', '.join(channel.recipients)} by {channel.host}"
        case "mqtt":
            return f"{channel.topic} at {channel.host}"
        case _:
            return channel.argv[0]

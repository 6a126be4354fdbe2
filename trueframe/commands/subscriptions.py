"""`trueframe subscriptions`: who reads live frames, with which promise, and what each got and did not get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trueframe.commands.options import data_option, json_option, show_json, show_table
from trueframe.times import show_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trueframe.v1.broker_pb2 import Subscription, SubscriptionCounters


@click.command("subscriptions")
@click.option("--cameras", "by_camera", is_flag=True, help="A row for each camera of a subscription.")
@json_option
@data_option
def command(data: str, by_camera: bool, as_json: bool) -> None:
    """List who reads live frames from the broker: delivery, frames delivered, waiting and left out, by reason."""
    from trueframe.client import connect

    with connect(data) as tf:
        found = tf.broker.list_subscriptions()
    if as_json:
        for subscription in found:
            show_json(record(subscription))
    elif by_camera:
        show_table(
            ("number", "subscriber", "camera", "captured", "delivered", "waiting", "not delivered"),
            (
                (one.number, one.subscriber, row.camera, row.captured, row.delivered, row.pending, reasons([row]))
                for one in found
                for row in one.counters
            ),
        )
    else:
        show_table(
            ("number", "subscriber", "who", "delivery", "cameras", "delivered", "MB", "waiting", "not delivered"),
            (
                (
                    one.number,
                    one.subscriber,
                    one.principal,
                    delivery(one),
                    len(one.counters),
                    sum(row.delivered for row in one.counters),
                    f"{one.delivered_bytes / 1e6:.1f}",
                    sum(row.pending for row in one.counters),
                    reasons(one.counters),
                )
                for one in found
            ),
        )


def delivery(subscription: Subscription) -> str:
    """One word: lossless, latest or keyframes."""
    from trueframe.v1.broker_pb2 import Delivery

    return Delivery.Name(subscription.delivery).removeprefix("DELIVERY_").lower()


def left_out(counters: Iterable[SubscriptionCounters]) -> dict[str, tuple[int, int]]:
    """Frames, and gaps of an unknown number of frames, by reason."""
    from trueframe.v1.frames_pb2 import GapReason

    found: dict[str, tuple[int, int]] = {}
    for row in counters:
        for missed in row.not_delivered:
            name = GapReason.Name(missed.reason).removeprefix("GAP_REASON_").lower()
            frames, unknown = found.get(name, (0, 0))
            found[name] = (frames + missed.count, unknown + missed.unknown_gaps)
    return found


def reasons(counters: Iterable[SubscriptionCounters]) -> str:
    """The same in words: "superseded 12, network_loss 2 gaps"; "-" for nothing."""
    words = []
    for name, (frames, unknown) in sorted(left_out(counters).items()):
        if frames:
            words.append(f"{name} {frames}")
        if unknown:
            words.append(f"{name} {unknown} gap{'s' if unknown > 1 else ''}")
    return ", ".join(words) or "-"


def record(subscription: Subscription) -> dict[str, object]:
    """A subscription for scripts; for every camera captured = delivered + pending + the sum of `not_delivered`."""
    return {
        "number": subscription.number,
        "subscriber": subscription.subscriber,
        "principal": subscription.principal,
        "delivery": delivery(subscription),
        "opened_ns": subscription.opened_ns,
        "opened": show_time(subscription.opened_ns),
        "pending_bytes": subscription.pending_bytes,
        "delivered_bytes": subscription.delivered_bytes,
        "delivered_batches": subscription.delivered_batches,
        "cameras": {
            row.camera: {
                "captured": row.captured,
                "delivered": row.delivered,
                "pending": row.pending,
                "not_delivered": {name: frames for name, (frames, _) in left_out([row]).items() if frames},
                "unknown_gaps": {name: unknown for name, (_, unknown) in left_out([row]).items() if unknown},
            }
            for row in subscription.counters
        },
    }

"""What the aggregate stores: orders, how far each inspection has been judged, and anomalies with their outbox.

One document is written at a time and each write stands alone. Anomalies are written before the progress that says
their verdicts were judged: after a crash between the two, judging again makes the same anomalies, ids and versions
included, and what is stored already is left as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aggregate.orders import Order, Region
from aggregate.wire import checked
from mesh.bus import anomaly_subject
from mesh.errors import AlreadyExists, Conflict
from mesh.outbox import PENDING_FIELD, OutboxEvent, add_event
from mesh.store import Body, Collection, DocumentStore, scan
from trueframe.v1 import inspection_pb2

# A bus that is away for long: of an anomaly that goes on, only some of its updates need to wait for it.
MAX_PENDING_UPDATES = 64


class Archive:
    """The aggregate's collections. Make it with `open`."""

    def __init__(self, orders: Collection, progress: Collection, anomalies: Collection) -> None:
        self._orders = orders
        self._progress = progress
        self.anomalies = anomalies

    @classmethod
    async def open(cls, store: DocumentStore) -> Archive:
        """The collections of a store."""
        return cls(
            await store.collection("inspections", ("camera",)),
            await store.collection("progress"),
            await store.collection("anomalies", (PENDING_FIELD, "camera", "started_ns")),
        )

    async def orders(self) -> AsyncIterator[Order]:
        """All stored orders."""
        async for document in scan(self._orders):
            yield _order(document.id, document.body)

    async def put_order(self, order: Order) -> None:
        """Stores an order, over one of the same id."""
        await self._orders.put(order.id, _order_body(order))

    async def seed_order(self, order: Order) -> bool:
        """Stores an order unless there is one of the same id; whether it did."""
        try:
            await self._orders.put(order.id, _order_body(order), 0)
        except AlreadyExists:
            return False
        return True

    async def progress(self, inspection: str) -> Body | None:
        """How far the inspection has been judged; None if it never was."""
        document = await self._progress.find(inspection)
        return document.body if document else None

    async def put_progress(self, inspection: str, body: Body) -> None:
        """Stores how far it has been judged."""
        await self._progress.put(inspection, body)

    async def publish(self, anomaly: inspection_pb2.Anomaly, phase: str) -> bool:
        """Stores a version of an anomaly with the message that tells of it; False if it was stored before."""
        event = OutboxEvent(
            anomaly_subject(anomaly.camera),
            f"trueframe.anomaly.{phase}",
            anomaly.SerializeToString(),
            f"{anomaly.id}-{anomaly.version}",
        )
        while True:
            document = await self.anomalies.find(anomaly.id)
            if document is not None and document.body["version"] >= anomaly.version:
                return False
            old: Body = document.body if document else {}
            body = {
                **old,
                "version": anomaly.version,
                "inspection": anomaly.inspection,
                "camera": anomaly.camera,
                "started_ns": anomaly.started_ns,
                "ended_ns": anomaly.ended_ns,
            }
            if phase != "updated" or old.get(PENDING_FIELD, 0) < MAX_PENDING_UPDATES:
                body = add_event(body, event)
            try:
                await self.anomalies.put(anomaly.id, body, document.version if document else 0)
            except (Conflict, AlreadyExists):
                # The outbox marked something sent meanwhile.
                continue
            return True


def _order_body(order: Order) -> Body:
    return {
        "camera": order.camera,
        "detector": order.detector,
        "threshold": order.threshold,
        "is_disabled": order.is_disabled,
        "regions": [
            {"name": region.name, "use": region.use, "corners": [list(corner) for corner in region.corners]}
            for region in order.regions
        ],
    }


def _order(order_id: str, body: Mapping[str, Any]) -> Order:
    regions = tuple(
        Region(one["name"], one["use"], tuple((float(x), float(y)) for x, y in one["corners"]))
        for one in body["regions"]
    )
    order = Order(order_id, body["camera"], body["detector"], body["threshold"], regions, body["is_disabled"])
    return checked(order)
